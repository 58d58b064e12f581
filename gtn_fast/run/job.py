"""The description of one labeling: what the caller passed, and what it comes to once checked.

``Arguments`` is as it came. ``Job`` is checked, frozen, made once and handed down: nothing
below asks the caller's arguments again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gtn_fast.backends import registry
from gtn_fast.backends.methods import check_method, check_metric
from gtn_fast.backends.selection import check_names, pick_device
from gtn_fast.inputs.arguments import (
    check_flag,
    check_integer,
    check_min_cosine,
    check_seed,
    check_threads,
)
from gtn_fast.inputs.arrays import Described, check_columns, check_pair, describe
from gtn_fast.inputs.device import CPU, Device, check_device
from gtn_fast.inputs.groups import Groups
from gtn_fast.inputs.wording import a_path
from gtn_fast.planning.memory import memory_limit
from gtn_fast.run.checkpoint import Keep
from gtn_fast.run.progress import check_progress

_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Arguments:
    """What the caller of ``label`` passed, unchecked; ``options`` are those of single backends."""

    X: Any
    Y: Any
    seed: Any
    method: Any
    groups: Any
    partial: Any
    min_cosine: Any
    threads: Any
    progress: Any
    memory: Any
    scratch: Any
    checkpoint: Any
    resume: Any
    checkpoint_every: Any
    block: Any
    list_length: Any
    device: Any
    options: Mapping[str, Any]
    flatten: Any = False
    column: Any = None
    ids: Any = None
    metric: Any = "cosine"
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        check_names(self.options)
        given = {name: value for name, value in self.options.items() if value is not None}
        object.__setattr__(self, "options", given)

    @property
    def sharded(self) -> bool:
        """Whether X is the shard of one of several ranks."""
        return self.method == "distributed" or (self.method == "auto" and "group" in self.options)


@dataclass(frozen=True)
class Job:
    """One labeling, checked. ``n_x``, ``n_y``, ``d``: sizes; ``y`` None: drawn from ``seed``.

    ``options``: those of single backends that were given, as they came: each backend checks
    its own. ``partial``: there may be more y's than x's; ``min_cosine``: of a pair, None for any;
    ``metric``: what y's choose by. ``threads_asked``: the caller named their number.
    ``memory``: bytes beyond X and a given Y, None for no limit. ``began``: when the
    caller called, by ``time.perf_counter``.
    """

    x: Described
    y: Described | None
    n_x: int
    n_y: int
    d: int
    method: str
    seed: int
    threads: int
    threads_asked: bool
    block: int
    list_length: int
    device: Device
    progress: Any
    options: Mapping[str, Any]
    began: float
    groups: Groups | None = None
    partial: bool = False
    min_cosine: float | None = None
    metric: str = "cosine"
    memory: int | None = None
    scratch: str | None = None
    keep: Keep | None = None

    @classmethod
    def of(cls, given: Arguments) -> Job:
        """Check the arguments of a labeling in this process; TypeError or ValueError."""
        x = _described_x(given)
        y = None if given.Y is None else describe(given.Y, "Y", flatten=given.flatten)
        partial = check_flag(given.partial, "partial")
        if y is not None:
            check_pair(x, y, partial=partial)
        n_y = x.rows if y is None else y.rows
        metric = check_metric(given.metric)
        method = check_method(given.method, x.cols, metric)
        job = cls._of(given, x, y, method)
        groups = None
        if given.groups is not None:
            groups = Groups.of(given.groups, x.rows, n_y, partial=partial)
        asked = check_device(given.device)
        device = pick_device(asked, x.value, method, x.rows, n_y, x.cols, metric)
        return replace(
            job,
            device=device,
            groups=groups,
            memory=memory_limit(given.memory, device),
            scratch=None if given.scratch is None else a_path(given.scratch, "scratch"),
        )

    @classmethod
    def of_shard(cls, given: Arguments) -> Job:
        """Check what one rank can check alone; X may have no rows. TypeError or ValueError."""
        for name, value in (("memory", given.memory), *given.options.items()):
            if value is not None and name not in registry.get("distributed").option_names:
                raise ValueError(f"{name} does not go with method 'distributed'")
        if check_device(given.device) not in (None, CPU):
            raise ValueError("device does not go with method 'distributed'")
        if given.groups is not None:
            raise ValueError(
                "groups does not go with method 'distributed': label each group of rows by itself"
            )
        check_method("distributed", 1, check_metric(given.metric))
        x = _described_shard(given)
        y = None if given.Y is None else describe(given.Y, "Y", flatten=given.flatten)
        if y is not None:
            check_columns(x, y)
        return cls._of(given, x, y, "distributed")

    @classmethod
    def _of(cls, given: Arguments, x: Described, y: Described | None, method: str) -> Job:
        """Check what every labeling has."""
        check_progress(given.progress)
        partial = check_flag(given.partial, "partial")
        min_cosine = check_min_cosine(given.min_cosine)
        if method == "rank" and (partial or min_cosine is not None):
            raise ValueError(
                "method 'rank' matches by quantiles, every y: it takes no partial and no min_cosine"
            )
        if given.metric == "euclidean" and min_cosine is not None:
            raise ValueError("min_cosine does not go with metric 'euclidean'")
        return cls(
            x=x,
            y=y,
            n_x=x.rows,
            n_y=x.rows if y is None else y.rows,
            d=x.cols,
            method=method,
            threads=check_threads(given.threads, shared=method == "distributed"),
            threads_asked=given.threads is not None,
            seed=check_seed(given.seed),
            block=check_integer(given.block, "block", 0, _LARGEST),
            list_length=check_integer(given.list_length, "list_length", 0, _LARGEST),
            device=CPU,
            progress=given.progress,
            options=given.options,
            began=given.began,
            partial=partial,
            min_cosine=min_cosine,
            metric=given.metric,
            keep=Keep.of(given.checkpoint, given.resume, given.checkpoint_every),
        )

    @property
    def drawn_seed(self) -> int | None:
        """The seed that Y is drawn from, None if it was given."""
        return self.seed if self.y is None else None

    @property
    def in_parts(self) -> bool:
        """Whether it is matched in parts: by groups, or without y's for whom no x is left."""
        return self.groups is not None or (self.n_y > self.n_x and self.min_cosine is None)

    def part_sizes(self, n_x: int, n_y: int) -> tuple[int, int]:
        """Return how many rows take part where there are so many.

        Every y takes an x, so that of n_y > n_x only the first n_x do; with ``min_cosine`` any
        of them may.
        """
        return n_x, min(n_x, n_y) if self.min_cosine is None else n_y

    @property
    def copies_y(self) -> bool:
        """Whether the labels keep a copy of Y: what lies in a file may change when they are out."""
        if self.y is None or not self.y.files or self.memory is not None:
            return False
        return self.y.copy_bytes == 0 and self.device.is_cpu

    @property
    def unpacks_to_disk(self) -> bool:
        """Whether the copy of X that the engine reads goes to a scratch file, for want of memory.

        As rows that are mapped, it is not counted in ``memory``.
        """
        return self.memory is not None and self.x.copy_bytes > self.memory

    @property
    def draws_as_needed(self) -> bool:
        """Whether a drawn Y is made row by row instead of being stored, for want of memory."""
        return self.y is None and self.memory is not None and self.groups is None


def _described_x(given: Arguments) -> Described:
    return describe(given.X, "X", flatten=given.flatten, key=given.column, ids=given.ids)


def _described_shard(given: Arguments) -> Described:
    """Describe a shard as ``describe`` would, but it may have no rows."""
    shape = tuple(getattr(given.X, "shape", ()))
    if len(shape) == 2 and shape[0] == 0 and shape[1] > 0:
        return Described("X", given.X, 0, int(shape[1]), np.dtype(np.float32), 0)
    return _described_x(given)
