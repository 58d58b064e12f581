"""Short lists for blocks of y's: what _blocks.match asks for.

A search has two passes over codes. The first takes maxima of groups of columns over a
sample of the x's; the k-th largest is a lower bound of the k-th best cosine. The second
passes over all free x's and keeps those whose score reaches the threshold that follows
(bounds.py): everything that can be above it, a few dozen a y. A row with more of them than
places gets a higher threshold from what it kept, and then as many places as it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends import _blocks
from gtn_fast.backends._triton import bounds, launch, levels
from gtn_fast.backends._triton.columns import Columns
from gtn_fast.backends._triton.exact import Cosines

_AIM = 64  # survivors a y that the sample is sized for
_CAPACITY = 256
_LARGEST_SAMPLE = 1 << 19
_SHORTEST_LIST = 16  # candidates a y that are evaluated exactly
_EXACT_PAIRS = 1 << 24  # evaluated at once when nothing may be dropped


class _Rows(NamedTuple):
    """y's of a search, on the device."""

    codes: torch.Tensor  # fp16 (n, dp)
    margin: torch.Tensor  # float64 (n,), like the others
    centred: torch.Tensor  # p . c
    kth: torch.Tensor  # the k-th best score - bound so far

    def pick(self, at: torch.Tensor | slice) -> _Rows:
        return _Rows(*(each[at] for each in self))


class _Found(NamedTuple):
    """Candidates (n, k): columns (-1: none), score + bound; all with a b (p . z) >= certain."""

    cols: torch.Tensor
    values: torch.Tensor
    certain: torch.Tensor
    margin: torch.Tensor
    centred: torch.Tensor


class Source:
    """Finds lists for rows of Y among the free columns."""

    def __init__(
        self,
        columns: Columns,
        rank: NDArray[np.uint32],
        y: NDArray[Any],
        get_y: Any,
        cosines: Cosines,
        work_bytes: int,
    ) -> None:
        self._columns, self._rank, self._y = columns, rank, y
        self._get_y, self._cosines, self._work = get_y, cosines, work_bytes
        self._by_rank = np.argsort(rank, kind="stable").astype(np.int64)
        self._taken = np.zeros(len(rank), bool)
        self._first_free = 0
        self.capacity = _CAPACITY
        self.counters = {"screened": 0.0, "survivors": 0.0, "overflowed": 0.0, "rescored": 0.0}

    # ------------------------------------------------------------------ the protocol

    def take(self, x_rows: NDArray[np.int64]) -> None:
        """These rows of X are no longer free."""
        if len(x_rows):
            self._taken[x_rows] = True
            self._columns.take(x_rows)

    def search(self, y_rows: NDArray[np.int64], wanted: int, again: bool) -> _blocks.Lists:
        """Lists for these rows of Y; see ``_blocks.Source``."""
        zero = ~(self._y[y_rows] != 0).any(axis=1)
        parts: list[tuple[NDArray[np.int64], _blocks.Lists]] = []
        if zero.any():
            parts.append((np.flatnonzero(zero), self._zero_lists(int(zero.sum()), wanted)))
        others = np.flatnonzero(~zero)
        step = self._rows_at_once(wanted)
        for begin in range(0, len(others), step):
            at = others[begin : begin + step]
            parts += [
                (at[where], lists) for where, lists in self._search(y_rows[at], wanted, again)
            ]
        return _joined(len(y_rows), parts)

    # ------------------------------------------------------------------ y = 0

    def _zero_lists(self, n: int, wanted: int) -> _blocks.Lists:
        """All cosines of a zero row are 0: the free x's of least norm are its list."""
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
        return _blocks.Lists(
            np.tile(rows, (n, 1)),
            np.zeros((n, len(rows))),
            np.zeros(n),
            np.full(n, self._rank[rows[-1]], np.uint32),
        )

    # ------------------------------------------------------------------ the passes

    def _sample(self, wanted: int) -> tuple[int, int]:
        """Columns of the sample, whole tiles, and how many share a maximum."""
        count = self._columns.count
        share = min(1.0, wanted / _AIM)
        panel = count if self._columns.residence.codes_stay else self._columns.residence.panel_cols
        cols = min(max(int(count * share), 8 * launch.TILE), _LARGEST_SAMPLE, panel)
        cols = -(-cols // launch.TILE) * launch.TILE
        wide = cols // launch.GROUPS[-1] >= 16 * wanted
        return cols, launch.GROUPS[-1] if wide else launch.GROUPS[0]

    def _capacity(self, wanted: int) -> int:
        return max(self.capacity, 4 * wanted)

    def _rows_at_once(self, wanted: int) -> int:
        cols, group = self._sample(wanted)
        scale = self._columns.scale
        a_row = 8 * cols // group + 20 * self._capacity(wanted) + 40 * scale.padded
        return max(launch.TILE, self._work // a_row // launch.TILE * launch.TILE)

    def _search(
        self, y_rows: NDArray[np.int64], wanted: int, again: bool
    ) -> Iterator[tuple[NDArray[np.int64], _blocks.Lists]]:
        """Yield (places, their lists) until every one of ``y_rows`` has its list."""
        rows = self._prepare(y_rows)
        rows = rows._replace(kth=self._kth_of_sample(rows, wanted))
        at = np.arange(len(y_rows))
        capacity = self._capacity(wanted)
        for attempt in range(2):
            slots = self._pass(rows, capacity)
            count = slots.count[: len(at)].cpu().numpy()
            fits = count <= capacity
            if fits.any():
                where = torch.from_numpy(np.flatnonzero(fits)).to(rows.codes.device)
                found = self._found(rows, slots, where, int(count[fits].max()))
                yield at[fits], self._lists(y_rows[at[fits]], found, wanted, again)
            if fits.all():
                return
            self.counters["overflowed"] += float((~fits).sum()) if attempt == 0 else 0.0
            over = torch.from_numpy(np.flatnonzero(~fits)).to(rows.codes.device)
            kth = self._kth_of_kept(rows, slots, over, wanted)
            rows, at, count = rows.pick(over)._replace(kth=kth), at[~fits], count[~fits]
        yield from self._with_room(y_rows, rows, at, count, wanted, again)

    def _with_room(
        self,
        y_rows: NDArray[np.int64],
        rows: _Rows,
        at: NDArray[np.int64],
        count: NDArray[np.int32],
        wanted: int,
        again: bool,
    ) -> Iterator[tuple[NDArray[np.int64], _blocks.Lists]]:
        """As many places as are needed, for as few rows at a time as that takes."""
        begin = 0
        while begin < len(at):
            most = np.maximum.accumulate(count[begin:].astype(np.int64)) + 15
            fitting = np.arange(1, len(most) + 1) * most * 20 <= self._work
            n = max(1, min(int(fitting.sum()), 2**30 // int(most[0])))
            part = slice(begin, begin + n)
            chosen = rows.pick(part)
            slots = self._pass(chosen, int(count[part].max() + 15) // 16 * 16)
            everyone = torch.arange(n, device=rows.codes.device)
            found = self._found(chosen, slots, everyone, int(slots.count.max()))
            yield at[part], self._lists(y_rows[at[part]], found, wanted, again)
            begin += n

    def _prepare(self, y_rows: NDArray[np.int64]) -> _Rows:
        columns = self._columns
        p = bounds.directions(self._get_y(y_rows))
        made = bounds.encode(p, bounds.Y_SCALE, columns.scale.padded)
        return _Rows(
            made.codes,
            bounds.row_margin(made, columns.scale),
            p @ columns.centre,
            torch.full((len(p),), -torch.inf, dtype=torch.float64, device=p.device),
        )

    def _kth_of_sample(self, rows: _Rows, wanted: int) -> torch.Tensor:
        cols, group = self._sample(wanted)
        codes, _ = next(self._columns.panels(cols))
        padded = _padded(rows.codes, 0)
        cols = min(cols, len(codes))
        self.counters["screened"] += float(len(rows.codes)) * cols
        maxima = launch.row_maxima(
            padded, codes, self._columns.low, cols, group, self._columns.scale.d
        )[: len(rows.codes)]
        if wanted > maxima.shape[1]:
            return rows.kth
        return torch.topk(maxima, wanted, dim=1).values[:, -1].to(torch.float64)

    def _pass(self, rows: _Rows, capacity: int) -> launch.Slots:
        """Find what reaches the thresholds of ``rows``; as many slots as rows, and padding."""
        padded = _padded(rows.codes, 0)
        threshold = _padded(bounds.threshold(rows.kth, rows.margin), torch.inf)
        slots = launch.Slots.empty(len(padded), capacity, padded.device)
        columns = self._columns
        for codes, first in columns.panels():
            offset = columns.high[first : first + len(codes)]
            self.counters["screened"] += float(len(rows.codes)) * len(codes)
            launch.survivors(padded, codes, offset, threshold, slots, first, columns.scale.d)
        return slots

    def _found(self, rows: _Rows, slots: launch.Slots, where: torch.Tensor, most: int) -> _Found:
        """What was kept for the rows ``where``, none of which overflowed."""
        most = max(most, 1)
        count = slots.count[where]
        there = torch.arange(most, device=count.device) < count[:, None]
        self.counters["survivors"] += float(count.sum())
        return _Found(
            torch.where(there, slots.cols[where, :most], -1),
            torch.where(there, slots.values[where, :most], -torch.inf),
            rows.kth[where] - rows.margin[where],
            rows.margin[where],
            rows.centred[where],
        )

    def _kth_of_kept(
        self, rows: _Rows, slots: launch.Slots, over: torch.Tensor, wanted: int
    ) -> torch.Tensor:
        """A better threshold for rows that overflowed, from the candidates they could keep."""
        bound = self._columns.high[slots.cols[over].to(torch.int64)].to(torch.float64)
        lower = slots.values[over].to(torch.float64) - 2.0 * bound
        return torch.maximum(torch.topk(lower, wanted, dim=1).values[:, -1], rows.kth[over])

    # ------------------------------------------------------------------ exact lists

    def _lists(
        self, y_rows: NDArray[np.int64], found: _Found, wanted: int, again: bool
    ) -> _blocks.Lists:
        """Exact cosines of candidates: the likeliest, or all of them (``again``).

        All of them also for y's of which the likeliest are too close together to be told
        from what would be dropped: nothing would be certain of such a list.
        """
        keep = max(_SHORTEST_LIST, 4 * wanted)
        level = self._level(found.certain, found.centred)
        cols = found.cols
        if again or cols.shape[1] <= keep:
            return self._exact(y_rows, cols, level, keep)
        best = torch.topk(found.values, keep + 1, dim=1)
        # What is dropped has a score + bound of at most the next one's.
        dropped = best.values[:, keep].to(torch.float64) + found.margin
        surely = best.values[:, wanted - 1].to(torch.float64) - found.margin
        vague = (dropped >= surely - 2.0 * self._columns.scale.largest_bound).cpu().numpy()
        parts = []
        for rows, likeliest in ((np.flatnonzero(~vague), True), (np.flatnonzero(vague), False)):
            if not len(rows):
                continue
            at = torch.from_numpy(rows).to(cols.device)
            if likeliest:
                certain = torch.maximum(found.certain[at], dropped[at])
                chosen = cols[at].gather(1, best.indices[at, :keep])
                lists = self._exact(
                    y_rows[rows], chosen, self._level(certain, found.centred[at]), keep
                )
            else:
                lists = self._exact(y_rows[rows], cols[at], level[rows], keep)
            parts.append((rows, lists))
        return _joined(len(y_rows), parts)

    def _level(self, certain: torch.Tensor, centred: torch.Tensor) -> NDArray[np.float64]:
        found: NDArray[np.float64] = (
            bounds.level(certain, centred, self._columns.scale).cpu().numpy()
        )
        return found

    def _exact(
        self,
        y_rows: NDArray[np.int64],
        cols: torch.Tensor,
        level: NDArray[np.float64],
        keep: int,
    ) -> _blocks.Lists:
        """Lists of the ``keep`` best of these candidates, so many y's at a time as fit."""
        candidates = cols.cpu().numpy().astype(np.int64)
        step = max(1, _EXACT_PAIRS // candidates.shape[1])
        parts = []
        for begin in range(0, len(y_rows), step):
            part = slice(begin, begin + step)
            lists = self._evaluated(y_rows[part], candidates[part], level[part], keep)
            parts.append((np.arange(len(y_rows))[part], lists))
        return _joined(len(y_rows), parts)

    def _evaluated(
        self,
        y_rows: NDArray[np.int64],
        cols: NDArray[np.int64],
        level: NDArray[np.float64],
        keep: int,
    ) -> _blocks.Lists:
        classes = self._columns.classes
        heads = np.full(cols.shape, -1, np.int64)
        there = cols >= 0
        heads[there] = classes.heads(self._columns.class_of[cols[there]])
        cosine = self._cosines(y_rows, heads)
        self.counters["rescored"] += float(there.sum())
        lists = _blocks.Lists(
            heads, cosine, level, np.full(len(y_rows), _blocks.NO_RANK, np.uint32)
        )
        if classes.single and cols.shape[1] <= keep:
            return lists
        best = levels.cut(lists, self._rank, keep)
        return best if classes.single else levels.with_members(best, self._rank, classes, keep)


def _padded(rows: torch.Tensor, fill: float) -> torch.Tensor:
    """Rows followed by rows of ``fill`` up to whole tiles."""
    missing = -len(rows) % launch.TILE
    if not missing:
        return rows
    return torch.cat([rows, rows.new_full((missing, *rows.shape[1:]), fill)])


def _joined(n: int, parts: list[tuple[NDArray[np.int64], _blocks.Lists]]) -> _blocks.Lists:
    """Lists of n y's from parts (places, lists), all as wide as the widest."""
    if len(parts) == 1 and len(parts[0][0]) == n and (np.diff(parts[0][0]) > 0).all():
        return parts[0][1]
    width = max(lists.x_rows.shape[1] for _, lists in parts)
    joined = _blocks.Lists(
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
