"""A GTN seen as an atlas: its maps, their inverse, ways through its components."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from charts import as_images
from torch import nn

from gtn_fast.atlas.curves import jacobian
from gtn_fast.atlas.geodesics import LatentGraph, NoPath
from gtn_fast.atlas.gtn_charts import GTNAtlas
from gtn_fast.atlas.invariants import chart_use, orientation
from gtn_fast.experiments.two_squares import squares
from gtn_fast.learn.calibration import Calibration
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.mixture import Mixture
from gtn_fast.learn.scaling import Scaling
from gtn_fast.vision.autoencoder import Autoencoder

pytestmark = pytest.mark.usefixtures("one_torch_thread")


class Flat(nn.Module):
    """Latents of d numbers are images of d channels and one pixel."""

    side = 1

    def __init__(self, d):
        super().__init__()
        self.d = self.channels = d

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        return z[:, :, None, None]


class Affine(nn.Linear):
    """A network that is an affine map, with what a GTN asks of its ĥ."""

    def __init__(self, d):
        super().__init__(d, d)
        self.d = self.width = d
        self.classes = 0


def affine(d, mixture=None, calibration=None, identity=False):
    """A GTN whose network is an affine map, as if it had been fitted."""
    gtn = GTN(d, components=1 if mixture is None else len(mixture.weights))
    rng = np.random.default_rng(d)
    gtn.model = Affine(d).eval()
    with torch.no_grad():
        matrix = np.eye(d) + (0 if identity else 0.3 * rng.standard_normal((d, d)))
        gtn.model.weight.copy_(torch.from_numpy(matrix))
        gtn.model.bias.copy_(torch.from_numpy((not identity) * rng.random(d)))
    ones = np.ones(d, np.float32)
    gtn.scaling = Scaling(0 * ones, ones) if identity else Scaling(0.1 * ones, 2 * ones)
    gtn.mixture, gtn.calibration = mixture, calibration
    return gtn


def two(gap, std, weight=0.5):
    means = np.array([[-gap / 2, 0.0], [gap / 2, 0.0]])
    return Mixture(means, np.full((2, 2), std), np.array([weight, 1 - weight]))


def test_one_component_is_one_chart():
    gtn = affine(3)
    atlas = GTNAtlas(gtn, Flat(3))
    z = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    x = atlas.decode(z, 0)
    assert torch.equal(atlas.decode(z, torch.zeros(40, dtype=torch.int64)), x)
    assert np.allclose(x.detach().flatten(1).numpy(), gtn.transform(z.numpy()), atol=1e-6)
    assert (atlas.charts, atlas.d, atlas.channels, atlas.has_charts) == (1, 3, 3, True)
    assert torch.equal(atlas.psi(x), torch.ones(40, 1))
    assert (atlas.encode(x, 0) - z).abs().max() < 1e-5
    assert atlas.residual(x, 0).max() < 1e-5


def test_classes_are_charts():
    x = np.concatenate([squares(300, 0), squares(300, 1) + 7]).astype(np.float32)
    gtn = GTN(2, layers=2, width=16, epochs=3, batch_size=64)
    gtn.fit(x, classes=np.repeat(["a", "b"], 300), progress=False)
    atlas = GTNAtlas(gtn, Flat(2))
    y = gtn.source_sample(30)
    for chart, name in enumerate("ab"):
        made = atlas.decode(torch.from_numpy(y), chart)
        assert np.allclose(made.detach().flatten(1), gtn.transform(y, classes=name), atol=1e-3)
        assert (atlas.psi(made).argmax(dim=1) == chart).float().mean() > 0.9
        assert (atlas.decode(atlas.encode(made, chart), chart) - made).abs().max() < 0.05
    assert torch.allclose(atlas.weights, torch.tensor([0.5, 0.5], dtype=torch.float64))


def test_the_inverse_has_a_derivative():
    atlas = GTNAtlas(affine(3), Flat(3))
    z = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))
    there_and_back = jacobian(lambda z: atlas.encode(atlas.decode(z, 0), 0), z)
    assert torch.allclose(there_and_back, torch.eye(3).expand(10, 3, 3), atol=1e-4)


def test_a_calibrated_mixture_is_what_the_gtn_draws(rng):
    calibration = Calibration(
        rng.standard_normal((2, 2, 2)), rng.standard_normal((2, 2)), rng.standard_normal((2, 2))
    )
    gtn = affine(2, two(8, 1, 0.25), calibration)
    atlas = GTNAtlas(gtn, Flat(2))
    assert atlas.weights.tolist() == [0.25, 0.75]
    z, y = atlas.draw(400, seed=3)
    assert 0.65 < y.double().mean() < 0.85
    source = z.numpy() + gtn.mixture.means[y.numpy()]
    wanted = gtn.transform(source)
    assert np.allclose(atlas.decode(z, y).detach().flatten(1).numpy(), wanted, atol=1e-4)


def test_psi_is_who_explains_the_latents():
    mixture = Mixture(
        np.array([[0.0, 0], [2, 1]]), np.array([[1.0, 0.5], [0.7, 2]]), np.array([0.3, 0.7])
    )
    atlas = GTNAtlas(affine(2, mixture, identity=True), Flat(2))
    x = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    normals = [torch.distributions.Normal(*map(torch.tensor, each))
               for each in zip(mixture.means, mixture.stds, strict=True)]  # fmt: skip
    joint = torch.stack([each.log_prob(x).sum(dim=1) for each in normals], dim=1)
    wanted = torch.softmax(joint + torch.tensor(mixture.weights).log(), dim=1)
    assert torch.allclose(atlas.psi(x.float()[:, :, None, None]), wanted.float(), atol=1e-5)


def test_a_fitted_gtn_is_inverted():
    """ĥ of LeakyReLUs, batch norm and all: its own points are found again."""
    data = np.random.default_rng(5).standard_normal((600, 2)) @ np.array([[1.0, 0.4], [0, 0.5]])
    gtn = GTN(2, "mnist", layers=3, rays=20)
    gtn.fit(data.astype(np.float32), epochs=5, progress=False)
    atlas = GTNAtlas(gtn, Flat(2))
    z, y = atlas.draw(200, seed=1)
    x = atlas.decode(z, y)
    rest = atlas.residual(x, y)
    assert rest.quantile(0.95) < 1e-3
    shown = atlas.decode(atlas.encode(x.detach(), y), y)
    assert ((shown - x).flatten(1).norm(dim=1).quantile(0.95)) < 2e-3


def test_what_a_component_does_not_reach_has_a_residual():
    gtn = affine(2, identity=True)
    gtn.model = nn.Sequential(nn.Linear(2, 2), nn.Tanh()).eval()
    with torch.no_grad():
        gtn.model[0].weight.copy_(torch.eye(2))
        gtn.model[0].bias.zero_()
    atlas = GTNAtlas(gtn, Flat(2))
    far = torch.tensor([[1.5, 0.0], [0.5, 0.5]])[:, :, None, None]
    assert atlas.residual(far, 0).tolist() == pytest.approx([0.5, 0], abs=0.01)


def test_geodesics_pass_from_a_component_to_its_neighbour():
    data = np.random.default_rng(7).uniform(-0.9, 0.9, (400, 2))
    atlas = GTNAtlas(affine(2, two(0.9, 0.4), identity=True), Flat(2))
    graph = LatentGraph.build(atlas, as_images(data))
    assert graph.stats()["components"] == 1
    path = graph.path(as_images([[-0.8, 0.1]])[0], as_images([[0.8, 0.2]])[0])
    assert path.chart[[0, -1]].tolist() == [0, 1]
    assert path.jumps.sum() % 2 == 1
    # All is flat: the way is the straight line, and a jump has no length.
    straight = np.hypot(1.6, 0.1) / 2
    assert straight * 0.99 < path.length < straight * 1.05
    assert path.segment_lengths[path.jumps].max() < 1e-4
    found = orientation(atlas, as_images(data))
    assert found.orientable is True
    assert found.purity == 1


def test_no_way_between_two_squares():
    """Which share nothing: there is none in the data."""
    data = squares(300, 0) / 1.5 - 1
    gtn = GTN(2, "uniform", components=2)
    gtn.fit(data, epochs=2, progress=False, calibrate=False)
    atlas = GTNAtlas(gtn, Flat(2))
    images = as_images(data)
    side = (data[:, 0] > 0).astype(int)
    assert chart_use(atlas, images).confidence.min() > 0.99
    graph = LatentGraph.build(atlas, images)
    assert graph.stats()["components"] == 2
    left, right = (int(np.flatnonzero(side == each)[0]) for each in (0, 1))
    with pytest.raises(NoPath):
        graph.between_rows(left, right)


def test_what_makes_no_atlas():
    with pytest.raises(ValueError, match="has not learned anything"):
        GTNAtlas(GTN(3), Flat(3))
    with pytest.raises(ValueError, match="the GTN has d = 3, the autoencoder d = 2"):
        GTNAtlas(affine(3), Flat(2))
    with pytest.raises(TypeError, match=r"autoencoder must be .*got function"):
        GTNAtlas(affine(3), lambda x: x)
    GTNAtlas(affine(3), Autoencoder(1, 8, 3))
