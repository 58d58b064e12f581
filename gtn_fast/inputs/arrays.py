"""X and Y as the caller passed them: checked once, with a clear message, then converted.

``describe`` looks at shape, dtype and layout without allocating anything (so that
memory can be predicted first). ``convert`` then makes the array that the engine
reads: 2-D, float32 or float64, native byte order, rows contiguous. An array of
this kind, a memory map included, is passed through, not copied.

Torch is never imported here: a tensor can only arrive if the caller imported torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import load_matrix, matching_files
from gtn_fast.inputs.matrices import Held, RowMatrix, Stacked
from gtn_fast.system.openmp import torch_in_a_fork

MAX_ROWS = 2**32 - 2**24 - 1  # rows are counted in 32 bits inside the engine
_FINITE_CHUNK = 1 << 18  # elements tested at once: the temporary array stays below 1 MiB


@dataclass(frozen=True)
class Described:
    """An accepted matrix before conversion. ``copy_bytes`` is what ``convert`` will allocate.

    ``ids``: the index of a DataFrame that has one of its own, None for anything else.
    """

    name: str
    value: Any
    rows: int
    cols: int
    dtype: np.dtype[Any]
    copy_bytes: int
    ids: NDArray[Any] | None = None


def is_tensor(value: object) -> bool:
    """Tell whether ``value`` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def row_ids(value: Any) -> NDArray[Any] | None:
    """Return the index of a pandas DataFrame, unless it just counts the rows from 0."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame):
        return None
    index = value.index
    if isinstance(index, pandas.RangeIndex) and index.start == 0 and index.step == 1:
        return None
    return np.asarray(index.to_numpy())


def describe(value: Any, name: str) -> Described:
    """Check kind, dtype, rank and emptiness of a (rows, d) matrix.

    Raises TypeError for a dtype or container that is no real matrix and ValueError
    for a wrong or empty shape. Paths are opened: a path, or several (a list, or a pattern) as
    one matrix; the engine reads the files where they are. float16, bfloat16 and
    float8 become float32 (exactly), integers and longdouble become float64 (integers beyond
    2**53 are rounded).
    """
    ids = row_ids(value)
    value = _opened(value, name)
    if isinstance(value, RowMatrix):
        dtype, fits = value.dtype, True
    elif is_tensor(value):
        dtype, fits = _tensor_dtype(value, name)
    else:
        value = numpy_array(value, name)
        dtype, fits = _array_dtype(value, name)
    shape = tuple(int(size) for size in value.shape)
    if len(shape) != 2:
        raise ValueError(f"{name} must be a matrix of shape (rows, d), got shape {shape}")
    rows, cols = shape
    if rows == 0 or cols == 0:
        raise ValueError(f"{name} is empty: shape {shape}; need at least one row and one column")
    if rows > MAX_ROWS:
        raise ValueError(f"{name} has {rows} rows; the engine takes at most {MAX_ROWS}")
    copy_bytes = 0 if fits else rows * cols * dtype.itemsize
    return Described(name, value, rows, cols, dtype, copy_bytes, ids)


def convert(described: Described) -> NDArray[Any]:
    """Return the matrix as the engine reads it; ValueError at the first NaN or infinity."""
    value = described.value
    if isinstance(value, RowMatrix):
        if isinstance(value, Stacked):
            check_finite(value, described.name)
        return cast("NDArray[Any]", value)  # gives rows when it is asked for them, as an array does
    if is_tensor(value):
        value = _tensor_to_numpy(value, described.dtype)
    if not _conforms(value):
        with np.errstate(over="ignore"):  # longdouble beyond float64: reported as infinity below
            value = np.array(value, dtype=described.dtype, order="C")
    check_finite(value, described.name)
    return np.asarray(value)


def uncopied(described: Described, where: str = "cuda") -> Described:
    """Return the description without a copy in host memory, if ``hold_or_convert`` makes none."""
    holds = is_tensor(described.value) and described.value.device.type == where
    return replace(described, copy_bytes=0) if holds else described


def hold_or_convert(described: Described, where: str = "cuda") -> Any:
    """Leave a tensor on a device of type ``where`` there (``Held``); ``convert`` anything else.

    ValueError at the first NaN or infinity.
    """
    value = described.value
    if not is_tensor(value) or value.device.type != where:
        return convert(described)
    torch = sys.modules["torch"]
    held = Held(value, described.dtype)
    if value.dtype.is_floating_point:
        step = max(1, 64 * _FINITE_CHUNK // described.cols)
        finite = torch.ones((), dtype=torch.bool, device=value.device)
        for i in range(0, described.rows, step):
            finite &= torch.isfinite(held.rows(slice(i, i + step))).all()
        if not finite:
            check_finite(held, described.name)
    return held


def check_finite(a: NDArray[Any] | RowMatrix, name: str) -> None:
    """Raise ValueError naming the first row of ``a`` that holds NaN or infinity."""
    step = max(1, _FINITE_CHUNK // a.shape[1])
    for start in range(0, a.shape[0], step):
        finite = np.isfinite(a[start : start + step])
        if not finite.all():
            row, col = (int(i) for i in np.argwhere(~finite)[0])
            bad = a[start + row : start + row + 1][0, col]
            raise ValueError(
                f"{name} must be finite: row {start + row}, column {col} is {bad}"
                f" (as {a.dtype.name})"
            )


def _opened(value: Any, name: str) -> Any:
    """Open paths: a matrix file, or several as one matrix; anything else is returned as it is."""
    if isinstance(value, (str, os.PathLike)):
        paths = matching_files(os.fspath(value))
    elif (
        isinstance(value, (list, tuple))
        and value
        and all(isinstance(each, (str, os.PathLike)) for each in value)
    ):
        paths = [os.fspath(each) for each in value]
    else:
        return value
    if len(paths) == 1:
        return load_matrix(paths[0])
    return stacked([(path, load_matrix(path)) for path in paths], name)


def stacked(parts: Sequence[tuple[str, Any]], name: str) -> Stacked:
    """Return named matrices as one; ValueError or TypeError where they do not fit together."""
    described = [describe(value, f"{name}, {path}") for path, value in parts]
    first = described[0]
    for each in described:
        if each.copy_bytes:
            raise TypeError(
                f"{each.name}: of several files each must hold float32 or float64 rows as they"
                f" are in memory, got dtype {each.value.dtype}"
            )
        if (each.cols, each.dtype) != (first.cols, first.dtype):
            raise ValueError(
                f"{each.name} has {each.cols} columns of {each.dtype},"
                f" {first.name} has {first.cols} of {first.dtype}"
            )
    matrix = Stacked([np.asarray(each.value) for each in described])
    if len(matrix) > MAX_ROWS:
        raise ValueError(f"{name} has {len(matrix)} rows; the engine takes at most {MAX_ROWS}")
    return matrix


def check_columns(x: Described, y: Described) -> None:
    """Raise ValueError unless X and Y have one dimension."""
    if x.cols != y.cols:
        raise ValueError(
            f"X and Y must have the same number of columns: X has {x.cols}, Y has {y.cols}"
        )


def check_pair(x: Described, y: Described, *, partial: bool = False) -> None:
    """Raise ValueError unless X and Y have one dimension and (but for ``partial``) n_y <= n_x."""
    check_columns(x, y)
    if y.rows > x.rows and not partial:
        raise ValueError(
            f"every row of Y needs a row of X of its own: Y has {y.rows} rows, X only {x.rows};"
            " partial=True leaves the rest unmatched"
        )


def numpy_array(value: Any, name: str) -> NDArray[Any]:
    """Return an array of whatever NumPy takes for one; TypeError for the rest."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill or drop the masked rows first")
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise TypeError(
            f"{name} must be a numpy array or torch tensor of real numbers,"
            f" got {type(value).__name__}: {error}"
        ) from None


def _array_dtype(array: NDArray[Any], name: str) -> tuple[np.dtype[Any], bool]:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f":
        target = np.dtype(np.float32 if size <= 4 else np.float64)
    elif kind in "iu":
        target = np.dtype(np.float64)
    else:
        raise TypeError(
            f"{name} must hold real numbers (float or integer dtype), got dtype {array.dtype}"
        )
    return target, array.ndim == 2 and _conforms(array)


def _conforms(a: NDArray[Any]) -> bool:
    """Tell whether the engine can read ``a`` where it is."""
    if a.dtype not in (
        np.dtype(np.float32),
        np.dtype(np.float64),
    ):  # or of another byte order
        return False
    size, (rows, cols) = a.dtype.itemsize, a.shape
    row_stride, col_stride = a.strides
    columns_ok = cols == 1 or col_stride == size
    rows_ok = rows == 1 or (row_stride >= cols * size and row_stride % size == 0)
    return bool(columns_ok and rows_ok and a.flags.aligned)


def _tensor_dtype(tensor: Any, name: str) -> tuple[np.dtype[Any], bool]:
    torch = sys.modules["torch"]
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got layout {tensor.layout}")
    if tensor.is_quantized or tensor.dtype.is_complex or tensor.dtype is torch.bool:
        raise TypeError(
            f"{name} must hold real numbers (float or integer dtype), got dtype {tensor.dtype}"
        )
    wide = not tensor.dtype.is_floating_point or tensor.dtype is torch.float64
    target = np.dtype(np.float64 if wide else np.float32)
    fits = (
        tensor.device.type == "cpu"
        and tensor.dtype in (torch.float32, torch.float64)
        and tensor.ndim == 2
        and not tensor.is_neg()
        and _conforms(tensor.detach().numpy())
    )
    return target, fits


def _tensor_to_numpy(tensor: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    torch = sys.modules["torch"]
    host = tensor.detach().cpu().resolve_neg()
    if host.dtype.is_floating_point:  # exact; NumPy does not know all of these types
        with torch_in_a_fork():
            host = host.to(torch.float64 if dtype == np.dtype(np.float64) else torch.float32)
    # Integers are left to NumPy: they may have to be rounded, which threads of torch's own do
    # as the environment that they were started in says.
    array: NDArray[Any] = host.numpy()
    return array
