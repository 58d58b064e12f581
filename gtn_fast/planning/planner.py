"""Which strategy, how long, how much memory: before anything is allocated.

``plan`` is what ``label(method="auto")`` follows. Every strategy is exact, so a bad
guess costs time, never the answer. Costs are formulas over the measured constants of
_thresholds.py, at the speeds measured on this machine (_calibration.py).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import _memory, _validate, backends
from gtn_fast import _thresholds as t
from gtn_fast._calibration import SAME, Speeds, by_dimension, same, speeds
from gtn_fast.backends import registry

# Predicted seconds from which this machine's speeds are measured: a match should not wait
# for them longer than it takes, whoever asks for a prediction may.
_MATCH_CALIBRATES_FROM_S = 0.5
_PLAN_CALIBRATES_FROM_S = 0.01
_SAMPLE_ROWS = 160
_FRAME_ROWS = 4096  # of X that a thread of the screen packs at once
# Pairs times dimension from which a look at the data (milliseconds) is nothing.
_LOOK_FROM_VALUES = 10**9


@dataclass(frozen=True)
class Plan:
    """A strategy and its predicted cost.

    ``seconds``: wall time; ``bytes``: memory beyond X and Y; ``why``: the reason for
    the choice in words; ``scratch_bytes``: of that what goes to a file, for want of memory.
    """

    strategy: str
    seconds: float
    bytes: int
    why: str
    n_x: int
    n_y: int
    d: int
    threads: int
    scratch_bytes: int = 0

    def __str__(self) -> str:
        text = (
            f"{self.n_y} rows of Y, {self.n_x} rows of X, d = {self.d}, threads = {self.threads}\n"
            f"strategy   {self.strategy}: {self.why}\n"
            f"time       about {_duration(self.seconds)}\n"
            f"memory     about {_memory.text(self.bytes)} beyond X and Y"
        )
        if self.scratch_bytes:
            text += f"\nscratch    about {_memory.text(self.scratch_bytes)} in a file"
        return text


@dataclass(frozen=True)
class Spread:
    """How unevenly the directions of X fill the space; 1 each for isotropic data.

    ``crowding``: d over their effective dimension, large where they crowd into a cone
    or a subspace; ``decay``: the same about their mean, large for a decaying spectrum.
    """

    crowding: float
    decay: float


ISOTROPIC = Spread(1.0, 1.0)


def plan(
    X: Any,
    n_y: int | None = None,
    d: int | None = None,
    *,
    method: str = "auto",
    threads: int | None = None,
    memory: int | str | None = None,
    device: Any = None,
) -> Plan:
    """Predict strategy, seconds and bytes of a labeling, without running it.

    Parameters
    ----------
    X
        The data, (n_x, d), or the number of rows n_x. The data let the planner look
        at a sample of rows (effective dimension).
    n_y
        Rows of Y; n_x by default.
    d
        Dimension; needed, and only allowed, with a number of rows.
    method, threads, memory, device
        As in ``label``.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As ``label`` does for the same input.
    """
    if isinstance(X, (str, os.PathLike, list, tuple)):
        X = _validate.describe(X, "X").value
    if hasattr(X, "shape") and len(X.shape) > 0:
        described = _validate.describe(X, "X")
        if d is not None:
            raise TypeError("d comes with a number of rows; here X itself says it")
        n_x, cols, data = described.rows, described.cols, described.value
    else:
        n_x = _validate.check_integer(X, "n_x", 1, _validate.MAX_ROWS)
        if d is None:
            raise TypeError("plan(n_x, n_y, d) needs d")
        cols, data = _validate.check_integer(d, "d", 1, 2**31 - 1), None
    rows = n_x if n_y is None else _validate.check_integer(n_y, "n_y", 1, _validate.MAX_ROWS)
    if rows > n_x:
        raise ValueError(
            f"every row of Y needs a row of X of its own: Y has {rows} rows, X only {n_x}"
        )
    method = _validate.check_method(method, cols)
    where = backends.pick_device(_validate.check_device(device), data, method, n_x, rows, cols)
    threads = _validate.check_threads(threads)
    if memory is not None and where != "cpu":
        raise ValueError(f"memory goes with device 'cpu', not {where!r}")
    made = make_plan(
        n_x,
        rows,
        cols,
        method,
        threads,
        data=data,
        device=where,
        calibrate_from=_PLAN_CALIBRATES_FROM_S,
    )
    return made if memory is None else within(made, _memory.parse(memory), forced=method != "auto")


def make_plan(
    n_x: int,
    n_y: int,
    d: int,
    method: str,
    threads: int,
    *,
    data: Any = None,
    device: str = "cpu",
    calibrate_from: float = _MATCH_CALIBRATES_FROM_S,
) -> Plan:
    """Plan checked arguments; look at ``data`` (X) if it is there and the job is large.

    ``calibrate_from``: seconds predicted for the table's machine from which this one's
    speeds are measured; ``math.inf``: never.
    """
    if device != "cpu":
        return _on_device(n_x, n_y, d, method, threads, device)
    spread = ISOTROPIC
    if data is not None and n_x * n_y * d > _LOOK_FROM_VALUES:
        spread = look(data)
    strategy, why = choose(n_x, n_y, d, threads, spread)
    if method != "auto":
        strategy, why = method, "asked for"
    backend = registry.find(strategy)
    if strategy not in t.BYTES:  # no formula here: its backend knows
        seconds, needed = backend.load().predict(n_x, n_y, d, threads)
        return Plan(strategy, seconds, needed, why, n_x, n_y, d, threads)
    seconds = _seconds(strategy, n_x, n_y, d, threads, spread)
    if seconds >= calibrate_from and backend.name == "native":
        if method == "auto" and seconds >= _MATCH_CALIBRATES_FROM_S:  # as a match would
            strategy, why = choose(n_x, n_y, d, threads, spread, speeds)
        seconds = _seconds(strategy, n_x, n_y, d, threads, spread, speeds(strategy, d))
    needed = _bytes(strategy, n_x, n_y, d, threads)
    return Plan(strategy, seconds, needed, why, n_x, n_y, d, threads)


def within(plan: Plan, memory: int, *, forced: bool) -> Plan:
    """Return a plan that needs at most ``memory`` bytes beyond X and Y.

    With the screen as strategy (unless another is ``forced``), its codes in a scratch file
    if need be. MemoryError, with the numbers, if there is none.
    """
    if plan.bytes <= memory:
        return plan
    d = plan.d
    if plan.strategy != "screen" and forced:
        raise MemoryError(
            f"method {plan.strategy!r} needs about {_memory.text(plan.bytes)} beyond X and Y,"
            f" memory allows {_memory.text(memory)}"
        )
    needed = _bytes("screen", plan.n_x, plan.n_y, d, plan.threads)
    why = plan.why if plan.strategy == "screen" else "what fits into the memory allowed"
    seconds = plan.seconds
    if plan.strategy != "screen":
        seconds = make_plan(plan.n_x, plan.n_y, d, "screen", plan.threads).seconds
    scratch = 0
    if needed > memory:
        scratch = plan.n_x * ((d + 3) // 4 * 4)
        needed = _bytes("screen", plan.n_x, plan.n_y, d, plan.threads, codes=False)
        why += "; its codes in a scratch file"
    if needed > memory:
        raise MemoryError(
            f"{plan.n_y} x {plan.n_x} rows of dimension {d} need at least"
            f" {_memory.text(needed)} beyond X and Y, memory allows {_memory.text(memory)}"
        )
    return replace(
        plan, strategy="screen", seconds=seconds, bytes=needed, why=why, scratch_bytes=scratch
    )


def _on_device(n_x: int, n_y: int, d: int, method: str, threads: int, device: str) -> Plan:
    """Plan for a GPU: its backend has one strategy, and its own prediction."""
    strategy, why = ("screen", f"on {device}") if method == "auto" else (method, "asked for")
    backend = registry.find(strategy, device.partition(":")[0])
    seconds, needed = backend.load().predict(n_x, n_y, d, threads)
    return Plan(strategy, seconds, needed, why, n_x, n_y, d, threads)


def choose(
    n_x: int,
    n_y: int,
    d: int,
    threads: int = 1,
    spread: Spread = ISOTROPIC,
    machine: Callable[[str, int], Speeds] = same,
) -> tuple[str, str]:
    """Return the strategy of ``auto`` and the reason. Always an exact one.

    ``machine``: the speeds of this one for a strategy and d; by default the table's.
    """
    if d == 1:
        return "ray", "d = 1: two queues in norm order"
    if d == 2:
        return "circle", "d = 2: nearest free angle on a circle"
    if d > _validate.TREE_DIMENSIONS[1]:
        return "screen", f"d = {d}: too many dimensions for a tree"
    tree = _seconds("tree", n_x, n_y, d, threads, spread, machine("tree", d))
    screen = _seconds("screen", n_x, n_y, d, threads, spread, machine("screen", d))
    if tree <= screen:
        return (
            "tree",
            f"d = {d}: a tree takes about {_duration(tree)}, a screen {_duration(screen)}",
        )
    return "screen", f"d = {d}: a screen takes about {_duration(screen)}, a tree {_duration(tree)}"


def look(X: Any) -> Spread:
    """Look at a sample of directions: how few dimensions they fill.

    At most 160 rows, evenly spaced, are read.
    """
    step = max(1, math.ceil(len(X) / _SAMPLE_ROWS))
    sample = X[::step]
    if _validate.is_tensor(sample):
        sample = _validate.convert(_validate.describe(sample, "X"))
    values: NDArray[np.float64] = np.array(sample, dtype=np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    scale = np.abs(values).max(axis=1, initial=0.0)
    values = values[scale > 0] / scale[scale > 0, None]
    if len(values) < 2:
        return Spread(values.shape[1], 1.0)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    d = values.shape[1]
    return Spread(
        d / effective_dimension(values), d / effective_dimension(values - values.mean(axis=0))
    )


def effective_dimension(values: NDArray[np.float64]) -> float:
    """Return (sum of w)^2 / sum of w^2 over the second moments w of the rows.

    From 1, for multiples of one vector, to d, for rows that point everywhere alike.
    """
    n, d = values.shape
    lengths = (values * values).sum(axis=1)
    total = float(lengths.sum())
    if n < 2 or total < 1e-24 * n:  # nothing but rounding
        return float(d)
    # Off the diagonal of the Gram matrix only: its diagonal would count the sample's size.
    # Not by BLAS: its threads would spin beside the engine's for some milliseconds.
    gram = np.einsum("ik,jk->ij", values, values)
    between = float((gram * gram).sum() - (lengths * lengths).sum()) * n / (n - 1)
    return float(min(max(total * total / max(between, total * total / d), 1.0), d))


def _seconds(
    strategy: str,
    n_x: int,
    n_y: int,
    d: int,
    threads: int,
    spread: Spread = ISOTROPIC,
    machine: Speeds = SAME,
) -> float:
    """Predict wall seconds on a machine of these speeds."""
    kernel, rest = machine
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
        work = pairs * t.SCREEN_LOAD * by_dimension(t.KERNEL_S_PER_PAIR, d) / kernel
        beside = pairs * t.SCREEN_S_PER_PAIR + n_y * t.SCREEN_S_PER_ROW
        work += (beside + rows * d * t.SCREEN_S_PER_VALUE) / rest
        work *= math.pow(spread.decay, t.SCREEN_DECAY)
    team = min(threads, _validate.available_cpus())
    return t.CALL_S + work / math.pow(team, t.THREAD_EXPONENT)


def _tree_row(d: int) -> tuple[float, float]:
    """Interpolate the tree's table: seconds for a row at n_x = 1e5, exponent of n_x / 1e5."""
    dims = sorted(t.TREE)
    exponents = [t.TREE[k][1] for k in dims]
    return by_dimension({k: t.TREE[k][0] for k in dims}, d), float(np.interp(d, dims, exponents))


def _bytes(strategy: str, n_x: int, n_y: int, d: int, threads: int, *, codes: bool = True) -> int:
    """Predict bytes beyond X and Y; ``codes`` False: what grows with their values is in a file."""
    x_row, y_row, x_value, y_value = t.BYTES[strategy]
    results = 28.0 * n_y  # x_index, cosine (float64, then float32), order
    work = n_x * x_row + n_y * y_row + results
    if codes:
        work += n_x * d * x_value + n_y * d * y_value
    if strategy == "screen":  # a thread at most a frame, and no more frames than there are
        work += min(threads, n_x / _FRAME_ROWS) * d * t.SCREEN_BYTES_PER_DIMENSION
    # Small problems do not fill the other buffers.
    return int(work + min(t.FIXED_BYTES, 16.0 * n_x * (d + 8)))


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
