"""Which generator fits data: one GTN, clusters, or an atlas of charts.

A normal source has one piece, without loops or hollows. Data of another shape must be torn, or are
left, by a generator with one latent space. ``topology`` looks for that shape.

Pieces are those of a graph that joins each row to its nearest 10 (on a curve 20). Loops and hollows
are bars of the complex of ``landmarks``, with the lengths of shortest ways in that graph: straight
distances hide them where images that differ much are all about equally far from each other. A bar
counts if it lasts through a window of distances, in units of how closely the landmarks cover the
data; below it every sample has loops by chance.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.training.seeds import derive
from gtn_fast.metrics.graph import joined
from gtn_fast.metrics.homology import Bars, Window, bars_of_distances, landmarks
from gtn_fast.metrics.points import (
    choose,
    farthest,
    intrinsic_dimension,
    nearest,
    rows_of,
)
from gtn_fast.system.ending import stop_here

LEAST_ROWS = 500
# Nearest rows that each is joined to. On a curve with 10 of them a loop of 4,000 random points
# breaks in one of four cases; in more dimensions nothing breaks, and more of them cut corners.
_JOINED = {1: 20, 2: 10, 3: 10}
_PIECE = 0.01  # of the rows: smaller pieces are lone rows
_COVERED = 0.98  # of the rows lie within one unit of a landmark
# Where a bar must last, in that unit: from where those by chance have ended, to where true ones of
# the known sets have not. By dimension; from three on the landmarks lie so thin that less is left.
_WINDOWS = {1: (3.8, 6.0), 2: (3.8, 4.6), 3: (2.75, 3.1)}
# Rows for each landmark, at least. On a curve the widest gap of the rows is many times the usual
# one, and must not be wide beside the landmarks.
_ROWS_EACH = {1: 20, 2: 6, 3: 6}
_SCALES = (500, 1000, 2000, 4000)  # rows at which the dimension is estimated
_CELLS = (2, 3, 4, 6, 8, 12, 16, 24, 32)  # tried as charts
_IN_A_CELL = 100  # landmarks, at most
_LEAST_CELL = 150  # rows, in which a loop could be seen
_FEWEST_CHARTS = 4
_AGREED = 0.8  # of the repeats


@dataclass(frozen=True)
class Topology:
    """What ``topology`` found.

    rows, columns: of the data. dimension: intrinsic; dimensions: estimates by the number of rows
        they were made from. betti: for fields 2 and 3, pieces, loops and hollows, the most frequent
        of the repeats; shares: of the repeats that show just these, each number by itself.
    visible: whether loops and hollows of the data's own size could have been seen.
    kind: "one", "clusters" or "atlas"; charts, d: what to ask for; advice: in words.
    diagrams: the bars mod 2 of each repeat, in units of how closely its landmarks cover the data;
        window: of these units, in which a loop or a hollow must be there throughout.
    """

    rows: int
    columns: int
    dimension: float
    dimensions: dict[int, float]
    betti: dict[int, tuple[int, ...]]
    shares: dict[int, tuple[float, ...]]
    visible: bool
    kind: str
    charts: int
    d: int
    advice: str
    diagrams: tuple[Bars, ...] = dataclasses.field(default=(), repr=False, compare=False)
    window: Window = dataclasses.field(default=(0.0, 0.0), repr=False, compare=False)


def topology(
    points: Any, *, n: int = 300, repeats: int = 5, max_n: int = 8_000, seed: int = 0
) -> Topology:
    """Look at the shape of data, and say which generator fits it.

    points: images or latents, as ``label`` takes X. Every repeat takes another half of at most
    ``max_n`` rows, and n landmarks of it.

    Raises
    ------
    ValueError
        Fewer than 500 rows, fewer than ten a landmark and repeat, NaN, n that costs too much.
    ImportError
        GUDHI is not there; the message names the extra.
    """
    rows = rows_of(points, "points")
    n = check_integer(n, "n", 20, 500)
    repeats = check_integer(repeats, "repeats", 1, 100)
    max_n = check_integer(max_n, "max_n", LEAST_ROWS, 1 << 20)
    check_seed(seed)
    if len(rows) < LEAST_ROWS:
        raise ValueError(f"{len(rows)} rows are too few to see a shape: need {LEAST_ROWS}")
    total, rows = len(rows), rows[choose(len(rows), max_n, "max_n", derive(seed, "topology"))]
    dimensions = _dimensions(rows, seed)
    dimension = _settled(dimensions)
    known = _known(dimension)
    looks = []
    for i in range(repeats):
        stop_here()
        half = rows[choose(len(rows), (len(rows) + 1) // 2, "half", derive(seed, f"half {i}"))]
        looks.append(_look(half, n, known, derive(seed, f"look {i}")))
    betti, shares = {}, {}
    for field in (2, 3):
        every = [look.ranks[field] for look in looks]
        betti[field] = tuple(
            Counter(each).most_common(1)[0][0] for each in zip(*every, strict=True)
        )
        shares[field] = tuple(
            sum(each == betti[field][k] for each in numbers) / repeats
            for k, numbers in enumerate(zip(*every, strict=True))
        )
    found: dict[str, Any] = {
        "dimension": dimension,
        "betti": betti,
        "shares": shares,
        "visible": sum(look.visible for look in looks) > repeats / 2,
    }
    advice = _advice(rows, found, seed)
    found["diagrams"], found["window"] = tuple(look.bars for look in looks), _WINDOWS[known]
    return Topology(total, rows.shape[1], dimensions=dimensions, **found, **advice)


@dataclass(frozen=True)
class _Look:
    ranks: dict[int, tuple[int, ...]]
    visible: bool
    bars: Bars  # of the first field, in units


def _known(dimension: float) -> int:
    """Return the dimension whose constants serve: from 1 to 3."""
    return min(max(round(dimension), 1), 3)


def _look(
    rows: NDArray[Any], n: int, known: int, seed: int, fields: tuple[int, ...] = (2, 3)
) -> _Look:
    """Return what at most n landmarks of the rows show."""
    from scipy.sparse.csgraph import dijkstra

    low, high = _WINDOWS[known]
    n = min(n, len(rows) // _ROWS_EACH[known])
    graph, piece = joined(rows, _JOINED[known])
    sizes = np.bincount(piece)
    large = np.flatnonzero(sizes >= _PIECE * len(rows))
    within = np.flatnonzero(np.isin(piece, large))
    chosen = within[landmarks(rows[within], min(n, len(within) - 1), drop=0.02, seed=seed)]
    far = dijkstra(graph, directed=False, indices=chosen)
    gaps = far.min(axis=0)[within]
    unit = float(np.quantile(gaps[np.isfinite(gaps)], _COVERED))
    between = far[:, chosen]
    between = np.minimum(between, between.T)
    ranks, every = {}, []
    reached = True
    for field in fields:
        found = bars_of_distances(between, high * unit, 2, field)
        every.append(found)
        reached = reached and found.threshold >= high * unit
        # Pieces are those of the graph: landmarks far from each other may lie in one.
        ranks[field] = (len(large), *found.ranks(low * unit, high * unit)[1:])
    first = Bars(tuple(each / unit for each in every[0].of), every[0].threshold / unit)
    return _Look(ranks, reached, first)


def _dimensions(rows: NDArray[Any], seed: int) -> dict[int, float]:
    """Return the intrinsic dimension, as seen by so many rows."""
    return {
        size: intrinsic_dimension(rows, max_n=size, seed=seed)
        for size in _SCALES
        if size <= max(len(rows), LEAST_ROWS)
    }


def _settled(dimensions: dict[int, float]) -> float:
    """Return what the estimates, by numbers of rows, say together.

    Few rows reach around the bends of a set, and see more dimensions; many see its noise. Where the
    estimates fall all the way, the bends' share falls with the squared distance of neighbours, as
    rows ** (-2 / d), and the last two lead to its end. Elsewhere it is the mean of the two
    successive estimates that differ least.
    """
    estimates = list(dimensions.values())
    if len(estimates) == 1:
        return estimates[0]
    pairs = list(pairwise(estimates))
    if all(b < a for a, b in pairs):
        (fewer, before), (more, last) = list(dimensions.items())[-2:]
        growth = float((more / fewer) ** (2 / last))
        return max(1.0, last - (before - last) / (growth - 1))
    return float(np.mean(min(pairs, key=lambda pair: abs(np.log(pair[1] / pair[0])))))


def _fewest_charts(rows: NDArray[Any], known: int, seed: int) -> int | None:
    """Return the least number of cells that are each one piece without loops or hollows.

    Cells of farthest points, in each piece of the data by itself. None where cells grow too small
    to tell.
    """
    piece = joined(rows, _JOINED[known])[1]
    sizes = np.bincount(piece)
    fewest = 0
    for i in np.flatnonzero(sizes >= _PIECE * len(rows)):
        cells = _fewest_cells(rows[piece == i], known, seed)
        if cells is None:
            return None
        fewest += cells
    return fewest


def _fewest_cells(rows: NDArray[Any], known: int, seed: int) -> int | None:
    for m in _CELLS:
        if len(rows) < m * _LEAST_CELL:
            return None
        cell = nearest(rows, rows[farthest(rows, m, seed=seed)])[1]
        if np.bincount(cell, minlength=m).min() < _LEAST_CELL:
            return None
        looks = (_look(rows[cell == i], _IN_A_CELL, known, seed, (2,)) for i in range(m))
        if all(look.ranks[2] == (1, 0, 0) for look in looks):
            return m
    return None


def _advice(rows: NDArray[Any], found: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return kind, charts, d and the words of the advice."""
    pieces, loops, hollows = found["betti"][2]
    agreed = min(found["shares"][2])
    d = max(1, round(found["dimension"]))
    bare = " without loops or hollows" if found["visible"] else ""
    text = []
    if loops or hollows:
        fewest = _fewest_charts(rows, _known(d), derive(seed, "cells"))
        charts = max(_FEWEST_CHARTS * pieces, 2 * (fewest or _CELLS[-1] // 2))
        kind = "atlas"
        text.append(
            f"an atlas with {charts} charts of dimension {d}: the data have"
            f" {_shape(pieces, loops, hollows)}, which a normal source has not"
        )
        if fewest:
            text.append(f"{fewest} is the fewest of which each was seen to be without these")
    elif pieces > 1:
        kind, charts = "clusters", pieces
        text.append(
            f"a GTN with {pieces} components (clusters), d = {d}:"
            f" the data have {pieces} pieces{bare}"
        )
    else:
        kind, charts = "one", 1
        text.append(f"one GTN, d = {d}: the data are one piece{bare}")
    if not found["visible"]:
        text.append(
            "loops and hollows could not have been seen: the landmarks lie too far apart in"
            f" {found['dimension']:.1f} dimensions"
        )
    elif agreed < _AGREED:
        text.append(f"uncertain: only {agreed:.0%} of the looks at half of the rows show this")
    return {"kind": kind, "charts": charts, "d": d, "advice": "; ".join(text)}


def _shape(pieces: int, loops: int, hollows: int) -> str:
    named = [(pieces, "piece"), (loops, "loop"), (hollows, "hollow")]
    words = [f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in named if number]
    return " and ".join([", ".join(words[:-1]), words[-1]])
