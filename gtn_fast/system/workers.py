"""Threads of Python that share a list of work, and the error where the system refuses one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gtn_fast.system.cgroups import folders

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    threads: int,
    stop: threading.Event | None = None,
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` for every item, in order, done by up to ``threads`` threads.

    The first item's error is raised. At an error, at Ctrl-C and when the caller stops asking,
    no other item is begun, ``stop`` is set, and those at work are waited for. Where the system
    refuses a thread, those that are there do the work, or the calling thread.

    The threads are daemons, other than those of concurrent.futures: the interpreter does not
    wait at its end for all that is left, and one can be started after the main thread's end.
    """
    run = _Run(work, items, threading.Event() if stop is None else stop)
    workers: list[threading.Thread] = []
    try:
        for _ in range(min(threads, len(items)) if threads > 1 and len(items) > 1 else 0):
            worker = threading.Thread(target=run.go, daemon=True)
            try:
                worker.start()
            except RuntimeError:  # can't start new thread
                break
            workers.append(worker)
        if not workers:
            yield from map(work, items)
            return
        for i in range(len(items)):
            yield run.result(i)
    finally:
        run.stop.set()
        for worker in workers:
            worker.join()


class _Run:
    """What the threads of one list share."""

    def __init__(self, work: Callable[[Any], Any], items: Sequence[Any], stop: Any) -> None:
        self._work, self._items, self.stop = work, items, stop
        self._next = 0
        self._done: dict[int, tuple[bool, Any]] = {}
        self._changed = threading.Condition()

    def go(self) -> None:
        """Take items, the next one each time, until there is none or someone failed."""
        while True:
            with self._changed:
                i = self._next
                if self.stop.is_set() or i == len(self._items):
                    return
                self._next += 1
            try:
                done = (True, self._work(self._items[i]))
            except BaseException as error:
                done = (False, error)
                self.stop.set()
            with self._changed:
                self._done[i] = done
                self._changed.notify_all()

    def result(self, i: int) -> Any:
        """Wait for item i. The items before a failed one were all begun, so they will be done."""
        with self._changed:
            self._changed.wait_for(lambda: i in self._done)
            right, value = self._done.pop(i)
        if not right:
            raise value
        return value


def check_startable(threads: int) -> None:
    """Raise OSError if the system refuses so many threads, the calling one included.

    For libraries that end the process where a thread is refused to them (OpenMP's do).
    """
    enough = threading.Event()
    waiting: list[threading.Thread] = []
    try:
        for _ in range(threads - 1):
            thread = threading.Thread(target=enough.wait, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                raise OSError(_refused(len(waiting) + 1, threads)) from None
            waiting.append(thread)
    finally:
        enough.set()
        for thread in waiting:
            thread.join()


def _refused(started: int, wanted: int) -> str:
    """Name the limits as the engine does (csrc/engine/parallel.cpp)."""
    limits = [*_process_limits(), *_container_limits()]
    return (
        f"the system refused a thread ({started} of {wanted} started; limits:"
        f" {', '.join(limits) or 'none is set here'}): raise the limit, or give threads=1,"
        " which needs no other thread"
    )


def _process_limits() -> Iterator[str]:
    try:
        import resource
    except ImportError:  # not POSIX
        return
    for name, option in (("RLIMIT_NPROC", "-u"), ("RLIMIT_AS", "-v")):
        most = resource.getrlimit(getattr(resource, name))[0] if hasattr(resource, name) else -1
        if most not in (-1, resource.RLIM_INFINITY):
            yield f"ulimit {option} {most}"


def _container_limits() -> Iterator[str]:
    for folder, _ in folders("pids"):
        try:
            most = Path(folder / "pids.max").read_text().strip()
        except OSError:
            continue
        if most != "max":
            yield f"pids.max of the container {most}"
            return
