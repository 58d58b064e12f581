"""What a training loop is kept safe by: checks of its data, whole steps.

And by the right number of threads.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gtn_fast.run.signals import exit_code, handled
from gtn_fast.system import ending
from gtn_fast.system.openmp import torch_threads

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


class Stop:
    """Lets Ctrl-C wait for the end of a step: ``asked`` then tells. A second one acts at once.

    So do, where the run ``keeps`` a checkpoint, the signals that would end the process; a second
    one of them changes nothing. ``asked`` also tells that the interpreter ends, in a background
    thread. ``stopping()`` is what to raise: KeyboardInterrupt, or SystemExit with the signal's exit
    code. None is lost: one that nobody has acted on is raised where the ``with`` ends. Python
    delivers signals to the main thread only; there, a program's own handler stays.
    """

    def __init__(self, keeps: bool = False) -> None:
        self._asked = False
        self._at_once = False
        self._code: int | None = None
        self._set = ExitStack()
        self._keeps = keeps

    @property
    def asked(self) -> bool:
        """Whether the training is to stop at the end of this step."""
        return self._asked or ending.asked()

    def __enter__(self) -> Stop:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
            self._set.callback(signal.signal, signal.SIGINT, signal.default_int_handler)
        if self._keeps:
            self._set.enter_context(handled(self._end))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._set.close()
        if self.asked and kind is None:
            raise self.stopping()

    def stopping(self) -> BaseException:
        """Return what to raise once it is asked for."""
        return KeyboardInterrupt() if self._code is None else SystemExit(self._code)

    def _interrupt(self, _signal: int, _frame: Any) -> None:
        waits = not self._asked and not self._at_once
        self._asked = True
        if not waits:
            raise KeyboardInterrupt

    def _end(self, number: int, _frame: Any) -> None:
        if self.asked:
            return
        self._asked, self._code = True, exit_code(number)
        if self._at_once:
            raise self.stopping()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal raise at once inside, an earlier one too: for what may stop anywhere."""
        self._at_once = True
        try:
            if self.asked:
                raise self.stopping()
            yield
        finally:
            self._at_once = False


def is_small(model: nn.Module, batch_size: int) -> bool:
    """Tell whether a step is so little work that threads and bookkeeping cost more than it."""
    parameters = list(model.parameters())
    flat = all(p.ndim <= 2 for p in parameters)  # a convolution uses each weight many times
    return flat and batch_size * sum(p.numel() for p in parameters) < _SMALL


def threads_for(model: nn.Module, batch_size: int) -> AbstractContextManager[None]:
    """Use one thread for a small network: a second one costs more than it gives."""
    return torch_threads(1 if is_small(model, batch_size) else None)
