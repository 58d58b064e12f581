"""The C++ engine (gtn_fast._native)."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends.interface import HandOver, Matched, Progress
from gtn_fast.inputs.matrices import for_engine
from gtn_fast.packages import Absent, load_package

_REMEDY = (
    "run `pip install .` in the repository (it needs a C++20 compiler),"
    " or use method='reference' (slow, the same answer)"
)


def module() -> ModuleType:
    """Return the compiled module; ImportError says why it cannot be, and how to get it."""
    name = "gtn_fast._native"
    return load_package(name, f"the compiled engine {name}", _REMEDY, absent="is not built")


def require() -> None:
    """Raise ImportError, with reason and remedy, if the engine is not there or broken."""
    module()


def available() -> bool:
    """Tell whether the compiled engine is there. One that is there but broken raises."""
    try:
        module()
    except Absent:
        return False
    return True


def instructions() -> str:
    """Return the instruction set of this process, by its name in GTN_FAST_SIMD."""
    return str(module().simd_active())


def pair_cosines(
    x: NDArray[Any], y: NDArray[Any], x_index: NDArray[np.int64], threads: int
) -> NDArray[np.float64]:
    """Return the cosine of every row of y with its row of x (NaN for -1), float64 (n_y,)."""
    cosine = np.full(len(x_index), np.nan)
    rows = np.flatnonzero(x_index >= 0)
    if len(rows):
        lists = x_index[rows, None]
        found = module().evaluate_lists(for_engine(x), for_engine(y), rows, lists, threads)
        cosine[rows] = found[:, 0]
    return cosine


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
    x_rows: NDArray[np.int64] | None = None,
    y_rows: NDArray[np.int64] | None = None,
    settled: HandOver | None = None,
    settled_every: float = 0.0,
    out_of_core: bool | None = None,
    scratch: str | None = None,
    min_cosine: float = -np.inf,
    metric: str = "cosine",
) -> Matched:
    """Run ``strategy`` in the engine. Ctrl-C raises KeyboardInterrupt.

    ``out_of_core``: x lies in files larger than memory; ``scratch``: a folder for what
    "screen" needs beside it.
    """
    result = module().match(
        for_engine(x),
        for_engine(y),
        strategy=strategy,
        threads=threads,
        block=block,
        list_length=list_length,
        progress=progress,
        x_rows=None if x_rows is None else x_rows.astype(np.uint32),
        y_rows=None if y_rows is None else y_rows.astype(np.uint32),
        settled=settled,
        settled_every=settled_every,
        out_of_core=bool(out_of_core),
        scratch=scratch or "",
        min_cosine=min_cosine,
        metric=metric,
    )
    return Matched(*result)
