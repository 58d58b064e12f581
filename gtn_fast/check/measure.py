"""What a y compares x's by, for the checks: exact values, and estimates by matrix products.

A value orders the x's for a y, the greater the better: the cosine, or minus the squared distance.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gtn_fast.reference import directions_and_norms, ordered_dot, squared_distances

Float64 = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)


class Measure(Protocol):
    """One metric: what it makes of rows and pairs."""

    word: str  # for messages
    least: float  # below every value

    def points(self, rows: NDArray[Any]) -> Float64:
        """Return what values are computed from: float64, of the shape of ``rows``."""
        ...

    def values(self, a: Float64, b: Float64) -> Float64:
        """Return the exact values of points row by row, (n,)."""
        ...

    def estimates(self, a: Float64, b: Float64) -> tuple[Float64, Float64]:
        """Return values of all pairs, (len(a), len(b)), and how far off they may be."""
        ...

    def shown(self, value: Any) -> Any:
        """Return what people call the value: the cosine, or the distance."""
        ...


class _Cosine:
    word = "cosine"
    least = -2.0

    def points(self, rows: NDArray[Any]) -> Float64:
        return directions_and_norms(rows)[0]

    def values(self, a: Float64, b: Float64) -> Float64:
        return ordered_dot(a, b)

    def estimates(self, a: Float64, b: Float64) -> tuple[Float64, Float64]:
        return a @ b.T, np.asarray(max(5e-13, 4.0 * a.shape[1] * _EPS))

    def shown(self, value: Any) -> Any:
        return value


class _Euclidean:
    word = "distance"
    least = -float(np.finfo(np.float64).max)

    def points(self, rows: NDArray[Any]) -> Float64:
        return np.asarray(rows, np.float64)

    def values(self, a: Float64, b: Float64) -> Float64:
        return -squared_distances(a, b)

    def estimates(self, a: Float64, b: Float64) -> tuple[Float64, Float64]:
        """Of points less their mean: what cancels is off by rounding of both lengths, squared."""
        centre = a.mean(axis=0)
        a, b = a - centre, b - centre
        a_square, b_square = ((each * each).sum(axis=1) for each in (a, b))
        scores = 2.0 * (a @ b.T) - a_square[:, None] - b_square
        reach = np.sqrt(a_square)[:, None] + np.sqrt(b_square)
        return scores, 8.0 * (a.shape[1] + 8) * _EPS * reach * reach

    def shown(self, value: Any) -> Any:
        return np.sqrt(-np.asarray(value))


COSINE: Measure = _Cosine()
EUCLIDEAN: Measure = _Euclidean()


def measure_of(metric: str) -> Measure:
    """Return the measure of a checked metric."""
    return EUCLIDEAN if metric == "euclidean" else COSINE
