"""The diffusion baseline: its schedule, its noise, and that it learns what it is shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gtn_fast.learn.diffusion import Diffusion, cosine_schedule, train_diffusion


@pytest.fixture(scope="module")
def two_points():
    """Two tight clusters, far from the origin and of very different scales."""
    rng = np.random.default_rng(0)
    centres = np.array([[100.0, 0.0], [102.0, 0.02]])
    return (centres[rng.integers(0, 2, 2000)] + rng.normal(0, (1e-2, 1e-4), (2000, 2))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def trained(two_points):
    return train_diffusion(two_points, epochs=60, batch_size=250, steps=50, width=64, seed=3)


def test_schedule_goes_from_data_to_noise():
    kept, beta = cosine_schedule(100)
    assert kept.shape == beta.shape == (100,)
    assert bool((kept[1:] < kept[:-1]).all())
    assert kept[0] > 0.99
    assert kept[-1] < 1e-3
    torch.testing.assert_close(kept, torch.cumprod(1 - beta, 0))


def test_schedule_halfway_is_the_squared_cosine():
    kept, _ = cosine_schedule(100)
    wanted = (
        math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) ** 2
        / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    )
    assert float(kept[49]) == pytest.approx(wanted, rel=1e-5)


def test_noised_points_keep_unit_variance():
    model = Diffusion(3, steps=20)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 3, generator=generator)
    noise = torch.randn(20_000, 3, generator=generator)
    for step in (0, 10, 19):
        made = model.noised(x, torch.full((20_000,), step), noise)
        assert float(made.var()) == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(
        model.noised(x, torch.full((20_000,), 19), noise), noise, atol=0.1, rtol=0.1
    )


def test_samples_lie_in_both_clusters_at_the_datas_own_scale(trained, two_points):
    model, history = trained
    made = model.sample(1000, seed=1)
    assert made.dtype == np.float32
    assert made.shape == (1000, 2)
    right = made[:, 0] > 101
    assert 0.35 < right.mean() < 0.65
    near = np.abs(made - np.where(right[:, None], (102, 0.02), (100, 0))) < (0.3, 0.003)
    assert near.all(axis=1).mean() > 0.8
    losses = [epoch["loss"] for epoch in history.epochs]
    assert losses[-1] < 0.5 * losses[0]


def test_same_seed_same_model_and_samples(two_points):
    before = torch.random.get_rng_state()
    one, two, other = (
        train_diffusion(two_points[:300], epochs=2, steps=10, seed=seed)[0].sample(5, seed=0)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_samples_depend_on_the_seed(trained):
    model, _ = trained
    np.testing.assert_array_equal(model.sample(4, seed=2), model.sample(4, seed=2))
    assert not np.array_equal(model.sample(4, seed=2), model.sample(4, seed=3))
    assert model.sample(0).shape == (0, 2)


def test_bad_points_are_named(two_points):
    bad = two_points.copy()
    bad[7, 1] = np.nan
    with pytest.raises(ValueError, match="row 7"):
        train_diffusion(bad, epochs=1)
    with pytest.raises(ValueError, match="constant"):
        train_diffusion(np.ones((10, 2)), epochs=1)
    with pytest.raises(ValueError, match="steps"):
        train_diffusion(two_points, epochs=1, steps=1)
