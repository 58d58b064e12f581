"""What a training loop is kept safe by: checks of its data, whole steps, private generators.

And by the right number of threads.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_SMALL = 10_000_000  # weights x rows of a batch


def check_rows(
    data: Sequence[Tensor] | Tensor,
    name: str,
    model: nn.Module | None = None,
    batch_size: int = 0,
) -> None:
    """Raise unless ``data`` are tensors of one length that make batches for ``model``."""
    if isinstance(data, Tensor) or not all(isinstance(t, Tensor) for t in data) or not len(data):
        raise TypeError(f"{name} must be a sequence of tensors, got {type(data).__name__}")
    sizes = [len(t) if t.ndim else 0 for t in data]
    if min(sizes) != max(sizes) or not sizes[0]:
        raise ValueError(f"the tensors of {name} must be of one length above 0, got {sizes}")
    if model is not None and has_batch_norm(model) and min(sizes[0], batch_size) < 2:
        raise ValueError(
            f"batch norm needs batches of at least 2 rows: {name} has {sizes[0]} rows,"
            f" batch_size is {batch_size}"
        )


def has_batch_norm(model: nn.Module) -> bool:
    """Tell whether a batch of one row is of no use to the model."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


@contextmanager
def whole_steps() -> Iterator[list[bool]]:
    """Let Ctrl-C wait for the end of a step: it makes the list non-empty; a second one acts.

    Python delivers signals to the main thread only, and a program's own handler stays.
    """
    asked: list[bool] = []
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked
        return

    def handler(_signal: int, _frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)

    signal.signal(signal.SIGINT, handler)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def private_generators(where: torch.device) -> Iterator[None]:
    """Give torch's global generators back as they were."""
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        yield


def noise_state(where: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if where.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(where)
    return states


def is_small(model: nn.Module, batch_size: int) -> bool:
    """Tell whether a step is so little work that threads and bookkeeping cost more than it."""
    parameters = list(model.parameters())
    flat = all(p.ndim <= 2 for p in parameters)  # a convolution uses each weight many times
    return flat and batch_size * sum(p.numel() for p in parameters) < _SMALL


@contextmanager
def threads_for(model: nn.Module, batch_size: int) -> Iterator[None]:
    """One thread for a small network: a second one costs more than it gives."""
    before = torch.get_num_threads()
    if is_small(model, batch_size):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
