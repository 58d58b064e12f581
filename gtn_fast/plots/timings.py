"""Pictures of timings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gtn_fast.plots.base import FAINT, INK, PALETTE, bare, new_figure
from gtn_fast.plots.texts import ratio_text, seconds_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bench_chart(rows: Sequence[Any], caption: str) -> Figure:
    """Draw the seconds of gtn_fast and its peers (bench.Row), on a logarithmic axis."""
    names = {
        "gtn_fast": "gtn_fast (exact matching)",
        "scipy": "SciPy cKDTree (with replacement)",
        "faiss": "FAISS IndexFlatIP (with replacement)",
        "authors": "authors' loop (extrapolated)",
    }
    figure = new_figure(9.2, 1.4 + 1.15 * len(rows))
    axes = figure.subplots(1, 1)
    shown: set[str] = set()
    ticks = []
    for place, row in enumerate(rows):
        times = {"gtn_fast": row.seconds, **row.peers}
        bars = [name for name in names if times.get(name) is not None]
        ticks.append(place + 0.2 * (len(bars) - 1) / 2)
        for step, name in enumerate(bars):
            color = PALETTE[list(names).index(name)]
            height = place + 0.2 * step
            label = None if name in shown else names[name]
            axes.barh(height, times[name], height=0.17, color=color, label=label)
            text = seconds_text(times[name])
            if name != "gtn_fast":
                text += f"  ({ratio_text(times[name] / row.seconds)})"
            axes.text(times[name] * 1.08, height, text, va="center", fontsize=8, color=INK)
            shown.add(name)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 8)
    axes.set_yticks(ticks, [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("seconds (logarithmic)", color=INK)
    axes.set_title(caption, fontsize=9, color=FAINT, loc="left")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    bare(axes)
    return figure
