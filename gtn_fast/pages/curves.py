"""The cosine by turn as a drawing in SVG: no picture beside the page, no script."""

from __future__ import annotations

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
    right, bottom = _WIDTH - 8, _HEIGHT - _BOTTOM
    x = _LEFT + (np.arange(len(percentiles)) + 0.5) / len(percentiles) * (right - _LEFT)
    y = bottom - (percentiles - low) / (high - low) * (bottom - _TOP)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="cosine by turn"'
        ' xmlns="http://www.w3.org/2000/svg">'
    ]
    step = _step(high - low)
    for value in np.arange(np.ceil(low / step - 1e-9) * step, high + 1e-9, step):
        at = bottom - (value - low) / (high - low) * (bottom - _TOP)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value + 0.0:.1f}</text>'
        )
    for where, turn, anchor in ((_LEFT, 1, "start"), (right, turns, "end")):
        parts.append(f'<text x="{where}" y="{bottom + 20}" text-anchor="{anchor}">{turn:,}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">turn</text>')
    drawn = ~np.isnan(y[:, 0])
    for name, upper, lower in (("range", 4, 0), ("most", 3, 1)):
        there = [*zip(x[drawn], y[drawn, upper], strict=True)]
        back = [*zip(x[drawn], y[drawn, lower], strict=True)][::-1]
        parts.append(f'<polygon class="{name}" points="{_points(there + back)}"/>')
    line = _points([*zip(x[drawn], y[drawn, 2], strict=True)])
    parts.append(f'<polyline class="median" points="{line}"/></svg>')
    return "".join(parts)


def _step(span: float) -> float:
    """Return the distance of two lines of the grid: from 0.1, so that there are some five."""
    return next(step for step in (0.1, 0.2, 0.5) if span / step <= 6)


def _points(pairs: list[tuple[Any, Any]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)
