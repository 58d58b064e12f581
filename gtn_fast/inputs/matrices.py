"""Matrices that are not one array: several files in one, numbers drawn, a tensor on a GPU.

All of them give rows by slices or row numbers, as an array does. The engine reads several files
(``Stacked``) where they lie, and makes drawn numbers (``sample.Drawn``) as it needs them. The GPU
backend computes on a tensor (``Held``) where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        """Return these rows as one array."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._range(start, max(start, stop))
            rows = np.arange(start, stop, step)
        numbers = np.asarray(rows)
        if numbers.ndim != 1:
            raise TypeError("rows are asked for by a slice or by a list of their numbers")
        if numbers.dtype == np.bool_:
            numbers = np.flatnonzero(numbers)
        return self._rows(numbers.astype(np.int64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it, in memory."""
        if copy is False:
            raise ValueError("these rows lie in several places: an array of them is a copy")
        whole = self._range(0, len(self))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def for_engine(self) -> Any:
        """Return what the engine takes in place of an array of these rows."""
        return np.asarray(self)

    def _range(self, start: int, stop: int) -> NDArray[Any]:
        return self._rows(np.arange(start, stop, dtype=np.int64))

    def _rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        raise NotImplementedError


class Stacked(RowMatrix):
    """Arrays of one dtype and as many columns, one below the other; nothing is copied."""

    def __init__(self, parts: Sequence[NDArray[Any]]) -> None:
        self.parts = list(parts)
        self._first = np.concatenate(([0], np.cumsum([len(part) for part in parts])))
        self.shape = (int(self._first[-1]), parts[0].shape[1])
        self.dtype = parts[0].dtype

    def for_engine(self) -> list[NDArray[Any]]:
        """Return the parts: the engine reads each where it lies."""
        return self.parts

    def _rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        out = np.empty((len(numbers), self.shape[1]), self.dtype)
        owner = np.searchsorted(self._first, numbers, side="right") - 1
        for p in np.unique(owner).tolist():
            mine = owner == p
            out[mine] = self.parts[p][numbers[mine] - self._first[p]]
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


def for_engine(matrix: Any) -> Any:
    """Return what ``_native.match`` takes for a matrix of any kind."""
    return matrix.for_engine() if isinstance(matrix, RowMatrix) else matrix
