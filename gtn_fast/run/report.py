"""What ran: the one report of every labeling, and the ``Labels`` that carry it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast._version import __version__
from gtn_fast.backends.interface import Matched
from gtn_fast.inputs.sources import listed
from gtn_fast.labels import Labels
from gtn_fast.planning.memory import peak_bytes
from gtn_fast.run.job import Job


class Times:
    """Seconds by phase: prepare (checks, X, a given Y), draw_y, match, total."""

    def __init__(self, began: float) -> None:
        self._began = self._last = began
        self.seconds = {"prepare": 0.0, "draw_y": 0.0, "match": 0.0}

    def end(self, phase: str) -> None:
        """Count all time since the last call as this phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now
        self.seconds["total"] = now - self._began


def report_of(
    job: Job,
    matched: Matched,
    times: Times,
    *,
    chosen: Mapping[str, Any],
    x_dtype: np.dtype[Any],
    y_dtype: np.dtype[Any],
    resumed_rows: int,
    predicted_seconds: float,
    predicted_bytes: int,
) -> dict[str, Any]:
    """Return the report of a labeling, plain numbers and texts.

    ``chosen``: strategy, why, backend, device, simd, exact, and what else that way of
    running says of itself.
    """
    return {
        "version": __version__,
        "method": job.method,
        "metric": job.metric,
        **chosen,
        "threads": job.threads,
        "n_x": job.n_x,
        "n_y": job.n_y,
        "d": job.d,
        "x_files": listed(job.x.files),
        "x_dtype": x_dtype.name,
        "y_dtype": y_dtype.name,
        "seed": job.drawn_seed,
        "resumed_rows": resumed_rows,
        "memory": job.memory,
        "partial": job.partial,
        "min_cosine": job.min_cosine,
        "unmatched": int((matched.x_index < 0).sum()),
        "groups": None if job.groups is None else len(job.groups.parts),
        "seconds": dict(times.seconds),
        "cones_left": _cones_left(matched.report),
        "engine": {name: float(value) for name, value in matched.report.items()},
        "predicted_seconds": predicted_seconds,
        "predicted_bytes": predicted_bytes,
        "peak_memory_bytes": peak_bytes(),
    }


def _cones_left(counts: Mapping[str, float]) -> float | None:
    """Return the share of the pairs that cones, and frames, left to be screened; None: no cones."""
    if not counts.get("cones"):
        return None
    screened = counts["pairs_screened"]
    return screened / max(1.0, screened + counts["pairs_skipped"])


def labels_of(
    job: Job,
    matched: Matched,
    report: dict[str, Any],
    y: Any,
    drawn: Any,
    distance: NDArray[np.float64] | None = None,
) -> Labels:
    """Return the labels; ``y``: as given, or None; ``drawn``: a drawn Y that is stored, or None."""
    return Labels(
        x_index=matched.x_index,
        cosine=matched.cosine.astype(np.float32),
        order=matched.order,
        n_x=job.n_x,
        d=job.d,
        report=report,
        given_y=y,
        seed=job.drawn_seed,
        _drawn_y=drawn,
        x_ids=job.x.ids,
        y_ids=None if job.y is None else job.y.ids,
        distance=distance,
    )
