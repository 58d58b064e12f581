"""Blocks of y's with short lists, for backends that find their candidates outside the engine.

The scheme of csrc/strategies/screen/blocks.cpp: a ``Source`` (an index, a GPU, other processes)
gives each y of a block a short list of x's that are free when the block begins. Then the y's
choose in order, each the best x of its list that is still free. A y whose list ran dry (none of
its free x's reaches the list's level) gets a new list. With lists that are complete down to
their levels the answer is that of the sequential loop. Who takes what, and how large
a block is, the engine says: the same code as for its own lists.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.interface import HandOver as HandOver
from gtn_fast.backends.interface import Progress

NO_RANK = np.uint32(0xFFFFFFFF)


class Lists(NamedTuple):
    """Candidates of n y's, k places each.

    ``x_rows`` (n, k) int64: rows of X, -1 where there is none, in any order;
    ``cosine`` (n, k) float64: exact (``_native.evaluate_lists``), -inf where there is none;
    ``level_cosine`` (n,) float64, ``level_rank`` (n,) uint32: list i holds every free x of a
    cosine above its level's, and those of equal cosine whose rank in X's norm order is not
    above the level's. -inf: the list is all there is, or is to be trusted as if it were.
    """

    x_rows: NDArray[np.int64]
    cosine: NDArray[np.float64]
    level_cosine: NDArray[np.float64]
    level_rank: NDArray[np.uint32]


class Source(Protocol):
    """What finds candidates among the free x's."""

    def search(self, y_rows: NDArray[np.int64], wanted: int, again: bool) -> Lists:
        """Return lists for these rows of Y, of ``wanted`` candidates or more if so many are free.

        ``again``: these y's had a list that ran dry; the first of them must get one with a
        choice in it, or complete down to the ``min_cosine`` of the matching.
        """
        ...

    def take(self, x_rows: NDArray[np.int64]) -> None:
        """Take note that these rows of X are not free any more; a block may call several times."""
        ...


class Assignment:
    """The choices so far: ``x_index`` and ``cosine`` by row of Y (-1 and 0 for no choice yet).

    ``done``: how many turns are over; ``before``: how many were before the first of them;
    ``without``: how many of all these ended without an x.
    """

    def __init__(self, n_x: int, n_y: int) -> None:
        self.x_index = np.full(n_y, -1, np.int64)
        self.cosine = np.zeros(n_y)
        self.taken = np.zeros(n_x, np.uint8)
        self.done = 0
        self.before = 0
        self.without = 0

    @property
    def free(self) -> int:
        """How many x's are free."""
        return len(self.taken) - self.before - self.done + self.without

    def settle(
        self, y_rows: NDArray[np.int64], x_rows: NDArray[np.int64], cosine: NDArray[np.float64]
    ) -> None:
        """End the next turns, which are of these rows of Y: they take these x's, or none (-1)."""
        self.x_index[y_rows], self.cosine[y_rows] = x_rows, cosine
        self.taken[x_rows[x_rows >= 0]] = 1
        self.done += len(y_rows)
        self.without += int((x_rows < 0).sum())

    def take_none(self, y_rows: NDArray[np.int64]) -> None:
        """End the next turns, which are of these rows of Y: they take none."""
        self.cosine[y_rows] = np.nan
        self.done += len(y_rows)
        self.without += len(y_rows)


def ranks_of(order: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the rank of every row, from ``order``, which has the row of every rank."""
    rank = np.empty(len(order), np.uint32)
    rank[order] = np.arange(len(order), dtype=np.uint32)
    return rank


def choose_in_blocks(
    source: Source,
    x_rank: NDArray[np.uint32],
    turns: NDArray[np.int64],
    state: Assignment,
    *,
    stop: int | None = None,
    block: int = 0,
    list_length: int = 0,
    wanted: int = 3,
    min_cosine: float = -np.inf,
    progress: Progress | None = None,
    hand_over: HandOver | None = None,
) -> dict[str, float]:
    """Let rows of Y choose, in the order ``turns``, from position ``state.done`` on.

    ``x_rank`` (n_x,): every x's place in norm order; ties go to the smaller. Ends before
    position ``stop`` (all by default). A y whose list certainly has no free x of ``min_cosine``
    takes none. ``hand_over`` gets the pairs of every block. Returns counters.
    """
    engine = native.module()
    stop = len(turns) if stop is None else stop
    policy = engine.BlockPolicy(block=block, list_length=list_length, wanted=wanted)
    count = {"blocks": 0.0, "lists_dry": 0.0, "searched_again": 0.0, "candidates": 0.0}
    while state.done < stop:
        if not state.free:
            rows = turns[state.done : stop]
            state.take_none(rows)
            dry = 0
        else:
            rows = turns[state.done : min(stop, state.done + policy.size)]
            dry = _match_block(
                engine, source, x_rank, rows, state, policy.wanted, min_cosine, count
            )
            state.done += len(rows)
            state.without += int((state.x_index[rows] < 0).sum())
            count["blocks"] += 1
        if hand_over is not None:
            hand_over(rows, state.x_index[rows], state.cosine[rows])
        if progress is not None:
            progress(state.done, len(turns))
        policy.served(len(rows), dry, state.free)
    return count


def _match_block(
    engine: Any,
    source: Source,
    x_rank: NDArray[np.uint32],
    rows: NDArray[np.int64],
    state: Assignment,
    wanted: int,
    min_cosine: float,
    count: dict[str, float],
) -> int:
    """Let these rows choose; return how many of them needed another search."""
    lists = source.search(rows, wanted, again=False)
    count["candidates"] += float((lists.x_rows >= 0).sum())
    chosen = np.full(len(rows), -1, np.int64)
    cosine = np.zeros(len(rows))
    begin, searched = 0, 0
    while begin < len(rows):
        end, dry = engine.resolve_lists(
            lists.x_rows,
            lists.cosine,
            lists.level_cosine,
            lists.level_rank,
            x_rank,
            state.taken,
            begin,
            chosen,
            cosine,
            min_cosine,
        )
        source.take(chosen[begin:end][chosen[begin:end] >= 0])
        begin = end
        if len(dry):
            searched += len(dry)
            count["lists_dry"] += len(dry)
            count["searched_again"] += len(dry)
            found = source.search(rows[dry], wanted, again=True)
            admitted = found.cosine[0] >= found.level_cosine[0]
            takes_none = -np.inf < min_cosine >= found.level_cosine[0]
            if not takes_none and not (admitted & (found.x_rows[0] >= 0)).any():
                raise RuntimeError("a search found nothing")  # a wrong bound
            lists = _replaced(lists, dry, found)
    state.x_index[rows] = chosen
    state.cosine[rows] = cosine
    return searched


def _replaced(lists: Lists, at: NDArray[np.int64], found: Lists) -> Lists:
    """Return ``lists`` with those at ``at`` replaced, all as wide as the widest."""
    k = max(lists.x_rows.shape[1], found.x_rows.shape[1])
    x_rows, cosine = _widened(lists, k)
    x_rows[at], cosine[at] = _widened(found, k)
    level_cosine, level_rank = lists.level_cosine.copy(), lists.level_rank.copy()
    level_cosine[at], level_rank[at] = found.level_cosine, found.level_rank
    return Lists(x_rows, cosine, level_cosine, level_rank)


def _widened(lists: Lists, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    n, have = lists.x_rows.shape
    if have == k:
        return lists.x_rows, lists.cosine
    x_rows = np.full((n, k), -1, np.int64)
    cosine = np.full((n, k), -np.inf)
    x_rows[:, :have], cosine[:, :have] = lists.x_rows, lists.cosine
    return x_rows, cosine
