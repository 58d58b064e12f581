"""The pictures of the sets: smooth formulas of their parameters, in any float dtype.

Each function takes parameters (n, columns) and gives (n, channels, SIDE, SIDE) in [0, 1]. Places
are pixels from the centre of the picture: x to the right, y downwards, -15.5 to 15.5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SIDE = 32
_FADE = 12.0  # where a picture without a bound fades, pixels from the centre
_WRAP = (SIDE / (2 * math.pi * 3)) ** 2  # of the torus: a blob as wide as a Gaussian of 3 pixels
_PERIOD = 16.0  # of a grating


def disc(c: Tensor) -> Tensor:
    """Draw a blob at ``c`` (n, 2) in the unit disc, which is 9 pixels wide here."""
    return _blob(9 * c, 2.5)


def circle(c: Tensor) -> Tensor:
    """Draw a blob that goes round: ``c`` (n, 1) are angles."""
    return _blob(9 * _direction(c[:, 0]), 2.5)


def two_circles(c: Tensor) -> Tensor:
    """Draw a blob (k = 0) or a ring (k = 1) that goes round: ``c`` (n, 2) are (angle, k)."""
    place = 9 * _direction(c[:, 0])
    ring = _blob(place, 3.0) - 0.9 * _blob(place, 1.5)
    k = c[:, 1, None, None, None]
    return (1 - k) * _blob(place, 2.5) + k * ring


def figure_eight(c: Tensor) -> Tensor:
    """Draw a blob on a lemniscate, which crosses itself at pi / 2 and 3 pi / 2."""
    cosine, sine = _direction(c[:, 0]).unbind(1)
    return _blob(10.8 * torch.stack((cosine, sine * cosine), 1), 2.0)


def sphere(c: Tensor) -> Tensor:
    """Draw a ball that is large where it is near: ``c`` (n, 3), any length, are directions."""
    e = c / c.norm(dim=1, keepdim=True)
    return _blob(9 * e[:, :2], 2.2 * (e[:, 2] / 2).exp())


def torus(c: Tensor) -> Tensor:
    """Draw a blob that leaves on one side and comes in on the other: ``c`` (n, 2) are angles."""
    turn = _axis(c) * (2 * math.pi / SIDE)
    across, down = (((turn - a[:, None]).cos() - 1).mul(_WRAP).exp() for a in c.unbind(1))
    return (down[:, :, None] * across[:, None, :])[:, None]


def moebius(c: Tensor) -> Tensor:
    """Draw a stripe: ``c`` (n, 2) are (angle of its normal, offset in -1 .. 1)."""
    offset = _along(c[:, 0]) - 8 * c[:, 1, None, None]
    return ((-offset.square() / 8).exp() * _window(c))[:, None]


def klein(c: Tensor) -> Tensor:
    """Draw a grating: ``c`` (n, 2) are (direction, phase)."""
    wave = (_along(c[:, 0]) * (2 * math.pi / _PERIOD) + c[:, 1, None, None]).cos()
    return ((0.5 + 0.5 * wave) * _window(c))[:, None]


def rp2(c: Tensor) -> Tensor:
    """Draw a dumb-bell, two balls opposite each other: ``c`` (n, 3), any length, are axes."""
    return 0.5 * (sphere(c) + sphere(-c))


def so3(c: Tensor) -> Tensor:
    """Draw where a rotation takes three axes, one ball a channel: ``c`` (n, 4) quaternions."""
    w, x, y, z = (c / c.norm(dim=1, keepdim=True)).unbind(1)
    columns = (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.cat([sphere(torch.stack(column, 1)) for column in columns], 1)


def _blob(place: Tensor, width: float | Tensor) -> Tensor:
    """Return Gaussians of that width (n,) at ``place`` (n, 2), each 1 in its middle."""
    if isinstance(width, Tensor):
        width = width[:, None]
    axis = _axis(place)
    # A product of one for each axis: 64 exponentials a picture and not 1024.
    across, down = ((-((axis - q[:, None]) / width).square() / 2).exp() for q in place.unbind(1))
    return (down[:, :, None] * across[:, None, :])[:, None]


def _direction(angle: Tensor) -> Tensor:
    return torch.stack((angle.cos(), angle.sin()), 1)


def _along(angle: Tensor) -> Tensor:
    """Return p . n(angle) for every pixel p: (n, SIDE, SIDE)."""
    axis = _axis(angle)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return cosine * axis + sine * axis[:, None]


def _window(like: Tensor) -> Tensor:
    axis = _axis(like).square()
    return (-(axis + axis[:, None]).square() / (2 * _FADE**4)).exp()


def _axis(like: Tensor) -> Tensor:
    return torch.arange(SIDE, dtype=like.dtype, device=like.device) - (SIDE - 1) / 2
