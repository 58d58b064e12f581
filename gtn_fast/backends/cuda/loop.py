"""One matching by the kernels of csrc/cuda/: memory, the run, the pairs that come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.cuda import cubins, packing
from gtn_fast.backends.interface import HandOver as HandOver
from gtn_fast.backends.interface import Progress
from gtn_fast.backends.lists.blocks import Assignment
from gtn_fast.backends.triton import launch, memory
from gtn_fast.backends.triton.exact import OnHost, to_host
from gtn_fast.backends.triton.rows import StoredRows, by_norm
from gtn_fast.inputs.matrices import Held

END_PAIRS = 1 << 24  # the last y's and x's: so many pairs are compared exactly
_CHECKED = 1 << 12  # pairs that the engine evaluates again
_ROW_BYTES = 64  # of a row beside its codes: scales, orders, levels, choices
_RESERVE = 0.9  # of the free memory may be asked for


def kernels_for(device: torch.device) -> cubins.Cubin | None:
    """Return the compiled kernels for ``device``; those of the emulation in the interpreter."""
    if launch.interpreted():
        return cubins.EMULATED
    return cubins.find(torch.cuda.get_device_capability(device))


def bytes_needed(n_x: int, n_y: int, d: int, work: int) -> int:
    """Return the bytes of device memory beside X and Y."""
    padded = packing.padded_dimension(d)
    codes = packing.bytes_of_codes(n_x, padded) + packing.bytes_of_codes(n_y, padded)
    return codes + _ROW_BYTES * (n_x + n_y) + work + packing.WORK_BYTES


class Run:
    """One matching on ``device``; ``refusal`` says why it cannot be run there, if it cannot."""

    def __init__(
        self,
        x: NDArray[Any] | Held,
        y: NDArray[Any] | Held,
        device: torch.device,
        *,
        free: int,
        threads: int = 1,
        block: int = 0,
        end_pairs: int = END_PAIRS,
    ) -> None:
        self._x_held, self._y_held = x, y
        self._x, self._y = StoredRows(x, device), StoredRows(y, device)
        self._device, self._threads = device, threads
        self.turns = np.empty(0, np.int64)
        self._sizes = {"block": block, "end_pairs": end_pairs}
        n_x, d = x.shape
        self.refusal = self._refuse(n_x, len(y), d, free)

    def _refuse(self, n_x: int, n_y: int, d: int, free: int) -> str | None:
        kernels = kernels_for(self._device)
        if kernels is None:
            return "no kernels were compiled for this GPU"
        self._kernels = kernels
        if d > native.module().DEVICE_LARGEST_DIMENSION:
            return f"d is above {native.module().DEVICE_LARGEST_DIMENSION}"
        if max(n_x, n_y) > memory.MAX_ROWS:
            return f"X or Y has more than {memory.MAX_ROWS} rows"
        stay = self._x.bytes_to_stay + self._y.bytes_to_stay
        try:
            with launch.on(self._device):
                self._whole = self._loop(n_x, n_y, d)
        except RuntimeError as error:  # the driver's: the kernels do not load here
            return str(error)
        needed = stay + bytes_needed(n_x, n_y, d, self._whole.work_bytes)
        if needed > _RESERVE * free:
            return f"{needed / 1e9:.1f} GB of device memory are needed, {free / 1e9:.1f} are free"
        return None

    def _loop(self, n_x: int, n_y: int, d: int) -> Any:
        stream = 0
        if self._device.type == "cuda":
            stream = torch.cuda.current_stream(self._device).cuda_stream
        return native.module().DeviceLoop(
            self._kernels.code, self._kernels.wgmma, stream, n_x, n_y, d,
            packing.padded_dimension(d), **self._sizes,
        )  # fmt: skip

    def run(
        self,
        state: Assignment,
        *,
        progress: Progress | None = None,
        hand_over: HandOver | None = None,
    ) -> dict[str, float]:
        """Match as many turns as it can into ``state``; sets ``turns``; returns counters."""
        with launch.on(self._device):
            return self._run(state, progress, hand_over)

    def _run(
        self, state: Assignment, progress: Progress | None, hand_over: HandOver | None
    ) -> dict[str, float]:
        stored_x, stored_y = self._x.stay(), self._y.stay()
        n_x = len(stored_x)
        n_y, d = stored_y.shape
        x = packing.scaled(stored_x, self._whole)
        y = packing.scaled(stored_y, self._whole)
        x_order, y_order = by_norm(x.norm), by_norm(y.norm)
        rank = torch.empty(len(x_order), dtype=torch.int32, device=self._device)
        rank[x_order] = torch.arange(len(x_order), dtype=torch.int32, device=self._device)
        zeros = int((y.largest == 0).sum())  # they choose first: their norm is the smallest
        turns = to_host(y_order)
        self.turns = turns
        # All cosines of a zero row are 0: it takes the free x of least norm.
        chosen = torch.empty(n_y, dtype=torch.int32, device=self._device)
        cosine = torch.zeros(n_y, dtype=torch.float64, device=self._device)
        chosen[:zeros] = x_order[:zeros]
        seen = 0

        def tell(done: int) -> None:
            nonlocal seen
            if hand_over is not None and done > seen:
                part = slice(seen, done)
                rows = chosen[part].cpu().numpy().astype(np.int64)
                hand_over(turns[part], rows, cosine[part].cpu().numpy())
                seen = done
            if progress is not None:
                progress(done, n_y)

        counters: dict[str, Any] = {"done": 0, "failed": 0}
        if zeros < n_y:
            columns = packing.columns_of(x, rank, zeros)
            order = y_order[zeros:]
            packed = packing.turns_of(y, order, columns)
            loop = self._loop(n_x - zeros, n_y - zeros, d) if zeros else self._whole
            work = torch.empty(loop.work_bytes, dtype=torch.uint8, device=self._device)
            tally = torch.empty(
                native.module().DEVICE_COUNTERS_BYTES, dtype=torch.uint8, device=self._device
            )
            y_row = order.to(torch.int32)
            counters = loop.run(
                {
                    "x": packing.given(x),
                    "y": packing.given(y),
                    "x_codes": columns.codes.data_ptr(),
                    "y_codes": packed.codes.data_ptr(),
                    "x_row": columns.row.data_ptr(),
                    "y_row": y_row.data_ptr(),
                    "rank": rank.data_ptr(),
                    "level_base": packed.level_base.data_ptr(),
                    "level_scale": packed.level_scale,
                    "chosen": chosen[zeros:].data_ptr(),
                    "cosine": cosine[zeros:].data_ptr(),
                    "counters": tally.data_ptr(),
                    "work": work.data_ptr(),
                },
                lambda done: tell(zeros + done),
            )
            counters["blocks"] = loop.blocks
        done = zeros + counters.pop("done")
        tell(done)
        at = turns[:done]
        state.x_index[at] = to_host(chosen[:done])
        state.cosine[at] = to_host(cosine[:done])
        state.taken[state.x_index[at]] = 1
        state.done = done
        self._check(state, at)
        counters["rows_by_kernels"] = done
        return {name: float(value) for name, value in counters.items()}

    def _check(self, state: Assignment, y_rows: NDArray[np.int64]) -> None:
        """Evaluate some choices on the host, too; RuntimeError if the device got others."""
        if not len(y_rows):
            return
        some = y_rows[:: -(-len(y_rows) // _CHECKED)]
        host = OnHost(self._x_held, self._y_held, self._threads)
        again = host.evaluate(some, state.x_index[some, None])[:, 0]
        wrong = int((again != state.cosine[some]).sum())
        if wrong:
            raise RuntimeError(
                f"{wrong} of {len(some)} cosines of the device differ from the engine's;"
                " device='cpu' does without them"
            )
