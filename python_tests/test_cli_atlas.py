"""``gtn-fast atlas`` and ``sample`` of what it wrote."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_runs import one_line, run
from PIL import Image

from gtn_fast.atlas.files import load_atlas
from gtn_fast.atlas.gtn import AtlasGTN
from gtn_fast.atlas.model import NetworkAtlas

SMALL = ("--charts", 2, "--d", 2, "--epochs", 2, "--batch-size", 64, "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """300 images of a bright spot, and what a chart autoencoder with GTNs made of them."""
    place = tmp_path_factory.mktemp("atlas")
    t = np.random.default_rng(0).random(300) * 2 * np.pi
    u = np.arange(8) - 3.5
    near = (u[None, None] - 2 * np.cos(t)[:, None, None]) ** 2
    near = near + (u[None, :, None] - 2 * np.sin(t)[:, None, None]) ** 2
    np.save(place / "x.npy", np.rint(255 * np.exp(-near / 3)).astype(np.uint8))
    assert run("atlas", place / "x.npy", "--out", place / "a", "--gtn", "--gtn-epochs", 1,
               "--threads", 1, *SMALL) == 0  # fmt: skip
    return place


def test_what_is_written(folder):
    names = {path.name for path in (folder / "a").iterdir()}
    assert names == {"atlas.safetensors", "gtn.safetensors", "samples.png", "reconstructions.png",
                     "loss.png", "log.csv", "metrics.json"}  # fmt: skip
    record = json.loads((folder / "a" / "metrics.json").read_text())
    assert record["kind"] == "cae"
    assert record["charts"] == 2
    assert sum(record["shares"]) == pytest.approx(1)
    assert 0 < record["reconstruction_rmse"] < 1
    assert isinstance(load_atlas(folder / "a" / "atlas.safetensors"), NetworkAtlas)
    assert isinstance(load_atlas(folder / "a" / "gtn.safetensors"), AtlasGTN)


@pytest.mark.parametrize("name", ["atlas", "gtn"])
def test_sample_draws_what_the_atlas_draws(folder, tmp_path, capsys, name):
    file = folder / "a" / f"{name}.safetensors"
    assert run("sample", file, "--n", 9, "--seed", 3, "--out", tmp_path / "s.npy") == 0
    z, y = load_atlas(file).draw(9, 3)
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), z.numpy())
    with np.load(tmp_path / "s.npz") as made:
        np.testing.assert_array_equal(made["chart"], y.numpy())
        assert made["images"].shape == (9, 1, 8, 8)
    assert (tmp_path / "s.png").stat().st_size
    assert "of 2" in capsys.readouterr().out
    assert run("sample", file, "--n", 4, "--chart", 1, "--out", tmp_path / "t.npy") == 0
    with np.load(tmp_path / "t.npz") as made:
        assert made["chart"].tolist() == [1] * 4


@pytest.mark.parametrize(
    ("kind", "more"), [("vae", ()), ("wae", ("--networks", "dense")), ("gan", ())]
)
def test_every_kind_trains(folder, tmp_path, kind, more, capsys):
    given = [each for each in SMALL if each != "--quiet"]
    assert run("atlas", folder / "x.npy", "--out", tmp_path / "a", "--kind", kind, *given,
               "--threads", 1, *more) == 0  # fmt: skip
    shown = capsys.readouterr().out
    assert "2 of dimension 2" in shown
    assert load_atlas(tmp_path / "a" / "atlas.safetensors").kind == kind
    assert (tmp_path / "a" / "reconstructions.png").exists() == (kind != "gan")


def test_pruning(folder, tmp_path):
    assert run("atlas", folder / "x.npy", "--out", tmp_path / "a", "--prune", 1e9, *SMALL) == 0
    assert load_atlas(tmp_path / "a" / "atlas.safetensors").charts == 1
    assert len(json.loads((tmp_path / "a" / "metrics.json").read_text())["kept"]) == 1


def test_an_unfinished_training_goes_on(folder, tmp_path, capsys, monkeypatch):
    from gtn_fast.atlas import cae

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cae, "set_use", stopped)  # after the training, before any result
        assert run("atlas", folder / "x.npy", "--out", tmp_path / "a", *SMALL) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert run("atlas", folder / "x.npy", "--out", tmp_path / "a", *SMALL) == 2
    one_line(capsys, "unfinished training")
    assert run("atlas", folder / "x.npy", "--out", tmp_path / "a", "--resume", *SMALL) == 0
    before = load_atlas(folder / "a" / "atlas.safetensors").state_dict()
    after = load_atlas(tmp_path / "a" / "atlas.safetensors").state_dict()
    assert all((before[name] == after[name]).all() for name in before)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--h", 4), "--h goes with --networks conv"),
        (("--kind", "vae", "--prune", 0.1), "--prune goes with --kind cae"),
        (("--gtn-epochs", 3), "--gtn-epochs goes with --gtn"),
        (("--kind", "gan", "--gtn"), "--gtn needs encoders"),
        (("--kind", "ddpm"), "invalid choice"),
        (("--charts", 301), "charts must be from 1 to 256, got 301"),
        (("--networks", "conv"), "at least 16, got 8"),
    ],
)
def test_bad_options(folder, tmp_path, capsys, more, words):
    assert run("atlas", folder / "x.npy", "--out", tmp_path / "a", "--quiet", *more) == 2
    one_line(capsys, words)
    assert not (tmp_path / "a").exists()


def test_an_atlas_s_folder_and_single_pictures(folder, tmp_path):
    out = tmp_path / "new"
    assert run("sample", folder / "a", "--n", 5, "--seed", 3, "--out", out, "--quiet") == 0
    assert {path.name for path in out.iterdir()} == {f"sample-{i:04}.png" for i in range(5)}
    atlas = load_atlas(folder / "a" / "gtn.safetensors")
    images = atlas.decode_to_bytes(*atlas.draw(5, 3)).numpy()
    with Image.open(out / "sample-0004.png") as shown:
        assert np.array_equal(np.asarray(shown), images[4, 0])


def test_bad_samples(folder, tmp_path, capsys):
    file = folder / "a" / "atlas.safetensors"
    out = ("--out", tmp_path / "s.npy")
    assert run("sample", file, "--chart", 2, *out) == 2
    one_line(capsys, "chart must be from 0 to 1, got 2")
    assert run("sample", file, "--autoencoder", file, *out) == 2
    one_line(capsys, "--autoencoder goes with a GTN")
    assert run("sample", folder / "x.npy", "--chart", 0, *out) == 2
    one_line(capsys, "--chart goes with an atlas")
    assert not list(tmp_path.iterdir())
