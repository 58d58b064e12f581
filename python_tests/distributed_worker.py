"""One rank of test_distributed.py: python distributed_worker.py SCENARIO RANK SIZE FOLDER."""

from __future__ import annotations

import datetime
import faulthandler
import os
import signal
import sys
import time
from pathlib import Path

import cases
import numpy as np
import torch.distributed as dist

import gtn_fast
from gtn_fast.backends import native
from gtn_fast.backends.distributed import pulse
from gtn_fast.run.checkpoint import Checkpoint, Keep, checksum, fingerprint, load_checkpoint

# n_x, n_y, d, block, list_length: many rounds, few rounds, all gathered at once, one column.
SHAPES = [
    (120, 120, 3, 12, 1),
    (110, 80, 20, 40, 0),
    (90, 90, 5, 0, 0),
    (60, 60, 1, 20, 2),
    (2, 2, 4, 1, 1),
]
_HANG_S = 270  # a guard against a hang: it measures nothing, and a machine may be busy


def bounds(n: int, size: int) -> list[int]:
    """Uneven shards; of three the first has no rows."""
    return {1: [0, n], 2: [0, n // 3, n], 3: [0, 0, (2 * n + 1) // 3, n]}[size]


def shard(x, rank, size):
    at = bounds(len(x), size)
    return x[at[rank] : at[rank + 1]]


def keep(folder, rank, name, labels):
    np.savez(
        folder / f"{name} {rank}.npz",
        x_index=labels.x_index,
        cosine=labels.cosine,
        order=labels.order,
    )


def exact(rank, size, folder):
    for name in sorted(cases.ALL):
        for k, (n_x, n_y, d, block, list_length) in enumerate(SHAPES):
            x, y = cases.make(name, n_x, n_y, d)
            labels = gtn_fast.label(
                shard(x, rank, size),
                y,
                block=block,
                list_length=list_length,
                threads=1 + rank % 2,
                group=dist.group.WORLD,
            )
            keep(folder, rank, f"{name} {k}", labels)


# min_cosine by case and shape: none, and bounds that leave some, or all, without an x.
BOUNDS = (None, 0.0, 0.5, 1.0)
UNMATCHED = ("gaussian", "zero_rows", "half_duplicates", "all_equal", "opposite")


def unmatched(rank, size, folder):
    """More y's than x's, and bounds; in the end from a checkpoint."""
    for name in UNMATCHED:
        for k, (n_y, n_x, d, block, list_length) in enumerate(SHAPES[:4]):
            y, x = cases.make(name, n_y, n_x - k * 7, d)
            for bound in BOUNDS:
                labels = gtn_fast.label(
                    shard(x, rank, size), y, block=block, list_length=list_length,
                    partial=True, min_cosine=bound, group=dist.group.WORLD,
                )  # fmt: skip
                keep(folder, rank, f"{name} {k} {bound}", labels)
    x, y = cases.make("gaussian", 200, 160, 4)
    own, path = shard(x, rank, size), folder / "c"
    how = {"block": 25, "group": dist.group.WORLD, "checkpoint": path, "min_cosine": 0.8}
    try:
        gtn_fast.label(own, y, progress=interrupt, **how)
    except KeyboardInterrupt:
        print("interrupted")
    dist.barrier()
    keep(folder, rank, "resumed", gtn_fast.label(own, y, resume=True, **how))


def errors(rank, size, folder):
    """Each wrong on one rank alone (the last); every rank says what it raised."""
    x, y = cases.make("gaussian", 40, 40, 6)
    last = rank == size - 1
    own = shard(x, rank, size).copy()
    bad = own.copy()
    bad[1, 2] = np.nan
    other_y = y.copy()
    other_y[3, 1] += 1e-9
    group = dist.group.WORLD
    calls = {
        "checkpoint": lambda: gtn_fast.label(
            own, y, group=group, checkpoint=None if last else folder / "none" / "c"
        ),
        "no folder": lambda: gtn_fast.label(own, y, group=group, checkpoint=folder / "none" / "c"),
        "memory": lambda: gtn_fast.label(own, y, group=group, memory="1GB"),
        "nan": lambda: gtn_fast.label(bad if last else own, y, group=group),
        "d": lambda: gtn_fast.label(own[:, :5] if last else own, group=group),
        "d of y": lambda: gtn_fast.label(own, y[:, :5] if last else y, group=group),
        "too many": lambda: gtn_fast.label(own[:3], y, group=group),
        "y": lambda: gtn_fast.label(own, other_y if last else y, group=group),
        "y dtype": lambda: gtn_fast.label(own, y.astype("f4") if last else y, group=group),
        "rows of y": lambda: gtn_fast.label(own, y[:-1] if last else y, group=group),
        "no y": lambda: gtn_fast.label(own, None if last else y, group=group),
        "seed": lambda: gtn_fast.label(own, seed=1 if last else 0, group=group),
        "block": lambda: gtn_fast.label(own, block=9 if last else 0, group=group),
        "threads": lambda: gtn_fast.label(own, threads=0 if last else 1, group=group),
        "kind": lambda: gtn_fast.label(own.astype(complex) if last else own, group=group),
        "groups": lambda: gtn_fast.label(own, groups=(own, own) if last else None, group=group),
        "empty": lambda: gtn_fast.label(own[:0], group=group),
        "method": lambda: gtn_fast.label(own, method="screen", group=group),
        "group": lambda: gtn_fast.label(own, group="world"),
    }
    for name, call in calls.items():
        try:
            call()
            print(f"{name}: nothing")
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}")
    keep(folder, rank, "after", gtn_fast.label(own, y, group=group))  # the group still works


def drawn(rank, size, folder):
    """Y from the seed; float32 on one rank and float64 on another; a subgroup of the ranks."""
    x, _ = cases.make("gaussian", 150, 150, 7)
    own = shard(x, rank, size)
    own = own.astype(np.float32 if rank else np.float64)  # x holds float32 values
    keep(folder, rank, "drawn", gtn_fast.label(own, seed=3, block=20, group=dist.group.WORLD))
    if len(own):
        keep(folder, rank, "alone", gtn_fast.label(own, seed=3, method="distributed"))
    pair = dist.new_group([0, size - 1])
    if rank in (0, size - 1):
        half = x[:60] if rank == 0 else x[60:]
        keep(folder, rank, "pair", gtn_fast.label(half, seed=3, block=11, group=pair))
    elif size > 2:
        try:
            gtn_fast.label(own, group=pair)
        except TypeError as error:
            print(error)


RESUMED = ("gaussian", "half_duplicates", "zero_rows", "integers", "all_equal")


def resumes(rank, size, folder):
    """From a checkpoint of any pairs; and a run of several ranks that one process ends."""
    group = dist.group.WORLD
    for name in RESUMED:
        x, y = cases.make(name, 200, 160, 4)
        expected = gtn_fast.label(x, y, method="screen")
        own, path = shard(x, rank, size), folder / f"{name}.ckpt"
        for kind, which in subsets(expected.order).items():
            for block in (0, 25):
                if rank == 0:
                    write_checkpoint(path, x, y, which)
                dist.barrier()
                how = {"block": block, "group": group, "checkpoint": path, "resume": True}
                labels = gtn_fast.label(own, y, **how)
                assert labels.report["resumed_rows"] == len(which)
                keep(folder, rank, f"{name} {kind} {block}", labels)
        path.unlink(missing_ok=True)
        dist.barrier()
        try:
            gtn_fast.label(own, y, block=25, group=group, checkpoint=path, progress=interrupt)
        except KeyboardInterrupt:
            print("interrupted")
        dist.barrier()
        if rank == 0:
            alone = gtn_fast.label(x, y, checkpoint=path, resume=True)
            assert 50 <= alone.report["resumed_rows"] < 160
            keep(folder, rank, f"{name} alone", alone)


def interrupt(done, total):
    if done >= 50:
        raise KeyboardInterrupt


def write_checkpoint(path, x, y, which):
    """A checkpoint with the pairs of these rows of Y alone."""
    path.unlink(missing_ok=True)
    whole = gtn_fast.label(x, y, checkpoint=path)
    sums = checksum
    digest = fingerprint(len(x), len(y), x.shape[1], sums(x), sums(y))
    cosine = load_checkpoint(path, digest, len(x), len(y)).cosine[np.argsort(whole.order)]
    path.unlink()
    part = Checkpoint.start(Keep(path, resume=False, every=0), digest, len(x), len(y))
    part.add(which, whole.x_index[which], cosine[which])
    part.save()


def subsets(order):
    """Settled pairs: the first ones, as a run leaves them; any; all."""
    some = np.sort(np.random.default_rng(0).permutation(order)[: len(order) // 3])
    return {"first": order[: len(order) // 2], "some": some, "all": order}


def dies(rank, size, folder):
    """The last rank is killed in the midst of a matching."""
    x, _ = cases.make("gaussian", 3000, 3000, 30)

    def progress(done, total):
        if done > 500 and rank == size - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        gtn_fast.label(shard(x, rank, size), block=100, progress=progress, group=dist.group.WORLD)
    except ConnectionError as error:
        print(error, flush=True)
        time.sleep(3)  # a process that goes on must not keep the others waiting


def stops(rank, size, folder):
    """The last rank stops without a word, as a machine without power does."""
    pulse._BEAT_S, pulse._SILENCE_S = 0.1, 2.0
    x, y = cases.make("gaussian", 300, 300, 5)

    def progress(done, total):
        if done > 60 and rank == size - 1:
            os.kill(os.getpid(), signal.SIGSTOP)

    try:
        gtn_fast.label(shard(x, rank, size), y, block=20, progress=progress, group=dist.group.WORLD)
    except ConnectionError as error:
        print(error, flush=True)
        os._exit(0)  # without waiting for the one that stopped


def slow(rank, size, folder):
    """The last rank takes longer for its part than a rank may be silent."""
    pulse._BEAT_S, pulse._SILENCE_S = 0.1, 2.0
    x, y = cases.make("gaussian", 300, 300, 5)
    slept = []

    def progress(done, total):
        if done > 60 and rank == size - 1 and not slept:
            slept.append(time.sleep(4))

    labels = gtn_fast.label(
        shard(x, rank, size), y, block=20, progress=progress, group=dist.group.WORLD
    )
    keep(folder, rank, "slow", labels)


def waits(rank, size, folder):
    """Interrupted: the last rank is at work, the others wait for it."""
    x, y = cases.make("gaussian", 300, 300, 5)

    def progress(done, total):
        if done > 60:
            print("now", flush=True)
            if rank == size - 1:
                time.sleep(600)  # longer than the guard of main()

    try:
        gtn_fast.label(shard(x, rank, size), y, block=20, progress=progress, group=dist.group.WORLD)
    except KeyboardInterrupt:
        print("interrupted", flush=True)


def main(scenario, rank, size, folder):
    rank, size, folder = int(rank), int(size), Path(folder)
    native.require()
    faulthandler.dump_traceback_later(_HANG_S - 30, exit=True)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'store'}",
        rank=rank,
        world_size=size,
        timeout=datetime.timedelta(seconds=_HANG_S),
    )
    globals()[scenario](rank, size, folder)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
