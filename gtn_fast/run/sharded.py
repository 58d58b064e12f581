"""One labeling with X in shards on the ranks of a process group."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import registry
from gtn_fast.backends.distributed.backend import instructions, predict
from gtn_fast.backends.distributed.ranks import Ranks, joined
from gtn_fast.backends.distributed.shards import Rows, Shard, match_shards
from gtn_fast.backends.interface import Pairs
from gtn_fast.backends.selection import for_strategy
from gtn_fast.inputs.arrays import MAX_ROWS, convert, unchanged
from gtn_fast.inputs.sources import Reading
from gtn_fast.labels import Labels
from gtn_fast.planning.memory import check_memory
from gtn_fast.run.checkpoint import (
    CHECKPOINT_BYTES_PER_ROW,
    Checkpoint,
    checksum,
    fingerprint,
    no_pairs,
    saved_on_exit,
    sum_of_checksums,
)
from gtn_fast.run.job import Arguments, Job
from gtn_fast.run.progress import progress_reporter
from gtn_fast.run.report import Times, labels_of, report_of
from gtn_fast.sample import Drawn
from gtn_fast.system.cpus import threads_by_environment

_HASH_ROWS = 1 << 14


def label(given: Arguments) -> Labels:
    """Label the rows of all ranks of the group; X is this rank's shard, of any number of rows.

    The checkpoint is rank 0's file; what it holds is told to all. Whatever is wrong on one
    rank is raised on all of them.
    """
    for_strategy("distributed")  # torch is there
    times = Times(given.began)
    with joined(given.options.get("group")) as ranks:
        job, shapes = ranks.together(lambda: _checked(given))
        job = _agreed_job(job, given, shapes)
        first = sum(each["rows"] for each in shapes[: ranks.rank])
        seconds, needed = predict(job.n_x, min(job.n_x, job.n_y), job.d, job.threads, ranks.size)
        needed += job.x.copy_bytes + (0 if job.y is None else job.y.copy_bytes)
        if job.keep is not None:
            needed += CHECKPOINT_BYTES_PER_ROW * job.n_y
        with unchanged(job.x, job.y) as files:
            x, y = _read(ranks, job, first, needed)
            state, start = _resumed(ranks, job, x, y, first, files)
            times.end("prepare")
            rows: Rows = Drawn(job.seed, job.n_y, job.d, job.threads) if y is None else y
            shown = job.progress
            if ranks.rank > 0 and not callable(shown):
                shown = False  # one bar for all
            with progress_reporter(shown, job.n_y, seconds) as call, saved_on_exit(state):
                matched = match_shards(
                    ranks,
                    Shard(x, first, job.n_x),
                    rows,
                    threads=job.threads,
                    block=job.block,
                    list_length=job.list_length,
                    progress=files.watched(call),
                    start=start,
                    settled=None if state is None else state.add,
                    min_cosine=-np.inf if job.min_cosine is None else job.min_cosine,
                )
                matched.cosine[matched.x_index < 0] = np.nan
            ranks.together(lambda: _still(files))
            times.end("match")
        report = report_of(
            job,
            matched,
            times,
            chosen=_chosen(ranks, len(x)),
            x_dtype=x.dtype,
            y_dtype=rows.dtype,
            resumed_rows=0 if start is None else len(start.y_rows),
            predicted_seconds=seconds,
            predicted_bytes=needed,
        )
    return labels_of(job, matched, report, y, drawn=None)


def _checked(given: Arguments) -> tuple[Job, dict[str, Any]]:
    """Return the job as far as this rank can check it, and what the others must know of it."""
    job = Job.of_shard(given)
    return job, {
        "rows": job.x.rows,
        "d": job.d,
        "rows of Y": None if job.y is None else job.y.rows,
        "seed": job.drawn_seed,
        "block": job.block,
        "list_length": job.list_length,
        "partial": job.partial,
        "min_cosine": job.min_cosine,
        "checkpoint": job.keep is not None,
        "cpus": _cpus(),
    }


def _cpus() -> str:
    """Name this machine and the CPUs on it that this process may use."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return f"{platform.node()} {cpus}"


def _agreed_job(job: Job, given: Arguments, shapes: Sequence[dict[str, Any]]) -> Job:
    """Return the job with the sizes of the whole and this rank's part of shared CPUs."""
    n_x, n_y = _agreed(shapes)
    threads = job.threads
    if given.threads is None and threads_by_environment(shared=True) is None:
        threads = max(1, threads // [each["cpus"] for each in shapes].count(_cpus()))
    return replace(job, n_x=n_x, n_y=n_y, threads=threads)


def _read(
    ranks: Ranks, job: Job, first: int, needed: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Read X's rows of this rank, and Y; MemoryError or ValueError on all ranks alike."""

    def read() -> tuple[tuple[NDArray[Any], NDArray[Any] | None], Any]:
        check_memory(needed, f"this rank's part of labeling {job.n_y} x {job.n_x} rows")
        if job.x.rows == 0:
            x: NDArray[Any] = np.empty((0, job.d), np.float32)
        else:
            x = convert(replace(job.x, name=f"X[{first}:]" if ranks.size > 1 else "X"))
        y = None if job.y is None else convert(job.y)
        return (x, y), None if y is None or ranks.size == 1 else _digest(y)

    (x, y), digests = ranks.together(read)
    if len(set(digests)) > 1:
        other = next(rank for rank, each in enumerate(digests) if each != digests[0])
        raise ValueError(
            f"Y must be the same on all ranks: rank {other} has other values"
            " or another dtype than rank 0"
        )
    return x, y


def _still(files: Reading) -> tuple[None, None]:
    """Raise FileError if a file of this rank has changed."""
    files.check()
    return None, None


def _resumed(
    ranks: Ranks, job: Job, x: NDArray[Any], y: NDArray[Any] | None, first: int, files: Reading
) -> tuple[Checkpoint | None, Pairs | None]:
    """Return rank 0's checkpoint and what it has settled; None and None without one."""
    if job.keep is None:
        return None, None
    of_y = job.seed if y is None else checksum(y)
    sums = sum_of_checksums(ranks.tell(checksum(x, first)))
    digest = fingerprint(job.n_x, job.n_y, job.d, sums, of_y, min_cosine=job.min_cosine)
    return _begun(ranks, job, digest, files)


def _chosen(ranks: Ranks, shard_rows: int) -> dict[str, Any]:
    """Say what runs, and what this rank's part is."""
    return {
        "strategy": "distributed",
        "why": f"X in {ranks.size} shard{'' if ranks.size == 1 else 's'}",
        "backend": "distributed",
        "device": "cpu",
        "simd": instructions(),
        "exact": registry.get("distributed").exact,
        "rank": ranks.rank,
        "ranks": ranks.size,
        "shard_rows": shard_rows,
    }


def _begun(ranks: Ranks, job: Job, digest: str, files: Reading) -> tuple[Checkpoint | None, Pairs]:
    """Return rank 0's checkpoint (None on the others) and what it has settled, on every rank."""

    def begin() -> tuple[Checkpoint | None, Any]:
        if ranks.rank > 0:
            return None, None
        assert job.keep is not None
        return Checkpoint.start(job.keep, digest, job.n_x, job.n_y, files.check), None

    state, _ = ranks.together(begin)
    before = no_pairs() if state is None else state.pairs()
    return state, Pairs(*(ranks.concatenate(column) for column in before))


def _agreed(shapes: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Return n_x and n_y; ValueError where the ranks' arguments do not fit together."""
    for name in (
        *("d", "rows of Y", "seed", "block", "list_length"),
        *("partial", "min_cosine", "checkpoint"),
    ):
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
    if n_y > n_x and not shapes[0]["partial"]:
        raise ValueError(
            "every row of Y needs a row of X of its own:"
            f" Y has {n_y} rows, the shards of X only {n_x} in all;"
            " partial=True leaves the rest unmatched"
        )
    return n_x, n_y


def _digest(y: NDArray[Any]) -> str:
    """Return a hash of values and dtype, whatever the layout in memory."""
    digest = hashlib.blake2b(y.dtype.name.encode(), digest_size=16)
    for start in range(0, len(y), _HASH_ROWS):
        digest.update(y[start : start + _HASH_ROWS].tobytes())
    return digest.hexdigest()
