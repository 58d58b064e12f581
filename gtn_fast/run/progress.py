"""The progress argument: a bar, a callable, a line a minute, or nothing.

``progress_reporter`` serves the engine, which counts for itself; ``progress_bar`` serves loops
in Python. A bar is for whoever watches: a terminal, a notebook. A log gets a line a minute.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gtn_fast.outputs.streams import Forgiving, is_terminal, note

Progress = Callable[[int, int], None]
_BAR_FROM_S = 2.0
_LINES_FROM_S = 30.0  # a run that is expected to take less is over before its first line
_LINE_S = 60.0


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

    None shows a tqdm bar on stderr if that is a terminal, or in a notebook, and the run is
    expected to take more than two seconds; elsewhere a long run says once a minute where it is.
    True and False force a bar or nothing; a callable is called itself.
    """
    if callable(progress):
        yield progress
        return
    if sys.stderr is None:
        progress = False
    if progress is None:
        progress = expected_seconds > _BAR_FROM_S and _watched()
        if not progress and expected_seconds > _LINES_FROM_S:
            yield _Lines("label", "rows")
            return
    if not progress:
        yield None
        return
    with _shown_bar(total, "label", "rows") as bar:

        def update(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        yield update


def _in_notebook() -> bool:
    """Tell whether a kernel of Jupyter runs this, without importing it."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return "IPKernelApp" in (getattr(shell, "config", None) or {})


def _watched() -> bool:
    """Tell whether somebody sees a bar move."""
    return is_terminal(sys.stderr) or _in_notebook()


def _shown_bar(total: int, desc: str, unit: str, delay: float = 0.0) -> Any:
    """Make a bar of tqdm: that of notebooks in one, else on a stderr that may close meanwhile."""
    options = {"total": total, "unit": f" {unit}", "desc": desc, "delay": delay}
    if _in_notebook():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no widgets: it then draws in text, and says so
            from tqdm.auto import tqdm as notebook_bar
        return notebook_bar(**options)
    from tqdm import tqdm

    return tqdm(file=Forgiving(sys.stderr), **options)


class _Lines:
    """Writes a line on stderr once a minute."""

    def __init__(self, desc: str, unit: str) -> None:
        self._desc, self._unit = desc, unit
        self._began = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _LINE_S:
            return
        self._last = now
        passed = now - self._began
        text = f"{self._desc}: {done:,} of {total:,} {self._unit} ({done / max(total, 1):.0%})"
        note(f"{text}, {passed / 60:.0f} min so far")


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

    With progress=None and no expected time, the bar appears once two seconds have passed, the
    line once a minute has. A callable gets (done, total) at each update. TypeError for any other
    ``progress``.
    """
    check_progress(progress)
    if callable(progress):
        yield Bar(total, progress, None)
        return
    soon = progress is True
    if sys.stderr is None:
        progress = False
    if progress is None:
        expected = _BAR_FROM_S * 2 if expected_seconds is None else expected_seconds
        progress = expected > _BAR_FROM_S and _watched()
        if not progress and (expected_seconds is None or expected > _LINES_FROM_S):
            yield Bar(total, _Lines(desc, unit), None)
            return
    if not progress:
        yield Bar(total, None, None)
        return
    delay = 0.0 if soon or expected_seconds is not None else _BAR_FROM_S
    with _shown_bar(total, desc, unit, delay) as shown:
        yield Bar(total, None, shown)
