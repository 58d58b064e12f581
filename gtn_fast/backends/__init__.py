"""What can run a matching. One signature, the same answer from each, bit for bit.

    native.py     the C++ engine: ray, circle, tree, screen
    reference.py  NumPy: the oracle (method "reference") and the 1-D rank labeling

A backend is a module with ``match(x, y, *, strategy, threads, block, list_length,
progress) -> Matched``. Its arrays have been through gtn_fast._validate; it checks
nothing again. ``for_strategy`` says which one runs a strategy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Progress = Callable[[int, int], None]


class Matched(NamedTuple):
    """A matching and the backend's counters.

    ``x_index`` (n_y,) int64 and ``cosine`` (n_y,) float64 are in Y's row order;
    ``order`` (n_y,) int64 holds the rows of Y as they chose.
    """

    x_index: NDArray[np.int64]
    cosine: NDArray[np.float64]
    order: NDArray[np.int64]
    report: dict[str, float]


class Match(Protocol):
    """The one signature."""

    def __call__(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        *,
        strategy: str,
        threads: int,
        block: int = 0,
        list_length: int = 0,
        progress: Progress | None = None,
    ) -> Matched:
        """Match every row of y with a row of x."""
        ...


def for_strategy(strategy: str) -> Match:
    """Return the backend that runs ``strategy``; ImportError if the engine is not built."""
    from gtn_fast.backends import native, reference

    if strategy in reference.STRATEGIES:
        return reference.match
    native.module()
    return native.match
