"""Images in, generator out, and what a second call with the same folder does."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch

from gtn_fast.learn.gtn import GTN
from gtn_fast.metrics import energy_distance
from gtn_fast.vision.autoencoder import Autoencoder
from gtn_fast.vision.classifier import train_classifier
from gtn_fast.vision.codecs import callables_codec, decode_latents, encode_images
from gtn_fast.vision.pipeline import fit_images, generate

QUICK = {"ae_epochs": 2, "ae_batch_size": 32, "layers": 2, "width": 16, "epochs": 3}


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    brightness = rng.integers(0, 256, (80, 1, 1, 1))
    slope = rng.integers(-15, 16, (80, 1, 1, 1)) * np.arange(8)
    return np.clip(brightness + slope, 0, 255).astype(np.uint8).repeat(8, axis=2)


def names(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_one_call_trains_and_generates(images):
    fitted = fit_images(images[:60], 2, val=images[60:], seed=1, **QUICK)
    assert set(fitted.histories) == {"autoencoder", "gtn"}
    assert "val_loss" in fitted.histories["autoencoder"].epochs[0]
    assert "val_loss" in fitted.histories["gtn"].epochs[0]
    np.testing.assert_array_equal(fitted.latents, encode_images(fitted.autoencoder, images[:60]))
    new = generate(fitted, 10, seed=5)
    assert new.dtype == np.uint8
    assert new.shape == (10, 1, 8, 8)
    np.testing.assert_array_equal(
        new, decode_latents(fitted.autoencoder, fitted.gtn.sample(10, seed=5))
    )
    again = fit_images(images[:60], 2, val=images[60:], seed=1, **QUICK)
    np.testing.assert_array_equal(new, generate(again, 10, seed=5))


def test_the_folder_holds_what_is_needed_to_generate_again(tmp_path, images):
    out = tmp_path / "made" / "here"
    fitted = fit_images(images, 2, out=out, **QUICK)
    assert names(out) == [
        "autoencoder.csv",
        "autoencoder.safetensors",
        "gtn.csv",
        "gtn.safetensors",
        "latents.npy",
    ]
    np.testing.assert_array_equal(np.load(out / "latents.npy"), fitted.latents)
    new = GTN.load(out / "gtn.safetensors").sample(4, seed=2)
    back = decode_latents(Autoencoder.load(out / "autoencoder.safetensors"), new)
    np.testing.assert_array_equal(back, generate(fitted, 4, seed=2))
    without = fit_images(images, 2, **QUICK)
    np.testing.assert_array_equal(without.latents, fitted.latents)


def test_an_autoencoder_is_reused_for_these_images_and_settings_only(tmp_path, images):
    first = fit_images(images, 2, out=tmp_path, **QUICK)
    same = fit_images(images, 2, out=tmp_path, **{**QUICK, "epochs": 1})
    assert "autoencoder" not in same.histories
    np.testing.assert_array_equal(same.latents, first.latents)
    changed = images.copy()
    changed[7, 0, 0, 0] ^= 1
    others = [
        (changed, {}),
        (changed, {"ae_lr": 2e-3}),
        (changed, {"ae_lr": 2e-3, "seed": 4}),
        (changed, {"ae_lr": 2e-3, "seed": 4, "val": images[:9]}),
        (changed, {"ae_lr": 2e-3, "seed": 4, "val": images[:10]}),
    ]
    for data, options in others:
        fitted = fit_images(data, 2, out=tmp_path, **QUICK, **options)
        assert "autoencoder" in fitted.histories, options
    (tmp_path / "autoencoder.safetensors").write_bytes(b"damaged")
    fitted = fit_images(data, 2, out=tmp_path, **QUICK, **options)
    assert "autoencoder" in fitted.histories
    assert not [name for name in names(tmp_path) if "checkpoint" in name]


def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path, images, monkeypatch):
    whole = fit_images(images, 2, **QUICK)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Autoencoder, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            fit_images(images, 2, out=tmp_path, **QUICK)
    (left,) = [name for name in names(tmp_path) if "checkpoint" in name]
    assert left.startswith("autoencoder-")
    # Other settings are not disturbed by it; the same ones take it up.
    fit_images(images, 2, out=tmp_path, **{**QUICK, "ae_epochs": 1})
    assert left in names(tmp_path)
    resumed = fit_images(images, 2, out=tmp_path, **QUICK)
    assert resumed.histories["autoencoder"].resumed_at == 3
    np.testing.assert_array_equal(resumed.latents, whole.latents)
    assert left not in names(tmp_path)


def test_a_codec_of_your_own_takes_the_autoencoders_place(images):
    def encode(x):
        x = x.float()
        return torch.stack([x.mean(dim=(1, 2, 3)), x[..., -1].mean(dim=(1, 2))], dim=1)

    def decode(z):
        return z[:, :1, None, None].clamp(0, 255).expand(-1, 1, 8, 8).to(torch.uint8)

    codec = callables_codec(encode, decode)
    fitted = fit_images(images, 2, codec=codec, **QUICK)
    assert fitted.autoencoder is None
    assert set(fitted.histories) == {"gtn"}
    assert fitted.latents[3, 0] == pytest.approx(images[3].mean(), rel=1e-5)
    new = generate(fitted, 6)
    assert (new == new[:, :, :1, :1]).all()
    with pytest.raises(ValueError, match="latents of 2 columns, but d is 3"):
        fit_images(images, 3, codec=codec, **QUICK)


def test_the_metric_sees_new_images_and_chooses_the_epoch(images):
    seen = []

    def second_is_best(shown):
        seen.append(shown)
        return float(len(seen) == 2)

    fitted = fit_images(images, 2, metric=second_is_best, metric_samples=7, **QUICK)
    assert [shown.shape for shown in seen] == [(7, 1, 8, 8)] * 3
    assert fitted.histories["gtn"].best_epoch == 2


def test_the_images_are_judged_beside_normals_and_reconstructions(images):
    fitted = fit_images(images[:60], 2, val=images[60:], seed=1, **QUICK)
    found = fitted.verdict
    assert (found.compared_with, found.rows) == ("held-out images", 20)
    back = decode_latents(fitted.codec, encode_images(fitted.codec, images[60:]))
    wanted = np.sqrt(np.square(back.astype(float) - images[60:]).mean()) / 255
    assert found.reconstruction_rmse == pytest.approx(wanted, rel=1e-5)
    far = energy_distance(back.reshape(20, -1), images[60:].reshape(20, -1)) / 255
    assert found.energy["reconstructed"] == pytest.approx(far)
    assert found.FID is None
    assert f"  reconstructed                       {far:.3f}\n" in found.table()
    without = fit_images(images, 2, seed=1, **QUICK).verdict
    assert (without.compared_with, without.rows) == ("the training images", 40)


@pytest.mark.filterwarnings("ignore:FID from")
def test_a_network_adds_its_scores(images):
    network, _ = train_classifier(images, np.arange(80) % 2, epochs=1, progress=False)
    found = fit_images(images[:60], 2, val=images[60:], network=network, **QUICK).verdict
    assert found.FID.keys() == found.IS.keys() == found.energy.keys()
    assert all(1 <= score <= 2 for score in found.IS.values())
    assert "   energy      FID       IS" in found.table()


def test_images_worse_than_normals_are_warned_of_once(images, monkeypatch):
    monkeypatch.setattr("gtn_fast.learn.verdict.FEWEST", 10)
    held = np.concatenate([images, images])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fitted = fit_images(images, 2, val=held, calibrate=False, **QUICK)
    assert fitted.gtn.verdict.warning is not None
    assert len([each for each in said if "farther" in str(each.message)]) == 1
    energy = {**fitted.verdict.energy, "samples": 9.0}
    worse = dataclasses.replace(fitted.verdict, energy=energy)
    assert worse.warning.startswith("new images are farther from held-out images")


def test_classes_of_images(images):
    bright = images.mean(axis=(1, 2, 3)) > 128
    fitted = fit_images(images, 2, classes=bright, **{**QUICK, "ae_epochs": 30})
    light = generate(fitted, 50, classes=True).mean()
    assert light > generate(fitted, 50, classes=False).mean() + 30
    with pytest.raises(ValueError, match=r"classes must have shape \(80,\)"):
        fit_images(images, 2, classes=bright[1:], **QUICK)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": np.zeros((5, 1, 8, 8))}, TypeError, "uint8"),
        ({"images": np.zeros((5, 1, 10, 10), np.uint8)}, ValueError, "divisible by 4"),
        ({"val": np.zeros((5, 3, 8, 8), np.uint8)}, ValueError, "like those trained on"),
        ({"preset": "cifar"}, ValueError, "unknown preset"),
        ({"colour": 3}, (TypeError, ValueError), "colour"),
        ({"d": 0}, ValueError, "d must be from 1"),
        ({"metric_samples": 0}, ValueError, "metric_samples must be from 1"),
    ],
)
def test_bad_input_leaves_the_folder_empty(tmp_path, images, arguments, error, message):
    options = {"images": images, "d": 2, **QUICK, **arguments}
    with pytest.raises(error, match=message):
        fit_images(options.pop("images"), options.pop("d"), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists() or names(tmp_path / "out") == []


def test_out_must_be_a_folder_that_can_be_made(tmp_path, images):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file: "):
        fit_images(images, 2, out=tmp_path / "file", **QUICK)
