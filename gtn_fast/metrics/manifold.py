"""How far generated images are from a set of known shape, and how much of it they cover.

``images`` are what ``Projector`` takes, or what it gave: projecting is most of the work, so
project once where several numbers of one sample are wanted.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.training.seeds import derive
from gtn_fast.manifolds import Manifold, Projected, Projector
from gtn_fast.metrics.homology import Window, window
from gtn_fast.metrics.points import farthest, nearest, neighbours, row_distance

OFF = 0.1  # of the set's scale: farther away an image is off the set
_TRUE = 20_000  # true images that say what is due, and that geodesics run through
_FOR_CELLS = 2_000
_HALF = 0.5  # of what is due to it: a cell is reached
_JOINED = 20  # true images that each is joined to, for geodesics: of 10, ways zigzag by 4 %
_DRAWN = 2_048  # pictures drawn together


def off_manifold(m: Manifold, images: Any, projector: Projector | None = None) -> dict[str, Any]:
    """Return how far ``images`` are from the set, in its scale.

    dict of off float64 (n,), its median and p95, and share_off, the share farther than 0.1.
    """
    off = _projected(m, images, projector).off
    return {
        "off": off,
        "median": float(np.median(off)),
        "p95": float(np.quantile(off, 0.95)),
        "share_off": float((off > OFF).mean()),
    }


def cell_coverage(
    m: Manifold,
    images: Any,
    cells: int = 100,
    *,
    projector: Projector | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return how evenly ``images``, projected, lie over the set.

    The cells are those of farthest points of true images; what is due to each is its share of
    20,000 true images. tv: half the sum of the differences of shares, 0 for a perfect sample and
    about 0.09 for 2,000 true images over 100 cells. reached: share of the cells with at least half
    their due.
    """
    cells = check_integer(cells, "cells", 2, _FOR_CELLS)
    check_seed(seed)
    where = _projected(m, images, projector)
    true = m.images(_FOR_CELLS, derive(seed, "centres of cells"))[0]
    centres = true[farthest(true, cells, seed=seed)].astype(np.float32) / 255
    due = _shares(_pictures(m, m.parameters(_TRUE, derive(seed, "due to cells"))), centres)
    found = _shares(where.images.reshape(len(where.images), -1), centres)
    return {
        "tv": float(np.abs(found - due).sum() / 2),
        "reached": float((found >= _HALF * due).mean()),
    }


def path_errors(m: Manifold, paths: Any, projector: Projector | None = None) -> dict[str, Any]:
    """Return how far paths of images leave the set, and how long they are.

    paths: (p, steps, channels, side, side), uint8 or float in [0, 1], two steps at least.

    Returns
    -------
    dict
        worst, mean: float64 (p,), of the distances of a path's images from the set, in its scale;
        share_off: share of the paths whose worst is more than 0.1; length: (p,), sum of the
        distances of successive images, in scale; geodesic: (p,), the shortest way between the
        projected ends through 20,000 true images, infinite where there is none; ratio: median of
        length / geodesic over paths that have both, NaN if none has. A true geodesic of the torus
        in 20 steps has 0.99.
    """
    array = paths if isinstance(paths, torch.Tensor) else torch.as_tensor(np.asarray(paths))
    if array.ndim != 5 or len(array) == 0 or array.shape[1] < 2:
        raise ValueError(
            "paths must have shape (p, steps, channels, side, side), p > 0, steps > 1,"
            f" got {tuple(array.shape)}"
        )
    projector = projector or Projector(m)
    p, steps = array.shape[:2]
    where = _projected(m, array.flatten(0, 1), projector)
    off = where.off.reshape(p, steps)
    unit = array.flatten(2).double() / (255 if array.dtype == torch.uint8 else 1)
    length = (unit[:, 1:] - unit[:, :-1]).norm(dim=2).sum(1).numpy() / m.scale
    ends = where.images.reshape(p, steps, -1)[:, [0, -1]]
    geodesic = _geodesics(m, projector, ends[:, 0], ends[:, 1]) / m.scale
    fit = np.isfinite(geodesic) & (geodesic > 0)
    return {
        "worst": off.max(axis=1),
        "mean": off.mean(axis=1),
        "share_off": float((off.max(axis=1) > OFF).mean()),
        "length": length,
        "geodesic": geodesic,
        "ratio": float(np.median(length[fit] / geodesic[fit])) if fit.any() else float("nan"),
    }


def true_window(
    m: Manifold, *, rows: int = 2_000, field: int = 2, n: int = 300, seed: int = 0
) -> Window:
    """Return ``homology.window`` of three true samples of so many rows; errors as there."""
    samples = [m.images(rows, derive(check_seed(seed), f"window {i}"))[0] for i in range(3)]
    return window(
        [each.reshape(rows, -1).astype(np.float32) / 255 for each in samples],
        m.betti[3 if field == 3 else 2],
        field=field,
        n=n,
        seed=seed,
    )


def _projected(m: Manifold, images: Any, projector: Projector | None) -> Projected:
    if isinstance(images, Projected):
        return images
    projector = projector or Projector(m)
    if projector.m is not m:
        raise ValueError(f"projector is of {projector.m.name}, not of {m.name}")
    return projector(images)


def _pictures(m: Manifold, c: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the pictures of parameters as rows, float32 (n, pixels)."""
    rows = np.empty((len(c), m.pixels), np.float32)
    for start in range(0, len(c), _DRAWN):
        some = slice(start, start + _DRAWN)
        rows[some] = m.render(torch.from_numpy(c[some]).float()).flatten(1).numpy()
    return rows


def _shares(rows: NDArray[Any], centres: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of the rows in the cell of each centre."""
    cell = nearest(rows, centres.reshape(len(centres), -1))[1]
    return np.bincount(cell, minlength=len(centres)) / len(rows)


# Of each projector: which true images are near each other costs more than all the rest.
_WAYS: WeakKeyDictionary[Projector, _Ways] = WeakKeyDictionary()


class _Ways:
    """True images, and edges from each to its nearest others: pairs of rows and their lengths."""

    def __init__(self, m: Manifold, projector: Projector) -> None:
        self.true = _pictures(m, projector.table[:_TRUE])
        self.edges = _edges(self.true, self.true, _JOINED + 1)


def _edges(
    rows: NDArray[Any], true: NDArray[Any], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the length of every edge from a row to its k nearest of ``true``; and its ends."""
    near = neighbours(rows, true, k)
    weight = np.stack([row_distance(rows, true, near[:, c]) for c in range(k)], axis=1)
    return weight.ravel(), np.repeat(np.arange(len(rows)), k), near.ravel()


def _geodesics(
    m: Manifold, projector: Projector, starts: NDArray[Any], ends: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the lengths of shortest ways through true images between pictures of the set."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    if projector not in _WAYS:
        _WAYS[projector] = _Ways(m, projector)
    ways = _WAYS[projector]
    first, p = len(ways.true), len(starts)
    asked = np.concatenate((starts, ends)).astype(np.float32)
    weight, here, there = _edges(asked, ways.true, _JOINED)
    weight, here, there = (
        np.concatenate(pair) for pair in zip(ways.edges, (weight, here + first, there), strict=True)
    )
    other = here != there
    weight, here, there = weight[other], here[other], there[other]
    graph = coo_matrix((weight, (here, there)), shape=(first + 2 * p,) * 2).tocsr()
    far = dijkstra(graph, directed=False, indices=np.arange(first, first + p))
    return np.asarray(far[np.arange(p), first + p + np.arange(p)])
