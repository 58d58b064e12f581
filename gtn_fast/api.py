"""The front door: ``label``."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gtn_fast._version import __version__
from gtn_fast.backends import registry
from gtn_fast.backends.selection import check_options, for_strategy, pick_device
from gtn_fast.check.quality import estimate_quality
from gtn_fast.inputs.arguments import (
    check_device,
    check_integer,
    check_method,
    check_seed,
    check_threads,
)
from gtn_fast.inputs.arrays import (
    Described,
    check_pair,
    convert,
    describe,
    hold_or_convert,
    uncopied,
)
from gtn_fast.inputs.groups import group_pair, split_groups
from gtn_fast.inputs.matrices import Stacked
from gtn_fast.labels import Labels
from gtn_fast.planning.memory import check_memory, parse_size, peak_bytes, size_text
from gtn_fast.planning.planner import Plan
from gtn_fast.run import local, sharded
from gtn_fast.run.checkpoint import (
    CHECKPOINT_BYTES_PER_ROW,
    CHECKPOINT_EVERY_S,
    Checkpoint,
    check_checkpoint,
    checksum,
    fingerprint,
    saved_on_exit,
)
from gtn_fast.run.groups import Group
from gtn_fast.run.progress import check_progress, progress_reporter
from gtn_fast.sample import Drawn, normal


def label(
    X: Any,
    Y: Any = None,
    *,
    seed: int = 0,
    method: str = "auto",
    groups: Any = None,
    threads: int | None = None,
    progress: Any = None,
    memory: int | str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_every: float = CHECKPOINT_EVERY_S,
    block: int = 0,
    list_length: int = 0,
    quality: str | None = None,
    nlist: int | None = None,
    nprobe: int | None = None,
    refine: int | None = None,
    index: str | None = None,
    min_cosine_ratio: float | None = None,
    exact_below: int | None = None,
    device: Any = None,
    group: Any = None,
) -> Labels:
    """Match every row of Y with a row of X of its own: Algorithm 1 of the GTN paper, exactly.

    The rows of Y choose in order of their norm, each the free row of X of highest cosine
    similarity; equal cosines go to the smaller norm, then to the smaller row number. All
    decisions are float64 (csrc/include/gtn_fast/direction.h), so the answer is a function of
    the values alone, the same for every method, thread count, machine and container.

    Parameters
    ----------
    X : (n_x, d) array or tensor, path, or paths
        The data. A .npy file, or several as one matrix (a list of paths, or a pattern like
        "part-*.npy", in the order of their names), is read where it is. NumPy (any float
        dtype, integers as float64, any strides; float32 and float64 with contiguous rows
        are read in place, memory maps included) or torch (any float dtype, any device).
    Y : (n_y, d) array or tensor, optional
        The source sample, n_y <= n_x. None draws Y ~ N(0, I), float32, of X's shape, from
        ``seed`` (``gtn_fast.normal``).
    seed : int
        0 <= seed < 2**64; used only to draw Y.
    method : str
        "auto" picks an exact strategy (``plan`` tells which and why). "ray" (d = 1),
        "circle" (d = 2), "tree" (d from 2 to 16), "screen" and "reference" (slow, NumPy)
        force one; "distributed" is "screen" on several processes (see group). "rank" (d = 1)
        is another labeling, that of section 2.1: sorted y with sorted x (with n_y < n_x, the
        x of the same quantile). "faiss" is approximate: every y is matched and no x twice,
        ``report["quality"]`` says how good the choices are.
    groups : (gx, gy), optional
        Integer labels of the rows of X and of Y: matching happens inside each group only
        (appendix C).
    threads : int, optional
        1 to 4096; the CPUs of this process by default (with group: its part of those that
        other ranks share).
    progress : None, bool or callable
        A bar on stderr (None: on a terminal, if it will take more than two seconds), or
        what is called with (done, total) about ten times a second.
    memory : int or str, optional
        The most bytes to take beyond X and a given Y ("8GB", "500MiB"), for an X in files
        larger than memory. A drawn Y is not stored then; what the screen needs goes to a
        file in the folder ``scratch`` (that for temporary files by default) if it must.
    checkpoint : path, optional
        A file that follows the run: what is settled is saved there every
        ``checkpoint_every`` seconds (less often where saving takes more than a hundredth
        of the time), and at the end, Ctrl-C or SIGTERM, whole or not at all. It stays
        there when the run is done. Not for method "rank" or approximate ones.
    resume : bool
        Go on from the checkpoint, if it is there: with any exact method, thread count or
        machine, the result is that of a run without interruption. Without it, a file
        that is there is an error.
    block, list_length : int
        For tests and tuning of "screen"; 0 lets it choose. They never change the answer.
    quality, nlist, nprobe, refine, index, min_cosine_ratio, exact_below : optional
        Of method "faiss" alone. ``quality``: "fast", "balanced" (default) or "careful" set
        the lists probed for a y (``nprobe``) and the candidates rescored exactly
        (``refine``, at most 512); ``nlist``: lists of the first index (2 sqrt(n_x));
        ``index``: "ivf-pq" (default), "ivf-sq8" or "ivf-flat" (default on a GPU, which has
        no "ivf-pq"); ``min_cosine_ratio``:
        raise the effort until a sample of y's gets this share of its best cosines on
        average, or ValueError where that effort is predicted to take longer than the exact
        engine; ``exact_below``: leave the rest to the exact engine, which is then exact,
        below so many free x's (by default where it is predicted to be quicker, for small
        jobs at once: ``report["engine"]["exact_rows"]``).
    device : None, str or torch.device
        "cpu", or "cuda" (also "cuda:1") for "screen" on a GPU (docs/gpu.md): the same
        answer; with method "faiss" for its index. None: where X is, if it is a CUDA tensor,
        d >= 3, n_x * n_y * d >= 10**10, the method is "auto" or "screen" and the GPU backend
        can run; else "cpu".
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
        The prediction exceeds the memory available, or allowed; nothing was allocated yet.
    FileExistsError, OSError
        The checkpoint is there without ``resume``, or cannot be written. One of other
        data or parameters, of another version, or damaged is a ValueError.
    ImportError
        The backend of the method cannot run here; says why and what to do.
    ConnectionError
        With group: another rank is gone. What is wrong on one rank is raised on all.
    """
    given = {
        "quality": quality,
        "nlist": nlist,
        "nprobe": nprobe,
        "refine": refine,
        "index": index,
        "min_cosine_ratio": min_cosine_ratio,
        "exact_below": exact_below,
    }
    if method == "distributed" or (method == "auto" and group is not None):
        return sharded.label(
            X, Y, seed=seed, groups=groups, threads=threads, progress=progress,
            block=block, list_length=list_length, group=group, device=device,
            checkpoint=checkpoint, resume=resume, checkpoint_every=checkpoint_every,
            others={"memory": memory, **given},
        )  # fmt: skip
    started = time.perf_counter()
    x_in = describe(X, "X")
    y_in = None if Y is None else describe(Y, "Y")
    if y_in is not None:
        check_pair(x_in, y_in)
    n_x, d = x_in.rows, x_in.cols
    n_y = n_x if y_in is None else y_in.rows
    method = check_method(method, d)
    threads = check_threads(threads)
    seed = check_seed(seed)
    block = check_integer(block, "block", 0, 2**31 - 1)
    list_length = check_integer(list_length, "list_length", 0, 2**31 - 1)
    check_progress(progress)
    device = pick_device(check_device(device), x_in.value, method, n_x, n_y, d)
    kind = device.partition(":")[0]
    parts: list[Group] | None = None
    group_labels = None
    if groups is not None:
        group_labels = group_pair(groups, n_x, n_y)
        parts = list(split_groups(*group_labels))

    limit = None if memory is None else parse_size(memory)
    plans = local.make_plans(parts, n_x, n_y, d, method, threads, x_in.value, limit, device)
    # Raises before any work if one of them cannot run.
    runners = {each.strategy: for_strategy(each.strategy, kind) for _, each in plans}
    options = check_options(runners, {**given, "group": group}, kind)
    convert_x = convert
    if kind != "cpu":
        options["device"] = device
        # Parts are cut out of copies on the host.
        if parts is None and checkpoint is None and all(_holds(name, kind) for name in runners):
            convert_x = hold_or_convert
    check_checkpoint(checkpoint, resume, checkpoint_every)
    if checkpoint is not None:
        _check_resumable(runners)
    seconds = sum(count * each.seconds for count, each in plans)
    drawn_as_needed = y_in is None and limit is not None and parts is None
    if limit is not None and kind != "cpu":
        raise ValueError(f"memory goes with device 'cpu', not {device!r}")
    if convert_x is hold_or_convert:
        x_in, y_in = uncopied(x_in), y_in and uncopied(y_in)
    needed = _needed_bytes([each for _, each in plans], x_in, y_in, grouped=parts is not None)
    if drawn_as_needed:
        needed -= 4 * n_x * d
    if checkpoint is not None:
        needed += CHECKPOINT_BYTES_PER_ROW * n_y
    check_memory(needed, f"labeling {n_y} x {n_x} rows of dimension {d}")

    x: Any = convert_x(x_in)
    if isinstance(x, Stacked) and kind != "cpu":
        x = np.asarray(x)
    prepared = time.perf_counter()
    y: Any
    if y_in is not None:
        y = convert_x(y_in)
    elif drawn_as_needed:
        y = Drawn(seed, n_x, d)
    else:
        y = normal(seed, 0, n_x, d, threads=threads)
    drawn = time.perf_counter()
    if y_in is not None:  # checking Y is preparation
        prepared = drawn

    storage = {} if limit is None else _storage(plans, x_in, limit, scratch)
    settings = local.Settings(method, threads, block, list_length, options, limit, storage, device)
    state = None
    if checkpoint is not None:
        sums = checksum
        digest = fingerprint(
            *(n_x, n_y, d, sums(x), seed if y_in is None else sums(y)),
            groups=None if group_labels is None else [sums(each) for each in group_labels],
        )
        state = Checkpoint.start(checkpoint, digest, resume=resume, every=checkpoint_every)
    resumed = 0 if state is None else len(state.pairs().y_rows)
    with (
        progress_reporter(progress, n_y, seconds) as call,
        saved_on_exit(state),
    ):
        matched = local.match(x, y, parts, plans, settings, call, state)
    ended = time.perf_counter()

    report: dict[str, Any] = {
        "version": __version__,
        "method": method,
        **_chosen(plans, device),
        "exact": all(registry.find(strategy, kind).exact for strategy in runners),
        "threads": threads,
        "n_x": n_x,
        "n_y": n_y,
        "d": d,
        "x_dtype": x.dtype.name,
        "y_dtype": y.dtype.name,
        "seed": seed if y_in is None else None,
        "resumed_rows": resumed,
        "memory": limit,
        **storage,
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
        "peak_memory_bytes": peak_bytes(),
    }
    if not report["exact"]:
        report["options"] = options
        report["quality"] = estimate_quality(x, y, matched.x_index, parts)
        report["seconds"]["quality"] = time.perf_counter() - ended
    return Labels(
        x_index=matched.x_index,
        cosine=matched.cosine.astype(np.float32),
        order=matched.order,
        n_x=n_x,
        d=d,
        report=report,
        given_y=None if y_in is None else y,
        seed=seed if y_in is None else None,
        _drawn_y=y if y_in is None and not drawn_as_needed else None,
    )


def _holds(strategy: str, kind: str) -> bool:
    return registry.find(strategy, kind).holds


def _storage(
    plans: local.Plans,
    x: Described,
    memory: int,
    scratch: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """Say what "screen" does for want of memory; OSError if the scratch folder has no room."""
    storage: dict[str, Any] = {"out_of_core": x.rows * x.cols * x.dtype.itemsize > memory}
    needed = max(each.scratch_bytes for _, each in plans)
    if needed:
        folder = os.fspath(scratch if scratch is not None else tempfile.gettempdir())
        room = shutil.disk_usage(folder).free
        if room < needed:
            raise OSError(
                errno.ENOSPC,
                f"a scratch file of {size_text(needed)} does not fit: {size_text(room)} free",
                folder,
            )
        storage["scratch"] = folder
    return storage


def _check_resumable(strategies: Iterable[str]) -> None:
    for strategy in strategies:
        if strategy == "rank" or not registry.find(strategy).exact:
            raise ValueError(f"method {strategy!r} cannot be resumed from a checkpoint")


def _needed_bytes(
    plans: Sequence[Plan],
    x: Described,
    y: Described | None,
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


def _chosen(plans: Sequence[tuple[int, Plan]], device: str) -> dict[str, Any]:
    """Say which strategy ran, why, and on which instructions."""
    strategies = sorted({each.strategy for _, each in plans})
    # A method, "auto" too, stays with one backend, whatever the sizes of the groups.
    backend = registry.find(strategies[0], device.partition(":")[0])
    chosen: dict[str, Any] = {
        "strategy": strategies[0] if len(strategies) == 1 else "mixed",
        "why": plans[0][1].why,
        "backend": backend.name,
        "device": device,
        "simd": backend.load().instructions(),
    }
    if len(strategies) > 1:
        chosen["why"] = "by the size of each group"
        chosen["strategy_groups"] = {
            name: sum(count for count, each in plans if each.strategy == name)
            for name in strategies
        }
    return chosen
