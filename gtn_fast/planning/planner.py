"""Which strategy, how long, how much memory: before anything is allocated.

``plan`` is what ``label(method="auto")`` follows. Every strategy is exact, so a bad
guess costs time, never the answer. Costs are formulas over the measured constants of
constants.py, at the speeds measured on this machine (calibration.py).
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any

from gtn_fast.backends import registry
from gtn_fast.backends.methods import TREE_DIMENSIONS, check_method, check_metric
from gtn_fast.backends.selection import pick_device
from gtn_fast.environment import in_default_environment
from gtn_fast.inputs.arguments import check_integer, check_threads
from gtn_fast.inputs.arrays import MAX_ROWS, describe, unchanged
from gtn_fast.inputs.device import CPU, Device, check_device
from gtn_fast.planning import constants as t
from gtn_fast.planning.calibration import same, speeds
from gtn_fast.planning.choice import choose
from gtn_fast.planning.costs import (
    MATCH_CALIBRATES_FROM_S,
    bytes_of,
    cone_share,
    cones_serve,
    duration_text,
    seconds_here,
    seconds_of,
    times_by,
)
from gtn_fast.planning.look import ISOTROPIC, look
from gtn_fast.planning.memory import memory_limit, size_text
from gtn_fast.planning.rehearsal import AS_NORMALS, Slower, rehearse

# Of the seconds predicted: nine of ten matches take no less and no more.
RANGE = (0.6, 2.4)
_PLAN_CALIBRATES_FROM_S = 0.01
# From so many seconds, by the table, the strategies are tried on rows of the data: that takes
# 10 to 30 ms.
_REHEARSES_FROM_S = 0.05
# n_x * n_y * d from which a look at the data (milliseconds) costs little beside the job.
_LOOK_FROM_VALUES = 10**9


@dataclass(frozen=True, repr=False)
class Plan:
    """A strategy and its predicted cost.

    ``seconds``: wall time; ``bytes``: memory beyond X and Y; ``why``: the reason for
    the choice in words; ``scratch_bytes``: what goes to a scratch file instead of memory;
    ``metric``: what y's choose by.
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
    metric: str = "cosine"

    @property
    def seconds_range(self) -> tuple[float, float]:
        """Seconds that it rarely takes less, or more, than (docs/benchmarks.md)."""
        return RANGE[0] * self.seconds, RANGE[1] * self.seconds

    def __repr__(self) -> str:
        parts = [
            f"{self.strategy!r}: {self.why}",
            f"about {duration_text(self.seconds)}",
            f"about {size_text(self.bytes)} beyond X and Y",
            f"n_y={self.n_y}, n_x={self.n_x}, d={self.d}, threads={self.threads}",
        ]
        if self.scratch_bytes:
            parts.append(f"{size_text(self.scratch_bytes)} in a file")
        return f"Plan({'; '.join(parts)})"

    def __str__(self) -> str:
        text = (
            f"{self.n_y} rows of Y, {self.n_x} rows of X, d = {self.d}, threads = {self.threads}\n"
            f"strategy   {self.strategy}: {self.why}\n"
            f"time       about {duration_text(self.seconds)}"
            f" ({' to '.join(map(duration_text, self.seconds_range))})\n"
            f"memory     about {size_text(self.bytes)} beyond X and Y"
        )
        if self.scratch_bytes:
            text += f"\nscratch    about {size_text(self.scratch_bytes)} in a file"
        return text


@in_default_environment
def plan(
    X: Any,
    n_y: int | None = None,
    d: int | None = None,
    *,
    method: str = "auto",
    metric: str = "cosine",
    threads: int | None = None,
    memory: int | str | None = None,
    device: Any = None,
    flatten: bool = False,
    column: str | None = None,
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
    method, metric, threads, memory, device, flatten, column
        As in ``label``.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As ``label`` does for the same input.

    Examples
    --------
    >>> import gtn_fast
    >>> gtn_fast.plan(1_000_000, 1_000_000, 2).strategy
    'circle'
    >>> gtn_fast.plan(gtn_fast.normal(0, 0, 100, 3)).n_x
    100
    """
    described = None
    if isinstance(X, numbers.Number) or getattr(X, "shape", None) == ():
        n_x = check_integer(X, "n_x", 1, MAX_ROWS)
        if d is None:
            raise TypeError("plan(n_x, n_y, d) needs d")
        cols, data = check_integer(d, "d", 1, 2**31 - 1), None
    else:
        described = describe(X, "X", flatten=flatten, key=column)
        if d is not None:
            raise TypeError("d comes with a number of rows; here X itself says it")
        n_x, cols, data = described.rows, described.cols, described.value
    rows = n_x if n_y is None else check_integer(n_y, "n_y", 1, MAX_ROWS)
    if rows > n_x:
        raise ValueError(
            f"every row of Y needs a row of X of its own: Y has {rows} rows, X only {n_x}"
        )
    metric = check_metric(metric)
    method = check_method(method, cols, metric)
    where = pick_device(check_device(device), data, method, n_x, rows, cols, metric)
    threads = check_threads(threads)
    limit = memory_limit(memory, where)
    with unchanged(described):
        made = make_plan(
            n_x,
            rows,
            cols,
            method,
            threads,
            data=data,
            device=where,
            metric=metric,
            calibrate_from=_PLAN_CALIBRATES_FROM_S,
        )
    return made if limit is None else within(made, limit, forced=method != "auto")


def make_plan(
    n_x: int,
    n_y: int,
    d: int,
    method: str,
    threads: int,
    *,
    data: Any = None,
    device: Device = CPU,
    metric: str = "cosine",
    calibrate_from: float = MATCH_CALIBRATES_FROM_S,
) -> Plan:
    """Plan checked arguments; look at ``data`` (X) if it is there and the job is large.

    ``calibrate_from``: the speeds of this machine are measured if the job is predicted to take
    so many seconds on the table's machine; ``math.inf``: never.
    """
    if not device.is_cpu:
        return _on_device(n_x, n_y, d, method, threads, device)
    spread = ISOTROPIC
    if data is not None and n_x * n_y * d > _LOOK_FROM_VALUES:
        spread = look(data, metric)
    strategy, why = choose(n_x, n_y, d, threads, spread, metric=metric)
    cones = cones_serve(metric)
    if method != "auto":
        strategy, why = method, "asked for"
    backend = registry.find(strategy)
    if strategy not in t.BYTES:  # costs.py has no formula: the backend predicts
        return _by_backend(backend, strategy, why, n_x, n_y, d, threads)
    at = (n_x, n_y, d, threads, spread)
    by_table = seconds_of(strategy, *at, cones=cones)
    slower = AS_NORMALS
    if data is not None and by_table >= _REHEARSES_FROM_S and calibrate_from < math.inf:
        slower = _rehearsed(data, strategy, d, metric)
    measures = by_table >= max(calibrate_from, MATCH_CALIBRATES_FROM_S)  # as a match would
    if method == "auto" and (measures or slower != AS_NORMALS):
        strategy, why = choose(*at, speeds if measures else same, metric, slower)
    seconds = seconds_here(strategy, *at, calibrate_from=calibrate_from, cones=cones)
    seconds *= times_by(metric, strategy) * getattr(slower, strategy, 1.0)
    needed = bytes_of(strategy, n_x, n_y, d, threads, metric=metric)
    return Plan(strategy, seconds, needed, why, n_x, n_y, d, threads, metric=metric)


def within(plan: Plan, memory: int, *, forced: bool) -> Plan:
    """Return a plan that needs at most ``memory`` bytes beyond X and Y.

    If the plan needs more, the screen takes its place (unless another strategy is ``forced``),
    with its codes in a scratch file if they do not fit. MemoryError, with the numbers, if that
    needs too much as well.
    """
    if plan.bytes <= memory:
        return plan
    d = plan.d
    if plan.strategy != "screen" and forced:
        raise MemoryError(
            f"method {plan.strategy!r} needs about {size_text(plan.bytes)} beyond X and Y,"
            f" memory allows {size_text(memory)}"
        )
    sizes = (plan.n_x, plan.n_y, d, plan.threads)
    needed = bytes_of("screen", *sizes, metric=plan.metric)
    why = plan.why if plan.strategy == "screen" else "what fits into the memory allowed"
    seconds, scratch, cones = plan.seconds, 0, cones_serve(plan.metric)
    if plan.strategy != "screen":
        seconds = seconds_here("screen", *sizes, cones=cones)
        seconds *= times_by(plan.metric, "screen")
    if needed > memory:
        seconds /= cone_share(plan.n_x, plan.n_y, d) if cones else 1.0
        width = d + (plan.metric == "euclidean")
        scratch = plan.n_x * ((width + 3) // 4 * 4)
        needed = bytes_of("screen", *sizes, codes=False, metric=plan.metric)
        why += "; its codes in a scratch file"
    if needed > memory:
        raise MemoryError(
            f"{plan.n_y} x {plan.n_x} rows of dimension {d} need at least"
            f" {size_text(needed)} beyond X and Y, memory allows {size_text(memory)}"
        )
    return replace(
        plan, strategy="screen", seconds=seconds, bytes=needed, why=why, scratch_bytes=scratch
    )


def _rehearsed(data: Any, strategy: str, d: int, metric: str) -> Slower:
    """Try tree and screen on rows of the data, where both can run."""
    if strategy not in Slower._fields or not 2 < d <= TREE_DIMENSIONS[1]:
        return AS_NORMALS
    return rehearse(data, metric)


def _on_device(n_x: int, n_y: int, d: int, method: str, threads: int, device: Device) -> Plan:
    """Plan for a GPU, by the prediction of its backend."""
    strategy, why = ("screen", f"on {device}") if method == "auto" else (method, "asked for")
    backend = registry.find(strategy, device.kind)
    return _by_backend(backend, strategy, why, n_x, n_y, d, threads)


def _by_backend(
    backend: registry.Backend, strategy: str, why: str, n_x: int, n_y: int, d: int, threads: int
) -> Plan:
    """Plan by what the backend says of itself."""
    module = backend.load()
    seconds, needed = module.predict(n_x, n_y, d, threads)
    if hasattr(module, "why"):
        why = module.why(n_x, n_y, d, threads)
    return Plan(strategy, seconds, needed, why, n_x, n_y, d, threads)
