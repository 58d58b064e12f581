"""The nearest picture of a set to any image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.manifolds.sets import Manifold
from gtn_fast.system.openmp import computes_by_torch
from gtn_fast.vision.tensors import batches

_CHUNK = 256  # images projected together
_DRAWN = 2048  # pictures of the table drawn together
_STEPS = 8
_STARTS = 3
_APART = 0.2  # of scale: starts nearer to each other end at the same picture
_LOST = 1e-4  # share of the variance that the search for starts may ignore
_FOR_AXES = 1500  # pictures from which the axes of the search are found


@dataclass(frozen=True)
class Projected:
    """Where images lie with regard to a set.

    distance: float64 (n,), Euclidean, of values in [0, 1]. off: the same in the set's scale.
    parameters: float64 (n, columns) of the nearest pictures; images: float32, those pictures.
    """

    distance: NDArray[np.float64]
    off: NDArray[np.float64]
    parameters: NDArray[np.float64]
    images: NDArray[np.float32]


class Projector:
    """The nearest picture of ``m`` to any image.

    Found by Levenberg-Marquardt steps on the parameters, in float64, from three starts: the
    nearest picture of a table of random ones, and the nearest two that lie apart from it and from
    each other. The best end is kept, so an answer is never worse than the table's.

    ``table``: its rows; None: 20,000, for a set of 3 dimensions 100,000.
    """

    @computes_by_torch
    def __init__(self, m: Manifold, table: int | None = None, seed: int = 0) -> None:
        if not isinstance(m, Manifold):
            raise TypeError(f"m must be a Manifold, got {type(m).__name__}")
        rows = 100_000 if m.dim > 2 else 20_000
        rows = rows if table is None else check_integer(table, "table", 10, 10**7)
        self.m = m
        self._table = torch.from_numpy(m.parameters(rows, check_seed(seed)))
        some = self._drawn(self._table[:_FOR_AXES]).double()
        self._centre = some.mean(0)
        self._axes = _main_axes(some - self._centre)
        self._short = torch.cat(
            [self._shortened(self._drawn(part)) for part in batches(self._table, _DRAWN)]
        )
        self._squares = self._short.square().sum(1)

    @property
    def table(self) -> NDArray[np.float64]:
        """The parameters of the table's pictures: float64 (rows, columns)."""
        rows: NDArray[np.float64] = self._table.numpy()
        return rows

    @computes_by_torch
    def __call__(self, images: Any) -> Projected:
        """Project images (n, channels, side, side), uint8 (0 to 255) or float in [0, 1].

        TypeError or ValueError for another dtype or shape, or for NaN (the row is named).
        """
        given = self._checked(images)
        ends, distances, nearest = [], [], []
        for part in batches(given, _CHUNK):
            x = part.flatten(1).double()
            x = x / 255 if part.dtype == torch.uint8 else x
            c, far = self._project(x)
            ends.append(c)
            distances.append(far)
            nearest.append(self.m.render(c).float())
        distance: NDArray[np.float64] = torch.cat(distances).numpy()
        off = distance / self.m.scale
        return Projected(distance, off, torch.cat(ends).numpy(), torch.cat(nearest).numpy())

    def _checked(self, images: Any) -> Tensor:
        """Return the images as a tensor on the CPU; errors as above."""
        if isinstance(images, np.ndarray):
            # torch warns about read-only memory and refuses negative strides.
            plain = images.flags.writeable and images.flags.c_contiguous
            images = torch.from_numpy(images if plain else images.copy())
        if not isinstance(images, Tensor):
            raise TypeError(f"images must be an array or tensor, got {type(images).__name__}")
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise TypeError(f"images must be uint8 or floating-point, got {images.dtype}")
        m = self.m
        wanted = (m.channels, m.side, m.side)
        if images.ndim != 4 or tuple(images.shape[1:]) != wanted or len(images) == 0:
            raise ValueError(
                f"images of {m.name} must have shape (n, {', '.join(map(str, wanted))}), n > 0,"
                f" got {tuple(images.shape)}"
            )
        found: Tensor = images.detach().cpu()
        if found.dtype != torch.uint8:
            finite = found.flatten(1).isfinite().all(1)
            if not bool(finite.all()):
                raise ValueError(f"images has NaN or infinity in row {int((~finite).nonzero()[0])}")
        return found

    def _drawn(self, c: Tensor) -> Tensor:
        return self.m.render(c.float()).flatten(1)

    def _shortened(self, x: Tensor) -> Tensor:
        centred = x - self._centre.to(x.dtype)
        short: Tensor = centred @ self._axes.to(x.dtype)
        return short.float()

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return parameters and distance of the nearest pictures to ``x`` (b, pixels) float64."""
        starts = self._starts(x)
        b = len(x)
        c, squared = self._descended(self._table[starts.flatten()], x.repeat_interleave(_STARTS, 0))
        squared = squared.view(b, _STARTS)
        best = squared.argmin(1)
        c = c.view(b, _STARTS, -1)[torch.arange(b), best]
        return c, squared.gather(1, best[:, None])[:, 0].sqrt()

    def _starts(self, x: Tensor) -> Tensor:
        """Return rows of the table, nearest first and apart from each other: (b, _STARTS)."""
        from_x = self._distances(self._shortened(x))
        rows = [from_x.argmin(1)]
        for _ in range(_STARTS - 1):
            around = self._distances(self._short[rows[-1]])
            from_x[around < (_APART * self.m.scale) ** 2] = torch.inf
            rows.append(from_x.argmin(1))
        return torch.stack(rows, 1)

    def _distances(self, short: Tensor) -> Tensor:
        """Return squared distances to the table, up to rounding: (b, rows)."""
        products = torch.addmm(self._squares, short, self._short.T, alpha=-2)
        products += short.square().sum(1, keepdim=True)
        return products

    def _descended(self, c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return where Levenberg-Marquardt steps from ``c`` lead, and the squared distance to x."""
        gap = self.m.render(c).flatten(1) - x
        squared = gap.square().sum(1)
        damping = torch.full_like(squared, 1e-3)
        for _ in range(_STEPS):
            slopes = self._slopes(c)
            downhill = -(slopes.mT @ gap[:, :, None])[:, :, 0]
            slopes, downhill = self._along_the_edge(c, slopes, downhill)
            normal = slopes.mT @ slopes
            size = normal.diagonal(dim1=1, dim2=2).sum(1).clamp(min=1e-30)
            normal.diagonal(dim1=1, dim2=2).add_((damping * size)[:, None])
            step = torch.linalg.solve(normal, downhill)
            moved = c.clone()
            moved[:, list(self.m.moving)] += step
            moved = self.m.retract(moved)
            new_gap = self.m.render(moved).flatten(1) - x
            new_squared = new_gap.square().sum(1)
            better = new_squared < squared
            c = torch.where(better[:, None], moved, c)
            gap = torch.where(better[:, None], new_gap, gap)
            squared = torch.where(better, new_squared, squared)
            damping = torch.where(better, damping / 10, damping * 10).clamp(1e-12, 1e6)
        return c, squared

    def _slopes(self, c: Tensor) -> Tensor:
        """Return the derivatives by the moving columns: (b, pixels, moving)."""
        columns = []
        for column in self.m.moving:
            direction = torch.zeros_like(c)
            direction[:, column] = 1
            columns.append(torch.func.jvp(self.m.render, (c,), (direction,))[1].flatten(1))
        return torch.stack(columns, 2)

    def _along_the_edge(self, c: Tensor, slopes: Tensor, downhill: Tensor) -> tuple[Tensor, Tensor]:
        """Take out the outward direction where downhill leads out of the parameters' domain."""
        outward = self.m.outward(c)
        if outward is None:
            return slopes, downhill
        out = outward[:, list(self.m.moving)]
        pull = (downhill * out).sum(1, keepdim=True)
        out = torch.where(pull > 0, out, 0.0)
        slopes = slopes - (slopes @ out[:, :, None]) * out[:, None, :]
        return slopes, downhill - (downhill * out).sum(1, keepdim=True) * out


def _main_axes(x: Tensor) -> Tensor:
    """Return the axes (pixels, k) that hold all but _LOST of the variance of centred rows."""
    few = len(x) < x.shape[1]  # the eigenvalues of x x' are those of x' x
    values, vectors = torch.linalg.eigh(x @ x.T if few else x.T @ x)
    held = values.flip(0).clamp(min=0).cumsum(0)
    k = int((held < (1 - _LOST) * held[-1]).sum()) + 1
    axes: Tensor = vectors.flip(1)[:, :k]
    if few:
        axes = x.T @ axes
        axes = axes / axes.norm(dim=0)
    return axes.contiguous()
