"""The class of our figures. Imports matplotlib."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

_SCREEN_DPI = 100


class Picture(Figure):
    """A Figure that a notebook shows as it is, though pyplot knows nothing of it."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=_SCREEN_DPI, bbox_inches="tight")
        return drawn.getvalue()
