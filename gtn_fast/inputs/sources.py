"""The files that a matrix comes from: which they are, and that they stay as they were.

A file that is mapped into memory is read while the work goes on. ``reading`` compares device,
inode, size and time of change before and after: one that was truncated, overwritten or replaced
is an error that says so. Where the engine is there, a read beyond the end of a file that became
shorter gives zeros until the end of the work, and then the error, in place of SIGBUS.
"""

from __future__ import annotations

import contextlib
import mmap
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gtn_fast.backends import native
from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.wording import listing

_LOOK_EVERY_S = 0.25
_LOOK_SHARE = 0.001  # of the time that looks may take


class State(NamedTuple):
    """What tells that a file is the same as before."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: str) -> State:
        """Look at the file; OSError."""
        found = Path(path).stat()
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Source:
    """A file that rows of a matrix come from. ``rows`` None: it is not known which rows."""

    path: str
    rows: int | None
    was: State

    def change(self) -> str | None:
        """Say what happened to the file since; None if nothing that matters.

        One that was removed is no change: what was opened of it is whole.
        """
        try:
            now = State.of(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"can no longer be looked at ({error.strerror})"
        if (now.device, now.inode) != (self.was.device, self.was.inode):
            return "was replaced by another file"
        if now.size < self.was.size:
            return f"was truncated, from {self.was.size:,} to {now.size:,} bytes,"
        if now.size > self.was.size:
            return f"was overwritten or grew, from {self.was.size:,} to {now.size:,} bytes,"
        return "was overwritten" if now.changed_ns != self.was.changed_ns else None


def mapped_file(array: Any) -> Source | None:
    """Return the file that somebody's memory map, or a view of one, lies in; None for others."""
    owner = _memmap_of(array)
    name = getattr(owner, "filename", None)
    if name is None:
        return None
    path = str(Path(name).absolute())
    try:
        return Source(path, None, State.of(path))
    except OSError:  # removed since it was mapped
        return None


def listed(sources: Sequence[Source]) -> list[dict[str, Any]] | None:
    """Return what a report says of the files: path and rows of each, in the order of rows."""
    if not sources or any(each.rows is None for each in sources):
        return None
    return [{"file": each.path, "rows": each.rows} for each in sources]


class Reading:
    """Files that are read while work goes on: ``check`` says whether they are as they were."""

    def __init__(self, files: Sequence[Source], arrays: Sequence[Any]) -> None:
        self._files = list(dict.fromkeys(files))
        self._guards = list(_guards(arrays))
        self._next_look = 0.0

    def check(self, error: BaseException | None = None) -> None:
        """Raise FileError, because of ``error``, if a file has changed or could not be read."""
        changes = [(f.path, change) for f in self._files if (change := f.change()) is not None]
        if changes:
            path, change = changes[0]
            others = f" (and {len(changes) - 1:,} more files)" if len(changes) > 1 else ""
            raise FileError(f"{path}: {change} while it was read{others}") from error
        failed = [g for g in self._guards if native.module().map_failed(g.number)]
        if failed:
            raise FileError(
                f"{listing(str(g.owner.filename) for g in failed)}: could not be read to its end:"
                " the file became shorter, or its disk failed"
            ) from error

    def __bool__(self) -> bool:
        """Tell whether there is any file to look at."""
        return bool(self._files or self._guards)

    def watched(self, call: Callable[[int, int], None] | None) -> Callable[[int, int], None] | None:
        """Return ``call``, or what does nothing, with a look at the files now and then.

        A run whose input changes under it need not end by itself: bounds that held no longer do.
        """
        if not self:
            return call

        def look(done: int, total: int) -> None:
            began = time.monotonic()
            if began >= self._next_look:
                self.check()
                took = time.monotonic() - began
                self._next_look = began + max(_LOOK_EVERY_S, took / _LOOK_SHARE)
            if call is not None:
                call(done, total)

        return look

    def end(self) -> None:
        """Let the system handle its signals again."""
        while self._guards:
            number, owner = self._guards.pop()
            if native.module().release_map(number):
                _BROKEN.add(owner._mmap)


@contextlib.contextmanager
def reading(files: Sequence[Source], arrays: Sequence[Any]) -> Iterator[Reading]:
    """Guard the work inside: FileError at its end, or in place of its error, for a changed file.

    ``arrays``: those that may lie in files.
    """
    found = Reading(files, arrays)
    try:
        found.check()
        try:
            yield found
        except Exception as error:
            found.check(error)
            raise
        found.check()
    finally:
        found.end()


class _Guard(NamedTuple):
    number: int
    owner: Any  # np.memmap, whose map has no public name


# Maps in which zeros stand for what was gone: their file may be whole again, they are not.
_BROKEN: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def _guards(arrays: Sequence[Any]) -> Iterator[_Guard]:
    """Guard each map once, however many of the arrays lie in it."""
    found: dict[int, tuple[Any, int, int]] = {}
    for array in arrays:
        owner = _memmap_of(array)
        if owner is None or not array.size:
            continue
        if owner._mmap in _BROKEN:
            raise FileError(
                f"{owner.filename}: was truncated while it was mapped; open it again to read it"
            )
        low, high = _bounds(array)
        _, least, most = found.get(id(owner._mmap), (owner, low, high))
        found[id(owner._mmap)] = owner, min(least, low), max(most, high)
    if found and native.available():
        for owner, low, high in found.values():
            yield _Guard(native.module().guard_map(low, high - low), owner)


def _memmap_of(array: Any) -> Any:
    """Return the memory map that an array is, or is a view of."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            return array
        array = array.base
    return None


def _bounds(array: Any) -> tuple[int, int]:
    """Return the first address of an array and the one after its last."""
    low = int(array.__array_interface__["data"][0])
    high = low + array.itemsize
    for size, stride in zip(array.shape, array.strides, strict=True):
        reach = (size - 1) * stride
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low, high
