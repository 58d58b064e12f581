"""The progress argument: a bar, a callable, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, int], None]
_BAR_FROM_S = 2.0


def check(progress: Any) -> None:
    """Raise TypeError unless ``progress`` is None, a bool or callable."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(
            "progress must be None, True, False or a callable (done, total),"
            f" got {type(progress).__name__}"
        )


@contextmanager
def reporter(progress: Any, total: int, expected_seconds: float) -> Iterator[Progress | None]:
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
