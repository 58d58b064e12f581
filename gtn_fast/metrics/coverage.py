"""Is what is generated real, and is all that is real generated: by balls around the points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.training.seeds import derive
from gtn_fast.metrics.points import choose, pair_of
from gtn_fast.system.ending import stop_here
from gtn_fast.system.openmp import computes_by_torch

_CHUNK = 1 << 22  # distances in memory together
_SLACK = (
    1e-12  # of the largest squared norm: a point on the edge of a ball is in it, rounded or not
)


@computes_by_torch
def prdc(
    real: Any, generated: Any, *, k: int = 5, max_n: int | None = 10_000, seed: int = 0
) -> dict[str, float]:
    """Return precision, recall, density and coverage of a sample.

    The ball of a point reaches to its k-th nearest other point of the same sample. precision:
    share of the generated in some ball of the real; recall: the same with the sides swapped;
    density: mean number, divided by k, of balls of the real that hold a generated point (1 for
    two samples of one distribution, more than 1 where the generated crowd together); coverage:
    share of the balls of the real that hold a generated point. (Kynkaanniemi et al. 2019, Naeem
    et al. 2020.) Of more than ``max_n`` rows that many are taken, chosen by ``seed``.

    Raises ValueError for k rows or fewer, different numbers of columns, NaN.
    """
    first, second = pair_of(real, generated, ("real", "generated"))
    k = check_integer(k, "k", 1, 1 << 20)
    check_seed(seed)
    first = first[choose(len(first), max_n, "max_n", derive(seed, "prdc, real"))]
    second = second[choose(len(second), max_n, "max_n", derive(seed, "prdc, generated"))]
    for name, rows in (("real", first), ("generated", second)):
        if len(rows) <= k:
            raise ValueError(f"{len(rows)} {name} rows are too few for k = {k}: need {k + 1}")
    centre = first.mean(axis=0, dtype=np.float64)  # products of centred values cancel less
    r, g = torch.from_numpy(first - centre), torch.from_numpy(second - centre)
    around_r, around_g = _radii(r, k), _radii(g, k)
    held = torch.zeros(len(g))  # by so many balls of the real
    covered = torch.zeros(len(r), dtype=torch.bool)
    recalled = torch.zeros(len(r), dtype=torch.bool)
    step = max(1, _CHUNK // len(g))
    for start in range(0, len(r), step):
        stop_here()
        some = slice(start, start + step)
        squared = _squared(r[some], g)
        inside = squared <= around_r[some, None]
        held += inside.sum(0)
        covered[some] = inside.any(1)
        recalled[some] = (squared <= around_g).any(1)
    return {
        "precision": float((held > 0).double().mean()),
        "recall": float(recalled.double().mean()),
        "density": float(held.double().mean()) / k,
        "coverage": float(covered.double().mean()),
    }


def _radii(points: Tensor, k: int) -> Tensor:
    """Return the squared distance of each point to its k-th nearest other, with slack: (n,)."""
    radii = []
    step = max(1, _CHUNK // len(points))
    for start in range(0, len(points), step):
        stop_here()
        squared = _squared(points[start : start + step], points)
        rows = torch.arange(len(squared))
        squared[rows, start + rows] = torch.inf
        radii.append(squared.kthvalue(k, dim=1).values)
    return torch.cat(radii) + _SLACK * points.square().sum(1).max()


def _squared(u: Tensor, v: Tensor) -> Tensor:
    squared = torch.addmm(u.square().sum(1, keepdim=True), u, v.T, alpha=-2)
    squared += v.square().sum(1)
    return squared.clamp_(min=0)
