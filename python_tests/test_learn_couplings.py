"""Couplings: each against what it is by definition, and the one interface to all of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import gtn_fast
from gtn_fast.learn.couplings import (
    COUPLINGS,
    How,
    Independent,
    Labels,
    Minibatch,
    Semidiscrete,
    check_coupling,
    name_of,
    pair,
)
from gtn_fast.learn.rays import label_on_rays


def points(n, d=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def cost(x, y, rows):
    return float(np.square(x[rows] - y).sum())


@pytest.mark.parametrize("name", COUPLINGS)
def test_each_is_a_function_of_its_arguments(name):
    x, y = points(80, 2), points(60, 2, seed=1)
    coupling = Semidiscrete(rounds=20, batch=200) if name == "semidiscrete" else name
    again = Semidiscrete(rounds=20, batch=200) if name == "semidiscrete" else name
    given, rows = pair(x, y, coupling, seed=3, threads=1)
    assert given is y
    assert rows.shape == (60,)
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, pair(x, y, again, seed=3, threads=2)[1])
    if name != "semidiscrete":
        assert len(set(rows.tolist())) == 60


def test_labels_are_algorithm_1():
    x = points(50)
    y, rows = pair(x, seed=5)
    np.testing.assert_array_equal(y, gtn_fast.normal(5, 0, 50, 3))
    np.testing.assert_array_equal(rows, gtn_fast.label(x, seed=5).x_index)


def test_euclidean_labels_are_those_by_distance():
    x, y = points(50), points(40, seed=1)
    rows = pair(x, y, "euclidean")[1]
    np.testing.assert_array_equal(rows, gtn_fast.label(x, y, metric="euclidean").x_index)
    assert cost(x, y, rows) < cost(x, y, pair(x, y)[1])


def test_rays_are_labels_along_lines():
    x, y = points(50, 2), points(50, 2, seed=1)
    np.testing.assert_array_equal(pair(x, y, "rays")[1], label_on_rays(x, y, 100).x_index)


def test_independent_is_another_permutation_for_another_seed():
    x, y = points(200), points(200, seed=1)
    one, other = (pair(x, y, Independent(), seed=seed)[1] for seed in (1, 2))
    assert sorted(one) == sorted(other) == list(range(200))
    assert (one != other).mean() > 0.9


def test_one_batch_is_the_best_assignment_and_small_ones_are_worse():
    x, y = points(90), points(90, seed=1)
    best = linear_sum_assignment(np.square(y[:, None] - x[None]).sum(axis=2))[1]
    np.testing.assert_array_equal(pair(x, y, Minibatch(90))[1], best)
    in_parts = pair(x, y, Minibatch(40))[1]  # the last batch has ten
    assert sorted(in_parts) == list(range(90))
    independent = pair(x, y, "independent")[1]
    assert cost(x, y, best) < cost(x, y, in_parts) < cost(x, y, independent)


def test_every_batch_is_matched_in_itself():
    x, y = points(60), points(60, seed=1)
    rows = pair(x, y, Minibatch(20), seed=4)[1]
    for start in (0, 20, 40):
        some, own = rows[start : start + 20], y[start : start + 20]
        best = linear_sum_assignment(np.square(own[:, None] - x[some][None]).sum(axis=2))[1]
        np.testing.assert_array_equal(best, np.arange(20))


def test_potentials_make_every_row_as_frequent_as_the_others():
    """With a bias of nothing but its norm, far rows would hardly ever be the nearest one."""
    x = points(40, 2) * np.linspace(0.2, 3, 40, dtype=np.float32)[:, None]
    y = gtn_fast.normal(9, 0, 20_000, 2)
    coupling = Semidiscrete(rounds=400, batch=500)
    rows = coupling(x, y, How())
    counts = np.bincount(rows, minlength=40)
    assert counts.min() > 350
    assert counts.max() < 650
    nearest = (y @ x.T - 0.5 * np.square(x).sum(axis=1)).argmax(axis=1)
    assert np.bincount(nearest, minlength=40).min() < 100
    # Whatever rows it has chosen, no exchange of them would be cheaper.
    chosen = x[rows[:500]]
    product = y[:500].astype(np.float64) @ chosen.astype(np.float64).T
    best = product[linear_sum_assignment(product, maximize=True)].sum()
    assert np.trace(product) == pytest.approx(best, rel=1e-6)


def test_potentials_are_learned_once_for_an_x():
    coupling, told = Semidiscrete(rounds=5, batch=50), []

    def progress(done, total):
        told.append((done, total))

    x, y = points(30), points(30, seed=1)
    coupling(x, y, How(progress=progress))
    coupling(x.copy(), y, How(progress=progress))
    assert told == [(k, 5) for k in range(1, 6)]
    coupling(x + 1, y, How(progress=progress))
    assert len(told) == 10


@pytest.mark.parametrize("name", ["labels", "independent", "minibatch"])
def test_groups_keep_to_themselves(name):
    x, y = points(60), points(45, seed=1)
    gx, gy = np.arange(60) % 3, np.arange(45) % 3
    rows = pair(x, y, name, groups=(gx, gy))[1]
    np.testing.assert_array_equal(gx[rows], gy)
    assert len(set(rows.tolist())) == 45
    for group in range(3):
        if name == "labels":
            own = gtn_fast.label(x[gx == group], y[gy == group]).x_index
            wanted = np.flatnonzero(gx == group)[own]
            np.testing.assert_array_equal(rows[gy == group], wanted)


def test_progress_may_stop_the_work():
    def progress(done, total):
        raise KeyboardInterrupt

    for coupling in (Minibatch(5), Semidiscrete(rounds=3, batch=10)):
        with pytest.raises(KeyboardInterrupt):
            pair(points(20), points(20, seed=1), coupling, progress=progress)


def test_names():
    for name in COUPLINGS:
        assert name_of(check_coupling(name, 2)) == name
    assert name_of(Minibatch(7)) == "Minibatch(batch=7)"
    assert name_of(Labels(rays=3)) == "Labels(rays=3, metric='cosine')"

    def own(x, y, how):
        return np.arange(len(y))

    assert name_of(own) == "test_names.<locals>.own"
    assert name_of(check_coupling(own, 3)) == name_of(own)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"Y": points(31)}, "a coupling needs as many rows of X as of Y: Y has 31 rows, X only 30"),
        ({"Y": points(5, 2)}, "the same number of columns: X has 3, Y has 2"),
        ({"X": np.zeros((0, 3))}, "X"),
        ({"X": np.full((3, 3), np.nan)}, "X .*row 0"),
        ({"coupling": "best"}, "unknown coupling 'best'; valid: labels"),
        ({"coupling": Minibatch}, "coupling must be a name or a Coupling, got Minibatch"),
        ({"coupling": "rays"}, "its lines are in the plane; got d = 3"),
        ({"groups": ([1] * 30, [2] * 30)}, "group 2 has 30 rows of Y but only 0 rows of X"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_what_makes_no_coupling_is_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        pair(**{"X": points(30), **arguments})


def test_bad_settings_are_named():
    for make in (
        lambda: Minibatch(0),
        lambda: Semidiscrete(rounds=0),
        lambda: Semidiscrete(seed=-1),
    ):
        with pytest.raises(ValueError, match="must be from"):
            make()
