"""WebDataset: a tar in which the members of a sample share their name up to its first dot.

``0001.latent.npy`` is the field ``latent.npy`` of the sample ``0001``; a field with one .npy or
.pth for each sample is a matrix, one row per sample, in the order of the tar.
"""

from __future__ import annotations

import io
import tarfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.formats.keys import choose
from gtn_fast.inputs.formats.packed import Packed
from gtn_fast.inputs.formats.torch_files import load_tensors
from gtn_fast.inputs.npy import check_promise, read_header
from gtn_fast.inputs.wording import shape_text

SAMPLE_KEYS = "__key__"  # as WebDataset calls the names of samples
_SUFFIXES = (".npy", ".pth", ".pt")
_LARGEST_MEMBER = 1 << 30


class _Field(NamedTuple):
    """Where the members of a field lie: offsets and sizes in the tar; ``name``: of the first."""

    name: str
    offsets: array[int]
    sizes: array[int]


def read(path: Path, key: str | None, ndim: int) -> Any:
    """Return a field, a row per sample; ``key`` "__key__": the names of the samples."""
    keys: list[str] = []
    fields = _fields(path, keys if key == SAMPLE_KEYS else None)
    if key == SAMPLE_KEYS:
        return np.array(keys)
    with path.open("rb") as stream:
        firsts = {
            name: _member(path, stream, each, 0)
            for name, each in fields.items()
            if key is None or name == key
        }
    shapes = {name: (len(fields[name].offsets), *first.shape) for name, first in firsts.items()}
    if key is not None and key not in fields:
        shapes = {name: (len(each.offsets), -1) for name, each in fields.items()}
    chosen = choose(path, key, shapes, ndim, "field")
    found = _Rows(path, fields[chosen], shapes[chosen], firsts[chosen].dtype)
    return np.asarray(found).reshape(-1) if len(shapes[chosen]) == 1 else found


def _fields(path: Path, keys: list[str] | None) -> dict[str, _Field]:
    """Return the fields of arrays by name; ``keys`` gets the names of all samples."""
    fields: dict[str, _Field] = {}
    last = None
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            tar.members.clear()  # type: ignore[attr-defined]  # a million of them would stay
            if not member.isreg():
                continue
            folder, slash, base = member.name.rpartition("/")
            stem, _, field = base.partition(".")
            sample = folder + slash + stem
            if keys is not None and sample != last and field:
                keys.append(sample)
                last = sample
            if not field.lower().endswith(tuple(each[1:] for each in _SUFFIXES)):
                continue
            place = fields.setdefault(field, _Field(member.name, array("q"), array("q")))
            place.offsets.append(member.offset_data)
            place.sizes.append(member.size)
        end = tar.offset
    _check_end(path, end)
    return fields


def _check_end(path: Path, end: int) -> None:
    """Raise FileError unless there are zeros after the last member: tarfile does not ask."""
    with path.open("rb") as stream:
        stream.seek(end)
        found = stream.read(tarfile.BLOCKSIZE)
    if len(found) < tarfile.BLOCKSIZE or any(found):
        raise FileError(f"{path}: is not whole: the end of the archive is missing")


def _member(path: Path, stream: IO[bytes], field: _Field, number: int) -> NDArray[Any]:
    """Return the array of one sample; FileError that says which."""
    size = field.sizes[number]
    name = f"{path}, {field.name if number == 0 else f'sample {number}'}"
    if size > _LARGEST_MEMBER:
        raise FileError(f"{name}: is too large for one row: {size:,} bytes")
    stream.seek(field.offsets[number])
    held = stream.read(size)
    if len(held) < size:
        raise FileError(f"{name}: is not whole: {len(held):,} of {size:,} bytes are there")
    content = io.BytesIO(held)
    if not field.name.lower().endswith(".npy"):
        import torch

        found = load_tensors(content, name, ".pth")
        if not isinstance(found, torch.Tensor):
            raise FileError(f"{name}: wanted a tensor, got {type(found).__name__}")
        found = found.detach()
        wide = found.float() if found.dtype in (torch.bfloat16,) else found
        array: NDArray[Any] = wide.numpy()
        return array
    check_promise(name, header := read_header(content, name), size - header.start)
    content.seek(0)
    return npy_format.read_array(content, allow_pickle=False)


class _Rows(Packed):
    def __init__(
        self, path: Path, field: _Field, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        super().__init__(path, shape, dtype)
        self._field = field
        self.starts = np.arange(0, max(1, shape[0]), self.block_rows, dtype=np.int64)

    def blocks(self, first: int) -> Iterator[NDArray[Any]]:
        """Yield samples, some at a time."""
        row_shape, step = self.raw_shape[1:], self.block_rows
        with self.path.open("rb") as stream:
            for start in range(first, len(self), step):
                block = np.empty((min(step, len(self) - start), *row_shape), self.dtype)
                for i in range(len(block)):
                    row = _member(self.path, stream, self._field, start + i)
                    if row.shape != row_shape or row.dtype != self.dtype:
                        raise FileError(
                            f"{self.path}, sample {start + i}: {shape_text(row.shape)} of"
                            f" {row.dtype}, the first is {shape_text(row_shape)} of {self.dtype}"
                        )
                    block[i] = row
                yield block
