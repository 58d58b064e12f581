"""Thread counts of libraries that use OpenMP: for one piece of work, in the calling thread.

In a forked child they get one thread (forks.py), whoever asks. Where the system refuses a
thread, OpenMP ends the process: so it is tried before.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from gtn_fast.system.cpus import available_cpus
from gtn_fast.system.ending import long_call
from gtn_fast.system.forks import inherited
from gtn_fast.system.workers import check_startable

_Call = TypeVar("_Call", bound=Callable[..., Any])

_setting = threading.Lock()
_own = threading.local()  # started: threads that OpenMP may have had already; it keeps them


@contextmanager
def torch_threads(count: int | None = None) -> Iterator[None]:
    """Give torch so many threads (None: as many as it has), and the old number afterwards.

    Torch's work in other threads of the process keeps the number that it had. OSError where
    the system refuses a thread.
    """
    import torch

    with _setting:  # not while another thread's number is that of all new ones: see _give
        before = torch.get_num_threads()
    wanted = _allowed("torch", min(before, available_cpus()) if count is None else count)
    if wanted == before:
        yield
        return
    _give(torch, wanted, before)
    try:
        yield
    finally:
        with _setting:
            torch.set_num_threads(before)


def _give(torch: Any, count: int, elsewhere: int) -> None:
    """Give the calling thread ``count`` threads of torch.

    ``set_num_threads`` sets it also for threads that have not used torch yet; that is undone by
    calling it in a thread that ends at once.
    """
    with _setting:
        torch.set_num_threads(count)
        helper = threading.Thread(target=torch.set_num_threads, args=(elsewhere,))
        try:
            helper.start()
        except RuntimeError:  # refused: so there are no new threads
            return
        helper.join()


def torch_in_a_fork() -> AbstractContextManager[None]:
    """Give torch one thread in a forked child; elsewhere do nothing. For short work."""
    return torch_threads(1) if inherited("torch") else nullcontext()


def computes_by_torch(call: _Call) -> _Call:
    """Decorate a function: a long call (ending.py), with torch's threads as ``torch_threads``."""

    @functools.wraps(call)
    def guarded(*arguments: Any, **options: Any) -> Any:
        with long_call(), torch_threads():
            return call(*arguments, **options)

    return guarded  # type: ignore[return-value]


@contextmanager
def faiss_threads(faiss: Any, count: int) -> Iterator[None]:
    """Let FAISS use so many threads; its setting comes back afterwards. OSError as above."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(_allowed("faiss", count))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _allowed(library: str, count: int) -> int:
    if inherited(library):
        return 1
    started = getattr(_own, "started", {})
    if count > started.get(library, 1):
        check_startable(count)
        _own.started = {**started, library: count}
    return count
