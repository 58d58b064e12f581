"""Exact cosines of candidates: by the engine on the host, or by our kernel on the device."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends._triton import launch

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
    """The values in host memory; by way of pinned memory, which torch keeps for the next."""
    if tensor.device.type != "cuda":
        plain: NDArray[Any] = tensor.numpy()
        return plain
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor)
    copied: NDArray[Any] = pinned.numpy()
    return copied


class OnHost:
    """The engine's own evaluation, on all threads."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], threads: int) -> None:
        self._x, self._y, self._threads = x, y, threads

    def __call__(
        self, y_rows: NDArray[np.int64], y: torch.Tensor, lists: torch.Tensor
    ) -> NDArray[np.float64]:
        """See ``Cosines``."""
        del y
        return self.evaluate(y_rows, np.ascontiguousarray(to_host(lists)))

    def evaluate(self, y_rows: NDArray[np.int64], lists: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same with lists that are on the host."""
        found: NDArray[np.float64] = native.module().evaluate_lists(
            self._x, self._y, y_rows, lists, threads=self._threads
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
    """The device's, as long as its first answer is the host's to the last bit; else the host's.

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
            expected = self._host(y_rows, y, lists)
            self._compared = True
            self.used_host = bool((found != expected).any())
            return expected
        return found
