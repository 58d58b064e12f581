"""Which backend runs which part of a job, and what that takes: known before any work."""

from __future__ import annotations

import errno
import functools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gtn_fast.backends import registry
from gtn_fast.backends.interface import HandOver, Matched, Progress
from gtn_fast.backends.selection import check_options, for_strategy
from gtn_fast.inputs.arrays import uncopied
from gtn_fast.inputs.groups import Group
from gtn_fast.planning.costs import one_thread_does
from gtn_fast.planning.memory import size_text
from gtn_fast.planning.planner import Plan, make_plan, within
from gtn_fast.run.checkpoint import CHECKPOINT_BYTES_PER_ROW
from gtn_fast.run.groups import Part, Run
from gtn_fast.run.job import Job


@dataclass(frozen=True)
class Schedule:
    """Plans of a job's parts: ``plans`` holds (how many parts, their plan) by distinct sizes.

    ``options``: of the backends that run, checked.
    """

    job: Job
    plans: Sequence[tuple[int, Plan]]
    options: Mapping[str, Any]

    @classmethod
    def of(cls, job: Job, parts: Sequence[Group] | None, data: Any) -> Schedule:
        """Plan the whole (``parts`` None) or each group; ``data`` (X) is looked at.

        Raises what makes a part impossible, before any work: ImportError of a backend that
        cannot run here, ValueError for an option without a taker, MemoryError.
        """
        plans = _plans(job, parts, data)
        strategies = sorted({each.strategy for _, each in plans})
        for strategy in strategies:
            for_strategy(strategy, job.device)
        schedule = cls(job, plans, check_options(strategies, job.options, job.device))
        if not job.threads_asked and one_thread_does(schedule.seconds, job.threads):
            schedule = replace(schedule, job=replace(job, threads=1))
        if job.keep is not None:
            schedule._check_resumable()
        return schedule

    @functools.cached_property
    def strategies(self) -> list[str]:
        """The names of all strategies that run."""
        return sorted({each.strategy for _, each in self.plans})

    @functools.cached_property
    def backends(self) -> list[registry.Backend]:
        """What runs them. A method, "auto" too, stays with one, whatever the sizes."""
        return [registry.find(name, self.job.device.kind) for name in self.strategies]

    @property
    def seconds(self) -> float:
        """Predicted for all parts."""
        return sum(count * each.seconds for count, each in self.plans)

    @property
    def leaves_tensors(self) -> bool:
        """Whether X and Y stay on their device: parts and checkpoints need copies on the host."""
        whole = not self.job.in_parts and self.job.keep is None
        return whole and all(each.takes_device_tensors for each in self.backends)

    def needed_bytes(self) -> int:
        """Predict all that will be allocated beyond the caller's arrays."""
        job = self.job
        x, y = job.x, job.y
        if self.leaves_tensors:
            x, y = uncopied(x), y and uncopied(y)
        needed = max(each.bytes for _, each in self.plans)
        if not job.unpacks_to_disk:
            needed += x.copy_bytes
        if y is not None:
            needed += y.copy_bytes
            if job.copies_y:
                needed += job.n_y * job.d * y.dtype.itemsize
        elif not job.draws_as_needed:
            needed += 4 * job.n_x * job.d
        if job.groups is not None:  # the largest is gathered, rows and results are kept for all
            largest = max(each.n_x + each.n_y for _, each in self.plans)
            needed += largest * job.d * 8 + 32 * (job.n_x + job.n_y)
        if job.keep is not None:
            needed += CHECKPOINT_BYTES_PER_ROW * job.n_y
        return needed

    def storage(self) -> dict[str, Any]:
        """Say what "screen" does for want of memory; OSError if the scratch folder has no room."""
        job = self.job
        if job.memory is None:
            return {}
        storage: dict[str, Any] = {
            "out_of_core": job.n_x * job.d * job.x.dtype.itemsize > job.memory
        }
        needed = max(each.scratch_bytes for _, each in self.plans)
        if needed:
            folder = tempfile.gettempdir() if job.scratch is None else job.scratch
            room = shutil.disk_usage(folder).free
            if room < needed:
                raise OSError(
                    errno.ENOSPC,
                    f"a scratch file of {size_text(needed)} does not fit: {size_text(room)} free",
                    folder,
                )
            storage["scratch"] = folder
        return storage

    def chosen(self) -> dict[str, Any]:
        """Say which strategy runs, why, and on which instructions."""
        names, backend = self.strategies, self.backends[0]
        chosen: dict[str, Any] = {
            "strategy": names[0] if len(names) == 1 else "mixed",
            "why": self.plans[0][1].why if len(names) == 1 else "by the size of each group",
            "backend": backend.name,
            "device": str(self.job.device),
            "simd": backend.load().instructions(),
            "exact": all(each.exact for each in self.backends),
        }
        if len(names) > 1:
            chosen["strategy_groups"] = {
                name: sum(count for count, each in self.plans if each.strategy == name)
                for name in names
            }
        return chosen

    def runner(self, settled_every: float = 0.0) -> Run:
        """Return what matches one part, by the strategy planned for its size."""
        job = self.job
        strategies = {(each.n_x, each.n_y): each.strategy for _, each in self.plans}
        matchers = {name: for_strategy(name, job.device) for name in self.strategies}
        storage = self.storage()

        def run(
            part: Part, threads: int, progress: Progress | None, settled: HandOver | None
        ) -> Matched:
            strategy = strategies[part.sizes]
            extra: dict[str, Any] = dict(self.options)
            if job.min_cosine is not None:
                extra["min_cosine"] = job.min_cosine
            if job.metric != "cosine":
                extra["metric"] = job.metric
            if not job.device.is_cpu:
                extra["device"] = job.device
            if strategy == "screen":
                extra |= storage
            if part.x_rows is not None:
                extra |= {"x_rows": part.x_rows, "y_rows": part.y_rows}
            if settled is not None:
                extra |= {"settled": settled, "settled_every": settled_every}
            return matchers[strategy](
                part.x,
                part.y,
                strategy=strategy,
                threads=threads,
                block=job.block,
                list_length=job.list_length,
                progress=progress,
                **extra,
            )

        return run

    def _check_resumable(self) -> None:
        for strategy, backend in zip(self.strategies, self.backends, strict=True):
            if strategy == "rank" or not backend.exact:
                raise ValueError(f"method {strategy!r} cannot be resumed from a checkpoint")


def _plans(job: Job, parts: Sequence[Group] | None, data: Any) -> list[tuple[int, Plan]]:
    """Plan the whole, or every distinct pair of group sizes (and how many groups have it)."""

    def plan(n_x: int, n_y: int, look_at: Any) -> Plan:
        served = min(n_x, n_y)  # who finds no x costs next to nothing
        made = make_plan(
            n_x, served, job.d, job.method, job.threads,
            data=look_at, device=job.device, metric=job.metric,
        )  # fmt: skip
        if job.memory is not None:
            made = within(made, job.memory, forced=job.method != "auto")
        return replace(made, n_y=n_y)

    if parts is None:
        return [(1, plan(*job.part_sizes(job.n_x, job.n_y), data))]
    all_sizes = [job.part_sizes(len(x_rows), len(y_rows)) for _, x_rows, y_rows in parts]
    sizes = np.array([each for each in all_sizes if each[0]] or [(1, 1)])
    distinct, counts = np.unique(sizes, axis=0, return_counts=True)
    only = data if len(parts) == 1 else None
    return [
        (int(count), plan(int(n_x), int(n_y), only))
        for (n_x, n_y), count in zip(distinct, counts, strict=True)
    ]
