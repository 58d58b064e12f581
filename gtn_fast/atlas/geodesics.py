"""Geodesics: shortest paths on what a model draws, from chart to chart.

Algorithm 1 of Stolberg-Larsen and Sommer, *Atlas Generative Models and Geodesic Interpolation*;
with one chart it is that of Chen et al., *Fast Approximate Geodesics for Deep Generative Models*.
Encoded data are the nodes. Neighbours inside a chart are joined by a straight line, whose length
is that of its images (10); the copies of one image in two charts by a jump, whose length is the
distance of their decoded images.

An edge takes 14 decodings to measure; the distance of its ends takes none, and is never more. So
a path is searched by these distances first. The edges that it takes are measured, and it is
searched again, until all of it is measured: the same path, from few per cent of the decodings.

LatentGraph   the graph, its statistics, paths and distances
NoPath        start and end lie in different pieces
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.atlas.curves import STEPS, Path, charts_of, in_eval, pixels
from gtn_fast.atlas.edges import Lines, copies, diameter, gaps, meetings, neighbours
from gtn_fast.atlas.model import Atlas
from gtn_fast.atlas.nodes import check_eps, of_data, of_prior
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.training.seeds import derive
from gtn_fast.run.progress import progress_bar
from gtn_fast.system.openmp import computes_by_torch

_TOGETHER = 512  # edges that are measured between two looks at the progress
_NODES = ("data", "prior")


class NoPath(ValueError):
    """No way leads from the start to the end: they lie in different pieces of the graph."""


@dataclass(frozen=True, eq=False)
class LatentGraph:
    """Points of latent space and the ways between them; ``build`` makes one.

    Attributes
    ----------
    atlas : Atlas
        The model.
    z : float32 (nodes, d)
        Where each node is, in its chart; nodes are ordered by chart, then row.
    chart, row : int64 (nodes,)
        Its chart, and the image (or draw of the prior) that it belongs to.
    home : bool (nodes,)
        Whether its chart is the chart of that image.
    decoded : float32 (nodes, pixels)
        What it decodes to, in [0, 1] units.
    edges : int64 (e, 2)
        Pairs of nodes, the smaller first, none twice.
    jump : bool (e,)
        Which ones lead from chart to chart.
    k, steps : int
        Neighbours of a node; pieces of an edge when it is measured.
    """

    atlas: Atlas
    z: NDArray[np.float32]
    chart: NDArray[np.int64]
    row: NDArray[np.int64]
    home: NDArray[np.bool_]
    decoded: NDArray[np.float32]
    edges: NDArray[np.int64]
    jump: NDArray[np.bool_]
    k: int
    steps: int
    _lines: Lines = field(repr=False)  # the edges again, as far as they are measured
    _lock: Any = field(default_factory=threading.RLock, repr=False)  # a path's ends join the graph

    @classmethod
    @computes_by_torch
    def build(
        cls,
        atlas: Atlas,
        images: Any = None,
        *,
        k: int = 20,
        eps: float = 0.05,
        steps: int = STEPS,
        max_points: int = 2000,
        seed: int = 0,
        nodes: str = "data",
    ) -> LatentGraph:
        """Build the graph of an atlas from uint8 images (n, c, side, side).

        ``max_points`` of the images are taken, chosen by ``seed``. One is a node in every chart
        whose psi of it is above ``eps``, and has edges to the ``k`` nearest nodes there. With
        nodes="prior" draws of the prior take the images' place; without encoders (an InfoGAN)
        that is the only way: charts are then joined where decoded images nearly meet, by edges
        no longer than 95 % of those inside charts. Defaults as in the paper, which gives no
        ``eps``.

        Raises
        ------
        ValueError
            Images of another shape than the atlas's; eps outside [0, 1 / charts), where some
            image might have no chart; a model that gives NaN.
        TypeError
            nodes="data" for a model that has no encoders.
        """
        k = check_integer(k, "k", 1, 1 << 20)
        steps = check_integer(steps, "steps", 1, 1 << 16)
        max_points = check_integer(max_points, "max_points", 2, 1 << 20)
        seed = check_seed(seed)
        check_eps(eps, atlas.charts)
        if nodes not in _NODES:
            raise ValueError(f"nodes must be {' or '.join(_NODES)}, got {nodes!r}")
        if nodes == "data":
            found = of_data(atlas, images, eps, max_points, derive(seed, "geodesics"))
        else:
            found = of_prior(atlas, eps, max_points, derive(seed, "geodesics"))
        z, chart, row, home = found
        decoded = pixels(atlas, z, chart)
        inside, jumps = neighbours(z, chart, k), copies(row)
        least = gaps(decoded, inside)
        if not atlas.has_charts:
            jumps = meetings(atlas, decoded, chart, eps, least)
        edges = np.concatenate([inside, jumps])
        jump = np.arange(len(edges)) >= len(inside)
        weight = np.concatenate([least, gaps(decoded, jumps)])
        lines = Lines(atlas, z, chart, decoded, edges, weight, jump.copy(), steps)
        return cls(atlas, z, chart, row, home, decoded, edges, jump, k, steps, lines)

    def measure(self, progress: Any = None) -> LatentGraph:
        """Measure all edges that no path has measured yet; return the graph."""
        with self._lock:
            places = np.flatnonzero(~self._lines.known)
            with progress_bar(len(places), "geodesics", "edges", progress) as bar:
                for start in range(0, len(places), _TOGETHER):
                    some = places[start : start + _TOGETHER]
                    self._lines.measure(some)
                    bar.update(len(some))
        return self

    @property
    def weight(self) -> NDArray[np.float64]:
        """The length of each edge, float64 (e,): all are measured, if they are not yet."""
        return self.measure(progress=False)._lines.weight

    # -------------------------------------------------------------- numbers

    def stats(self) -> dict[str, Any]:
        """Return the numbers of the paper's table 1, and how many pieces the graph has.

        nodes, edges (jumps among them), jumps, diameter: the most hops between two nodes of the
        largest component, components, share_in_largest: the share of the nodes in it.
        """
        sizes = np.bincount(self.component)
        largest = np.flatnonzero(self.component == sizes.argmax())
        return {
            "nodes": len(self.z),
            "edges": len(self.edges),
            "jumps": int(self.jump.sum()),
            "diameter": diameter(self._matrix(self.jump)[largest][:, largest]),
            "components": len(sizes),
            "share_in_largest": float(sizes.max() / len(self.z)),
        }

    @cached_property
    def component(self) -> NDArray[np.int64]:
        """The number of the piece that each node lies in, from 0: int64 (nodes,)."""
        from scipy.sparse.csgraph import connected_components

        return np.asarray(
            connected_components(self._matrix(self.jump), directed=False)[1], np.int64
        )

    def distances(self, sources: Any) -> NDArray[np.float64]:
        """Return the length of the shortest path from each node of ``sources`` to all nodes.

        float64 (s, nodes), infinite where there is none; all edges are measured for it. ValueError
        for nodes that do not exist.
        """
        from scipy.sparse.csgraph import dijkstra

        wanted = np.atleast_1d(np.asarray(sources))
        if wanted.dtype.kind not in "iu" or wanted.ndim != 1:
            raise TypeError("sources must be numbers of nodes")
        for node in wanted:
            check_integer(node, "a source", 0, len(self.z) - 1)
        return np.asarray(dijkstra(self._matrix(self.weight), directed=False, indices=wanted))

    def _matrix(self, values: NDArray[Any]) -> Any:
        """Return values of the edges as a symmetric sparse matrix; zeros are explicit in it."""
        from scipy.sparse import csr_array

        # int32: not every SciPy walks a graph of int64.
        both = np.concatenate([self.edges, self.edges[:, ::-1]]).astype(np.int32)
        twice = np.concatenate([values, values])
        return csr_array((twice, (both[:, 0], both[:, 1])), shape=(len(self.z), len(self.z)))

    # -------------------------------------------------------------- paths

    def path(self, start: Any, end: Any) -> Path:
        """Return the shortest path between two points, each (z, y) or an image uint8 (c, s, s).

        z (d,), y the chart; an image is encoded in its own chart. Both are joined to the k
        nearest nodes there. A* with the distance of the decoded images as its bound, which no
        path can undercut, so that the path is the shortest. NoPath if there is none.
        """
        ends = [self._point(given, name) for given, name in ((start, "start"), (end, "end"))]
        nodes = (len(self.z), len(self.z) + 1)
        joined = self._joined(ends)
        with self._lock:
            lines = self._lines.extended(
                np.stack([z for z, _ in ends]), np.array([y for _, y in ends]), joined
            )
            self._graph.add_nodes_from(nodes)
            self._add(self._graph, joined, len(self.edges))
            try:
                return self._search(*nodes, lines)
            finally:
                self._graph.remove_nodes_from(nodes)
                self._lines.learn(lines)

    def between_rows(self, a: int, b: int) -> Path:
        """Return the shortest path between two rows of the images (or draws) it was built from.

        ValueError for a row that is none of its nodes; NoPath.
        """
        with self._lock:
            return self._search(self.node_of(a), self.node_of(b), self._lines)

    def node_of(self, row: int) -> int:
        """Return the node of a row, in the row's own chart; ValueError if it is not here."""
        row = check_integer(row, "row", 0, 2**48)
        found = np.flatnonzero(self.home & (self.row == row))
        if not len(found):
            raise ValueError(f"row {row} is not among the {self.home.sum():,} rows of this graph")
        return int(found[0])

    @cached_property
    def _graph(self) -> Any:
        import networkx

        graph = networkx.Graph()
        graph.add_nodes_from(range(len(self.z)))
        self._add(graph, self.edges, 0)
        return graph

    @staticmethod
    def _add(graph: Any, edges: NDArray[np.int64], first: int) -> None:
        """Add edges that know their places among all edges, from ``first`` on."""
        graph.add_edges_from(
            (a, b, {"place": place}) for place, (a, b) in enumerate(edges.tolist(), first)
        )

    def _point(self, given: Any, name: str) -> tuple[NDArray[np.float32], int]:
        """Return (z, y) of what ``path`` takes."""
        if isinstance(given, tuple | list) and len(given) == 2:
            z = np.asarray(given[0].cpu() if isinstance(given[0], Tensor) else given[0], np.float32)
            if z.shape != (self.atlas.d,) or not np.isfinite(z).all():
                raise ValueError(f"{name}: z must be {self.atlas.d} finite numbers, got {z.shape}")
            return z, int(charts_of(self.atlas, given[1], 1)[0])
        image = given if getattr(given, "ndim", 3) == 4 else given[None]
        checked = self.atlas.checked(image, name)
        if len(checked) != 1:
            raise ValueError(f"{name} must be one image, got {len(checked)}")
        with in_eval(self.atlas):
            chart, z = self.atlas.charted(checked)
        return z[0], int(chart[0])

    def _joined(self, ends: list[tuple[NDArray[np.float32], int]]) -> NDArray[np.int64]:
        """Return the edges of the two ends, which are the nodes n and n + 1: int64 (e, 2)."""
        edges: list[tuple[int, int]] = []
        reach = []
        for place, (z, y) in enumerate(ends):
            there = np.flatnonzero(self.chart == y)
            distance = np.linalg.norm(self.z[there].astype(np.float64) - z, axis=1)
            near = np.argsort(distance, kind="stable")[: self.k]
            edges += [(int(node), len(self.z) + place) for node in there[near]]
            reach.append(float(distance[near[-1]]) if len(near) else 0.0)
        (z0, y0), (z1, y1) = ends
        if y0 == y1 and np.linalg.norm(z0.astype(np.float64) - z1) <= max(reach):
            edges.append((len(self.z), len(self.z) + 1))
        return np.array(edges, np.int64).reshape(-1, 2)

    def _search(self, start: int, end: int, lines: Lines) -> Path:
        import networkx

        graph = self._graph
        to_end = np.column_stack([np.arange(len(lines.z)), np.full(len(lines.z), end)])
        # A little less, so that no sum of rounded steps is below it.
        bound = (gaps(lines.decoded, to_end) * (1 - 1e-12)).tolist()
        while True:
            weight = lines.weight.tolist()
            try:
                way = networkx.astar_path(
                    graph, start, end, lambda node, _: bound[node],
                    lambda _, __, edge, weight=weight: weight[edge["place"]],
                )  # fmt: skip
            except networkx.NetworkXNoPath:
                self._refuse(start, end, lines.chart)
            places = np.array([graph[a][b]["place"] for a, b in pairwise(way)], np.int64)
            if lines.known[places].all():
                break
            lines.measure(places[~lines.known[places]])
        segments, chart = lines.weight[places], lines.chart[way]
        jumps = chart[:-1] != chart[1:]
        return Path(lines.z[way], chart, float(segments.sum()), segments, jumps, self.steps)

    def _refuse(self, start: int, end: int, chart: NDArray[np.int64]) -> NoReturn:
        import networkx

        told = []
        for name, node in (("start", start), ("end", end)):
            piece = np.array(sorted(networkx.node_connected_component(self._graph, node)))
            count = int((piece < len(self.z)).sum())
            charts = ", ".join(map(str, np.unique(chart[piece])))
            told.append(f"the {name} lies in a piece of {count:,} nodes, in charts {charts}")
        raise NoPath(
            f"no path: {told[0]}, {told[1]}; where the data itself is in pieces that is the answer,"
            f" else a larger k (it is {self.k}) or a smaller eps may join them"
        )
