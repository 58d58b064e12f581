"""Distances between samples against known values and scipy; the copy check."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.stats
import torch

from gtn_fast import metrics
from gtn_fast.metrics import points as points_module


@pytest.fixture(params=["faiss", "sklearn"])
def library(request, monkeypatch):
    if request.param == "sklearn":
        monkeypatch.setitem(sys.modules, "faiss", None)  # import faiss: ImportError
    else:
        pytest.importorskip("faiss")
    return request.param


# --- energy distance ---------------------------------------------------------------


def test_energy_distance_is_scipys_in_one_dimension(rng):
    a, b = rng.normal(size=700), rng.normal(0.3, 1.5, size=450)
    wanted = scipy.stats.energy_distance(a, b)
    assert metrics.energy_distance(a, b) == pytest.approx(wanted, rel=1e-9)
    assert metrics.energy_distance(a[:, None], torch.from_numpy(b)) == pytest.approx(wanted)


@pytest.mark.parametrize("d", [3, 20])
def test_energy_distance_of_point_masses_is_known(d):
    # |p - q| = 5: the square root of 2 * 5, wherever the two points lie.
    p = np.full(d, 1e4)
    q = p.copy()
    q[:2] += [3, 4]
    distance = metrics.energy_distance(np.tile(p, (6, 1)), np.tile(q, (4, 1)))
    assert distance == pytest.approx(np.sqrt(10), rel=1e-6)


@pytest.mark.parametrize("d", [2, 20])
def test_energy_distance_of_a_sample_with_itself_is_zero(rng, d):
    a = rng.normal(size=(500, d))
    assert metrics.energy_distance(a, a[rng.permutation(500)]) < 1e-6
    apart = metrics.energy_distance(a, a + 1)
    assert apart > 0.5
    assert metrics.energy_distance(a + 1, a) == pytest.approx(apart)


def test_energy_distance_does_not_depend_on_the_chunks(rng, monkeypatch):
    a, b = rng.normal(size=(301, 12)), rng.random((200, 12))
    whole = metrics.energy_distance(a, b)
    monkeypatch.setattr(points_module, "_CHUNK", 1000)
    # Above 8 dimensions cdist's products leave up to 1e-8 of a row's distance to itself, by the
    # shape of a block: a 300th of that in a mean.
    assert metrics.energy_distance(a, b) == pytest.approx(whole, rel=1e-10)


def test_many_points_need_no_square_of_memory(rng, monkeypatch):
    sizes = []
    cdist = torch.cdist

    def watched(u, v, **kwargs):
        distances = cdist(u, v, **kwargs)
        sizes.append(distances.numel())
        return distances

    monkeypatch.setattr(torch, "cdist", watched)
    a, b = rng.random((100_000, 2)), rng.random((100_000, 2))
    assert metrics.energy_distance(a, b, max_n=3000) < 0.05
    assert sum(sizes) == 3 * 3000**2
    assert max(sizes) <= points_module._CHUNK
    # All of them against a few: the same small blocks.
    sizes.clear()
    mean = points_module._mean_distance(torch.from_numpy(a), torch.from_numpy(b[:200]))
    assert sum(sizes) == 200 * 100_000
    assert max(sizes) <= points_module._CHUNK < sum(sizes)
    assert mean == pytest.approx(0.5214, abs=0.02)  # of two points in the unit square


def test_the_subsample_is_chosen_by_the_seed(rng):
    a, b = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2)) + 0.5
    one = metrics.energy_distance(a, b, max_n=300, seed=1)
    assert one == metrics.energy_distance(a, b, max_n=300, seed=1)
    assert one != metrics.energy_distance(a, b, max_n=300, seed=2)
    assert one == pytest.approx(metrics.energy_distance(a, b), abs=0.15)


# --- sliced Wasserstein ------------------------------------------------------------


def test_sliced_wasserstein_of_a_shift(rng):
    a = rng.normal(size=(300, 4))
    shift = np.array([3.0, 0.0, 4.0, 0.0])
    distance = metrics.sliced_wasserstein(a, a + shift, projections=4000)
    # The mean of cos² over directions in d dimensions is 1 / d.
    assert distance == pytest.approx(5 / np.sqrt(4), rel=0.03)
    assert metrics.sliced_wasserstein(a[:, :1], a[:, :1] + 2) == pytest.approx(2)
    assert metrics.sliced_wasserstein(a, a[::-1]) < 1e-12


def test_sliced_wasserstein_of_unequal_sizes_is_exact(rng):
    a, b = rng.normal(size=(6, 1)), rng.normal(size=(4, 1))
    # Repeating every value changes no distribution: 12 against 12 sorted values.
    paired = np.sort(np.repeat(a, 2)) - np.sort(np.repeat(b, 3))
    wanted = np.sqrt(np.mean(paired**2))
    assert metrics.sliced_wasserstein(a, b) == pytest.approx(wanted, rel=1e-12)
    assert metrics.sliced_wasserstein(b, a) == pytest.approx(wanted, rel=1e-12)


def test_sliced_wasserstein_of_many_points_in_small_pieces(rng, monkeypatch):
    a, b = rng.normal(size=(100_000, 2)), rng.normal(size=(70_000, 2)) * [1, 2]
    whole = metrics.sliced_wasserstein(a, b, projections=8, seed=3)
    assert whole == metrics.sliced_wasserstein(a, b, projections=8, seed=3)
    assert whole != metrics.sliced_wasserstein(a, b, projections=8, seed=4)
    monkeypatch.setattr(points_module, "_CHUNK", 200_000)  # one direction at a time
    assert metrics.sliced_wasserstein(a, b, projections=8, seed=3) == pytest.approx(whole)
    # Of N(0, diag(1, 4)) against N(0, I) along θ: sqrt(cos² + 4 sin²) - 1, between 0 and 1.
    assert 0.1 < whole < 1


# --- uniform and boxes -------------------------------------------------------------


def test_ks_distance_to_the_uniform():
    assert metrics.ks_uniform([2.5], 2, 3) == pytest.approx(0.5)
    assert metrics.ks_uniform([0.1, 0.2, 0.3, 0.4], 0, 1) == pytest.approx(0.6)
    assert metrics.ks_uniform((np.arange(1000) + 0.5) / 100, 0, 10) == pytest.approx(0.0005)
    assert metrics.ks_uniform(np.full((50, 1), 7.0), 0, 1) == 1


def test_share_inside_boxes():
    points = np.array([[0.0, 0.0], [0.5, 1.0], [1.004, 0.5], [5.5, 5.5], [9.0, 0.5]])
    unit, far = (0, 1), ([5, 5], [6, 6])
    assert metrics.share_inside(points, unit) == pytest.approx(2 / 5)
    assert metrics.share_inside(points, unit, widen=0.01) == pytest.approx(3 / 5)
    assert metrics.share_inside(points, unit, widen=0.007) == pytest.approx(2 / 5)
    assert metrics.share_inside(points, unit, far) == pytest.approx(3 / 5)
    assert metrics.share_inside(points, unit, unit) == pytest.approx(2 / 5)
    assert metrics.share_inside(points[:, 0], unit) == pytest.approx(2 / 5)


# --- copies ------------------------------------------------------------------------


def test_copies_near_copies_and_honest_samples(rng, library):
    data, held_out, honest = (rng.normal(size=(3000, 5)).astype(np.float32) for _ in range(3))
    copies = data[rng.integers(0, 3000, 1000)]
    near = copies + np.float32(1e-3) * rng.normal(size=copies.shape).astype(np.float32)
    for reference in (None, held_out):
        report = metrics.nearest_copies(honest, data, reference)
        assert report["share_closer"] == pytest.approx(0.01, abs=0.01)
        assert report["share_exact"] == 0
        assert report["median"] == pytest.approx(report["reference_median"], rel=0.1)
        report = metrics.nearest_copies(near, data, reference)
        assert report["share_closer"] == 1
        assert report["share_exact"] == 0
        report = metrics.nearest_copies(copies, data, reference)
        assert report["share_closer"] == report["share_exact"] == 1
        assert report["median"] == 0
    half = np.concatenate([copies, honest[:1000]])
    assert metrics.nearest_copies(half, data)["share_exact"] == 0.5
    assert metrics.nearest_copies(half, data)["share_closer"] == pytest.approx(0.505, abs=0.006)


def test_the_quantile_sets_the_threshold(rng):
    data, held_out, honest = (rng.normal(size=(2000, 3)) for _ in range(3))
    report = metrics.nearest_copies(honest, data, held_out, quantile=0.2)
    distance = np.linalg.norm(held_out[:, None] - data[None, :], axis=2).min(axis=1)
    assert report["threshold"] == pytest.approx(np.quantile(distance, 0.2), rel=1e-6)
    assert report["share_closer"] == pytest.approx(0.2, abs=0.04)


def test_a_part_of_the_honest_points_says_about_the_same(rng):
    data, held_out = rng.normal(size=(3000, 3)), rng.normal(size=(3000, 3))
    for reference in (None, held_out):
        whole = metrics.nearest_copies(data[:9], data, reference, quantile=0.3)
        part = metrics.nearest_copies(data[:9], data, reference, quantile=0.3, max_reference=800)
        assert part["threshold"] != whole["threshold"]
        assert part["threshold"] == pytest.approx(whole["threshold"], rel=0.1)


def test_images_are_compared_as_points(rng):
    data = rng.integers(0, 256, (200, 1, 4, 4), dtype=np.uint8)
    assert metrics.nearest_copies(torch.from_numpy(data[:20]), data)["share_exact"] == 1


def test_nearest_is_the_nearest(rng, library):
    # Far from the origin, where float32 squares would hide the differences.
    data, points = rng.random((300, 4)) + 1000, rng.random((50, 4)) + 1000
    distance, index = metrics.nearest(points, data)
    all_distances = np.linalg.norm(points[:, None] - data[None, :], axis=2)
    assert (index == all_distances.argmin(axis=1)).all()
    np.testing.assert_allclose(distance, all_distances.min(axis=1), rtol=1e-12)


def test_a_row_is_not_its_own_neighbour(library):
    data = np.array([[0.0], [1.0], [3.0], [3.0], [3.0], [7.0]])
    assert points_module._to_the_others(data, np.arange(6)).tolist() == [1, 1, 0, 0, 0, 4]
    assert points_module._to_the_others(data, np.array([1, 5])).tolist() == [1, 4]


# --- bad input ---------------------------------------------------------------------


def test_bad_input_is_one_clear_error(rng):
    a = rng.random((10, 2))
    bad = a.copy()
    bad[3, 1] = np.nan
    for measure in (metrics.energy_distance, metrics.sliced_wasserstein, metrics.nearest_copies):
        with pytest.raises(ValueError, match="must have the same number of columns: 2 and 1"):
            measure(a, a[:, :1])
        with pytest.raises(ValueError, match="row 3, column 1 is nan"):
            measure(a, bad)
        with pytest.raises(ValueError, match="is empty"):
            measure(a[:0], a)
    with pytest.raises(TypeError, match="real numbers"):
        metrics.energy_distance(a, a.astype(complex))
    with pytest.raises(ValueError, match="max_n must be from 1"):
        metrics.energy_distance(a, a, max_n=0)
    with pytest.raises(ValueError, match="max_reference must be from 1"):
        metrics.nearest_copies(a, a, max_reference=0)
    with pytest.raises(ValueError, match="projections must be from 1"):
        metrics.sliced_wasserstein(a, a, projections=0)
    with pytest.raises(ValueError, match="one number per row, got 2 columns"):
        metrics.ks_uniform(a, 0, 1)
    with pytest.raises(ValueError, match="low < high, got 1 and 0"):
        metrics.ks_uniform(a[:, 0], 1, 0)
    with pytest.raises(ValueError, match="at least one box"):
        metrics.share_inside(a)
    with pytest.raises(ValueError, match="low < high"):
        metrics.share_inside(a, (0, [1, 0]))
    with pytest.raises(ValueError, match="quantile must be between 0 and 1"):
        metrics.nearest_copies(a, a, quantile=1)
    with pytest.raises(ValueError, match="data has one row"):
        metrics.nearest_copies(a, a[:1])
