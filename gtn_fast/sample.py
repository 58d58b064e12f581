"""The source sample Y ~ N(0, I), from a counter: any rows of it can be made alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import reference
from gtn_fast.backends import native, registry
from gtn_fast.environment import in_default_environment
from gtn_fast.inputs.arguments import check_integer, check_seed, check_threads
from gtn_fast.inputs.matrices import RowMatrix
from gtn_fast.planning.memory import check_room

_CHUNK = 1 << 16  # values made together without the engine


@in_default_environment
def normal(
    seed: int, first_row: int, rows: int, d: int, *, threads: int | None = None
) -> NDArray[np.float32]:
    """Return rows first_row .. first_row + rows - 1 of the N(0, I) sample of ``seed``.

    float32 (rows, d). An element is a function of (seed, row, column, d) alone: the
    same on every machine, thread count and range of rows (Philox4x64-10, AS 241; see
    csrc/include/gtn_fast/normal.h). The engine makes it if it runs here, else NumPy: same bits.

    Raises TypeError or ValueError for arguments that are no integers in range.

    Examples
    --------
    >>> import gtn_fast
    >>> Y = gtn_fast.normal(0, 0, 1000, 3)
    >>> bool((gtn_fast.normal(0, 500, 2, 3) == Y[500:502]).all())  # any rows, alone
    True
    """
    seed = check_seed(seed)
    first_row = check_integer(first_row, "first_row", 0, 2**48)
    rows = check_integer(rows, "rows", 0, 2**48)
    d = check_integer(d, "d", 1, 2**31 - 1)
    workers = check_threads(threads)
    check_room(4 * rows * d, f"a sample of {rows:,} rows")
    if registry.why_not("native") is None:
        made: Any = native.module().normal(seed, first_row, rows, d, workers)
        return np.asarray(made)
    out = np.empty((rows, d), dtype=np.float32)
    step = max(1, _CHUNK // d)
    for start in range(0, rows, step):
        count = min(step, rows - start)
        out[start : start + count] = reference.normal(seed, first_row + start, count, d)
    return out


def normal_rows(
    seed: int, rows: NDArray[np.int64], d: int, *, threads: int = 1
) -> NDArray[np.float32]:
    """Return these rows (n,) of the sample that ``normal`` makes: float32 (n, d)."""
    if registry.why_not("native") is None:
        made: Any = native.module().normal_rows(seed, rows, d, threads=threads)
        return np.asarray(made)
    out = np.empty((len(rows), d), dtype=np.float32)
    for place, row in enumerate(rows.tolist()):
        out[place] = reference.normal(seed, row, 1, d)
    return out


class Drawn(RowMatrix):
    """The N(0, I) sample of a seed, which is stored nowhere: ``gtn_fast.normal``, float32."""

    def __init__(self, seed: int, rows: int, d: int, threads: int = 1) -> None:
        self.seed, self._threads = seed, threads
        self.shape = (rows, d)
        self.dtype = np.dtype(np.float32)

    def for_engine(self) -> tuple[int, int, int]:
        """Return (seed, rows, d): the engine makes the rows as it needs them."""
        return (self.seed, *self.shape)

    def _range(self, start: int, stop: int) -> NDArray[Any]:
        return normal(self.seed, start, stop - start, self.shape[1], threads=self._threads)

    def _rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        return normal_rows(self.seed, numbers, self.shape[1], threads=self._threads)
