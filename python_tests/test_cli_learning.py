"""The learning commands, end to end on tiny data; what they refuse and what they leave behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gtn_fast import _files, cli

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")

from gtn_fast.learn.autoencoder import Autoencoder  # noqa: E402
from gtn_fast.learn.codecs import decode_latents  # noqa: E402
from gtn_fast.learn.gtn import GTN  # noqa: E402

N, SIDE, D = 300, 8, 3
PNG = b"\x89PNG"


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def one_line(capsys, *words):
    """The error stream holds exactly one line, of ours, with these words in it."""
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("gtn-fast: error: ")
    for word in words:
        assert word in lines[0]
    assert captured.out == ""


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def read(path):
    return json.loads(Path(path).read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data, and the results of train and of train --images: written once, never changed."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(3)
    np.save(folder / "x.npy", rng.random((N, 2)))
    labels = np.arange(N) % 2
    images = rng.integers(0, 60, size=(N, SIDE, SIDE), dtype=np.uint8)
    images[labels == 1, :4] += 180  # class 1 is bright above
    np.savez(folder / "images.npz", x_train=images, y_train=labels,
             x_test=images[:40], y_test=labels[:40])  # fmt: skip
    assert run("train", folder / "x.npy", "--out", folder / "points", "--preset", "uniform",
               "--epochs", 3, "--val", 0.1, "--quiet") == 0  # fmt: skip
    assert run("train", folder / "images.npz", "--images", "--out", folder / "images", "--d", D,
               "--ae-epochs", 2, "--epochs", 2, "--val", "test", "--quiet") == 0  # fmt: skip
    return folder


@pytest.fixture
def at(made, tmp_path, monkeypatch):
    """An empty current folder; the path of the data."""
    monkeypatch.chdir(tmp_path)
    return made


# ------------------------------------------------------------------ train and autoencode


def test_train_on_latents_leaves_a_model_pictures_and_numbers(at):
    assert names(at / "points") == {"gtn.safetensors", "loss.png", "samples.png", "log.csv",
                                    "metrics.json"}  # fmt: skip
    record = read(at / "points/metrics.json")
    assert record["rows"] == 270
    assert record["training"]["epochs"] == 3
    assert record["compared_with"] == "validation data"
    assert {"energy_distance", "sliced_wasserstein", "copies"} <= record.keys()
    assert len((at / "points/log.csv").read_text().splitlines()) == 4
    assert (at / "points/samples.png").read_bytes().startswith(PNG)


def test_train_is_the_public_api(at):
    """The same model comes of the same steps in Python, with the rows held out as told."""
    x = np.load(at / "x.npy")
    held = np.zeros(N, dtype=bool)
    held[np.random.default_rng(0).permutation(N)[:30]] = True
    gtn = GTN(2, "uniform")
    gtn.fit(x[~held], x[held], epochs=3)
    written = GTN.load(at / "points/gtn.safetensors")
    assert np.array_equal(gtn.sample(50, seed=1), written.sample(50, seed=1))


def test_train_from_images_in_one_command(at):
    expected = {"autoencoder.safetensors", "autoencoder_log.csv", "autoencoder_loss.png",
                "latents.npy", "reconstructions.png"}  # fmt: skip
    assert names(at / "images") == expected | names(at / "points")
    latents = np.load(at / "images/latents.npy")
    assert latents.shape == (N, D)
    assert GTN.load(at / "images/gtn.safetensors").d == D
    record = read(at / "images/metrics.json")
    assert record["autoencoder"]["epochs"] == 2
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
    assert run("interpolate", path, "--out", "a", "--rows", 3, 9, "--rows", 0, 269,
               "--steps", 7, "--quiet") == 0  # fmt: skip
    found = np.load("a/interpolations.npy")
    assert found.shape == (2, 7, 2)
    assert np.array_equal(found[1], gtn.interpolate_between(0, 269, steps=7))
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
    calls = []
    monkeypatch.setattr(experiments, "run", lambda *a, **k: calls.append((a, k)))
    assert run("experiment", "uniform", "--out", "e", "--quick", "--seed", 2, "--epochs", 4) == 0
    ((name, out), options) = calls[0]
    assert (name, out) == ("uniform", Path("e"))
    assert (options["quick"], options["seed"], options["epochs"]) == (True, 2, 4)
    assert "d" not in options


# ------------------------------------------------------------------ nonsense is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train {x} --out x.npy", ["x.npy", "is a file"]),
        ("train {x} --out no/where", ["no", "does not exist"]),
        ("train missing.npy --out o", ["missing.npy", "no such file"]),
        ("train nan.npy --out o", ["nan.npy", "row 7, column 1", "nan"]),
        ("train constant.npy --out o", ["constant"]),
        ("train {x} --out o --val wide.npy", ["wide.npy", "d = 3", "d = 2"]),
        ("train {x} --out o --val 1.5", ["--val", "between 0 and 1"]),
        ("train {x} --out o --val 0.001", ["--val", "leaves nothing"]),
        ("train {x} --out o --preset magic", ["magic", "celeba"]),
        ("train {x} --out o --preset swiss-roll", ["d = 1"]),
        ("train {x} --out o --patience 3", ["--patience", "--val"]),
        ("train {x} --out o --d 3", ["--d", "--images"]),
        ("train {x} --out o --side 8", ["--side", "--images"]),
        ("train {x} --out o --lr 0", ["positive", "'0'"]),
        ("train {x} --out o --epochs 0", ["whole number", "'0'"]),
        ("train {x} --out o --seed -1", ["seed", "-1"]),
        ("train {x} --out o --components 500", ["500"]),
        ("train {x} --out o --device abacus", ["--device abacus"]),
        ("train {x} --out o --resume", ["no unfinished training"]),
        ("train {x} --out o --resume --fresh", ["not allowed"]),
        ("train {x} --out o --autoencoder {ae}", ["x.npy", "d = 2", "d = 3"]),
        ("train {x} --out o --autoencoder {gtn}", ["is a GTN, wanted an autoencoder"]),
        ("train {images} --images --out o --side 12 --autoencoder {ae}", ["1x8x8", "1x12x12"]),
        ("train {images} --images --out o --d 2 --autoencoder {ae}", ["--d", "--autoencoder"]),
        ("train {images} --images --out o --side 10", ["divisible by 4", "10"]),
        ("autoencode {x} --out o", ["x.npy", "uint8", "float64"]),
        ("autoencode missing --out o", ["missing", "no such"]),
        ("autoencode {images} --out o --kind folder", ["images.npz", "folder"]),
        ("autoencode {images} --out o --key nothing", ["nothing", "x_train"]),
        ("sample {ae} --out s.npy", ["is an autoencoder, wanted a GTN"]),
        ("sample {x} --out s.npy", ["x.npy", "safetensors"]),
        ("sample {gtn} --out s.txt", ["s.txt", ".npy"]),
        ("sample {gtn} --out no/s.npy", ["does not exist"]),
        ("sample {gtn} --out s.npy --n 0", ["whole number"]),
        ("sample {gtn} --out s.npy --n 99999999999999", ["s.npy", "bytes"]),
        ("sample {gtn} --out s.npy --autoencoder {ae}", ["d = 2", "d = 3"]),
        ("interpolate {gtn} --out o --rows 0 270", ["270", "269"]),
        ("interpolate {gtn} --out o --rows -1 3", ["-1"]),
        ("interpolate {gtn} --out o --rows 0 3 --seed 1", ["--rows", "--seed"]),
        ("interpolate {gtn} --out o --steps 1", ["--steps", "two ends"]),
        ("evaluate --real {x} --generated wide.npy --out m.json", ["d = 3", "d = 2"]),
        ("evaluate --real {x} --generated nan.npy --out m.json", ["nan.npy", "row 7"]),
        ("evaluate --real {x} --generated {x} --out m.txt", ["m.txt", ".json"]),
        ("evaluate --real {x} --generated {x} --inception --out m.json", ["for images"]),
        ("evaluate --real {images} --generated {images} --out m.json", ["--classifier"]),
        ("evaluate --real missing --generated {x} --out m.json", ["missing"]),
        (
            "evaluate --real {images} --generated {images} --classifier {ae} --out m.json",
            ["is an autoencoder, wanted a classifier"],
        ),
        ("experiment magic", ["magic", "swiss-roll"]),
        ("experiment celeba", ["--data"]),
        ("experiment uniform --out x.npy", ["is a file"]),
    ],
)
def test_nonsense_is_refused_and_leaves_nothing(at, capsys, arguments, words):
    x = np.load(at / "x.npy")
    np.save("x.npy", x)
    np.save("wide.npy", np.ones((20, 3)))
    np.save("constant.npy", np.ones((20, 2)))
    x[7, 1] = np.nan
    np.save("nan.npy", x)
    before = names(".")
    places = {
        "x": "x.npy",
        "images": at / "images.npz",
        "gtn": at / "points/gtn.safetensors",
        "ae": at / "images/autoencoder.safetensors",
    }
    assert run(*arguments.format(**places).split()) == 2
    one_line(capsys, *words)
    assert names(".") == before


def test_the_output_folder_is_checked_before_the_work(at, capsys, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_files.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(_files, "load_matrix", lambda *_: pytest.fail("worked first"))
    assert run("train", at / "x.npy", "--out", "o") == 2
    one_line(capsys, "cannot write", "Permission denied")


@pytest.mark.parametrize("command", ["sample", "interpolate"])
def test_a_full_disk_leaves_nothing_half_written(at, capsys, monkeypatch, command):
    def full(path, _):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert run(command, at / "points/gtn.safetensors", "--out", "o.npy") == 2
    one_line(capsys, "o.npy", "No space left")
    assert names(".") == set()


@pytest.mark.parametrize("package", ["torch", "safetensors", "matplotlib", "PIL", "sklearn"])
def test_missing_packages_are_named_with_their_extra(capsys, monkeypatch, package):
    def missing(_):
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr("gtn_fast.cli.encoding._stages.begin", lambda *_: missing(_))
    assert run("autoencode", "x", "--out", "o") == 2
    one_line(capsys, package, f"gtn-fast[{'plots' if package == 'matplotlib' else 'train'}]")


# ------------------------------------------------------------------ Ctrl-C and going on


def test_ctrl_c_keeps_the_checkpoint_and_resume_goes_on(at, capsys):
    train = ("train", at / "x.npy", "--out", "o", "--preset", "uniform", "--quiet")
    process = subprocess.Popen(
        [sys.executable, "-m", "gtn_fast", *map(str, train), "--epochs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A test runner started in the background ignores SIGINT and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not Path("o/log.csv").exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert errors.startswith("gtn-fast: interrupted; o/checkpoint.safetensors")
    assert "--resume" in errors
    assert names("o") == {"checkpoint.safetensors", "log.csv"}

    shutil.copytree("o", "other")
    assert run(*train) == 2
    one_line(capsys, "o:", "--resume", "--fresh")
    assert run(*train, "--resume", "--lr", 0.5) == 2
    one_line(capsys, "checkpoint of another run", "lr")
    assert run(*train, "--resume", "--epochs", 1) == 0  # it has done more already
    assert read("o/metrics.json")["training"]["epochs"] >= 1
    assert "checkpoint.safetensors" not in names("o")

    fresh = ("train", at / "x.npy", "--out", "other", "--preset", "uniform", "--quiet", "--fresh")
    assert run(*fresh, "--epochs", 2) == 0
    assert read("other/metrics.json")["training"]["epochs"] == 2
