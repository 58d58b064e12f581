"""The progress argument: a bar, a callable, or nothing.

``progress_reporter`` serves the engine, which counts for itself; ``progress_bar`` serves loops
in Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, int], None]
_BAR_FROM_S = 2.0


def check_progress(progress: Any) -> None:
    """Raise TypeError unless ``progress`` is None, a bool or callable."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(
            "progress must be None, True, False or a callable (done, total),"
            f" got {type(progress).__name__}"
        )


@contextmanager
def progress_reporter(
    progress: Any, total: int, expected_seconds: float
) -> Iterator[Progress | None]:
    """Give what the backends call: (done, total) -> None, or None.

    None shows a tqdm bar on stderr if that is a terminal and the run is expected to
    take more than two seconds; True and False force it; a callable is called itself.
    """
    if callable(progress):
        yield progress
        return
    if progress is None:
        progress = expected_seconds > _BAR_FROM_S and sys.stderr.isatty()
    if not progress:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=" rows", file=sys.stderr, desc="label") as bar:

        def update(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        yield update


class Bar:
    """Counts a loop: ``update`` after each piece, ``show`` for values beside the bar."""

    def __init__(self, total: int, call: Progress | None, shown: Any | None) -> None:
        self._total, self._call, self._shown = total, call, shown
        self._done = 0

    def update(self, n: int = 1) -> None:
        """Count ``n`` more of the total as done."""
        self._done += n
        if self._shown is not None:
            self._shown.update(n)
        if self._call is not None:
            self._call(self._done, self._total)

    def show(self, **values: float | str) -> None:
        """Write name=value behind the bar; nothing where no bar is shown."""
        if self._shown is not None:
            self._shown.set_postfix(values, refresh=False)


@contextmanager
def progress_bar(
    total: int,
    desc: str,
    unit: str,
    progress: Any = None,
    expected_seconds: float | None = None,
) -> Iterator[Bar]:
    """Yield a Bar for ``total`` pieces, shown by the rules of ``progress_reporter``.

    With progress=None and no expected time, the bar appears once two seconds have passed
    (on a terminal only). A callable gets (done, total) at each update. TypeError for any
    other ``progress``.
    """
    check_progress(progress)
    if callable(progress):
        yield Bar(total, progress, None)
        return
    soon = progress is True
    if progress is None:
        expected = _BAR_FROM_S * 2 if expected_seconds is None else expected_seconds
        progress = expected > _BAR_FROM_S and sys.stderr.isatty()
    if not progress:
        yield Bar(total, None, None)
        return
    from tqdm import tqdm

    delay = 0.0 if soon or expected_seconds is not None else _BAR_FROM_S
    with tqdm(total=total, unit=f" {unit}", file=sys.stderr, desc=desc, delay=delay) as shown:
        yield Bar(total, None, shown)
