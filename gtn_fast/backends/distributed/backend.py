"""The screen over shards of X in several processes, of one machine or many (torch.distributed).

This file is the backend for the registry; the matching itself is in shards.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.distributed.ranks import joined, torch_distributed
from gtn_fast.backends.distributed.shards import Shard, match_shards
from gtn_fast.backends.interface import Matched, Progress
from gtn_fast.planning.costs import bytes_of, seconds_here


def require() -> None:
    """Raise ImportError, with reason and remedy, if the engine or torch.distributed is missing."""
    native.require()
    torch_distributed()


def instructions() -> str:
    """Return the instruction set of this process."""
    return native.instructions()


def predict(n_x: int, n_y: int, d: int, threads: int, ranks: int = 1) -> tuple[float, int]:
    """Return seconds and bytes beyond X and Y of one of that many equal ranks.

    The ranks share the pairs, but each prepares all y's and resolves all blocks: the whole
    model is in docs/several-processes.md.
    """
    own_x = -(-n_x // ranks)
    own = bytes_of("screen", own_x, min(n_y, own_x), d, threads)
    seconds = seconds_here("screen", n_x, n_y, d, threads, cones=False)
    return seconds / ranks, own + 40 * n_x + 28 * n_y


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
    min_cosine: float = -np.inf,
    group: Any = None,
) -> Matched:
    """Match all of y with the rows of all ranks of ``group``, of which x is this one's shard.

    Every rank gives the same y; x's rows are numbered through in rank order. None: this
    process alone. ``gtn_fast.label`` checks more: that the ranks agree.
    """
    del strategy
    with joined(group) as ranks:
        sizes = ranks.tell(len(x))
        shard = Shard(x, sum(sizes[: ranks.rank]), sum(sizes))
        return match_shards(
            ranks,
            shard,
            y,
            threads=threads,
            block=block,
            list_length=list_length,
            progress=progress,
            min_cosine=min_cosine,
        )
