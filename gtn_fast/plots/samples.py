"""Pictures of samples: grids of images, rows of interpolation, points coloured by their source.

Images are uint8 of shape (n, c, h, w), c = 1 or 3; points are (n, d).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gtn_fast.plots.base import DATA, DPI, INK, PALETTE, Array, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = "turbo"  # of distances: its hues tell the rings apart
GAP = 2  # pixels between images
_MAX_POINTS = 8_000  # in a panel: more only make the file larger
_SHOWN = 0.998  # of the points lie inside a panel, the far outliers at its rim
_EM = 0.6  # width of a letter by its size


# ------------------------------------------------------------------ images


def image_grid(images: Array, columns: int | None = None, title: str = "") -> Figure:
    """Draw all ``images`` in reading order, ``columns`` per row (default: nearly a square)."""
    return labelled_grids([(title, images)], columns)


def labelled_grids(
    panels: Sequence[tuple[str, Array]], columns: int | None = None, title: str = ""
) -> Figure:
    """Draw grids side by side, each below its name: real, reconstructed, generated, ...

    ``panels``: (name, images) pairs. ``columns`` of each grid (default: nearly a square).
    More than four panels go on in a second row.
    """
    tiles = [tile(images, columns) for _, images in panels]
    across = min(len(tiles), 4 if len(tiles) != 5 else 3)
    down = -(-len(tiles) // across)
    width = _inches(across * max(made.shape[1] for made in tiles))
    tallest = max(made.shape[0] / made.shape[1] for made in tiles)
    named = any(name for name, _ in panels)
    longest = max((len(name) for name, _ in panels), default=0)
    size = min(12.0, 72 * width / across / (_EM * max(1, longest)))  # names fit above their grids
    height = down * (width / across * tallest + 0.4 * named) + 0.4 * bool(title)
    figure = _tight(new_figure(width, height))
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, _), made in zip(grid.flat, panels, tiles, strict=False):
        axes.imshow(made, interpolation="nearest")
        if name:
            axes.set_title(name, fontsize=size, color=INK)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure


def interpolation_rows(
    rows: Sequence[Array], title: str = "", captions: Sequence[str] | None = None
) -> Figure:
    """Draw one row of images per interpolation, from its start (left) to its end (right).

    ``rows``: uint8 (steps, c, h, w), the same number of steps in each (figure 8 of the
    paper shows 20). ``captions``: a short text above each row.
    """
    strips = [tile(row, len(row)) for row in rows]
    tall, wide = strips[0].shape[:2]
    width = _inches(wide)
    line = width * tall / wide
    height = len(strips) * (line + (0.3 if captions else 0.03)) + (0.45 if title else 0.1)
    figure = _tight(new_figure(width, height))
    grid = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
    for place, (axes, strip) in enumerate(zip(grid, strips, strict=True)):
        axes.imshow(strip, interpolation="nearest")
        axes.set_axis_off()
        if captions:
            axes.set_title(captions[place], fontsize=10, color=INK, loc="left", pad=3)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure


def tile(images: Array, columns: int | None = None) -> Array:
    """Return one uint8 picture (height, width, 3) of all ``images``, with white gaps.

    Raises ValueError unless they are uint8 (n, c, h, w) with c = 1 or 3 and n > 0.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[1] not in (1, 3):
        raise ValueError(
            "images must be uint8 of shape (n, 1 or 3, height, width), got"
            f" {images.dtype.name} of shape {images.shape}"
        )
    n, _, height, width = images.shape
    if n == 0:
        raise ValueError("there is no image to draw")
    columns = min(n, columns or int(np.ceil(np.sqrt(n))))
    rows = -(-n // columns)
    step_down, step_right = height + GAP, width + GAP
    made = np.full((rows * step_down - GAP, columns * step_right - GAP, 3), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * step_down, place % columns * step_right
        made[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return made


def _inches(pixels: int) -> float:
    """Return a width, 6 to 12 inches, that shows each pixel as a whole number of dots."""
    zoom = max(1, int(1500 // pixels))
    return float(np.clip(zoom * pixels / DPI, 6, 12))


def _tight(figure: Figure) -> Figure:
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure.set_layout_engine(
        ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.01)
    )
    return figure


# ------------------------------------------------------------------ points


def scatter_by_norm(
    source: Array,
    samples: Array,
    titles: Sequence[str] = ("Source sample", "Generated", "Data"),
    *,
    data: Array | None = None,
    title: str = "",
) -> Figure:
    """Draw the source sample (left) and what became of it, each point in the colour of its y.

    As in figure 3 of the paper. ``source`` (n, d): the y's; ``samples`` (n, k): the x
    generated from each; ``data`` (m, k), optional: real points in a third panel, as in
    figure 9. The colour is the distance of y from the origin, for d = 1 y itself.
    Points of one dimension are drawn under their density. Of more than two dimensions
    the first two principal components (of the data) are shown, and the source, a
    round cloud in any case, is left out.
    """
    source, samples = np.asarray(source), np.asarray(samples)
    keep = _some(len(source))
    value = source[:, 0] if source.shape[1] == 1 else np.linalg.norm(source, axis=1)
    flat_samples, flat_data = _plane(samples, data)
    panels: list[tuple[str, Array, Any]] = []
    if source.shape[1] <= 2:
        panels.append((titles[0], source[keep], value[keep]))
    panels.append((titles[1], flat_samples[keep], value[keep]))
    if flat_data is not None:
        panels.append((titles[2], flat_data[_some(len(flat_data))], None))
    figure = new_figure(4.4 * len(panels) + 0.6, 4.9 + 0.3 * bool(title))
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    low, high = np.quantile(value, ((1 - _SHOWN) / 2, (1 + _SHOWN) / 2))
    if source.shape[1] > 1:
        low = 0.0
    shown: Any = None
    for axes, (name, points, color) in zip(grid, panels, strict=True):
        drawn = _points(axes, points, color, (float(low), float(high)))
        shown = shown if color is None else drawn
        axes.set_title(name, fontsize=12, color=INK)
    if flat_data is not None and flat_data.shape[1] == 2:
        _same_frame(grid[-2:], [flat_samples, flat_data])
    elif flat_data is not None:
        grid[-1].sharex(grid[-2])
    label = "y" if source.shape[1] == 1 else "distance of y from the origin"
    bar = figure.colorbar(shown, ax=list(grid), shrink=0.75, aspect=30, pad=0.02)
    bar.set_label(label, color=INK, fontsize=10)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=9)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure


def training_snapshots(
    snapshots: Sequence[tuple[str, Array]],
    *,
    source: Array | None = None,
    data: Array | None = None,
    title: str = "",
) -> Figure:
    """Draw samples at several moments of the training, in one frame (figure 12 of the paper).

    ``snapshots``: (name, points (n, 1 or 2)), ``source`` (n, d): their y's, for the
    colour; ``data`` (m, same columns): real points, the last panel.
    """
    panels = list(snapshots) + ([] if data is None else [("Data", np.asarray(data))])
    across = min(len(panels), 4)
    down = -(-len(panels) // across)
    figure = new_figure(2.9 * across, 3.05 * down + 0.35 * bool(title))
    grid = figure.subplots(down, across, squeeze=False)
    value = None
    if source is not None:
        value = source[:, 0] if source.shape[1] == 1 else np.linalg.norm(source, axis=1)
    for axes, (name, points) in zip(grid.flat, panels, strict=False):
        keep = _some(len(points), _MAX_POINTS // 2)
        of_data = data is not None and axes is grid.flat[len(panels) - 1]
        color = None if value is None or of_data else value[keep]
        _points(axes, points[keep], color, None, size=2.0)
        axes.set_title(name, fontsize=11, color=INK)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    if panels[0][1].shape[1] == 2:
        # The frame of the last: early samples may lie anywhere, or in one point.
        _same_frame(list(grid.flat[: len(panels)]), [np.asarray(panels[-1][1])])
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure


def interpolation_paths(paths: Sequence[Array], samples: Array, title: str = "") -> Figure:
    """Draw paths (steps, d), from a circle to a square, through ``samples`` (n, d).

    d = 1: the value by step; d = 2: the plane; above: the first two principal components.
    """
    figure = new_figure(6.6, 6.2)
    axes = figure.subplots(1, 1)
    flat, cloud = _plane(np.concatenate(paths), samples)
    for place, line in enumerate(np.split(flat, len(paths))):
        if line.shape[1] == 1:
            line = np.column_stack((np.arange(len(line)), line))
        color = PALETTE[place % len(PALETTE)]
        axes.plot(line[:, 0], line[:, 1], color=color, lw=1.6, marker="o", ms=3.5)
        axes.plot(*line[0], color=color, marker="o", ms=9, mec="white")
        axes.plot(*line[-1], color=color, marker="s", ms=9, mec="white")
    bare(axes)
    if cloud is not None and cloud.shape[1] == 2:
        shown = cloud[_some(len(cloud))]
        axes.scatter(shown[:, 0], shown[:, 1], s=4, color="#d9d9d9", linewidths=0, zorder=0)
        _same_frame([axes], [cloud])
    else:
        axes.set_xlabel("step", color=INK)
    if title:
        axes.set_title(title, fontsize=12, color=INK)
    return figure


def _points(axes: Axes, points: Array, color: Array | None, limits: Any, size: float = 6.0) -> Any:
    """Draw points of the plane, or of a line under their density; return what was drawn."""
    low, high = (None, None) if limits is None else limits
    style: dict[str, Any] = {"s": size, "linewidths": 0, "rasterized": True}
    if color is None:
        style["color"] = DATA
    else:
        style.update(c=color, cmap=COLORS, vmin=low, vmax=high)
    bare(axes)
    if points.shape[1] == 1:
        drawn = axes.scatter(*_under_density(points[:, 0]), **style)
        axes.set(yticks=[], ylim=(0, None))
        axes.spines["left"].set_visible(False)
        axes.set_box_aspect(1)
        return drawn
    drawn = axes.scatter(points[:, 0], points[:, 1], **style)
    _same_frame([axes], [points])
    return drawn


def _same_frame(panels: Sequence[Axes], clouds: Sequence[Array]) -> None:
    """Set one square frame around nearly all points of all clouds, with equal scales."""
    every = np.concatenate([cloud[_some(len(cloud))] for cloud in clouds])
    low, high = np.quantile(every, ((1 - _SHOWN) / 2, (1 + _SHOWN) / 2), axis=0)
    centre, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-6) * 1.08
    for axes in panels:
        axes.set_xlim(centre[0] - half, centre[0] + half)
        axes.set_ylim(centre[1] - half, centre[1] + half)
        axes.set_aspect("equal", adjustable="box")
        axes.locator_params(nbins=6)


def _under_density(values: Array) -> tuple[Array, Array]:
    """Return each value with a height between 0 and the density there, evenly spread."""
    counts, edges = np.histogram(values, bins=min(30, max(5, len(values) // 40)))
    own = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(counts) - 1)
    return values, counts[own] / counts.max() * np.random.default_rng(0).random(len(values))


def _plane(samples: Array, data: Array | None) -> tuple[Array, Array | None]:
    """Return both in the first two principal components of the data, if they have more."""
    data = None if data is None else np.asarray(data)
    if samples.shape[1] <= 2:
        return samples, data
    of = samples if data is None else data
    mean = of.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(np.cov((of - mean).T))
    first = axes[:, ::-1][:, :2]
    return (samples - mean) @ first, None if data is None else (data - mean) @ first


def _some(n: int, most: int = _MAX_POINTS) -> Array:
    """Return at most ``most`` row numbers, evenly spread over ``n`` rows in random order."""
    return np.random.default_rng(0).permutation(n)[:most]
