"""Sets of known shape: injective, immersed, uniform; the projection is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gtn_fast.manifolds import MANIFOLDS, manifold

SMALL = 300  # rows of a projector's table where the sets are smooth and the images near


@pytest.fixture(params=list(MANIFOLDS))
def m(request):
    return manifold(request.param)


def torch_parameters(m, n, seed):
    return torch.from_numpy(m.parameters(n, seed))


# ------------------------------------------------------------------ parameters and pictures


def test_a_row_depends_on_seed_and_number_alone(m):
    many, few = m.parameters(50, 3), m.parameters(20, 3)
    assert many.dtype == np.float64
    assert many.shape == (50, m.columns)
    assert (many[:20] == few).all()
    assert (many != m.parameters(50, 4)).any()
    images, c = m.images(20, 3)
    assert (c == few).all()
    assert (images == m.images(50, 3)[0][:20]).all()


def test_images_are_the_pictures_rounded(m):
    images, c = m.images(20, 5)
    assert images.dtype == np.uint8
    assert images.shape == (20, m.channels, m.side, m.side)
    pictures = m.render(torch.from_numpy(c))
    assert pictures.dtype == torch.float64
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert (pictures * 255 - torch.from_numpy(images)).abs().max() <= 0.5
    assert m.render(torch.from_numpy(c).float()).dtype == torch.float32


def test_scale_is_the_root_mean_square_distance(m):
    first, second = (m.render(torch_parameters(m, 4000, seed)).flatten(1) for seed in (1, 2))
    found = (first - second).square().sum(1).mean().sqrt()
    assert float(found) == pytest.approx(m.scale, rel=0.02)
