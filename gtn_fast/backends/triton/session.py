"""One matching on one device: rows, classes, columns and the source of lists put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends.lists.blocks import Assignment, ranks_of
from gtn_fast.backends.triton import classes, launch, memory
from gtn_fast.backends.triton.columns import Columns
from gtn_fast.backends.triton.exact import Checked, Cosines, OnDevice, OnHost
from gtn_fast.backends.triton.rows import StoredRows
from gtn_fast.backends.triton.source import Source
from gtn_fast.inputs.matrices import Held

_CHECKED = 1 << 16  # pairs that are fetched from the device for the last check


class Session:
    """What ``make`` returns: the source of lists, and what is asked of it at the end.

    ``rank`` (n_x,): places of X's rows in norm order; ``turns`` (n_y,): Y's rows in theirs.
    """

    def __init__(
        self,
        source: Source,
        columns: Columns,
        host: OnHost,
        cosines: Cosines,
        rank: NDArray[np.uint32],
        turns: NDArray[np.int64],
    ) -> None:
        self.source, self._columns = source, columns
        self._host, self._cosines = host, cosines
        self.rank, self.turns = rank, turns

    def check(self, state: Assignment, y_rows: NDArray[np.int64]) -> None:
        """Evaluate these y's choices on the host, too; RuntimeError if the device got others.

        All choices where X and Y are in host memory, else about 65,536 of them.
        """
        if self._cosines is self._host or not len(y_rows):
            return
        if not self._host.at_hand:
            y_rows = y_rows[:: -(-len(y_rows) // _CHECKED)]
        again = self._host.evaluate(y_rows, state.x_index[y_rows, None])[:, 0]
        wrong = int((again != state.cosine[y_rows]).sum())
        if wrong:
            raise RuntimeError(
                f"{wrong} of {len(y_rows)} cosines of the device differ from the engine's;"
                " device='cpu' does without them"
            )

    def counters(self) -> dict[str, float]:
        """Return counters for the report."""
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
    """Return the device called ``name`` (the CPU in the interpreter); ValueError for none."""
    if launch.interpreted():
        return torch.device("cpu")
    wanted = torch.device(name)
    index = torch.cuda.current_device() if wanted.index is None else wanted.index
    there = torch.cuda.device_count()
    if index >= there:
        raise ValueError(f"device {name!r}: this machine has {there} CUDA device(s), from cuda:0")
    return torch.device("cuda", index)


def make(
    x: NDArray[Any] | Held,
    y: NDArray[Any] | Held,
    *,
    threads: int,
    device: str = "cuda",
    free: int | None = None,
    rescore: str | None = None,
) -> Session:
    """Put everything in place; ``free`` and ``rescore`` ("host", "device") are for tests.

    ``free``: bytes of device memory to plan with. By default candidates are evaluated on a
    GPU if X is there, and on the host in the interpreter.
    """
    at = find_device(device)
    x_rows, y_rows = StoredRows(x, at), StoredRows(y, at)
    n_x, d = x.shape
    residence = memory.decide(
        free_bytes(at) if free is None else free,
        n_x,
        launch.padded_dimension(d),
        x_rows.bytes_to_stay + y_rows.bytes_to_stay,
        launch.TILE,
    )
    host = OnHost(x, y, threads)
    cosines: Cosines = host
    if residence.rows_stay and at.type == "cuda":
        x_rows.stay()
        y_rows.stay()
    if rescore is None:
        rescore = "device" if at.type == "cuda" and residence.rows_stay else "host"
    if rescore == "device":
        cosines = Checked(OnDevice(x_rows.stay()), host)
    rank = ranks_of(x_rows.norm_order(threads))
    turns = y_rows.norm_order(threads).astype(np.int64)
    found = classes.Classes(classes.find(x_rows), rank)
    columns = Columns(x_rows, found, d, residence, at)
    source = Source(columns, rank, y_rows.zero(), y_rows, cosines, residence.work_bytes)
    return Session(source, columns, host, cosines, rank, turns)


def free_bytes(device: torch.device) -> int:
    """Return how many bytes of the device's memory can be had."""
    if device.type != "cuda":
        return 1 << 40  # the interpreter: as if all fitted
    free, _ = torch.cuda.mem_get_info(device)
    # What torch's allocator keeps without using it is free for us too.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept)
