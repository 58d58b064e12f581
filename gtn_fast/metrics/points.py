"""Distances between samples of points, the copy check, dimension, points that are spread out.

A sample is whatever ``label`` takes for X: an array or tensor (n, d), or files; (n,) counts as
(n, 1), and images (n, c, h, w) as (n, c * h * w). NaN and infinity are ValueErrors that name the
row. Memory grows with n, never with n².
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.inputs.arrays import MAX_ROWS, convert, describe, is_tensor, unchanged
from gtn_fast.inputs.opening import paths_in
from gtn_fast.learn.training.seeds import derive
from gtn_fast.system.ending import stop_here
from gtn_fast.system.forks import inherited
from gtn_fast.system.openmp import computes_by_torch, faiss_threads

_CHUNK = 1 << 22  # values in the largest temporary
_DIRECT_DIMENSIONS = 8  # up to here differences cost no more than a matrix product


@computes_by_torch
def energy_distance(a: Any, b: Any, *, max_n: int | None = 10_000, seed: int = 0) -> float:
    """Return the energy distance, ``sqrt(2 E|a - b| - E|a - a'| - E|b - b'|)``, Euclidean norms.

    Zero if and only if the distributions agree; for d = 1 what ``scipy.stats.energy_distance``
    gives (means over all pairs, a row with itself included). A sample of more than ``max_n``
    rows is represented by ``max_n`` of them, chosen by ``seed``; None takes all: the time
    grows with n². Of the order of n**-0.5 for two samples of one distribution.
    """
    first, second = pair_of(a, b)
    first = _subsample(first, max_n, derive(seed, "energy distance, first sample"))
    second = _subsample(second, max_n, derive(seed, "energy distance, second sample"))
    # Distances do not change, and float64 products of centred values cancel less.
    centre = (first.mean(axis=0) + second.mean(axis=0)) / 2
    u, v = torch.from_numpy(first - centre), torch.from_numpy(second - centre)
    squared = 2 * _mean_distance(u, v) - _mean_distance(u, u) - _mean_distance(v, v)
    return float(np.sqrt(max(squared, 0.0)))  # rounding can go below zero


def sliced_wasserstein(a: Any, b: Any, *, projections: int = 128, seed: int = 0) -> float:
    """Return the sliced 2-Wasserstein distance: the root mean square of W2 over directions.

    W2 of the projected samples is exact, whatever their sizes. Two samples that differ by
    a shift s have distance ``|s| / sqrt(d)``, up to the choice of directions.
    """
    first, second = pair_of(a, b)
    projections = check_integer(projections, "projections", 1, 2**20)
    rng = np.random.default_rng(derive(seed, "sliced Wasserstein"))
    directions = rng.standard_normal((first.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    weights, rows, other_rows = _quantile_steps(len(first), len(second))
    squared = 0.0
    step = max(1, _CHUNK // (len(first) + len(second)))
    for start in range(0, projections, step):
        some = directions[:, start : start + step]
        gap = np.sort(first @ some, axis=0)[rows] - np.sort(second @ some, axis=0)[other_rows]
        squared += float((weights @ np.square(gap)).sum())
    return float(np.sqrt(squared / projections))


def ks_uniform(values: Any, low: float, high: float) -> float:
    """Return the Kolmogorov-Smirnov distance of ``values`` (n,) to the uniform on [low, high]."""
    from scipy.stats import kstest

    points = rows_of(values, "values")
    if points.shape[1] != 1:
        raise ValueError(f"values must be one number per row, got {points.shape[1]} columns")
    if not low < high:
        raise ValueError(f"need low < high, got {low} and {high}")
    return float(kstest(points[:, 0], "uniform", (low, high - low), method="asymp").statistic)


def share_inside(points: Any, *boxes: tuple[Any, Any], widen: float = 0.0) -> float:
    """Return the share of points in one of the boxes, each (low, high) of numbers or (d,).

    ``widen`` = 0.01 makes every side of every box 1 % longer, half of it at either end.
    Borders belong to the box.
    """
    rows = rows_of(points, "points")
    if not boxes:
        raise ValueError("need at least one box (low, high)")
    inside = np.zeros(len(rows), dtype=bool)
    for low, high in boxes:
        bottom, top = (
            np.broadcast_to(np.asarray(v, np.float64), rows.shape[1:]) for v in (low, high)
        )
        if not (bottom < top).all():
            raise ValueError(f"a box needs low < high, got {low} and {high}")
        margin = (top - bottom) * widen / 2
        inside |= ((rows >= bottom - margin) & (rows <= top + margin)).all(axis=1)
    return float(inside.mean())


def nearest_copies(
    samples: Any,
    data: Any,
    held_out: Any = None,
    *,
    quantile: float = 0.01,
    max_reference: int | None = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """Check for copies: whether samples lie closer to training points than honest points do.

    Honest are points that were not trained on: ``held_out``, if given, or else each
    training point, seen from the others. ``quantile`` of them are nearer to the data than
    the threshold; about as many samples should be. Of more than ``max_reference`` honest
    points that many are taken, chosen by ``seed`` (None: all; n² distances).

    Returns
    -------
    dict
        share_closer: share of the samples at most the threshold away from a training point
        (honest samples: about ``quantile``; copies: 1); threshold; quantile; share_exact:
        share that equal a training point up to float32 rounding; median: of the samples'
        distances to their nearest training points; reference_median: the same for honest
        points. Euclidean distances, in the data's units.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"quantile must be between 0 and 1, got {quantile}")
    points, train = pair_of(samples, data, ("samples", "data"))
    honest = train if held_out is None else pair_of(held_out, data, ("held_out", "data"))[0]
    chosen = choose(len(honest), max_reference, "max_reference", derive(seed, "copy check"))
    if held_out is None:
        reference = _to_the_others(train, chosen)
    else:
        reference = nearest(honest[chosen], train)[0]
    distance, _ = nearest(points, train)
    threshold = float(np.quantile(reference, quantile))
    spread = float(np.linalg.norm(train.std(axis=0, dtype=np.float64)))
    return {
        "share_closer": float((distance <= threshold).mean()),
        "threshold": threshold,
        "quantile": quantile,
        "share_exact": float((distance <= 1e-6 * spread).mean()),
        "median": float(np.median(distance)),
        "reference_median": float(np.median(reference)),
    }


def nearest(points: Any, data: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each point's distance to its nearest row of ``data``, and that row: both (n,).

    FAISS finds the row (exhaustively, in float32) where it is installed, scikit-learn
    otherwise; the distance to it is float64.
    """
    rows, train = pair_of(points, data, ("points", "data"))
    index = neighbours(rows, train, 1)[:, 0]
    return row_distance(rows, train, index), index


def _to_the_others(data: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distance of each row to the nearest other row; 0 for rows that occur twice."""
    if len(data) < 2:
        raise ValueError("data has one row; need two, or held_out=")
    two = neighbours(data[rows], data, 2)
    # Of rows that occur often, neither of the two need be the row itself: distance 0 is right.
    other = np.where(two[:, 0] == rows, two[:, 1], two[:, 0])
    return row_distance(data[rows], data, other)


@computes_by_torch
def farthest(x: Any, k: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return k row numbers, each as far from all before it as any row is: int64 (k,).

    The first is drawn by ``seed``; of equal distances the smallest row number counts. Every row
    is within the last distance of a chosen one, so few rows stand for all. O(n k d).

    Raises ValueError for more rows than there are, or NaN.
    """
    rows = rows_of(x, "x")
    k = check_integer(k, "k", 1, len(rows))
    points = torch.from_numpy(rows - rows.mean(axis=0, dtype=rows.dtype))
    squares = points.square().sum(1)
    chosen = np.empty(k, dtype=np.int64)
    chosen[0] = np.random.default_rng(derive(check_seed(seed), "farthest")).integers(len(rows))
    gap = torch.full_like(squares, torch.inf)
    for i in range(1, k):
        stop_here()
        last = int(chosen[i - 1])
        to_last = squares + squares[last] - 2 * (points @ points[last])
        to_last[last] = 0
        torch.minimum(gap, to_last, out=gap)
        chosen[i] = int(gap.argmax())
    return chosen


def intrinsic_dimension(x: Any, *, k: int = 20, max_n: int | None = 10_000, seed: int = 0) -> float:
    """Return the dimension of the set that ``x`` lies on, by MacKay's and Ghahramani's likelihood.

    1 / d is the mean, over rows and over j < k, of log(T_k / T_j), T_j being the distance to the
    j-th nearest other row. Rows that occur twice count once. It holds at the scale of T_k, which
    fewer rows (``max_n``, chosen by ``seed``) make larger: below the noise of the data every set
    has the dimension of the noise.

    Raises ValueError for k + 1 different rows or fewer.
    """
    rows = np.unique(rows_of(x, "x"), axis=0)
    k = check_integer(k, "k", 2, 1 << 20)
    rows = np.ascontiguousarray(rows[choose(len(rows), max_n, "max_n", derive(seed, "dimension"))])
    if len(rows) < k + 2:
        raise ValueError(
            f"{len(rows)} different rows are too few for k = {k}: need {k + 2}, or a smaller k"
        )
    distance = lengths_to(rows, neighbours(rows, rows, k + 1))
    logs = np.log(np.sort(distance, axis=1)[:, 1:])  # the row itself is at 0
    return float(1 / np.mean(logs[:, -1:] - logs[:, :-1]))


def neighbours(points: NDArray[Any], data: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return the ``count`` rows of data nearest to every point, in order: int64 (n, count)."""
    centre = data.mean(axis=0, dtype=np.float64)  # |p - x|² expanded in float32 cancels less
    p = (points - centre).astype(np.float32)
    x = (data - centre).astype(np.float32)
    try:
        import faiss
    except ImportError:
        from sklearn.neighbors import NearestNeighbors
        from threadpoolctl import threadpool_limits

        search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(x)
        with threadpool_limits(1 if inherited("sklearn") else None):
            return np.asarray(search.kneighbors(p, return_distance=False), dtype=np.int64)
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    with faiss_threads(faiss, faiss.omp_get_max_threads()):
        return np.asarray(index.search(p, count)[1], dtype=np.int64)


def row_distance(
    points: NDArray[Any], data: NDArray[Any], index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return |points[i] - data[index[i]]| in float64, (n,)."""
    distance = np.empty(len(points))
    step = max(1, _CHUNK // points.shape[1])
    for start in range(0, len(points), step):
        some = slice(start, start + step)
        gap = np.subtract(points[some], data[index[some]], dtype=np.float64)
        distance[some] = np.linalg.norm(gap, axis=1)
    return distance


def lengths_to(rows: NDArray[Any], near: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return |rows[i] - rows[near[i, j]]| in float64, (n, k)."""
    columns = [row_distance(rows, rows, near[:, j]) for j in range(near.shape[1])]
    return np.stack(columns, axis=1)


def _mean_distance(u: torch.Tensor, v: torch.Tensor) -> float:
    """Return the mean of |u_i - v_j| over all pairs, float64, a block of rows at a time."""
    mode = (
        "donot_use_mm_for_euclid_dist"
        if u.shape[1] <= _DIRECT_DIMENSIONS
        else "use_mm_for_euclid_dist"
    )
    total = 0.0
    step = max(1, _CHUNK // len(v))
    for start in range(0, len(u), step):
        total += float(torch.cdist(u[start : start + step], v, compute_mode=mode).sum())
    return total / (len(u) * len(v))


def _quantile_steps(
    n: int, m: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return where the quantile functions of n and of m sorted values jump.

    Both are constant on each step: its width (they sum to 1) and the two ranks there.
    """
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m)
    widths = np.diff(ends, prepend=0) / (n * m)
    return widths, (ends - 1) // m, (ends - 1) // n


def _subsample(rows: NDArray[Any], max_n: int | None, seed: int) -> NDArray[np.float64]:
    return rows[choose(len(rows), max_n, "max_n", seed)].astype(np.float64, copy=False)


def choose(n: int, most: int | None, name: str, seed: int) -> NDArray[np.int64]:
    """Return all of n row numbers, or ``most`` of them, ascending."""
    if most is None or check_integer(most, name, 1, MAX_ROWS) >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def pair_of(
    a: Any, b: Any, names: tuple[str, str] = ("a", "b")
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both as matrices; ValueError unless they have the same number of columns."""
    first, second = rows_of(a, names[0]), rows_of(b, names[1])
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same number of columns:"
            f" {first.shape[1]} and {second.shape[1]}"
        )
    return first, second


def rows_of(value: Any, name: str) -> NDArray[Any]:
    """Return a finite matrix (n, d), float32 or float64, of an array or tensor of any rank."""
    if not is_tensor(value) and paths_in(value, name) is None:
        value = np.asarray(value)
    if getattr(value, "ndim", 2) == 1:
        value = value[:, None]
    described = describe(value, name, flatten=True)
    if getattr(described.value, "dtype", None) == np.uint8:  # images: float64 is twice the memory
        described = replace(described, dtype=np.dtype(np.float32))
    with unchanged(described):
        return np.asarray(convert(described))
