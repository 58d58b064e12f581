"""Long calls in background threads when the interpreter ends.

Python ends without waiting for daemon threads, nor for others after a second Ctrl-C. A thread
that is then in a library of C++ aborts the process, and what its call had settled is lost. So the
end waits here, for seconds at most, until every long call of another thread has been stopped: the
engine by its own means, loops of Python where they ask ``stop_here``. On its way out a call saves
its checkpoint; its thread then sleeps until the process is gone. A Ctrl-C does not cut that short:
Python (before 3.13) takes a thread whose ``join`` was interrupted for ended, so that the second of
two comes when a call is saving already.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_S = 5.0

_changed = threading.Condition()
_at_work: dict[int, int] = {}  # thread: how many calls it has begun, one inside the other
_ended_by: int | None = None  # the thread that ends the interpreter


def asked() -> bool:
    """Tell whether the interpreter ends, and not in this thread."""
    return _ended_by is not None and _ended_by != threading.get_ident()


def stop_here() -> None:
    """Raise KeyboardInterrupt if the interpreter ends: between two steps of a long call."""
    if asked():
        raise KeyboardInterrupt


@contextmanager
def long_call() -> Iterator[None]:
    """Let the end of the interpreter wait for what is inside; a call that was stopped ends here."""
    me = threading.get_ident()
    with _changed:
        _at_work[me] = _at_work.get(me, 0) + 1
    try:
        yield
    finally:
        with _changed:
            _at_work[me] -= 1
            outermost = not _at_work[me]
            if outermost:
                del _at_work[me]
                _changed.notify_all()
        if outermost and asked():
            threading.Event().wait()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@_deaf_to_ctrl_c()
def _end() -> None:
    """Stop the long calls of other threads, and wait until they have come to their end."""
    global _ended_by
    _ended_by = me = threading.get_ident()
    engine = sys.modules.get("gtn_fast._native")
    if engine is not None:
        engine.end_calls()
    until = time.monotonic() + _PATIENCE_S
    with _changed:
        _changed.wait_for(lambda: not (_at_work.keys() - {me}), max(0.0, until - time.monotonic()))


def _forget() -> None:
    """Forget the calls of the parent's threads: a forked child does not have them."""
    global _changed
    _changed = threading.Condition()
    for thread in _at_work.keys() - {threading.get_ident()}:
        del _at_work[thread]


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
