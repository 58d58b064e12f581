"""The error of every file, and what is no regular file: a pipe may never end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gtn_fast.inputs.wording import first_line, printable


class FileError(ValueError):
    """A file that cannot be read or written; the message names it and says why.

    One line, whatever the message quotes: a damaged file may hold names with line breaks.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise FileError for a pipe, a device or a socket; whoever opens the rest says what is wrong.

    Opening a pipe may wait for ever, and a device may never end.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  (any path, as the caller wrote it)
    except OSError:
        return
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    kind = next((text for test, text in kinds if test(mode)), "a device")
    raise FileError(f"{os.fspath(path)}: is no regular file but {kind}; save it to a file first")


def check_file(path: Path) -> None:
    """Raise FileError unless a regular file is there."""
    check_regular(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileError(f"{path}: no such file") from None
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        raise FileError(f"{path}: is a directory")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an OSError (a full disk, say) into a FileError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or first_line(error)}") from None
