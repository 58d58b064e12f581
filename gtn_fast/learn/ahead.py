"""The next piece of work in a background thread while the last one is used.

Labels of the next epoch are made while this one trains: the engine holds no lock of Python's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from gtn_fast.system.ending import stop_here

T = TypeVar("T")
Make = Callable[[int, Callable[[int, int], None]], T]

_LOOK_S = 0.1  # how often who waits looks whether the interpreter ends


class _Stopped(Exception):
    """Raised inside ``make`` when nobody wants its answer any more."""


class Ahead(Generic[T]):
    """Gives ``make(number, progress)`` for growing numbers, each made while the one before is used.

    Use it in a ``with``: at its end what is under way is stopped, as soon as ``make`` calls its
    ``progress(done, total)``, and waited for. An exception of ``make`` is raised where its answer
    is asked for. ``last`` is the last number that is made without being asked for.
    """

    def __init__(self, make: Make[T], last: int) -> None:
        self._make, self._last = make, last
        self._job: _Job[T] | None = None

    def begin(self, number: int) -> None:
        """Begin to make the answer for ``number``, and nothing else; unless it is being made."""
        if self._job is None or self._job.number != number:
            self._end()
            self._job = _Job(self._make, number)
            self._job.start()  # after it is known here: Ctrl-C may come as soon as it runs

    def __call__(self, number: int) -> T:
        """Return the answer for ``number``; the next one is begun then."""
        self.begin(number)
        assert self._job is not None
        answer = self._job.answer()
        self._job = None
        if number < self._last:
            self.begin(number + 1)
        return answer

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._job is not None:
            self._job.end()
            self._job = None


class _Job(Generic[T]):
    def __init__(self, make: Make[T], number: int) -> None:
        self.number = number
        self._make = make
        self._stop = threading.Event()
        self._answer: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"labels {number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def answer(self) -> T:
        while self._thread.is_alive():
            self._thread.join(_LOOK_S)
            stop_here()
        if self._error is not None:
            raise self._error
        return self._answer[0]

    def end(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._answer.append(self._make(self.number, self._progress))
        except BaseException as error:
            self._error = error

    def _progress(self, _done: int, _total: int) -> None:
        if self._stop.is_set():
            raise _Stopped
