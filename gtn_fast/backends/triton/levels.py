"""Lists cut to length, and lists of classes spelled out, with the levels that follow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends.lists.blocks import NO_RANK, Lists
from gtn_fast.backends.triton.classes import Classes


def cut(lists: Lists, rank: NDArray[np.uint32], keep: int) -> Lists:
    """Keep the ``keep`` best of every list, by cosine, then rank; best first."""
    place = np.where(lists.x_rows >= 0, rank[lists.x_rows], NO_RANK)
    order = np.lexsort((place, -lists.cosine), axis=1)[:, : keep + 1]
    cosine = np.take_along_axis(lists.cosine, order, 1)
    x_rows = np.take_along_axis(lists.x_rows, order, 1)
    if order.shape[1] <= keep:
        return lists._replace(x_rows=x_rows, cosine=cosine)
    missing = x_rows[:, keep] >= 0  # something was cut: the list ends with the last it keeps
    last = np.where(missing, cosine[:, keep - 1], -np.inf)
    return Lists(
        np.ascontiguousarray(x_rows[:, :keep]),
        np.ascontiguousarray(cosine[:, :keep]),
        *_stricter(lists, last, rank[x_rows[:, keep - 1]]),
    )


def with_members(lists: Lists, rank: NDArray[np.uint32], classes: Classes, keep: int) -> Lists:
    """Put the next free rows of each candidate's class beside it, about ``keep`` in all.

    ``lists`` holds first free rows, best first. Where a class has more than its list takes,
    the list is complete down to the last it took.
    """
    there = lists.x_rows >= 0
    of = np.where(there, classes.of_row[lists.x_rows], 0)
    left = np.where(there, classes.left(of), 0)
    before = np.cumsum(left, axis=1) - left
    take = np.where(there, np.clip(keep - before, 1, np.maximum(left, 1)), 0)
    n, k = take.shape
    total = take.sum(axis=1)
    entry = np.repeat(np.arange(n * k), take.ravel())
    step = np.arange(len(entry)) - np.repeat(_starts(take.ravel()), take.ravel())
    row = entry // k
    place = np.arange(len(entry)) - _starts(total)[row]
    x_rows = np.full((n, max(1, int(total.max(initial=0)))), -1, np.int64)
    cosine = np.full(x_rows.shape, -np.inf)
    x_rows[row, place] = classes.members[classes.next[of.ravel()[entry]] + step]
    cosine[row, place] = lists.cosine.ravel()[entry]

    short = take < left
    worst = np.where(short, lists.cosine, -np.inf)
    best_short = worst.max(axis=1)
    last = np.full(short.shape, NO_RANK)
    last[short] = rank[classes.members[classes.next[of[short]] + take[short] - 1]]
    at_best = short & (lists.cosine == best_short[:, None])
    last_rank = np.where(at_best, last, NO_RANK).min(axis=1)
    return Lists(x_rows, cosine, *_stricter(lists, best_short, last_rank))


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(sizes) - sizes


def _stricter(
    lists: Lists, cosine: NDArray[np.float64], rank: NDArray[np.uint32]
) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """Return the higher of each list's level and (cosine, rank); ties: the smaller rank."""
    higher = cosine > lists.level_cosine
    equal = (cosine == lists.level_cosine) & (cosine > -np.inf)
    level_rank = np.where(higher, rank, lists.level_rank)
    level_rank = np.where(equal, np.minimum(rank, lists.level_rank), level_rank)
    return np.where(higher, cosine, lists.level_cosine), level_rank.astype(np.uint32)
