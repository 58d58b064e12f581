"""The front door: ``label``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import _groups, _memory, _progress, _sharded, _validate, backends, planner
from gtn_fast._version import __version__
from gtn_fast.backends import Matched, registry
from gtn_fast.labels import Labels
from gtn_fast.random import normal


def label(
    X: Any,
    Y: Any = None,
    *,
    seed: int = 0,
    method: str = "auto",
    groups: Any = None,
    threads: int | None = None,
    progress: Any = None,
    block: int = 0,
    list_length: int = 0,
    group: Any = None,
) -> Labels:
    """Match every row of Y with a row of X of its own: Algorithm 1 of the GTN paper, exactly.

    The rows of Y choose in order of their norm, each the free row of X of highest cosine
    similarity; equal cosines go to the smaller norm, then to the smaller row number. All
    decisions are float64 (csrc/include/gtn_fast/direction.h), so the answer is a function of
    the values alone, the same for every method, thread count, machine and container.

    Parameters
    ----------
    X : (n_x, d) array or tensor
        The data. NumPy (any float dtype, integers as float64, any strides; float32 and
        float64 with contiguous rows are read in place, memory maps included) or torch
        (any float dtype, any device).
    Y : (n_y, d) array or tensor, optional
        The source sample, n_y <= n_x. None draws Y ~ N(0, I), float32, of X's shape, from
        ``seed`` (``gtn_fast.normal``).
    seed : int
        0 <= seed < 2**64; used only to draw Y.
    method : str
        "auto" picks an exact strategy (``plan`` tells which and why). "ray" (d = 1),
        "circle" (d = 2), "tree" (d from 2 to 16), "screen" and "reference" (slow, NumPy)
        force one; "distributed" is "screen" on several processes (see group).
        "rank" (d = 1) is another labeling, that of section 2.1: sorted y with
        sorted x (with n_y < n_x, the x of the same quantile).
    groups : (gx, gy), optional
        Integer labels of the rows of X and of Y: matching happens inside each group only
        (appendix C).
    threads : int, optional
        1 to 4096; the CPUs of this process by default (with group: its part of those that
        other ranks share).
    progress : None, bool or callable
        A bar on stderr (None: on a terminal, if it will take more than two seconds), or
        what is called with (done, total) about ten times a second.
    block, list_length : int
        For tests and tuning of "screen"; 0 lets it choose. They never change the answer.
    group : torch.distributed process group, optional
        X is then the shard of this rank (any number of rows, none too), and its rows are
        numbered through in rank order. All ranks of the group call with the same Y (or
        seed); each returns the same labels, for all of Y. Not with groups.

    Returns
    -------
    Labels

    Raises
    ------
    TypeError, ValueError
        Input that makes no sense, each with its own message.
    MemoryError
        The prediction exceeds the memory available; nothing was allocated yet.
    ImportError
        The backend of the method cannot run here; says why and what to do.
    ConnectionError
        With group: another rank is gone. What is wrong on one rank is raised on all.
    """
    if method == "distributed" or (method == "auto" and group is not None):
        return _sharded.label(
            X, Y, seed=seed, groups=groups, threads=threads, progress=progress,
            block=block, list_length=list_length, group=group,
        )  # fmt: skip
    started = time.perf_counter()
    x_in = _validate.describe(X, "X")
    y_in = None if Y is None else _validate.describe(Y, "Y")
    if y_in is not None:
        _validate.check_pair(x_in, y_in)
    n_x, d = x_in.rows, x_in.cols
    n_y = n_x if y_in is None else y_in.rows
    method = _validate.check_method(method, d)
    threads = _validate.check_threads(threads)
    seed = _validate.check_seed(seed)
    block = _validate.check_integer(block, "block", 0, 2**31 - 1)
    list_length = _validate.check_integer(list_length, "list_length", 0, 2**31 - 1)
    _progress.check(progress)
    parts: list[_groups.Group] | None = None
    if groups is not None:
        parts = list(_validate.split_groups(*_validate.group_pair(groups, n_x, n_y)))

    plans = [(1, planner.make_plan(n_x, n_y, d, method, threads, data=x_in.value))]
    if parts is not None:
        plans = _group_plans(parts, d, method, threads)
    # Raises before any work if one of them cannot run.
    runners = {each.strategy: backends.for_strategy(each.strategy) for _, each in plans}
    options = backends.check_options(runners, {"group": group})
    seconds = sum(count * each.seconds for count, each in plans)
    needed = _needed_bytes([each for _, each in plans], x_in, y_in, grouped=parts is not None)
    _memory.check(needed, f"labeling {n_y} x {n_x} rows of dimension {d}")

    x = _validate.convert(x_in)
    prepared = time.perf_counter()
    y: NDArray[Any]
    y = normal(seed, 0, n_x, d, threads=threads) if y_in is None else _validate.convert(y_in)
    drawn = time.perf_counter()
    if y_in is not None:  # checking Y is preparation
        prepared = drawn

    strategies = {(each.n_x, each.n_y): each.strategy for _, each in plans}

    def run(
        x_part: NDArray[Any], y_part: NDArray[Any], team: int, call: _progress.Progress | None
    ) -> Matched:
        strategy = strategies[len(x_part), len(y_part)]
        return runners[strategy](
            x_part,
            y_part,
            strategy=strategy,
            threads=team,
            block=block,
            list_length=list_length,
            progress=call,
            **options,
        )

    with _progress.reporter(progress, n_y, seconds) as call:
        if parts is None:
            matched = run(x, y, threads, call)
        else:
            matched = _groups.match(x, y, parts, run, threads=threads, progress=call)
    ended = time.perf_counter()

    report: dict[str, Any] = {
        "version": __version__,
        "method": method,
        **_chosen(plans),
        "exact": all(registry.find(strategy).exact for strategy in runners),
        "threads": threads,
        "n_x": n_x,
        "n_y": n_y,
        "d": d,
        "x_dtype": x.dtype.name,
        "y_dtype": y.dtype.name,
        "seed": seed if y_in is None else None,
        "groups": None if parts is None else len(parts),
        "seconds": {
            "prepare": prepared - started,
            "draw_y": drawn - prepared,
            "match": ended - drawn,
            "total": ended - started,
        },
        "engine": {name: float(value) for name, value in matched.report.items()},
        "predicted_seconds": seconds,
        "predicted_bytes": needed,
        "peak_memory_bytes": _memory.peak_bytes(),
    }
    return Labels(
        x_index=matched.x_index,
        cosine=matched.cosine.astype(np.float32),
        order=matched.order,
        n_x=n_x,
        d=d,
        report=report,
        given_y=None if y_in is None else y,
        seed=seed if y_in is None else None,
        _drawn_y=y if y_in is None else None,
    )


def _group_plans(
    parts: Sequence[_groups.Group], d: int, method: str, threads: int
) -> list[tuple[int, planner.Plan]]:
    """Return (how many groups, their plan) for every distinct pair of group sizes."""
    sizes = np.array([(len(x_rows), len(y_rows)) for _, x_rows, y_rows in parts])
    distinct, counts = np.unique(sizes, axis=0, return_counts=True)
    return [
        (int(count), planner.make_plan(int(n_x), int(n_y), d, method, threads))
        for (n_x, n_y), count in zip(distinct, counts, strict=True)
    ]


def _needed_bytes(
    plans: Sequence[planner.Plan],
    x: _validate.Described,
    y: _validate.Described | None,
    *,
    grouped: bool,
) -> int:
    """Predict all that will be allocated beyond the caller's arrays."""
    y_bytes = 4 * x.rows * x.cols if y is None else y.copy_bytes
    needed = max(each.bytes for each in plans) + x.copy_bytes + y_bytes
    if grouped:  # the largest group is gathered, rows and results are kept for all
        largest = max(plans, key=lambda each: each.n_x + each.n_y)
        needed += (largest.n_x + largest.n_y) * x.cols * 8 + 32 * (
            x.rows + (x.rows if y is None else y.rows)
        )
    return needed


def _chosen(plans: Sequence[tuple[int, planner.Plan]]) -> dict[str, Any]:
    """Say which strategy ran, why, and on which instructions."""
    strategies = sorted({each.strategy for _, each in plans})
    # A method, "auto" too, stays with one backend, whatever the sizes of the groups.
    backend = registry.find(strategies[0])
    chosen: dict[str, Any] = {
        "strategy": strategies[0] if len(strategies) == 1 else "mixed",
        "why": plans[0][1].why,
        "backend": backend.name,
        "simd": backend.load().instructions(),
    }
    if len(strategies) > 1:
        chosen["why"] = "by the size of each group"
        chosen["strategy_groups"] = {
            name: sum(count for count, each in plans if each.strategy == name)
            for name in strategies
        }
    return chosen
