"""``label`` with X in shards on the ranks of a process group."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast._version import __version__
from gtn_fast.backends import registry
from gtn_fast.backends.distributed import backend as distributed_backend
from gtn_fast.backends.distributed.ranks import Ranks, joined
from gtn_fast.backends.distributed.shards import Rows, Shard, match_shards
from gtn_fast.backends.selection import for_strategy
from gtn_fast.inputs.arguments import check_integer, check_seed, check_threads
from gtn_fast.inputs.arrays import MAX_ROWS, Described, check_pair, convert, describe
from gtn_fast.labels import Labels
from gtn_fast.planning.memory import check_memory, peak_bytes
from gtn_fast.run.checkpoint import (
    CHECKPOINT_BYTES_PER_ROW,
    CHECKPOINT_EVERY_S,
    Checkpoint,
    Pairs,
    check_checkpoint,
    checksum,
    fingerprint,
    no_pairs,
    saved_on_exit,
    sum_of_checksums,
)
from gtn_fast.run.progress import check_progress, progress_reporter
from gtn_fast.sample import Drawn

_HASH_ROWS = 1 << 14


def label(
    X: Any,
    Y: Any,
    *,
    seed: int,
    groups: Any,
    threads: int | None,
    progress: Any,
    block: int,
    list_length: int,
    group: Any,
    device: Any = None,
    checkpoint: Any = None,
    resume: Any = False,
    checkpoint_every: Any = CHECKPOINT_EVERY_S,
    others: Mapping[str, Any] | None = None,
) -> Labels:
    """Label the rows of all ranks of ``group``; X is this rank's shard, of any number of rows.

    The checkpoint is rank 0's file; what it holds is told to all. ``others``: arguments of
    ``gtn_fast.label`` that do not go with shards, None where not given. Whatever is wrong on
    one rank is raised on all of them.
    """
    started = time.perf_counter()
    for_strategy("distributed")  # torch is there
    with joined(group) as ranks:

        def look() -> tuple[_Task, Any]:
            _refuse_others({**(others or {}), "device": None if device == "cpu" else device})
            check_checkpoint(checkpoint, resume, checkpoint_every)
            task = _Task(X, Y, seed, groups, threads, progress, block, list_length)
            task.shape["checkpoint"] = checkpoint is not None
            return task, task.shape

        task, shapes = ranks.together(look)
        n_x, n_y = _agreed(shapes)
        task.share_cpus([each["cpus"] for each in shapes])
        first = sum(each["rows"] for each in shapes[: ranks.rank])
        seconds, needed = distributed_backend.predict(n_x, n_y, task.d, task.threads, ranks.size)
        needed += task.copy_bytes
        if checkpoint is not None:
            needed += CHECKPOINT_BYTES_PER_ROW * n_y

        def read() -> tuple[tuple[NDArray[Any], NDArray[Any] | None], Any]:
            check_memory(needed, f"this rank's part of labeling {n_y} x {n_x} rows")
            x, y = task.read(f"X[{first}:]" if ranks.size > 1 else "X")
            return (x, y), None if y is None or ranks.size == 1 else _digest(y)

        (x, y), digests = ranks.together(read)
        if len(set(digests)) > 1:
            other = next(rank for rank, each in enumerate(digests) if each != digests[0])
            raise ValueError(
                f"Y must be the same on all ranks: rank {other} has other values"
                " or another dtype than rank 0"
            )
        state, start = None, None
        if checkpoint is not None:
            of_y = task.seed if y is None else checksum(y)
            sums = sum_of_checksums(ranks.tell(checksum(x, first)))
            digest = fingerprint(n_x, n_y, task.d, sums, of_y)
            state, start = _begun(ranks, checkpoint, digest, resume, checkpoint_every)
        prepared = time.perf_counter()
        rows: Rows = Drawn(task.seed, n_y, task.d, task.threads) if y is None else y
        shown = progress
        if ranks.rank > 0 and not callable(progress):
            shown = False  # one bar for all
        with (
            progress_reporter(shown, n_y, seconds) as call,
            saved_on_exit(state),
        ):
            matched = match_shards(
                ranks,
                Shard(x, first, n_x),
                rows,
                threads=task.threads,
                block=task.block,
                list_length=task.list_length,
                progress=call,
                start=start,
                settled=None if state is None else state.add,
            )
        ended = time.perf_counter()
        report: dict[str, Any] = {
            "version": __version__,
            "method": "distributed",
            "strategy": "distributed",
            "why": f"X in {ranks.size} shard{'' if ranks.size == 1 else 's'}",
            "backend": "distributed",
            "simd": distributed_backend.instructions(),
            "exact": registry.get("distributed").exact,
            "threads": task.threads,
            "rank": ranks.rank,
            "ranks": ranks.size,
            "shard_rows": len(x),
            "n_x": n_x,
            "n_y": n_y,
            "d": task.d,
            "x_dtype": x.dtype.name,
            "y_dtype": "float32" if y is None else y.dtype.name,
            "seed": task.seed if y is None else None,
            "resumed_rows": 0 if start is None else len(start.y_rows),
            "groups": None,
            "seconds": {
                "prepare": prepared - started,
                "draw_y": 0.0,  # a block at a time, while matching
                "match": ended - prepared,
                "total": ended - started,
            },
            "engine": {name: float(value) for name, value in matched.report.items()},
            "predicted_seconds": seconds,
            "predicted_bytes": needed,
            "peak_memory_bytes": peak_bytes(),
        }
    return Labels(
        x_index=matched.x_index,
        cosine=matched.cosine.astype(np.float32),
        order=matched.order,
        n_x=n_x,
        d=task.d,
        report=report,
        given_y=y,
        seed=task.seed if y is None else None,
    )


def _refuse_others(others: Mapping[str, Any]) -> None:
    """Raise ValueError for the first argument that was given but does not go with shards."""
    for name, value in others.items():
        if value is not None:
            raise ValueError(f"{name} does not go with method 'distributed'")


def _begun(
    ranks: Ranks, path: Any, digest: str, resume: bool, every: float
) -> tuple[Checkpoint | None, Pairs]:
    """Return rank 0's checkpoint (None on the others) and what it has settled, on every rank."""

    def begin() -> tuple[Checkpoint | None, Any]:
        if ranks.rank > 0:
            return None, None
        return Checkpoint.start(path, digest, resume=resume, every=every), None

    state, _ = ranks.together(begin)
    before = no_pairs() if state is None else state.pairs()
    return state, Pairs(*(ranks.concatenate(column) for column in before))


class _Task:
    """One rank's arguments, checked as far as it can alone."""

    def __init__(
        self,
        X: Any,
        Y: Any,
        seed: Any,
        groups: Any,
        threads: Any,
        progress: Any,
        block: Any,
        list_length: Any,
    ) -> None:
        if groups is not None:
            raise ValueError(
                "groups does not go with method 'distributed': label each group of rows by itself"
            )
        self._x = _described_shard(X)
        self._y = None if Y is None else describe(Y, "Y")
        self.d = self._x.cols
        if self._y is not None and self._y.cols != self.d:
            check_pair(self._x, self._y)
        self.threads = check_threads(threads)
        self.seed = check_seed(seed)
        self.block = check_integer(block, "block", 0, 2**31 - 1)
        self.list_length = check_integer(list_length, "list_length", 0, 2**31 - 1)
        check_progress(progress)
        self.copy_bytes = self._x.copy_bytes + (0 if self._y is None else self._y.copy_bytes)
        self.shape = {
            "rows": self._x.rows,
            "d": self.d,
            "rows of Y": None if self._y is None else self._y.rows,
            "seed": self.seed if self._y is None else None,
            "block": self.block,
            "list_length": self.list_length,
            "cpus": self._cpus(),
        }
        self._threads_given = threads is not None

    @staticmethod
    def _cpus() -> str:
        """Name this machine and the CPUs on it that this process may use."""
        cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return f"{platform.node()} {cpus}"

    def share_cpus(self, of_ranks: Sequence[str]) -> None:
        """By default the ranks that may use the same CPUs use a part of them each."""
        if not self._threads_given:
            self.threads = max(1, self.threads // of_ranks.count(self._cpus()))

    def read(self, name: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The shard and Y as the engine reads them; ``name`` is the shard's in messages."""
        x = self._x
        if x.rows == 0:
            shard: NDArray[Any] = np.empty((0, self.d), np.float32)
        else:
            named = Described(name, x.value, x.rows, x.cols, x.dtype, x.copy_bytes)
            shard = convert(named)
        return shard, None if self._y is None else convert(self._y)


def _described_shard(X: Any) -> Described:
    """Like describe, but a shard may have no rows."""
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) == 2 and shape[0] == 0 and shape[1] > 0:
        return Described("X", X, 0, int(shape[1]), np.dtype(np.float32), 0)
    return describe(X, "X")


def _agreed(shapes: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Return n_x and n_y; ValueError where the ranks' arguments do not fit together."""
    for name in ("d", "rows of Y", "seed", "block", "list_length", "checkpoint"):
        other = next((r for r, each in enumerate(shapes) if each[name] != shapes[0][name]), None)
        if other is None:
            continue
        mine, theirs = shapes[0][name], shapes[other][name]
        if name == "d":
            raise ValueError(
                "all shards of X must have the same number of columns:"
                f" rank 0 has {mine}, rank {other} has {theirs}"
            )
        if name == "rows of Y" and None not in (mine, theirs):
            raise ValueError(
                f"Y must be the same on all ranks: rank 0 has {mine} rows, rank {other} {theirs}"
            )
        if name == "rows of Y":
            giving, drawing = (other, 0) if mine is None else (0, other)
            raise ValueError(
                f"Y must be the same on all ranks: rank {giving} gives one, rank {drawing} does not"
            )
        raise ValueError(
            f"{name} must be the same on all ranks: rank 0 has {mine}, rank {other} has {theirs}"
        )
    n_x = sum(each["rows"] for each in shapes)
    n_y = n_x if shapes[0]["rows of Y"] is None else int(shapes[0]["rows of Y"])
    if n_x == 0:
        raise ValueError("X is empty on all ranks: need at least one row")
    if n_x > MAX_ROWS:
        raise ValueError(f"X has {n_x} rows in all; the engine takes at most {MAX_ROWS}")
    if n_y > n_x:
        raise ValueError(
            "every row of Y needs a row of X of its own:"
            f" Y has {n_y} rows, the shards of X only {n_x} in all"
        )
    return n_x, n_y


def _digest(y: NDArray[Any]) -> str:
    """A hash of values and dtype, whatever the layout in memory."""
    digest = hashlib.blake2b(y.dtype.name.encode(), digest_size=16)
    for start in range(0, len(y), _HASH_ROWS):
        digest.update(y[start : start + _HASH_ROWS].tobytes())
    return digest.hexdigest()
