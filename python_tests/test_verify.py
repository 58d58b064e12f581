"""verify: right answers pass, every kind of wrong answer is caught with its counter-example."""

from __future__ import annotations

import dataclasses
import tracemalloc

import cases
import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast import WrongMatching
from gtn_fast.check import turns
from gtn_fast.reference import directions_and_norms, ordered_dot


@pytest.fixture
def problem():
    x, y = cases.make("gaussian", 120, 100, 4)
    return x, y, gtn_fast.label(x, y, method="reference")


def changed(labels, **changes):
    return dataclasses.replace(labels, **changes)


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize("d", [1, 2, 5, 20])
def test_right_answers_pass(name, d):
    x, y = cases.make(name, 150, 120, d)
    labels = gtn_fast.label(x, y, method="reference")
    report = gtn_fast.verify(x, y, labels)
    assert report.complete
    assert (report.n_x, report.n_y, report.d, report.checked) == (150, 120, d, 120)
    u, v = (directions_and_norms(part)[0] for part in (x[labels.x_index], y))
    cosines = ordered_dot(u, v)
    assert report.min_cosine == cosines.min()
    assert report.mean_cosine == pytest.approx(cosines.mean())
    assert gtn_fast.verify(x, y, labels.x_index).complete


@pytest.mark.parametrize("blocks", [1, 50, 10**6])
def test_block_size_does_not_matter(monkeypatch, blocks):
    monkeypatch.setattr(turns, "_BLOCK_VALUES", blocks)
    monkeypatch.setattr(turns, "_PAIR_VALUES", blocks)
    for name in ("integers", "all_equal", "gaussian"):
        x, y = cases.make(name, 60, 50, 3)
        labels = gtn_fast.label(x, y, method="reference")
        assert gtn_fast.verify(x, y, labels).complete
        wrong = labels.x_index.copy()
        wrong[labels.order[[0, -1]]] = wrong[labels.order[[-1, 0]]]
        with pytest.raises(WrongMatching, match="was free at its turn and comes first"):
            gtn_fast.verify(x, y, wrong)


def test_containers_and_stored_y(problem):
    x, y, labels = problem
    assert gtn_fast.verify(torch.tensor(x), torch.tensor(y), labels) == gtn_fast.verify(
        x, y, labels
    )
    assert gtn_fast.verify(x, None, labels) == gtn_fast.verify(x, y, labels)
    assert gtn_fast.verify(x, y, torch.tensor(labels.x_index)).complete
    assert gtn_fast.verify(x, y, labels.x_index.tolist()).complete
    drawn = gtn_fast.label(x, method="reference", seed=3)
    assert gtn_fast.verify(x, None, drawn).complete


def test_sample(problem):
    x, y, labels = problem
    report = gtn_fast.verify(x, y, labels, sample=30)
    assert (report.checked, report.complete) == (30, False)
    assert gtn_fast.verify(x, y, labels, sample=30, seed=1) != report
    assert gtn_fast.verify(x, y, labels, sample=100).complete


def test_swapped_pair(problem):
    x, y, labels = problem
    early, late = (int(labels.order[k]) for k in (10, 60))
    wrong = labels.x_index.copy()
    wrong[[early, late]] = wrong[[late, early]]
    with pytest.raises(WrongMatching) as caught:
        gtn_fast.verify(x, y, wrong)
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.y_row == early
    assert error.x_row == labels.x_index[late]
    assert error.better_x_row == labels.x_index[early]
    assert error.better_cosine > error.cosine
    assert f"row {early} of Y has row {error.x_row} of X" in str(error)
    assert f"row {error.better_x_row} of X" in str(error)


def test_every_swap_of_neighbours_in_turn(problem):
    """Any exchange of two x's harms the earlier y: it had the best of what was free."""
    x, y, labels = problem
    for k in range(len(y) - 1):
        pair = labels.order[[k, k + 1]]
        wrong = labels.x_index.copy()
        wrong[pair] = wrong[pair[::-1]]
        with pytest.raises(WrongMatching) as caught:
            gtn_fast.verify(x, y, wrong)
        assert caught.value.y_row == pair[0]


def test_an_x_that_was_never_taken_is_better(problem):
    x, y, labels = problem
    unused = np.setdiff1d(np.arange(len(x)), labels.x_index)
    row = int(labels.order[50])
    wrong = labels.x_index.copy()
    wrong[row] = unused[0]
    with pytest.raises(WrongMatching) as caught:
        gtn_fast.verify(x, y, wrong)
    assert caught.value.y_row == row
    assert caught.value.better_x_row == labels.x_index[row]


def test_duplicate(problem):
    x, y, labels = problem
    wrong = labels.x_index.copy()
    wrong[70] = wrong[20]
    with pytest.raises(WrongMatching, match="is given twice: to rows 20 and 70 of Y"):
        gtn_fast.verify(x, y, wrong)


@pytest.mark.parametrize("value", [-1, 120, 2**40])
def test_out_of_range(problem, value):
    x, y, labels = problem
    wrong = labels.x_index.copy()
    wrong[33] = value
    with pytest.raises(WrongMatching, match=f"row 33 of Y has row {value} of X, but X has rows 0"):
        gtn_fast.verify(x, y, wrong)


def test_tie_broken_towards_the_larger_norm():
    x, y = np.array([[1.0, 1], [2, 2], [3, 3]]), np.array([[1.0, 1], [9, 9]])
    assert gtn_fast.verify(x, y, [0, 1]).contenders > 0
    for wrong in ([1, 0], [0, 2], [2, 1]):
        with pytest.raises(WrongMatching, match="comes first") as caught:
            gtn_fast.verify(x, y, wrong)
        assert caught.value.cosine == caught.value.better_cosine


def test_tie_broken_towards_the_larger_row():
    x, y = np.ones((3, 2)), np.array([[1.0, 1], [9, 9]])
    assert gtn_fast.verify(x, y, [0, 1]).complete
    with pytest.raises(WrongMatching) as caught:
        gtn_fast.verify(x, y, [0, 2])
    assert (caught.value.y_row, caught.value.x_row, caught.value.better_x_row) == (1, 2, 1)


def test_tie_at_the_order_of_y():
    """Equal norms choose by row: the later row must not have been first."""
    x, y = np.array([[1.0, 0], [0, 1]]), np.array([[1.0, 1], [1, 1]])
    assert gtn_fast.verify(x, y, [0, 1]).complete
    with pytest.raises(WrongMatching):
        gtn_fast.verify(x, y, [1, 0])


def test_wrong_order(problem):
    x, y, labels = problem
    order = labels.order.copy()
    order[[4, 5]] = order[[5, 4]]
    with pytest.raises(WrongMatching, match="order is wrong at turn 4"):
        gtn_fast.verify(x, y, changed(labels, order=order))


def test_wrong_cosine(problem):
    x, y, labels = problem
    cosine = labels.cosine.copy()
    cosine[17] = np.nextafter(cosine[17], np.float32(2))
    with pytest.raises(WrongMatching, match="row 17 of Y: cosine is given as"):
        gtn_fast.verify(x, y, changed(labels, cosine=cosine))


def test_rank(rng):
    x, y = rng.standard_normal((100, 1)), rng.standard_normal((70, 1))
    labels = gtn_fast.label(x, y, method="rank")
    assert gtn_fast.verify(x, y, labels).complete
    off_by_one = labels.x_index.copy()
    off_by_one[labels.order] = np.roll(labels.x_index[labels.order], 1)
    with pytest.raises(WrongMatching, match="is the one of its quantile") as caught:
        gtn_fast.verify(x, y, changed(labels, x_index=off_by_one))
    assert caught.value.y_row == labels.order[0]
    assert caught.value.better_x_row == labels.x_index[labels.order[0]]
    with pytest.raises(WrongMatching):  # another labeling than Algorithm 1's
        gtn_fast.verify(x, y, labels.x_index)


def test_groups():
    x, y = cases.make("gaussian", 90, 60, 3)
    gx, gy = np.arange(90) % 3, np.arange(60) % 3
    labels = gtn_fast.label(x, y, method="reference", groups=(gx, gy))
    assert gtn_fast.verify(x, y, labels, groups=(gx, gy)).checked == 60
    assert gtn_fast.verify(x, y, labels, sample=7, groups=(gx, gy)).checked == 7
    with pytest.raises(ValueError, match="were made with groups"):
        gtn_fast.verify(x, y, labels)
    with pytest.raises(WrongMatching, match=r"is in group \d, its row \d+ of X in group \d"):
        gtn_fast.verify(x, y, gtn_fast.label(x, y, method="reference").x_index, groups=(gx, gy))
    wrong = labels.x_index.copy()
    wrong[[0, 3]] = wrong[[3, 0]]
    with pytest.raises(WrongMatching, match="comes first"):
        gtn_fast.verify(x, y, wrong, groups=(gx, gy))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sample": 0}, ValueError, "sample must be from 1"),
        ({"sample": 1.5}, TypeError, "sample must be an integer, got float"),
        ({"seed": -1}, ValueError, "seed must be from 0"),
        ({"labels": np.zeros(100)}, TypeError, "x_index must hold integers, got dtype float64"),
        ({"labels": np.arange(99)}, WrongMatching, r"x_index must have shape \(100,\)"),
        ({"Y": None, "labels": np.arange(100)}, TypeError, "Y=None needs Labels"),
        ({"Y": np.ones((100, 3))}, ValueError, "same number of columns"),
        ({"X": np.full((120, 4), np.nan)}, ValueError, "X must be finite"),
    ],
)
def test_bad_arguments(problem, arguments, error, message):
    x, y, labels = problem
    with pytest.raises(error, match=message):
        gtn_fast.verify(**({"X": x, "Y": y, "labels": labels} | arguments))


def test_labels_of_another_x(problem):
    """Its own Y fits, and every row is in range: only n_x and d tell."""
    x, y, labels = problem
    for other in (x[:110], np.vstack((x, x[:1])), x[:, :3]):
        with pytest.raises(ValueError, match=r"labels are for X of shape \(120, 4\), got \("):
            gtn_fast.verify(other, y[:, : other.shape[1]], labels)
    assert gtn_fast.verify(x, y, labels).n_x == 120


@pytest.mark.parametrize("name", ["gaussian", "all_equal"])
def test_memory_is_bounded(name):
    """The temporaries of a check stay below 200 MB."""
    n = 40_000
    if name == "all_equal":
        x, y, index = np.ones((n, 8), np.float32), np.ones((n, 8), np.float32), np.arange(n)
    else:
        x, y = cases.make(name, n, n, 8)
        index = np.arange(n)  # wrong: the search for the best is the expensive part
    tracemalloc.start()
    try:
        gtn_fast.verify(x, y, index, sample=1000)
    except WrongMatching:
        assert name == "gaussian"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


@pytest.mark.parametrize("d", [1, 2, 3, 30])
def test_native_answers_pass(native, d):
    x, y = cases.make("half_duplicates", 3000, 2500, d)
    for strategy in cases.strategies(d):
        assert (
            gtn_fast.verify(x, y, gtn_fast.label(x, y, method=strategy), sample=300).checked == 300
        )
