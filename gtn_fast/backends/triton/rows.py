"""Rows of X or Y wherever they are: on the host, or on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.triton import launch
from gtn_fast.inputs.matrices import Held

_CHUNK_VALUES = 1 << 22  # of a chunk of rows in float64; a few temporaries of that size


def by_norm(norm: torch.Tensor) -> torch.Tensor:
    """Return the rows by norm, equal norms by number, int64 (n,): order.h."""
    return torch.sort(norm, stable=True).indices


class StoredRows:
    """X or Y as it is stored; its rows come to the device when they are asked for.

    ``matrix`` (n, d): an array on the host, or ``Held``, which is used where it is.
    """

    def __init__(self, matrix: NDArray[Any] | Held, device: torch.device) -> None:
        self._matrix, self._device = matrix, device
        self._dtype = torch.float64 if matrix.dtype == np.float64 else torch.float32
        self._tensor: torch.Tensor | None = None
        if isinstance(matrix, Held) and matrix.tensor.device == device:
            self._tensor = matrix.tensor
        # A tensor that is read without conversion needs no second copy to stay.
        there = self._tensor is not None and self._as_read(self._tensor)
        self.bytes_to_stay = 0 if there else matrix.size * matrix.dtype.itemsize

    def _as_read(self, tensor: torch.Tensor) -> bool:
        return tensor.dtype == self._dtype and tensor.is_contiguous()

    def __call__(self, rows: NDArray[np.int64] | torch.Tensor | slice) -> torch.Tensor:
        """Return these rows (n, d), float32 or float64, on the device."""
        if self._tensor is None:
            at = rows.cpu().numpy() if isinstance(rows, torch.Tensor) else rows
            return torch.from_numpy(np.array(self._matrix[at], order="C")).to(self._device)
        if isinstance(rows, np.ndarray):
            rows = torch.from_numpy(rows).to(self._device)
        return self._tensor[rows].to(self._dtype)

    def norm_order(self, threads: int) -> NDArray[np.uint32]:
        """Return the rows by norm, equal norms by number: csrc/include/gtn_fast/order.h."""
        if self._tensor is None:
            found: NDArray[np.uint32] = native.module().norm_order(
                np.asarray(self._matrix), threads=threads
            )
            return found
        norm = torch.cat([launch.Scaled.of(self(part)).norm for part in self.chunks()])
        order: NDArray[np.uint32] = by_norm(norm).cpu().numpy().astype(np.uint32)
        return order

    def stay(self) -> torch.Tensor:
        """Put all rows on the device, contiguous, and return them; later rows come from there."""
        if self._tensor is None or not self._as_read(self._tensor):
            tensor = torch.empty(self._matrix.shape, dtype=self._dtype, device=self._device)
            for part in self.chunks():
                tensor[part] = self(part)
            self._tensor = tensor
        return self._tensor

    def chunks(self) -> list[slice]:
        """Return slices of all rows, of as many rows as may be worked on in float64 at once."""
        n, d = self._matrix.shape
        step = max(1, _CHUNK_VALUES // d)
        return [slice(i, min(i + step, n)) for i in range(0, n, step)]

    def zero(self) -> NDArray[np.bool_]:
        """Return which rows are zero, (n,)."""
        parts = [(self(part) == 0).all(dim=1).cpu() for part in self.chunks()]
        found: NDArray[np.bool_] = torch.cat(parts).numpy()
        return found
