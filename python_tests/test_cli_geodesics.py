"""gtn-fast interpolate --geodesic: through an atlas, and through a GTN's components."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import one_line, run
from learning_cases import PNG, names

pytest.importorskip("matplotlib")

from gtn_fast.atlas.cae import train_cae
from gtn_fast.atlas.geodesics import LatentGraph
from gtn_fast.atlas.gtn_charts import GTNAtlas
from gtn_fast.atlas.model import NetworkAtlas
from gtn_fast.learn.gtn import GTN
from gtn_fast.vision.pipeline import fit_images


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """120 images of a bar that wanders, an atlas of them, a GTN of two components."""
    folder = tmp_path_factory.mktemp("made")
    places = np.random.default_rng(0).uniform(0, 8, 120)
    gap = np.abs((np.arange(8) - places[:, None] + 4) % 8 - 4)
    bars = np.repeat((200 * np.exp(-(gap**2)))[:, None, None], 8, axis=2).astype(np.uint8)
    np.save(folder / "images.npy", bars)
    np.savez(folder / "several.npz", images=bars, others=bars[:2])
    np.save(folder / "larger.npy", np.repeat(np.repeat(bars, 2, axis=2), 2, axis=3))
    atlas, _ = train_cae(bars, 1, 3, epochs=3, start_steps=30, progress=False)
    atlas.save(folder / "atlas.safetensors")
    fitted = fit_images(bars, 2, preset="uniform", components=2, ae_epochs=1, epochs=2,
                        out=folder / "gtn", progress=False)  # fmt: skip
    assert fitted.autoencoder is not None
    return folder


@pytest.fixture
def at(made, tmp_path, monkeypatch):
    """An empty current folder; the path of the data."""
    monkeypatch.chdir(tmp_path)
    return made


def test_through_an_atlas(at, capsys):
    assert run("interpolate", at / "atlas.safetensors", "--geodesic", "--data", at / "images.npy",
               "--out", "o", "--rows", 3, 9, "--rows", 20, 99, "--steps", 6) == 0  # fmt: skip
    assert names("o") == {"interpolations.npz", "interpolation.png"}
    assert Path("o/interpolation.png").read_bytes().startswith(PNG)
    found = np.load("o/interpolations.npz")
    assert found["images"].shape == (2, 6, 1, 8, 8)
    assert (found["images"].dtype, found["z"].shape) == (np.uint8, (2, 6, 1))
    assert found["chart"].shape == (2, 6)
    assert found["rows"].tolist() == [[3, 9], [20, 99]]
    atlas = NetworkAtlas.load(at / "atlas.safetensors")
    images = np.load(at / "images.npy")
    graph = LatentGraph.build(atlas, images)
    path = graph.path(images[20], images[99])
    assert found["length"][1] == pytest.approx(path.length, rel=1e-6)
    assert np.array_equal(found["images"][1], path.resample(atlas, 6).images)
    said = capsys.readouterr().out
    assert f"{len(graph.z)} nodes" in said
    assert "2 of 6 steps, 3 charts" in said


def test_pairs_are_drawn_by_the_seed(at):
    common = ("interpolate", at / "atlas.safetensors", "--geodesic", "--quiet", "--steps", 2,
              "--data", f"{at / 'several.npz'}:images", "--count", 3)  # fmt: skip
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(*common, "--out", out, "--seed", seed) == 0
    a, b, c = (np.load(f"{out}/interpolations.npz")["rows"].tolist() for out in "abc")
    assert a == b != c
    assert all(len(set(pair)) == 2 for pair in a)


def test_through_a_gtn(at):
    gtn, autoencoder = at / "gtn/gtn.safetensors", at / "gtn/autoencoder.safetensors"
    assert run("interpolate", gtn, "--autoencoder", autoencoder, "--geodesic", "--eps", 0,
               "--neighbours", 5, "--data", at / "images.npy", "--out", "o", "--rows", 0, 7,
               "--quiet") == 0  # fmt: skip
    found = np.load("o/interpolations.npz")
    assert found["z"].shape == (1, 20, 2)
    from gtn_fast.vision.autoencoder import Autoencoder

    atlas = GTNAtlas(GTN.load(gtn), Autoencoder.load(autoencoder))
    images = np.load(at / "images.npy")
    path = LatentGraph.build(atlas, images, k=5, eps=0.0).path(images[0], images[7])
    assert found["length"][0] == pytest.approx(path.length, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{atlas} --out o --geodesic", ["--geodesic needs --data"]),
        ("{gtn} --out o --data {images}", ["--data goes with --geodesic"]),
        ("{gtn} --out o --eps 0.1", ["--eps goes with --geodesic"]),
        ("{gtn} --out o --neighbours 3", ["--neighbours goes with --geodesic"]),
        ("{gtn} --out o --geodesic --data {images}", ["needs --autoencoder"]),
        ("{atlas} --out o --geodesic --data {images} --autoencoder {ae}", ["is an atlas"]),
        ("{atlas} --out o --geodesic --data {larger}", ["images of 1x8x8", "1x16x16"]),
        ("{atlas} --out o --geodesic --data none.npy", ["none.npy", "no such file"]),
        ("{atlas} --out o --geodesic --data {images} --rows 0 120", ["row 120", "120 images"]),
        ("{atlas} --out o --geodesic --data {images} --rows -1 3", ["row -1"]),
        ("{atlas} --out o --geodesic --data {images} --rows 0 3 --seed 1", ["--rows", "--seed"]),
        ("{atlas} --out o --geodesic --data {images} --steps 1", ["two ends"]),
        ("{atlas} --out o --geodesic --data {images} --eps 0.5", ["eps", "1 / 3"]),
        ("{ae} --out o --geodesic --data {images}", ["is an autoencoder", "wanted a GTN"]),
        ("{atlas} --out {at} --geodesic --data {images} --rows 0 1", []),
    ],
)
def test_nonsense_is_one_line(at, arguments, words, capsys):
    paths = {
        "at": at, "atlas": at / "atlas.safetensors", "images": at / "images.npy",
        "larger": at / "larger.npy", "gtn": at / "gtn/gtn.safetensors",
        "ae": at / "gtn/autoencoder.safetensors",
    }  # fmt: skip
    if not words:
        (at / "interpolation.png").write_bytes(b"mine")
        words = ["interpolation.png"]
    assert run("interpolate", *arguments.format(**paths).split()) == 2
    one_line(capsys, *words)
    assert names(".") == set()


def test_no_path_is_one_line(at, capsys):
    """Two images whose charts share nothing, with one neighbour each."""
    far = np.zeros((4, 1, 8, 8), np.uint8)
    far[:2, :, :2], far[2:, :, 4:6] = 255, 255
    np.save("far.npy", far)
    code = run("interpolate", at / "gtn/gtn.safetensors", "--geodesic", "--data", "far.npy",
               "--autoencoder", at / "gtn/autoencoder.safetensors", "--out", "o",
               "--neighbours", 1, "--rows", 0, 2)  # fmt: skip
    assert code == 2
    one_line(capsys, "no path", "piece of")
    assert names(".") == {"far.npy"}
