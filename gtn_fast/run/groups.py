"""Matching inside each group (appendix C of the paper): many small jobs, few large ones.

Large groups run one after the other on all threads; small ones share a pool, each on
one thread, since starting a team would cost more than the work. What a checkpoint has
settled is left out on both sides, and so are y's for whom no x is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends.interface import HandOver, Matched, Progress
from gtn_fast.inputs.groups import Group, Rows
from gtn_fast.reference import directions_and_norms, norm_order
from gtn_fast.system.workers import in_threads


class Part(NamedTuple):
    """What one run of a backend matches: rows of x and y, None for all of them."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_rows: Rows | None
    y_rows: Rows | None

    @property
    def sizes(self) -> tuple[int, int]:
        """How many rows of X and of Y take part."""
        n_x = len(self.x) if self.x_rows is None else len(self.x_rows)
        return n_x, len(self.y) if self.y_rows is None else len(self.y_rows)


# (job, threads, progress, settled) -> matching; picks the strategy itself
Run = Callable[[Part, int, Progress | None, HandOver | None], Matched]

_LARGE_VALUES = 1 << 24  # pairs times dimension
_TASK_GROUPS = 64
_NORM_VALUES = 1 << 20  # at a time


def unsettled(
    groups: Sequence[Group], taken: NDArray[np.bool_], chosen: NDArray[np.bool_]
) -> list[Group]:
    """Return the groups without the x's that are ``taken`` and the y's that have ``chosen``."""
    rest = ((label, x[~taken[x]], y[~chosen[y]]) for label, x, y in groups)
    return [group for group in rest if len(group[2])]


def with_room(groups: Sequence[Group], y: Any, *, every_y_takes: bool) -> tuple[list[Group], Rows]:
    """Return the groups without y's for whom no x is left, and the rows of these, as they choose.

    ``every_y_takes``: then those are all y's but the first n_x; else there are some only where
    there is no x at all.
    """
    able, without = [], [np.empty(0, np.int64)]
    for label, x_rows, y_rows in groups:
        if len(y_rows) <= len(x_rows) or (len(x_rows) and not every_y_takes):
            able.append((label, x_rows, y_rows))
            continue
        turns = y_rows[norm_order(_row_norms(y, y_rows))]
        without.append(turns[len(x_rows) :])
        if len(x_rows):
            able.append((label, x_rows, np.sort(turns[: len(x_rows)])))
    return able, np.concatenate(without)


def _row_norms(y: Any, rows: Rows) -> NDArray[np.float64]:
    norms = np.empty(len(rows))
    step = max(1, _NORM_VALUES // y.shape[1])
    for start in range(0, len(rows), step):
        norms[start : start + step] = directions_and_norms(y[rows[start : start + step]])[1]
    return norms


def match_groups(
    x: NDArray[Any],
    y: NDArray[Any],
    groups: Sequence[Group],
    run: Run,
    *,
    threads: int,
    progress: Progress | None,
    settled: HandOver | None = None,
    takes_row_subsets: bool = False,
    streams_pairs: bool = False,
    done: int = 0,
) -> Matched:
    """Match every group by ``run``; rows of the result are rows of the whole X and Y.

    ``order`` holds the groups one after the other as listed, each in its own order of
    choice; counters are summed over groups. Rows of Y in no group have x_index -1.
    ``settled`` gets final pairs, in rows of the whole; ``takes_row_subsets``: the backend takes row
    numbers, so that large groups need no copies; ``streams_pairs``: it gives final pairs while
    it goes on; ``done``: rows of Y matched before.
    """
    n_y = len(y)
    starts = np.concatenate(([0], np.cumsum([len(rows) for _, _, rows in groups]))).tolist()
    whole = Matched(np.full(n_y, -1, np.int64), np.zeros(n_y), np.empty(starts[-1], np.int64), {})
    stop = threading.Event()

    def one(g: int, team: int, call: Progress | None) -> dict[str, float]:
        _, x_rows, y_rows = groups[g]
        if takes_row_subsets and sizes[g] >= large:
            part = run(Part(x, y, x_rows, y_rows), team, call, settled)
            whole.x_index[y_rows] = part.x_index[y_rows]
            whole.cosine[y_rows] = part.cosine[y_rows]
            whole.order[starts[g] : starts[g + 1]] = part.order
            return part.report

        def in_whole(ys: Rows, xs: Rows, cosine: NDArray[np.float64]) -> None:
            assert settled is not None
            settled(y_rows[ys], _renumbered(xs, x_rows), cosine)

        meanwhile = in_whole if settled is not None and streams_pairs else None
        x_part = x if len(x_rows) == len(x) else x[x_rows]
        y_part = y if len(y_rows) == n_y else y[y_rows]
        part = run(Part(x_part, y_part, None, None), team, call, meanwhile)
        x_index = whole.x_index[y_rows] = _renumbered(part.x_index, x_rows)
        whole.cosine[y_rows] = part.cosine
        whole.order[starts[g] : starts[g + 1]] = y_rows[part.order]
        if settled is not None and meanwhile is None:
            settled(y_rows[part.order], x_index[part.order], part.cosine[part.order])
        return part.report

    def several(numbers: Sequence[int]) -> tuple[int, dict[str, float]]:
        report: dict[str, float] = {}
        for g in numbers:
            if stop.is_set():
                break
            _add(report, one(g, 1, None))
        return sum(len(groups[g][2]) for g in numbers), report

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, n_y)

    sizes = [len(x_rows) * len(y_rows) * x.shape[1] for _, x_rows, y_rows in groups]
    large = _LARGE_VALUES if len(groups) > 1 else 0
    small = [g for g, size in enumerate(sizes) if size < large]
    tasks = [small[i : i + _TASK_GROUPS] for i in range(0, len(small), _TASK_GROUPS)]
    with closing(in_threads(several, tasks, threads, stop)) as parts:
        for rows, report in parts:
            advance(rows)
            _add(whole.report, report)
    for g, size in enumerate(sizes):
        if size >= large:
            before = done
            _add(whole.report, one(g, threads, _shifted(progress, before, n_y)))
            advance(len(groups[g][2]))
    return whole


def _renumbered(numbers: Rows, x_rows: Rows) -> Rows:
    """Return the rows of these numbers; -1 stays."""
    return np.where(numbers < 0, -1, x_rows[numbers])


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    call = progress
    return lambda done, _part: call(before + done, total)


def _add(total: dict[str, float], part: dict[str, float]) -> None:
    for name, value in part.items():
        total[name] = total.get(name, 0.0) + value
