"""X and Y as the caller passed them: checked once, with a clear message, then converted.

``describe`` opens files and looks at shape, dtype and layout without allocating anything (so
that memory can be predicted first). ``convert`` then makes the array that the engine
reads: 2-D, float32 or float64, native byte order, rows contiguous. An array of
this kind, a memory map included, is passed through, not copied.

Torch is never imported here: a tensor can only arrive if the caller imported torch.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs import sources
from gtn_fast.inputs.formats.packed import Packed
from gtn_fast.inputs.matrices import (
    Allocate,
    Held,
    RowMatrix,
    Stacked,
    conforms,
    decoded,
    engine_dtype,
    is_bare_bfloat16,
)
from gtn_fast.inputs.opening import open_files, paths_in
from gtn_fast.inputs.refusals import refuse, refuse_dtype, refuse_shape
from gtn_fast.inputs.sources import Reading, Source
from gtn_fast.system.openmp import torch_in_a_fork

MAX_ROWS = 2**32 - 2**24 - 1  # rows are counted in 32 bits inside the engine
_LARGEST_VALUE = 2.0**200  # of distances; csrc/include/gtn_fast/match.h has the same
_FINITE_CHUNK = 1 << 18  # elements tested at once: the temporary array stays below 1 MiB
# What ml_dtypes adds to NumPy: types that NumPy itself calls void ("V").
_NAMED_VOID = ("bfloat16", "float8", "float6", "float4", "int4", "uint4", "int2", "uint2")


@dataclass(frozen=True)
class Described:
    """An accepted matrix before conversion. ``copy_bytes`` is what ``convert`` will allocate.

    ``files``: those that its rows come from, in their order; empty for arrays. ``ids``: the index
    of a DataFrame that has one of its own, None for anything else.
    """

    name: str
    value: Any
    rows: int
    cols: int
    dtype: np.dtype[Any]
    copy_bytes: int
    files: tuple[Source, ...] = ()
    ids: NDArray[Any] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, d)."""
        return self.rows, self.cols

    def __len__(self) -> int:
        return self.rows


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


def describe(
    value: Any,
    name: str,
    *,
    flatten: bool = False,
    key: str | None = None,
    ids: str | None = None,
) -> Described:
    """Check kind, dtype, rank and emptiness of a (rows, d) matrix.

    Whatever takes X or Y opens it here. Raises TypeError for a dtype or container that is no
    real matrix and ValueError for a wrong or empty shape. Paths are opened: a path with its
    key, a pattern, or a list of both, as one matrix; the engine reads the files where they
    are. float16, bfloat16 and float8 become float32 (exactly), integers and longdouble become
    float64 (integers beyond 2**53 are rounded). ``flatten``: whatever has more dimensions is
    one row for each first index. ``key``: of all files. ``ids``: what names the rows in each of
    the files, a column or another array.
    """
    if not isinstance(flatten, bool):
        raise TypeError(f"flatten must be True or False, got {type(flatten).__name__}")
    if isinstance(value, Described):  # opened before
        return replace(value, name=name)
    for option, given in (("column", key), ("ids", ids)):
        if given is not None and not isinstance(given, str):
            raise TypeError(f"{option} must be a text, got {type(given).__name__}")
    paths = paths_in(value, name, key)
    if paths is None:
        for option, given in (("column", key), ("ids", ids)):
            if given is not None:
                raise ValueError(f"{option} names a part of files, but {name} is no file")
        return replace(_described(value, name, flatten), ids=row_ids(value))
    parts = open_files(paths, key, ids)
    if len(parts) == 1:
        found = _described(parts[0].array, f"{name}, {parts[0].spec}", flatten)
        found = replace(found, name=name)
    else:
        found = _stacked([(f"{name}, {p.spec}", p.array) for p in parts], name, flatten)
    files = [part.file for part in parts if part.file is not None]
    return replace(
        found,
        files=tuple(files) if len(files) == len(parts) else (),
        ids=None
        if ids is None
        else np.concatenate([part.ids for part in parts if part.ids is not None]),
    )


@contextlib.contextmanager
def unchanged(*described: Described | None) -> Iterator[Reading]:
    """Guard the work inside: FileError if a file that one of the matrices lies in changes.

    ``check()`` of what it yields does the same meanwhile.
    """
    given = [each for each in described if each is not None]
    arrays = [a for each in given for a in _arrays_of(each.value)]
    files = [file for each in given for file in each.files]
    files += [file for a in arrays if (file := sources.mapped_file(a)) is not None]
    with sources.reading(files, arrays) as guard:
        yield guard


def _arrays_of(value: Any) -> list[Any]:
    return value.parts if isinstance(value, Stacked) else [value]


def convert(described: Described, allocate: Allocate | None = None) -> NDArray[Any]:
    """Return the matrix as the engine reads it; ValueError at the first NaN or infinity.

    ``allocate`` makes the array that a copy goes to (``inputs.room``).
    """
    value = described.value
    if not is_tensor(value) and not isinstance(value, RowMatrix) and allocate is not None:
        value = Stacked([value], described.dtype)  # copied little by little
    if isinstance(value, Stacked):
        value = value.converted(allocate or np.empty)
    if isinstance(value, RowMatrix):
        if isinstance(value, Stacked):
            check_finite(value, described.name, described.files)
        return cast("NDArray[Any]", value)  # gives rows when it is asked for them, as an array does
    if is_tensor(value):
        value = _tensor_to_numpy(value, described.dtype)
    if not conforms(value):
        with np.errstate(over="ignore"):  # longdouble beyond float64: reported as infinity below
            value = np.array(decoded(value), dtype=described.dtype, order="C")
    check_finite(value, described.name, described.files)
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
            check_finite(held, described.name, described.files)
    return held


def check_finite(a: NDArray[Any] | RowMatrix, name: str, files: tuple[Source, ...] = ()) -> None:
    """Raise ValueError naming the first row of ``a`` that holds NaN or infinity, and its file."""
    step = max(1, _FINITE_CHUNK // a.shape[1])
    for start in range(0, a.shape[0], step):
        finite = np.isfinite(a[start : start + step])
        if not finite.all():
            row, col = (int(i) for i in np.argwhere(~finite)[0])
            bad = a[start + row : start + row + 1][0, col]
            raise ValueError(
                f"{name} must be finite: row {start + row}, column {col} is {bad}"
                f" (as {a.dtype.name}){_place(files, start + row)}"
            )


def _place(files: tuple[Source, ...], row: int) -> str:
    """Say which row of which file it is; nothing for what came from no file."""
    for each in files:
        if each.rows is None:
            break
        if row < each.rows:
            return f", which is row {row} of {Path(each.path).name}"
        row -= each.rows
    return ""


def check_scale(x: NDArray[Any] | RowMatrix, y: NDArray[Any] | RowMatrix) -> None:
    """Raise ValueError unless squares of distances, and their squares, are float64 numbers.

    The largest value of X and Y must be from 2**-200 to 2**200, or 0.
    """
    largest = 0.0
    for a, name in ((x, "X"), (y, "Y")):
        step = max(1, _FINITE_CHUNK // a.shape[1])
        for start in range(0, a.shape[0], step):
            values = np.abs(np.asarray(a[start : start + step]))
            found = float(values.max())
            if found > _LARGEST_VALUE:
                row, col = (int(i) for i in np.argwhere(values == found)[0])
                raise ValueError(
                    f"metric 'euclidean' takes values up to 2**200 (about 1.6e60): {name}, row"
                    f" {start + row}, column {col} has {found!r}; scale X and Y by one number"
                )
            largest = max(largest, found)
    if 0.0 < largest < 1 / _LARGEST_VALUE:
        raise ValueError(
            "metric 'euclidean' takes no X and Y without a value above 2**-200 (about 6e-61):"
            f" the largest is {largest!r}; scale X and Y by one number"
        )


def _described(value: Any, name: str, flatten: bool) -> Described:
    """Describe one matrix in memory; see ``describe``."""
    if isinstance(value, Packed):
        if len(value.raw_shape) != 2 and not (flatten and len(value.raw_shape) > 2):
            refuse_shape(value.raw_shape, name)
        value = Stacked([value], _array_dtype(np.empty(0, value.dtype), name))
    if isinstance(value, RowMatrix):
        dtype, fits = value.dtype, not isinstance(value, Stacked) or value.fits
    elif is_tensor(value):
        dtype = _tensor_dtype(value, name)
        value = _in_rows(value, name, flatten)
        fits = _tensor_fits(value)
    else:
        value = numpy_array(value, name)
        dtype = _array_dtype(value, name)
        value = _in_rows(value, name, flatten)
        if is_bare_bfloat16(value.dtype) or value.ndim != 2:
            value = Stacked([value], dtype)
        fits = value.fits if isinstance(value, Stacked) else conforms(value)
    rows, cols = (int(size) for size in value.shape)
    if rows == 0 or cols == 0:
        raise ValueError(
            f"{name} is empty: shape {(rows, cols)}; need at least one row and one column"
        )
    if rows > MAX_ROWS:
        raise ValueError(f"{name} has {rows} rows; the engine takes at most {MAX_ROWS}")
    return Described(name, value, rows, cols, dtype, 0 if fits else rows * cols * dtype.itemsize)


def _stacked(parts: list[tuple[str, Any]], name: str, flatten: bool) -> Described:
    """Describe named matrices as one; ValueError or TypeError where they do not fit together."""
    described = [_described(value, part, flatten) for part, value in parts if not _is_empty(value)]
    if not described:
        raise ValueError(f"{name} is empty: none of its {len(parts)} files has a row")
    first = described[0]
    for each in described:
        if each.cols != first.cols:
            raise ValueError(f"{each.name} has {each.cols} columns, {first.name} has {first.cols}")
    wide = any(each.dtype == np.dtype(np.float64) for each in described)
    arrays: list[NDArray[Any]] = []
    for each in described:
        value = _tensor_to_numpy(each.value, each.dtype) if is_tensor(each.value) else each.value
        arrays += value.parts if isinstance(value, Stacked) else [value]
    matrix = Stacked(arrays, np.dtype(np.float64 if wide else np.float32))
    if len(matrix) > MAX_ROWS:
        raise ValueError(f"{name} has {len(matrix)} rows; the engine takes at most {MAX_ROWS}")
    return Described(name, matrix, *matrix.shape, matrix.dtype, matrix.copy_bytes)


def _is_empty(value: Any) -> bool:
    """Tell whether a part has no rows: (0, d), or a list of no rows, which has no columns."""
    return bool(value.shape and value.shape[0] == 0)


def _in_rows(value: Any, name: str, flatten: bool) -> Any:
    """Return an array or tensor (rows, d); one of more dimensions only if asked to flatten it.

    An array that cannot be looked at in rows without a copy is returned as it is.
    """
    shape = tuple(int(size) for size in value.shape)
    if len(shape) == 2:
        return value
    if not flatten or len(shape) < 2:
        refuse_shape(shape, name)
    if not is_tensor(value) and not value.flags.c_contiguous:
        return value
    return value.reshape(shape[0], math.prod(shape[1:]))


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
    refuse(value, name)
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise TypeError(
            f"{name} must be a numpy array or torch tensor of real numbers,"
            f" got {type(value).__name__}: {str(error)[:100]}"
        ) from None


def _array_dtype(array: NDArray[Any], name: str) -> np.dtype[Any]:
    """Return float32 or float64: what an array is read as."""
    kind = array.dtype.kind
    if is_bare_bfloat16(array.dtype):
        return np.dtype(np.float32)
    if kind == "V" and array.dtype.name.startswith(_NAMED_VOID):
        return np.dtype(np.float64 if "int" in array.dtype.name else np.float32)
    if kind not in "fiu":
        refuse_dtype(array, name)
    return engine_dtype(array.dtype)


def _tensor_dtype(tensor: Any, name: str) -> np.dtype[Any]:
    """Return float32 or float64: what a tensor is read as."""
    torch = sys.modules["torch"]
    if tensor.layout is not torch.strided:
        raise TypeError(
            f"{name} must be a dense tensor, got layout {tensor.layout}: {name}.to_dense() is one"
        )
    if tensor.device.type == "meta":
        raise TypeError(f"{name} is a tensor without data (device 'meta'): load its values first")
    if tensor.is_quantized or tensor.dtype.is_complex or tensor.dtype is torch.bool:
        raise TypeError(
            f"{name} must hold real numbers (float or integer dtype), got dtype {tensor.dtype}"
        )
    wide = not tensor.dtype.is_floating_point or tensor.dtype is torch.float64
    return np.dtype(np.float64 if wide else np.float32)


def _tensor_fits(tensor: Any) -> bool:
    torch = sys.modules["torch"]
    return bool(
        tensor.device.type == "cpu"
        and tensor.dtype in (torch.float32, torch.float64)
        and not tensor.is_neg()
        and conforms(tensor.detach().numpy())
    )


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
