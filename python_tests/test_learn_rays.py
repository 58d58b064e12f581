"""Algorithm 1 on lines: exact ties, the paper's limit, and the same without sorting."""

from __future__ import annotations

import numpy as np
import pytest

import gtn_fast
from gtn_fast.experiments import plane
from gtn_fast.learn.rays import label_on_rays, on_rays


@pytest.fixture
def cloud():
    return np.random.default_rng(5).standard_normal((400, 2))


def test_points_of_a_ray_have_one_direction_to_the_last_bit(cloud):
    turned = on_rays(np.vstack((cloud, 1e-6 * cloud, 3e5 * cloud)), 7)
    largest = np.abs(turned).max(axis=1, keepdims=True)
    scaled = turned / largest  # the first step of the engine's arithmetic
    assert len(np.unique(scaled, axis=0)) == 7


def test_norms_are_kept_and_turns_are_small(cloud):
    turned = on_rays(cloud, 90)
    np.testing.assert_allclose(
        np.linalg.norm(turned, axis=1), np.linalg.norm(cloud, axis=1), rtol=1e-6
    )
    angle = np.angle((turned @ [1, 1j]) / (cloud @ [1, 1j]))
    assert np.abs(angle).max() <= np.pi / 90 + 1e-6


def test_on_one_ray_the_labels_are_ranks(cloud):
    rng = np.random.default_rng(1)
    y = rng.standard_normal((400, 2))
    labels = label_on_rays(cloud, y, 1)
    ranks = np.argsort(np.linalg.norm(cloud, axis=1))
    order = np.argsort(np.linalg.norm(y, axis=1))
    np.testing.assert_array_equal(labels.x_index[order], ranks)


def test_labels_are_a_permutation_and_follow_the_norms(cloud):
    y = gtn_fast.normal(3, 0, 400, 2)
    index = label_on_rays(cloud, y, 8).x_index
    assert sorted(index) == list(range(400))
    norms = np.linalg.norm(y, axis=1), np.linalg.norm(cloud[index], axis=1)
    assert np.corrcoef(*norms)[0, 1] > 0.8
    exact = gtn_fast.label(cloud, y).x_index
    assert np.corrcoef(norms[0], np.linalg.norm(cloud[exact], axis=1))[0, 1] < 0.5


def test_groups_stay_apart(cloud):
    groups = np.arange(400) % 2
    labels = label_on_rays(cloud, cloud[::-1], 5, groups=(groups, groups))
    np.testing.assert_array_equal(labels.x_index % 2, groups)


def test_without_sorting_is_greedy_in_an_order_that_ignores_the_norms(cloud):
    """Each y takes the closest direction that is free; who comes first is not who is small."""
    y = np.random.default_rng(2).standard_normal((400, 2)) + 0.3
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (cloud, y)]
    labels = gtn_fast.label(*unit)
    np.testing.assert_array_equal(plane.unsorted(cloud, y), labels.x_index)
    free = np.ones(400, dtype=bool)
    for row in labels.order:
        cosine = np.where(free, unit[0] @ unit[1][row], -2)
        assert cosine[labels.x_index[row]] >= cosine.max() - 1e-12
        free[labels.x_index[row]] = False
    norm = np.linalg.norm(y, axis=1)
    turn = np.empty(400)
    turn[labels.order] = np.arange(400)
    assert abs(np.corrcoef(turn, norm)[0, 1]) < 0.15


def test_only_the_plane_has_rays():
    with pytest.raises(ValueError, match="wanted d = 2, got d = 3"):
        on_rays(np.ones((4, 3)), 10)
    with pytest.raises(ValueError, match="rays"):
        on_rays(np.ones((4, 2)), 0)
