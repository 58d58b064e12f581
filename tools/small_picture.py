"""Pictures of the documents, small enough for a repository."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image


def save_small(figure: Figure, file: Path, *, dpi: int, colors: int) -> None:
    """Write a figure as .png of so many colours, and say how large it is."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, facecolor="white")
    with Image.open(drawn) as image:
        small = image.convert("RGB").quantize(colors, dither=Image.Dither.NONE)
        small.save(file, optimize=True)
    print(f"{file.name}: {file.stat().st_size / 1e3:.0f} kB")
