"""The packed free x's: codes, offsets, compaction, and panels that come from the host.

A column is a class of x's (classes.py). Columns lie in random order, so that the best columns
of a y are spread over the groups whose maxima are taken. A column whose rows are all taken is
exhausted: it gets offsets of -inf and is no candidate any more. When an eighth of the columns
are exhausted, the others are moved together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends.triton import bounds, launch
from gtn_fast.backends.triton.classes import Classes
from gtn_fast.backends.triton.memory import Residence
from gtn_fast.backends.triton.rows import StoredRows

_ORDER_SEED = 7
_SAMPLE = 65536  # x's from which centre and scale are taken
_COMPACT_SHARE = 8  # an eighth exhausted: 7 % more columns on average, 8 n columns copied in all


class Columns:
    """Codes of the free x's on ``device``, or on the host where they do not fit.

    ``count`` columns; ``low`` and ``high`` (whole tiles,) float32 on the device: -bound and
    +bound of a column, -inf where it is exhausted or padding; ``class_of`` and ``head``
    (count,) int64 on the device: the class of a column and the first free row of it.
    """

    def __init__(
        self,
        get: StoredRows,
        classes: Classes,
        d: int,
        residence: Residence,
        device: torch.device,
    ) -> None:
        self.device = device
        self.residence = residence
        self.classes = classes
        self.compactions = 0
        self.panels_read = 0
        self._panels: list[torch.Tensor] = []
        self._copying: torch.cuda.Stream | None = None
        self.count = len(classes)
        self._exhausted = 0
        generator = torch.Generator(device).manual_seed(_ORDER_SEED)
        self.class_of = torch.randperm(self.count, generator=generator, device=device)
        self._column_of = torch.empty_like(self.class_of)
        self.head = self.class_of
        if not classes.single:
            self.head = self._device(classes.heads(self.class_of.cpu().numpy()))
        self._number()
        padded = launch.padded_dimension(d)
        self._codes = self._buffer(self.count, padded)
        sample = bounds.directions(get(self.head[:_SAMPLE]))
        self.centre = sample.mean(dim=0)
        self.scale = bounds.Scale(bounds.code_scale(sample - self.centre), 0.0, 0.0, d, padded)
        self.low = self._offsets(self.count)
        self.high = self._offsets(self.count)
        step = get.chunks()[0].stop
        for begin in range(0, self.count, step):
            self._encode(get, begin, min(begin + step, self.count))
        if not residence.codes_stay:
            self._start_stream(padded)

    def _device(self, array: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def _number(self) -> None:
        """Set the column of every class from the class of every column."""
        self._column_of[self.class_of] = torch.arange(self.count, device=self.device)

    def _buffer(self, cols: int, padded: int) -> torch.Tensor:
        """Return zeroed codes for whole tiles of columns, on the device or on the host."""
        size = (_whole_tiles(cols), padded)
        if self.residence.codes_stay:
            return torch.zeros(size, dtype=torch.float16, device=self.device)
        pinned = self.device.type == "cuda"
        return torch.zeros(size, dtype=torch.float16, device="cpu", pin_memory=pinned)

    def _offsets(self, cols: int) -> torch.Tensor:
        return torch.full(
            (_whole_tiles(cols),), -torch.inf, dtype=torch.float32, device=self.device
        )

    def _encode(self, get: StoredRows, begin: int, end: int) -> None:
        values = bounds.directions(get(self.head[begin:end])) - self.centre
        made = bounds.encode(values, self.scale.scale, self.scale.padded)
        bound = bounds.column_bound(made)
        self._codes[begin:end].copy_(made.codes)
        self.low[begin:end] = -bound
        self.high[begin:end] = bound
        self.scale = replace(
            self.scale,
            largest_norm=max(self.scale.largest_norm, float(made.norm.max())),
            largest_bound=max(self.scale.largest_bound, float(bound.max())),
        )

    # ------------------------------------------------------------------ what is free

    @property
    def free(self) -> int:
        """Columns that are not exhausted."""
        return self.count - self._exhausted

    def take(self, rows: NDArray[np.int64]) -> None:
        """Take note that these rows of X are not free any more."""
        gone, more, heads = self.classes.take(rows)
        if len(more):
            self.head[self._column_of[self._device(more)]] = self._device(heads)
        if not len(gone):
            return
        at = self._column_of[self._device(gone)]
        self.low[at] = -torch.inf
        self.high[at] = -torch.inf
        self._exhausted += len(gone)
        if self._exhausted * _COMPACT_SHARE >= self.count and self.free:
            self._compact()

    def _compact(self) -> None:
        """Move the free columns to the front, in place and in order."""
        keep = (self.low[: self.count] > -torch.inf).nonzero()[:, 0]
        self.count = len(keep)
        self.class_of = self.class_of[keep]
        self.head = self.class_of if self.classes.single else self.head[keep]
        self._number()
        # keep[i] >= i, so every place is read before it is overwritten.
        step = max(launch.TILE, (1 << 26) // (2 * self.scale.padded))
        source = keep.to(self._codes.device)
        for i in range(0, self.count, step):
            self._codes[i : i + step][: len(source[i : i + step])] = self._codes[
                source[i : i + step]
            ]
        end = _whole_tiles(self.count)
        self._codes[self.count : end] = 0
        self._codes = self._codes[:end]
        if not self.residence.codes_stay and end <= 2 * self.residence.panel_cols:
            self._settle()
        for name in ("low", "high"):
            offsets = self._offsets(self.count)
            offsets[: self.count] = getattr(self, name)[keep]
            setattr(self, name, offsets)
        self._exhausted = 0
        self.compactions += 1

    def _settle(self) -> None:
        """Keep all codes on the device from now on: they fit where the panels were."""
        self._panels.clear()
        self._codes = self._codes.to(self.device)
        self.residence = replace(self.residence, codes_stay=True)

    # ------------------------------------------------------------------ panels

    def _start_stream(self, padded: int) -> None:
        size = (self.residence.panel_cols, padded)
        self._panels = [
            torch.zeros(size, dtype=torch.float16, device=self.device) for _ in range(2)
        ]
        if self.device.type == "cuda":
            self._copying = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    def panels(self) -> Iterator[tuple[torch.Tensor, int]]:
        """Yield (codes, first column) of panels, whole tiles each.

        What the caller launches on a panel before asking for the next may still run while
        the one after is copied; the buffer of a panel is not filled again before it ended.
        """
        end = _whole_tiles(self.count)
        if self.residence.codes_stay:
            yield self._codes[:end], 0
            return
        width = self.residence.panel_cols
        starts = range(0, end, width)
        free: list[torch.cuda.Event | None] = [None, None]
        ready = self._fetch(0, 0, min(width, end), None)
        for i, first in enumerate(starts):
            cols = min(width, end - first)
            following = first + width
            arrived = ready
            if following < end:
                other = (i + 1) % 2
                ready = self._fetch(other, following, min(width, end - following), free[other])
            if arrived is not None:
                torch.cuda.current_stream(self.device).wait_event(arrived)
            yield self._panels[i % 2][:cols], first
            if self._copying is not None:
                free[i % 2] = torch.cuda.current_stream(self.device).record_event()

    def _fetch(
        self, buffer: int, first: int, cols: int, when: torch.cuda.Event | None
    ) -> torch.cuda.Event | None:
        """Copy a panel into a buffer, after ``when``; return the event of its arrival."""
        self.panels_read += 1
        source = self._codes[first : first + cols]
        if self._copying is None:
            self._panels[buffer][:cols] = source
            return None
        if when is None:  # an earlier search may still read this buffer
            when = torch.cuda.current_stream(self.device).record_event()
        with torch.cuda.stream(self._copying):
            self._copying.wait_event(when)
            self._panels[buffer][:cols].copy_(source, non_blocking=True)
            arrival: torch.cuda.Event = self._copying.record_event()
            return arrival


def _whole_tiles(cols: int) -> int:
    return -(-cols // launch.TILE) * launch.TILE
