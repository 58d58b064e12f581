"""Columns of Arrow: lists of numbers as rows of a matrix, plain values as a vector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError


def storage(kind: Any) -> Any:
    """Return the type that a column is stored as: that of an extension type (tensors) is below."""
    return getattr(kind, "storage_type", kind)


def shapes_of(schema: Any, rows: int) -> dict[str, tuple[int, ...]]:
    """Return what each column is as an array: (rows, d), d -1 where each row says; (rows,)."""
    import pyarrow.types as types

    found: dict[str, tuple[int, ...]] = {}
    for each in schema:
        kind = storage(each.type)
        if types.is_fixed_size_list(kind):
            found[each.name] = (rows, kind.list_size)
        elif types.is_list(kind) or types.is_large_list(kind):
            found[each.name] = (rows, -1)
        elif not types.is_nested(kind):
            found[each.name] = (rows,)
    return found


def check_numbers(path: Path, name: str, kind: Any) -> np.dtype[Any]:
    """Return the dtype of the numbers in a column of lists; FileError for another type."""
    import pyarrow.types as types

    kind = storage(kind)
    inside = getattr(kind, "value_type", kind)
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not is_list or not (types.is_floating(inside) or types.is_integer(inside)):
        raise FileError(
            f"{path}: column {name!r} is {kind}; wanted lists of numbers, one list per row"
        )
    dtype: np.dtype[Any] = np.dtype(inside.to_pandas_dtype())
    return dtype


def as_rows(path: Path, name: str, lists: Any, cols: int, first: int) -> NDArray[Any]:
    """Return an array of lists (rows, cols), without a copy where there is no need.

    ``first``: the number of its first row in the file, for messages. FileError for a row that is
    missing, has another length or a missing number.
    """
    import pyarrow as pa

    if isinstance(lists, pa.ExtensionArray):
        lists = lists.storage
    place = f"of column {name!r}"
    if lists.null_count:
        row = first + int(np.flatnonzero(lists.is_null().to_numpy(zero_copy_only=False))[0])
        raise FileError(f"{path}: row {row} {place} is missing")
    if not isinstance(lists, pa.FixedSizeListArray):
        lengths = np.diff(lists.offsets.to_numpy())
        other = np.flatnonzero(lengths != cols)
        if len(other):
            row = int(other[0])
            raise FileError(
                f"{path}: row {first + row} {place} has {int(lengths[row])} numbers,"
                f" row 0 has {cols}"
            )
    values = lists.flatten()
    if values.null_count:
        at = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise FileError(
            f"{path}: row {first + at // cols} {place} has a missing number, in place {at % cols}"
        )
    rows: NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(len(lists), cols)
    return rows


def length_of(path: Path, name: str, lists: Any) -> int:
    """Return how many numbers the first list has; FileError if it is missing."""
    kind = storage(lists.type)
    if hasattr(kind, "list_size"):
        return int(kind.list_size)
    first = lists[0].as_py() if len(lists) else []
    if first is None:
        raise FileError(f"{path}: row 0 of column {name!r} is missing")
    return len(first)


def as_vector(path: Path, name: str, column: Any) -> NDArray[Any]:
    """Return a column of plain values (rows,): numbers, texts, dates; FileError for a missing."""
    import pyarrow as pa

    if column.null_count:
        missing = column.is_null().combine_chunks().to_numpy(zero_copy_only=False)
        raise FileError(
            f"{path}: row {int(np.flatnonzero(missing)[0])} of column {name!r} is missing"
        )
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values: NDArray[Any] = column.to_numpy()
    return np.array(values.tolist()) if values.dtype == np.dtype(object) else values
