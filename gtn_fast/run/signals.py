"""Signals that end a process, for work that wants to save before.

Handlers are set in the main thread only, where Python delivers signals, and only where the
program has none of its own; they are put back.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Handler = Callable[[int, Any], None]

# A scheduler's or a service manager's request to end; a terminal that is gone; Ctrl-\; what Slurm
# sends ahead of its end.
ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1")
    if hasattr(signal, name)
)


def exit_code(number: int) -> int:
    """Return the exit code of a process that this signal ends."""
    return 128 + int(number)


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Call ``handler`` at those of ``ENDING`` that would end the process."""
    mine = []
    if threading.current_thread() is threading.main_thread():
        mine = [each for each in ENDING if signal.getsignal(each) is signal.SIG_DFL]
    for each in mine:
        signal.signal(each, handler)
    try:
        yield
    finally:
        for each in mine:
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def ending_by_exit() -> Iterator[None]:
    """Raise SystemExit(128 + number) at the first signal; later ones do not cut short what follows.

    A service manager sends two in a row.
    """
    ended = False

    def end(number: int, _frame: Any) -> None:
        nonlocal ended
        if not ended:
            ended = True
            raise SystemExit(exit_code(number))

    with handled(end):
        yield
