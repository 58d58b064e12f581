"""What every backend has in common: the types that go in and out of ``match``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Progress = Callable[[int, int], None]
# (rows of Y, rows of X, cosines): pairs that became final since the last call
HandOver = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], None]


class Pairs(NamedTuple):
    """Final pairs in the order in which they were settled: (n,) int64, int64, float64.

    A y that takes none has row -1 of X and a cosine of NaN.
    """

    y_rows: NDArray[np.int64]
    x_rows: NDArray[np.int64]
    cosine: NDArray[np.float64]


class Matched(NamedTuple):
    """A matching and the backend's counters.

    ``x_index`` (n_y,) int64 and ``cosine`` (n_y,) float64 are in Y's row order;
    ``order`` (n_y,) int64 holds the rows of Y as they chose. A y that takes none has x_index -1.
    By metric "euclidean" ``cosine`` holds distances, here and in pairs that are handed over.
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
        min_cosine: float = -np.inf,
        **options: Any,
    ) -> Matched:
        """Match every row of y with a row of x, if one of ``min_cosine`` is free.

        n_y <= n_x, unless ``min_cosine`` is given.
        """
        ...
