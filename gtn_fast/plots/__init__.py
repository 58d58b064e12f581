"""Pictures (needs matplotlib: the extra ``plots``).

    matching.py   a matching: pairs, colours carried over, cosine by rank
    timings.py    the benchmark's bars
    base.py       save, colours, the empty figure

Every function returns a matplotlib Figure and touches no global state; ``save``
writes one to a file, atomically. Importing this package does not import matplotlib.
"""

from gtn_fast.plots.base import DATA, FAINT, INK, PALETTE, SOURCE, save
from gtn_fast.plots.matching import (
    colors_of,
    cosine_by_rank,
    digit_strip,
    matching_by_color,
    numbered_pairs,
)
from gtn_fast.plots.timings import bench_chart

__all__ = [
    "DATA",
    "FAINT",
    "INK",
    "PALETTE",
    "SOURCE",
    "bench_chart",
    "colors_of",
    "cosine_by_rank",
    "digit_strip",
    "matching_by_color",
    "numbered_pairs",
    "save",
]
