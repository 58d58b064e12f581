"""What stays on the device, what is streamed: a pure function of sizes."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ROWS = 2**31 - 2**16  # columns are counted in 32 bits with sign
_RESERVE = 0.1  # of the free memory, for torch's allocator and what we do not count
_WORK_BYTES = 2**32  # maxima of groups, places of survivors, a chunk of rows in float64
_PANELS = 2  # buffers of a stream: one is filled while the other is read
_LARGEST_PANEL_BYTES = 2**30
_COLUMN_BYTES = 48  # two offsets, class, place and row, and copies while they are repacked


@dataclass(frozen=True)
class Residence:
    """``codes_stay``: all codes are on the device; else they come in panels of ``panel_cols``.

    ``rows_stay``: the rows of X and Y as stored are there too, and candidates are evaluated
    there. ``work_bytes``: what a search may use. ``bytes``: all of these together.
    """

    codes_stay: bool
    rows_stay: bool
    panel_cols: int
    work_bytes: int
    bytes: int


def decide(free: int, n_x: int, padded: int, rows: int, tile: int) -> Residence:
    """Decide for ``free`` bytes of device memory.

    ``n_x`` columns of ``padded`` fp16 codes; ``rows``: bytes of those rows of X and Y, as they
    are stored, that are not on the device anyway; ``tile``: columns come in multiples of it.
    Raises MemoryError, with both numbers, if not even a stream fits, and ValueError for
    more rows than the kernels can count.
    """
    if n_x > MAX_ROWS:
        raise ValueError(f"X has {n_x} rows; a GPU takes at most {MAX_ROWS}, device='cpu' more")
    room = int(free * (1 - _RESERVE))
    cols = -(-n_x // tile) * tile
    codes = cols * padded * 2
    columns = cols * _COLUMN_BYTES
    rows += n_x * 16  # two scales per row
    work = min(_WORK_BYTES, max(room // 4, 2**20))
    fixed = columns + work
    if fixed + codes + rows <= room:
        return Residence(True, True, cols, work, fixed + codes + rows)
    if fixed + codes <= room:
        return Residence(True, False, cols, work, fixed + codes)
    tile_bytes = tile * padded * 2
    panel = min((room - fixed) // _PANELS, _LARGEST_PANEL_BYTES) // tile_bytes * tile
    if panel < tile:
        needed = int((fixed + _PANELS * tile_bytes) / (1 - _RESERVE)) + 1
        raise MemoryError(
            f"labeling {n_x} rows on this device needs at least {needed} bytes of its memory,"
            f" but only {free} are free; device='cpu' gives the same answer"
        )
    panel = min(panel, cols)
    return Residence(False, False, panel, work, fixed + _PANELS * panel * padded * 2)
