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

TILE = 128  # columns are padded to it
GROUPS = (128, 1024)  # columns per group, of which the maximum is taken
_RESIDENT_DIMENSIONS = (16, 32, 64, 128)
_STEP = 64
_PROGRAMS = 2048  # of a launch, at least, if there is so much work
EXACT_ROWS = 32
# No contraction to fused multiply-adds: it would change the answer.
EXACT_OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}


@dataclass(frozen=True)
class Tile:
    """The tile that a program multiplies at a time, with its warps and pipeline stages."""

    rows: int
    cols: int
    warps: int
    stages: int


@dataclass(frozen=True)
class Configuration:
    """How the two screening kernels run at one padded dimension.

    ``resident``: a tile's y's are loaded once, with all their coordinates (``step`` of them);
    else y's and x's are loaded ``step`` coordinates at a time. The tiles were the quickest on
    an H200 (docs/gpu.md).
    """

    step: int
    resident: bool
    maxima: Tile
    survivors: Tile = Tile(64, 128, 4, 2)


_NARROW = Tile(128, 128, 4, 3)
CONFIGURATIONS = (
    Configuration(16, True, _NARROW),
    Configuration(32, True, _NARROW),
    Configuration(64, True, _NARROW),
    Configuration(128, True, Tile(256, 64, 8, 3)),
    Configuration(_STEP, False, Tile(256, 128, 8, 3)),
)


def configuration(d: int) -> Configuration:
    """Return the configuration for data of dimension d."""
    for each in CONFIGURATIONS:
        if each.resident and d <= each.step:
            return each
    return CONFIGURATIONS[-1]


def padded_dimension(d: int) -> int:
    """Return d rounded up to whole steps: the columns of a buffer of codes."""
    step = configuration(d).step
    return -(-d // step) * step


def interpreted() -> bool:
    """Tell whether kernels run in Triton's interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def kernels() -> ModuleType:
    """Return the module of the compiled (or interpreted) kernels."""
    from gtn_fast.backends.triton import kernels as module

    return module


@contextlib.contextmanager
def on(device: torch.device) -> Iterator[None]:
    """Make ``device`` the one that Triton launches on."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            yield
    else:
        yield


def options(tile: Tile) -> dict[str, int]:
    """Return Triton's options for a tile."""
    return {"num_warps": tile.warps, "num_stages": tile.stages}


def meta(chosen: Configuration, tile: Tile, group: int) -> dict[str, Any]:
    """Return the kernel's constants; ``tile`` is one of the configuration's."""
    return {
        "BM": tile.rows,
        "BN": tile.cols,
        "BK": chosen.step,
        "PER": group // tile.cols,
        "RESIDENT": chosen.resident,
    }


def group_maxima(
    y: torch.Tensor, x: torch.Tensor, offset: torch.Tensor, group: int, d: int
) -> torch.Tensor:
    """Return maxima of score + offset over groups of ``group`` columns, float32 (groups, rows).

    ``y`` (rows, dp) fp16, rows in whole tiles of the configuration; ``x`` (columns, dp) fp16,
    in tiles of ``TILE``; ``offset`` float32, one per column; the last group may be smaller.
    """
    chosen = configuration(d)
    tile = chosen.maxima
    n_tiles = len(x) // tile.cols
    groups = -(-len(x) // group)
    row_tiles = len(y) // tile.rows
    at_once = max(1, min(8, groups * row_tiles // _PROGRAMS))  # groups of one program
    out = torch.empty((groups, len(y)), dtype=torch.float32, device=y.device)
    with on(y.device):
        kernels().group_maxima[(row_tiles, -(-groups // at_once))](
            y, x, offset, out, n_tiles, at_once * (group // tile.cols),
            y.shape[1] // chosen.step, y.shape[1], len(y),
            **meta(chosen, tile, group), **options(tile),
        )  # fmt: skip
    return out


@dataclass
class Slots:
    """What the kernel fills: ``capacity`` places per row, int32 columns and float32 values.

    ``count`` (rows,) int32: how many passed, which may be more than there are places.
    """

    count: torch.Tensor
    cols: torch.Tensor
    values: torch.Tensor

    def pick(self, at: torch.Tensor) -> Slots:
        """Return the places of these rows."""
        return Slots(self.count[at], self.cols[at], self.values[at])

    @staticmethod
    def empty(rows: int, capacity: int, device: torch.device) -> Slots:
        """Return empty places for ``rows`` rows."""
        return Slots(
            torch.zeros(rows, dtype=torch.int32, device=device),
            torch.empty((rows, capacity), dtype=torch.int32, device=device),
            torch.empty((rows, capacity), dtype=torch.float32, device=device),
        )


@dataclass(frozen=True)
class GroupRows:
    """The rows that look into each group of columns.

    ``row`` int64: the rows of group 0, then those of group 1, ...; ``start`` int64
    (groups + 1,): where the rows of each group begin; ``most``: the most rows of one group.
    """

    row: torch.Tensor
    start: torch.Tensor
    most: int

    @staticmethod
    def of(wanted: torch.Tensor) -> GroupRows:
        """Make it from a bool matrix (groups, rows)."""
        row = wanted.nonzero()[:, 1].contiguous()
        size = wanted.sum(dim=1)
        start = torch.zeros(len(size) + 1, dtype=torch.int64, device=row.device)
        torch.cumsum(size, 0, out=start[1:])
        return GroupRows(row, start, int(size.max()))


def survivors(
    y: torch.Tensor,
    x: torch.Tensor,
    offset: torch.Tensor,
    threshold: torch.Tensor,
    pairs: GroupRows,
    slots: Slots,
    first_col: int,
    group: int,
    d: int,
) -> None:
    """Append to ``slots`` every column whose score + offset reaches the row's threshold.

    A row looks only into the groups (of ``group`` columns) that ``pairs`` has for it. Shapes
    as for ``group_maxima``; ``threshold`` float32, one per row; columns of ``x`` count from
    ``first_col``.
    """
    if not pairs.most:
        return
    chosen = configuration(d)
    tile = chosen.survivors
    with on(y.device):
        kernels().survivors[(len(pairs.start) - 1, -(-pairs.most // tile.rows))](
            y, x, offset, threshold, pairs.start, pairs.row, slots.count, slots.cols,
            slots.values, len(x) // tile.cols, y.shape[1] // chosen.step, y.shape[1],
            slots.cols.shape[1], first_col, **meta(chosen, tile, group), **options(tile),
        )  # fmt: skip


def row_scales(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return m and n of direction.h for rows (n, d) of float32 or float64: float64 (n,) each."""
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
    """Rows as they are stored, with what turns them into directions: m and n of direction.h."""

    rows: torch.Tensor
    largest: torch.Tensor
    inner: torch.Tensor

    @staticmethod
    def of(rows: torch.Tensor) -> Scaled:
        """Scale ``rows`` (n, d), float32 or float64."""
        rows = rows.contiguous()
        return Scaled(rows, *row_scales(rows))

    @property
    def norm(self) -> torch.Tensor:
        """The norms as order.h has them, float64 (n,)."""
        return self.largest * self.inner


def exact_cosines(x: Scaled, y: Scaled, lists: torch.Tensor) -> torch.Tensor:
    """Return exact cosines, float64 (n, k), of row i of ``y`` with the rows lists[i] of ``x``.

    ``lists`` int64 (n, k), n the rows of ``y``; -inf where it is -1.
    """
    lists = lists.contiguous()
    out = torch.empty(lists.shape, dtype=torch.float64, device=lists.device)
    if out.numel():
        with on(out.device):
            kernels().exact_cosines[(-(-out.numel() // EXACT_ROWS),)](
                x.rows, x.largest, x.inner, y.rows, y.largest, y.inner, lists, out,
                out.numel(), lists.shape[1], x.rows.shape[1], x.rows.stride(0),
                y.rows.stride(0), PAIRS=EXACT_ROWS, **EXACT_OPTIONS,
            )  # fmt: skip
    return out
