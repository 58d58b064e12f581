"""The learning commands, end to end on tiny data: what they write and print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import one_line, run
from html_pages import Page
from learning_cases import PNG, D, N, names, read, train
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")

from gtn_fast.learn.flow import Flow
from gtn_fast.learn.gtn import GTN
from gtn_fast.vision.autoencoder import Autoencoder
from gtn_fast.vision.codecs import decode_latents


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data and trained models: written once, never changed."""
    folder = tmp_path_factory.mktemp("made")
    train(folder)
    return folder


@pytest.fixture
def at(made, tmp_path, monkeypatch):
    """An empty current folder; the path of the data."""
    monkeypatch.chdir(tmp_path)
    return made


# ------------------------------------------------------------------ train and autoencode


def test_train_on_latents_leaves_a_model_pictures_and_numbers(at):
    assert names(at / "points") == {"gtn.safetensors", "loss.png", "samples.png", "log.csv",
                                    "metrics.json", "held_out.npy", "report.html"}  # fmt: skip
    record = read(at / "points/metrics.json")
    assert record["rows"] == 270
    assert record["training"]["epochs"] == 3
    assert record["compared_with"] == "validation data"
    assert {"energy_distance", "sliced_wasserstein", "copies"} <= record.keys()
    assert len((at / "points/log.csv").read_text().splitlines()) == 4
    assert (at / "points/samples.png").read_bytes().startswith(PNG)


def test_train_ends_with_a_page(at):
    """It needs nothing beside it, and names every file that lies there."""
    for folder, pictures in (("points", 1), ("images", 2)):
        page = Page((at / folder / "report.html").read_text(encoding="utf-8"))
        assert page.open == []
        assert page.loaded == []
        assert page.tags.count("img") == pictures
        assert page.tags.count("svg") == pictures  # losses of ĥ, and of the autoencoder
        record = read(at / folder / "metrics.json")
        for word in (
            *(names(at / folder) - {"report.html", "autoencoder_log.csv", "autoencoder_loss.png"}),
            f"{record['energy_distance']:.4g} to the {record['compared_with']}",
            f"{record['verdict']['full_normals']:.3f}",
            "are too few to judge" if folder == "points" else "A GTN of d = 3",
            "gtn-fast train ",
        ):
            assert word in page.text, word


def test_train_is_the_public_api(at):
    """The same model comes of the same steps in Python, with the rows held out as told."""
    x = np.load(at / "x.npy")
    held = np.zeros(N, dtype=bool)
    held[np.random.default_rng(0).permutation(N)[:30]] = True
    gtn = GTN(2, "uniform")
    gtn.fit(x[~held], x[held], epochs=3)
    written = GTN.load(at / "points/gtn.safetensors")
    assert np.array_equal(gtn.sample(50, seed=1), written.sample(50, seed=1))


def test_rays_are_the_presets_unless_given(at):
    rng = np.random.default_rng(0)
    np.save("plane.npy", rng.random((120, 2)).astype(np.float32))
    rays = {}
    for name, options in {"own": (), "given": ("--rays", 7)}.items():
        shape = ("--preset", "uniform", "--epochs", 1, "--quiet")
        assert run("train", "plane.npy", "--out", name, *shape, *options) == 0
        rays[name] = GTN.load(f"{name}/gtn.safetensors").preset.rays
    assert rays == {"own": 100, "given": 7}


def test_train_from_images_in_one_command(at):
    expected = {"autoencoder.safetensors", "autoencoder_log.csv", "autoencoder_loss.png",
                "latents.npy", "reconstructions.png"}  # fmt: skip
    assert names(at / "images") == expected | names(at / "points") - {"held_out.npy"}
    latents = np.load(at / "images/latents.npy")
    assert latents.shape == (N, D)
    assert GTN.load(at / "images/gtn.safetensors").d == D
    record = read(at / "images/metrics.json")
    assert record["autoencoder"]["epochs"] == 2
    for name in ("autoencoder", "training"):  # --val test judges both
        assert record[name]["val_loss"] > 0
    assert 0 < record["reconstruction_rmse"] < 1


def test_train_takes_a_trained_autoencoder(at, capsys):
    model = at / "images/autoencoder.safetensors"
    assert run("train", at / "images.npz", "--images", "--out", "o", "--autoencoder", model,
               "--epochs", 1, "--layers", 2, "--width", 8, "--components", 2) == 0  # fmt: skip
    assert np.array_equal(np.load("o/latents.npy"), np.load(at / "images/latents.npy"))
    assert "autoencoder.safetensors" not in names("o")
    out = capsys.readouterr().out
    for word in ("300 of 8 x 8, grey", "300 x 3", "energy", "copies", "samples.png"):
        assert word in out
    gtn = GTN.load("o/gtn.safetensors")
    assert (gtn.preset.layers, gtn.preset.width, gtn.components) == (2, 8, 2)


@pytest.mark.parametrize("vae", [False, True])
def test_autoencode(at, capsys, vae):
    options = ("--vae",) if vae else ()
    assert run("autoencode", at / "images.npz", "--out", "o", "--epochs", 1, "--d", 2,
               "--limit", 90, "--batch-size", 30, *options) == 0  # fmt: skip
    assert names("o") == {"autoencoder.safetensors", "latents.npy", "reconstructions.png",
                          "loss.png", "log.csv", "metrics.json"}  # fmt: skip
    assert np.load("o/latents.npy").shape == (90, 2)
    assert read("o/metrics.json")["vae"] is vae
    out = capsys.readouterr().out
    assert "90 of 8 x 8, grey" in out
    assert "90 x 2" in out


# ------------------------------------------------------------------ classes, residuals, the verdict


def halves(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Two squares, 9 apart, and where each point lies."""
    rng = np.random.default_rng(4)
    where = rng.integers(0, 2, n)
    return rng.random((n, 2)) + 9 * where[:, None], np.where(where, "high", "low")


def test_train_and_sample_by_class(at, capsys):
    x, names_ = halves()
    np.save("points.npy", x)
    np.savez("labels.npz", kind=names_, other=np.zeros((2, 2)))
    options = ("--val", 0.2, "--epochs", 3, "--layers", 2, "--width", 8)
    assert run("train", "points.npy", "--out", "o", "--classes", "labels.npz:kind", *options) == 0
    assert read("o/metrics.json")["classes"] == ["high", "low"]
    assert "plain normals (deviations)" in capsys.readouterr().out
    gtn = "o/gtn.safetensors"
    assert run("sample", gtn, "--n", 50, "--class", "high", "--out", "h.npy", "--quiet") == 0
    assert (np.load("h.npy") > 4).all()
    assert run("sample", gtn, "--n", 50, "--residual", "--out", "r.npy", "--quiet") == 0
    assert np.array_equal(np.load("r.npy"), GTN.load(gtn).sample(50, residual=True))
    assert run("interpolate", gtn, "--class", "low", "--out", "low", "--quiet") == 0
    assert (np.load("low/interpolations.npy") < 4).all()
    assert run("interpolate", gtn, "--count", 6, "--out", "any", "--quiet") == 0
    low = np.load("any/interpolations.npy") < 4
    assert (low.all(axis=(1, 2)) | ~low.any(axis=(1, 2))).all()
    assert run("sample", gtn, "--class", "middle", "--out", "m.npy") == 2
    assert "unknown class 'middle'; there are 'high', 'low'" in capsys.readouterr().err
    assert run("sample", at / "points/gtn.safetensors", "--class", "high", "--out", "m.npy") == 2
    assert "was trained without classes" in capsys.readouterr().err


def test_validation_files_bring_classes_of_their_own(at):
    x, of = halves()
    for name, part in (("x", x[:200]), ("v", x[200:]), ("cx", of[:200]), ("cv", of[200:])):
        np.save(f"{name}.npy", part)
    assert run("train", "x.npy", "--val", "v.npy", "--classes", "cx.npy", "--val-classes", "cv.npy",
               "--out", "o", "--epochs", 1, "--layers", 1, "--quiet") == 0  # fmt: skip
    assert read("o/metrics.json")["verdict"]["rows"] == 100


def test_images_bring_classes_and_are_judged_too(at, capsys):
    assert run("train", at / "images.npz", "--images", "--classes", "own", "--val", "test",
               "--autoencoder", at / "images/autoencoder.safetensors", "--out", "o",
               "--epochs", 2, "--layers", 2, "--width", 8) == 0  # fmt: skip
    out = capsys.readouterr().out
    for words in ("pixels, to held-out images", "full normals", "error of reconstructions"):
        assert words in out
    record = read("o/metrics.json")
    assert record["classes"] == [0, 1]
    assert record["image_verdict"]["rows"] == 40
    assert set(record["image_verdict"]["energy"]) == {
        "training images", "reconstructed", "samples", "plain normals", "full normals"
    }  # fmt: skip
    assert record["image_verdict"]["FID"] is None
    gtn = GTN.load("o/gtn.safetensors")
    bright = decode_latents(
        Autoencoder.load(at / "images/autoencoder.safetensors"), gtn.sample(50, classes=1)
    )
    assert bright[:, :, :4].mean() > bright[:, :, 4:].mean() + 30  # class 1 is bright above


def test_images_of_a_flow_are_judged_too(at):
    assert run("train", at / "images.npz", "--images", "--flow", "--val", 0.2,
               "--autoencoder", at / "images/autoencoder.safetensors", "--out", "o",
               "--epochs", 1, "--layers", 1, "--width", 8, "--quiet") == 0  # fmt: skip
    assert read("o/metrics.json")["image_verdict"]["rows"] == 60


def test_a_small_set_is_trained_on_for_more_epochs(at, capsys):
    shape = ("--layers", 1, "--width", 4, "--batch-size", 30, "--lr", 0.1, "--val", 0.1)
    assert run("train", at / "x.npy", "--out", "o", *shape) == 0
    record = read("o/metrics.json")["training"]
    assert record["note"] == (
        "up to 223 epochs, not 100: 270 rows are 9 batches per epoch, 2,000 are wanted"
    )
    assert record["note"] in capsys.readouterr().out


# ------------------------------------------------------------------ sample, interpolate


def test_sample_gives_points_and_images(at, capsys):
    gtn = at / "images/gtn.safetensors"
    model = at / "images/autoencoder.safetensors"
    assert run("sample", gtn, "--n", 20, "--seed", 5, "--out", "s.npy", "--autoencoder", model) == 0
    samples = np.load("s.npy")
    assert np.array_equal(samples, GTN.load(gtn).sample(20, seed=5))
    images = np.load("s.npz")["images"]
    assert np.array_equal(images, decode_latents(Autoencoder.load(model), samples))
    assert Path("s.png").read_bytes().startswith(PNG)
    assert "20 x 3, seed 5" in capsys.readouterr().out


def test_interpolate_between_rows_and_between_draws(at):
    gtn = GTN.load(at / "points/gtn.safetensors")
    path = at / "points/gtn.safetensors"
    assert run("interpolate", path, "--out", "a", "--rows", 3, 9, "--rows", 1, 299,
               "--steps", 7, "--quiet") == 0  # fmt: skip
    found = np.load("a/interpolations.npy")
    assert found.shape == (2, 7, 2)
    assert np.array_equal(found[1], gtn.interpolate_between(1, 299, steps=7))
    assert run("interpolate", path, "--out", "b", "--seed", 4, "--count", 3, "--quiet") == 0
    y = gtn.source_sample(6, seed=4)
    assert np.array_equal(np.load("b/interpolations.npy")[2], gtn.interpolate(y[4], y[5]))
    assert names("b") == {"interpolations.npy", "interpolation.png"}


def test_interpolate_draws_rows_of_images(at):
    assert run("interpolate", at / "images/gtn.safetensors", "--out", "o", "--count", 2,
               "--autoencoder", at / "images/autoencoder.safetensors", "--quiet") == 0  # fmt: skip
    assert Path("o/interpolation.png").read_bytes().startswith(PNG)


# ------------------------------------------------------------------ evaluate, experiment


def test_evaluate_points(at, capsys):
    x = np.load(at / "x.npy")
    np.save("far.npy", x[:100] + 5)
    near, far = {}, {}
    for name, record in ((at / "x.npy", near), ("far.npy", far)):
        assert run("evaluate", "--real", at / "x.npy", "--generated", name, "--out", "m.json") == 0
        record.update(read("m.json"))
    assert near["energy_distance"] == 0
    assert near["copies"]["share_exact"] == 1
    assert far["energy_distance"] > 1
    assert far["copies"]["share_exact"] == 0
    assert "sliced_wasserstein" in capsys.readouterr().out


def test_evaluate_images_on_a_classifier_trained_here(at, capsys):
    real = at / "images.npz"
    images = np.load(real)["x_train"][:, None]
    np.save("same.npy", images)
    np.save("noise.npy", np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8))
    assert run("evaluate", "--real", real, "--generated", "same.npy", "--train-classifier",
               "--out", "same.json") == 0  # fmt: skip
    same = read("same.json")
    assert same["training_accuracy"] > 0.9
    assert run("evaluate", "--real", real, "--generated", "noise.npy", "--reconstructed",
               "same.npy", "--classifier", "classifier.safetensors",
               "--out", "n.json") == 0  # fmt: skip
    noise = read("n.json")
    assert noise["FID"] > 10 * max(same["FID"], 1e-3)
    assert noise["recon_FID"] == pytest.approx(same["FID"], abs=1e-6)
    assert noise["recon_IS"] > noise["IS"]
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "FID" in captured.out


def test_few_images_are_noted_not_hidden(at, capsys):
    assert run("evaluate", "--real", at / "images.npz", "--generated", at / "images.npz",
               "--train-classifier", "--limit", 60, "--out", "m.json", "--quiet") == 0  # fmt: skip
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("gtn-fast: note: FID from 60")


def test_experiment_passes_its_options_on(at, capsys, monkeypatch):
    from gtn_fast import experiments

    assert run("experiment", "list") == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in experiments.EXPERIMENTS)
    assert "--full: epochs 80, ddpm-epochs 100\n" in listing
    calls = []
    monkeypatch.setattr(experiments, "run", lambda *a, **k: calls.append((a, k)))
    assert run("experiment", "uniform", "--out", "e", "--quick", "--seed", 2, "--epochs", 4) == 0
    ((name, out), options) = calls[0]
    assert (name, out) == ("uniform", Path("e"))
    assert (options["quick"], options["seed"], options["epochs"]) == (True, 2, 4)
    assert "d" not in options
    assert run("experiment", "topology-rp2", "--out", "e", "--full", "--device", "cuda:1") == 0
    options = calls[1][1]
    assert (options["full"], options["device"], options["quick"]) == (True, "cuda:1", False)


# ------------------------------------------------------------------ flows


def test_a_run_s_folder_holds_what_sample_needs(at, capsys):
    """The GTN and its autoencoder are found; single pictures come into a folder."""
    assert run("sample", at / "images", "--n", 12, "--seed", 5, "--out", "s.npy") == 0
    assert names(".") == {"s.npy", "s.npz", "s.png"}
    images = np.load("s.npz")["images"]
    assert run("sample", at / "images", "--n", 12, "--seed", 5, "--out", "new") == 0
    assert "new: sample-0000.png to sample-0011.png" in capsys.readouterr().out
    assert names("new") == {f"sample-{i:04}.png" for i in range(12)}
    for i, image in enumerate(images):
        with Image.open(f"new/sample-{i:04}.png") as shown:
            assert np.array_equal(np.asarray(shown), image[0])
    assert run("interpolate", at / "images", "--steps", 3, "--out", "between", "--quiet") == 0
    assert run("sample", at / "points", "--n", 3, "--out", "p.npy", "--quiet") == 0
    assert not Path("p.npz").exists()  # latents alone: there is no autoencoder


def test_pictures_destroy_nothing(at, capsys):
    into = ("sample", at / "images", "--out", "new/", "--quiet")
    Path("new").mkdir()
    Path("new/sample-0003.png").write_text("mine")
    Path("new/notes.txt").write_text("mine")
    assert run(*into, "--n", 4) == 2
    one_line(capsys, "new/sample-0003.png: is there already; --force replaces it")
    assert names("new") == {"sample-0003.png", "notes.txt"}
    assert run(*into, "--n", 3) == 2
    one_line(capsys, "new: holds sample-0003.png of a larger sample", "another folder")
    assert run(*into, "--n", 4, "--force") == 0
    assert Path("new/sample-0003.png").read_bytes().startswith(PNG)
    assert Path("new/notes.txt").read_text() == "mine"


def test_a_folder_without_what_sample_needs(at, capsys):
    Path("empty").mkdir()
    assert run("sample", "empty", "--out", "s.npy") == 2
    one_line(capsys, "empty: holds none of gtn.safetensors, flow.safetensors, atlas.safetensors")
    assert run("sample", at / "points", "--out", "new") == 2
    one_line(capsys, "new: pictures need --autoencoder")
    for name in ("gtn", "flow"):
        Path(f"empty/{name}.safetensors").write_bytes(b"")
    assert run("sample", "empty", "--out", "s.npy") == 2
    one_line(capsys, "empty: holds gtn.safetensors and flow.safetensors; name one of them")
    assert run("sample", at / "points", "--out", "s.csv") == 2
    one_line(capsys, "s.csv: samples are written as .npy, or as pictures into a folder")
    assert names(".") == {"empty"}


def test_train_flow_and_sample_in_steps(at, capsys):
    small = ("--layers", 1, "--width", 16, "--batch-size", 64)
    assert (
        run("train", at / "x.npy", "--flow", "--out", "f", "--epochs", 2, "--val", 0.1, *small) == 0
    )
    assert names("f") == {"flow.safetensors", "loss.png", "samples.png", "log.csv",
                          "metrics.json", "held_out.npy", "report.html"}  # fmt: skip
    assert read("f/metrics.json")["flow"] is True
    assert "energy distance to held-out data" in capsys.readouterr().out
    flow = Flow.load("f/flow.safetensors")
    how = ("--steps", 3, "--solver", "heun")
    assert run("sample", "f/flow.safetensors", "--n", 7, "--out", "s.npy", *how) == 0
    np.testing.assert_array_equal(np.load("s.npy"), flow.sample(7, steps=3, solver="heun"))
    assert run("interpolate", "f/flow.safetensors", "--out", "i", "--count", 2, "--steps", 5) == 0
    paths = np.load("i/interpolations.npy")
    assert paths.shape == (2, 5, 2)
    np.testing.assert_array_equal(paths[0], flow.interpolate(*flow.source_sample(4)[:2], 5))
    held = np.zeros(N, dtype=bool)
    held[np.load("f/held_out.npy")] = True
    again, x = Flow(2, layers=1, width=16, batch_size=64), np.load(at / "x.npy")
    again.fit(x[~held], x[held], epochs=2)
    np.testing.assert_array_equal(again.sample(5), flow.sample(5))


def test_train_flow_with_classes(at):
    x, of = halves()
    np.save("x.npy", x)
    np.save("of.npy", of)
    small = ("--layers", 2, "--width", 16, "--batch-size", 64, "--epochs", 4, "--quiet")
    assert run("train", "x.npy", "--flow", "--classes", "of.npy", "--val", 0.2, "--out", "f",
               *small) == 0  # fmt: skip
    flow, name = Flow.load("f/flow.safetensors"), str(of[0])
    assert read("f/metrics.json")["classes"] == list(flow.classes.names)
    how = ("--class", name, "--quiet")
    assert run("sample", "f/flow.safetensors", "--n", 9, "--out", "s.npy", *how) == 0
    label = flow.classes.parsed(name)
    np.testing.assert_array_equal(np.load("s.npy"), flow.sample(9, classes=label))
    assert run("interpolate", "f/flow.safetensors", "--out", "one", *how) == 0
    assert run("interpolate", "f/flow.safetensors", "--out", "any", "--count", 2, "--quiet") == 0
    ends = flow.source_sample(4, classes=np.repeat(flow.sample_classes(2), 2))
    path = flow.interpolate(*ends[:2], classes=flow.sample_classes(2)[0])
    np.testing.assert_array_equal(np.load("any/interpolations.npy")[0], path)


def test_train_flow_on_images(at):
    small = ("--layers", 1, "--width", 8, "--epochs", 1, "--ae-epochs", 1, "--d", D)
    assert run("train", at / "images.npz", "--images", "--flow", "--out", "f", *small,
               "--quiet") == 0  # fmt: skip
    assert Flow.load("f/flow.safetensors").d == D
    assert "image_verdict" in read("f/metrics.json")
    assert run("sample", "f/flow.safetensors", "--n", 4, "--out", "s.npy", "--autoencoder",
               "f/autoencoder.safetensors", "--quiet") == 0  # fmt: skip
    assert np.load("s.npz")["images"].shape == (4, 1, 8, 8)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train {at}/x.npy --flow --out f --rays 10", "--rays is about ĥ: it goes without --flow"),
        ("train {at}/x.npy --flow --out f --components 2", "--components is about ĥ"),
        ("train {at}/x.npy --flow --out f --width 99999999", "width must be from 1"),
        ("sample {at}/points/gtn.safetensors --out s.npy --steps 3",
         "is a GTN, which maps in one step: leave out --steps"),
        ("sample {at}/points/log.csv --out s.npy", "not a readable .safetensors file"),
    ],
)  # fmt: skip
def test_what_a_flow_does_not_take_is_named(at, capsys, command, message):
    assert run(*command.format(at=at).split()) == 2
    assert message in capsys.readouterr().err
    assert names(".") == set()
