"""Draws the picture of README.md: a source sample, data, and who is matched with whom.

python tools/front_picture.py    writes docs/figures/labeling.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from small_picture import save_small

import gtn_fast
from gtn_fast.plots import DATA, INK, SOURCE

FILE = Path(__file__).resolve().parents[1] / "docs" / "figures" / "labeling.png"
MANY, FEW = 6_000, 160  # points of the coloured panels; pairs of the one with lines
COLORS = 128  # of the file


def roll(n: int, seed: int) -> NDArray[np.float64]:
    """Return a noisy spiral of two and a half turns, centred: (n, 2)."""
    rng = np.random.default_rng(seed)
    turn = 2 * np.pi * np.sqrt(rng.uniform(0.06, 2.5**2, n))  # evenly along the curve
    points = np.column_stack((np.cos(turn), np.sin(turn))) * (turn / 6.3)[:, None]
    points += rng.normal(scale=0.05, size=(n, 2))
    return np.asarray(points - points.mean(axis=0))


def hue(y: NDArray[Any]) -> NDArray[np.float64]:
    """Return the colour of each source point (n, 2): that of its direction."""
    angle = (np.arctan2(y[:, 1], y[:, 0]) / (2 * np.pi)) % 1.0
    full = np.ones(len(y))
    return np.asarray(hsv_to_rgb(np.column_stack((angle, 0.75 * full, 0.85 * full))))


def finish(axes: Axes, title: str) -> None:
    """Give all panels one scale, and show nothing but the points."""
    axes.set(xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), xticks=[], yticks=[], aspect="equal")
    axes.set_title(title, fontsize=11, color=INK)
    for side in axes.spines.values():
        side.set_visible(False)


def draw() -> Figure:
    """Draw three panels: Y, X in the colours of its y's, a few pairs joined by lines."""
    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    source, data, pairs = figure.subplots(1, 3)
    x = roll(MANY, 1)
    labels = gtn_fast.label(x)
    colors = hue(labels.y)
    source.scatter(*labels.y.T, s=2.2, c=colors, lw=0)
    finish(source, "Y: a normal sample")
    data.scatter(*x[labels.x_index].T, s=2.2, c=colors, lw=0)
    finish(data, "X: data, each x in the colour of its y")

    x = roll(FEW, 2)
    labels = gtn_fast.label(x)
    for ends in zip(labels.y, x[labels.x_index], strict=True):
        pairs.plot(*np.transpose(ends), color="#b5b5b5", lw=0.7, zorder=1)
    pairs.scatter(*labels.y.T, s=9, color=SOURCE, lw=0, zorder=2)
    pairs.scatter(*x.T, s=9, color=DATA, lw=0, zorder=2)
    finish(pairs, f"{FEW} pairs: a y (blue) and its x (red)")
    return figure


def main() -> int:
    """Write the picture, small enough for a front page."""
    save_small(draw(), FILE, dpi=100, colors=COLORS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
