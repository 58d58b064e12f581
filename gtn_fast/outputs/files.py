"""One file that is written: it appears whole or not at all, and where its name leads.

A symbolic link is followed: what it points to is replaced, the link stays. A pipe, a device or
a folder is never written to.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError, naming
from gtn_fast.inputs.sources import mapped_file

_LONGEST_SUFFIX = 24  # of a temporary name: it must not be longer than the name it stands for


def destination(path: Path) -> Path:
    """Return where a file written to ``path`` lies, links followed.

    FileError where no regular file can be: a folder, a pipe or device, a link to itself, a name
    that the system does not take.
    """
    try:
        with naming(path):
            mode = _mode(path)
            real = path.resolve()
    except FileError:
        raise
    except ValueError as error:  # a zero byte, a character that file names cannot have
        raise FileError(f"{str(path)!r}: is no name of a file: {error}") from None
    if mode is not None and stat.S_ISDIR(mode):
        raise FileError(f"{path}: is a directory")
    if mode is not None and not stat.S_ISREG(mode):
        raise FileError(f"{path}: is no regular file but a pipe, a device or a socket")
    return real


def _mode(path: Path) -> int | None:
    """Return what is there, None for nothing yet; OSError for a name that can lead nowhere."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def check_apart(path: Path, *arrays: Any) -> None:
    """Raise FileError if ``path`` is the file that one of the arrays is mapped from."""
    parts = [part for array in arrays for part in getattr(array, "parts", [array])]
    for source in filter(None, map(mapped_file, parts)):
        if path.exists() and path.samefile(source.path):
            raise FileError(f"{path}: is the file of an input; give the output another name")


def check_output(path: Path, needed_bytes: int = 0) -> None:
    """Raise FileError if ``path`` cannot be written now: to be called before the work.

    The folder must exist, take a new file and have room for ``needed_bytes``; a file that is
    there must be one that this process may replace.
    """
    real = destination(path)
    folder = real.parent
    if not folder.is_dir():
        raise FileError(f"{path}: the folder {path.parent} does not exist")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FileError(f"{path}: cannot write to {folder}: {error.strerror}") from None
    _check_replaceable(path, real)
    check_room(path, needed_bytes)


def check_room(path: Path, needed_bytes: int, *, in_one_file: bool = True) -> None:
    """Raise FileError if the folder of ``path`` has less room, or a file may not be as large."""
    folder = destination(path).parent
    with naming(path):
        free = shutil.disk_usage(folder).free
    needs = f"{path}: needs about {needed_bytes:,} bytes"
    if not in_one_file:
        needs += " with the other files"
    if needed_bytes > free:
        raise FileError(f"{needs}, but {folder} has {free:,} left")
    largest = _largest_file() if in_one_file else None
    if largest is not None and needed_bytes > largest:
        raise FileError(f"{needs}, but files of this process end at {largest:,} bytes (ulimit -f)")


def _check_replaceable(path: Path, real: Path) -> None:
    """Raise FileError for a file that is write-protected or, in a shared folder, another's."""
    try:
        found, folder = real.stat(), real.parent.stat()
    except OSError:
        return  # nothing is there
    if not os.access(real, os.W_OK):
        raise FileError(f"{path}: is there, and write-protected")
    me = getattr(os, "geteuid", lambda: 0)()
    if folder.st_mode & stat.S_ISVTX and me not in (0, found.st_uid, folder.st_uid):
        raise FileError(f"{path}: belongs to another user, who alone may replace it there")


def _largest_file() -> int | None:
    """Return the limit of this process on the size of a file, None for no limit."""
    try:
        import resource
    except ImportError:  # not POSIX
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` (same suffix), which becomes ``path`` on success.

    On any error or Ctrl-C the temporary file goes and what ``path`` held stays. The file gets
    the permissions that any new file of this process gets. FileError as ``destination``.
    """
    real = destination(path)
    suffix = real.suffix if len(real.suffix) <= _LONGEST_SUFFIX else ""
    temporary = real.with_name(f".gtn-fast-{secrets.token_hex(8)}{suffix}")
    # Not by tempfile, whose files are private: the umask is applied by the system here, and
    # reading it would change it for a moment, for all threads.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        temporary.replace(real)
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


def remove(path: Path) -> None:
    """Remove a file of ours, if it is there; a link to it stays."""
    with naming(path):
        destination(path).unlink(missing_ok=True)


def deliver(path: Path, save: Callable[[Path], Any]) -> None:
    """Call ``save(path)``; where that fails, save under another name, which the error tells.

    For the last step of a long run. FileError in any case of failure.
    """
    try:
        with naming(path):
            save(path)
        return
    except FileError as error:
        reason = str(error)
    name = f"{path.stem[:100]}-{secrets.token_hex(4)}{path.suffix}"
    for folder in _refuges(path):
        try:
            save(folder / name)
        except (OSError, FileError):
            continue
        raise FileError(f"{reason}; the result was saved as {folder / name}")
    raise FileError(f"{reason}; nor could the result be saved anywhere else")


def _refuges(path: Path) -> Iterator[Path]:
    """Yield folders in which a result may survive: that of ``path``, and those of any process."""
    yield path.parent
    with suppress(OSError):
        yield Path.cwd()
    with suppress(OSError):
        yield Path(tempfile.gettempdir())
    with suppress(RuntimeError):
        yield Path.home()


def write_npz(file: BinaryIO, arrays: Mapping[str, NDArray[Any]], compress: bool = False) -> None:
    """Write arrays as ``np.savez`` does.

    Not by it: on a full disk older NumPy leaves the archive open, and Python then prints a second
    error. A dtype of objects is a ValueError.
    """
    packing = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
