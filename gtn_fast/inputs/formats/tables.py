"""Tables: a column of Parquet is unpacked block by block, one of Arrow read where it lies.

A column holds a list of numbers for each row, of one length, fixed by its type or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.formats import columns
from gtn_fast.inputs.formats.keys import choose
from gtn_fast.inputs.formats.packed import Packed
from gtn_fast.inputs.matrices import Stacked, engine_dtype

_FILE_MAGIC = b"ARROW1"
_READ_BYTES = 1 << 20  # of a Parquet file, at once


def read(path: Path, key: str | None, ndim: int) -> Any:
    """Return a column: lists as a matrix (rows, d), plain values as a vector."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, key, ndim)
    return _arrow(path, key, ndim)


# ------------------------------------------------------------------ Parquet


def _parquet(path: Path, key: str | None, ndim: int) -> Any:
    with _parquet_file(path) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
        shapes = columns.shapes_of(schema, rows)
        name = choose(path, key, shapes, ndim, "column")
        if ndim == 1 and len(shapes[name]) == 1:
            return columns.as_vector(path, name, file.read(columns=[name]).column(name))
        kind = schema.field(name).type
        dtype = columns.check_numbers(path, name, kind)
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        cols = shapes[name][1]
        if cols < 0:
            first = next(file.iter_batches(1, columns=[name]), None)
            cols = 0 if first is None else columns.length_of(path, name, first.column(0))
    return _ParquetColumn(path, name, (rows, cols), dtype, sizes)


def _parquet_file(path: Path) -> Any:
    """Open a file so that it is read page by page, however large its row groups are."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BYTES)


class _ParquetColumn(Packed):
    def __init__(
        self,
        path: Path,
        name: str,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        sizes: list[int],
    ) -> None:
        starts = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
        super().__init__(path, shape, dtype, starts)
        self._name = name

    def blocks(self, first: int) -> Iterator[NDArray[Any]]:
        """Yield the batches of the row groups from the one that begins at ``first``."""
        # Row groups may be empty: of several that begin at one row, all are read.
        groups = range(int(np.searchsorted(self.starts, first)), len(self.starts))
        at = first
        with _parquet_file(self.path) as file:
            for batch in file.iter_batches(
                self.block_rows, row_groups=list(groups), columns=[self._name], use_threads=False
            ):
                lists = batch.column(0)
                yield columns.as_rows(self.path, self._name, lists, self.shape[1], at)
                at += len(lists)


# ------------------------------------------------------------------ Arrow


def _arrow(path: Path, key: str | None, ndim: int) -> Any:
    import pyarrow as pa

    if path.stat().st_size == 0:
        raise FileError(f"{path}: is empty")
    mapped = np.memmap(path, np.uint8, "r")
    schema = _ipc(mapped).schema
    shapes = columns.shapes_of(schema, -1)
    name = choose(path, key, shapes, ndim, "column")
    kind = schema.field(name).type
    if ndim == 1 and len(shapes[name]) == 1:
        chunks = list(_chunks(mapped, name, alone=True))
        return columns.as_vector(path, name, pa.chunked_array(chunks, kind))
    return _matrix(path, mapped, name, columns.check_numbers(path, name, kind), shapes[name][1])


def _matrix(path: Path, mapped: Any, name: str, dtype: np.dtype[Any], cols: int) -> Any:
    """Return a column of lists: views of the map, or rows to unpack if they are compressed."""
    first = next((lists for lists in _chunks(mapped, name, alone=False) if len(lists)), None)
    if first is None:
        return np.empty((0, max(0, cols)), dtype)
    cols = columns.length_of(path, name, first)
    packed = _in_map(mapped, columns.as_rows(path, name, first, cols, 0)) is None
    views, at = [], 0
    for lists in _chunks(mapped, name, alone=packed):
        rows = columns.as_rows(path, name, lists, cols, at)
        at += len(lists)
        if len(lists) and not packed:
            view = _in_map(mapped, rows)
            views.append(rows if view is None else view)
    if packed:
        return _ArrowColumn(path, name, (at, cols), dtype)
    return views[0] if len(views) == 1 else Stacked(views, engine_dtype(dtype))


class _ArrowColumn(Packed):
    """A compressed column. It is unpacked from its beginning: few of them are large."""

    def __init__(self, path: Path, name: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        super().__init__(path, shape, dtype)
        self._name = name

    def blocks(self, first: int) -> Iterator[NDArray[Any]]:
        """Yield the record batches."""
        at = first
        for lists in _chunks(np.memmap(self.path, np.uint8, "r"), self._name, alone=True):
            yield columns.as_rows(self.path, self._name, lists, self.shape[1], at)
            at += len(lists)


def _ipc(mapped: Any, fields: list[int] | None = None) -> Any:
    """Open either form of Arrow; ``fields``: read these alone, which makes copies of them."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
    source = pa.py_buffer(mapped)
    if bytes(mapped[: len(_FILE_MAGIC)]) == _FILE_MAGIC:
        return pa.ipc.open_file(source, options=options)
    return pa.ipc.open_stream(source, options=options)


def _chunks(mapped: Any, name: str, *, alone: bool) -> Iterator[Any]:
    """Yield a column, a record batch at a time; ``alone``: no other column is unpacked."""
    at = _ipc(mapped).schema.get_field_index(name)
    reader = _ipc(mapped, [at] if alone else None)
    if hasattr(reader, "num_record_batches"):
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        batches = iter(reader)
    for batch in batches:
        column = batch.column(0 if alone else at)
        column.validate(full=True)  # Arrow trusts what it reads: an offset may lead anywhere
        yield column


def _in_map(mapped: Any, rows: NDArray[Any]) -> NDArray[Any] | None:
    """Return rows that lie in the map as a view of it, so that the map is known and guarded."""
    offset = rows.__array_interface__["data"][0] - mapped.__array_interface__["data"][0]
    if not rows.flags.c_contiguous or not 0 <= offset <= mapped.nbytes - rows.nbytes:
        return None
    view: NDArray[Any] = mapped[offset : offset + rows.nbytes].view(rows.dtype).reshape(rows.shape)
    return view
