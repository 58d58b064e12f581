"""Exact cosines of candidates: by the engine on the host, or by our kernel on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends._triton import launch

_PAIRS_AT_ONCE = 1 << 24


class Cosines(Protocol):
    """cosines(y_rows (n,), lists (n, k) of rows of X, -1 for none) -> float64 (n, k), -inf."""

    def __call__(self, y_rows: NDArray[np.int64], lists: NDArray[np.int64]) -> NDArray[np.float64]:
        """Evaluate the lists."""
        ...


class OnHost:
    """The engine's own evaluation, on all threads."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], threads: int) -> None:
        self._x, self._y, self._threads = x, y, threads

    def __call__(self, y_rows: NDArray[np.int64], lists: NDArray[np.int64]) -> NDArray[np.float64]:
        """See ``Cosines``."""
        found: NDArray[np.float64] = native.module().evaluate_lists(
            self._x, self._y, y_rows, np.ascontiguousarray(lists), threads=self._threads
        )
        return found


class OnDevice:
    """The same operations in the same order on the device, X being there as it is stored."""

    def __init__(self, x: torch.Tensor, get_y: Callable[[NDArray[np.int64]], torch.Tensor]) -> None:
        self._x, self._get_y = launch.Scaled.of(x), get_y

    def __call__(self, y_rows: NDArray[np.int64], lists: NDArray[np.int64]) -> NDArray[np.float64]:
        """See ``Cosines``."""
        out = np.full(lists.shape, -np.inf)
        y = launch.Scaled.of(self._get_y(y_rows))
        device = y.rows.device
        at, place = np.nonzero(lists >= 0)
        x_row = lists[at, place]
        for i in range(0, len(at), _PAIRS_AT_ONCE):
            part = slice(i, i + _PAIRS_AT_ONCE)
            found = launch.exact_cosines(
                self._x,
                y,
                torch.from_numpy(x_row[part]).to(device),
                torch.from_numpy(at[part]).to(device),
            )
            out[at[part], place[part]] = found.cpu().numpy()
        return out


class Checked:
    """The device's, as long as its first answer is the host's to the last bit; else the host's.

    ``used_host``: whether the host had to take over.
    """

    def __init__(self, device: Cosines, host: Cosines) -> None:
        self._device, self._host = device, host
        self._compared = False
        self.used_host = False

    def __call__(self, y_rows: NDArray[np.int64], lists: NDArray[np.int64]) -> NDArray[np.float64]:
        """See ``Cosines``."""
        if self.used_host:
            return self._host(y_rows, lists)
        found = self._device(y_rows, lists)
        if not self._compared:
            expected = self._host(y_rows, lists)
            self._compared = True
            self.used_host = bool((found != expected).any())
            return expected
        return found
