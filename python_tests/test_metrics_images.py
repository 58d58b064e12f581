"""Inception Score and FID against closed formulas and against torchmetrics itself."""

from __future__ import annotations

import urllib.error
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
import torchmetrics.image.fid
import torchmetrics.image.inception
from torch import nn

from gtn_fast import metrics
from gtn_fast.metrics import networks

CLASSES, SIDE = 5, 8


class Marked:
    """Reads an image's first pixel as its class; features are two mean colours and a pixel."""

    sure = 1000.0

    def features(self, images):
        rows = images.flatten(1).float()
        return torch.stack([rows.mean(1), rows[:, ::2].mean(1), rows[:, 3]], dim=1) / 255

    def forward(self, images):
        return self.sure * nn.functional.one_hot(images[:, 0, 0, 0].long(), CLASSES).float()


class Net(nn.Module):
    """A small random network, as a stand-in for a trained classifier; batch norm included."""

    def __init__(self, channels=1):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Sequential(
                nn.Flatten(), nn.Linear(channels * SIDE**2, 6), nn.BatchNorm1d(6), nn.Tanh()
            )
            self.head = nn.Linear(6, CLASSES)

    def features(self, images):
        return self.body(images.float() / 255)

    def forward(self, images):
        return 8 * self.head(self.features(images))


def make_images(rng, n, low=0, high=256, channels=1):
    return rng.integers(low, high, (n, channels, SIDE, SIDE), dtype=np.uint8)


def marked(rng, classes):
    images = make_images(rng, len(classes))
    images[:, 0, 0, 0] = classes
    return images


# --- Inception Score ---------------------------------------------------------------


def test_a_sure_and_uniform_classifier_scores_the_number_of_classes(rng):
    images = marked(rng, np.arange(200) % CLASSES)
    assert metrics.inception_score(images, Marked(), splits=1) == pytest.approx(CLASSES)


def test_a_constant_classifier_scores_one(rng):
    assert metrics.inception_score(marked(rng, [3] * 50), Marked()) == pytest.approx(1)
    unsure = Marked()
    unsure.sure = 0.0
    assert metrics.inception_score(marked(rng, [0, 1] * 25), unsure) == pytest.approx(1)


def test_two_of_five_classes_score_two_though_three_never_occur(rng):
    images = marked(rng, [0, 1] * 100)
    assert metrics.inception_score(images, Marked(), splits=1) == pytest.approx(2)


def test_the_score_is_torchmetrics_own(rng):
    images, net = make_images(rng, 300), Net().eval()
    own = torchmetrics.image.inception.InceptionScore
    for splits in (1, 4):
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            metric = own(feature=net, splits=splits)
            metric.update(torch.from_numpy(images))
            wanted = float(metric.compute()[0])
        tolerance = 1e-5 if splits == 1 else 0.1  # it shuffles by a generator of its own
        assert metrics.inception_score(images, net, splits=splits) == pytest.approx(
            wanted, rel=tolerance
        )


def test_the_splits_are_chosen_by_the_seed_alone(rng):
    images, net = make_images(rng, 200), Net()
    before = torch.random.get_rng_state()
    one = metrics.inception_score(images, net, seed=1)
    assert (torch.random.get_rng_state() == before).all()
    torch.rand(3)
    assert metrics.inception_score(images, net, seed=1, batch_size=7) == pytest.approx(one)
    assert metrics.inception_score(images, net, seed=2) != pytest.approx(one)


# --- FID ---------------------------------------------------------------------------


def closed_formula(a, b):
    """FID of two sets of features, by SciPy's matrix root."""
    first, second = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(first @ second).real
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)


def test_fid_of_a_set_with_itself_is_zero(rng):
    images = make_images(rng, 100)
    for network in (Marked(), Net()):
        assert 0 <= metrics.fid(images, images[::-1], network) < 1e-9


def test_fid_is_the_closed_formula_and_torchmetrics_own(rng):
    real, generated = make_images(rng, 150), make_images(rng, 90, 40, 200)
    real_t, generated_t = torch.from_numpy(real), torch.from_numpy(generated)
    net = Net().eval()
    with torch.no_grad():
        features = [net.features(t).double().numpy() for t in (real_t, generated_t)]

        class Features(nn.Module):
            num_features = 6

            def forward(self, images):
                return net.features(images)

        metric = torchmetrics.image.fid.FrechetInceptionDistance(feature=Features())
        metric.update(real_t, real=True)
        metric.update(generated_t, real=False)
    distance = metrics.fid(real, generated, net)
    assert distance > 0.01
    assert distance == pytest.approx(closed_formula(*features), rel=1e-6)
    assert distance == pytest.approx(float(metric.compute()), rel=1e-4)
    assert metrics.fid(real_t, generated_t, net, batch_size=11) == pytest.approx(distance)
    assert metrics.fid(generated, real, net) == pytest.approx(distance)


def test_gaussian_features_have_the_known_distance(rng):
    # One feature: the mean byte. N(m, s²) against N(m', s'²): (m - m')² + (s - s')².
    class Brightness:
        def features(self, images):
            return images[:, 0, 0, :1].float()

        forward = features

    def gaussian(mean, std):
        images = np.zeros((20_000, 1, 1, 1), np.uint8)
        images[:, 0, 0, 0] = np.clip(np.rint(rng.normal(mean, std, 20_000)), 0, 255)
        return images

    distance = metrics.fid(gaussian(100, 10), gaussian(120, 20), Brightness())
    assert distance == pytest.approx(20**2 + 10**2, rel=0.05)


def test_features_that_repeat_each_other_have_a_distance(rng):
    class Repeated(Marked):
        def features(self, images):
            return super().features(images).repeat(1, 20)

    real, generated = make_images(rng, 100), make_images(rng, 100, 50)
    wanted = metrics.fid(real, generated, Marked())
    # Every feature twenty times over: means and covariances count twenty times.
    assert metrics.fid(real, generated, Repeated()) == pytest.approx(20 * wanted, rel=1e-6)
    assert metrics.fid(real, real, Repeated()) < 1e-6


def test_the_other_road_gives_torchmetrics_value(rng, monkeypatch):
    real, generated = make_images(rng, 100), make_images(rng, 80, 50)
    wanted = metrics.fid(real, generated, Net())

    def fails(self):
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(torchmetrics.image.fid.FrechetInceptionDistance, "compute", fails)
    assert metrics.fid(real, generated, Net()) == pytest.approx(wanted, rel=1e-9)


def test_too_few_images_for_the_covariance_are_warned_of(rng):
    images = make_images(rng, 20)
    with pytest.warns(UserWarning, match=r"FID from 6 generated images but 6 features") as caught:
        metrics.fid(images, images[:6], Net())
    assert caught[0].filename == __file__
    metrics.fid(images, images[:7], Net())  # no warning: that would be an error here


def test_the_network_is_left_as_it_was(rng):
    images, net = make_images(rng, 40), Net().train()
    net.head.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    training = metrics.fid(images[:20], images[20:], net)
    metrics.inception_score(images, net)
    assert net.training
    assert not net.head.training
    assert all((net.state_dict()[name] == value).all() for name, value in before.items())
    assert metrics.fid(images[:20], images[20:], net.eval()) == training
    assert not net.training


def test_the_four_numbers(rng):
    real, generated, reconstructed = (make_images(rng, 60, low) for low in (0, 60, 5))
    net = Net()
    scores = metrics.image_scores(real, generated, reconstructed, net, splits=2, seed=3)
    assert scores == {
        "IS": metrics.inception_score(generated, net, splits=2, seed=3),
        "recon_IS": metrics.inception_score(reconstructed, net, splits=2, seed=3),
        "FID": pytest.approx(metrics.fid(real, generated, net)),
        "recon_FID": pytest.approx(metrics.fid(real, reconstructed, net)),
    }
    assert scores["recon_FID"] < scores["FID"]


def test_memory_maps_and_progress(rng, tmp_path):
    np.save(tmp_path / "images.npy", make_images(rng, 50))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    seen = []
    metrics.fid(images, images, Net(), batch_size=20, progress=lambda *at: seen.append(at))
    assert seen == [(20, 50), (40, 50), (50, 50)] * 2


# --- Inception ---------------------------------------------------------------------


def test_without_torch_fidelity_the_remedy_is_said_in_one_line(rng, monkeypatch):
    for module in (torchmetrics.image.fid, torchmetrics.image.inception):
        monkeypatch.setattr(module, "_TORCH_FIDELITY_AVAILABLE", False)
    images = make_images(rng, 30)
    for score in (lambda: metrics.fid(images, images), lambda: metrics.inception_score(images)):
        with pytest.raises(ValueError, match=r"pip install torch-fidelity .* network=") as raised:
            score()
        assert "\n" not in str(raised.value)


class StandIn(nn.Module):
    """In the place of torchmetrics' Inception: insists on what that insists on."""

    made = ()

    def __init__(self, name, features_list, *_weights, **_options):
        super().__init__()
        StandIn.made += ((name, *features_list),)

    def forward(self, images):
        assert images.dtype == torch.uint8
        assert images.shape[1:] == (3, SIDE, SIDE)
        rows = images.flatten(2).float()
        return torch.cat([rows.mean(2), rows[:, :, :7].std(2)], dim=1).repeat(1, 11)[:, :64]


@pytest.fixture
def inception(monkeypatch):
    """The Inception path as far as it goes without weights of 90 MB."""
    monkeypatch.setattr(StandIn, "made", ())
    for module in (torchmetrics.image.fid, torchmetrics.image.inception):
        monkeypatch.setattr(module, "_TORCH_FIDELITY_AVAILABLE", True)
        monkeypatch.setattr(module, "NoTrainInceptionV3", StandIn)
    # 2048 features would take a minute of eigenvalues: the first 64 will do.
    monkeypatch.setattr(networks, "_INCEPTION_FEATURES", 64)
    return StandIn


def test_inception_sees_bytes_of_three_channels(rng, inception):
    colour = make_images(rng, 80, channels=3)
    assert metrics.fid(colour, colour[::-1]) == pytest.approx(0, abs=0.1)
    assert metrics.fid(colour, colour // 2) > 100
    grey = make_images(rng, 80)
    repeated = np.repeat(grey, 3, axis=1)
    assert metrics.fid(grey, grey // 2) == pytest.approx(metrics.fid(repeated, repeated // 2))
    assert metrics.inception_score(grey) == pytest.approx(metrics.inception_score(repeated))
    assert ("inception-v3-compat", "64") in inception.made
    assert ("inception-v3-compat", "logits_unbiased") in inception.made
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        metrics.fid(grey.repeat(2, 1), grey.repeat(2, 1))


def test_published_numbers_use_the_last_layer(rng, monkeypatch):
    asked = []

    def distance(feature, **options):
        asked.append(feature)
        raise KeyboardInterrupt  # before any weights are fetched

    monkeypatch.setattr(torchmetrics.image.fid, "FrechetInceptionDistance", distance)
    with pytest.raises(KeyboardInterrupt):
        metrics.fid(*make_images(rng, 8, channels=3).reshape(2, 4, 3, SIDE, SIDE))
    assert asked == [2048]


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no route to host"),
        RuntimeError("invalid hash value\nno route to host"),
    ],
)
def test_weights_that_cannot_be_had_are_one_line(rng, inception, monkeypatch, error):
    def refuse(self, *args, **kwargs):
        raise error

    monkeypatch.setattr(inception, "__init__", refuse)
    images = make_images(rng, 30)
    for score in (lambda: metrics.fid(images, images), lambda: metrics.inception_score(images)):
        with pytest.raises(ValueError, match=r"weights cannot be loaded .* network=") as raised:
            score()
        assert "\n" not in str(raised.value)
        assert "checkpoints" in str(raised.value)


# --- bad input ---------------------------------------------------------------------


def test_bad_input_is_one_clear_error(rng):
    images, net = make_images(rng, 30), Net()
    with pytest.raises(TypeError, match=r"real must be uint8 images .* got dtype float64"):
        metrics.fid(images / 255, images, net)
    with pytest.raises(TypeError, match=r"generated must be uint8 .* torch\.float32"):
        metrics.fid(images, torch.zeros(9, 1, SIDE, SIDE), net)
    with pytest.raises(ValueError, match=r"shape \(n, c, h, w\), got shape \(30, 8, 8\)"):
        metrics.inception_score(images[:, 0], net)
    with pytest.raises(ValueError, match="generated must hold at least 2 images, got 1"):
        metrics.fid(images, images[:1], net)
    with pytest.raises(ValueError, match=r"\(1, 8, 8\) and \(1, 8, 4\)"):
        metrics.fid(images, images[..., :4], net)
    with pytest.raises(ValueError, match="19 images are too few for 10 splits"):
        metrics.inception_score(images[:19], net)
    with pytest.raises(TypeError, match="method 'features'; Linear has not"):
        metrics.fid(images, images, nn.Linear(2, 2))
    with pytest.raises(ValueError, match="batch_size must be from 1"):
        metrics.fid(images, images, net, batch_size=0)


def test_a_network_that_gives_nan_or_odd_shapes_is_said(rng):
    images = make_images(rng, 30)

    class Broken(Marked):
        def features(self, images):
            return super().features(images) * torch.nan

        def forward(self, images):
            return super().forward(images)[:, :, None]

    with pytest.raises(ValueError, match="features are not finite"):
        metrics.fid(images, images, Broken())
    images[:, 0, 0, 0] = 0
    with pytest.raises(ValueError, match=r"logits must have shape \(30, f\) .* \(30, 5, 1\)"):
        metrics.inception_score(images, Broken())
