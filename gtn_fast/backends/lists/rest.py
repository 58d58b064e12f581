"""The exact engine for the last stretch of a matching that another backend has begun."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.interface import HandOver as HandOver
from gtn_fast.backends.interface import Progress
from gtn_fast.backends.lists.blocks import Assignment
from gtn_fast.inputs.matrices import Held, RowMatrix, for_engine
from gtn_fast.planning.choice import choose


def match_rest(
    x: NDArray[Any] | RowMatrix,
    y: NDArray[Any] | RowMatrix,
    turns: NDArray[np.int64],
    state: Assignment,
    *,
    threads: int,
    min_cosine: float = -np.inf,
    progress: Progress | None = None,
    hand_over: HandOver | None = None,
) -> int:
    """Let the y's from position ``state.done`` of ``turns`` on choose, as Algorithm 1 does.

    They choose among the x's that are free, of ``min_cosine`` if that is given. Returns how many
    y's they were.
    """
    done, total = state.done, len(turns)
    if done == total:
        return 0
    x_rows = np.flatnonzero(state.taken == 0).astype(np.int64)
    y_rows = np.sort(turns[done:])
    if not len(x_rows):
        state.take_none(turns[done:])
        if hand_over is not None:
            hand_over(turns[done:], state.x_index[turns[done:]], state.cosine[turns[done:]])
        return len(y_rows)
    strategy = choose(len(x_rows), min(len(x_rows), len(y_rows)), x.shape[1], threads)[0]
    call = None
    if progress is not None:
        tell = progress

        def call(count: int, _part: int) -> None:
            tell(done + count, total)

    # From a device only the rows that take part are fetched.
    x_held, y_held = isinstance(x, Held), isinstance(y, Held)
    found = native.match(
        x[x_rows] if x_held else for_engine(x),
        y[y_rows] if y_held else for_engine(y),
        strategy=strategy,
        threads=threads,
        progress=call,
        x_rows=None if x_held else x_rows,
        y_rows=None if y_held else y_rows,
        min_cosine=min_cosine,
    )
    own = slice(None) if y_held else y_rows
    x_index = found.x_index[own]
    state.x_index[y_rows] = np.where(x_index < 0, -1, x_rows[x_index]) if x_held else x_index
    state.cosine[y_rows] = found.cosine[own]
    state.done = total
    if hand_over is not None:
        rows = turns[done:]
        hand_over(rows, state.x_index[rows], state.cosine[rows])
    return len(y_rows)
