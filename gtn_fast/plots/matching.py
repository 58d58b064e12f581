"""Pictures of a matching: who goes with whom, how well, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gtn_fast.labels import Labels
from gtn_fast.plots.base import DATA, INK, PALETTE, SOURCE, Array, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# ------------------------------------------------------------------ who goes with whom


def colors_of(y: Array) -> Array:
    """Return a colour for every row of ``y`` (n, 2): hue by angle, brightness by rank of norm."""
    from matplotlib.colors import hsv_to_rgb

    hue = (np.arctan2(y[:, 1], y[:, 0]) / (2 * np.pi)) % 1.0
    rank = np.empty(len(y))
    rank[np.argsort(np.linalg.norm(y, axis=1), kind="stable")] = np.linspace(0, 1, len(y))
    # From pale in the middle to deep at the rim, with a ring every tenth of the ranks.
    ring = np.where((rank * 10).astype(int) % 2 == 0, 1.0, 0.88)
    return np.asarray(
        hsv_to_rgb(np.column_stack((hue, 0.12 + 0.85 * rank, (1.0 - 0.35 * rank) * ring)))
    )


def matching_by_color(
    y: Array, title: str, matchings: Sequence[tuple[str, Array, Array | Labels]]
) -> Figure:
    """Draw the source sample (left) and data beside it, each x in the colour of its y.

    ``y`` (n_y, 2); ``matchings``: (title, x (n_x, 2), x_index (n_y,) or Labels). Every point
    counts: a pixel shows the mean colour of the points in it.
    """
    indices = [f.x_index if isinstance(f, Labels) else np.asarray(f) for _, _, f in matchings]
    colors = colors_of(y)
    panels = 1 + len(matchings)
    figure = new_figure(5.0 * panels, 5.5)
    grid = figure.subplots(1, panels, squeeze=False)[0]
    reach = float(np.quantile(np.abs(y), 0.999))
    _mean_color(grid[0], y, colors, (-reach, reach, -reach, reach))
    for axes, (_, x, _), x_index in zip(grid[1:], matchings, indices, strict=True):
        has_x = x_index >= 0
        matched = x[x_index[has_x]]
        low, high = matched.min(axis=0), matched.max(axis=0)
        _mean_color(axes, matched, colors[has_x], (low[0], high[0], low[1], high[1]))
    titles = [title, *(name for name, _, _ in matchings)]
    for axes, text in zip(grid, titles, strict=True):
        axes.set_title(text, fontsize=11, color=INK)
        bare(axes)
    return figure


def _mean_color(
    axes: Axes, points: Array, colors: Array, extent: tuple[float, float, float, float]
) -> None:
    # Ten points a pixel on average, so that the picture is full, not speckled.
    pixels = int(np.clip(np.sqrt(len(points) / 10), 30, 400))
    left, right, bottom, top = extent
    column = ((points[:, 0] - left) / (right - left) * pixels).astype(np.int64)
    row = ((points[:, 1] - bottom) / (top - bottom) * pixels).astype(np.int64)
    inside = (column >= 0) & (row >= 0) & (column <= pixels) & (row <= pixels)
    column, row = np.minimum(column, pixels - 1), np.minimum(row, pixels - 1)
    cell = (row * pixels + column)[inside]
    count = np.bincount(cell, minlength=pixels * pixels)
    image = np.ones((pixels * pixels, 3))
    for channel in range(3):
        total = np.bincount(cell, weights=colors[inside, channel], minlength=pixels * pixels)
        image[:, channel] = np.where(count > 0, total / np.maximum(count, 1), 1.0)
    axes.imshow(
        image.reshape(pixels, pixels, 3),
        origin="lower",
        extent=extent,
        interpolation="nearest",
        aspect="equal",
    )


def numbered_pairs(
    x: Array, y: Array, x_index: Array | Labels, order: Array | None = None, line: Any = None
) -> Figure:
    """Draw a few pairs in the plane, numbered in the order of choice and joined by lines.

    ``x_index`` may be Labels, which know the ``order``. ``line``: (x, y, x_index, order) of points
    on one line (d = 1), drawn below as in the paper's figure 10.
    """
    if isinstance(x_index, Labels):
        order, x_index = x_index.order, x_index.x_index
    if order is None:
        raise TypeError("numbered_pairs needs order, or Labels, which know it")
    figure = new_figure(7.2, 8.6 if line is not None else 6.8)
    if line is None:
        plane = figure.subplots(1, 1)
    else:
        plane, below = figure.subplots(2, 1, height_ratios=(4.4, 1))
        _pairs_on_a_line(below, *line)
    turn = np.empty(len(order), dtype=int)
    turn[order] = np.arange(1, len(order) + 1)
    plane.axhline(0, color="#dddddd", lw=0.8, zorder=0)
    plane.axvline(0, color="#dddddd", lw=0.8, zorder=0)
    x_index = np.asarray(x_index)
    for source, target, number in zip(y, x[x_index], turn * (x_index >= 0), strict=True):
        if not number:  # it has no x
            continue
        plane.plot(*zip(source, target, strict=True), color="#b5b5b5", lw=1.1, zorder=1)
        _numbered(plane, source[0], source[1], number, SOURCE, "o")
        _numbered(plane, target[0], target[1], number, DATA, "*")
    plane.margins(0.08)
    plane.set_aspect("equal")
    plane.set_title("Numbers: the order in which the y's choose (by norm)", fontsize=12, color=INK)
    _legend(plane)
    bare(plane)
    return figure


def _pairs_on_a_line(axes: Axes, x: Array, y: Array, x_index: Array, order: Array) -> None:
    turn = np.empty(len(order), dtype=int)
    turn[order] = np.arange(1, len(order) + 1)
    axes.axhline(0, color="#dddddd", lw=1, zorder=0)
    for source, target, number in zip(y[:, 0], x[x_index, 0], turn, strict=True):
        axes.plot((source, target), (0.5, -0.5), color="#b5b5b5", lw=1.1, zorder=1)
        _numbered(axes, source, 0.5, number, SOURCE, "o")
        _numbered(axes, target, -0.5, number, DATA, "*")
    axes.axvline(0, color="#dddddd", lw=0.8, zorder=0)
    axes.set(ylim=(-1.1, 1.1), yticks=[])
    axes.set_title("On one line: each side is matched by rank", fontsize=12, color=INK)
    axes.spines["left"].set_visible(False)
    bare(axes)


def _numbered(axes: Axes, x: float, y: float, number: int, color: str, marker: str) -> None:
    size = 260 if marker == "o" else 820
    style: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.9, "zorder": 2}
    axes.scatter(x, y, s=size, marker=marker, color=color, **style)
    axes.text(
        x,
        y,
        str(number),
        color="white",
        fontsize=8,
        weight="bold",
        ha="center",
        va="center_baseline",
        zorder=3,
    )


def _legend(axes: Axes) -> None:
    axes.scatter([], [], s=110, color=SOURCE, label="y: source sample")
    axes.scatter([], [], s=200, marker="*", color=DATA, label="x: data")
    axes.legend(loc="lower right", frameon=False, fontsize=9)


# ------------------------------------------------------------------ quality and order


def cosine_by_rank(runs: Sequence[tuple[str, Array | Labels]], bins: int = 150) -> Figure:
    """Draw the cosine of the pairs against the turn of their y: the mean and the middle half.

    ``runs``: (name, Labels, or cosines in the order of choice) pairs. Y's without an x are left
    out.
    """
    figure = new_figure(8.6, 5.4)
    axes = figure.subplots(1, 1)
    for (name, run), color in zip(runs, PALETTE, strict=False):
        cosine = np.asarray(
            run.cosine[run.order] if isinstance(run, Labels) else run, dtype=np.float64
        )
        cosine = cosine[~np.isnan(cosine)]
        parts = np.array_split(cosine, min(bins, len(cosine)))
        turn = (np.cumsum([len(part) for part in parts]) - len(parts[0]) / 2) / len(cosine)
        low, high = np.array([np.quantile(part, (0.25, 0.75)) for part in parts]).T
        axes.fill_between(turn, low, high, color=color, alpha=0.13, lw=0)
        axes.plot(turn, [part.mean() for part in parts], color=color, lw=1.8, label=name)
    axes.axhline(0, color="#dddddd", lw=0.8, zorder=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(top=1.04)
    axes.set_xlabel("turn of y, as a share of all (by norm, ascending)", color=INK)
    axes.set_ylabel("cosine of the pair (mean; band: the middle half)", color=INK)
    axes.set_title("The later a y chooses, the fewer x's are left", fontsize=12, color=INK)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    bare(axes)
    return figure


def digit_strip(images: Array, rows: Sequence[tuple[str, Array]]) -> Figure:
    """Draw strips of images; each row of the figure is (caption, row numbers into ``images``)."""
    columns = len(rows[0][1])
    height, width = images.shape[1:]
    figure = new_figure(12, 0.72 * len(rows))
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (caption, chosen) in zip(grid, rows, strict=True):
        strip = np.full((height, columns * (width + 2) - 2), 255, dtype=np.uint8)
        for place, number in enumerate(chosen):
            left = place * (width + 2)
            strip[:, left : left + width] = 255 - images[number]
        axes.imshow(strip, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(caption, fontsize=10, color=INK, loc="left")
        axes.set_axis_off()
    return figure
