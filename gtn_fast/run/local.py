"""One labeling in this process: as a whole or in groups, afresh or from a checkpoint."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.interface import Matched, Progress
from gtn_fast.check.quality import estimate_quality
from gtn_fast.inputs.arrays import check_scale, convert, hold_or_convert, unchanged
from gtn_fast.inputs.matrices import Stacked
from gtn_fast.inputs.room import Room
from gtn_fast.inputs.sources import Reading
from gtn_fast.labels import Labels
from gtn_fast.planning.memory import check_memory
from gtn_fast.reference import directions_and_norms, ordered_dot
from gtn_fast.run.advice import warn_of_disappointment
from gtn_fast.run.checkpoint import Checkpoint, checksum, fingerprint, no_pairs, saved_on_exit
from gtn_fast.run.groups import Part, match_groups, unsettled, with_room
from gtn_fast.run.job import Job
from gtn_fast.run.progress import progress_reporter
from gtn_fast.run.report import Times, labels_of, report_of
from gtn_fast.run.schedule import Schedule
from gtn_fast.sample import Drawn, normal

_PAIR_VALUES = 1 << 20  # at a time


def label(job: Job) -> Labels:
    """Plan, read, match and report one checked job; see ``gtn_fast.label``."""
    times = Times(job.began)
    with unchanged(job.x, job.y) as files:
        return _label(job, files, times)


def _label(job: Job, files: Reading, times: Times) -> Labels:
    parts = None if job.groups is None else job.groups.parts
    schedule = Schedule.of(job, parts, job.x.value)
    job = schedule.job
    storage = schedule.storage()
    needed = schedule.needed_bytes()
    check_memory(needed, f"labeling {job.n_y} x {job.n_x} rows of dimension {job.d}")
    x = _read_x(job, schedule)
    warn_of_disappointment(job, x)
    y = _read_y(job, schedule, times)
    if job.metric == "euclidean":
        check_scale(x, y)
    state = _checkpoint(job, x, y, files)
    resumed = 0 if state is None else len(state.pairs().y_rows)
    with (
        progress_reporter(job.progress, job.n_y, schedule.seconds) as call,
        saved_on_exit(state),
    ):
        matched = match(x, y, schedule, files.watched(call), state)
    distance = None
    if job.metric == "euclidean":
        distance, cosine = matched.cosine, _pair_cosines(x, y, matched.x_index, job.threads)
        matched = matched._replace(cosine=cosine)
    times.end("match")
    report = report_of(
        job,
        matched,
        times,
        chosen={**schedule.chosen(), **storage},
        x_dtype=x.dtype,
        y_dtype=y.dtype,
        resumed_rows=resumed,
        predicted_seconds=schedule.seconds,
        predicted_bytes=needed,
    )
    if not report["exact"]:
        began = time.perf_counter()
        report["options"] = dict(schedule.options)
        report["quality"] = estimate_quality(
            x, y, matched.x_index, parts, min_cosine=job.min_cosine
        )
        report["seconds"]["quality"] = time.perf_counter() - began
    given = drawn = None
    if job.y is not None:
        given = np.array(y) if job.copies_y else y
    elif not job.draws_as_needed:
        drawn = y
    return labels_of(job, matched, report, given, drawn, distance)


def match(
    x: Any, y: Any, schedule: Schedule, progress: Progress | None, checkpoint: Checkpoint | None
) -> Matched:
    """Match by this schedule; with a checkpoint, what that has not settled."""
    job = schedule.job
    if checkpoint is None and not job.in_parts:
        found = schedule.runner()(Part(x, y, None, None), job.threads, progress, None)
    else:
        found = _match_parts(x, y, schedule, progress, checkpoint)
    found.cosine[found.x_index < 0] = np.nan
    return found


def _pair_cosines(x: Any, y: Any, x_index: NDArray[np.int64], threads: int) -> NDArray[np.float64]:
    """Return the cosines of pairs that were chosen by another metric; NaN for none."""
    if native.available():
        return native.pair_cosines(x, y, x_index, threads)
    cosine = np.full(len(x_index), np.nan)
    rows = np.flatnonzero(x_index >= 0)
    step = max(1, _PAIR_VALUES // x.shape[1])
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        own, other = directions_and_norms(y[some])[0], directions_and_norms(x[x_index[some]])[0]
        cosine[some] = ordered_dot(other, own)
    return cosine


def _read_x(job: Job, schedule: Schedule) -> Any:
    if schedule.leaves_tensors:
        x: Any = hold_or_convert(job.x)
    elif job.memory is None:
        x = convert(job.x)
    else:
        x = convert(job.x, Room(job.memory, job.scratch))
    if isinstance(x, Stacked) and not job.device.is_cpu:
        return np.asarray(x)
    return x


def _read_y(job: Job, schedule: Schedule, times: Times) -> Any:
    """Return Y as it was given (which is preparation), or drawn."""
    if job.y is not None:
        y: Any = (hold_or_convert if schedule.leaves_tensors else convert)(job.y)
        times.end("prepare")
        return y
    times.end("prepare")
    if job.draws_as_needed:
        y = Drawn(job.seed, job.n_x, job.d)
    else:
        y = normal(job.seed, 0, job.n_x, job.d, threads=job.threads)
    times.end("draw_y")
    return y


def _checkpoint(job: Job, x: Any, y: Any, files: Reading) -> Checkpoint | None:
    """Begin the file, or go on from it; as ``Checkpoint.start`` does.

    What is settled is saved only while the files of X and Y are as they were.
    """
    if job.keep is None:
        return None
    groups = job.groups
    digest = fingerprint(
        *(job.n_x, job.n_y, job.d, checksum(x), job.seed if job.y is None else checksum(y)),
        groups=None if groups is None else [checksum(groups.of_x), checksum(groups.of_y)],
        min_cosine=job.min_cosine,
        metric=job.metric,
    )
    state = Checkpoint.start(job.keep, digest, job.n_x, job.n_y, files.check, job.metric)
    before = state.pairs()
    crosses = groups is not None and groups.of_y[before.y_rows] != groups.of_x[before.x_rows]
    if (crosses & (before.x_rows >= 0)).any():
        raise ValueError(f"{job.keep.path} is damaged: it has a pair of two groups")
    return state


def _match_parts(
    x: Any, y: Any, schedule: Schedule, progress: Progress | None, checkpoint: Checkpoint | None
) -> Matched:
    """Match group by group what the checkpoint has not settled, and put all together."""
    job = schedule.job
    parts = None if job.groups is None else job.groups.parts
    whole = [(0, np.arange(len(x)), np.arange(len(y)))] if parts is None else parts
    before, rest, left, every = no_pairs(), list(whole), schedule, 0.0
    if checkpoint is not None:
        before, every = checkpoint.pairs(), checkpoint.every
        taken, chosen = np.zeros(len(x), np.bool_), np.zeros(len(y), np.bool_)
        taken[before.x_rows[before.x_rows >= 0]] = True
        chosen[before.y_rows] = True
        rest = unsettled(whole, taken, chosen)
    rest, without = with_room(rest, y, every_y_takes=job.min_cosine is None)
    result = Matched(np.full(len(y), -1, np.int64), np.zeros(len(y)), np.empty(0, np.int64), {})
    if rest:
        if checkpoint is not None:
            left = Schedule.of(job, rest, x)
        in_place = checkpoint is not None or parts is None
        result = match_groups(
            x,
            y,
            rest,
            left.runner(every),
            threads=job.threads,
            progress=progress,
            settled=None if checkpoint is None else checkpoint.add,
            takes_row_subsets=in_place and all(each.takes_row_subsets for each in left.backends),
            streams_pairs=all(each.streams_pairs for each in left.backends),
            done=len(before.y_rows) + len(without),
        )
    # In each group the settled ones chose first, and those without an x last.
    order = np.concatenate((before.y_rows, result.order, without))
    result.x_index[before.y_rows] = before.x_rows
    result.cosine[before.y_rows] = before.cosine
    if parts is not None and len(result.order) < len(order):
        number = np.empty(len(y), np.int64)
        for g, (_, _, y_rows) in enumerate(parts):
            number[y_rows] = g
        order = order[np.argsort(number[order], kind="stable")]
    return result._replace(order=order)
