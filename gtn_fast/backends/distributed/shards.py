"""One matching by several processes, each with a shard of X: the same answer, bit for bit.

For each block of y's every rank screens its own shard (``_native.Screener``) and returns short
lists of exact candidates, complete down to a level; one all-gather brings them together. An x
that reaches the highest of the levels also reaches the level of its own shard, so the shard's
list holds it: the union of the lists is complete down to the highest level. Every rank then
resolves the same lists by the same rules (``lists.blocks``), so no rank has to tell another
which x was taken. When so few y's are left that more rounds would take longer, all ranks gather
the free x's and each matches the rest alone.

Memory of a rank beyond its rows of X: 5 bytes per row of all X (order and who is taken; 40 while
the order is made), about 28 per row of Y for turns and results, the packed shard, one block.
"""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.distributed.ranks import Ranks
from gtn_fast.backends.interface import HandOver, Matched, Pairs, Progress
from gtn_fast.backends.lists.blocks import Assignment, Lists, choose_in_blocks, ranks_of
from gtn_fast.inputs.matrices import RowMatrix
from gtn_fast.planning.choice import choose, quickest
from gtn_fast.planning.costs import seconds_of
from gtn_fast.planning.memory import available_bytes

Rows = NDArray[Any] | RowMatrix  # rows of Y, which no rank need hold

_NONE = np.uint32(0xFFFFFFFF)
# Candidates that a rank looks for, per y. With one from each rank the highest of the levels
# would leave one of the merged list; with two it leaves two or three, what a block needs.
_WANTED_ALONE, _WANTED = 3, 2
# Seconds per block beside screening, and per gathered byte. They decide when the rounds stop,
# never the answer.
_ROUND_S = 6e-4
_BYTE_S = 2e-9
_MEMORY_SHARE = 4  # the gathered rest may take a quarter of the memory available


class Shard(NamedTuple):
    """A rank's rows of X, which are rows ``first`` .. of ``n_x`` in all."""

    x: NDArray[Any]
    first: int
    n_x: int


class _Shards:
    """The source of merged lists (``lists.blocks.Source``)."""

    def __init__(
        self,
        ranks: Ranks,
        shard: Shard,
        x_rank: NDArray[np.uint32],
        taken: NDArray[np.uint8],
        y: Rows,
        threads: int,
    ) -> None:
        self._ranks, self._shard, self._y = ranks, shard, y
        self.seconds_search = 0.0
        own = slice(shard.first, shard.first + len(shard.x))
        free = np.flatnonzero(taken[own] == 0).astype(np.uint32)
        self.screener: Any = None
        if len(free):
            self.screener = native.module().Screener(
                shard.x,
                x_rank[own],
                first_row=shard.first,
                threads=threads,
                rows=None if len(free) == len(shard.x) else free,
            )

    def search(self, y_rows: NDArray[np.int64], wanted: int, again: bool) -> Lists:
        start = time.monotonic()
        places = 2 * wanted
        part = _Message(len(y_rows), places)
        if self.screener is not None:
            part.fill(
                self.screener.search(self._y[y_rows], wanted=wanted, places=places, again=again)
            )
        self.seconds_search += time.monotonic() - start
        all_parts = self._ranks.gather(part.bytes)
        lists, deep_level = _merged([_Message(len(y_rows), places, each) for each in all_parts])
        if self.screener is not None and not again:
            self.screener.learn(deep_level)
        return lists

    def take(self, x_rows: NDArray[np.int64]) -> None:
        first, end = self._shard.first, self._shard.first + len(self._shard.x)
        own = x_rows[(x_rows >= first) & (x_rows < end)]
        if len(own):
            self.screener.take(own.astype(np.uint32))


class _Message:
    """The lists of one rank for n y's in one buffer, as it travels.

    ``cosine`` (n, k), ``level`` and ``deep_level`` (n,) float64; ``rows`` (n, k) and
    ``level_rank`` (n,) uint32: 12 k + 20 bytes per y. A new message says that nothing is free.
    """

    def __init__(self, n: int, k: int, buffer: NDArray[np.uint8] | None = None) -> None:
        doubles, words = n * (k + 2), n * (k + 1)
        self.bytes = np.empty(8 * doubles + 4 * words, np.uint8) if buffer is None else buffer
        f64 = self.bytes[: 8 * doubles].view(np.float64)
        u32 = self.bytes[8 * doubles :].view(np.uint32)
        self.cosine = f64[: n * k].reshape(n, k)
        self.level, self.deep_level = f64[n * k : n * (k + 1)], f64[n * (k + 1) :]
        self.rows, self.level_rank = u32[: n * k].reshape(n, k), u32[n * k :]
        if buffer is None:
            f64[:] = -np.inf
            u32[:] = _NONE

    def fill(self, found: tuple[NDArray[Any], ...]) -> None:
        self.rows[:], self.cosine[:], self.level[:], self.level_rank[:], self.deep_level[:] = found


def _merged(parts: list[_Message]) -> tuple[Lists, NDArray[np.float64]]:
    """Return the union of the ranks' lists, complete down to the highest of their levels.

    Of two levels of one cosine, the one of smaller rank is higher: its list promises less.
    """
    n, k = parts[0].rows.shape
    rows = np.empty((n, len(parts), k), np.int64)
    cosine = np.empty((n, len(parts), k))
    level, deep_level = parts[0].level.copy(), parts[0].deep_level.copy()
    for r, part in enumerate(parts):
        rows[:, r] = part.rows
        cosine[:, r] = part.cosine
        np.maximum(level, part.level, out=level)
        np.maximum(deep_level, part.deep_level, out=deep_level)
    level_rank = np.full(n, _NONE)
    for part in parts:
        highest = np.where(part.level == level, part.level_rank, _NONE)
        np.minimum(level_rank, highest, out=level_rank)
    rows[rows == _NONE] = -1
    lists = Lists(rows.reshape(n, -1), cosine.reshape(n, -1), level, level_rank)
    return lists, deep_level


def match_shards(
    ranks: Ranks,
    shard: Shard,
    y: Rows,
    *,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
    start: Pairs | None = None,
    settled: HandOver | None = None,
    min_cosine: float = -np.inf,
) -> Matched:
    """Match every row of Y with a row of X; every rank returns the same, for all of Y.

    With ``min_cosine`` a y takes none if no free x reaches it; without, none is left for those
    after the first n_x. Such rows have x_index -1.

    ``block`` and ``list_length`` must agree on all ranks, ``threads`` need not. ``start``
    holds pairs of the answer from a run that did not end, on any number of ranks: they are kept
    as they are. ``settled`` gets the pairs that became final since its last call, in the order
    of choice, the same pairs on every rank.

    Raises LostRank if another rank is gone, and what ``settled`` and ``progress`` raise.
    """
    began = time.monotonic()
    x_order, x_rank = _norm_order(ranks, shard, threads)
    turns, zero_rows = _order_of_choice(ranks, y, threads)
    order = turns
    if min_cosine == -np.inf:
        turns = turns[: shard.n_x]
    state = Assignment(shard.n_x, len(y))
    if start is not None:
        state.x_index[start.y_rows], state.cosine[start.y_rows] = start.x_rows, start.cosine
        taken = start.x_rows[start.x_rows >= 0]
        state.taken[taken] = 1
        state.before = len(start.y_rows)
        state.without = len(start.y_rows) - len(taken)
        over = np.zeros(len(y), np.bool_)
        over[start.y_rows] = True
        turns = turns[~over[turns]]
    ordered = time.monotonic()
    announcer = _Announcer(turns, state, len(y), settled, progress)
    _match_zero_rows(turns, zero_rows, x_order, state, min_cosine)
    del x_order
    announcer.announce()
    stop = len(turns)
    if not block:
        stop -= _left_for_the_end(ranks, shard, len(turns) - state.done, state, threads)
    count: dict[str, float] = {}
    if state.done < stop:
        source = _Shards(ranks, shard, x_rank, state.taken, y, threads)
        count = choose_in_blocks(
            source, x_rank, turns, state, stop=stop, block=block, list_length=list_length,
            wanted=_WANTED if ranks.size > 1 else _WANTED_ALONE, min_cosine=min_cosine,
            progress=announcer.announce,
        )  # fmt: skip
        count["seconds_search"] = source.seconds_search
        if source.screener is not None:
            own = source.screener.report()
            names = ("pairs_screened", "survivors", "pairs_rescored", "store_bytes")
            count |= {name: own[name] for name in names}
    in_rounds = time.monotonic()
    left = len(turns) - state.done
    if left:
        _end_alone(ranks, shard, y, state, announcer, threads, min_cosine)
    report = {
        "ranks": float(ranks.size),
        **count,
        "left_for_the_end": float(left),
        "messages": float(ranks.calls),
        "bytes_received": float(ranks.bytes),
        "seconds_order": ordered - began,
        "seconds_rounds": in_rounds - ordered,
        "seconds_end": time.monotonic() - in_rounds,
        "seconds_communication": ranks.seconds,
    }
    return Matched(state.x_index, state.cosine, order, report)


class _Announcer:
    """Calls ``settled`` with the pairs that became final, and ``progress`` with their number."""

    def __init__(
        self,
        turns: NDArray[np.int64],
        state: Assignment,
        total: int,
        settled: HandOver | None,
        progress: Progress | None,
    ) -> None:
        self._turns, self._state, self._total = turns, state, total
        self._settled, self._progress = settled, progress
        self._announced = 0

    @property
    def rows_left(self) -> NDArray[np.int64]:
        """The rows of Y whose turn is to come."""
        return self._turns[self._state.done :]

    def announce(self, _done: int = 0, _total: int = 0) -> None:
        """Announce what became final since the last call; takes what ``progress`` would."""
        rows = self._turns[self._announced : self._state.done]
        self._announced = self._state.done
        if self._settled is not None and len(rows):
            self._settled(rows, self._state.x_index[rows], self._state.cosine[rows])
        self.show_progress(0, 0)

    def show_progress(self, more: int, _total: int) -> None:
        """Say that ``more`` y's are matched than ``state.done``."""
        if self._progress is not None:
            self._progress(self._state.before + self._state.done + more, self._total)

    def renumbered(self, x_rows: NDArray[np.int64], y_rows: NDArray[np.int64]) -> HandOver | None:
        """Return ``settled`` for pairs (i, j) that mean the rows y_rows[i] and x_rows[j]."""
        if self._settled is None:
            return None
        call = self._settled
        return lambda y, x, cosine: call(y_rows[y], np.where(x < 0, -1, x_rows[x]), cosine)


def _norm_order(
    ranks: Ranks, shard: Shard, threads: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return all rows of X by norm, and every row's place in that order."""
    engine = native.module()
    own = engine.row_norms(shard.x, threads) if len(shard.x) else np.empty(0)
    order: NDArray[np.uint32] = engine.order_of_norms(ranks.concatenate(own), threads)
    return order, ranks_of(order)


def _order_of_choice(
    ranks: Ranks, y: Rows, threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of Y in the order in which they choose, and which of them are zero."""
    engine = native.module()
    first, end = (len(y) * (ranks.rank + i) // ranks.size for i in (0, 1))
    own, zero = np.empty(0), np.empty(0, np.int64)
    if end > first:
        own = engine.row_norms(y[first:end], threads)
        zero = first + np.flatnonzero(own == 0)
    order = engine.order_of_norms(ranks.concatenate(own), threads)
    return order.astype(np.int64), ranks.concatenate(zero)


def _match_zero_rows(
    turns: NDArray[np.int64],
    zero_rows: NDArray[np.int64],
    x_order: NDArray[np.uint32],
    state: Assignment,
    min_cosine: float,
) -> None:
    """Match the zero y's that choose before all others: they tie, and take the smallest ranks.

    None does, if a cosine of 0 is too small.
    """
    if not len(zero_rows):
        return
    other = np.flatnonzero(~np.isin(turns[: len(zero_rows)], zero_rows))
    n = int(other[0]) if len(other) else min(len(zero_rows), len(turns))
    if min_cosine > 0:
        state.take_none(turns[:n])
        return
    x_rows = x_order[state.taken[x_order] == 0][:n]
    state.x_index[turns[: len(x_rows)]] = x_rows
    state.taken[x_rows] = 1
    state.done = len(x_rows)
    state.take_none(turns[len(x_rows) : n])


def _left_for_the_end(
    ranks: Ranks, shard: Shard, left: int, state: Assignment, threads: int
) -> int:
    """Return how many of the last y's each rank had better match alone; all ranks agree."""
    spare = max(0, state.free - left)  # x's that nobody will take
    d = shard.x.shape[1]
    room = available_bytes()
    turns = left
    while turns > 0 and not _better_alone(
        spare + turns, turns, d, threads, ranks.size, math.inf if room is None else room
    ):
        turns = turns * 3 // 4
    return int(min(ranks.tell(turns)))


def _better_alone(n_x: int, n_y: int, d: int, threads: int, size: int, room: float) -> bool:
    """Tell whether gathering n_x rows and ending alone fits into memory and beats more rounds."""
    alone_s, alone_bytes = quickest(n_x, n_y, d, threads)
    gathered = 8.0 * n_x * d
    if size > 1 and 2 * gathered + alone_bytes > room / _MEMORY_SHARE:
        return False
    rounds = 32 * math.log((n_x + 32) / (n_x - n_y + 32)) * _ROUND_S
    screen_s = seconds_of("screen", n_x, n_y, d, threads, cones=False)
    return alone_s + gathered * _BYTE_S <= screen_s / size + rounds


def _end_alone(
    ranks: Ranks,
    shard: Shard,
    y: Rows,
    state: Assignment,
    announcer: _Announcer,
    threads: int,
    min_cosine: float,
) -> None:
    """Gather the free rows of X and match the y's that are left, on every rank alike."""
    own = np.flatnonzero(state.taken[shard.first : shard.first + len(shard.x)] == 0)
    wide = any(ranks.tell(bool(shard.x.dtype == np.float64)))
    x = shard.x if len(own) == len(shard.x) else shard.x[own]
    x = ranks.concatenate(x.astype(np.float64 if wide else np.float32, copy=False))
    x_rows = np.flatnonzero(state.taken == 0)
    y_rows = np.sort(announcer.rows_left)  # equal norms choose by row
    if not len(x):
        state.take_none(announcer.rows_left)
        announcer.announce()
        return
    strategy, _ = choose(len(x), min(len(x), len(y_rows)), x.shape[1], threads)
    x_index, cosine, _, _ = native.module().match(
        x,
        y[y_rows],
        strategy=strategy,
        threads=threads,
        progress=announcer.show_progress,
        settled=announcer.renumbered(x_rows, y_rows),
        min_cosine=min_cosine,
    )
    chosen = np.where(x_index < 0, -1, x_rows[x_index])
    state.x_index[y_rows], state.cosine[y_rows] = chosen, cosine
    state.taken[chosen[chosen >= 0]] = 1
    state.without += int((chosen < 0).sum())
    state.done += len(y_rows)
