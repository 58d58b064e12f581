"""What a strategy costs: formulas over the measured constants of constants.py."""

from __future__ import annotations

import math

import numpy as np

from gtn_fast.planning import constants as t
from gtn_fast.planning.calibration import SAME, Speeds, by_dimension, speeds
from gtn_fast.planning.look import ISOTROPIC, Spread
from gtn_fast.system.cpus import available_cpus

# A match measures this machine's speeds if it is predicted to take so many seconds: the
# measuring should not take longer than the match. ``plan`` measures from fewer seconds on.
MATCH_CALIBRATES_FROM_S = 1.0
_ALONE_S = 0.02  # of work, that is better done by one thread
_BY_DISTANCE = {"tree": 1.6, "screen": 1.25}  # times the seconds by cosine: docs/euclidean.md
_FRAME_ROWS = 4096  # rows of X that a thread of the screen packs at once
# Where the screen may lay X out for cones, and the share of its time without that they may take:
# csrc/strategies/screen/cone_rule.cpp. Rows of X are put in order in two copies in float, each with
# the numbers of its items, by a key of 8 bytes.
_CONES_FROM_ROWS, _CONES_D, _CONES_GAIN = 65_536, range(9, 25), 0.75
_CONES_BYTES = (16.0, 8.0)  # per row of X, per value of X
_SLICES = 64  # of the turns, each with as many free x's as in its middle


def seconds_of(
    strategy: str,
    n_x: int,
    n_y: int,
    d: int,
    threads: int,
    spread: Spread = ISOTROPIC,
    machine: Speeds = SAME,
    *,
    cones: bool = True,
) -> float:
    """Predict wall seconds on a machine of these speeds.

    ``cones``: whether a screen may use them: in one process, in memory, by cosine.
    """
    kernel, rest, _ = machine
    rows = n_x + n_y
    if strategy == "reference":
        return n_y * (t.REFERENCE_S_PER_ROW + n_x * (d + 16) * t.REFERENCE_S_PER_VALUE)
    if strategy in t.LINEAR_S_PER_ROW:
        return t.CALL_S + rows * t.LINEAR_S_PER_ROW[strategy] / rest
    if strategy == "tree":
        row_s, exponent = _tree_row(d)
        growth = math.pow(max(n_x, 1000) / 1e5, exponent)
        work = rows / 2 * row_s * growth * math.pow(spread.crowding, t.TREE_CROWDING) / rest
    else:
        pairs = n_x * n_y - 0.5 * n_y * n_y
        if cones:
            pairs *= cone_share(n_x, n_y, d, spread, machine)
        work = pairs * t.SCREEN_LOAD * by_dimension(t.KERNEL_S_PER_PAIR, d) / kernel
        beside = pairs * t.SCREEN_S_PER_PAIR + n_y * t.SCREEN_S_PER_ROW
        work += (beside + rows * d * t.SCREEN_S_PER_VALUE) / rest
        work *= math.pow(spread.decay, t.SCREEN_DECAY)
    return t.CALL_S + work / _speed_up(threads)


def cones_serve(metric: str) -> bool:
    """Tell whether a screen by this metric has cones: they bound angles, not distances."""
    return metric == "cosine"


def cone_share(
    n_x: int, n_y: int, d: int, spread: Spread = ISOTROPIC, machine: Speeds = SAME
) -> float:
    """Predict what is left of a screen's pairs, or of what takes as long; 1 where no cones are."""
    if n_x < _CONES_FROM_ROWS or d not in _CONES_D:
        return 1.0
    flat = max(d / spread.decay, min(t.CONES))
    return share_with_cones(n_x, n_y, by_dimension(t.CONES, flat) * machine.sift)


def share_with_cones(n_x: int, n_y: int, million: float) -> float:
    """Predict the same where cones leave a y so much of 1e6 free x's."""
    free = np.maximum(n_x - n_y * (np.arange(_SLICES) + 0.5) / _SLICES, 1.0)
    left = million * (free / 1e6) ** -t.CONES_EXPONENT
    with_cones = t.CONES_PAIRS_PER_ROW + left * free
    pays = (free >= _CONES_FROM_ROWS) & (with_cones < _CONES_GAIN * free)
    return float(np.where(pays, with_cones, free).sum() / free.sum())


def times_by(metric: str, strategy: str) -> float:
    """Return how many times the seconds by cosine labels by this metric take."""
    return _BY_DISTANCE.get(strategy, 1.0) if metric == "euclidean" else 1.0


def _speed_up(threads: int) -> float:
    return math.pow(min(threads, available_cpus()), t.THREAD_EXPONENT)


def one_thread_does(seconds: float, threads: int) -> bool:
    """Tell whether what takes ``threads`` so many seconds is too little work to share.

    To start threads and to wait for the last of them costs a millisecond or more where the
    machine has other work.
    """
    return (seconds - t.CALL_S) * _speed_up(threads) < _ALONE_S


def seconds_here(
    strategy: str,
    n_x: int,
    n_y: int,
    d: int,
    threads: int,
    spread: Spread = ISOTROPIC,
    *,
    calibrate_from: float = MATCH_CALIBRATES_FROM_S,
    cones: bool = True,
) -> float:
    """Predict wall seconds on this machine, whose speeds are measured if the job is long enough.

    ``calibrate_from``: they are measured if the job is predicted to take so many seconds on the
    table's machine; ``math.inf``: never. ``cones``: as for ``seconds_of``.
    """
    seconds = seconds_of(strategy, n_x, n_y, d, threads, spread, cones=cones)
    if seconds < calibrate_from or strategy not in t.TRIAL_S:
        return seconds
    machine = speeds(strategy, d)
    return seconds_of(strategy, n_x, n_y, d, threads, spread, machine, cones=cones)


def _tree_row(d: int) -> tuple[float, float]:
    """Interpolate the tree's table: seconds for a row at n_x = 1e5, exponent of n_x / 1e5."""
    dims = sorted(t.TREE)
    exponents = [t.TREE[k][1] for k in dims]
    return by_dimension({k: t.TREE[k][0] for k in dims}, d), float(np.interp(d, dims, exponents))


def bytes_of(
    strategy: str,
    n_x: int,
    n_y: int,
    d: int,
    threads: int,
    *,
    codes: bool = True,
    metric: str = "cosine",
) -> int:
    """Predict bytes beyond X and Y; ``codes`` False: what grows with their values is in a file."""
    x_row, y_row, x_value, y_value = t.BYTES[strategy]
    results = 28.0 * n_y  # x_index, cosine (float64, then float32), order
    if metric == "euclidean":
        results += 32.0 * n_y  # distances; cosines are computed at the end
        d += strategy == "screen"  # vectors are longer by one
    work = n_x * x_row + n_y * y_row + results
    if codes:
        work += n_x * d * x_value + n_y * d * y_value
    if strategy == "screen":  # one frame per thread, and no more frames than X fills
        work += min(threads, n_x / _FRAME_ROWS) * d * t.SCREEN_BYTES_PER_DIMENSION
        if codes and cones_serve(metric) and n_x >= _CONES_FROM_ROWS and d in _CONES_D:
            work += n_x * (_CONES_BYTES[0] + d * _CONES_BYTES[1])
    # Small problems do not fill the other buffers.
    return int(work + min(t.FIXED_BYTES, 16.0 * n_x * (d + 8)))


def duration_text(seconds: float) -> str:
    """Write seconds for people: ms, s, min or h."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
