"""Pictures of geodesics and charts: rows of images with a word below each, histograms.

Images are uint8 of shape (n, c, h, w), c = 1 or 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gtn_fast.plots.base import INK, PALETTE, Array, bare, new_figure
from gtn_fast.plots.samples import GAP, tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 30
_INCHES = 0.62  # of an image in a row


def captioned_rows(
    rows: Sequence[tuple[str, Array, Sequence[str] | None]], title: str = ""
) -> Figure:
    """Draw a row of images for each (name, images (steps, c, h, w), a word for each image).

    The name stands above its row, the words below: the charts of a geodesic, or nothing (None).
    """
    longest = max(len(images) for _, images, _ in rows)
    figure = new_figure(max(4.0, _INCHES * longest), (_INCHES + 0.42) * len(rows) + 0.3)
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (name, images, words) in zip(grid, rows, strict=True):
        strip = tile(images, len(images))
        pitch = (strip.shape[1] + GAP) / len(images)
        axes.imshow(strip, interpolation="nearest")
        axes.set_xlim(-0.5, pitch * longest - GAP - 0.5)  # rows of fewer images keep their scale
        if name:
            axes.set_title(name, fontsize=10, color=INK, loc="left", pad=3)
        places = [(i + 0.5) * pitch - (GAP + 1) / 2 for i in range(len(images))]
        axes.set_xticks(places if words else [], list(words or []), fontsize=8, color=INK)
        axes.set_yticks([])
        axes.tick_params(length=0, pad=2)
        for side in axes.spines.values():
            side.set_visible(False)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure


def histograms(
    panels: Sequence[tuple[str, Sequence[tuple[str, Array]]]], xlabel: str, title: str = ""
) -> Figure:
    """Draw one panel for each (name, series), in it a histogram for each (name, values).

    The bins are those of all values of the panel.
    """
    figure = new_figure(4.6 * len(panels), 3.6)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, series) in zip(grid, panels, strict=True):
        values = [np.asarray(each, dtype=float).reshape(-1) for _, each in series]
        edges = np.histogram_bin_edges(np.concatenate(values), bins=_BINS)
        for place, ((label, _), each) in enumerate(zip(series, values, strict=True)):
            color = PALETTE[place % len(PALETTE)]
            axes.hist(each, bins=edges, color=color, alpha=0.55, label=label)
        axes.set_xlabel(xlabel, color=INK)
        axes.set_title(name, fontsize=12, color=INK)
        axes.set_yticks([])
        bare(axes)
        axes.spines["left"].set_visible(False)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure
