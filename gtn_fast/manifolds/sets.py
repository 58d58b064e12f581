"""What is known of each set: dimension, Betti numbers, the law of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.training.seeds import derive
from gtn_fast.manifolds import render
from gtn_fast.planning.memory import check_room
from gtn_fast.sample import normal
from gtn_fast.system.ending import stop_here
from gtn_fast.system.openmp import computes_by_torch

Array: TypeAlias = NDArray[np.float64]
_CHUNK = 1024  # images drawn together


@dataclass(frozen=True)
class Manifold:
    """A set of images of known shape.

    dim: of the set. columns: numbers that a picture is drawn from. channels, side: of the images.
    orientable: None for a set that is no manifold.
    betti: Betti numbers 0, 1, 2 by the characteristic of the field, 2 and 3.
    scale: root mean square distance of two independent images, values in [0, 1]; all distances
        from the set are told in it.
    moving: columns that may change a little; the others choose a piece of the set.
    """

    name: str
    dim: int
    columns: int
    channels: int
    side: int
    orientable: bool | None
    betti: Mapping[int, tuple[int, ...]]
    scale: float
    moving: tuple[int, ...] = field(repr=False)
    _formula: Callable[[Tensor], Tensor] = field(repr=False)
    _normals: int = field(repr=False)
    _law: Callable[[Array], Array] = field(repr=False)
    _retract: Callable[[Tensor], Tensor] = field(repr=False)
    _outward: Callable[[Tensor], Tensor] | None = field(repr=False, default=None)

    def parameters(self, n: int, seed: int) -> Array:
        """Return the parameters of n independent pictures, float64 (n, columns).

        Uniform on the set's natural domain; row i depends on ``seed`` and i alone. Angles are in
        [0, 2 pi), directions and quaternions have length 1.
        """
        n = check_integer(n, "n", 1, 2**31 - 1)
        key = derive(check_seed(seed), f"parameters of {self.name}")
        check_room(8 * n * (self._normals + self.columns), f"the parameters of {n:,} images")
        return self._law(normal(key, 0, n, self._normals).astype(np.float64))

    def render(self, c: Tensor) -> Tensor:
        """Return the pictures of ``c`` (n, columns): (n, channels, side, side) in [0, 1].

        Of the dtype of ``c``, differentiable. TypeError or ValueError for no such tensor.
        """
        if not isinstance(c, Tensor) or not c.is_floating_point():
            what = c.dtype if isinstance(c, Tensor) else type(c).__name__
            raise TypeError(f"parameters must be a floating-point tensor, got {what}")
        if c.ndim != 2 or c.shape[1] != self.columns:
            raise ValueError(
                f"parameters of {self.name} must have shape (n, {self.columns}),"
                f" got {tuple(c.shape)}"
            )
        return self._formula(c)

    @computes_by_torch
    def images(self, n: int, seed: int = 0) -> tuple[NDArray[np.uint8], Array]:
        """Return n independent pictures, uint8 (n, channels, side, side), and their parameters.

        Row i depends on ``seed`` and i alone.
        """
        c = self.parameters(n, seed)
        check_room(len(c) * self.pixels, f"{len(c):,} images")
        images = np.empty((len(c), self.channels, self.side, self.side), np.uint8)
        for start in range(0, len(c), _CHUNK):
            stop_here()
            some = slice(start, start + _CHUNK)
            drawn = self._formula(torch.from_numpy(c[some]))
            images[some] = drawn.mul_(255).round_().to(torch.uint8).numpy()
        return images, c

    def retract(self, c: Tensor) -> Tensor:
        """Return the parameters nearest to ``c`` that a picture of the set has, (n, columns)."""
        return self._retract(c)

    def outward(self, c: Tensor) -> Tensor | None:
        """Return the outward normals of the parameters' domain at its edge: (n, columns).

        Zero inside; None for a set without an edge.
        """
        return None if self._outward is None else self._outward(c)

    @property
    def pixels(self) -> int:
        """The number of values of an image."""
        return self.channels * self.side**2


def manifold(name: str) -> Manifold:
    """Return the set of that name; ValueError names the valid ones."""
    if name == "cyclooctane":
        raise ValueError(
            "cyclooctane has no images: gtn_fast.manifolds.linkage.Cyclooctane draws it"
        )
    if not isinstance(name, str) or name not in MANIFOLDS:
        raise ValueError(f"unknown manifold {name!r}; valid: {', '.join(MANIFOLDS)}")
    return MANIFOLDS[name]


# ------------------------------------------------------------------ laws, from normal rows


def _angles(y: Array) -> Array:
    """Two normals an angle: uniform on [0, 2 pi)."""
    turns = np.arctan2(y[:, 1::2], y[:, ::2]) % (2 * np.pi)
    return np.asarray(np.where(turns < 2 * np.pi, turns, 0.0))  # -1e-17 % 2 pi is 2 pi


def _directions(y: Array) -> Array:
    return np.asarray(y / np.linalg.norm(y, axis=1, keepdims=True))


def _in_disc(y: Array) -> Array:
    """Two coordinates of a uniform direction of R^4 are uniform in the disc."""
    return _directions(y)[:, :2]


def _angle_and_piece(y: Array) -> Array:
    return np.column_stack((_angles(y[:, :2]), y[:, 2] > 0)).astype(np.float64)


def _angle_and_offset(y: Array) -> Array:
    """One coordinate of a uniform direction of R^3 is uniform in -1 .. 1."""
    return np.column_stack((_angles(y[:, :2]), _directions(y[:, 2:])[:, :1]))


# ------------------------------------------------------------------ domains


def _turn(c: Tensor) -> Tensor:
    return c.remainder(2 * np.pi)


def _turn_first(c: Tensor) -> Tensor:
    return torch.cat((_turn(c[:, :1]), c[:, 1:]), 1)


def _to_sphere(c: Tensor) -> Tensor:
    return torch.nn.functional.normalize(c)


def _into_disc(c: Tensor) -> Tensor:
    return torch.div(c, c.norm(dim=1, keepdim=True).clamp(min=1))


def _into_band(c: Tensor) -> Tensor:
    return torch.cat((_turn(c[:, :1]), c[:, 1:].clamp(-1, 1)), 1)


_EDGE = 1 - 1e-12


def _out_of_disc(c: Tensor) -> Tensor:
    return torch.where(c.norm(dim=1, keepdim=True) >= _EDGE, c, 0.0)


def _out_of_band(c: Tensor) -> Tensor:
    side = torch.where(c[:, 1].abs() >= _EDGE, c[:, 1].sign(), 0.0)
    return torch.stack((torch.zeros_like(side), side), 1)


def _set(
    name: str,
    dim: int,
    betti: str,
    orientable: bool | None,
    scale: float,
    law: tuple[Callable[[Array], Array], int, int],
    domain: Callable[[Tensor], Tensor],
    **more: Any,
) -> Manifold:
    """Make an entry: ``betti`` mod 2 and, if it differs, mod 3; ``law`` with normals, columns."""
    numbers = [tuple(map(int, each)) for each in betti.split()]
    columns = law[2]
    formula = getattr(render, name.replace("-", "_"))
    return Manifold(
        name, dim, columns, more.pop("channels", 1), render.SIDE, orientable,
        MappingProxyType({2: numbers[0], 3: numbers[-1]}), scale,
        more.pop("moving", tuple(range(columns))), formula, law[1], law[0], domain, **more,
    )  # fmt: skip


_ANGLE, _TWO_ANGLES, _BAND = (_angles, 2, 1), (_angles, 4, 2), (_angle_and_offset, 5, 2)
_DISC, _PIECES = (_in_disc, 4, 2), (_angle_and_piece, 3, 2)
_DIRECTION, _QUATERNION = (_directions, 3, 3), (_directions, 4, 4)

# Scales: of 100,000 images each, to 4 digits.
MANIFOLDS: Mapping[str, Manifold] = MappingProxyType(
    {
        each.name: each
        for each in (
            _set("disc", 2, "100", True, 5.556, _DISC, _into_disc, _outward=_out_of_disc),
            _set("circle", 1, "110", True, 5.743, _ANGLE, _turn),
            _set("two-circles", 1, "220", True, 5.228, _PIECES, _turn_first, moving=(0,)),
            _set("figure-eight", 1, "120", None, 4.676, _ANGLE, _turn),
            _set("sphere", 2, "101", True, 5.479, _DIRECTION, _to_sphere),
            _set("torus", 2, "121", True, 7.177, _TWO_ANGLES, _turn),
            _set("moebius", 2, "110", False, 9.321, _BAND, _into_band, _outward=_out_of_band),
            _set("klein", 2, "121 110", False, 9.989, _TWO_ANGLES, _turn),
            _set("rp2", 2, "111 100", False, 3.552, _DIRECTION, _to_sphere),
            _set("so3", 3, "111 100", True, 9.491, _QUATERNION, _to_sphere, channels=3),
        )
    }
)
