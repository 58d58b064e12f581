"""Pictures of what is known of samples: points of a set in the plane, coloured by a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gtn_fast.plots.base import INK, PALETTE, Array, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = "viridis"
_ACROSS = 5


def valued_points(
    panels: Sequence[tuple[str, Array, Array]], most: float, words: str, title: str = ""
) -> Figure:
    """Draw one panel for each (name, points (n, 2), values (n,)), values from 0 to ``most``.

    ``words`` say at the colour bar what the values are.
    """
    figure, grid = _panels(len(panels))
    shown: Any = None
    for axes, (name, points, values) in zip(grid, panels, strict=False):
        shown = axes.scatter(points[:, 0], points[:, 1], c=values, vmin=0, vmax=most, s=4,
                             cmap=_COLORS, linewidths=0)  # fmt: skip
        axes.set_title(name, fontsize=11, color=INK)
    figure.colorbar(shown, ax=list(grid[: len(panels)]), label=words, extend="max", shrink=0.8)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure


def chart_points(panels: Sequence[tuple[str, Array, Array]], title: str = "") -> Figure:
    """Draw one panel for each (name, points (n, 2), charts (n,)), a colour a chart."""
    figure, grid = _panels(len(panels))
    for axes, (name, points, charts) in zip(grid, panels, strict=False):
        colors = np.array(PALETTE, dtype=object)[np.asarray(charts) % len(PALETTE)]
        axes.scatter(points[:, 0], points[:, 1], c=list(colors), s=4, linewidths=0)
        axes.set_title(name, fontsize=11, color=INK)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure


def _panels(count: int) -> tuple[Figure, Array]:
    across = min(count, _ACROSS)
    down = -(-count // across)
    figure = new_figure(2.3 * across + 0.8, 2.4 * down)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="box")
        bare(axes)
        axes.spines[["left", "bottom"]].set_visible(False)
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, grid
