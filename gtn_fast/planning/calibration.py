"""How fast this machine is, compared with the machine of constants.py: for predictions alone.

Measured once per process for every strategy and dimension, in a tenth of a second or two:
the screening kernel by itself, everything else by a small match of the strategy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.planning import constants as t

# Rows of X and of Y in a trial: few, so that it takes milliseconds and a screen spends little of
# them on pairs (the kernel is timed by itself).
TRIAL_ROWS = {"ray": 10_000, "circle": 10_000, "tree": 4000, "screen": 1000}
_TRIALS = 3
_TRIALS_S = 0.03  # no further trial after this
_VECTOR = 8  # coordinates that the kernels take at once
_WIDEST = 1024  # where the tables end; from there on times grow like d on every machine


class Speeds(NamedTuple):
    """Speed of this machine over the table's: of the screening kernel, of everything else.

    ``sift``: what a pair that cones leave costs beside a pair in the kernel, over the table's.
    """

    kernel: float
    rest: float
    sift: float = 1.0


SAME = Speeds(1.0, 1.0)


def same(strategy: str, d: int) -> Speeds:  # noqa: ARG001 - as speeds()
    """Return what ``speeds`` would on the table's machine."""
    return SAME


def speeds(strategy: str, d: int) -> Speeds:
    """Measure the speeds of ``strategy`` on this machine; SAME where it cannot run."""
    if strategy not in TRIAL_ROWS or not native.available():
        return SAME
    d = min(d, _WIDEST)
    if strategy == "tree":
        d = max(d, min(t.TRIAL_S[strategy]))  # one dimension, by distance alone, is as good as two
    rest = _smoothed(t.TRIAL_S[strategy], d, lambda at: _rest_speed(strategy, at))
    if strategy != "screen":
        return Speeds(1.0, rest)
    kernel = _smoothed(t.KERNEL_S_PER_PAIR, d, _kernel_speed)
    return Speeds(kernel, rest, native.module().sift_cost() / t.SIFT_COST)


def _smoothed(table: dict[int, float], d: int, speed: Callable[[int], float]) -> float:
    """Return the mean (of logarithms) of a speed at d and at the table's dimensions beside it.

    What disturbs one measurement must not make 24 dimensions slower than 32.
    """
    below = max((k for k in table if k < d), default=d)
    above = min((k for k in table if k > d), default=d)
    logs = [math.log(speed(at)) for at in (d, d, below, above)]
    return math.exp(sum(logs) / len(logs))


@lru_cache(maxsize=64)
def _rest_speed(strategy: str, d: int) -> float:
    return by_dimension(t.TRIAL_S[strategy], d) / trial(strategy, d)


@lru_cache(maxsize=64)
def _kernel_speed(d: int) -> float:
    # At whole vectors: what a partial vector takes varies by a factor of two with its place in
    # memory.
    whole = -(-d // _VECTOR) * _VECTOR
    return float(native.module().screening_rate(whole)) * by_dimension(t.KERNEL_S_PER_PAIR, whole)


def forget() -> None:
    """Measure anew the next time."""
    for each in (_rest_speed, _kernel_speed):
        each.cache_clear()


def trial(strategy: str, d: int) -> float:
    """Time a small match on one thread: the best of a few, in CPU seconds."""
    n = TRIAL_ROWS[strategy]
    x, y = np.random.default_rng(0).standard_normal((2, n, d), dtype=np.float32)
    return best_time(x, y, strategy, "cosine")


def best_time(x: NDArray[Any], y: NDArray[Any], strategy: str, metric: str) -> float:
    """Time a match in this thread, a few times if it is short: the best, in CPU seconds.

    CPU time, since what else runs on the machine says nothing about a strategy.
    """
    best, begun = math.inf, time.thread_time()
    for _ in range(_TRIALS):
        start = time.thread_time()
        native.match(x, y, strategy=strategy, threads=1, metric=metric)
        now = time.thread_time()
        best = min(best, now - start)
        if now > begun + _TRIALS_S:
            break
    return max(best, 1e-9)


def by_dimension(table: dict[int, float], d: float) -> float:
    """Interpolate seconds by dimension (log-log); beyond the table they grow like d."""
    dims = sorted(table)
    inside = min(d, dims[-1])
    logs = np.interp(math.log(inside), np.log(dims), np.log([table[k] for k in dims]))
    return math.exp(float(logs)) * d / inside
