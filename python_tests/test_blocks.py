"""Blocks, lists and resolution in order, with the plainest source of lists: all cosines."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest
import torch

from gtn_fast.backends.lists import blocks
from gtn_fast.backends.lists.blocks import NO_RANK, Assignment, Lists, choose_in_blocks
from gtn_fast.backends.lists.rest import match_rest
from gtn_fast.inputs.matrices import Held
from gtn_fast.reference import match


class AllCosines:
    """Every cosine with every free x; lists of the best, complete down to their last entry."""

    def __init__(self, native, x, y, rank):
        self.native, self.x, self.y, self.rank = native, x, y, rank
        self.free = np.ones(len(x), bool)

    def search(self, y_rows, wanted, again):
        free = np.flatnonzero(self.free)
        every = np.broadcast_to(free, (len(y_rows), len(free))).copy()
        cosine = self.native.evaluate_lists(self.x, self.y, y_rows, every, threads=2)
        order = np.lexsort((np.broadcast_to(self.rank[free], cosine.shape), -cosine), axis=1)
        best = order[:, :wanted]
        lists = np.take_along_axis(every, best, 1)
        found = np.take_along_axis(cosine, best, 1)
        if wanted >= len(free):
            level = (np.full(len(y_rows), -np.inf), np.full(len(y_rows), NO_RANK))
        else:
            level = (found[:, -1].copy(), self.rank[lists[:, -1]])
        return Lists(lists, found, *level)

    def take(self, x_rows):
        assert self.free[x_rows].all()
        self.free[x_rows] = False


def ranks(native, x):
    rank = np.empty(len(x), np.uint32)
    rank[native.norm_order(x, threads=2)] = np.arange(len(x), dtype=np.uint32)
    return rank


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize(("n_x", "n_y", "d"), [(300, 300, 3), (200, 150, 20), (1, 1, 2)])
@pytest.mark.parametrize(("block", "list_length"), [(0, 0), (7, 1), (64, 5)])
def test_equals_the_reference(native, name, n_x, n_y, d, block, list_length):
    x, y = cases.make(name, n_x, n_y, d)
    expected, cosine, order = match(x, y)
    rank = ranks(native, x)
    settled = Assignment(n_x, n_y)
    source = AllCosines(native, x, y, rank)
    turns = native.norm_order(y, threads=1).astype(np.int64)
    assert (turns == order).all()
    choose_in_blocks(source, rank, turns, settled, block=block, list_length=list_length)
    assert (settled.x_index == expected).all()
    assert (settled.cosine == cosine).all()
    assert settled.done == n_y


def test_stops_and_goes_on(native):
    x, y = cases.make("gaussian", 200, 200, 5)
    rank = ranks(native, x)
    turns = native.norm_order(y, threads=1).astype(np.int64)
    settled = Assignment(200, 200)
    source = AllCosines(native, x, y, rank)
    choose_in_blocks(source, rank, turns, settled, stop=77)
    assert settled.done == 77
    assert (settled.x_index[turns[77:]] == -1).all()
    choose_in_blocks(source, rank, turns, settled)
    assert (settled.x_index == match(x, y)[0]).all()


def test_a_source_that_finds_nothing_is_an_error(native):
    x, y = cases.make("gaussian", 50, 50, 5)
    rank = ranks(native, x)

    class Blind(AllCosines):
        def search(self, y_rows, wanted, again):
            lists = super().search(y_rows, wanted, again)
            return lists._replace(level_cosine=np.full(len(y_rows), 2.0))

    with pytest.raises(RuntimeError, match="found nothing"):
        choose_in_blocks(
            Blind(native, x, y, rank), rank, np.arange(50, dtype=np.int64), Assignment(50, 50)
        )


@pytest.mark.parametrize("d", [1, 2, 3, 40])
def test_rows_that_take_part(native, d):
    """What is left out of both sides need not be copied away."""
    x, y = cases.make("clustered", 300, 260, d)
    rng = np.random.default_rng(5)
    x_rows = np.sort(rng.permutation(300)[:200]).astype(np.uint32)
    y_rows = np.sort(rng.permutation(260)[:180]).astype(np.uint32)
    expected, cosine, order = match(x[x_rows], y[y_rows])
    strategies = {1: ["ray", "screen"], 2: ["circle", "tree", "screen"], 3: ["tree", "screen"]}
    for strategy in strategies.get(d, ["screen"]):
        for threads in (1, 2):
            got = native.match(
                x, y, strategy=strategy, threads=threads, x_rows=x_rows, y_rows=y_rows
            )
            assert (got[0][y_rows] == x_rows[expected]).all()
            assert (got[1][y_rows] == cosine).all()
            assert (got[2] == y_rows[order]).all()
            others = np.setdiff1d(np.arange(260), y_rows)
            assert (got[0][others] == -1).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([3, 2], "ascend"),
        ([2, 2], "ascend"),
        ([1, 300], "in range"),
        ([], "no row"),
    ],
)
def test_rows_that_cannot_take_part(native, rows, message):
    x, y = cases.make("gaussian", 300, 2, 4)
    with pytest.raises(ValueError, match=message):
        native.match(x, y, strategy="screen", threads=1, x_rows=np.array(rows, np.uint32))


@pytest.mark.parametrize(("strategy", "n"), [("tree", 300_000), ("screen", 80_000)])
def test_pairs_are_handed_over_while_the_match_goes_on(native, strategy, n):
    """Every pair once, in order of choice; what came before an interruption is final."""
    x, y = cases.make("gaussian", n, n, 8)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def settled(*pairs):
        parts.append(pairs)

    x_index, cosine, order, _ = native.match(
        x, y, strategy=strategy, threads=2, settled=settled, settled_every=0.0
    )
    y_rows, x_rows, cosines = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert (y_rows == order).all()
    assert (x_rows == x_index[order]).all()
    assert (cosines == cosine[order]).all()

    parts.clear()

    def stop_midway(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        native.match(
            x, y, strategy=strategy, threads=2, settled=settled, progress=stop_midway, block=500
        )
    y_rows, x_rows, _ = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert 0 < len(y_rows) < len(y)
    assert (y_rows == order[: len(y_rows)]).all()
    assert (x_rows == x_index[y_rows]).all()


# ------------------------------------------------------------------ blocks and their counters


class Counted(AllCosines):
    """Counts what is asked for; lists hold one place more than they need, with no x in it."""

    asked: list[tuple[int, bool]]
    listed: list[int]

    def search(self, y_rows, wanted, again):
        self.asked.append((len(y_rows), again))
        found = super().search(y_rows, wanted, again)
        if not again:
            self.listed.extend(found.x_rows.ravel())
        places = (len(y_rows), 1)
        return found._replace(
            x_rows=np.hstack([np.full(places, -1), found.x_rows]),
            cosine=np.hstack([np.full(places, -np.inf), found.cosine]),
        )


@pytest.fixture
def counted(native):
    x, y = cases.make("gaussian", 90, 60, 4)
    rank = ranks(native, x)
    source = Counted(native, x, y, rank)
    source.asked, source.listed = [], []
    turns = native.norm_order(y, threads=1).astype(np.int64)
    return source, rank, turns, match(x, y)


def test_ranks_are_places_in_an_order():
    order = np.array([3, 0, 2, 1], np.uint32)
    assert blocks.ranks_of(order).tolist() == [1, 3, 2, 0]


def test_what_a_block_costs_is_counted(counted):
    source, rank, turns, (expected, cosine, _) = counted
    state = Assignment(90, 60)
    shown, handed = [], []
    count = choose_in_blocks(
        source,
        rank,
        turns,
        state,
        block=25,
        list_length=2,
        progress=lambda done, total: shown.append((done, total)),
        hand_over=lambda *pairs: handed.append(pairs),
    )
    assert (state.x_index == expected).all()
    assert [n for n, again in source.asked if not again] == [25, 25, 10]
    repeats = [n for n, again in source.asked if again]
    assert repeats
    assert count["blocks"] == 3
    assert count["lists_dry"] == count["searched_again"] == sum(repeats)
    assert 0 in source.listed
    assert count["candidates"] == len(source.listed)  # not the places without an x
    assert shown == [(25, 60), (50, 60), (60, 60)]
    for (rows, chosen, cosines), (a, b) in zip(handed, [(0, 25), (25, 50), (50, 60)], strict=True):
        assert (rows == turns[a:b]).all()
        assert (chosen == expected[rows]).all()
        assert (cosines == cosine[rows]).all()


@pytest.mark.parametrize("block", [3, 40])
@pytest.mark.parametrize("widths", [(1,), (9,), (1, 5, 2)])
def test_lists_of_any_width_replace_dry_ones(native, widths, block):
    """Second searches that return narrower and wider lists than the first."""
    x, y = cases.make("clustered", 90, 80, 4)
    rank = ranks(native, x)
    turns = native.norm_order(y, threads=1).astype(np.int64)
    places = itertools.cycle(widths)

    class Uneven(AllCosines):
        def search(self, y_rows, wanted, again):
            return super().search(y_rows, next(places) if again else 1, again)

    state = Assignment(90, 80)
    source = Uneven(native, x, y, rank)
    count = choose_in_blocks(source, rank, turns, state, block=block, list_length=1)
    assert count["lists_dry"] > 0
    assert (state.x_index == match(x, y)[0]).all()


@pytest.mark.parametrize("before", [0, 10])
def test_the_size_of_blocks_follows_what_is_free(counted, monkeypatch, before):
    """The policy is told how many were served, how many ran dry, and what is left to take."""
    source, rank, turns, _ = counted
    told = []

    class Policy:
        size, wanted = 20, 1

        def __init__(self, **named):
            told.append(named)

        def served(self, *numbers):
            told.append(numbers)

    class Engine:
        BlockPolicy = Policy
        resolve_lists = staticmethod(source.native.resolve_lists)

    monkeypatch.setattr(blocks.native, "module", lambda: Engine)
    state = Assignment(90, 60)
    if before:  # so many x's were taken
        state.before = before
        state.taken[:before] = 1
        source.free[:before] = False
    choose_in_blocks(source, rank, turns, state, block=5, list_length=2, wanted=4)
    assert told[0] == {"block": 5, "list_length": 2, "wanted": 4}
    assert [(n, free) for n, _, free in told[1:]] == [
        (20, 90 - before - done) for done in (20, 40, 60)
    ]
    assert sum(dry for _, dry, _ in told[1:]) == sum(n for n, again in source.asked if again)


# ------------------------------------------------------------------ the last stretch


def begun(x, y, native, n):
    """An assignment whose first ``n`` turns are over, as the reference has them."""
    expected, cosine, order = match(x, y)
    state = Assignment(len(x), len(y))
    rows = order[:n]
    state.x_index[rows], state.cosine[rows] = expected[rows], cosine[rows]
    state.taken[expected[rows]] = 1
    state.done = n
    return state, order


def held(x):
    return Held(torch.from_numpy(x), x.dtype)  # of the host: rows come from it alike


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize("kind", ["array", "held x", "held y", "both held"])
def test_the_engine_ends_what_was_begun(native, name, kind):
    x, y = cases.make(name, 120, 100, 3)
    expected, cosine, _ = match(x, y)
    given_x = held(x) if kind in ("held x", "both held") else x
    given_y = held(y) if kind in ("held y", "both held") else y
    for n in (0, 1, 60, 99, 100):
        state, turns = begun(x, y, native, n)
        shown, handed = [], []
        left = match_rest(
            given_x,
            given_y,
            turns,
            state,
            threads=2,
            progress=lambda *at, to=shown: to.append(at),
            hand_over=lambda *pairs, to=handed: to.append(pairs),
        )
        assert left == 100 - n
        assert state.done == 100
        assert (state.x_index == expected).all()
        assert (state.cosine == cosine).all()
        assert all(n <= done <= total == 100 for done, total in shown)
        assert len(handed) == (n < 100)
        for rows, chosen, cosines in handed:
            assert (rows == turns[n:]).all()
            assert (chosen == expected[rows]).all()
            assert (cosines == cosine[rows]).all()


def test_the_rest_counts_on_from_what_was_done(native, monkeypatch):
    run = blocks.native.match

    def tells(*arrays, progress, **named):
        progress(7, 40)
        return run(*arrays, progress=progress, **named)

    monkeypatch.setattr(blocks.native, "match", tells)
    x, y = cases.make("gaussian", 120, 100, 3)
    state, turns = begun(x, y, native, 60)
    shown = []
    match_rest(x, y, turns, state, threads=1, progress=lambda *at: shown.append(at))
    assert shown[0] == (67, 100)
