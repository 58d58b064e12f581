"""Persistent Betti numbers of samples: pieces, loops and hollows, by Vietoris-Rips complexes.

Farthest points stand for a sample; two of them are joined at their distance. A bar of dimension k
is a loop (k = 1) or a hollow (2) with the distances at which it appears and is filled.

bars               the bars of a few points
landmarks          the few points that stand for many
window             distances between which true samples show the known numbers
persistent_betti   what a sample shows there
cost               what a complex takes, before it is built

GUDHI is an extra: pip install 'gtn-fast[topology]'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.metrics.points import farthest, neighbours, row_distance, rows_of
from gtn_fast.packages import load_package
from gtn_fast.planning.memory import size_text

Array: TypeAlias = NDArray[np.float64]
Window: TypeAlias = tuple[float, float]

MOST_SECONDS = 60.0  # that a complex may take, by prediction
MOST_BYTES = 4e9
_MOST_POINTS = 1000  # of one complex
_PRIMES = (2, 3, 5, 7, 11, 13)
_LONELY = 10  # the neighbour whose distance says that a row lies apart from the others
_A_FEW_SECONDS = 5.0  # where no threshold is asked for
_SMALLER = 0.9  # the next threshold where one costs too much
_EDGES = 8192  # at which simplices are counted, at most
# Per simplex of the highest dimension, after edges were collapsed: the most that one thread took in
# complexes of the sets of gtn_fast.manifolds and of normal samples, d = 5 to 20.
_SECONDS = {0: 1e-7, 1: 5e-8, 2: 5e-8}
_BYTES = {0: 100.0, 1: 50.0, 2: 4.0}


@dataclass(frozen=True)
class Cost:
    """What a complex takes.

    simplices: of the highest dimension, after edges were collapsed, counted at some of the edges.
    """

    points: int
    dimension: int
    threshold: float
    simplices: int
    seconds: float
    bytes: float

    def check(self) -> None:
        """Raise ValueError, with the cost, for what would end in no time or no memory."""
        if self.seconds <= MOST_SECONDS and self.bytes <= MOST_BYTES:
            return
        raise ValueError(
            f"the complex of {self.points} points up to dimension {self.dimension} and distance"
            f" {self.threshold:.3g} has {self.simplices:,} simplices: about {self.seconds:,.0f} s"
            f" and {size_text(self.bytes)}, more than {MOST_SECONDS:.0f} s or"
            f" {size_text(MOST_BYTES)}; take fewer points, a smaller distance or dimension 1"
        )


@dataclass(frozen=True)
class Bars:
    """The bars of a complex.

    of: for each dimension float64 (b, 2), the distances at which a class appears and is filled;
        infinity: not up to ``threshold``, where the complex ends.
    """

    of: tuple[Array, ...]
    threshold: float

    def ranks(self, low: float, high: float) -> tuple[int, ...]:
        """Return how many bars of each dimension are there through all of low .. high."""
        return tuple(int(((b[:, 0] <= low) & (b[:, 1] > high)).sum()) for b in self.of)


def bars(
    points: Any, *, threshold: float | None = None, dimension: int = 2, field: int = 2
) -> Bars:
    """Return the bars of dimensions 0 .. ``dimension`` of the Vietoris-Rips complex of ``points``.

    points: (n, d), n <= 1,000; ``landmarks`` chooses such from many. threshold: the largest
    distance at which points are joined; None: where the complex becomes a cone, or as far as a few
    seconds go. field: a prime.

    Raises
    ------
    ValueError
        NaN, too many points, no such prime; a threshold whose complex would take more than a
        minute or 4 GB, by prediction: the message has the cost.
    ImportError
        GUDHI is not there; the message names the extra.
    """
    rows = rows_of(points, "points")
    if len(rows) > _MOST_POINTS:
        raise ValueError(
            f"{len(rows):,} points are too many for a complex, {_MOST_POINTS:,} are the most;"
            " landmarks() chooses few that stand for many"
        )
    return bars_of_distances(distances_of(rows), threshold, dimension, field)


def bars_of_distances(
    distances: Array, threshold: float | None = None, dimension: int = 2, field: int = 2
) -> Bars:
    """Do as ``bars`` for a matrix of distances (n, n), Euclidean or not; infinity: never joined."""
    dimension = check_integer(dimension, "dimension", 0, 2)
    if field not in _PRIMES:
        raise ValueError(f"field must be one of {', '.join(map(str, _PRIMES))}, got {field!r}")
    top = float(distances.max(axis=1).min())  # from here on the complex is a cone
    if not np.isfinite(top):
        top = float(distances[np.isfinite(distances)].max())
    if threshold is None:
        graph, expected = _affordable(distances, top, dimension)
    else:
        graph, expected = _collapsed(distances, min(top, float(threshold)), dimension)
        expected.check()
    rips = _gudhi("gudhi.sklearn.rips_persistence").RipsPersistence(
        list(range(dimension + 1)),
        input_type="distance coo_matrix",
        num_collapses=0,
        homology_coeff_field=field,
    )
    found = rips.fit_transform([graph])[0]
    return Bars(
        tuple(np.asarray(each, np.float64).reshape(-1, 2) for each in found), expected.threshold
    )


def distances_of(points: Any) -> Array:
    """Return Euclidean distances of all pairs, float64 (n, n)."""
    from scipy.spatial.distance import pdist, squareform

    return np.asarray(squareform(pdist(rows_of(points, "points").astype(np.float64))))


def cost(points: Any, threshold: float, *, dimension: int = 2) -> Cost:
    """Return what ``bars`` would take; GUDHI must be there, for it collapses the edges."""
    dimension = check_integer(dimension, "dimension", 0, 2)
    return _collapsed(distances_of(points), float(threshold), dimension)[1]


def landmarks(points: Any, n: int = 300, *, drop: float = 0.02, seed: int = 0) -> NDArray[np.int64]:
    """Return n row numbers that stand for all: farthest points of what does not lie apart.

    Left out first is the share ``drop`` of the rows that lie apart most: whose 10-th neighbour is
    far in comparison with the 10-th neighbours of the rows around. Farthest points would be just
    these. (Compared with all rows, a region that is thin but true would go, and leave a hole.)
    Raises ValueError for fewer rows than n.
    """
    rows = rows_of(points, "points")
    n = check_integer(n, "n", 3, 1 << 20)
    if not 0 <= drop < 1:
        raise ValueError(f"drop must be a share from 0 to below 1, got {drop}")
    kept = np.arange(len(rows))
    lonely = int(drop * len(rows))
    if lonely:
        kept = np.sort(np.argsort(_apartness(rows), kind="stable")[:-lonely])
    if len(kept) < n:
        apart = f" without the {lonely} that lie apart" if lonely else ""
        raise ValueError(
            f"{len(rows)} rows{apart} are too few for n = {n}; need more rows or a smaller n="
        )
    return np.asarray(kept[farthest(rows[kept], n, seed=seed)])


def _apartness(rows: NDArray[Any]) -> Array:
    """Return the distance of each row's 10-th neighbour in that of the rows around it: (n,)."""
    near = neighbours(rows, rows, min(_LONELY, len(rows) - 1) + 1)
    tenth = row_distance(rows, rows, near[:, -1])
    around = np.median(tenth[near], axis=1)
    return np.divide(tenth, around, out=np.ones_like(tenth), where=around > 0)


def persistent_betti(
    points: Any,
    window: Window,
    *,
    dimension: int = 2,
    field: int = 2,
    n: int = 300,
    drop: float = 0.02,
    seed: int = 0,
) -> tuple[int, ...]:
    """Return the numbers of pieces, loops and hollows that are there through all of ``window``.

    The rank of the map from the homology at distance window[0] to that at window[1], of the complex
    of n ``landmarks``. Errors as for ``landmarks`` and ``bars``.
    """
    low, high = (float(each) for each in window)
    if not 0 <= low < high < np.inf:
        raise ValueError(f"window must be distances low < high, got {low:.3g} and {high:.3g}")
    rows = rows_of(points, "points")
    chosen = rows[landmarks(rows, n, drop=drop, seed=seed)]
    return bars(chosen, threshold=high, dimension=dimension, field=field).ranks(low, high)


def window(
    samples: Sequence[Any],
    betti: Sequence[int],
    *,
    field: int = 2,
    n: int = 300,
    drop: float = 0.02,
    seed: int = 0,
) -> Window:
    """Return the longest window in which each of the true ``samples`` shows the numbers ``betti``.

    Shrunk by a third below and a tenth above: a loop or hollow appears where the widest gap between
    landmarks is closed, which varies from sample to sample; it is filled at the size of the set,
    which hardly does. Where a sample of as many rows does not show the numbers in the window, the
    sample differs from the true ones. Raises ValueError if there is no window: n is too small.
    """
    every = []
    for sample in samples:
        rows = rows_of(sample, "a sample")
        chosen = rows[landmarks(rows, n, drop=drop, seed=seed)]
        every.append(bars(chosen, dimension=len(betti) - 1, field=field))
    found = longest_window(every, betti)
    if found is None:
        shown = ", ".join(map(str, betti))
        raise ValueError(f"n = {n} is too small: no distances at which all samples show {shown}")
    return found


def longest_window(every: Sequence[Bars], betti: Sequence[int]) -> Window | None:
    """Return what ``window`` does, of bars; None if there is no window."""
    wanted = tuple(betti)
    best: Window | None = None
    for low in np.unique(np.concatenate([b[:, 0] for found in every for b in found.of])):
        high = min(_last_right(found, float(low), wanted) for found in every)
        length = high - float(low)
        shrunk = float(low) + length / 3, high - length / 10
        longer = shrunk[1] - shrunk[0] > (best[1] - best[0] if best else 0.0)
        if longer and all(found.ranks(*shrunk) == wanted for found in every):
            best = shrunk
    return best


def _last_right(found: Bars, low: float, wanted: Sequence[int]) -> float:
    """Return the distance at which one of the wanted bars that are there at ``low`` ends."""
    high = found.threshold
    for b, number in zip(found.of, wanted, strict=True):
        ends = np.sort(b[b[:, 0] <= low, 1])[::-1]
        if len(ends) < number:
            return 0.0
        if number:
            high = min(high, float(ends[number - 1]))
    return high


def _affordable(distances: Array, top: float, dimension: int) -> tuple[Any, Cost]:
    """Return the graph of the largest threshold, at most ``top``, that a few seconds take."""
    threshold = top
    while True:
        graph, expected = _collapsed(distances, threshold, dimension)
        if expected.seconds <= _A_FEW_SECONDS and expected.bytes <= MOST_BYTES:
            return graph, expected
        threshold *= _SMALLER


def _collapsed(distances: Array, threshold: float, dimension: int) -> tuple[Any, Cost]:
    """Return the graph with distances up to the threshold, edges collapsed, and what it costs."""
    from scipy.sparse import coo_matrix

    n = len(distances)
    i, j = np.nonzero(np.triu(distances <= threshold, 1))
    graph = coo_matrix((distances[i, j], (i, j)), shape=(n, n))
    if dimension > 0 and len(i):
        graph = _gudhi("gudhi.flag_filtration.edge_collapse").reduce_graph(graph, 1)
    simplices = _cliques(graph, dimension)
    return graph, Cost(
        n, dimension, threshold, simplices, simplices * _SECONDS[dimension],
        simplices * _BYTES[dimension],
    )  # fmt: skip


def _cliques(graph: Any, dimension: int) -> int:
    """Return the number of simplices of dimension + 1: edges, triangles or tetrahedra."""
    if dimension == 0:
        return int(graph.nnz)
    if graph.nnz == 0:
        return 0
    joined = np.zeros(graph.shape, np.float32)
    joined[graph.row, graph.col] = joined[graph.col, graph.row] = 1
    some = slice(None, None, -(-graph.nnz // _EDGES))  # of many edges, every second or third
    both = joined[graph.row[some]] * joined[graph.col[some]]  # neighbours of both ends
    if dimension == 1:
        found = float(both.sum(dtype=np.float64)) / 3
    else:
        found = float(((both @ joined) * both).sum(dtype=np.float64)) / 12
    return round(found * int(graph.nnz) / len(both))


def _gudhi(module: str) -> ModuleType:
    return load_package(
        module, "gudhi", "persistent homology needs it: pip install 'gtn-fast[topology]'"
    )
