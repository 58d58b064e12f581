"""What method "faiss" costs, and from where on the exact engine is cheaper.

Constants are those of one thread of an AMD EPYC family 25 model 17 (avx512vnni) with FAISS
1.15.1, measured by benchmarks/measure_faiss.py on a busy machine. No clock is
read here: where the exact engine takes over depends on sizes alone, so that the same
call gives the same answer.
"""

from __future__ import annotations

import math
from functools import lru_cache

from gtn_fast.backends.faiss import index as faiss_index
from gtn_fast.backends.faiss.index import Settings
from gtn_fast.planning import constants as t
from gtn_fast.planning.choice import quickest
from gtn_fast.system.cpus import available_cpus

# (seconds, seconds per column) of comparing with one centroid: a y; an x in training.
CENTROID_S = (4.2e-9, 5.0e-12)
ASSIGN_S = (5.0e-10, 1.9e-11)
# The same for scanning one code, and for evaluating one candidate exactly (its x is far away
# in memory).
SCAN_S = {
    "ivf-pq": (1.6e-9, 1.05e-11),
    "ivf-flat": (4.5e-9, 1.9e-10),
    "ivf-sq8": (5.0e-9, 8.0e-11),
}
CANDIDATE_S = (1.2e-7, 2.3e-9)
# Seconds per row of Y, whatever is searched; per list that is probed.
ROW_S, PROBE_S = 4.0e-6, 5.0e-8
# Fitting the codes, once per index (seconds, seconds per column); reading, normalising and
# coding one value of X.
FIT_S = (5.0e-2, 3.7e-3)
ENCODE_S = 2.0e-8

REBUILD = 2  # an index lasts until one in so many of its x's is left
_TEAM = t.THREAD_EXPONENT


def row_seconds(s: Settings, free: int, of: int, d: int) -> float:
    """Predict the seconds of one thread for a row of Y with ``free`` of ``of`` x's left."""
    nlist = s.lists(free, of)
    nprobe = min(s.nprobe, nlist)
    scanned = free * nprobe / nlist
    return (
        ROW_S
        + nlist * _at(CENTROID_S, d)
        + nprobe * PROBE_S
        + scanned * _at(SCAN_S[s.kind], d)
        + s.refine * _at(CANDIDATE_S, d)
    )


def build_seconds(s: Settings, free: int, of: int, d: int) -> float:
    """Predict the seconds of one thread to train an index and add ``free`` x's."""
    nlist = s.lists(free, of)
    trained = min(free, faiss_index.TRAIN_ROWS * nlist) * faiss_index.TRAIN_ROUNDS
    fit = _at(FIT_S, d) if s.kind == "ivf-pq" else 0.0
    return (trained + free) * nlist * _at(ASSIGN_S, d) + free * d * ENCODE_S + fit


def _at(line: tuple[float, float], d: int) -> float:
    return line[0] + line[1] * d


def exact_seconds(free: int, left: int, d: int, threads: int) -> float:
    """Predict the exact engine's seconds for ``left`` y's with ``free`` x's; no calibration."""
    return quickest(free, left, d, threads)[0]


@lru_cache(maxsize=4096)
def rest_seconds(s: Settings, free: int, left: int, of: int, d: int, threads: int) -> float:
    """Predict the cheapest way to serve ``left`` y's with ``free`` x's, with or without FAISS."""
    exact = exact_seconds(free, left, d, threads)
    if left == 0 or free < faiss_index.SMALLEST:
        return exact
    return min(exact, indexed_seconds(s, free, left, of, d, threads))


def indexed_seconds(s: Settings, free: int, left: int, of: int, d: int, threads: int) -> float:
    """Predict the same with an index built now."""
    build = build_seconds(s, free, of, d) / speed_up(threads)
    return build + staying_seconds(s, free, left, of, d, threads, until=free // REBUILD)


def staying_seconds(
    s: Settings, free: int, left: int, of: int, d: int, threads: int, *, until: int
) -> float:
    """Predict the same with the index that is there, in use until ``until`` x's are free."""
    rows = max(min(left, free - until), 1)
    middle = free - rows // 2
    work = rows * row_seconds(s, middle, of, d) / speed_up(threads)
    return work + rest_seconds(s, free - rows, left - rows, of, d, threads)


def speed_up(threads: int) -> float:
    """Return how much faster the threads are together, on the CPUs that are there."""
    return math.pow(min(threads, available_cpus()), _TEAM)


def needed_bytes(s: Settings, n_x: int, n_y: int, d: int) -> int:
    """Predict the bytes beyond X and Y: index, training sample, ranks, lists of a block."""
    parts, columns = faiss_index.parts_of(d)
    code = {"ivf-pq": parts / 2, "ivf-flat": 4 * d, "ivf-sq8": d}[s.kind]
    index = 1.3 * n_x * (code + 8)  # lists grow by doubling, but not all at once
    trained = min(n_x, faiss_index.TRAIN_ROWS * s.lists(n_x, n_x)) * columns * 8
    block = min(32768, max(n_x // 32, 32))
    lists = block * s.refine * 32
    return int(index + trained + lists + 24 * n_x + 40 * n_y + min(64e6, 200 * n_x))
