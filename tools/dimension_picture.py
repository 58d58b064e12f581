"""Draws the picture of docs/choosing-d.md, and fills its table: one GTN for each d.

    python tools/dimension_picture.py IMAGES [--n 15000] [--epochs 12]

IMAGES: a training split as ``gtn_fast.images.load_images`` reads it; the page has MNIST's. For each
d the first d principal components of n of the images, standardised, are what a GTN of default
settings learns; 2,000 other images are what its samples are compared with.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from result_tables import replaced
from small_picture import save_small

from gtn_fast.images import load_images
from gtn_fast.learn import GTN
from gtn_fast.learn.verdict import ROWS, judge
from gtn_fast.metrics.points import intrinsic_dimension
from gtn_fast.plots import INK

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, FILE = DOCS / "choosing-d.md", DOCS / "figures" / "choosing-d.png"
DIMENSIONS = (2, 4, 8, 16, 32, 64)
COLORS = 64  # of the file
Array = NDArray[Any]


@dataclass
class Found:
    """What was measured at one d. ``left_out``: share of the images' variance beyond d."""

    d: int
    left_out: float
    cosine: float
    deviation: float
    plain: float
    calibrated: float
    normals: float
    data: float


def measured(pixels: Array, d: int, n: int, epochs: int) -> Found:
    """Fit a GTN to d principal components of n rows of pixels; compare with 2,000 others."""
    centred = pixels - pixels.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(centred.T))
    z = centred @ axes[:, ::-1][:, :d] / np.sqrt(values[::-1][:d])
    x, held_out = z[:n].astype(np.float32), z[n : n + ROWS].astype(np.float32)
    gtn = GTN(d, epochs=epochs)
    gtn.fit(x, progress=False)
    assert gtn.scaling is not None
    assert gtn.labels is not None
    x, held_out = gtn.scaling.apply(x), gtn.scaling.apply(held_out)
    verdicts = []
    for calibration in (None, gtn.calibration):
        gtn.calibration = calibration
        verdicts.append(judge(gtn.scaling.apply(gtn.sample(ROWS, 1)), x, held_out, 1))
    plain, calibrated = verdicts
    cosine = float(gtn.labels.cosine.mean())
    left_out = 1 - float(values[::-1][:d].sum() / values.sum())
    return Found(d, left_out, cosine, plain.deviation, plain.samples, calibrated.samples,
                 plain.normals, plain.data)  # fmt: skip


def draw(found: list[Found]) -> Figure:
    """Draw what a small d leaves out, what a large one shrinks, and what that does to samples."""
    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    d = [each.d for each in found]
    left.plot(d, [each.deviation for each in found], "o-", color="C0",
              label="deviation of ĥ's points (the data's: 1)")  # fmt: skip
    left.plot(d, [each.cosine for each in found], "s--", color="C2", label="mean cosine of a pair")
    left.plot(d, [each.left_out for each in found], "^:", color="C3",
              label="share of the images left out")  # fmt: skip
    left.set(ylim=(0, 1.05))
    for name, style in (("plain", "C0o-"), ("calibrated", "C1o-"), ("normals", "C7s--"),
                        ("data", "k^:")):  # fmt: skip
        label = {"plain": "ĥ as it is", "calibrated": "calibrated", "normals": "plain normals",
                 "data": "training rows"}[name]  # fmt: skip
        right.plot(d, [getattr(each, name) for each in found], style, label=label)
    right.set(ylabel="energy distance to held-out rows", ylim=(0, None))
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(d, [str(each) for each in d])
        axes.set_xlabel("d")
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def table(found: list[Found]) -> list[str]:
    """Return the numbers as rows of a Markdown table."""
    lines = ["| d | images left out | mean cosine | deviation of ĥ | energy: ĥ as it is |"
             " calibrated | plain normals | training rows |", "|---:|" + "---:|" * 7]  # fmt: skip
    for each in found:
        lines.append(
            f"| {each.d} | {each.left_out:.0%} | {each.cosine:.2f} | {each.deviation:.2f} |"
            f" {each.plain:.3f} | {each.calibrated:.3f} | {each.normals:.3f} | {each.data:.3f} |"
        )
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Measure every d, write the table into the page, and the picture beside it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("images")
    parser.add_argument("--n", type=int, default=15_000)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args(arguments)
    images = load_images(options.images, limit=options.n + ROWS).images
    pixels = images.reshape(len(images), -1).astype(np.float64) / 255
    print(f"intrinsic dimension of {len(pixels):,} images: {intrinsic_dimension(pixels):.1f}")
    found = []
    for d in DIMENSIONS:
        found.append(measured(pixels, d, options.n, options.epochs))
        print(found[-1], flush=True)
    page = replaced(PAGE.read_text(encoding="utf-8"), "choosing-d", table(found))
    PAGE.write_text(page, encoding="utf-8")
    save_small(draw(found), FILE, dpi=110, colors=COLORS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
