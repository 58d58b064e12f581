"""``gtn-fast label`` on every rank of a torchrun: each reads its own rows, rank 0 writes.

torchrun --nproc-per-node=2 -m gtn_fast label X.npy --out labels.npz
"""

from __future__ import annotations

import argparse
import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gtn_fast
from gtn_fast.backends.distributed.ranks import joined, torch_distributed
from gtn_fast.backends.faiss.options import FaissOptions
from gtn_fast.backends.options import declared
from gtn_fast.cli.common import open_x, open_y, save_labels
from gtn_fast.inputs.arrays import Described
from gtn_fast.inputs.sources import listed
from gtn_fast.outputs.files import remove

Check = Callable[[argparse.Namespace, Path, Described, Described | None], None]

_START_S = 300.0  # ranks may be started this much later than the first
_PASSED_ON = (
    *("checkpoint", "resume", "checkpoint_every", "memory", "device"),
    *("partial", "min_cosine", "metric"),
    *declared(FaissOptions),
)
_ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def under_torchrun() -> bool:
    """Tell whether torchrun (or who sets the same variables) started more than this process."""
    return all(os.environ.get(name) for name in _ENVIRONMENT) and _number("WORLD_SIZE") > 1


@contextmanager
def world() -> Iterator[Any]:
    """Yield the process group of all that torchrun started; ValueError or ConnectionError."""
    rank, size = _number("RANK"), _number("WORLD_SIZE")
    if not 0 <= rank < size:
        raise ValueError(f"RANK={rank} is not from 0 to {size - 1} (WORLD_SIZE={size})")
    distributed = torch_distributed()
    try:
        distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=_START_S))
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"rank {rank} of {size} cannot reach the others at"
            f" {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} ({text});"
            " to label in one process, unset RANK and WORLD_SIZE"
        ) from None
    try:
        yield distributed.group.WORLD
    finally:
        distributed.destroy_process_group()


def inputs(
    arguments: argparse.Namespace, out: Path, group: Any, check: Check
) -> tuple[Any, Any, Any]:
    """Return this rank's rows of X, Y or None, and all of X (unread, if it is an .npy file).

    What is wrong on one rank is raised on all of them.
    """
    with joined(group) as ranks:

        def open_files() -> tuple[tuple[Any, Any], Any]:
            if arguments.groups_x is not None or arguments.groups_y is not None:
                raise ValueError("--groups-x and --groups-y do not go with torchrun")
            if arguments.method not in ("auto", "distributed"):
                raise ValueError(f"--method {arguments.method} does not go with torchrun")
            x, y = open_x(arguments), open_y(arguments)
            if ranks.rank == 0:
                check(arguments, out, x, y)
            return (x, y), list(map(int, x.shape))

        (x, y), shapes = ranks.together(open_files)
        other = next((rank for rank, each in enumerate(shapes) if each != shapes[0]), None)
        if other is not None:
            raise ValueError(
                f"{arguments.x} is not the same on all ranks: rank 0 has shape"
                f" {tuple(shapes[0])}, rank {other} {tuple(shapes[other])}"
            )
        first, end = (len(x) * (ranks.rank + i) // ranks.size for i in (0, 1))
        return x.value[first:end], y, x


def on_rank_0(group: Any, work: Callable[[], Any]) -> Any:
    """Do ``work`` on rank 0 alone; an error in it is raised on all. None on the others."""
    with joined(group) as ranks:
        done, _ = ranks.together(lambda: (work() if ranks.rank == 0 else None, None))
        return done


def label(arguments: argparse.Namespace, out: Path, group: Any, check: Check) -> Any:
    """Label with all ranks and save on rank 0; return the labels, all of X, and Y or None.

    ``check(arguments, out, x, y)`` raises on rank 0 for outputs that cannot be.
    """
    shard, y, x = inputs(arguments, out, group, check)
    labels = gtn_fast.label(
        shard,
        y,
        seed=arguments.seed,
        threads=arguments.threads,
        progress=False if arguments.quiet else None,
        group=group,
        **{name: getattr(arguments, name) for name in _PASSED_ON},
    )

    labels.report["x_files"], labels.x_ids = listed(x.files), x.ids

    def save() -> None:
        save_labels(labels, out, force=arguments.force)
        if arguments.checkpoint is not None:
            remove(Path(arguments.checkpoint))

    on_rank_0(group, save)
    return labels, x, y


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name}={text!r} in the environment is no whole number") from None
