"""Short lists for blocks of y's: what choose_in_blocks asks for.

A search goes over the codes twice. The first pass finds, for every y, the maximum score of every
group of columns: the k-th largest maximum is a lower bound of the k-th best score, and close to
it. A threshold follows from it (bounds.py). The second pass looks only into the few groups that
can hold a column above a y's threshold, and keeps the columns that reach it: the survivors,
little more than k per y. Codes that are streamed pass once: both steps are done for each panel,
with the bounds that the panels before it gave. A y with more survivors than places gets a
higher threshold, from the survivors it kept, and if that is not enough, as many places as it
needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends.lists.blocks import NO_RANK, Lists
from gtn_fast.backends.triton import bounds, launch, levels
from gtn_fast.backends.triton.columns import Columns
from gtn_fast.backends.triton.exact import Cosines, to_host

_CAPACITY = 64
_SHORTEST_LIST = 16  # candidates per y that a search aims at
_GROUPS_PER_PLACE = 16  # groups of columns for each of them, before groups get larger
_EXACT_PAIRS = 1 << 24  # evaluated at once
_ROW_BYTES = 20  # of a place: column, value, row, cosine


class _Rows(NamedTuple):
    """y's of a search, on the device."""

    rows: torch.Tensor  # as stored, (n, d)
    codes: torch.Tensor  # fp16 (n, dp)
    margin: torch.Tensor  # float64 (n,), like the others
    centred: torch.Tensor  # p . c
    kth: torch.Tensor  # the k-th best score - bound is known to be at least this

    def pick(self, at: torch.Tensor | slice) -> _Rows:
        return _Rows(*(each[at] for each in self))


class Source:
    """Finds lists for rows of Y among the free columns.

    ``capacity``: places per row for its survivors; ``shortest``: how long lists are at least.
    Both change how much work there is, not the answer.
    """

    def __init__(
        self,
        columns: Columns,
        rank: NDArray[np.uint32],
        zero: NDArray[np.bool_],
        get_y: Any,
        cosines: Cosines,
        work_bytes: int,
    ) -> None:
        self._columns, self._rank, self._zero = columns, rank, zero
        self._get_y, self._cosines, self._work = get_y, cosines, work_bytes
        self._some_zero = bool(zero.any())
        self._taken = np.zeros(len(rank), bool)
        self._first_free = 0
        self.capacity = _CAPACITY
        self.shortest = _SHORTEST_LIST
        self.counters = {"screened": 0.0, "survivors": 0.0, "overflowed": 0.0, "rescored": 0.0}
        if self._some_zero:
            self._by_rank = np.argsort(rank, kind="stable").astype(np.int64)

    # ------------------------------------------------------------------ the protocol

    def take(self, x_rows: NDArray[np.int64]) -> None:
        """Take note that these rows of X are not free any more."""
        if len(x_rows):
            if self._some_zero:
                self._taken[x_rows] = True
            self._columns.take(x_rows)

    def search(self, y_rows: NDArray[np.int64], wanted: int, again: bool) -> Lists:
        """Return lists for these rows of Y; see ``lists.blocks.Source``.

        A list holds every x above its level, with exact cosines, so a search ``again`` is a
        search like the first.
        """
        del again
        zero = self._zero[y_rows]
        parts: list[tuple[NDArray[np.int64], Lists]] = []
        if zero.any():
            parts.append((np.flatnonzero(zero), self._zero_lists(int(zero.sum()), wanted)))
        others = np.flatnonzero(~zero)
        step = self._rows_at_once(wanted)
        for begin in range(0, len(others), step):
            at = others[begin : begin + step]
            parts += [(at[where], lists) for where, lists in self._search(y_rows[at], wanted)]
        return _joined(len(y_rows), parts)

    # ------------------------------------------------------------------ y = 0

    def _zero_lists(self, n: int, wanted: int) -> Lists:
        """Return lists for zero rows, whose cosines are all 0: the free x's of least norm."""
        while self._taken[self._by_rank[self._first_free]]:
            self._first_free += 1
        # Those taken beyond the first free one are few: blocks take from everywhere, but a
        # list needs ``wanted`` and at most the rest is looked at, a stretch at a time.
        rows = np.empty(0, np.int64)
        begin = self._first_free
        while len(rows) < wanted and begin < len(self._by_rank):
            stretch = self._by_rank[begin : begin + max(1024, 2 * wanted)]
            rows = np.concatenate([rows, stretch[~self._taken[stretch]]])
            begin += len(stretch)
        rows = rows[:wanted]
        return Lists(
            np.tile(rows, (n, 1)),
            np.zeros((n, len(rows))),
            np.zeros(n),
            np.full(n, self._rank[rows[-1]], np.uint32),
        )

    # ------------------------------------------------------------------ the passes

    def _places(self, wanted: int) -> int:
        """Return how many candidates a list is to have."""
        return max(self.shortest, 4 * wanted)

    def _group(self, wanted: int) -> int:
        """Return the columns per group: large groups are quicker, as long as they are many."""
        enough = _GROUPS_PER_PLACE * self._places(wanted)
        small, large = launch.GROUPS
        return large if self._columns.count >= large * enough else small

    def _rows_at_once(self, wanted: int) -> int:
        columns = self._columns
        panel = min(columns.count, columns.residence.panel_cols)
        groups = 9 * (panel // self._group(wanted) + 1)  # float32 twice, and whether it matters
        places = _ROW_BYTES * self._capacity(wanted)
        per_row = groups + places + 40 * columns.scale.padded
        return max(1024, int(self._work // per_row))

    def _capacity(self, wanted: int) -> int:
        return max(self.capacity, self._places(wanted))

    def _search(
        self, y_rows: NDArray[np.int64], wanted: int
    ) -> Iterator[tuple[NDArray[np.int64], Lists]]:
        """Yield (places, their lists) until every one of ``y_rows`` has its list."""
        rows = self._prepare(y_rows)
        at = np.arange(len(y_rows))
        capacity = self._capacity(wanted)
        for attempt in range(2):
            rows, slots, count = self._pass(rows, capacity, wanted)
            fits = count <= capacity
            if fits.all():
                yield at, self._lists(y_rows[at], rows, slots, count, wanted)
                return
            if fits.any():
                where = torch.from_numpy(np.flatnonzero(fits)).to(rows.codes.device)
                found = rows.pick(where), slots.pick(where), count[fits]
                yield at[fits], self._lists(y_rows[at[fits]], *found, wanted)
            self.counters["overflowed"] += float((~fits).sum()) if attempt == 0 else 0.0
            over = torch.from_numpy(np.flatnonzero(~fits)).to(rows.codes.device)
            kth = self._kth_of_kept(rows, slots, over, wanted)
            rows, at, count = rows.pick(over)._replace(kth=kth), at[~fits], count[~fits]
        yield from self._with_room(y_rows, rows, at, count, wanted)

    def _with_room(
        self,
        y_rows: NDArray[np.int64],
        rows: _Rows,
        at: NDArray[np.int64],
        count: NDArray[np.int32],
        wanted: int,
    ) -> Iterator[tuple[NDArray[np.int64], Lists]]:
        """Yield lists of rows that need many places, for few rows at a time."""
        begin = 0
        while begin < len(at):
            most = np.maximum.accumulate(count[begin:].astype(np.int64)) + 15
            fitting = np.arange(1, len(most) + 1) * most * _ROW_BYTES <= self._work
            n = max(1, min(int(fitting.sum()), 2**30 // int(most[0])))
            part = slice(begin, begin + n)
            # The same thresholds as when these were counted, or higher: there is room.
            capacity = int(count[part].max() + 15) // 16 * 16
            chosen, slots, found = self._pass(rows.pick(part), capacity, wanted)
            yield at[part], self._lists(y_rows[at[part]], chosen, slots, found, wanted)
            begin += n

    def _prepare(self, y_rows: NDArray[np.int64]) -> _Rows:
        columns = self._columns
        rows = self._get_y(y_rows)
        p = bounds.directions(rows)
        made = bounds.encode(p, bounds.Y_SCALE, columns.scale.padded)
        return _Rows(
            rows,
            made.codes,
            bounds.row_margin(made, columns.scale),
            p @ columns.centre,
            torch.full((len(p),), -torch.inf, dtype=torch.float64, device=p.device),
        )

    def _pass(
        self, rows: _Rows, capacity: int, wanted: int
    ) -> tuple[_Rows, launch.Slots, NDArray[np.int32]]:
        """Go over all free columns; return ``rows`` with better ``kth``, survivors, their numbers.

        The survivors of a row are all columns whose score + bound reaches the row's threshold.
        """
        columns, n = self._columns, len(rows.codes)
        codes = self._padded(rows.codes, 0)
        group, k = self._group(wanted), self._places(wanted)
        slots = launch.Slots.empty(len(codes), capacity, codes.device)
        best = torch.empty((n, 0), device=codes.device, dtype=torch.float32)
        kth = rows.kth
        for x, first in columns.panels():
            part = slice(first, first + len(x))
            maxima = launch.group_maxima(codes, x, columns.low[part], group, columns.scale.d)
            best = torch.cat([best, maxima[:, :n].t()], dim=1)
            if best.shape[1] >= k:
                best = torch.topk(best, k, dim=1).values
                kth = torch.maximum(rows.kth, best[:, -1].to(torch.float64))
            pairs = self._pairs(rows, kth, maxima, columns.high[part], group)
            threshold = self._padded(bounds.threshold(kth, rows.margin), torch.inf)
            launch.survivors(
                codes, x, columns.high[part], threshold, pairs, slots, first, group,
                columns.scale.d,
            )  # fmt: skip
            self.counters["screened"] += float(n) * len(x)
        count: NDArray[np.int32] = slots.count[:n].cpu().numpy()
        return rows._replace(kth=kth), slots, count

    def _pairs(
        self,
        rows: _Rows,
        kth: torch.Tensor,
        maxima: torch.Tensor,
        high: torch.Tensor,
        group: int,
    ) -> launch.GroupRows:
        """Return which groups can hold a survivor of which row; ``maxima`` is overwritten."""
        missing = -len(high) % group
        filled = torch.nn.functional.pad(high, (0, missing), value=-torch.inf)
        largest = filled.view(-1, group).amax(dim=1)
        # A group whose columns are all exhausted has maxima of -inf, which reach nothing.
        maxima += 2.0 * torch.where(largest > -torch.inf, largest, 0.0)[:, None]
        reach = bounds.group_threshold(kth, rows.margin, self._columns.scale)
        return launch.GroupRows.of(maxima >= self._padded(reach, torch.inf)[None, :])

    def _padded(self, rows: torch.Tensor, fill: float) -> torch.Tensor:
        """Return the rows followed by rows of ``fill``, up to whole tiles."""
        missing = -len(rows) % launch.configuration(self._columns.scale.d).maxima.rows
        if not missing:
            return rows
        return torch.cat([rows, rows.new_full((missing, *rows.shape[1:]), fill)])

    def _kth_of_kept(
        self, rows: _Rows, slots: launch.Slots, over: torch.Tensor, wanted: int
    ) -> torch.Tensor:
        """Return a better ``kth`` of rows that overflowed, from the survivors they could keep."""
        bound = self._columns.high[slots.cols[over].to(torch.int64)].to(torch.float64)
        lower = slots.values[over].to(torch.float64) - 2.0 * bound
        kth = torch.topk(lower, self._places(wanted), dim=1).values[:, -1]
        return torch.maximum(kth, rows.kth[over])

    # ------------------------------------------------------------------ exact lists

    def _lists(
        self,
        y_rows: NDArray[np.int64],
        rows: _Rows,
        slots: launch.Slots,
        count: NDArray[np.int32],
        wanted: int,
    ) -> Lists:
        """Return lists with exact cosines of all survivors of ``rows``, which all fit."""
        n, most = len(count), max(1, int(count.max(initial=0)))
        self.counters["survivors"] += float(count.sum())
        self.counters["rescored"] += float(count.sum())
        there = torch.arange(most, device=slots.count.device) < slots.count[:n, None]
        cols = torch.where(there, slots.cols[:n, :most], 0).to(torch.int64)
        lists = torch.where(there, self._columns.head[cols], -1)
        certain = bounds.level(rows.kth - rows.margin, rows.centred, self._columns.scale)
        level = certain.cpu().numpy()
        keep = self._places(wanted)
        step = max(1, _EXACT_PAIRS // most)
        parts = []
        for begin in range(0, n, step):
            part = slice(begin, begin + step)
            cosine = self._cosines(y_rows[part], rows.rows[part], lists[part])
            rank = np.full(len(cosine), NO_RANK, np.uint32)
            made = Lists(to_host(lists[part]), cosine, level[part], rank)
            parts.append((np.arange(n)[part], self._shortened(made, keep)))
        return _joined(n, parts)

    def _shortened(self, lists: Lists, keep: int) -> Lists:
        """Return about ``keep`` candidates per list, with the next free rows of their classes."""
        classes = self._columns.classes
        if classes.single and lists.x_rows.shape[1] <= 2 * keep:
            return lists
        best = levels.cut(lists, self._rank, keep)
        return best if classes.single else levels.with_members(best, self._rank, classes, keep)


def _joined(n: int, parts: list[tuple[NDArray[np.int64], Lists]]) -> Lists:
    """Put parts (places, lists) together into lists of n y's, all as wide as the widest."""
    if len(parts) == 1 and len(parts[0][0]) == n and (np.diff(parts[0][0]) > 0).all():
        return parts[0][1]
    width = max(lists.x_rows.shape[1] for _, lists in parts)
    joined = Lists(
        np.full((n, width), -1, np.int64),
        np.full((n, width), -np.inf),
        np.empty(n),
        np.empty(n, np.uint32),
    )
    for at, lists in parts:
        have = lists.x_rows.shape[1]
        joined.x_rows[at, :have] = lists.x_rows
        joined.cosine[at, :have] = lists.cosine
        joined.level_cosine[at] = lists.level_cosine
        joined.level_rank[at] = lists.level_rank
    return joined
