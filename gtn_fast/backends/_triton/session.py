"""One matching on one device: rows, classes, columns and the source of lists put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends import _blocks
from gtn_fast.backends._triton import classes, launch, memory
from gtn_fast.backends._triton.columns import Columns
from gtn_fast.backends._triton.exact import Checked, Cosines, OnDevice, OnHost
from gtn_fast.backends._triton.source import Source

_CHUNK_VALUES = 1 << 22  # of a chunk of rows in float64; a few temporaries of that size


class Rows:
    """Rows of X or Y, on the device when they are asked for.

    ``array`` (n, d) on the host; ``tensor``: the same values as the caller gave them, used
    where it is on the device (float16 and bfloat16 become float32 there, exactly).
    """

    def __init__(self, array: NDArray[Any], tensor: Any, device: torch.device) -> None:
        self._array, self._device = array, device
        self._dtype = torch.float64 if array.dtype == np.float64 else torch.float32
        there = isinstance(tensor, torch.Tensor) and tensor.device == device
        self._tensor: torch.Tensor | None = tensor.detach() if there else None
        # As it is read: ``all`` then takes no memory.
        self.there = there and tensor.dtype == self._dtype and tensor.is_contiguous()

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """These rows (n, d), float32 or float64, on the device."""
        if self._tensor is not None:
            at = torch.from_numpy(rows).to(self._device)
            return self._tensor[at].resolve_neg().to(self._dtype)
        return torch.from_numpy(self._array[rows]).to(self._device)

    def all(self) -> torch.Tensor:
        """All of them, columns contiguous."""
        if self._tensor is None:
            return torch.from_numpy(np.array(self._array, order="C")).to(self._device)
        return self._tensor.resolve_neg().to(self._dtype).contiguous()


class Session:
    """What ``make`` returns: the source of lists, and what is asked of it at the end."""

    def __init__(self, source: Source, columns: Columns, host: OnHost, cosines: Cosines) -> None:
        self.source, self._columns = source, columns
        self._host, self._cosines = host, cosines

    def check(self, settled: _blocks.Settled) -> None:
        """Evaluate every chosen pair once more on the host, if the device did; RuntimeError."""
        if self._cosines is self._host:
            return
        chosen = settled.x_index[:, None]
        again = self._host(np.arange(len(chosen)), chosen)[:, 0]
        wrong = int((again != settled.cosine).sum())
        if wrong:
            raise RuntimeError(
                f"{wrong} of {len(chosen)} cosines of the device differ from the engine's;"
                " device='cpu' does without them"
            )

    def counters(self) -> dict[str, float]:
        """Counters for the report."""
        columns = self._columns
        return self.source.counters | {
            "classes": float(len(columns.classes)),
            "compactions": float(columns.compactions),
            "panels_read": float(columns.panels_read),
            "rescored_on_device": float(
                isinstance(self._cosines, Checked) and not self._cosines.used_host
            ),
        }


def find_device(name: str) -> torch.device:
    """The device called ``name``; in the interpreter the CPU. ValueError if there is none."""
    if launch.interpreted():
        return torch.device("cpu")
    wanted = torch.device(name)
    index = torch.cuda.current_device() if wanted.index is None else wanted.index
    there = torch.cuda.device_count()
    if index >= there:
        raise ValueError(f"device {name!r}: this machine has {there} CUDA device(s), from cuda:0")
    return torch.device("cuda", index)


def make(
    x: NDArray[Any],
    y: NDArray[Any],
    rank: NDArray[np.uint32],
    *,
    threads: int,
    device: str = "cuda",
    tensors: tuple[Any, Any] = (None, None),
    free: int | None = None,
    rescore: str | None = None,
) -> Session:
    """Put everything in place; ``free`` and ``rescore`` ("host", "device") are for tests.

    ``free``: bytes of device memory to plan with. By default candidates are evaluated on a
    GPU if X is there, and on the host in the interpreter.
    """
    at = find_device(device)
    x_rows, y_rows = Rows(x, tensors[0], at), Rows(y, tensors[1], at)
    d = x.shape[1]
    residence = memory.decide(
        _free_bytes(at) if free is None else free,
        len(x),
        launch.padded_dimension(d),
        d * x.dtype.itemsize,
        launch.TILE,
        rows_there=x_rows.there,
    )
    chunk = max(1, _CHUNK_VALUES // d)
    found = classes.Classes(classes.find(len(x), x_rows, chunk), rank)
    columns = Columns(x_rows, found, d, residence, at, chunk)
    host = OnHost(x, y, threads)
    cosines: Cosines = host
    if rescore is None:
        rescore = "device" if at.type == "cuda" and residence.rows_stay else "host"
    if rescore == "device":
        cosines = Checked(OnDevice(x_rows.all(), y_rows), host)
    source = Source(columns, rank, y, y_rows, cosines, residence.work_bytes)
    return Session(source, columns, host, cosines)


def _free_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return 1 << 40  # the interpreter: as if all fitted
    free, _ = torch.cuda.mem_get_info(device)
    # What torch's allocator keeps without using it is free for us too.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept)
