"""The graph of nearest rows: distances along the set that rows lie on, its pieces and regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.metrics.points import lengths_to, neighbours

_ROUNDS = 10  # of Lloyd's: regions hardly move afterwards


def joined(rows: NDArray[Any], k: int) -> tuple[Any, NDArray[np.int64]]:
    """Return the graph of the k nearest rows, with distances, and each row's piece.

    A sparse matrix (n, n), an edge in one direction at least: take it as undirected. Pieces are
    numbers from 0, (n,).
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    near = neighbours(rows, rows, min(k, len(rows) - 1) + 1)
    length = lengths_to(rows, near).ravel()
    here, there = np.repeat(np.arange(len(rows)), near.shape[1]), near.ravel()
    other = here != there
    # Rows that occur twice are at distance 0, which a sparse matrix takes for no edge.
    length = np.maximum(length, np.finfo(np.float32).tiny)[other]
    here, there = here[other], there[other]
    graph = coo_matrix((length, (here, there)), shape=(len(rows),) * 2).tocsr()
    return graph, np.asarray(connected_components(graph, directed=False)[1], np.int64)


def regions(graph: Any, m: int, seed: int) -> NDArray[np.int64]:
    """Cut a graph of distances into m connected regions of about equal extent: int64 (n,), from 0.

    Each row goes to the nearest of m centres, by ways through the graph; the centres start
    farthest from one another, so that every piece has one before any has two, and move to the
    middles of their regions (Lloyd). -1 where there is no way from any centre. A region may be
    empty where there are fewer rows than regions.
    """
    from scipy.sparse.csgraph import dijkstra

    centres = [int(np.random.default_rng(seed).integers(graph.shape[0]))]
    gap = dijkstra(graph, directed=False, indices=centres[0])
    while len(centres) < m:
        centres.append(int(gap.argmax()))
        gap = np.minimum(gap, dijkstra(graph, directed=False, indices=centres[-1]))
    region = _nearest(graph, centres)
    for _ in range(_ROUNDS):
        moved = [_middle(graph, np.flatnonzero(region == y), old) for y, old in enumerate(centres)]
        if moved == centres:
            break
        centres = moved
        region = _nearest(graph, centres)
    return region


def _nearest(graph: Any, centres: list[int]) -> NDArray[np.int64]:
    from scipy.sparse.csgraph import dijkstra

    far = dijkstra(graph, directed=False, indices=centres)
    return np.where(np.isfinite(far.min(axis=0)), far.argmin(axis=0), -1)


def _middle(graph: Any, rows: NDArray[np.int64], centre: int) -> int:
    """Return the row of least mean squared distance to the others by ways among them."""
    from scipy.sparse.csgraph import dijkstra

    if not len(rows):
        return centre
    far = dijkstra(graph[rows][:, rows], directed=False)
    return int(rows[np.square(far).sum(axis=1).argmin()])
