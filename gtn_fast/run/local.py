"""From plans to a matching: which backend runs what, as a whole or in groups, afresh or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import registry
from gtn_fast.backends.interface import HandOver, Matched, Progress
from gtn_fast.backends.selection import for_strategy
from gtn_fast.planning.planner import Plan, make_plan, within
from gtn_fast.run.checkpoint import Checkpoint
from gtn_fast.run.groups import Group, Part, Run, match_groups, unsettled

Plans = Sequence[tuple[int, Plan]]  # how many jobs, their plan


@dataclass(frozen=True)
class Settings:
    """What every job of a run shares; ``options`` go to the backends that take them."""

    method: str
    threads: int
    block: int
    list_length: int
    options: Mapping[str, Any]
    memory: int | None = None  # bytes beyond X and Y
    storage: Mapping[str, Any] = field(default_factory=dict)  # what "screen" does without it
    device: str = "cpu"

    def backend(self, strategy: str) -> registry.Backend:
        """Return what runs this strategy where the run is."""
        return registry.find(strategy, self.device.partition(":")[0])


def make_plans(
    groups: Sequence[Group] | None,
    n_x: int,
    n_y: int,
    d: int,
    method: str,
    threads: int,
    data: Any,
    memory: int | None = None,
    device: str = "cpu",
) -> Plans:
    """Plan the whole, or every distinct pair of group sizes (and how many groups have it)."""

    def plan(x: int, y: int, look_at: Any) -> Plan:
        made = make_plan(x, y, d, method, threads, data=look_at, device=device)
        return made if memory is None else within(made, memory, forced=method != "auto")

    if groups is None:
        return [(1, plan(n_x, n_y, data))]
    sizes = np.array([(len(x_rows), len(y_rows)) for _, x_rows, y_rows in groups])
    distinct, counts = np.unique(sizes, axis=0, return_counts=True)
    only = data if len(groups) == 1 else None
    return [
        (int(count), plan(int(x), int(y), only))
        for (x, y), count in zip(distinct, counts, strict=True)
    ]


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    groups: Sequence[Group] | None,
    plans: Plans,
    settings: Settings,
    progress: Progress | None,
    checkpoint: Checkpoint | None,
) -> Matched:
    """Match by these plans; with a checkpoint, what it has not settled."""
    if checkpoint is None:
        run = _runner(plans, settings, 0.0)
        if groups is None:
            return run(Part(x, y, None, None), settings.threads, progress, None)
        return match_groups(x, y, groups, run, threads=settings.threads, progress=progress)
    return _go_on(x, y, groups, settings, progress, checkpoint)


def _go_on(
    x: NDArray[Any],
    y: NDArray[Any],
    groups: Sequence[Group] | None,
    settings: Settings,
    progress: Progress | None,
    checkpoint: Checkpoint,
) -> Matched:
    """Match what the checkpoint has not settled, and put both together."""
    before = checkpoint.pairs()
    taken, chosen = np.zeros(len(x), np.bool_), np.zeros(len(y), np.bool_)
    taken[before.x_rows] = True
    chosen[before.y_rows] = True
    whole = groups or [(0, np.arange(len(x)), np.arange(len(y)))]
    rest = unsettled(whole, taken, chosen)
    result = Matched(np.full(len(y), -1, np.int64), np.zeros(len(y)), before.y_rows, {})
    if rest:
        sizes = (0, 0, x.shape[1], settings.method, settings.threads)
        plans = make_plans(rest, *sizes, data=x, memory=settings.memory, device=settings.device)
        found = match_groups(
            x,
            y,
            rest,
            _runner(plans, settings, checkpoint.every),
            threads=settings.threads,
            progress=progress,
            settled=checkpoint.add,
            in_place=all(settings.backend(each.strategy).in_place for _, each in plans),
            hands_over=all(settings.backend(each.strategy).hands_over for _, each in plans),
            done=len(before.y_rows),
        )
        # In each group the settled ones chose first.
        order = np.concatenate((before.y_rows, found.order))
        result = Matched(found.x_index, found.cosine, order, found.report)
    result.x_index[before.y_rows] = before.x_rows
    result.cosine[before.y_rows] = before.cosine
    if groups is None:
        return result
    number = np.empty(len(y), np.int64)
    for g, (_, _, y_rows) in enumerate(groups):
        number[y_rows] = g
    by_group = np.argsort(number[result.order], kind="stable")
    return result._replace(order=result.order[by_group])


def _runner(plans: Plans, settings: Settings, settled_every: float) -> Run:
    strategies = {(each.n_x, each.n_y): each.strategy for _, each in plans}
    kind = settings.device.partition(":")[0]
    runners = {name: for_strategy(name, kind) for name in set(strategies.values())}

    def run(
        job: Part, threads: int, progress: Progress | None, settled: HandOver | None
    ) -> Matched:
        strategy = strategies[job.sizes]
        extra: dict[str, Any] = dict(settings.options)
        if strategy == "screen":
            extra |= settings.storage
        if job.x_rows is not None:
            extra |= {"x_rows": job.x_rows, "y_rows": job.y_rows}
        if settled is not None:
            extra |= {"settled": settled, "settled_every": settled_every}
        return runners[strategy](
            job.x,
            job.y,
            strategy=strategy,
            threads=threads,
            block=settings.block,
            list_length=settings.list_length,
            progress=progress,
            **extra,
        )

    return run
