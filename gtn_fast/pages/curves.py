"""The cosine by turn, and losses by epoch, in SVG: no picture beside the page, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 300, 60, 48, 12
_MOST_BINS = 100
_LEVELS = (0, 10, 50, 90, 100)  # percentiles drawn: the range, four fifths of it, the middle


def by_turn(cosine: NDArray[Any], order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return percentiles of the cosine (bins, 5) over the turns, y's without an x left out.

    Each bin has as many turns as another, but for one; NaN for a bin without a pair.
    """
    turns = np.asarray(cosine, np.float64)[order]
    bins = np.array_split(turns, min(_MOST_BINS, len(turns)))
    found = np.full((len(bins), len(_LEVELS)), np.nan)
    for i, each in enumerate(bins):
        there = each[~np.isnan(each)]
        if len(there):
            found[i] = np.percentile(there, _LEVELS)
    return found


def drawing(percentiles: NDArray[np.float64], turns: int) -> str:
    """Draw what ``by_turn`` gives as an <svg> element."""
    known = percentiles[~np.isnan(percentiles[:, 0])]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    low, high = np.floor(low * 10) / 10, np.ceil(high * 10) / 10
    if high <= low:
        high = low + 0.1
    step = _step(high - low)
    ticks = np.arange(np.ceil(low / step - 1e-9) * step, high + 1e-9, step)
    at = (np.arange(len(percentiles)) + 0.5) / len(percentiles)
    drawn = ~np.isnan(percentiles[:, 0])
    x, y = _places(at, percentiles, low, high)
    parts = _frame("cosine by turn", "turn", (1, turns), [(v, f"{v + 0.0:.1f}") for v in ticks],
                   (low, high))  # fmt: skip
    for name, upper, lower in (("range", 4, 0), ("most", 3, 1)):
        there = [*zip(x[drawn], y[drawn, upper], strict=True)]
        back = [*zip(x[drawn], y[drawn, lower], strict=True)][::-1]
        parts.append(f'<polygon class="{name}" points="{_points(there + back)}"/>')
    line = _points([*zip(x[drawn], y[drawn, 2], strict=True)])
    return "".join([*parts, f'<polyline class="median" points="{line}"/></svg>'])


def losses(epochs: Sequence[Mapping[str, Any]]) -> str:
    """Draw "loss" and, where there is one, "val_loss" of each epoch as an <svg> element."""
    values = np.array(
        [[row.get(name, np.nan) for name in ("loss", "val_loss")] for row in epochs], np.float64
    )
    values = np.where(np.isfinite(values), values, np.nan)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, low + 0.5
    ticks = [(value, f"{value:.3g}") for value in np.linspace(low, high, 5)]
    parts = _frame("loss by epoch", "epoch", (1, len(epochs)), ticks, (low, high))
    x, y = _places(np.linspace(0, 1, len(epochs)), values, low, high)
    for column, name in enumerate(("median", "other")):
        there = np.isfinite(y[:, column])
        if there.any():
            line = _points([*zip(x[there], y[there, column], strict=True)])
            parts.append(f'<polyline class="{name}" points="{line}"/>')
    return "".join([*parts, "</svg>"])


_RIGHT, _FLOOR = _WIDTH - 8, _HEIGHT - _BOTTOM


def _places(
    at: NDArray[np.float64], values: NDArray[np.float64], low: float, high: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where values (n, k) lie in the drawing, ``at`` (n,) being from 0 to 1."""
    x = _LEFT + at * (_RIGHT - _LEFT)
    return x, _FLOOR - (values - low) / (high - low) * (_FLOOR - _TOP)


def _frame(
    title: str,
    along: str,
    ends: tuple[int, int],
    ticks: Sequence[tuple[float, str]],
    limits: tuple[float, float],
) -> list[str]:
    """Return the opened element: grid, numbers at the left, the first and last turn below."""
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}"'
        ' xmlns="http://www.w3.org/2000/svg">'
    ]
    for value, text in ticks:
        _, at = _places(np.zeros(1), np.array([[value]]), *limits)
        y = at[0, 0]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for where, end, anchor in ((_LEFT, ends[0], "start"), (_RIGHT, ends[1], "end")):
        parts.append(f'<text x="{where}" y="{_FLOOR + 20}" text-anchor="{anchor}">{end:,}</text>')
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{along}</text>')
    return parts


def _step(span: float) -> float:
    """Return the distance of two lines of the grid: from 0.1, so that there are some five."""
    return next(step for step in (0.1, 0.2, 0.5) if span / step <= 6)


def _points(pairs: list[tuple[Any, Any]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)
