"""Matching inside each group (appendix C of the paper): many small jobs, few large ones.

Large groups run one after the other on all threads; small ones share a pool, each on
one thread, since starting a team would cost more than the work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import Matched, Progress

Rows = NDArray[np.int64]
Group = tuple[int, Rows, Rows]  # label, rows of X, rows of Y
# (x, y, threads, progress) -> matching; picks the strategy itself
Run = Callable[[NDArray[Any], NDArray[Any], int, Progress | None], Matched]

_LARGE_VALUES = 1 << 24  # pairs times dimension
_TASK_GROUPS = 64


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    groups: Sequence[Group],
    run: Run,
    *,
    threads: int,
    progress: Progress | None,
) -> Matched:
    """Match every group by ``run``; rows of the result are rows of the whole X and Y.

    ``order`` holds the groups one after the other as listed, each in its own order of
    choice; counters are summed over groups.
    """
    n_y = len(y)
    whole = Matched(np.empty(n_y, np.int64), np.empty(n_y), np.empty(n_y, np.int64), {})
    starts = np.concatenate(([0], np.cumsum([len(rows) for _, _, rows in groups]))).tolist()
    stop = threading.Event()

    def one(g: int, team: int, call: Progress | None) -> dict[str, float]:
        _, x_rows, y_rows = groups[g]
        x_part = x if len(x_rows) == len(x) else x[x_rows]
        y_part = y if len(y_rows) == n_y else y[y_rows]
        part = run(x_part, y_part, team, call)
        whole.x_index[y_rows] = x_rows[part.x_index]
        whole.cosine[y_rows] = part.cosine
        whole.order[starts[g] : starts[g + 1]] = y_rows[part.order]
        return part.report

    def several(numbers: Sequence[int]) -> tuple[int, dict[str, float]]:
        report: dict[str, float] = {}
        for g in numbers:
            if stop.is_set():
                break
            _add(report, one(g, 1, None))
        return sum(len(groups[g][2]) for g in numbers), report

    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, n_y)

    sizes = [len(x_rows) * len(y_rows) * x.shape[1] for _, x_rows, y_rows in groups]
    small = [g for g, size in enumerate(sizes) if size < _LARGE_VALUES]
    tasks = [small[i : i + _TASK_GROUPS] for i in range(0, len(small), _TASK_GROUPS)]
    if threads > 1 and len(tasks) > 1:
        with ThreadPoolExecutor(min(threads, len(tasks))) as pool:
            try:
                for rows, report in pool.map(several, tasks):
                    advance(rows)
                    _add(whole.report, report)
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    else:
        for task in tasks:
            rows, report = several(task)
            advance(rows)
            _add(whole.report, report)
    for g, size in enumerate(sizes):
        if size >= _LARGE_VALUES:
            before = done
            _add(whole.report, one(g, threads, _shifted(progress, before, n_y)))
            advance(len(groups[g][2]))
    return whole


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    call = progress
    return lambda done, _part: call(before + done, total)


def _add(total: dict[str, float], part: dict[str, float]) -> None:
    for name, value in part.items():
        total[name] = total.get(name, 0.0) + value
