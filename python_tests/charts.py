"""Atlases that are exact, by formula: what a trained one would be at its best.

A point of R^D is an image of D channels and one pixel, so that distances of images are distances
in R^D (halved: images are measured in [0, 1]).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from gtn_fast.atlas.model import Atlas

BLOB, RADIUS = 2.5, 9.0  # of the bright spot on the circle, in pixels


def as_images(points):
    """Points of R^D, coordinates in [-1, 1], as uint8 images (n, D, 1, 1)."""
    rounded = np.round((np.asarray(points) + 1) * 127.5)
    return np.clip(rounded, 0, 255).astype(np.uint8)[:, :, None, None]


def wrapped(angle):
    """Angles in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def arc_weight(delta, reach):
    """A smooth bump on the circle: positive where |delta| < reach."""
    return (torch.cos(delta) - math.cos(reach)).clamp_min(0) ** 2


class Exact(Atlas):
    """Definition 1, from three formulas on points (b, D): embed, locate and weight."""

    semi = False

    def __init__(self, d, charts, channels, side=1):
        super().__init__(d, charts, channels, side, has_charts=not self.semi)

    def points(self, x):
        return x.reshape(len(x), -1)

    def shown(self, points):
        return points[:, :, None, None]

    def psi(self, x):
        weight = self.weight(self.points(x))
        return weight / weight.sum(dim=1, keepdim=True)

    def encode(self, x, y):
        return self.locate(self.points(x), y)

    def decode(self, z, y):
        return self.shown(self.embed(z, y))

    def prior(self, u, y):
        return 2 * torch.special.ndtr(u) - 1


class Arcs(Exact):
    """A circle in the plane by m arcs; z is the angle from the middle of the arc."""

    def __init__(self, m=4, reach=None):
        super().__init__(1, m, 2)
        self.reach = reach or 1.45 * math.pi / m
        self.middle = torch.arange(m) * (2 * math.pi / m)

    def embed(self, z, y):
        t = z[:, 0] + self.middle[y]
        return torch.stack([torch.cos(t), torch.sin(t)], dim=1)

    def angle(self, p):
        return torch.atan2(p[:, 1], p[:, 0])

    def locate(self, p, y):
        return wrapped(self.angle(p) - self.middle[y])[:, None]

    def weight(self, p):
        return arc_weight(wrapped(self.angle(p)[:, None] - self.middle), self.reach)


class Spots(Arcs):
    """The same circle as pictures of 32 x 32 pixels: a bright spot that goes round."""

    def __init__(self, m=2, reach=0.6 * math.pi):
        super().__init__(m, reach)
        self.channels, self.side = 1, 32
        axis = torch.arange(32) - 15.5
        self.v, self.u = torch.meshgrid(axis, axis, indexing="ij")

    def shown(self, points):
        gap = [each - RADIUS * points[:, c, None, None] for c, each in enumerate((self.u, self.v))]
        return 2 * torch.exp(-(gap[0] ** 2 + gap[1] ** 2) / (2 * BLOB**2))[:, None] - 1

    def points(self, x):
        bright = (x + 1)[:, 0]
        return torch.stack([(bright * each).sum(dim=(1, 2)) for each in (self.u, self.v)], dim=1)


class TwoCircles(Arcs):
    """Two circles apart from each other, two arcs on each: R^3, the third says which circle."""

    def __init__(self):
        super().__init__(4)
        self.channels = 3
        self.middle = torch.tensor([0, math.pi, 0, math.pi])
        self.circle = torch.tensor([-0.8, -0.8, 0.8, 0.8])
        self.reach = 0.6 * math.pi

    def embed(self, z, y):
        return torch.cat([super().embed(z, y), self.circle[y][:, None]], dim=1)

    def weight(self, p):
        return super().weight(p) * (p[:, 2:].sign() == self.circle.sign())


class Sphere(Exact):
    """The unit sphere by stereographic projection from the south pole and from the north pole."""

    def __init__(self, reach=0.3):
        super().__init__(2, 2, 3)
        self.reach = reach
        self.pole = torch.tensor([1.0, -1.0])

    def embed(self, z, y):
        square = (z**2).sum(dim=1, keepdim=True)
        height = (1 - square) / (1 + square) * self.pole[y][:, None]
        return torch.cat([2 * z / (1 + square), height], dim=1)

    def locate(self, p, y):
        unit = p / p.norm(dim=1, keepdim=True)
        return unit[:, :2] / (1 + unit[:, 2:] * self.pole[y][:, None])

    def weight(self, p):
        return (p[:, 2:] / p.norm(dim=1, keepdim=True) * self.pole + self.reach).clamp_min(0) ** 2


class Caps(Exact):
    """The unit sphere by six caps around the axes; z are the two other coordinates."""

    def __init__(self, reach=0.45):
        super().__init__(2, 6, 3)
        self.reach = reach
        self.axis = torch.tensor([0, 1, 2, 0, 1, 2])
        self.sign = torch.tensor([1.0, 1, 1, -1, -1, -1])
        self.others = torch.tensor([[1, 2], [2, 0], [0, 1]])

    def embed(self, z, y):
        height = (1 - (z**2).sum(dim=1, keepdim=True)).clamp_min(1e-12).sqrt()
        p = torch.zeros(len(z), 3, dtype=z.dtype)
        p = p.scatter(1, self.axis[y][:, None], height * self.sign[y][:, None])
        return p.scatter(1, self.others[self.axis[y]], z)

    def locate(self, p, y):
        unit = p / p.norm(dim=1, keepdim=True)
        return unit.gather(1, self.others[self.axis[y]])

    def weight(self, p):
        unit = p / p.norm(dim=1, keepdim=True)
        return (unit[:, self.axis] * self.sign - self.reach).clamp_min(0) ** 2


class Twisted(Exact):
    """A band or a tube round a circle, in arcs of it: Möbius, Klein bottle, or without a twist.

    ``tube``: charts are also arcs of the tube's angle f, else they have its width r.
    """

    def __init__(self, *, twist, tube, m=4):
        self.twist, self.tube, self.arcs = twist, tube, m
        super().__init__(2, m * m if tube else m, 2 + 2 + tube)
        y = torch.arange(self.charts)
        self.middle = (y % m) * (2 * math.pi / m)
        self.height = (y // m) * (2 * math.pi / m)
        self.reach = 1.45 * math.pi / m

    def turned(self, t):
        """The plane in which the width lies at angle t: it has made half a turn after one round."""
        half = t / 2 if self.twist else torch.zeros_like(t)
        return torch.stack([torch.cos(half), torch.sin(half)], dim=1)

    def embed(self, z, y):
        t = z[:, 0] + self.middle[y]
        width, rest = z[:, 1:], []
        if self.tube:
            f = z[:, 1:] + self.height[y][:, None]
            width, rest = torch.sin(f), [torch.cos(f)]
        round_ = torch.stack([torch.cos(t), torch.sin(t)], dim=1)
        return torch.cat([round_, width * self.turned(t), *rest], dim=1)

    def locate(self, p, y):
        t = wrapped(torch.atan2(p[:, 1], p[:, 0]) - self.middle[y])
        width = (p[:, 2:4] * self.turned(t + self.middle[y])).sum(dim=1)
        if self.tube:
            width = wrapped(torch.atan2(width, p[:, 4]) - self.height[y])
        return torch.stack([t, width], dim=1)

    def weight(self, p):
        y = torch.arange(self.charts)
        z = torch.stack([self.locate(p, y[c : c + 1].expand(len(p))) for c in y], dim=1)
        weight = arc_weight(z[..., 0], self.reach)
        return weight * arc_weight(z[..., 1], self.reach) if self.tube else weight


class ProjectivePlane(Exact):
    """Lines through the origin, by three charts: the line's slopes to one axis."""

    def __init__(self):
        super().__init__(2, 3, 6)
        self.others = torch.tensor([[1, 2], [0, 2], [0, 1]])

    def embed(self, z, y):
        e = torch.ones(len(z), 3, dtype=z.dtype).scatter(1, self.others[y], z)
        e = e / e.norm(dim=1, keepdim=True)
        return torch.cat([e**2, e * e[:, [1, 2, 0]]], dim=1)

    def locate(self, p, y):
        squares, products = p[:, :3], p[:, 3:]  # of e: with its neighbour, and the first again
        matrix = torch.diag_embed(squares)
        for i, j in ((0, 1), (1, 2), (2, 0)):
            matrix[:, i, j] = matrix[:, j, i] = products[:, i]
        row = matrix[torch.arange(len(p)), y]  # e_y e
        return row.gather(1, self.others[y]) / row.gather(1, y[:, None])

    def weight(self, p):
        return (p[:, :3] - 0.15).clamp_min(0) ** 2


class Semi(Arcs):
    """A circle whose model has no encoders."""

    semi = True

    def encode(self, x, y):
        raise TypeError("no charts F_y")

    def prior(self, u, y):
        return super().prior(u, y) * self.reach


class Single(Exact):
    """The plane, bent a little, as one chart."""

    def __init__(self):
        super().__init__(2, 1, 3)

    def embed(self, z, y):
        return torch.cat([z, (z**2).sum(dim=1, keepdim=True) / 2], dim=1)

    def locate(self, p, y):
        return p[:, :2]

    def weight(self, p):
        return torch.ones(len(p), 1)
