"""Rows that a library unpacks: block by block, when they are asked for, never all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.matrices import RowMatrix
from gtn_fast.inputs.wording import first_line

BLOCK_BYTES = 1 << 22  # about what is unpacked at once
_PLACES_LOOKED_AT = 8


class Packed(RowMatrix):
    """A matrix of a file that is not mapped; ``raw_shape`` may have more than two dimensions.

    ``starts``: the rows at which unpacking can begin without unpacking what lies before. A
    format defines ``blocks``; whatever it raises names the file.
    """

    def __init__(
        self,
        path: Path,
        raw_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        starts: NDArray[np.int64] | None = None,
    ) -> None:
        self.path = path
        self.raw_shape = raw_shape
        self.shape = (raw_shape[0], math.prod(raw_shape[1:]))
        self.dtype = dtype
        self.starts = np.zeros(1, np.int64) if starts is None else starts

    def blocks(self, first: int) -> Iterator[NDArray[Any]]:
        """Yield the rows from ``first``, one of ``starts``, to the end: blocks of ``raw_shape``."""
        raise NotImplementedError

    @property
    def block_rows(self) -> int:
        """About how many rows make a block."""
        return max(1, BLOCK_BYTES // max(1, self.shape[1] * self.dtype.itemsize))

    def pieces(self, start: int, stop: int) -> Iterator[NDArray[Any]]:
        """Yield the rows from ``start`` to ``stop`` in order, each piece (rows, d)."""
        if start >= stop:
            return
        at = int(self.starts[np.searchsorted(self.starts, start, side="right") - 1])
        for block in self._named_blocks(at):
            low, high = max(start - at, 0), min(stop - at, len(block))
            at += len(block)
            if low < high:
                yield block[low:high].reshape(high - low, self.shape[1])
            if at >= stop:
                return
        raise FileError(f"{self.path}: is not whole: it promises {len(self)} rows, but holds {at}")

    def spread(self, count: int) -> NDArray[Any]:
        """Return at most so many rows, from the first blocks behind some of ``starts``."""
        few = self.starts[:: max(1, math.ceil(len(self.starts) / _PLACES_LOOKED_AT))]
        share = math.ceil(count / len(few))
        found = []
        for start in few.tolist():
            block = next(self.pieces(start, len(self)), np.empty((0, self.shape[1]), self.dtype))
            found.append(block[:: max(1, math.ceil(len(block) / share))])
        return np.concatenate(found)[:count]

    def _named_blocks(self, first: int) -> Iterator[NDArray[Any]]:
        try:
            yield from self.blocks(first)
        except (FileError, MemoryError):
            raise
        except Exception as error:  # every library has error types of its own
            raise FileError(f"{self.path}: cannot be read: {first_line(error)}") from None

    def _range(self, start: int, stop: int) -> NDArray[Any]:
        out = np.empty((stop - start, self.shape[1]), self.dtype)
        at = 0
        for piece in self.pieces(start, stop):
            out[at : at + len(piece)] = piece
            at += len(piece)
        return out

    def _rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Pick rows in the order of the file: what lies between two ``starts`` is read once."""
        out = np.empty((len(numbers), self.shape[1]), self.dtype)
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        unit = np.searchsorted(self.starts, ordered, side="right") - 1
        for mine in np.split(np.arange(len(order)), np.flatnonzero(np.diff(unit)) + 1):
            if not len(mine):
                continue
            at = int(self.starts[unit[mine[0]]])
            wanted = ordered[mine]
            for piece in self.pieces(at, int(wanted[-1]) + 1):
                low, high = np.searchsorted(wanted, (at, at + len(piece)))
                out[order[mine[low:high]]] = piece[wanted[low:high] - at]
                at += len(piece)
        return out


class Sliced(Packed):
    """An array of a library that reads slices of rows: ``opened`` gives it, open for reading."""

    def __init__(
        self,
        path: Path,
        opened: Callable[[], AbstractContextManager[Any]],
        raw_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        unit_rows: int,
    ) -> None:
        super().__init__(path, raw_shape, dtype)
        self._opened = opened
        self._step = max(1, self.block_rows // unit_rows) * unit_rows
        self.starts = np.arange(0, max(1, len(self)), self._step, dtype=np.int64)

    def blocks(self, first: int) -> Iterator[NDArray[Any]]:
        """Yield slices of as many rows as are stored together, or several times as many."""
        with self._opened() as array:
            for start in range(first, len(self), self._step):
                yield np.asarray(array[start : min(start + self._step, len(self))])
