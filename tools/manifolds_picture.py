"""Draws the pictures of docs/manifolds.md: images of each set of known shape, and diagrams.

python tools/manifolds_picture.py    writes docs/figures/manifolds.png and manifolds-diagrams.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from small_picture import save_small

from gtn_fast.cli.shapes import diagrams
from gtn_fast.manifolds import MANIFOLDS, Manifold, manifold
from gtn_fast.metrics.topology import topology
from gtn_fast.plots import INK

FILE = Path(__file__).resolve().parents[1] / "docs" / "figures" / "manifolds.png"
ROWS = 4_000  # of the torus whose diagrams are drawn
SHOWN = 9  # images of each set
COLORS = 128  # of the file


def walk(m: Manifold) -> NDArray[np.float64]:
    """Return parameters of a walk through the set that ends where it began."""
    turn = np.linspace(0, 2 * np.pi, SHOWN)
    across, down = np.cos(turn), np.sin(turn)
    walks = {
        "disc": (0.9 * across, 0.9 * np.sin(2 * turn)),
        "two-circles": (2 * turn, turn > 3),
        "sphere": (across, 0 * turn, down),
        "torus": (turn + 2, turn + 2),
        # Half a turn brings a line or a grating back, with its other side first.
        "moebius": (turn / 2, 0.8 * np.cos(turn / 2)),
        "klein": (turn / 2, 1.5 * np.cos(turn / 2)),
        "rp2": (np.cos(turn / 2), np.sin(turn / 2) * 0.8, np.sin(turn / 2) * 0.6),
        "so3": (np.cos(turn / 2), np.sin(turn / 2), 0 * turn, np.sin(turn / 2)),
    }
    return np.column_stack(walks.get(m.name, (turn,))).astype(np.float64)


def draw() -> Figure:
    """Draw a walk through each set in a row of its own, its name and Betti numbers beside it."""
    figure = Figure(figsize=(8.2, 8.6), layout="constrained")
    rows = figure.subplots(len(MANIFOLDS), SHOWN)
    for m, row in zip(MANIFOLDS.values(), rows, strict=True):
        for axes, image in zip(row, m.render(torch.from_numpy(walk(m))).numpy(), strict=True):
            shown = image.transpose(1, 2, 0) if m.channels == 3 else image[0]
            axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        betti = " ".join(map(str, m.betti[2]))
        row[0].set_ylabel(
            f"{m.name}\n{betti}", rotation=0, ha="right", va="center", fontsize=9, color=INK
        )
    return figure


def main() -> int:
    """Write the pictures, small."""
    save_small(draw(), FILE, dpi=80, colors=COLORS)
    found = topology(manifold("torus").images(ROWS, 0)[0].reshape(ROWS, -1), repeats=2)
    print(found.betti)
    of_torus = FILE.with_name("manifolds-diagrams.png")
    save_small(diagrams(found), of_torus, dpi=80, colors=COLORS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
