"""Clusters, the mixture as a source, labels inside each cluster."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import gtn_fast
from gtn_fast.learn.mixture import Mixture, label_mixture


@pytest.fixture
def squares(rng):
    """Two unit squares, 30 % at (0, 0) and 70 % at (10, 4), rows mixed; and which is which."""
    where = (rng.random(4000) < 0.7).astype(np.int64)
    corner = np.array([[0.0, 0.0], [10.0, 4.0]])[where]
    return (corner + rng.random((4000, 2))).astype(np.float32), where


@pytest.fixture(params=["faiss", "sklearn"])
def library(request, monkeypatch):
    if request.param == "sklearn":
        monkeypatch.setitem(sys.modules, "faiss", None)  # import faiss: ImportError
    else:
        pytest.importorskip("faiss")
    return request.param


def same_split(component, where):
    """Whether two clusterings agree up to the names of the clusters."""
    pairs = set(zip(component.tolist(), where.tolist(), strict=True))
    return len(pairs) == len(set(component.tolist())) == len(set(where.tolist()))


def test_two_squares_are_found(squares, library):
    x, where = squares
    mixture, component = Mixture.fit(x, 2, seed=3)
    assert component.dtype == np.int64
    assert same_split(component, where)
    for c in (0, 1):
        rows = x[component == c].astype(np.float64)
        np.testing.assert_allclose(mixture.means[c], rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(mixture.stds[c], rows.std(axis=0), rtol=1e-12)
        assert mixture.weights[c] == len(rows) / len(x)


def test_eight_far_clusters_are_found_whatever_the_seed(rng, library):
    where = rng.integers(0, 8, 2000)
    x = (20 * rng.normal(size=(8, 5)))[where] + rng.normal(size=(2000, 5))
    for seed in range(3):
        assert same_split(Mixture.fit(x, 8, seed)[1], where)


def test_clusters_far_from_the_origin_are_told_apart(squares, library):
    x, where = squares
    assert same_split(Mixture.fit(x + np.float32(30_000), 2)[1], where)


def test_the_same_seed_gives_the_same_clusters(rng, library):
    x = rng.normal(size=(3000, 6)).astype(np.float32)  # no clusters: nothing pins the answer
    first, component = Mixture.fit(x, 7, seed=5)
    again, component_again = Mixture.fit(x, 7, seed=5)
    assert (component == component_again).all()
    assert (first.means == again.means).all()
    assert (first.stds == again.stds).all()
    assert not same_split(component, Mixture.fit(x, 7, seed=6)[1])


def team_sizes():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}


def test_threads_change_nothing_and_are_given_back(rng, library):
    x = rng.normal(size=(3000, 6)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            before = team_sizes()
            found.append(Mixture.fit(x, 7)[1])
            assert before.items() <= team_sizes().items()  # more: libraries loaded meanwhile
    assert (found[0] == found[1]).all()


def test_one_component_is_mean_and_standard_deviation(rng):
    x = rng.normal(size=(500, 3)) * [1, 2, 3] + [4, 5, 6]
    mixture, component = Mixture.fit(x, 1)
    assert (component == 0).all()
    assert mixture.weights.tolist() == [1.0]
    np.testing.assert_allclose(mixture.means[0], x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(mixture.stds[0], x.std(axis=0), rtol=1e-6)


def test_a_column_constant_within_a_component_has_std_one(rng):
    x = np.concatenate([rng.random((50, 2)), rng.random((50, 2)) + 9]).astype(np.float32)
    x[:50, 1] = 0.5
    mixture, component = Mixture.fit(x, 2)
    assert mixture.stds[component[0]][1] == 1
    assert mixture.stds[component[-1]][1] < 1
    assert np.isfinite(mixture.to_local(x, component)).all()


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_k_too_large_is_said(library):
    x = np.repeat([[0.0, 0.0], [5.0, 5.0], [9.0, 0.0]], 20, axis=0).astype(np.float32)
    with pytest.raises(ValueError, match=r"k = 3 is too large: component \d has 20 rows, all eq"):
        Mixture.fit(x, 3)
    with pytest.raises(ValueError, match=r"k = 5 is too large"):
        Mixture.fit(x, 5)
    alone = np.array([[0.0, 0.0], [0.0, 1.0], [99.0, 0.0]])
    with pytest.raises(ValueError, match=r"k = 2 is too large: component \d has 1 row"):
        Mixture.fit(alone, 2)


def test_bad_input_is_one_clear_error(rng):
    x = rng.random((10, 2)).astype(np.float32)
    with pytest.raises(ValueError, match="k must be from 1 to 10, got 11"):
        Mixture.fit(x, 11)
    with pytest.raises(ValueError, match="k must be from 1 to 10, got 0"):
        Mixture.fit(x, 0)
    with pytest.raises(TypeError, match="k must be an integer"):
        Mixture.fit(x, 2.0)
    mixture = Mixture.fit(x, 1)[0]
    with pytest.raises(ValueError, match="from 0 to 0; row 2 is 1"):
        mixture.draw_like([0, 0, 1])
    with pytest.raises(ValueError, match="component must be 1-D"):
        mixture.draw_like(np.zeros((3, 1), np.int64))
    with pytest.raises(ValueError, match=r"shape \(3, 2\)"):
        mixture.to_local(x, [0, 0, 0])
    x[4, 1] = np.nan
    with pytest.raises(ValueError, match="row 4, column 1 is nan"):
        Mixture.fit(x, 2)


THREE = Mixture(
    means=np.array([[0.0, 0.0], [10.0, -5.0], [3.0, 80.0]]),
    stds=np.array([[1.0, 1.0], [0.1, 3.0], [2.0, 0.5]]),
    weights=np.array([0.2, 0.5, 0.3]),
)


def test_draw_has_the_weights_means_and_deviations():
    n = 40_000
    y, component = THREE.draw(n, seed=1)
    assert (y.dtype, y.shape, component.dtype) == (np.float32, (n, 2), np.int64)
    share = np.bincount(component, minlength=3) / n
    assert (abs(share - THREE.weights) < 4 * np.sqrt(THREE.weights * (1 - THREE.weights) / n)).all()
    for c in range(3):
        local = (y[component == c] - THREE.means[c]) / THREE.stds[c]
        few = 4 / np.sqrt(len(local))
        assert (abs(local.mean(axis=0)) < few).all()
        assert (abs(local.std(axis=0) - 1) < few).all()


def test_draw_is_a_function_of_the_seed_and_the_row():
    y, component = THREE.draw(1000, seed=1)
    again, component_again = THREE.draw(200, seed=1)
    assert (y[:200] == again).all()
    assert (component[:200] == component_again).all()
    other, component_other = THREE.draw(1000, seed=2)
    assert (component != component_other).any()
    assert not (y == other).any()


def test_draw_like_keeps_to_the_rows():
    component = np.array([2, 0, 1] * 50)
    y = THREE.draw_like(component, seed=9)
    raw = gtn_fast.normal(9, 0, 150, 2)
    wanted = THREE.means[component] + THREE.stds[component] * raw
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
    # A row's value depends on its own component alone.
    component[1] = 2
    changed = THREE.draw_like(component, seed=9)
    assert (changed != y).any(axis=1).nonzero()[0].tolist() == [1]
    np.testing.assert_allclose(THREE.to_local(changed, component), raw, rtol=1e-3, atol=1e-4)


def test_labels_stay_inside_the_components(squares):
    x, _ = squares
    mixture, component = Mixture.fit(x, 2)
    y, x_index = label_mixture(x, mixture, component, seed=4)
    assert (y == mixture.draw_like(component, seed=4)).all()
    assert (np.sort(x_index) == np.arange(len(x))).all()
    assert (component[x_index] == component).all()
    # Component by component it is the plain labeling of centred and scaled points.
    for c in (0, 1):
        rows = np.flatnonzero(component == c)
        alone = gtn_fast.label(
            mixture.to_local(x, component)[rows], mixture.to_local(y, component)[rows]
        )
        assert (rows[alone.x_index] == x_index[rows]).all()
    again, index_again = label_mixture(x, mixture, component, seed=4, threads=1)
    assert (y == again).all()
    assert (x_index == index_again).all()
