"""Draws the pictures of docs/atlas.md and prints the numbers that stand beside them.

    python tools/atlas_pictures.py            takes a minute on two cores

ring.png: a ring of points, learned from one normal distribution in the plane, from one on a
line, and by two charts. sphere.png: a geodesic over the edge of a chart, on a sphere that
two stereographic projections describe exactly; nothing is trained there.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast import plots
from gtn_fast.atlas.geodesics import LatentGraph
from gtn_fast.atlas.model import Atlas
from gtn_fast.learn.gtn import GTN
from gtn_fast.plots.base import bare, new_figure

Array = NDArray[Any]

FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"
N, SHOWN = 20_000, 3_000
PALE = ("#c9d6e6", "#efc9cf")  # of the charts' own points
HOLE, NEAR = 0.9, 0.05  # what lies inside this radius lies in the hole; beside the ring
A, B = math.radians(172), math.radians(-172)  # two neighbours on either side of the seam


class Exact(Atlas):
    """An atlas by formula: points of R^D are images of D channels and one pixel."""

    def __init__(self, d: int, charts: int, dimension: int) -> None:
        super().__init__(d, charts, dimension, 1)

    def psi(self, x: Tensor) -> Tensor:
        """Return the weight of each chart."""
        weight = self.weight(x.flatten(1))
        return weight / weight.sum(dim=1, keepdim=True)

    def encode(self, x: Tensor, y: Any) -> Tensor:
        """Return F_y(x)."""
        return self.located(x.flatten(1), y)

    def decode(self, z: Tensor, y: Any) -> Tensor:
        """Return G_y(z)."""
        return self.point(z, y)[:, :, None, None]

    def weight(self, p: Tensor) -> Tensor:
        """Return how much each chart knows of a point, (b, charts)."""
        raise NotImplementedError

    def located(self, p: Tensor, y: Any) -> Tensor:
        """Return where a point lies in its chart, (b, d)."""
        raise NotImplementedError

    def point(self, z: Tensor, y: Any) -> Tensor:
        """Return the point of a place in a chart, (b, D)."""
        raise NotImplementedError


class Ring(Exact):
    """The unit circle by two arcs: to the right and to the left, a third of it in both."""

    def __init__(self) -> None:
        super().__init__(1, 2, 2)
        self.middle = torch.tensor([0.0, math.pi])

    def weight(self, p: Tensor) -> Tensor:
        """Fall off towards the ends of each arc."""
        away = torch.atan2(p[:, 1], p[:, 0])[:, None] - self.middle
        return (torch.cos(away) + 0.5).clamp_min(0) ** 2

    def located(self, p: Tensor, y: Any) -> Tensor:
        """Return the angle from the middle of the arc."""
        angle = torch.atan2(p[:, 1], p[:, 0]) - self.middle[y]
        return (torch.remainder(angle + math.pi, 2 * math.pi) - math.pi)[:, None]

    def point(self, z: Tensor, y: Any) -> Tensor:
        """Return the point at an angle from the middle."""
        angle = z[:, 0] + self.middle[y]
        return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)


class Sphere(Exact):
    """The unit sphere, seen from its two poles by stereographic projection."""

    def __init__(self) -> None:
        super().__init__(2, 2, 3)
        self.pole = torch.tensor([1.0, -1.0])

    def weight(self, p: Tensor) -> Tensor:
        """Let charts meet in a band around the equator."""
        return (torch.nn.functional.normalize(p)[:, 2:] * self.pole + 0.35).clamp_min(0) ** 2

    def located(self, p: Tensor, y: Any) -> Tensor:
        """Project to the plane."""
        unit = torch.nn.functional.normalize(p)
        return unit[:, :2] / (1 + unit[:, 2:] * self.pole[y].reshape(-1, 1))

    def point(self, z: Tensor, y: Any) -> Tensor:
        """Project to the sphere."""
        square = z.square().sum(dim=1, keepdim=True)
        height = (1 - square) * self.pole[y].reshape(-1, 1)
        return torch.cat([2 * z, height], dim=1) / (1 + square)


def as_images(points: Array) -> Array:
    """Store points of [-1, 1]^D as images, uint8 (n, D, 1, 1)."""
    return np.round((points + 1) * 127.5).astype(np.uint8)[:, :, None, None]


def circle(angle: Array) -> Array:
    """Return points of the unit circle, (n, 2)."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


# ------------------------------------------------------------------ the ring


def ring() -> Any:
    """Learn the ring in three ways and draw them side by side."""
    angle = np.random.default_rng(0).uniform(-math.pi, math.pi, N)
    plane = GTN(2, "mnist", rays=100)
    plane.fit(circle(angle).astype(np.float32), calibrate=False, epochs=20, progress=False)
    line = GTN(1, "swiss-roll")
    line.fit(angle[:, None].astype(np.float32), calibrate=False, epochs=20, progress=False)

    made = plane.sample(N, seed=1)
    radius = np.linalg.norm(made, axis=1)
    print(f"one normal in the plane: {np.mean(radius < HOLE):.1%} of {N:,} samples in the hole"
          f" (radius below {HOLE}), {np.mean(abs(radius - 1) > NEAR):.1%} farther than {NEAR}"
          " from the ring")  # fmt: skip
    y = line.source_sample(N, seed=1)
    turned = line.transform(y)[:, 0]
    ends = [y[np.argmin(abs(turned - each))] for each in (A, B)]
    way = line.interpolate(*ends, steps=60)[:, 0]
    apart = math.degrees(B - A) % 360
    print(f"one normal on a line: between neighbours {apart:.0f} degrees apart"
          f" the straight way takes {math.degrees(abs(np.diff(way)).sum()):.0f}")  # fmt: skip

    atlas = Ring()
    graph = LatentGraph.build(atlas, as_images(circle(angle)))
    path = graph.path((np.array([A - math.pi]), 1), (np.array([B + math.pi]), 1))
    length = 2 * path.length  # images are measured in [0, 1], the plane has [-1, 1]
    print(f"two charts: the geodesic is {math.degrees(length):.1f} degrees long,"
          f" within chart {path.chart[0]}")  # fmt: skip

    figure = new_figure(15.2, 4.1)
    panels = figure.subplots(1, 4)
    points = circle(angle)[:SHOWN]
    style = {"s": 5, "linewidths": 0, "rasterized": True}
    panels[0].scatter(*points.T, color=plots.INK, **style)
    beside = abs(radius[:SHOWN] - 1) > NEAR
    for of, color in ((~beside, plots.FAINT), (beside, plots.DATA)):
        panels[1].scatter(*made[:SHOWN][of].T, color=color, **style)
    panels[2].scatter(*circle(turned[:SHOWN]).T, c=y[:SHOWN, 0], cmap="turbo", vmin=-3, vmax=3,
                      **style)  # fmt: skip
    for chart, spread in ((0, 1.0), (1, 1.05)):
        arc = np.linspace(-2.05, 2.05, 300) + chart * math.pi
        panels[3].plot(*(spread * circle(arc)).T, color=plots.PALETTE[chart], lw=5, alpha=0.8,
                       solid_capstyle="round", label=f"chart {chart}")  # fmt: skip
    _walk(panels[2], 0.86 * circle(way))
    corners = atlas.point(torch.from_numpy(path.z), torch.from_numpy(path.chart)).numpy()
    _walk(panels[3], 0.86 * corners)
    panels[3].legend(frameon=False, loc="center", fontsize=10)
    titles = ("The data: a ring", "One normal in the plane", "One normal on a line", "Two charts")
    words = ("it has a hole, and no end", "a third lies beside it, some in the hole",
             "it is cut: from A to B all the way round",
             "an arc each; no cut, and A is beside B")  # fmt: skip
    for axes, title, word in zip(panels, titles, words, strict=True):
        axes.set_title(f"{title}\n{word}", fontsize=12, color=plots.INK)
        axes.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), xticks=[], yticks=[])
        axes.set_aspect("equal")
        for side in axes.spines.values():
            side.set_visible(False)
    for axes in panels[2:]:
        for name, each in (("A", A), ("B", B)):
            axes.annotate(name, 1.22 * circle(np.array(each)), ha="center", va="center",
                          fontsize=13, color=plots.INK, weight="bold")  # fmt: skip
    return figure


def _walk(axes: Any, way: Array) -> None:
    axes.plot(*way.T, color=plots.INK, lw=1.6)
    for end in (way[0], way[-1]):
        axes.plot(*end, "o", color=plots.INK, ms=5)


# ------------------------------------------------------------------ the sphere


def sphere() -> Any:
    """Draw a geodesic in both charts and on the sphere."""
    rng = np.random.default_rng(3)
    points = rng.standard_normal((2000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    atlas = Sphere()
    graph = LatentGraph.build(atlas, as_images(points))
    start, end = (np.array([0.75, -0.35, 0.56]), np.array([-0.35, 0.7, -0.62]))
    start, end = (each / np.linalg.norm(each) for each in (start, end))
    places = [(atlas.located(torch.tensor(p[None], dtype=torch.float32), y)[0].numpy(), y)
              for p, y in ((start, torch.tensor(0)), (end, torch.tensor(1)))]  # fmt: skip
    path = graph.path(*((z, int(y)) for z, y in places))
    straight = math.acos(start @ end)
    print(f"sphere: {len(graph.z):,} nodes, {len(graph.edges):,} edges, {graph.jump.sum():,} jumps;"
          f" geodesic / great circle = {2 * path.length / straight:.3f}")  # fmt: skip

    figure = new_figure(13.2, 4.6)
    panels = [figure.add_subplot(1, 3, 1), figure.add_subplot(1, 3, 2)]
    shared = np.isin(graph.row, graph.row[graph.edges[graph.jump][:, 0]])
    for chart, axes in enumerate(panels):
        here = graph.chart == chart
        for of, color in ((here & ~shared, PALE[chart]), (here & shared, plots.FAINT)):
            axes.scatter(*graph.z[of].T, s=6, color=color, linewidths=0)
        mine = path.z[path.chart == chart]
        axes.plot(*mine.T, color=plots.PALETTE[chart], lw=2.5)
        axes.plot(*mine[0 if chart == 0 else -1], "o", color=plots.PALETTE[chart], ms=8)
        axes.set_title(f"chart {chart} (grey: points that both know)", fontsize=12, color=plots.INK)
        axes.set_aspect("equal")
        bare(axes)
    axes = figure.add_subplot(1, 3, 3, projection="3d")
    axes.view_init(elev=12, azim=20)
    seen = points[points @ _towards(12, 20) > -0.1]
    axes.scatter(*seen.T, s=3, color="#d9d9d9", linewidths=0)
    for chart in (0, 1):
        mine = path.z[path.chart == chart], path.chart[path.chart == chart]
        line = 1.02 * atlas.point(*(torch.from_numpy(each) for each in mine)).numpy()
        axes.plot(*line.T, color=plots.PALETTE[chart], lw=2.5)
        axes.plot(*line[0 if chart == 0 else -1], "o", color=plots.PALETTE[chart], ms=8)
    axes.set_box_aspect((1, 1, 1), zoom=1.45)
    axes.set_axis_off()
    axes.set_title("the sphere that they draw", fontsize=12, color=plots.INK)
    return figure


def _towards(elevation: float, azimuth: float) -> Array:
    up, round_ = math.radians(elevation), math.radians(azimuth)
    return np.array(
        [math.cos(up) * math.cos(round_), math.cos(up) * math.sin(round_), math.sin(up)]
    )


def main() -> int:
    """Draw all."""
    for name, draw in (("ring", ring), ("sphere", sphere)):
        plots.save(draw(), FIGURES / f"atlas-{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
