"""Matching inside groups (appendix C), few and many, against one reference call a group."""

from __future__ import annotations

import threading
import time

import cases
import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast.backends import native as native_backend
from gtn_fast.backends.interface import Matched
from gtn_fast.inputs.groups import integers, split_groups
from gtn_fast.reference import match, rank
from gtn_fast.run import groups as groups_module
from gtn_fast.run.groups import match_groups, unsettled


@pytest.fixture(params=["reference", "auto"])
def method(request):
    if request.param == "auto":
        request.getfixturevalue("native")
    return request.param


def by_hand(x, y, gx, gy):
    x_index = np.full(len(y), -1)
    order = []
    for group in np.unique(gy):
        x_rows, y_rows = np.flatnonzero(gx == group), np.flatnonzero(gy == group)
        chosen, _, turns = match(x[x_rows], y[y_rows])
        x_index[y_rows] = x_rows[chosen]
        order.extend(y_rows[turns])
    return x_index, np.array(order)


def random_groups(rng, n_x, n_y, count):
    """Labels such that each group has at least as many x's as y's."""
    gy = rng.integers(-count // 2, count - count // 2, n_y)
    gx = np.concatenate([gy, rng.integers(-count, count, n_x - n_y)])
    return rng.permutation(gx), gy


@pytest.mark.parametrize("case", ["gaussian", "integers", "all_equal"])
@pytest.mark.parametrize("d", [1, 2, 3, 20])
@pytest.mark.parametrize("count", [1, 2, 10, 150])
@pytest.mark.parametrize("threads", [1, 2])
def test_groups(method, rng, case, d, count, threads):
    x, y = cases.make(case, 300, 250, d)
    gx, gy = random_groups(rng, 300, 250, count)
    labels = gtn_fast.label(x, y, method=method, groups=(gx, gy), threads=threads)
    x_index, order = by_hand(x, y, gx, gy)
    assert (labels.x_index == x_index).all()
    assert (labels.order == order).all()
    assert (gx[labels.x_index] == gy).all()
    assert labels.report["groups"] == len(np.unique(gy))
    assert gtn_fast.verify(x, y, labels, groups=(gx, gy)).complete


@pytest.mark.parametrize(
    "container", [list, tuple, torch.tensor, lambda g: g.astype(np.uint8), lambda g: g[::-1][::-1]]
)
def test_containers_of_group_labels(rng, container):
    x, y = cases.make("gaussian", 30, 20, 3)
    gx, gy = random_groups(rng, 30, 20, 3)
    gx, gy = gx + 5, gy + 5
    expected = gtn_fast.label(x, y, method="reference", groups=(gx, gy))
    labels = gtn_fast.label(x, y, method="reference", groups=(container(gx), container(gy)))
    assert (labels.x_index == expected.x_index).all()


def test_large_and_small_groups_take_their_own_paths(rng, monkeypatch, method):
    """Sizes around the limit run in the pool and on the team: the same answer."""
    x, y = cases.make("gaussian", 400, 400, 3)
    gx = np.repeat(np.arange(5), [200, 100, 50, 25, 25])
    gy = rng.permutation(gx)
    x_index, order = by_hand(x, y, gx, gy)
    for limit in (0, 50 * 50 * 3, 10**9):
        monkeypatch.setattr(groups_module, "_LARGE_VALUES", limit)
        for task in (1, 64):
            monkeypatch.setattr(groups_module, "_TASK_GROUPS", task)
            seen = []
            labels = gtn_fast.label(
                x,
                y,
                method=method,
                groups=(gx, gy),
                threads=3,
                progress=lambda done, total: seen.append((done, total)),  # noqa: B023
            )
            assert (labels.x_index == x_index).all()
            assert (labels.order == order).all()
            assert [done for done, _ in seen] == sorted(done for done, _ in seen)
            assert seen[-1] == (400, 400)


def test_error_in_a_pool_reaches_the_caller(monkeypatch, rng):
    x, y = cases.make("gaussian", 200, 200, 3)
    g = np.arange(200) // 2
    monkeypatch.setattr(groups_module, "_TASK_GROUPS", 4)

    def fail(*args):
        raise RuntimeError("in a worker")

    parts = [(k, np.array([2 * k, 2 * k + 1]), np.array([2 * k, 2 * k + 1])) for k in g[::2]]
    with pytest.raises(RuntimeError, match="in a worker"):
        match_groups(x, y, parts, fail, threads=2, progress=None)


def test_rank_in_groups(rng):
    x, y = rng.standard_normal((60, 1)), rng.standard_normal((40, 1))
    gx, gy = random_groups(rng, 60, 40, 4)
    labels = gtn_fast.label(x, y, method="rank", groups=(gx, gy))
    for group in np.unique(gy):
        x_rows, y_rows = np.flatnonzero(gx == group), np.flatnonzero(gy == group)
        expected = rank(x[x_rows], y[y_rows])[0]
        assert (labels.x_index[y_rows] == x_rows[expected]).all()
    gtn_fast.verify(x, y, labels, groups=(gx, gy))


def test_drawn_y_with_groups(rng):
    x = rng.standard_normal((60, 3))
    g = rng.integers(0, 3, 60)
    labels = gtn_fast.label(x, groups=(g, g), method="reference", seed=1)
    assert (labels.x_index == by_hand(x, gtn_fast.normal(1, 0, 60, 3), g, g)[0]).all()


def test_one_group_is_no_group(rng):
    x, y = cases.make("integers", 60, 50, 3)
    whole = gtn_fast.label(x, y, method="reference")
    one = gtn_fast.label(x, y, method="reference", groups=(np.zeros(60, int), np.zeros(50, int)))
    assert (whole.x_index == one.x_index).all()
    assert (whole.order == one.order).all()
    assert (whole.cosine == one.cosine).all()


@pytest.mark.parametrize(
    ("gx", "gy", "message"),
    [
        ([0, 0, 1, 1], [0, 0, 0], "group 0 has 3 rows of Y but only 2 rows of X"),
        ([0, 0, 1, 1], [0, 0, 7], "group 7 has 1 rows of Y but only 0 rows of X"),
        ([5, 5, 5, 5], [-3, 5, 5], "group -3 has 1 rows of Y but only 0 rows of X"),
        ([5, 5, 5, 5], [9, 5, 5], "group 9 has 1 rows of Y but only 0 rows of X"),
        ([0, 0, 1], [0, 0, 1], r"groups\[0\] must have shape \(4,\)"),
        ([0, 0, 1, 1], [[0], [0], [1]], r"groups\[1\] must have shape \(3,\)"),
        (np.array([2**63, 0, 0, 0], np.uint64), [0, 0, 0], "above the int64 range"),
    ],
)
def test_bad_values(rng, gx, gy, message):
    with pytest.raises(ValueError, match=message):
        gtn_fast.label(
            rng.standard_normal((4, 2)),
            rng.standard_normal((3, 2)),
            method="reference",
            groups=(gx, gy),
        )


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0] * 4], r"groups must be a pair \(gx, gy\)"),
        (np.zeros((2, 4)), r"groups must be a pair \(gx, gy\)"),
        (5, r"groups must be a pair \(gx, gy\)"),
        (
            ([0.0] * 4, [0] * 3),
            r"must hold integers, strings or booleans, got float",
        ),
        (([0] * 4, ["a"] * 3), r"groups\[0\] has integers, groups\[1\] strings"),
        (([True] * 4, [1] * 3), r"groups\[0\] has booleans, groups\[1\] integers"),
        (([0] * 4, np.zeros(3)), r"groups\[1\] must hold .*, got dtype float64"),
        (([0] * 4, [1, "a", 2]), r"groups\[1\] must hold .*, got int and str"),
        (([object()] * 4, [1] * 3), r"groups\[0\] must hold .*, got object"),
        (([0] * 4, np.array([1, "a", 2.5], object)), r"groups\[1\] .*, got float and int and str"),
    ],
)
def test_bad_types(rng, groups, message):
    with pytest.raises(TypeError, match=message):
        gtn_fast.label(
            rng.standard_normal((4, 2)),
            rng.standard_normal((3, 2)),
            method="reference",
            groups=groups,
        )


def test_many_small_groups_are_quick(native, rng, monkeypatch):
    """20,000 groups of 5: each row is gathered once, nothing is as large as rows times groups."""
    n = 100_000
    g = rng.integers(0, n // 5, n)
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((n, 3))
    gathered = []
    run = native_backend.match
    monkeypatch.setattr(
        native_backend,
        "match",
        lambda x, y, **k: gathered.append((len(x), len(y))) or run(x, y, **k),
    )
    sorts = []
    argsort = np.argsort
    monkeypatch.setattr(np, "argsort", lambda a, **k: sorts.append(len(a)) or argsort(a, **k))
    labels = gtn_fast.label(x, y, groups=(g, rng.permutation(g)))
    monkeypatch.undo()
    assert len(np.unique(labels.x_index)) == n
    assert len(gathered) == len(np.unique(g))
    assert np.sum(gathered, axis=0).tolist() == [n, n]
    assert sorts == [n, n]  # each side once


# ------------------------------------------------------------------ how the groups are run

SIZES = (4, 2, 6, 3)  # of the groups, as large in X as in Y; two more rows are in none


class Parts:
    """A backend by the oracle that keeps what it was asked; ``streams``: pairs as they come."""

    def __init__(self, streams=False):
        self.asked, self.streams = [], streams

    def __call__(self, part, threads, progress, settled):
        self.asked.append((part, threads))
        subset = part.x_rows is not None
        x, y = (part.x[part.x_rows], part.y[part.y_rows]) if subset else (part.x, part.y)
        x_index, cosine, order = match(x, y)
        if progress is not None:
            progress(1, len(y))
        if settled is not None and self.streams:
            at = (part.y_rows, part.x_rows) if subset else (np.arange(len(y)), np.arange(len(x)))
            for i in order:
                settled(at[0][[i]], at[1][x_index[[i]]], cosine[[i]])
        if not subset:
            return Matched(x_index, cosine, order, {"calls": 1.0, "rows": float(len(y))})
        whole = Matched(np.full(len(part.y), -9), np.zeros(len(part.y)), part.y_rows[order], {})
        whole.x_index[part.y_rows] = part.x_rows[x_index]
        whole.cosine[part.y_rows] = cosine
        return whole._replace(report={"calls": 1.0, "rows": float(len(y))})


@pytest.fixture
def grouped(rng):
    n = sum(SIZES) + 2
    x, y = rng.standard_normal((n, 2)), rng.standard_normal((n, 2))
    gx, gy = (rng.permutation(np.repeat([0, 1, 2, 3, 9], [*SIZES, 2])) for _ in range(2))
    parts = [(k, np.flatnonzero(gx == k), np.flatnonzero(gy == k)) for k in range(len(SIZES))]
    return x, y, parts


def expect(found, x, y, parts):
    order = []
    for _, x_rows, y_rows in parts:
        x_index, cosine, turns = match(x[x_rows], y[y_rows])
        assert (found.x_index[y_rows] == x_rows[x_index]).all()
        assert (found.cosine[y_rows] == cosine).all()
        order.extend(y_rows[turns])
    assert (found.order == order).all()
    none = np.setdiff1d(np.arange(len(y)), order)
    assert len(none) == 2
    assert (found.x_index[none] == -1).all()
    assert (found.cosine[none] == 0).all()


@pytest.mark.parametrize("task", [1, 64])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("subsets", [False, True])
def test_each_group_is_run_by_its_size(grouped, monkeypatch, task, threads, streams, subsets):
    x, y, parts = grouped
    monkeypatch.setattr(groups_module, "_LARGE_VALUES", 4 * 4 * 2)  # as large as the first
    monkeypatch.setattr(groups_module, "_TASK_GROUPS", task)
    run, settled, shown = Parts(streams), [], []
    found = match_groups(
        x,
        y,
        parts,
        run,
        threads=threads,
        progress=lambda done, total: shown.append((done, total)),
        settled=lambda *pairs: settled.append(pairs),
        takes_row_subsets=subsets,
        streams_pairs=streams,
        done=2,
    )
    expect(found, x, y, parts)
    assert found.report == {"calls": 4.0, "rows": float(sum(SIZES))}
    teams = {part.sizes: team for part, team in run.asked}
    assert teams == {(2, 2): 1, (3, 3): 1, (4, 4): threads, (6, 6): threads}
    assert all(
        (part.x is x) == (part.y is y) == (subsets and part.sizes[0] >= 4) for part, _ in run.asked
    )
    if not subsets or streams:  # a backend that takes rows hands over pairs itself
        y_rows, x_rows, cosine = (np.concatenate(column) for column in zip(*settled, strict=True))
        assert sorted(y_rows) == sorted(found.order)
        assert (x_rows == found.x_index[y_rows]).all()
        assert (cosine == found.cosine[y_rows]).all()
        place = np.argsort(found.order)[np.searchsorted(np.sort(found.order), y_rows)]
        for (_, _, rows), size in zip(parts, SIZES, strict=True):
            assert (np.diff(place[np.isin(y_rows, rows)]) == 1).all()  # in order of choice
            assert np.isin(y_rows, rows).sum() == size
    small = [(4, 17), (7, 17)] if task == 1 else [(7, 17)]
    if threads > 1 and task == 1 and shown[0] == (4, 17):
        assert shown[:2] == small
    assert shown[-4:] == [(8, 17), (11, 17), (12, 17), (17, 17)]


def test_a_single_group_has_all_threads_and_no_copies(grouped):
    x, y, _ = grouped
    run = Parts()
    parts = [(0, np.arange(len(x)), np.arange(len(y)))]
    found = match_groups(x, y, parts, run, threads=3, progress=None)
    ((part, team),) = run.asked
    assert team == 3
    assert part.x is x
    assert part.y is y
    assert (found.x_index == match(x, y)[0]).all()
    assert part.sizes == (len(x), len(y))


def test_an_error_stops_the_other_groups(monkeypatch):
    """Who is at work ends with the group at hand, and no other one begins."""
    x = np.zeros((400, 1))
    monkeypatch.setattr(groups_module, "_TASK_GROUPS", 200)
    parts = [(k, np.array([k]), np.array([k])) for k in range(400)]
    ran, at_work = [], threading.Event()

    def run(part, threads, progress, settled):
        first = not ran
        ran.append(threads)
        if first:
            assert at_work.wait(300)
            raise RuntimeError("in a worker")
        at_work.set()
        time.sleep(0.02)  # the others are 4 s of it: time enough to be stopped
        return Matched(np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64), {})

    with pytest.raises(RuntimeError, match="in a worker"):
        match_groups(x, x, parts, run, threads=2, progress=None)
    assert 2 <= len(ran) < 200


def test_what_is_settled_is_left_out(rng):
    taken, chosen = rng.random(30) < 0.5, rng.random(30) < 0.5
    parts = [(k, np.arange(k, 30, 3), np.arange(k, 30, 3)) for k in range(3)]
    chosen[parts[1][2]] = True
    rest = unsettled(parts, taken, chosen)
    assert [label for label, _, _ in rest] == [0, 2]
    for label, x_rows, y_rows in rest:
        assert (x_rows == [k for k in range(label, 30, 3) if not taken[k]]).all()
        assert (y_rows == [k for k in range(label, 30, 3) if not chosen[k]]).all()


def test_the_first_group_that_is_short_is_named(rng):
    x, y = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
    with pytest.raises(ValueError, match="group 1 has 3 rows of Y but only 2 rows of X"):
        gtn_fast.label(x, y, groups=([0, 1, 1, 2, 0, 3], [3, 3, 1, 1, 0, 1]), method="reference")


def test_groups_with_gaps_between_them():
    """X's of groups without y's lie before, between and behind the others."""
    gx = np.array([7, -5, 3, 0, 3, 9, 7, 3, 12, 0])
    gy = np.array([3, 7, 3])
    found = list(split_groups(gx, gy))
    assert [label for label, _, _ in found] == [3, 7]
    assert [x_rows.tolist() for _, x_rows, _ in found] == [[2, 4, 7], [0, 6]]
    assert [y_rows.tolist() for _, _, y_rows in found] == [[0, 2], [1]]


def test_labels_of_any_integer_type():
    largest = np.iinfo(np.int64).max
    for given in ([0, largest], np.array([0, largest], np.uint64), np.array([], np.uint64)):
        found = integers(given, "g")
        assert found.dtype == np.int64
        assert found.tolist() == list(given)
    with pytest.raises(ValueError, match="g holds numbers above the int64 range"):
        integers(np.array([largest + 1, 0], np.uint64), "g")
