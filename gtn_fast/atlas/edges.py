"""Edges of a LatentGraph: neighbours inside a chart, copies of one image, meetings of charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.atlas.curves import in_eval, lengths, pixels
from gtn_fast.atlas.model import Atlas
from gtn_fast.system.ending import stop_here
from gtn_fast.vision.tensors import batches

_BATCH = 4096  # edges whose ends are compared together
_WORDS = 16  # of 64 starts each, that a diameter's flood goes out from together
_FAR = 0.95  # quantile of the distances inside charts, above which no jump is made


@dataclass(eq=False)
class Lines:
    """Edges whose lengths become known as they are asked for.

    ``weight`` (e,) is the length of an edge where ``known``, else the distance of its decoded ends,
    which is never more. The rest is as in ``LatentGraph``.
    """

    atlas: Atlas
    z: NDArray[np.float32]
    chart: NDArray[np.int64]
    decoded: NDArray[np.float32]
    edges: NDArray[np.int64]
    weight: NDArray[np.float64]
    known: NDArray[np.bool_]
    steps: int

    def measure(self, places: NDArray[np.int64]) -> None:
        """Measure the edges at these places."""
        first, second = self.edges[places].T
        self.weight[places] = lengths(
            self.atlas, self.z[first], self.z[second], self.chart[first],
            self.decoded[first], self.decoded[second], steps=self.steps,
        )  # fmt: skip
        self.known[places] = True

    def extended(
        self, z: NDArray[np.float32], chart: NDArray[np.int64], edges: NDArray[np.int64]
    ) -> Lines:
        """Return a copy with more nodes, (n, d) in ``chart`` (n,), and more edges."""
        all_z, all_charts = np.concatenate([self.z, z]), np.concatenate([self.chart, chart])
        decoded = np.concatenate([self.decoded, pixels(self.atlas, z, chart)])
        return Lines(
            self.atlas, all_z, all_charts, decoded, np.concatenate([self.edges, edges]),
            np.concatenate([self.weight, gaps(decoded, edges)]),
            np.concatenate([self.known, np.zeros(len(edges), bool)]), self.steps,
        )  # fmt: skip

    def learn(self, longer: Lines) -> None:
        """Take over what an extended copy knows of the edges here."""
        self.weight[:], self.known[:] = (
            each[: len(self.edges)] for each in (longer.weight, longer.known)
        )


def neighbours(z: NDArray[np.float32], chart: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Join each node with its k nearest of its chart: int64 (e, 2), ascending, none twice."""
    from sklearn.neighbors import NearestNeighbors

    edges = [np.empty((0, 2), np.int64)]
    for y in np.unique(chart):
        there = np.flatnonzero(chart == y)
        count = min(k, len(there) - 1)
        if count:
            search = NearestNeighbors(n_neighbors=count, algorithm="kd_tree").fit(z[there])
            # Without points of its own a query leaves out each point itself, not its doubles.
            near = there[search.kneighbors(return_distance=False)]
            pairs = np.stack([np.repeat(there, count), near.reshape(-1)], axis=1)
            edges.append(np.unique(np.sort(pairs, axis=1), axis=0))
    return np.concatenate(edges)


def copies(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join the nodes of one row in different charts, each pair of them: int64 (e, 2)."""
    order = np.argsort(row, kind="stable")
    ends = np.flatnonzero(np.diff(row[order])) + 1
    pairs = [np.empty((0, 2), np.int64)]
    for nodes in np.split(order, ends):
        if len(nodes) > 1:
            first, second = np.triu_indices(len(nodes), 1)
            pairs.append(np.sort(np.stack([nodes[first], nodes[second]], axis=1), axis=1))
    return np.concatenate(pairs)


def gaps(decoded: NDArray[np.float32], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distance of the decoded ends of each edge, in float64."""
    found = np.empty(len(edges))
    for start in range(0, len(edges), _BATCH):
        part = edges[start : start + _BATCH]
        first, second = (torch.from_numpy(decoded[part[:, c]]).double() for c in (0, 1))
        found[start : start + _BATCH] = torch.linalg.vector_norm(first - second, dim=1).numpy()
    return found


@torch.no_grad()
def meetings(
    atlas: Atlas,
    decoded: NDArray[np.float32],
    chart: NDArray[np.int64],
    eps: float,
    inside: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Join charts without encoders: a node with psi_j above eps and its nearest of chart j.

    That one must lie in the first one's chart, too, by its psi; and the two be near: no farther
    than the ends of 95 % of the edges ``inside`` charts.
    """
    where, shape = atlas.weights.device, (-1, atlas.channels, atlas.side, atlas.side)
    with in_eval(atlas):
        psi = torch.cat([atlas.psi(x.reshape(shape).to(where) * 2 - 1)
                         for x in batches(torch.from_numpy(decoded), _BATCH)]).cpu()  # fmt: skip
    in_too = (psi > eps).numpy()
    pairs = [np.empty((0, 2), np.int64)]
    for i, j in np.argwhere(~np.eye(atlas.charts, dtype=bool)):
        here = np.flatnonzero((chart == i) & in_too[:, j])
        there = np.flatnonzero((chart == j) & in_too[:, i])
        if len(here) and len(there):
            gap = torch.cdist(torch.from_numpy(decoded[here]), torch.from_numpy(decoded[there]))
            pairs.append(np.sort(np.stack([here, there[gap.argmin(dim=1)]], axis=1), axis=1))
    edges = np.unique(np.concatenate(pairs), axis=0)
    length = gaps(decoded, edges)
    near = length <= (np.quantile(inside, _FAR) if len(inside) else 0.0)
    joined: NDArray[np.int64] = edges[near]
    return joined


def diameter(matrix: Any) -> int:
    """Return the most hops between two nodes of a connected graph.

    A flood from 64 starts at once in the bits of a word; as many rounds as the diameter.
    """
    n, most = matrix.shape[0], 0
    for first in range(0, n if n > 1 else 0, 64 * _WORDS):
        place = np.arange(min(n - first, 64 * _WORDS))
        reached = np.zeros((n, _WORDS), np.uint64)
        reached[first + place, place // 64] = np.uint64(1) << (place % 64).astype(np.uint64)
        everywhere = np.bitwise_or.reduce(reached, axis=0)
        hops = 0
        while not (reached == everywhere).all():
            stop_here()
            reached |= np.bitwise_or.reduceat(reached[matrix.indices], matrix.indptr[:-1], axis=0)
            hops += 1
        most = max(most, hops)
    return most
