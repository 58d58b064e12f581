"""The screen over shards of X in several processes, of one machine or many (torch.distributed).

_ranks.py   what the processes tell each other
_shards.py  the matching
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import Matched, Progress, _ranks, _shards, native


def require() -> None:
    """Raise ImportError, with reason and remedy, if the engine or torch.distributed is missing."""
    native.require()
    _ranks.torch_distributed()


def instructions() -> str:
    """Return the instruction set of this process."""
    return native.instructions()


def predict(n_x: int, n_y: int, d: int, threads: int, ranks: int = 1) -> tuple[float, int]:
    """Return seconds and bytes beyond X and Y of one of that many equal ranks.

    The pairs are shared; preparing y's and resolving blocks is not. See docs/scaling.md.
    """
    from gtn_fast import planner

    alone = planner.make_plan(n_x, n_y, d, "screen", threads)
    own = planner.make_plan(-(-n_x // ranks), min(n_y, -(-n_x // ranks)), d, "screen", threads)
    return alone.seconds / ranks, own.bytes + 40 * n_x + 28 * n_y


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
    group: Any = None,
) -> Matched:
    """Match all of y with the rows of all ranks of ``group``, of which x is this one's shard.

    Every rank gives the same y; x's rows are numbered through in rank order. None: this
    process alone. ``gtn_fast.label`` checks more: that the ranks agree.
    """
    del strategy
    with _ranks.joined(group) as ranks:
        sizes = ranks.tell(len(x))
        shard = _shards.Shard(x, sum(sizes[: ranks.rank]), sum(sizes))
        return _shards.match(
            ranks,
            shard,
            _shards.GivenRows(np.asarray(y)),
            threads=threads,
            block=block,
            list_length=list_length,
            progress=progress,
        )
