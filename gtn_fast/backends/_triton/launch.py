"""Which configuration of a kernel, its grid, its launch. Imports triton when first used.

With TRITON_INTERPRET=1 in the environment before triton is imported, the same kernels run
in Triton's interpreter on CPU tensors: slow, for tests alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

TILE = 128  # rows of y's and columns of x's of a tile: buffers are padded to it
GROUPS = (16, 128)  # columns of one maximum
_RESIDENT_DIMENSIONS = (16, 32, 64, 128)
_STEP = 64
_TILES = 16  # column tiles of one program
EXACT_ROWS = 32
# Contraction to fused multiply-adds off: the answer depends on it.
EXACT_OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}


@dataclass(frozen=True)
class Configuration:
    """Of the two screening kernels, for one padded dimension.

    ``resident``: the y's of a tile are loaded once, the whole dimension (``step``) at a
    time; else ``step`` coordinates of y's and x's at a time.
    """

    step: int
    resident: bool
    rows: int = TILE
    cols: int = TILE
    warps: int = 8
    stages: int = 3


CONFIGURATIONS = (
    *(Configuration(step, True) for step in _RESIDENT_DIMENSIONS),
    Configuration(_STEP, False),
)


def configuration(d: int) -> Configuration:
    """The configuration for data of dimension d."""
    for each in CONFIGURATIONS:
        if each.resident and d <= each.step:
            return each
    return CONFIGURATIONS[-1]


def padded_dimension(d: int) -> int:
    """The columns of a buffer of codes: whole steps."""
    step = configuration(d).step
    return -(-d // step) * step


def interpreted() -> bool:
    """Tell whether kernels run in Triton's interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def kernels() -> ModuleType:
    """The compiled (or interpreted) kernels."""
    from gtn_fast.backends._triton import kernels as module

    return module


@contextlib.contextmanager
def on(device: torch.device) -> Iterator[None]:
    """Make ``device`` the one that Triton launches on."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            yield
    else:
        yield


def options(chosen: Configuration) -> dict[str, int]:
    """Triton's options."""
    return {"num_warps": chosen.warps, "num_stages": chosen.stages}


def meta(chosen: Configuration) -> dict[str, Any]:
    """The kernel's constants."""
    return {"BM": chosen.rows, "BN": chosen.cols, "BK": chosen.step, "RESIDENT": chosen.resident}


def row_maxima(
    y: torch.Tensor, x: torch.Tensor, offset: torch.Tensor, cols: int, group: int, d: int
) -> torch.Tensor:
    """Maxima of score + offset over groups of ``group`` of the first ``cols`` columns.

    ``y`` (rows, dp) and ``x`` (columns, dp) fp16, rows and ``cols`` whole tiles; ``offset``
    float32, one a column. Returns float32 (rows, cols / group).
    """
    chosen = configuration(d)
    n_tiles = cols // chosen.cols
    tiles = min(_TILES, max(1, n_tiles // 8))
    out = torch.empty((len(y), cols // group), dtype=torch.float32, device=y.device)
    grid = (len(y) // chosen.rows, -(-n_tiles // tiles))
    with on(y.device):
        kernels().row_maxima[grid](
            y, x, offset, out, n_tiles, tiles, y.shape[1] // chosen.step, y.shape[1],
            out.shape[1], GROUP=group, **meta(chosen), **options(chosen),
        )  # fmt: skip
    return out


@dataclass
class Slots:
    """What the kernel fills: ``capacity`` places a row, int32 columns and float32 values.

    ``count`` (rows,) int32: how many passed, which may be more than there are places.
    """

    count: torch.Tensor
    cols: torch.Tensor
    values: torch.Tensor

    @staticmethod
    def empty(rows: int, capacity: int, device: torch.device) -> Slots:
        """Places for ``rows`` rows."""
        return Slots(
            torch.zeros(rows, dtype=torch.int32, device=device),
            torch.empty((rows, capacity), dtype=torch.int32, device=device),
            torch.empty((rows, capacity), dtype=torch.float32, device=device),
        )


def survivors(
    y: torch.Tensor,
    x: torch.Tensor,
    offset: torch.Tensor,
    threshold: torch.Tensor,
    slots: Slots,
    first_col: int,
    d: int,
) -> None:
    """Append to ``slots`` every column whose score + offset reaches the row's threshold.

    Shapes as for ``row_maxima``; ``threshold`` float32, one a row; columns of ``x`` count
    from ``first_col``.
    """
    chosen = configuration(d)
    n_tiles = len(x) // chosen.cols
    tiles = min(_TILES, max(1, n_tiles // 8))
    grid = (len(y) // chosen.rows, -(-n_tiles // tiles))
    with on(y.device):
        kernels().survivors[grid](
            y, x, offset, threshold, slots.count, slots.cols, slots.values, n_tiles, tiles,
            y.shape[1] // chosen.step, y.shape[1], slots.cols.shape[1], first_col,
            **meta(chosen), **options(chosen),
        )  # fmt: skip


def row_scales(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale rows (n, d), float32 or float64: m and n of direction.h, float64 (n,) each."""
    n, d = rows.shape
    largest = torch.empty(n, dtype=torch.float64, device=rows.device)
    inner = torch.empty_like(largest)
    with on(rows.device):
        kernels().row_scales[(-(-n // EXACT_ROWS),)](
            rows, largest, inner, n, d, rows.stride(0), ROWS=EXACT_ROWS, **EXACT_OPTIONS,
        )  # fmt: skip
    return largest, inner


@dataclass(frozen=True)
class Scaled:
    """Rows as they are stored, with what turns them into directions."""

    rows: torch.Tensor
    largest: torch.Tensor
    inner: torch.Tensor

    @staticmethod
    def of(rows: torch.Tensor) -> Scaled:
        """Scale ``rows`` (n, d), float32 or float64."""
        rows = rows.contiguous()
        return Scaled(rows, *row_scales(rows))


def exact_cosines(x: Scaled, y: Scaled, x_row: torch.Tensor, y_row: torch.Tensor) -> torch.Tensor:
    """The exact cosine of each pair of rows: ``x_row``, ``y_row`` int64 (pairs,) to float64."""
    x_row, y_row = x_row.contiguous(), y_row.contiguous()  # numpy.nonzero's are not
    out = torch.empty(len(x_row), dtype=torch.float64, device=x_row.device)
    if len(out):
        with on(out.device):
            kernels().exact_cosines[(-(-len(out) // EXACT_ROWS),)](
                x.rows, x.largest, x.inner, y.rows, y.largest, y.inner, x_row, y_row, out,
                len(out), x.rows.shape[1], x.rows.stride(0), y.rows.stride(0),
                PAIRS=EXACT_ROWS, **EXACT_OPTIONS,
            )  # fmt: skip
    return out
