"""The shapes of cyclooctane, a ring of eight atoms: points of R^24 that satisfy 16 equations.

All bonds are 1 long, all angles 115 degrees. The set is a sphere and a Klein bottle that meet
in two circles (Martin, Thompson, Coutsias, Watson 2010), so it is no manifold, and no formula draws
it. Points are found by Gauss-Newton steps of least length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.training.seeds import derive
from gtn_fast.metrics.points import farthest, rows_of
from gtn_fast.sample import normal
from gtn_fast.system.openmp import computes_by_torch
from gtn_fast.vision.tensors import batches

Array: TypeAlias = NDArray[np.float64]

ATOMS = 8
_OPPOSITE = 2 - 2 * math.cos(math.radians(115))  # squared distance of an atom and the next but one
_STEPS = 60
_SOLVED = 1e-9
_CHUNK = 2048
_DRAWN = 4  # starts for each point that is kept


@dataclass(frozen=True)
class Cyclooctane:
    """The set of all shapes of cyclooctane.

    betti: mod 2. scale: root mean square distance of two points.
    """

    name: str = "cyclooctane"
    dim: int = 2
    columns: int = 3 * ATOMS
    orientable: bool | None = None
    betti: Mapping[int, tuple[int, ...]] = field(
        default_factory=lambda: MappingProxyType({2: (1, 1, 2)})
    )
    scale: float = 2.963

    @computes_by_torch
    def points(self, n: int, seed: int = 0) -> Array:
        """Return n points spread over the set, float64 (n, 24): x, y, z of eight atoms.

        The farthest points of four times as many solutions. The centre of the atoms is at 0; the
        first three atoms say how the ring is turned.
        """
        n = check_integer(n, "n", 1, 10**6)
        starts = normal(derive(check_seed(seed), self.name), 0, _DRAWN * n + 10, 3 * ATOMS)
        solved, failed = _solved(torch.from_numpy(starts.astype(np.float64)))
        found = _turned(solved[~failed]).flatten(1).numpy()
        return np.asarray(found[np.sort(farthest(found, n, seed=seed))])

    @computes_by_torch
    def project(self, points: Any) -> tuple[Array, Array]:
        """Return how far points (n, 24) are from the set, and the points of it that steps lead to.

        Near the set the nearest ones, to second order. Infinite where no solution is found.
        """
        rows = rows_of(points, "points")
        if rows.shape[1] != self.columns:
            raise ValueError(f"points must have {self.columns} columns, got {rows.shape[1]}")
        x = torch.from_numpy(rows.astype(np.float64))
        ends, failed = _solved(x)
        distance = (ends - x).norm(dim=1)
        distance[failed] = torch.inf
        return distance.numpy(), ends.numpy()


def _solved(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return where Gauss-Newton steps from ``x`` (n, 24) lead, and where they fail: bool (n,)."""
    parts = []
    for part in batches(x, _CHUNK):
        for _ in range(_STEPS):
            value, slope = _equations(part)
            if bool((value.abs() < _SOLVED / 10).all()):
                break
            part = part - _least_step(value, slope)
        parts.append(part)
    ends = torch.cat(parts)
    return ends, ~(_equations(ends)[0].abs().amax(1) < _SOLVED)


def _equations(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 16 values that are 0 on the set, (n, 16), and their slopes (n, 16, 24)."""
    atoms = x.view(-1, ATOMS, 3)
    values, slopes = [], []
    for gap, squared in ((1, 1.0), (2, _OPPOSITE)):
        bond = atoms - atoms.roll(-gap, 1)
        values.append(bond.square().sum(2) - squared)
        slope = x.new_zeros(len(x), ATOMS, ATOMS, 3)
        here = torch.arange(ATOMS)
        slope[:, here, here] = 2 * bond
        slope[:, here, (here + gap) % ATOMS] = -2 * bond
        slopes.append(slope.flatten(2))
    return torch.cat(values, 1), torch.cat(slopes, 1)


def _least_step(value: Tensor, slope: Tensor) -> Tensor:
    """Return J' (J J')^-1 c, where J J' is nearly singular a little shorter."""
    square = slope @ slope.mT
    size = square.diagonal(dim1=1, dim2=2).mean(1)[:, None]
    square.diagonal(dim1=1, dim2=2).add_(1e-10 * size)
    solved: Tensor = torch.linalg.solve(square, value)
    return torch.bmm(slope.mT, solved[:, :, None])[:, :, 0]


def _turned(x: Tensor) -> Tensor:
    """Return solutions (n, 8, 3), turned alike by their first three atoms, centred.

    These atoms always form the same triangle, so equal shapes become equal points and near shapes
    near points, everywhere.
    """
    atoms = x.view(-1, ATOMS, 3)
    first = torch.nn.functional.normalize(atoms[:, 0] - atoms[:, 1])
    third = atoms[:, 2] - atoms[:, 1]
    second = torch.nn.functional.normalize(third - (third * first).sum(1, keepdim=True) * first)
    frame = torch.stack((first, second, torch.linalg.cross(first, second)), 2)
    turned: Tensor = (atoms - atoms.mean(1, keepdim=True)) @ frame
    return turned
