"""What a check of a matching comes to: what is wrong, or what was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.check.measure import Measure


class WrongMatching(ValueError):
    """The matching breaks the definition.

    ``y_row`` chose ``x_row`` (cosine ``cosine``) although ``better_x_row``, free at its
    turn, comes first (cosine ``better_cosine``); what does not apply is None. By metric
    "euclidean" there are ``distance`` and ``better_distance`` instead.
    """

    def __init__(
        self,
        message: str,
        *,
        y_row: int | None = None,
        x_row: int | None = None,
        better_x_row: int | None = None,
        cosine: float | None = None,
        better_cosine: float | None = None,
        distance: float | None = None,
        better_distance: float | None = None,
    ) -> None:
        super().__init__(message)
        self.y_row = y_row
        self.x_row = x_row
        self.better_x_row = better_x_row
        self.cosine = cosine
        self.better_cosine = better_cosine
        self.distance = distance
        self.better_distance = better_distance


def better_free(
    measure: Measure, y_row: int, has: tuple[int, float] | None, row: int, value: float
) -> WrongMatching:
    """Return the error: a row of Y ``has`` a row of X of some value, or none; another is better."""
    word, better = measure.word, float(measure.shown(value))
    numbers: dict[str, Any] = {"better_x_row": row, f"better_{word}": better}
    if has is None:
        return WrongMatching(
            f"row {y_row} of Y has no row of X, but row {row} of X ({word} {better!r}) was free at"
            " its turn",
            y_row=y_row,
            **numbers,
        )
    x_row, own = has[0], float(measure.shown(has[1]))
    return WrongMatching(
        f"row {y_row} of Y has row {x_row} of X ({word} {own!r}), but row {row}"
        f" of X ({word} {better!r}) was free at its turn and comes first",
        y_row=y_row,
        x_row=x_row,
        **(numbers | {word: own}),
    )


@dataclass(frozen=True)
class VerifyReport:
    """What was checked: all is well, or ``verify`` would have raised.

    ``checked``: how many y's were compared by brute force; ``contenders``: how many x's were so
    close to a chosen x that the exact rule had to decide; ``mean_cosine`` and ``min_cosine``: of
    the checked pairs; ``mean_distance``: likewise, by metric "euclidean" (else None);
    ``unmatched``: how many y's take none; ``complete``: whether every y was checked;
    ``quality``: None for exact labels; for approximate labels, how good the choices are
    (the numbers of ``report["quality"]``, from this sample).
    """

    n_x: int
    n_y: int
    d: int
    checked: int
    contenders: int
    mean_cosine: float
    min_cosine: float
    complete: bool
    quality: dict[str, float] | None = None
    unmatched: int = 0
    mean_distance: float | None = None


def check_injective(x_index: NDArray[np.int64], n_x: int, *, unmatched: bool) -> None:
    """Raise WrongMatching for a row of X that is none, or that is given twice."""
    outside = np.flatnonzero((x_index < (-1 if unmatched else 0)) | (x_index >= n_x))
    if len(outside):
        y_row = int(outside[0])
        x_row = int(x_index[y_row])
        raise WrongMatching(
            f"row {y_row} of Y has row {x_row} of X, but X has rows 0 to {n_x - 1}",
            y_row=y_row,
            x_row=x_row,
        )
    owner = np.full(n_x, -1, dtype=np.int64)
    y_rows = np.flatnonzero(x_index >= 0)
    owner[x_index[y_rows[::-1]]] = y_rows[::-1]  # the first owner stays
    twice = y_rows[owner[x_index[y_rows]] != y_rows]
    if len(twice):
        y_row = int(twice[0])
        x_row = int(x_index[y_row])
        raise WrongMatching(
            f"row {x_row} of X is given twice: to rows {int(owner[x_row])} and {y_row} of Y",
            y_row=y_row,
            x_row=x_row,
        )
