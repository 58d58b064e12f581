"""The options of method "faiss"."""

from __future__ import annotations

from typing import Annotated, TypedDict

from gtn_fast.backends.options import Choice, Share, Whole

KINDS = ("ivf-pq", "ivf-flat", "ivf-sq8")
QUALITIES = ("fast", "balanced", "careful")
MOST_REFINED = 512


class FaissOptions(TypedDict, total=False):
    """What ``label(method="faiss", ...)`` takes beside the common arguments."""

    quality: Annotated[
        str | None,
        Choice(
            QUALITIES,
            "fast, balanced (default) or careful: sets nprobe; like the six options that"
            " follow, of method faiss alone",
            "Q",
        ),
    ]
    nlist: Annotated[
        int | None, Whole(1, 2**20, "lists of the first index (default: 1.5 sqrt(n_x))")
    ]
    nprobe: Annotated[int | None, Whole(1, 2**20, "lists probed for each y")]
    refine: Annotated[
        int | None,
        Whole(
            1,
            MOST_REFINED,
            f"candidates kept for each y, at most {MOST_REFINED} (default: as many as it takes);"
            " never changes the answer",
        ),
    ]
    index: Annotated[
        str | None,
        Choice(KINDS, "for calls of old: lists are scanned in full, whatever is given", "KIND"),
    ]
    min_cosine_ratio: Annotated[
        float | None,
        Share(
            "raise the effort until a sample of y's gets this share of its best cosines on"
            " average; an error where the exact engine is predicted to be quicker than that"
        ),
    ]
    exact_below: Annotated[
        int | None,
        Whole(
            0,
            2**32,
            "leave the rest to the exact engine below so many free x's (default: where that is"
            " predicted to be quicker, for small jobs at once)",
        ),
    ]
