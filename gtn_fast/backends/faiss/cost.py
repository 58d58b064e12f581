"""What method "faiss" costs, and from where on the exact engine is quicker.

Constants are those of one thread of the machine of planning/constants.py: measured on an AMD EPYC
family 25 model 17 (avx512vnni), and scaled by what a small match takes on either. No clock is read:
where the exact engine takes over depends on sizes alone, so that the same call gives the same
answer.
"""

from __future__ import annotations

import math
from functools import lru_cache

from gtn_fast.backends.faiss import centres as faiss_centres
from gtn_fast.backends.faiss.centres import Settings
from gtn_fast.planning import constants as t
from gtn_fast.planning.calibration import by_dimension
from gtn_fast.planning.choice import quickest
from gtn_fast.planning.costs import duration_text
from gtn_fast.system.cpus import available_cpus

# In pairs of the exact engine: a pair of a probed list, a pair of a row and a centre.
PAIR, CENTRE_PAIR = 1.15, 1.3
# (seconds, seconds per column) of a row of Y; of a list that it probes; of a row of X in lists.
ROW_S = (2.3e-6, 2.3e-8)
PROBE_S = (6.0e-8, 5.0e-10)
LIST_ROW_S = (8.0e-7, 1.7e-8)
TRAIN_S = 4.0e-11  # per row, centre and column in training

REBUILD = 4  # lists last until one in so many of their x's is left


def row_seconds(s: Settings, free: int, of: int, d: int, share: float | None = None) -> float:
    """Predict the seconds of one thread for a row of Y with ``free`` of ``of`` x's left.

    ``share``: of them that it looks at; None: as in isotropic data.
    """
    lists = s.lists(free, of)
    probes = s.probes(lists, free, d)
    pair = by_dimension(t.KERNEL_S_PER_PAIR, d)
    looked_at = free * (probes / lists if share is None else share)
    pairs = (CENTRE_PAIR * lists + PAIR * looked_at) * pair
    return _at(ROW_S, d) + probes * _at(PROBE_S, d) + pairs


def build_seconds(s: Settings, free: int, of: int, d: int, threads: int) -> float:
    """Predict the seconds to train centres, on one thread, and to make lists of ``free`` x's."""
    lists = s.lists(free, of)
    trained = min(free, faiss_centres.TRAIN_ROWS * lists) * (faiss_centres.TRAIN_ROUNDS + 1)
    row = _at(LIST_ROW_S, d) + lists * CENTRE_PAIR * by_dimension(t.KERNEL_S_PER_PAIR, d)
    return trained * lists * d * TRAIN_S + free * row / speed_up(threads)


def _at(line: tuple[float, float], d: int) -> float:
    return line[0] + line[1] * d


def exact_seconds(free: int, left: int, d: int, threads: int) -> float:
    """Predict the exact engine's seconds for ``left`` y's with ``free`` x's; no calibration."""
    return quickest(free, left, d, threads)[0]


@lru_cache(maxsize=4096)
def rest_seconds(s: Settings, free: int, left: int, of: int, d: int, threads: int) -> float:
    """Predict the quickest way to serve ``left`` y's with ``free`` x's, by lists or not."""
    exact = exact_seconds(free, left, d, threads)
    if left == 0 or free < faiss_centres.SMALLEST:
        return exact
    return min(exact, listed_seconds(s, free, left, of, d, threads))


def listed_seconds(
    s: Settings, free: int, left: int, of: int, d: int, threads: int, share: float | None = None
) -> float:
    """Predict the same with lists made now, that y's find ``share`` of the x's in."""
    rows = max(min(left, free - free // REBUILD), 1)
    row = row_seconds(s, free - rows // 2, of, d, share)
    now = build_seconds(s, free, of, d, threads) + rows * row / speed_up(threads)
    return now + rest_seconds(s, free - rows, left - rows, of, d, threads)


def speed_up(threads: int) -> float:
    """Return how much faster the threads are together, on the CPUs that are there."""
    return math.pow(min(threads, available_cpus()), t.THREAD_EXPONENT)


def why(s: Settings, n_x: int, n_y: int, d: int, threads: int) -> str:
    """Say which way is predicted to be the quickest."""
    exact = exact_seconds(n_x, n_y, d, threads)
    lists = listed_seconds(s, n_x, n_y, n_x, d, threads) if n_x >= faiss_centres.SMALLEST else exact
    if exact <= lists:
        return f"asked for; exact all the same, which is quicker: {duration_text(exact)}"
    return f"asked for; exact labels take about {duration_text(exact)}"


def needed_bytes(n_x: int, n_y: int, d: int, threads: int) -> int:
    """Predict the bytes beyond X and Y: those of the screen, lists, probes, training sample."""
    lists = Settings().lists(n_x, n_x)
    trained = min(n_x, faiss_centres.TRAIN_ROWS * lists) * d * 8
    tile = threads * 4096 * (d * 24 + 1000)
    return int(quickest(n_x, n_y, d, threads)[1] + 16 * n_x + trained + min(tile, n_x * 500))
