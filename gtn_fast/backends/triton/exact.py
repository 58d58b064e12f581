"""Exact cosines of candidates: by the engine on the host, or by our kernel on the device."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.triton import launch
from gtn_fast.inputs.matrices import Held

_COMPARED = 1024  # y's


class Cosines(Protocol):
    """Evaluates lists of rows of X for rows of Y.

    ``y_rows`` (n,): which rows of Y; ``y``: the same rows on the device; ``lists`` int64 (n, k)
    on the device, -1 for none. Returns float64 (n, k) on the host, -inf for none.
    """

    def __call__(
        self, y_rows: NDArray[np.int64], y: torch.Tensor, lists: torch.Tensor
    ) -> NDArray[np.float64]:
        """Evaluate the lists."""
        ...


def to_host(tensor: torch.Tensor) -> NDArray[Any]:
    """Return the values in host memory, by way of pinned memory, which torch keeps for reuse."""
    if tensor.device.type != "cuda":
        plain: NDArray[Any] = tensor.numpy()
        return plain
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor)
    copied: NDArray[Any] = pinned.numpy()
    return copied


class OnHost:
    """The engine's own evaluation, on all threads.

    ``at_hand``: X and Y are in host memory; else the rows are fetched from the device.
    """

    def __init__(self, x: NDArray[Any] | Held, y: NDArray[Any] | Held, threads: int) -> None:
        self._x, self._y, self._threads = x, y, threads
        self.at_hand = not (isinstance(x, Held) or isinstance(y, Held))

    def __call__(
        self, y_rows: NDArray[np.int64], y: torch.Tensor, lists: torch.Tensor
    ) -> NDArray[np.float64]:
        """See ``Cosines``."""
        del y
        return self.evaluate(y_rows, np.ascontiguousarray(to_host(lists)))

    def evaluate(self, y_rows: NDArray[np.int64], lists: NDArray[np.int64]) -> NDArray[np.float64]:
        """Evaluate lists that are on the host."""
        x, y = self._x, self._y
        if isinstance(x, Held):
            rows, place = np.unique(np.maximum(lists, 0), return_inverse=True)
            x = x[rows]
            lists = np.where(lists < 0, -1, place.reshape(lists.shape))
        if isinstance(y, Held):
            y, y_rows = y[y_rows], np.arange(len(y_rows))
        found: NDArray[np.float64] = native.module().evaluate_lists(
            x, y, y_rows, lists, threads=self._threads
        )
        return found


class OnDevice:
    """The same operations in the same order on the device, X being there as it is stored."""

    def __init__(self, x: torch.Tensor) -> None:
        self._x = launch.Scaled.of(x)

    def __call__(
        self, y_rows: NDArray[np.int64], y: torch.Tensor, lists: torch.Tensor
    ) -> NDArray[np.float64]:
        """See ``Cosines``."""
        del y_rows
        return to_host(launch.exact_cosines(self._x, launch.Scaled.of(y), lists))


class Checked:
    """Cosines of the device, if the first y's get the bits of the host from it; else of the host.

    ``used_host``: whether the host had to take over.
    """

    def __init__(self, device: Cosines, host: Cosines) -> None:
        self._device, self._host = device, host
        self._compared = False
        self.used_host = False

    def __call__(
        self, y_rows: NDArray[np.int64], y: torch.Tensor, lists: torch.Tensor
    ) -> NDArray[np.float64]:
        """See ``Cosines``."""
        if self.used_host:
            return self._host(y_rows, y, lists)
        found = self._device(y_rows, y, lists)
        if not self._compared:
            self._compared = True
            some = slice(0, _COMPARED)
            expected = self._host(y_rows[some], y[some], lists[some])
            self.used_host = bool((found[some] != expected).any())
            if self.used_host:
                return self._host(y_rows, y, lists)
        return found
