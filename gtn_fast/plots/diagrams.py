"""Persistence diagrams: at which distance a loop or hollow appears, and at which it is filled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gtn_fast.plots.base import FAINT, INK, PALETTE, Array, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACROSS = 5
_OF_DIMENSION = (("piece", "o"), ("loop", "s"), ("hollow", "^"))
_ABOVE = 1.06  # where bars stand that do not end, in units of the largest distance


def persistence_diagrams(
    panels: Sequence[tuple[str, Sequence[Array], float]],
    windows: Sequence[tuple[float, float]] | None = None,
    words: str = "distance",
    *,
    least: int = 0,
    title: str = "",
) -> Figure:
    """Draw one panel for each (name, bars, threshold): a mark for each bar, born x, filled y.

    bars: by dimension, float64 (b, 2), infinity: not filled up to ``threshold``; these stand on the
    line above. ``windows``: of each panel; a bar in the shaded part is there throughout, and counts
    as a Betti number. ``words`` say what is at the axes. Dimensions from ``least`` on are drawn.
    """
    across = min(len(panels), _ACROSS)
    down = -(-len(panels) // across)
    figure = new_figure(2.6 * across + 0.6, 2.7 * down + 0.5)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for place, (axes, (name, bars, threshold)) in enumerate(zip(grid, panels, strict=False)):
        top = _ABOVE * threshold
        axes.plot((0, threshold), (0, threshold), color=FAINT, linewidth=0.8)
        axes.plot((0, threshold), (top, top), color=FAINT, linewidth=0.8, linestyle=":")
        if windows is not None:
            low, high = windows[place]
            axes.fill_between((0, low), high, 1.02 * top, color=FAINT, alpha=0.25, linewidth=0)
        for dimension in range(least, len(bars)):
            born, filled = np.asarray(bars[dimension], float).reshape(-1, 2).T
            noun, marker = _OF_DIMENSION[dimension]
            axes.scatter(born, np.where(np.isfinite(filled), filled, top), s=16, marker=marker,
                         color=PALETTE[dimension], alpha=0.7, linewidths=0,
                         label=f"{noun}s")  # fmt: skip
        axes.set_xlim(-0.03 * threshold, 1.03 * threshold)
        axes.set_ylim(-0.03 * threshold, 1.1 * threshold)
        axes.set_title(name, fontsize=11, color=INK)
        axes.set_aspect("equal", adjustable="box")
        bare(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel(f"{words} at which it appears", fontsize=10, color=INK)
    figure.supylabel("at which it is filled", fontsize=10, color=INK)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3, frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure
