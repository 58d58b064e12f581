"""What all pictures share: colours, an empty figure, plain axes, an atomic save."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from gtn_fast.outputs.files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]

INK = "#222222"
FAINT = "#9a9a9a"
SOURCE = "#2a6fbb"
DATA = "#d1495b"
PALETTE = ("#2a6fbb", "#d1495b", "#3a9d6e", "#e09f3e", "#7d5ba6")


DPI = 150
_LARGE = 200_000  # bytes of a PNG from which a palette of 256 colours takes its place


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as PNG, whole or not at all.

    A large one is reduced to a palette of 256 colours: photographs and clouds of points
    shrink to a third, and the eye sees no difference.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.08)
    if drawn.tell() > _LARGE:
        drawn = _with_palette(drawn)
    write_file(path, lambda name: name.write_bytes(drawn.getvalue()))


def _with_palette(drawn: io.BytesIO) -> io.BytesIO:
    from PIL import Image  # comes with matplotlib

    made = io.BytesIO()
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(
            256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
        few.save(made, "PNG", optimize=True)
    return made


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of that many inches, of which no global state knows."""
    from gtn_fast.plots.picture import Picture

    return Picture(figsize=(width, height), layout="constrained", facecolor="white")


def bare(axes: Axes) -> None:
    """Take the box off the axes: two spines and the ticks stay."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
