"""Arrays of NumPy's formats, plain or in an archive: what a header promises is checked first.

A header that promises more than the file holds is refused before anything is allocated, and
so is an array that does not fit into the memory available. Nothing here unpickles.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.wording import listing, shape_text
from gtn_fast.planning.memory import check_room

_SUFFIX = ".npy"
_VERSIONS = ((1, 0), (2, 0), (3, 0))
_MOST_DIMENSIONS = 32
_LAST_CHARACTER = 0x10FFFF  # of Unicode
_DEFLATE_GAIN = 1032  # no byte of deflated data gives more


class Header(NamedTuple):
    """What stands before the numbers: shape, order, dtype; ``start``: bytes before the numbers."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int

    @property
    def promised(self) -> int:
        """Bytes of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes], name: str) -> Header:
    """Read a header; FileError, naming ``name``, for one that is damaged or asks for pickles."""
    try:
        version = npy_format.read_magic(stream)
        read = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        if version not in _VERSIONS:
            raise ValueError(f"format version {version[0]}.{version[1]} is not known")
        shape, fortran, dtype = read(stream)
    except Exception as error:  # a damaged header makes NumPy raise nearly anything
        text = str(error)
        if "may not be safe" in text:  # NumPy goes on to advise how to load it all the same
            raise FileError(f"{name}: its header is too long for an array's") from None
        raise FileError(f"{name}: not a readable .npy file: {_line(error)}") from None
    if dtype.hasobject:
        raise FileError(
            f"{name}: holds Python objects, not numbers, and reading them could run code;"
            " save the numbers: np.save(file, np.array(X, dtype=np.float32))"
        )
    if dtype.subdtype is not None:  # np.save writes none, np.load does not read them
        raise FileError(f"{name}: its elements are arrays themselves: {listing(dtype.shape)}")
    if len(shape) > _MOST_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise FileError(f"{name}: its header has a shape that no array has: {listing(shape)}")
    return Header(shape, fortran, dtype, stream.tell())


def check_promise(name: str, header: Header, holds: int) -> None:
    """Raise FileError, with both sizes, if the numbers are not all there."""
    if header.promised > holds:
        raise FileError(
            f"{name}: is not whole: its header promises {shape_text(header.shape)} of"
            f" {header.dtype}, {header.promised:,} bytes, but it holds {holds:,}"
        )


def map_file(path: Path) -> NDArray[Any]:
    """Map the array of a .npy file; an empty one is made. FileError as above, OSError."""
    with path.open("rb") as stream:
        header = read_header(stream, str(path))
        holds = stream.seek(0, 2) - header.start
    check_promise(str(path), header, holds)
    order: Any = "F" if header.fortran else "C"
    if header.promised == 0:
        return np.empty(header.shape, header.dtype, order)
    return np.memmap(path, header.dtype, "r", header.start, header.shape, order)


class Archive:
    """The arrays of an .npz file: their headers first, the numbers of those that are asked for.

    An array is looked for only where it is named: what else the archive holds, of whatever
    size, is never unpacked.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str, size: int) -> None:
        self._zip, self._name, self._size = archive, name, size
        members = [each for each in archive.namelist() if each.endswith(_SUFFIX)]
        self.names = [each[: -len(_SUFFIX)] for each in members]

    def header(self, key: str) -> Header:
        """Return the header of one array; FileError."""
        with self._opened(key) as (stream, holds):
            header = read_header(stream, f"{self._name}:{key}")
            check_promise(f"{self._name}:{key}", header, holds - header.start)
            return header

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays, by name; one that cannot be read is left out.

        FileError if none can be.
        """
        found, problem = {}, None
        for name in self.names:
            try:
                found[name] = self.header(name).shape
            except FileError as error:
                problem = problem or error
        if problem is not None and not found:
            raise problem
        return found

    def read(self, key: str) -> NDArray[Any]:
        """Return one array; FileError, or MemoryError if it does not fit."""
        header = self.header(key)
        check_room(header.promised, f"reading {self._name}:{key}")
        with self._opened(key) as (stream, _):
            array: NDArray[Any] = npy_format.read_array(stream, allow_pickle=False)
            _check_text(array)
            return array

    def __contains__(self, key: object) -> bool:
        return key in self.names

    def _most(self, info: zipfile.ZipInfo) -> int:
        """Return how many bytes the packed ones can give, whatever the directory says."""
        packed = min(info.compress_size, self._size)
        if info.compress_type == zipfile.ZIP_STORED:
            return packed
        return packed * _DEFLATE_GAIN if info.compress_type == zipfile.ZIP_DEFLATED else 1 << 62

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[IO[bytes], int]]:
        if key not in self.names:
            raise FileError(f"{self._name}: no key {key!r}; it holds: {listing(self.names)}")
        try:
            info = self._zip.getinfo(key + _SUFFIX)
            with self._zip.open(info) as stream:
                yield stream, min(info.file_size, self._most(info))
        except (FileError, MemoryError):
            raise
        except Exception as error:  # zip, zlib, lzma and NumPy have error types of their own
            raise FileError(f"{self._name}: {key} cannot be read: {_line(error)}") from None


@contextmanager
def opened_archive(stream: IO[bytes], name: str, suffix: str = ".npz") -> Iterator[Archive]:
    """Yield the archive in an open file; FileError for what is none."""
    try:
        size = stream.seek(0, 2)
        archive = zipfile.ZipFile(stream)
    except Exception as error:  # a damaged directory makes zipfile raise nearly anything
        raise FileError(f"{name}: not a readable {suffix} file: {_line(error)}") from None
    with archive:
        yield Archive(archive, name, size)


def _check_text(array: NDArray[Any]) -> None:
    """Raise ValueError for characters that there are not, and for records, which may hold them."""
    if array.dtype.names is not None:
        raise ValueError("it holds records, not numbers or text")
    if array.dtype.kind == "U" and array.size:
        plain = np.array(array, array.dtype.newbyteorder("="), order="C")
        if plain.reshape(-1).view(np.uint32).max(initial=0) > _LAST_CHARACTER:
            raise ValueError("it holds characters that are not in Unicode")


def _line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120]
