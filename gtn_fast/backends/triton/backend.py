"""Screening on a GPU: tensor cores rule candidates out, float64 decides (docs/gpu.md).

With TRITON_INTERPRET=1 in the environment the same code runs on CPU tensors in Triton's
interpreter; that is for tests.
"""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.cuda import cubins
from gtn_fast.backends.interface import HandOver as HandOver
from gtn_fast.backends.interface import Matched, Progress
from gtn_fast.backends.lists.blocks import Assignment, choose_in_blocks
from gtn_fast.backends.lists.rest import match_rest
from gtn_fast.inputs.device import CUDA, Device
from gtn_fast.inputs.matrices import Held
from gtn_fast.packages import load_package
from gtn_fast.planning.choice import quickest

_SMALLEST_CAPABILITY = (8, 0)
_CPU = "leave device out or take device='cpu' (the same answer)"


@dataclass(frozen=True)
class _Rates:
    """A model of the seconds that a matching takes, fitted to those of docs/gpu.md.

    Per call, per y, per value of a y; per score, and per coordinate of a score where a
    program's y's stay on chip and where they do not.
    """

    call: float
    row: float
    value: float
    score: float
    resident: float
    streamed: float
    resident_to: int  # dimensions

    def seconds(self, n_x: int, n_y: int, d: int) -> float:
        pairs = n_x * n_y - 0.5 * n_y * n_y
        coordinate = self.resident if d <= self.resident_to else self.streamed
        per_pair = self.score + max(16, d) * coordinate
        return self.call + n_y * (self.row + d * self.value) + pairs * per_pair


_BY_TRITON = _Rates(0.1, 5.5e-7, 1.1e-9, 1.1e-13, 2.6e-15, 3.7e-15, 128)  # an H200, 16 cores
_BY_KERNELS = _Rates(0.01, 7.4e-8, 3.2e-10, 1.3e-13, 2.56e-15, 3.66e-15, 256)  # an H100, 16 cores
_BLOCK_S = 1e-3  # per small block: launches, and waiting for their results
_FEWEST_FOR_THE_ENGINE = 2048


def _torch() -> ModuleType:
    return load_package("torch", "torch", f"pip install 'gtn-fast[torch]', or {_CPU}")


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def require() -> None:
    """Raise ImportError, with reason and remedy, unless torch, Triton and a GPU are there."""
    torch = _torch()
    load_package("triton", "triton", f"pip install triton, or {_CPU}")
    native.require()
    if _interpreted():
        return
    if torch.version.cuda is None:
        raise ImportError(
            f"torch {torch.__version__} is built without CUDA: install a CUDA build, or {_CPU}"
        )
    if not torch.cuda.is_available():
        raise ImportError(f"torch finds no CUDA device: check nvidia-smi, or {_CPU}")
    capability = torch.cuda.get_device_capability()
    if capability < _SMALLEST_CAPABILITY:
        raise ImportError(
            f"{torch.cuda.get_device_name()} has compute capability"
            f" {'.'.join(map(str, capability))}, 8.0 is needed (Ampere or later): {_CPU}"
        )


def instructions() -> str:
    """Return what computes: Triton's version, and the kernels of csrc/cuda that are here."""
    import triton

    if _interpreted():
        return f"triton {triton.__version__}, interpreter"
    torch = _torch()
    if not torch.cuda.is_available():
        return f"triton {triton.__version__}, no GPU"
    kernels = cubins.find(torch.cuda.get_device_capability())
    own = "no kernels of our own" if kernels is None else f"kernels for {kernels.architecture}"
    return f"triton {triton.__version__}, cuda, {own}"


def predict(n_x: int, n_y: int, d: int, threads: int) -> tuple[float, int]:
    """Predict seconds and bytes of host memory, by the model of docs/gpu.md."""
    del threads
    seconds = (_BY_KERNELS if _has_kernels(d) else _BY_TRITON).seconds(n_x, n_y, d)
    return seconds, n_x * 64 + n_y * 64 + min(n_y, 32768) * 640


def _has_kernels(d: int) -> bool:
    """Tell whether the kernels of csrc/cuda serve the GPU that is here, if one is."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return False
    here = cubins.find(torch.cuda.get_device_capability()) is not None
    return here and d <= native.module().DEVICE_LARGEST_DIMENSION


def rows_for_the_engine(n_x: int, n_y: int, d: int, threads: int) -> int:
    """Return how many of the last y's the engine on the host serves sooner than the device.

    Late blocks are small, and each costs the device its launches. At most half of all y's, and
    none if there are few: who asks for a device gets it.
    """
    rest = n_y // 2
    while rest >= _FEWEST_FOR_THE_ENGINE:
        free = n_x - n_y + rest
        # A block is a 32nd of the free x's (32 y's at least), whose number falls from free to
        # free - rest: the policy of lists/blocks.py.
        last = max(1024, free - rest)
        blocks = 32 * math.log(max(free, last) / last) + (32 if free - rest < last else 0)
        on_host, _ = quickest(free, rest, d, threads)
        if on_host < blocks * _BLOCK_S:
            return rest
        rest //= 2
    return 0


def match(
    x: NDArray[Any] | Held,
    y: NDArray[Any] | Held,
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
    min_cosine: float = -np.inf,
    device: Device = CUDA,
    settled: HandOver | None = None,
    settled_every: float = 0.0,
) -> Matched:
    """Match on ``device`` ("cuda" by default); ``strategy`` is "screen".

    ``x`` and ``y``: arrays, or ``Held`` where they are on a device.
    """
    from gtn_fast.backends.cuda import loop
    from gtn_fast.backends.triton import session

    del strategy, settled_every  # a block takes long enough
    began = time.perf_counter()
    state = Assignment(len(x), len(y))
    at = session.find_device(str(device))
    count: dict[str, float] = {}
    # list_length and min_cosine are for the other way alone.
    if not list_length and min_cosine == -np.inf:
        run = loop.Run(x, y, at, free=session.free_bytes(at), threads=threads, block=block)
        if run.refusal is None:
            count = run.run(state, progress=progress, hand_over=settled)
        if state.done == len(y):
            count["match_seconds"] = time.perf_counter() - began
            return Matched(state.x_index, state.cosine, run.turns, count)
        del run  # and its memory
    made = session.make(x, y, threads=threads, device=str(device))
    made.source.take(np.flatnonzero(state.taken))
    packed = time.perf_counter()
    first, served = state.done, min(len(x), len(y))
    count |= choose_in_blocks(
        made.source,
        made.rank,
        made.turns,
        state,
        stop=max(first, len(y) - rows_for_the_engine(len(x), served, x.shape[1], threads)),
        block=block,
        list_length=list_length,
        min_cosine=min_cosine,
        progress=progress,
        hand_over=settled,
    )
    screened = time.perf_counter()
    matched = made.turns[first : state.done]
    made.check(state, matched[state.x_index[matched] >= 0])
    count["engine_rows"] = match_rest(
        x, y, made.turns, state, threads=threads, min_cosine=min_cosine, progress=progress,
        hand_over=settled,
    )  # fmt: skip
    count |= made.counters()
    count["pack_seconds"] = packed - began
    count["match_seconds"] = time.perf_counter() - packed
    count["engine_seconds"] = time.perf_counter() - screened
    return Matched(state.x_index, state.cosine, made.turns, count)
