"""Pictures (needs matplotlib: the extra ``plots``).

    matching.py   a matching: pairs, colours carried over, cosine by rank
    samples.py    generated images and points, interpolations, snapshots of a training
    curves.py     losses by epoch, one quantity by another, bars
    charts.py     points of a set in the plane, by chart or by a number
    geodesics.py  rows of images with words below, histograms
    diagrams.py   persistence diagrams
    timings.py    the benchmark's bars
    texts.py      seconds and ratios in words
    base.py       save, colours, the empty figure
    picture.py    the class of all figures, which a notebook shows

Every function returns a matplotlib Figure and touches no global state; a notebook shows
it as a picture, ``save`` writes it to a file, atomically. Importing this package does not
import matplotlib.
"""

from gtn_fast.plots.base import DATA, FAINT, INK, PALETTE, SOURCE, save
from gtn_fast.plots.charts import chart_points, valued_points
from gtn_fast.plots.curves import bars, lines_by_x, loss_curves
from gtn_fast.plots.diagrams import persistence_diagrams
from gtn_fast.plots.geodesics import captioned_rows, histograms
from gtn_fast.plots.matching import (
    colors_of,
    cosine_by_rank,
    digit_strip,
    matching_by_color,
    numbered_pairs,
)
from gtn_fast.plots.samples import (
    image_grid,
    interpolation_paths,
    interpolation_rows,
    labelled_grids,
    scatter_by_norm,
    training_snapshots,
)
from gtn_fast.plots.timings import bench_chart

__all__ = [
    "DATA",
    "FAINT",
    "INK",
    "PALETTE",
    "SOURCE",
    "bars",
    "bench_chart",
    "captioned_rows",
    "chart_points",
    "colors_of",
    "cosine_by_rank",
    "digit_strip",
    "histograms",
    "image_grid",
    "interpolation_paths",
    "interpolation_rows",
    "labelled_grids",
    "lines_by_x",
    "loss_curves",
    "matching_by_color",
    "numbered_pairs",
    "persistence_diagrams",
    "save",
    "scatter_by_norm",
    "training_snapshots",
    "valued_points",
]
