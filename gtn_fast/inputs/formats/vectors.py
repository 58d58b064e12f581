"""Vectors as benchmarks of nearest neighbours keep them: mapped where they lie.

.fvecs, .bvecs: for each row its length (int32), then its numbers. .fbin, .u8bin, .i8bin: number
of rows and length (uint32), then all numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.wording import shape_text

_DTYPES = {
    **{".fvecs": "<f4", ".bvecs": "u1"},
    **{".fbin": "<f4", ".u8bin": "u1", ".i8bin": "i1"},
}
_LOOKED_AT = 1 << 10  # rows whose own length is compared: to compare all is to read the file


def read(path: Path, key: str | None, _ndim: int) -> NDArray[Any]:
    """Map the rows (n, d); FileError for sizes that do not fit together."""
    suffix = path.suffix.lower()
    if key is not None:
        raise FileError(f"{path}: a {suffix} file holds one array and has no key {key!r}")
    dtype = np.dtype(_DTYPES[suffix])
    return _vecs(path, dtype) if suffix.endswith("vecs") else _bin(path, dtype)


def _bin(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    sizes = np.fromfile(path, "<u4", 2)
    if len(sizes) < 2:
        raise FileError(f"{path}: is not whole: it ends in its header")
    rows, cols = map(int, sizes)
    holds, promised = path.stat().st_size - sizes.nbytes, rows * cols * dtype.itemsize
    if holds != promised:
        raise FileError(
            f"{path}: is not whole: its header promises {shape_text((rows, cols))} of {dtype.name},"
            f" {promised:,} bytes, but it holds {holds:,}"
        )
    if not promised:
        return np.empty((rows, cols), dtype)
    return np.memmap(path, dtype, "r", sizes.nbytes, (rows, cols))


def _vecs(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    size = path.stat().st_size
    if size == 0:
        return np.empty((0, 0), dtype)
    first = np.fromfile(path, "<i4", 1)
    cols = int(first[0]) if len(first) else 0
    row_bytes = 4 + cols * dtype.itemsize
    if cols < 1 or size % row_bytes:
        raise FileError(
            f"{path}: is not whole, or no {path.suffix} file: its first row promises {cols}"
            f" numbers, and {size:,} bytes are no whole number of such rows"
        )
    rows = size // row_bytes
    lengths = np.ndarray((rows,), "<i4", np.memmap(path, "u1", "r"), strides=(row_bytes,))
    looked_at = np.unique(np.linspace(0, rows - 1, min(rows, _LOOKED_AT)).astype(np.int64))
    other = np.flatnonzero(lengths[looked_at] != cols)
    if len(other):
        row = int(looked_at[other[0]])
        raise FileError(f"{path}: row {row} has {int(lengths[row])} numbers, row 0 has {cols}")
    if dtype.itemsize == 4:
        return np.memmap(path, dtype, "r", 0, (rows, cols + 1))[:, 1:]
    return np.memmap(path, dtype, "r", 0, (rows, row_bytes))[:, 4:]
