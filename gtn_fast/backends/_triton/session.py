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
        as_read = there and tensor.dtype == self._dtype and tensor.is_contiguous()
        self.bytes_to_stay = 0 if as_read else array.size * array.dtype.itemsize

    def __call__(self, rows: NDArray[np.int64] | torch.Tensor | slice) -> torch.Tensor:
        """These rows (n, d), float32 or float64, on the device."""
        if self._tensor is None:
            at = rows.cpu().numpy() if isinstance(rows, torch.Tensor) else rows
            return torch.from_numpy(np.array(self._array[at], order="C")).to(self._device)
        if isinstance(rows, np.ndarray):
            rows = torch.from_numpy(rows).to(self._device)
        return self._tensor[rows].resolve_neg().to(self._dtype)

    def stay(self, chunk: int) -> torch.Tensor:
        """All of them, columns contiguous; from now on the others are taken from these."""
        if self._tensor is None:
            tensor = torch.empty(self._array.shape, dtype=self._dtype, device=self._device)
            for i in range(0, len(tensor), chunk):
                tensor[i : i + chunk] = self(slice(i, i + chunk))
            self._tensor = tensor
        self._tensor = self._tensor.resolve_neg().to(self._dtype).contiguous()
        return self._tensor

    def zero(self, chunk: int) -> NDArray[np.bool_]:
        """Which rows are zero, (n,)."""
        n = len(self._array)
        parts = [(self(slice(i, i + chunk)) == 0).all(dim=1).cpu() for i in range(0, n, chunk)]
        found: NDArray[np.bool_] = torch.cat(parts).numpy()
        return found


class Session:
    """What ``make`` returns: the source of lists, and what is asked of it at the end."""

    def __init__(self, source: Source, columns: Columns, host: OnHost, cosines: Cosines) -> None:
        self.source, self._columns = source, columns
        self._host, self._cosines = host, cosines

    def check(self, settled: _blocks.Settled, y_rows: NDArray[np.int64]) -> None:
        """Evaluate these y's choices once more on the host, if the device did; RuntimeError."""
        if self._cosines is self._host:
            return
        again = self._host.evaluate(y_rows, settled.x_index[y_rows, None])[:, 0]
        wrong = int((again != settled.cosine[y_rows]).sum())
        if wrong:
            raise RuntimeError(
                f"{wrong} of {len(y_rows)} cosines of the device differ from the engine's;"
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
        x_rows.bytes_to_stay + y_rows.bytes_to_stay,
        launch.TILE,
    )
    chunk = max(1, _CHUNK_VALUES // d)
    host = OnHost(x, y, threads)
    cosines: Cosines = host
    if residence.rows_stay and at.type == "cuda":
        x_rows.stay(chunk)
        y_rows.stay(chunk)
    if rescore is None:
        rescore = "device" if at.type == "cuda" and residence.rows_stay else "host"
    if rescore == "device":
        cosines = Checked(OnDevice(x_rows.stay(chunk)), host)
    found = classes.Classes(classes.find(len(x), x_rows, chunk), rank)
    columns = Columns(x_rows, found, d, residence, at, chunk)
    source = Source(columns, rank, y_rows.zero(chunk), y_rows, cosines, residence.work_bytes)
    return Session(source, columns, host, cosines)


def _free_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return 1 << 40  # the interpreter: as if all fitted
    free, _ = torch.cuda.mem_get_info(device)
    # What torch's allocator keeps without using it is free for us too.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept)
