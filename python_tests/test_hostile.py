"""Hostile but legal data: exact at small n, verified and near-linear at large n."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from test_invariance import check

import gtn_fast


@pytest.mark.parametrize("d", [1, 2, 3, 5, 9, 32])
@pytest.mark.parametrize("name", sorted(cases.HOSTILE))
def test_exact(native, name, d):
    check(*cases.make(name, 500, 500, d), threads=2)
    check(*cases.make(name, 500, 50, d), threads=1)


@pytest.mark.parametrize("name", ["float64_extremes", "mixed_columns", "near_ties", "integers"])
@pytest.mark.parametrize("d", [64, 100, 300])
def test_exact_in_many_dimensions(native, name, d):
    check(*cases.make(name, 200, 180, d))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("both", [False, True], ids=["x", "x_and_y"])
def test_exact_on_rays(native, both, dtype):
    """Enough points for frames of neighbours, whose cosines tie or differ in the last bits."""
    rng = np.random.default_rng(4)
    rays = rng.standard_normal((4, 32))
    x = on_rays(rng, rays, 2200, dtype)
    y = rng.standard_normal((1500, 32)).astype(dtype)
    check(x, on_rays(rng, rays, 1500, dtype) if both else y, threads=2)


def on_rays(rng, rays, n, dtype):
    return (rays[rng.integers(len(rays), size=n)] * rng.uniform(0.1, 10, (n, 1))).astype(dtype)


def test_codes_of_a_small_frame_are_not_asked_to_wait_for_coarser_estimates(native):
    """Along a ray in float32 they tell apart what a float product would mix up."""
    n, d = 20_000, 32
    rng = np.random.default_rng(5)
    x = on_rays(rng, rng.standard_normal((10, d)), n, np.float32)
    y = rng.standard_normal((n, d), dtype=np.float32)
    labels = gtn_fast.label(x, y, method="screen")
    gtn_fast.verify(x, y, labels, sample=500)
    assert labels.report["engine"]["pairs_rescored"] < 100 * n


@pytest.mark.parametrize("d", [1, 2, 3, 8, 20])
def test_subnormal_and_huge_float32(native, d):
    rng = np.random.default_rng(d)
    x = (rng.standard_normal((200, d)) * 10.0 ** rng.uniform(-44, 38, (200, 1))).astype(np.float32)
    y = (rng.standard_normal((180, d)) * 10.0 ** rng.uniform(-44, 37, (180, 1))).astype(np.float32)
    x = np.where(np.isfinite(x), x, np.float32(3e38))
    check(x, np.where(np.isfinite(y), y, np.float32(3e38)))


@pytest.mark.parametrize("d", [1, 2, 3, 5, 32])
def test_only_zeros(native, d):
    check(np.zeros((60, d)), np.zeros((50, d)))
    check(np.zeros((60, d)), np.ones((50, d)))
    check(np.ones((60, d)), np.zeros((50, d)))


def decided(labels):
    """How many exact decisions the engine made; one for each y is the least."""
    engine = labels.report["engine"]
    return sum(engine.get(name, 0) for name in ("exact_cosines", "pairs_rescored", "nodes_visited"))


TIES = ["few_rays", "all_equal", "half_duplicates", "both_duplicated", "signs", "axes", "integers"]


@pytest.mark.parametrize("name", [*TIES, "narrow_cone", "one_orthant", "zero_rows", "opposite"])
@pytest.mark.parametrize("d", [1, 2, 3, 32])
def test_larger(native, name, d):
    n = 5000
    x, y = cases.make(name, n, n, d)
    labels = gtn_fast.label(x, y)
    gtn_fast.verify(x, y, labels, sample=100)
    # What is quadratic in the size of a tie decides half of all pairs, 2500 for each y.
    assert decided(labels) < 800 * n
    assert labels.report["engine"].get("pairs_screened", 0) < 0.55 * n * n


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 3, 5, 32])
@pytest.mark.parametrize("name", sorted(cases.HOSTILE))
def test_large(native, name, d):
    n = 100_000 if d > 5 else 200_000
    x, y = cases.make(name, n, n, d)
    gtn_fast.verify(x, y, gtn_fast.label(x, y), sample=200)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "d"), [("few_rays", 3), ("few_rays", 32), ("all_equal", 3)])
def test_a_million_points_in_large_ties(native, name, d):
    x, y = cases.make(name, 10**6, 10**6, d)
    x, y = x.astype(np.float32), y.astype(np.float32)
    labels = gtn_fast.label(x, y)
    assert decided(labels) < 100 * len(y)
    gtn_fast.verify(x, y, labels, sample=50)


@pytest.mark.slow
@pytest.mark.parametrize("d", [3, 32])
def test_work_grows_near_linearly_in_the_size_of_a_tie(native, d):
    """Four times the points on ten rays: about four times the work, far from sixteen."""
    work = []
    for n in (100_000, 400_000):
        labels = gtn_fast.label(*cases.make("few_rays", n, n, d))
        work.append(decided(labels) + labels.report["engine"].get("pairs_screened", 0))
    assert 0 < work[1] < 6 * work[0]
