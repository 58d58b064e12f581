"""Results that appear whole or not at all, and the error of every file."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

EXTENSIONS = (".npy", ".npz", ".pt", ".pth", ".safetensors")


class FileError(ValueError):
    """A file that cannot be read or written; the message names it and says why."""


def check_output(path: Path, needed_bytes: int = 0) -> None:
    """Raise FileError if ``path`` cannot be written now: to be called before the work.

    The folder must exist, take a new file and have room for ``needed_bytes``.
    """
    folder = path.parent
    if path.is_dir():
        raise FileError(f"{path}: is a directory")
    if not folder.is_dir():
        raise FileError(f"{path}: the folder {folder} does not exist")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise FileError(f"{path}: cannot write to {folder}: {error.strerror}") from None
    if needed_bytes > free:
        raise FileError(
            f"{path}: needs about {needed_bytes:,} bytes, but {folder} has {free:,} left"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` (same suffix), which becomes ``path`` on success.

    On any error or Ctrl-C the temporary file goes and what ``path`` held stays. The file gets
    the permissions that any new file of this process gets.
    """
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(8)}{path.suffix}")
    # Not by tempfile, whose files are private: the umask is applied by the system here, and
    # reading it would change it for a moment, for all threads.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_file(path: Path, writer: Callable[[Path], Any]) -> None:
    """Call ``writer(temporary_path)``, then rename; FileError if the disk refuses."""
    with naming(path), replacing(path) as temporary:
        writer(temporary)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an OSError (a full disk, say) into a FileError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or _first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
