"""NumPy's own files: .npy is mapped, or read from standard input; of .npz one array is read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.formats.keys import choose
from gtn_fast.inputs.npy import map_file, opened_archive, read_header
from gtn_fast.inputs.wording import shape_text
from gtn_fast.planning.memory import check_room

STDIN = "-"
_STDIN_NAME = "standard input"
_READ_AT_ONCE = 1 << 20


def read(path: Path, key: str | None, ndim: int) -> NDArray[Any]:
    """Map the array of a .npy file; read one of an .npz file."""
    if path.suffix.lower() == ".npy":
        if key is not None:
            raise FileError(f"{path}: a .npy file holds one array and has no key {key!r}")
        return map_file(path)
    with path.open("rb") as stream, opened_archive(stream, str(path)) as archive:
        if key is None or key not in archive:
            key = choose(path, key, archive.shapes(), ndim)
        return archive.read(key)


class _Counting:
    """A stream that counts what was read of it: a pipe does not tell."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._count = stream, 0

    def read(self, size: int = -1) -> bytes:
        found: bytes = self._stream.read(size)
        self._count += len(found)
        return found

    def tell(self) -> int:
        return self._count


def read_stdin(key: str | None) -> NDArray[Any]:
    """Read one .npy file from standard input, into memory; FileError, MemoryError."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed or sys.stdin.isatty():
        raise FileError(f"{_STDIN_NAME}: is no file or pipe; '-' reads a .npy file from it")
    if key is not None:
        raise FileError(f"{_STDIN_NAME}: a .npy file holds one array and has no key {key!r}")
    counting = _Counting(stream)
    try:
        header = read_header(cast("Any", counting), _STDIN_NAME)
    except FileError:
        if counting.tell() == 0:
            raise FileError(f"{_STDIN_NAME}: is empty, or was read already") from None
        raise
    check_room(header.promised, f"reading {_STDIN_NAME}")
    array: NDArray[Any] = np.empty(header.shape, header.dtype, "F" if header.fortran else "C")
    flat = array.reshape(-1, order="A").view(np.uint8) if array.size else np.empty(0, np.uint8)
    at = 0
    while at < header.promised:
        found = stream.read(min(_READ_AT_ONCE, header.promised - at))
        if not found:
            raise FileError(
                f"{_STDIN_NAME}: is not whole: its header promises {shape_text(header.shape)} of"
                f" {header.dtype}, {header.promised:,} bytes, but it gave {at:,}"
            )
        flat[at : at + len(found)] = np.frombuffer(found, np.uint8)
        at += len(found)
    return array
