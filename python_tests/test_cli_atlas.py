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
from gtn_fast.system.openmp import torch_threads

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


@pytest.fixture
def one_thread():
    with torch_threads(1):
        yield


def test_diffusion_in_pixels(folder, tmp_path, capsys, one_thread):
    """Trained, sampled and asked for ways by the same commands; without charts."""
    out, images = tmp_path / "d", folder / "x.npy"
    assert run("atlas", images, "--kind", "ddpm", "--epochs", 1, "--out", out, "--quiet") == 0
    assert {path.name for path in out.iterdir()} == {
        "atlas.safetensors", "samples.png", "loss.png", "log.csv", "metrics.json"
    }  # fmt: skip
    record = json.loads((out / "metrics.json").read_text())
    assert (record["kind"], record["charts"], record["d"]) == ("ddpm", 1, 64)
    model = load_atlas(out / "atlas.safetensors")
    assert run("sample", out, "--n", 3, "--seed", 2, "--out", tmp_path / "s.npy", "--quiet") == 0
    with np.load(tmp_path / "s.npz") as made:
        np.testing.assert_array_equal(made["images"], model.sample(3, 2).numpy())
    ways = ("interpolate", out, "--data", images, "--rows", 3, 5, "--steps", 4)
    assert run(*ways, "--out", tmp_path / "w") == 0
    assert "1 of 4 steps" in capsys.readouterr().out
    x = np.load(images)[:, None]
    with np.load(tmp_path / "w" / "interpolations.npz") as made:
        wanted = model.interpolate(x[[3]], x[[5]], 4).numpy()
        np.testing.assert_array_equal(made["images"], wanted)
    for arguments, words in (
        ((*ways, "--geodesic"), "--geodesic goes with an atlas or a GTN"),
        (("interpolate", out), "a DDPM needs --data"),
        ((*ways[:4], "--rows", 3, 300), "row 300 is not there"),
    ):
        assert run(*arguments, "--out", tmp_path / "none") == 2
        one_line(capsys, words)
    for option in (("--charts", 2), ("--d", 3), ("--networks", "conv"), ("--gtn",)):
        arguments = ("atlas", images, "--kind", "ddpm", *option, "--out", tmp_path / "none")
        assert run(*arguments) == 2
        one_line(capsys, option[0])
    assert not (tmp_path / "none").exists()


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
        (("--kind", "flow"), "invalid choice"),
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
