"""Curves: losses by epoch, a quantity by another one, bars of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gtn_fast.plots.base import FAINT, INK, PALETTE, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gtn_fast.learn.training.run import History

Row = Mapping[str, float]


def loss_curves(
    rows: History | Sequence[Row],
    title: str = "",
    best_epoch: int | None = None,
    metric: str = "metric",
    loss: str = "mean squared error",
) -> Figure:
    """Draw training and validation loss by epoch, and the metric, if there is one.

    ``rows``: the History that ``fit`` returns, or what it keeps of every epoch: epoch, loss
    and, where they were computed, val_loss and metric. ``best_epoch``: the one whose weights were
    kept; a History knows it. ``metric``, ``loss``: what they are called.
    """
    if not isinstance(rows, Sequence):
        best_epoch = rows.best_epoch if best_epoch is None else best_epoch
        rows = rows.epochs
    scored = any(np.isfinite(row.get("metric", np.nan)) for row in rows)
    figure = new_figure(8.4, 6.2 if scored else 4.4)
    if scored:
        losses, scores = figure.subplots(2, 1, sharex=True, height_ratios=(1.4, 1))
        _curve(scores, rows, "metric", metric, PALETTE[2])
        scores.set_ylabel(metric, color=INK)
        last = scores
    else:
        losses = last = figure.subplots(1, 1)
    _curve(losses, rows, "loss", "training", PALETTE[0])
    _curve(losses, rows, "val_loss", "validation", PALETTE[1])
    values = [row[key] for row in rows for key in ("loss", "val_loss") if row.get(key, 0) > 0]
    if values and max(values) > 20 * min(values):
        losses.set_yscale("log")
    losses.set_ylabel(loss, color=INK)
    last.set_xlabel("epoch", color=INK)
    last.xaxis.get_major_locator().set_params(integer=True)
    for axes in figure.axes:
        bare(axes)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=FAINT, lw=1, ls=(0, (4, 3)), zorder=0,
                         label="weights kept" if axes is losses else None)  # fmt: skip
    losses.legend(frameon=False, fontsize=10)
    if title:
        figure.suptitle(title, fontsize=13, color=INK)
    return figure


def _curve(axes: Axes, rows: Sequence[Row], key: str, name: str, color: str) -> None:
    found = [(row["epoch"], row[key]) for row in rows if np.isfinite(row.get(key, np.nan))]
    if found:
        epochs, values = zip(*found, strict=True)
        marker = "o" if len(found) < 12 else None
        axes.plot(epochs, values, color=color, lw=1.8, marker=marker, ms=4, label=name)


def lines_by_x(
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    *,
    log_x: bool = False,
) -> Figure:
    """Draw one line per series, (name, x, y); the ticks are the x's that were measured."""
    figure = new_figure(7.6, 4.8)
    axes = figure.subplots(1, 1)
    for place, (name, x, y) in enumerate(series):
        color = PALETTE[place % len(PALETTE)]
        axes.plot(x, y, color=color, lw=1.8, marker="o", ms=6, label=name)
    if log_x:
        axes.set_xscale("log", base=2)
    ticks = sorted({value for _, x, _ in series for value in x})
    if len(ticks) <= 12:
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axes.set_xticks([], minor=True)
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.set_ylim(*_roomy(np.concatenate([np.asarray(y, dtype=float) for _, _, y in series])))
    bare(axes)
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=min(len(series), 4), frameon=False,
                      fontsize=10)  # fmt: skip
    if title:
        axes.set_title(title, fontsize=12, color=INK)
    return figure


def _roomy(y: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    """Return limits from zero where the values are not far from it, with air above."""
    y = y[np.isfinite(y)]
    low, high = (float(y.min()), float(y.max())) if len(y) else (0.0, 1.0)
    span = high - low or abs(high) or 1.0
    bottom = 0.0 if 0 <= low < span * 2 else low - 0.1 * span
    return bottom, high + 0.1 * span


def bars(
    groups: Sequence[tuple[str, float]], ylabel: str, title: str = "", highlight: str | None = None
) -> Figure:
    """Draw a bar for each (name, value), its number above it, the name ``highlight`` in colour."""
    figure = new_figure(max(4.6, 1.35 * len(groups) + 1.4), 4.4)
    axes = figure.subplots(1, 1)
    for place, (name, value) in enumerate(groups):
        color = PALETTE[0] if highlight in (None, name) else FAINT
        axes.bar(place, value, width=0.62, color=color)
        axes.annotate(f"{value:.3g}", (place, value), xytext=(0, 4), textcoords="offset points",
                      ha="center", fontsize=10, color=INK)  # fmt: skip
    axes.set_xticks(range(len(groups)), [name for name, _ in groups])
    axes.set_ylabel(ylabel, color=INK)
    axes.margins(y=0.12)
    bare(axes)
    axes.tick_params(axis="x", length=0, labelsize=10)
    if title:
        axes.set_title(title, fontsize=12, color=INK)
    return figure
