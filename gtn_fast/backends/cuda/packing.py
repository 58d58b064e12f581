"""What the kernels take: rows with their scales, orders by norm, codes in tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gtn_fast.backends.triton import bounds
from gtn_fast.backends.triton.launch import Scaled

TILE = 128  # rows of codes; csrc/cuda/codes.h
BLOCK_ROWS = 256  # of Y's codes, which a program of the screen reads together
_PART = 64  # dimensions that lie together
_CHUNK_VALUES = 1 << 25  # of rows in float64 at a time, on a GPU
_CHUNK_VALUES_HOST = 1 << 20
WORK_BYTES = 6 * 8 * _CHUNK_VALUES  # a chunk and what is made of it on the way to codes
_SAMPLE = 65536  # x's from which centre and scale are taken
_ORDER_SEED = 7


def padded_dimension(d: int) -> int:
    """Return d rounded up to whole steps of the tensor cores."""
    return -(-d // 16) * 16


def bytes_of_codes(rows: int, padded: int) -> int:
    """Return what codes of so many rows take: as many as the programs of the screen read."""
    return -(-rows // BLOCK_ROWS) * BLOCK_ROWS * padded * 2


def scaled(rows: torch.Tensor, loop: Any) -> Scaled:
    """Scale contiguous ``rows`` (n, d), float32 or float64, by ``loop.scales``."""
    n = len(rows)
    largest = torch.empty(n, dtype=torch.float64, device=rows.device)
    inner = torch.empty_like(largest)
    loop.scales(
        rows.data_ptr(), n, rows.stride(0), rows.dtype == torch.float64,
        largest.data_ptr(), inner.data_ptr(),
    )  # fmt: skip
    return Scaled(rows, largest, inner)


def given(x: Scaled) -> dict[str, Any]:
    """Return rows as ``DeviceLoop.run`` takes them."""
    return {
        "data": x.rows.data_ptr(),
        "largest": x.largest.data_ptr(),
        "inner": x.inner.data_ptr(),
        "stride": x.rows.stride(0),
        "is_double": x.rows.dtype == torch.float64,
    }


@dataclass(frozen=True)
class Columns:
    """X's codes, in the random order of ``row`` int32 (columns,), and what they are measured by."""

    codes: torch.Tensor
    row: torch.Tensor
    centre: torch.Tensor
    scale: bounds.Scale


@dataclass(frozen=True)
class Turns:
    """Y's codes in the order of turns, and where a list is complete: ``level_base``.

    A column whose score stays below a threshold t has an exact cosine below
    level_base + t * level_scale: bounds.py.
    """

    codes: torch.Tensor
    level_base: torch.Tensor
    level_scale: float


def _chunks(n: int, d: int, device: torch.device) -> list[slice]:
    values = _CHUNK_VALUES if device.type == "cuda" else _CHUNK_VALUES_HOST
    step = max(1, values // d // TILE) * TILE
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def _buffer(rows: int, padded: int, device: torch.device) -> torch.Tensor:
    return torch.zeros(bytes_of_codes(rows, padded) // 2, dtype=torch.float16, device=device)


def pack(codes: torch.Tensor) -> torch.Tensor:
    """Return fp16 codes (n, padded) in whole tiles as csrc/cuda/codes.h has them, flat."""
    n, padded = codes.shape
    missing = -n % TILE
    if missing:
        codes = torch.cat([codes, codes.new_zeros((missing, padded))])
    tiles = len(codes) // TILE
    parts = [
        codes[:, k : k + _PART]
        .reshape(tiles, TILE // 8, 8, -1, 8)
        .permute(0, 1, 3, 2, 4)
        .reshape(tiles, -1)
        for k in range(0, padded, _PART)
    ]
    return torch.cat(parts, dim=1).reshape(-1)


def columns_of(x: Scaled, rank: torch.Tensor, first: int) -> Columns:
    """Pack the x's whose rank in norm order is at least ``first``."""
    n, d = x.rows.shape
    device = x.rows.device
    generator = torch.Generator(device).manual_seed(_ORDER_SEED)
    row = torch.randperm(n, generator=generator, device=device)
    if first:
        row = row[rank[row] >= first]
    padded = padded_dimension(d)
    sample = bounds.directions(x.rows[row[:_SAMPLE]])
    centre = sample.mean(dim=0)
    scale = bounds.code_scale(sample - centre)
    codes = _buffer(len(row), padded, device)
    norms, residuals = [], []
    for part in _chunks(len(row), d, device):
        made = bounds.encode(bounds.directions(x.rows[row[part]]) - centre, scale, padded)
        packed = pack(made.codes)
        codes[part.start * padded :][: len(packed)] = packed
        norms.append(made.norm.max())
        residuals.append(bounds.column_bound(made).max())
    largest = torch.stack([torch.stack(norms).max(), torch.stack(residuals).max().double()])
    norm, bound = largest.tolist()
    measured = bounds.Scale(scale, norm, bound, d, padded)
    return Columns(codes, row.to(torch.int32), centre, measured)


def turns_of(y: Scaled, order: torch.Tensor, columns: Columns) -> Turns:
    """Pack the rows ``order`` of Y, none of them zero."""
    d = y.rows.shape[1]
    padded, scale = columns.scale.padded, columns.scale
    codes = _buffer(len(order), padded, y.rows.device)
    base = torch.empty(len(order), dtype=torch.float64, device=y.rows.device)
    for part in _chunks(len(order), d, y.rows.device):
        p = bounds.directions(y.rows[order[part]])
        made = bounds.encode(p, bounds.Y_SCALE, padded)
        packed = pack(made.codes)
        codes[part.start * padded :][: len(packed)] = packed
        above = bounds.row_margin(made, scale) + scale.largest_bound
        base[part] = bounds.level(above, p @ columns.centre, scale)
    return Turns(codes, base, 1.0 / (bounds.Y_SCALE * scale.scale))
