# The compiled engine (csrc/bindings/): arrays in, arrays out. Arrays are 2-D,
# float32 or float64, last axis contiguous, positive row stride, finite; the Python
# layer (gtn_fast.inputs) sees to that.
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Parts of one matrix, one below the other; or a sample that is drawn: (seed, rows, d).
_Matrix: TypeAlias = NDArray[Any] | list[NDArray[Any]] | tuple[int, int, int]

def match(
    x: _Matrix,
    y: _Matrix,
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Callable[[int, int], None] | None = None,
    x_rows: NDArray[np.uint32] | None = None,  # ascending; the others take no part
    y_rows: NDArray[np.uint32] | None = None,
    # Called with (rows of Y, rows of X, cosines) that became final since the last call.
    settled: (
        Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], None] | None
    ) = None,
    settled_every: float = 30.0,  # seconds
    out_of_core: bool = False,
    scratch: str = "",
    min_cosine: float = -np.inf,  # a y without a free x of this cosine: x_index -1, cosine NaN
    metric: str = "cosine",  # or "euclidean": distances take the place of cosines
    cones: bool | None = None,  # by "screen": wherever they can be, nowhere, where they pay
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], dict[str, float]]: ...
def normal(
    seed: int, first_row: int, rows: int, cols: int, threads: int
) -> NDArray[np.float32]: ...
def norm_order(x: _Matrix, threads: int) -> NDArray[np.uint32]: ...
def evaluate_lists(
    x: _Matrix,
    y: _Matrix,
    y_rows: NDArray[np.int64],
    lists: NDArray[np.int64],
    threads: int,
) -> NDArray[np.float64]: ...

# Fills taken (uint8), chosen (int64) and chosen_cosine (float64) in place; returns the
# first dry list (their number if there is none) and all that look dry.
def resolve_lists(
    lists: NDArray[np.int64],
    cosine: NDArray[np.float64],
    level_cosine: NDArray[np.float64],
    level_rank: NDArray[np.uint32],
    x_rank: NDArray[np.uint32],
    taken: NDArray[np.uint8],
    begin: int,
    chosen: NDArray[np.int64],
    chosen_cosine: NDArray[np.float64],
    min_cosine: float = -np.inf,  # -1 and NaN where certainly no free x reaches it
) -> tuple[int, NDArray[np.int64]]: ...

# How many y's to search for together and how many candidates each, from what became of the
# last block; csrc/include/gtn_fast/block_policy.h.
class BlockPolicy:
    def __init__(self, *, block: int, list_length: int, wanted: int) -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def wanted(self) -> int: ...
    def served(self, n: int, dry: int, free: int) -> None: ...

# A shard of X under screening, csrc/include/gtn_fast/screener.h. Rows go out and come in as
# first_row + row; 0xFFFFFFFF in a list: no candidate.
class Screener:
    def __init__(
        self,
        x: NDArray[Any],
        rank: NDArray[np.uint32],
        *,
        first_row: int = 0,
        threads: int = 1,
        rows: NDArray[np.uint32] | None = None,
    ) -> None: ...
    # rows (n, places) uint32, cosine (n, places), level_cosine (n,), level_rank (n,) uint32,
    # deep_level (n,)
    def search(
        self, y: NDArray[Any], *, wanted: int, places: int, again: bool = False
    ) -> tuple[
        NDArray[np.uint32],
        NDArray[np.float64],
        NDArray[np.float64],
        NDArray[np.uint32],
        NDArray[np.float64],
    ]: ...
    def learn(self, level: NDArray[np.float64]) -> None: ...
    def take(self, rows: NDArray[np.uint32]) -> None: ...
    def report(self) -> dict[str, float]: ...

def row_norms(x: NDArray[Any], threads: int) -> NDArray[np.float64]: ...
def order_of_norms(norms: NDArray[np.float64], threads: int) -> NDArray[np.uint32]: ...
def normal_rows(
    seed: int, rows: NDArray[np.int64], cols: int, threads: int
) -> NDArray[np.float32]: ...
def guard_map(address: int, bytes: int) -> int: ...
def map_failed(number: int) -> bool: ...
def release_map(number: int) -> bool: ...
def simd_levels() -> list[str]: ...
def simd_compiled() -> list[str]: ...
def simd_active() -> str: ...
def sift_cost() -> float: ...  # of a pair that cones leave, in pairs of the kernel
def screening_rate(d: int) -> float: ...  # pairs per second, one thread

# One matching on a GPU or, with an empty cubin, in its emulation (csrc/cuda/loop.h). Memory is
# the caller's: addresses go in.
class DeviceLoop:
    def __init__(
        self,
        cubin: bytes,
        wgmma: bool,
        stream: int,
        n_x: int,
        n_y: int,
        d: int,
        padded: int,
        block: int = 0,
        end_pairs: int = 1 << 24,
    ) -> None: ...
    @property
    def work_bytes(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def left_to_the_end(self) -> int: ...
    def scales(
        self, data: int, rows: int, stride: int, is_double: bool, largest: int, inner: int
    ) -> None: ...
    def run(
        self, given: dict[str, Any], progress: Callable[[int], None] | None = None
    ) -> dict[str, int]: ...

DEVICE_COUNTERS_BYTES: int
DEVICE_LARGEST_DIMENSION: int

# Cancels what other threads call here and waits for it, seconds at most: the interpreter ends.
def end_calls() -> None: ...
