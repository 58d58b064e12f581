"""What an atlas knows of the data it was trained on, without a word about it.

    nerve, nerve_betti   which charts meet: holes of the data, by the nerve theorem
    orientation          whether all charts can be turned the same way round
    chart_use            how many images each chart has, and how surely

The nerve is right where charts and their intersections have no holes of their own (Korman,
*Autoencoding Topology*): a circle needs three charts, a sphere four, a torus or a Klein bottle a
dozen. The test of orientation is the first Stiefel-Whitney class (as in Paluzo-Hidalgo and Ike,
2026): intersections of several pieces are taken apart, or a Möbius band would look orientable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.atlas.curves import in_eval, jacobian
from gtn_fast.atlas.families import check_number
from gtn_fast.atlas.model import Atlas
from gtn_fast.atlas.nodes import check_eps
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.metrics.graph import joined
from gtn_fast.packages import load_package
from gtn_fast.system.openmp import computes_by_torch
from gtn_fast.vision.tensors import batches, to_unit

Simplex = tuple[int, ...]

_BATCH = 512  # images that are encoded together
_MOST_CHARTS = 64
_TOP = 3  # dimension of the largest simplices: what Betti numbers up to 2 need
_SURE = 0.9  # share of images that must agree on which way round a chart lies
_NEIGHBOURS = 10  # of an image, among all, from which the pieces of a chart are made


# ------------------------------------------------------------------ use


@dataclass(frozen=True, eq=False)
class ChartUse:
    """``use`` (m,): share of the images of each chart; ``confidence`` (n,): the largest psi.

    ``overlap``: share of the images that lie in more than one chart.
    """

    use: NDArray[np.float64]
    confidence: NDArray[np.float64]
    overlap: float


def chart_use(atlas: Atlas, images: Any, eps: float = 0.05) -> ChartUse:
    """Say how an atlas shares out uint8 images (n, c, side, side) among its charts (figure 2)."""
    eps = check_eps(eps, atlas.charts)
    weights = psi_of(atlas, images)
    use = np.bincount(weights.argmax(axis=1), minlength=atlas.charts) / len(weights)
    overlap = float(((weights > eps).sum(axis=1) > 1).mean())
    return ChartUse(use, weights.max(axis=1).astype(np.float64), overlap)


@computes_by_torch
@torch.no_grad()
def psi_of(atlas: Atlas, images: Any) -> NDArray[np.float32]:
    """Return psi of uint8 images (n, c, side, side): float32 (n, charts)."""
    checked, where = atlas.checked(images), atlas.weights.device
    with in_eval(atlas):
        parts = [atlas.psi(to_unit(x.to(where))).float().cpu() for x in batches(checked, _BATCH)]
    weights: NDArray[np.float32] = torch.cat(parts).numpy()
    if weights.shape[1] != atlas.charts or not np.isfinite(weights).all():
        raise ValueError(f"psi must give {atlas.charts} finite weights for each image")
    return weights


def members_of(atlas: Atlas, images: Any, eps: float = 0.05) -> NDArray[np.bool_]:
    """Return which charts each of uint8 images lies in, psi above eps: bool (n, charts)."""
    eps = check_eps(eps, atlas.charts)
    return np.asarray(psi_of(atlas, images) > eps)


# ------------------------------------------------------------------ nerve


def nerve(members: Any, min_count: int = 5) -> list[Simplex]:
    """Return the nerve of charts: each set of up to four that share ``min_count`` rows.

    ``members``: bool (n, m), which charts each row lies in. Ascending tuples, the small ones
    first; every part of a simplex is one, too. ValueError for more than 64 charts.
    """
    rows = np.asarray(members)
    if rows.ndim != 2 or rows.dtype != np.bool_:
        raise TypeError(f"members must be bool (n, charts), got {rows.dtype} {rows.shape}")
    if rows.shape[1] > _MOST_CHARTS:
        raise ValueError(f"a nerve takes up to {_MOST_CHARTS} charts, got {rows.shape[1]}")
    min_count = check_integer(min_count, "min_count", 1, 2**48)
    every = {(y,): rows[:, y] for y in range(rows.shape[1])}
    shared: dict[Simplex, Any] = {y: of for y, of in every.items() if of.sum() >= min_count}
    found = list(shared)
    for _ in range(_TOP):
        larger: dict[Simplex, Any] = {}
        for simplex, of in shared.items():
            for y in range(simplex[-1] + 1, rows.shape[1]):
                both = of & rows[:, y]
                if both.sum() >= min_count:
                    larger[(*simplex, y)] = both
        shared = larger
        found += list(shared)
    return found


def nerve_betti(simplices: Iterable[Sequence[int]], field: int = 2) -> tuple[int, int, int]:
    """Return the Betti numbers 0, 1 and 2 of a complex over the field of ``field`` elements.

    ``simplices``: as ``nerve`` returns them; parts that are missing are added. ImportError without
    gudhi (the extra ``topology``); ValueError unless ``field`` is a prime.
    """
    field = check_integer(field, "field", 2, 46_337)
    if any(field % p == 0 for p in range(2, int(field**0.5) + 1)):
        raise ValueError(f"field must be a prime, got {field}")
    gudhi = load_package("gudhi", "gudhi", "pip install 'gtn-fast[topology]'")
    tree = gudhi.SimplexTree()
    for simplex in simplices:
        tree.insert(list(map(int, simplex)))
    tree.compute_persistence(homology_coeff_field=field, min_persistence=-1,
                             persistence_dim_max=True)  # fmt: skip
    found = [int(each) for each in tree.betti_numbers()[:_TOP]]
    first, second, third = found + [0] * (_TOP - len(found))
    return first, second, third


# ------------------------------------------------------------------ orientation


@dataclass(frozen=True, eq=False)
class Orientation:
    """Whether charts can be turned the same way round.

    Attributes
    ----------
    orientable : bool or None
        None: too many images in the overlaps disagree with their neighbours to say.
    purity : float
        Share of the images in overlaps that agree with most of their piece.
    overlaps : int
        How many pieces the overlaps of two charts have.
    """

    orientable: bool | None
    purity: float
    overlaps: int


@computes_by_torch
def orientation(atlas: Atlas, images: Any, eps: float = 0.3, min_count: int = 5) -> Orientation:
    """Ask whether what an atlas describes is orientable.

    The transition from chart i to chart j, F_j of G_i, keeps or changes the sense of rotation:
    the sign of the determinant of its Jacobian, at each of uint8 ``images`` (n, c, side, side)
    in both. Charts and their overlaps are taken apart into pieces, connected by neighbours
    among the images; a piece of fewer than ``min_count`` images counts for nothing. It is not
    orientable if some way round from piece to piece changes the sense.

    An image is in a chart if its psi is above ``eps``, from 0 to below 1/2. Trained charts have
    the right slope where psi is sure: eight models of seven sets of known shape were all right
    with 0.3, seven with 0.2; with 0.05 four of the seven that were asked. TypeError for a model
    without encoders.
    """
    if not atlas.has_charts:
        raise TypeError("this model has no encoders (charts F_y), so it has no transitions")
    min_count = check_integer(min_count, "min_count", 1, 2**48)
    eps = check_number("eps", eps)
    if eps >= 0.5:
        raise ValueError(f"eps must be below 1/2, where no two charts meet, got {eps}")
    checked = atlas.checked(images)
    inside = psi_of(atlas, checked) > eps
    if len(checked) < 2:
        raise ValueError("one image has no neighbours: give more")
    near, _ = joined(checked.flatten(1).float().cpu().numpy(), _NEIGHBOURS)
    pieces = np.stack([_pieces(near, inside[:, y]) for y in range(atlas.charts)], axis=1)
    sides = _Sides()
    agreed = total = sure = overlaps = 0
    contradicted = False
    for i, j in combinations(range(atlas.charts), 2):
        both = inside[:, i] & inside[:, j]
        of = _pieces(near, both)
        signs = np.zeros(len(of))
        if both.any():
            signs[both] = _signs(atlas, checked[torch.from_numpy(np.flatnonzero(both))], i, j)
        for piece in range(of.max() + 1):
            rows = np.flatnonzero(of == piece)
            if len(rows) < min_count:
                continue
            same = int((signs[rows] > 0).sum())
            most = max(same, len(rows) - same)
            overlaps, agreed, total = overlaps + 1, agreed + most, total + len(rows)
            if most < _SURE * len(rows):
                continue
            sure += len(rows)
            ends = [(y, int(pieces[rows[0], y])) for y in (i, j)]
            contradicted |= not sides.join(ends[0], ends[1], turned=2 * same < len(rows))
    purity = agreed / total if total else 1.0
    orientable = None if sure < _SURE * total else not contradicted
    return Orientation(orientable, purity, overlaps)


class _Sides:
    """Pieces of charts, and whether they lie the same way round: union-find with parity."""

    def __init__(self) -> None:
        self._parent: dict[Any, tuple[Any, bool]] = {}

    def _root(self, piece: Any) -> tuple[Any, bool]:
        turned = False
        while piece in self._parent:
            piece, more = self._parent[piece]
            turned ^= more
        return piece, turned

    def join(self, a: Any, b: Any, *, turned: bool) -> bool:
        """Note how b lies to a; False if that contradicts what is known."""
        (first, of_first), (second, of_second) = self._root(a), self._root(b)
        needed = of_first ^ of_second ^ turned
        if first == second:
            return not needed
        self._parent[second] = (first, needed)
        return True


def _pieces(near: Any, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the connected piece of each row that is inside, from 0; -1 for the others: (n,)."""
    from scipy.sparse.csgraph import connected_components

    rows = np.flatnonzero(inside)
    found = np.full(len(inside), -1, np.int64)
    if len(rows):
        found[rows] = connected_components(near[rows][:, rows], directed=False)[1]
    return found


@torch.no_grad()
def _signs(atlas: Atlas, images: Tensor, i: int, j: int) -> NDArray[np.float64]:
    """Return the sign of the determinant of the transition's Jacobian at each image: (n,)."""
    where = atlas.weights.device
    signs = []
    with in_eval(atlas):
        for batch in batches(images, _BATCH):
            x = to_unit(batch.to(where))
            first, second = (torch.full((len(x),), y, device=where) for y in (i, j))
            z = atlas.encode(x, first)
            slope = jacobian(lambda z, a=first, b=second: atlas.encode(atlas.decode(z, a), b), z)
            signs.append(torch.linalg.det(slope.double().cpu()).sign())
    found: NDArray[np.float64] = torch.cat(signs).numpy()
    return found
