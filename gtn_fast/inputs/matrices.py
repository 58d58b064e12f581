"""Matrices that are not one array: several files in one, numbers drawn, a tensor on a GPU.

All of them give rows by slices or row numbers, as an array does. The engine reads several files
(``Stacked``) where they lie, if they have its types, and makes drawn numbers (``sample.Drawn``)
as it needs them. The GPU backend computes on a tensor (``Held``) where it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Makes an array of a shape and type, in memory or in a file.
Allocate: TypeAlias = Callable[[tuple[int, int], np.dtype[Any]], NDArray[Any]]


_AT_ONCE = 1 << 20  # numbers copied at once


class RowMatrix:
    """Rows on demand: ``shape``, ``dtype``, ``len`` and indexing by slices or row numbers."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.shape[0] * self.shape[1]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Return these rows as one array; one of them as a vector; (rows, columns) as an array."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._range(start, max(start, stop))
            rows = np.arange(start, stop, step)
        elif isinstance(rows, tuple):
            return self[rows[0]][(..., *rows[1:])]
        numbers = np.asarray(rows)
        if numbers.dtype == np.bool_:
            numbers = np.flatnonzero(numbers)
        if numbers.ndim > 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise TypeError("rows are asked for by a slice or by a list of their numbers")
        numbers = numbers.astype(np.int64)
        if numbers.size and not -len(self) <= int(numbers.min()) <= int(numbers.max()) < len(self):
            raise IndexError(f"there are {len(self)} rows, from 0 to {len(self) - 1}")
        found = self._rows(np.where(numbers < 0, numbers + len(self), numbers).reshape(-1))
        return found if numbers.ndim else found[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it, in memory."""
        if copy is False:
            raise ValueError("these rows lie in several places: an array of them is a copy")
        whole = self._range(0, len(self))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def for_engine(self) -> Any:
        """Return what the engine takes in place of an array of these rows."""
        return np.asarray(self)

    def pieces(self, start: int, stop: int) -> Iterator[NDArray[Any]]:
        """Yield the rows from ``start`` to ``stop`` in order, in as many pieces as is best."""
        yield self._range(start, stop)

    def spread(self, count: int) -> NDArray[Any]:
        """Return at most so many rows, evenly spaced, or near to that where that is costly."""
        return self[:: max(1, math.ceil(len(self) / count))]

    def _range(self, start: int, stop: int) -> NDArray[Any]:
        return self._rows(np.arange(start, stop, dtype=np.int64))

    def _rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        raise NotImplementedError


class Stacked(RowMatrix):
    """Arrays of real numbers (n_i, ...), one below the other; nothing is copied before it is read.

    They may differ in dtype and layout: rows are given as ``dtype``, whatever has more
    dimensions in one row. ``fits``: the engine can read all parts where they lie.
    """

    def __init__(self, parts: Sequence[Any], dtype: np.dtype[Any] | None = None) -> None:
        self.parts = list(parts)
        self._first = np.concatenate(([0], np.cumsum([len(part) for part in parts])))
        self.dtype = parts[0].dtype if dtype is None else dtype
        self.shape = (int(self._first[-1]), math.prod(parts[0].shape[1:]))

    @property
    def fits(self) -> bool:
        """Whether the engine can read all parts where they lie."""
        return not self.copy_bytes

    @property
    def copy_bytes(self) -> int:
        """The bytes that ``converted`` allocates."""
        odd = sum(len(part) for part in self.parts if not self._conforms(part))
        return odd * self.shape[1] * self.dtype.itemsize

    def converted(self, allocate: Allocate = np.empty) -> Stacked | NDArray[Any]:
        """Return the same rows as the engine reads them: parts that fit are not copied."""
        if self.fits:
            return self if len(self.parts) > 1 else self.parts[0]
        if not any(self._conforms(part) for part in self.parts):
            whole = allocate(self.shape, self.dtype)
            self._copy(0, len(self), whole)
            return whole
        parts = []
        for part in self.parts:
            if not self._conforms(part):
                rows = allocate((len(part), self.shape[1]), self.dtype)
                self._copy_part(part, 0, len(part), rows)
                part = rows
            parts.append(part)
        return Stacked(parts)

    def spread(self, count: int) -> NDArray[Any]:
        """Return at most so many rows, each part giving its share."""
        if not any(isinstance(part, RowMatrix) for part in self.parts):
            return super().spread(count)
        found = []
        for part in self.parts:
            share = math.ceil(count * len(part) / max(1, len(self)))
            step = max(1, math.ceil(len(part) / max(1, share)))
            some = part.spread(share) if isinstance(part, RowMatrix) else part[::step]
            found.append(self._as_rows(some))
        return np.concatenate(found)[:count]

    def for_engine(self) -> list[NDArray[Any]]:
        """Return the parts: the engine reads each where it lies."""
        return self.parts

    def _conforms(self, part: Any) -> bool:
        if isinstance(part, RowMatrix):
            return False
        return part.ndim == 2 and part.dtype == self.dtype and conforms(part)

    def _as_rows(self, some: NDArray[Any]) -> NDArray[Any]:
        out = np.empty((len(some), self.shape[1]), self.dtype)
        with np.errstate(over="ignore"):  # longdouble beyond float64: found as infinity
            out[:] = decoded(some).reshape(out.shape)
        return out

    def _range(self, start: int, stop: int) -> NDArray[Any]:
        out = np.empty((stop - start, self.shape[1]), self.dtype)
        self._copy(start, stop, out)
        return out

    def _copy(self, start: int, stop: int, out: NDArray[Any]) -> None:
        first = int(np.searchsorted(self._first, start, side="right")) - 1
        for p in range(first, len(self.parts)):
            begin = int(self._first[p])
            if begin >= stop:
                break
            low, high = max(start, begin), min(stop, int(self._first[p + 1]))
            rows = out[low - start : high - start]
            self._copy_part(self.parts[p], low - begin, high - begin, rows)

    def _copy_part(self, part: Any, start: int, stop: int, out: NDArray[Any]) -> None:
        """Copy rows of a part, little by little: what it takes to read them is soon let go."""
        step = max(1, _AT_ONCE // max(1, self.shape[1]))
        packed = isinstance(part, RowMatrix)
        pieces = (
            part.pieces(start, stop)
            if packed
            else (part[i : min(i + step, stop)] for i in range(start, stop, step))
        )
        at = 0
        for piece in pieces:
            out[at : at + len(piece)] = self._as_rows(piece)
            at += len(piece)

    def _rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        out = np.empty((len(numbers), self.shape[1]), self.dtype)
        owner = np.searchsorted(self._first, numbers, side="right") - 1
        for p in np.unique(owner).tolist():
            mine = owner == p
            out[mine] = self._as_rows(self.parts[p][numbers[mine] - self._first[p]])
        return out


class Held(RowMatrix):
    """A torch tensor (n, d) on a device that is not the host; rows come from there when asked for.

    ``dtype``: float32 or float64, whatever the tensor's own is (integers, float16, bfloat16).
    """

    def __init__(self, tensor: Any, dtype: np.dtype[Any]) -> None:
        self.tensor = tensor.detach().resolve_neg()
        self.shape = (int(tensor.shape[0]), int(tensor.shape[1]))
        self.dtype = dtype

    def rows(self, which: Any) -> Any:
        """Return rows, by a slice or a tensor of numbers: a tensor on the device, of ``dtype``."""
        import torch

        wanted = torch.float64 if self.dtype == np.dtype(np.float64) else torch.float32
        return self.tensor[which].to(wanted)

    def _range(self, start: int, stop: int) -> NDArray[Any]:
        found: NDArray[Any] = self.rows(slice(start, stop)).cpu().numpy()
        return found

    def _rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        import torch

        at = torch.from_numpy(numbers).to(self.tensor.device)
        found: NDArray[Any] = self.rows(at).cpu().numpy()
        return found


def conforms(a: NDArray[Any]) -> bool:
    """Tell whether the engine can read a matrix where it is."""
    if a.dtype not in (
        np.dtype(np.float32),
        np.dtype(np.float64),
    ):  # or of another byte order
        return False
    size, (rows, cols) = a.dtype.itemsize, a.shape
    row_stride, col_stride = a.strides
    columns_ok = cols == 1 or col_stride == size
    rows_ok = rows == 1 or (row_stride >= cols * size and row_stride % size == 0)
    return bool(columns_ok and rows_ok and a.flags.aligned)


def engine_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return float32 or float64: what numbers of a type are read as."""
    narrow = dtype.kind == "f" and dtype.itemsize <= 4
    return np.dtype(np.float32 if narrow else np.float64)


def is_bare_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Tell whether this is what bfloat16 becomes in a .npy file: two bytes without a name."""
    return dtype == np.dtype("V2") and dtype.type is np.void


def decoded(a: NDArray[Any]) -> NDArray[Any]:
    """Return bfloat16 from a .npy file as float32, exactly; anything else as it is."""
    if not is_bare_bfloat16(a.dtype):
        return a
    bits = np.ascontiguousarray(a).view("<u2").astype(np.uint32) << np.uint32(16)
    return bits.view(np.float32)


def for_engine(matrix: Any) -> Any:
    """Return what ``_native.match`` takes for a matrix of any kind."""
    return matrix.for_engine() if isinstance(matrix, RowMatrix) else matrix
