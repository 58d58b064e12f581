"""The oracle behind the backends' signature, and the 1-D rank labeling, in NumPy."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import reference
from gtn_fast.backends.interface import Matched, Progress

_PERIOD_S = 0.1


def require() -> None:
    """Do nothing: NumPy is always there."""


def instructions() -> str:
    """Return "numpy": what NumPy uses below is its own affair."""
    return "numpy"


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
    min_cosine: float = -np.inf,
    metric: str = "cosine",
) -> Matched:
    """Run the loop or the rank labeling; threads, block and list_length change nothing."""
    del threads, block, list_length
    if strategy == "rank":
        return Matched(*reference.rank(x, y), {})
    call = _every_now_and_then(progress)
    found = reference.match(x, y, call, min_cosine=min_cosine, metric=metric)
    return Matched(*found, {})


def _every_now_and_then(progress: Progress | None) -> Progress | None:
    """Return ``progress`` thinned: called about ten times per second, and at the end."""
    if progress is None:
        return None
    last = time.monotonic()

    def call(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= _PERIOD_S:
            last = now
            progress(done, total)

    return call
