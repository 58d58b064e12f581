"""The x's that were free at a y's turn, and their values with it, by brute force.

What verification.py and quality.py have in common. Nothing of the strategies is used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.check.measure import COSINE, Measure
from gtn_fast.reference import directions_and_norms

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_BLOCK_VALUES = 1_000_000  # float64 values in a temporary: 8 MB
_PAIR_VALUES = 1_000_000


def free_scores(
    x: NDArray[Any],
    y_points: Float64,
    x_rows: Int64,
    turns: Int64,
    turn: Int64,
    x_index: Int64,
    measure: Measure = COSINE,
) -> Iterator[tuple[Int64, Float64, Float64, Float64, Float64]]:
    """Yield (rows, points, norms, scores, errors) of a chunk of ``x_rows`` at a time.

    ``y_points`` (s, d): those of the y's whose turns are ``turn`` (s,); ``turns``: the
    rows of Y as they chose, ``x_index`` what they took (-1: none). Scores (rows, s) are the
    measure's estimates, off by the errors at most; -inf where the x was taken before that turn.
    """
    # Position within x_rows -> the turn that took it; those never taken stay free.
    taken_at = np.full(len(x_rows), len(turns), dtype=np.int64)
    took = np.flatnonzero(x_index[turns] >= 0)
    taken_at[np.searchsorted(x_rows, x_index[turns[took]])] = took
    step = max(1, min(_BLOCK_VALUES // max(x.shape[1], len(turn)), len(x_rows)))
    for start in range(0, len(x_rows), step):
        rows = x_rows[start : start + step]
        points, norm = measure.points(x[rows]), directions_and_norms(x[rows])[1]
        scores, errors = measure.estimates(points, y_points)
        scores[taken_at[start : start + step, None] < turn] = -np.inf
        yield rows, points, norm, scores, errors


def pair_values(a: Float64, b: Float64, i: Int64, s: Int64, measure: Measure = COSINE) -> Float64:
    """Return the exact values of a[i] and b[s], equal points of ``a`` computed once.

    In data of many equal points every x is a contender of every y, but there are few distinct
    ones.
    """
    if len(i) > 4 * len(a):
        keys = np.ascontiguousarray(a + 0.0).view(
            np.dtype((np.void, a.dtype.itemsize * a.shape[1]))
        )
        _, first, inverse = np.unique(keys.ravel(), return_index=True, return_inverse=True)
        pair, back = np.unique(inverse.ravel()[i] * len(b) + s, return_inverse=True)
        if len(pair) < len(i):
            at, column = np.divmod(pair, len(b))
            distinct = _plain_pair_values(a[first], b, at, column, measure)
            return np.asarray(distinct[back.ravel()])
    return _plain_pair_values(a, b, i, s, measure)


def _plain_pair_values(a: Float64, b: Float64, i: Int64, s: Int64, measure: Measure) -> Float64:
    out = np.empty(len(i))
    step = max(1, _PAIR_VALUES // a.shape[1])
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        out[part] = measure.values(a[i[part]], b[s[part]])
    return out


def row_norms(a: NDArray[Any]) -> Float64:
    """Return the norms of the rows of ``a`` (n, d), float64 (n,)."""
    out = np.empty(len(a))
    step = max(1, _PAIR_VALUES // a.shape[1])
    for start in range(0, len(a), step):
        out[start : start + step] = directions_and_norms(a[start : start + step])[1]
    return out
