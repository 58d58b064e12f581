"""The oracle: Algorithm 1 of the GTN paper, short, slow and obviously right.

Every strategy, instruction set and backend answers to this file with ``==``.
It uses NumPy's float64 ``+ - * /`` and ``sqrt`` alone, one operation at a time
in a written-out order, in the default floating-point environment (environment.py), so that
C++ compiled without contraction gives the same bits. The contracts it fixes are those of
csrc/include/gtn_fast/direction.h (arithmetic) and order.h (who chooses first).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.environment import DefaultEnvironment, in_default_environment

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Progress = Callable[[int, int], None]

LANES = 8


@in_default_environment
def ordered_dot(a: Float64, b: Float64) -> Float64:
    """Return dot products over the last axis, summed in the one fixed order.

    ``a`` and ``b``: float64, shapes (..., d) that broadcast. Eight lanes, each
    summed left to right over its elements j, j + 8, ...; then the tree
    8 -> 4 -> 2 -> 1 (direction.h). Returns float64 (...,).
    """
    product = a * b
    lanes = np.zeros((*product.shape[:-1], LANES))
    for start in range(0, product.shape[-1], LANES):
        chunk = product[..., start : start + LANES]
        lanes[..., : chunk.shape[-1]] += chunk
    s = lanes[..., :4] + lanes[..., 4:]
    t = s[..., :2] + s[..., 2:]
    return np.asarray(t[..., 0] + t[..., 1])


@in_default_environment
def directions_and_norms(a: NDArray[Any]) -> tuple[Float64, Float64]:
    """Return unit directions (n, d) and norms (n,) of the rows of ``a``, in float64.

    m = max|a_i|, u = a / m, inner = sqrt(u . u), direction = u / inner,
    norm = m * inner. A zero row has direction zero and norm zero.
    """
    values = np.asarray(a, dtype=np.float64)
    m = np.abs(values).max(axis=1)
    u = values / np.where(m == 0.0, 1.0, m)[:, None]
    inner = np.sqrt(ordered_dot(u, u))
    direction = u / np.where(inner == 0.0, 1.0, inner)[:, None]
    with np.errstate(over="ignore"):  # a norm above the float64 range is inf: still an order
        return direction, m * inner


@in_default_environment
def squared_distances(a: Float64, b: Float64) -> Float64:
    """Return the squared Euclidean distances over the last axis: ordered_dot(a - b, a - b).

    ``a`` and ``b``: float64, shapes (..., d) that broadcast, rows as they are. Returns (...,).
    Labels by distance have equal distances where these are equal, nothing else.
    """
    gap = a - b
    return ordered_dot(gap, gap)


@in_default_environment
def norm_order(norms: Float64) -> Int64:
    """Order rows by norm ascending, equal norms by row number: int64 (n,), rank -> row."""
    return np.argsort(norms, kind="stable").astype(np.int64)


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    progress: Progress | None = None,
    *,
    min_cosine: float = -np.inf,
    metric: str = "cosine",
) -> tuple[Int64, Float64, Int64]:
    """Run Algorithm 1: the y's choose in norm order, each the free x of highest cosine.

    ``x`` (n_x, d), ``y`` (n_y, d), finite. Equal cosines go to the x of smaller norm, then
    smaller row number. A y takes none if no x is free (n_y > n_x), or if the highest cosine is
    below ``min_cosine``: then that x stays free for those who choose later. Returns ``x_index``
    (n_y,) int64 (-1 for none) and ``cosine`` (n_y,) float64 (NaN for none) in Y's row order, and
    ``order`` (n_y,) int64, the rows of Y as they chose. O(n_x * n_y * d).

    ``metric`` "euclidean": each takes the free x of smallest ``squared_distances``; ties and
    order as before. Their square roots are returned in place of the cosines, and
    ``min_cosine`` says nothing.
    """
    with DefaultEnvironment() as environment:
        call = environment.calling_back(progress)
        return _match(x, y, call, min_cosine, by_distance=metric == "euclidean")


def _match(
    x: NDArray[Any],
    y: NDArray[Any],
    progress: Progress | None,
    min_cosine: float,
    *,
    by_distance: bool,
) -> tuple[Int64, Float64, Int64]:
    x_direction, x_norm = directions_and_norms(x)
    y_direction, y_norm = directions_and_norms(y)
    x_by_norm = norm_order(x_norm)
    order = norm_order(y_norm)
    ranked = (np.asarray(x, np.float64) if by_distance else x_direction)[x_by_norm]
    taken = np.zeros(len(ranked), dtype=bool)
    x_index = np.full(len(order), -1, dtype=np.int64)
    cosine = np.full(len(order), np.nan)
    for turn, row in enumerate(order):
        if by_distance:
            values = -squared_distances(ranked, np.asarray(y[row], np.float64))
        else:
            values = ordered_dot(ranked, y_direction[row])
        values[taken] = -np.inf
        best = int(np.argmax(values))  # the first of equals: the smallest norm
        if not taken[best] and (by_distance or values[best] >= min_cosine):
            taken[best] = True
            x_index[row] = x_by_norm[best]
            cosine[row] = np.sqrt(-values[best]) if by_distance else values[best]
        if progress is not None:
            progress(turn + 1, len(order))
    return x_index, cosine, order


@in_default_environment
def rank(x: NDArray[Any], y: NDArray[Any]) -> tuple[Int64, Float64, Int64]:
    """Label 1-D data as the paper's section 2.1 does: a y gets the x of its quantile.

    ``x`` (n_x, 1), ``y`` (n_y, 1), n_y <= n_x. Both are sorted by value, equal values
    by row number; the y at position i takes the x at position
    floor((i + 1/2) * n_x / n_y), which is i itself when n_x = n_y. Returns what
    ``match`` returns; ``order`` is Y by value.
    """
    x_sorted = np.argsort(x[:, 0], kind="stable").astype(np.int64)
    order = np.argsort(y[:, 0], kind="stable").astype(np.int64)
    n_x, n_y = len(x_sorted), len(order)
    # ((2 i + 1) n_x) // (2 n_y), in Python integers where int64 might overflow.
    position = (2 * np.arange(n_y, dtype=object if n_x > 2**30 else np.int64) + 1) * n_x
    x_index = np.empty(n_y, dtype=np.int64)
    x_index[order] = x_sorted[(position // (2 * n_y)).astype(np.int64)]
    cosine = np.sign(x[x_index, 0].astype(np.float64)) * np.sign(y[:, 0].astype(np.float64))
    return x_index, cosine, order
