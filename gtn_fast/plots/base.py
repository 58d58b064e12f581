"""What all pictures share: colours, an empty figure, plain axes, an atomic save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from gtn_fast import _files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]

INK = "#222222"
FAINT = "#9a9a9a"
SOURCE = "#2a6fbb"
DATA = "#d1495b"
PALETTE = ("#2a6fbb", "#d1495b", "#3a9d6e", "#e09f3e", "#7d5ba6")


def save(figure: Figure, path: Path) -> None:
    """Writes ``figure`` as PNG, whole or not at all."""
    _files.write(path, lambda name: figure.savefig(name, format="png", dpi=150))


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches, that no global state knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def bare(axes: Axes) -> None:
    """Takes the box off the axes: two spines and the ticks stay."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
