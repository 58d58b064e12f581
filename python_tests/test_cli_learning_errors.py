"""The learning commands on bad input, a full disk, Ctrl-C: one line, and nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_runs import one_line, run
from learning_cases import names, read, train

from gtn_fast.cli import models
from gtn_fast.outputs import files

pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")


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
        ("train {x} --out o --classes own", ["--classes own", "--images"]),
        ("train {x} --out o --classes few.npy", ["classes", "(300,)", "(20,)"]),
        ("train {x} --out o --classes {x}", ["wanted a 1-D array", "300x2"]),
        ("train {x} --out o --classes missing.npy", ["missing.npy", "no such file"]),
        ("train {x} --out o --classes of.npy --components 2", ["--components"]),
        ("train {x} --out o --val-classes of.npy", ["--val-classes", "--classes"]),
        ("train {x} --out o --classes of.npy --val-classes of.npy", ["--val-classes", "none"]),
        ("train {x} --out o --classes of.npy --val {x}", ["--val-classes", "label for each"]),
        ("train {x} --out o --classes each.npy", ["class 0 has 1 row"]),
        ("train {x} --out o --classifier {ae}", ["--classifier", "--images"]),
        (
            "train {images} --images --out o --classifier {ae}",
            ["is an autoencoder, wanted a classifier"],
        ),
        ("train bare.npy --images --out o --classes own", ["bare.npy", "come with no labels"]),
        ("sample {gtn} --out s.npy --class 1", ["--class", "trained without classes"]),
        ("interpolate {gtn} --out o --rows 0 3 --class 1", ["--rows", "--class"]),
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
        ("interpolate {gtn} --out o --rows 0 300", ["row 0 was not trained on"]),
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
    np.save("few.npy", np.ones(20, int))
    np.save("of.npy", np.arange(300) % 2)
    np.save("each.npy", np.arange(300))
    np.save("bare.npy", np.zeros((20, 1, 8, 8), np.uint8))
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


def test_training_is_on_the_cpu_unless_told(monkeypatch, capsys):
    """The command line as Python, even where a GPU is; a line tells of it."""
    import torch

    from gtn_fast.cli import stages
    from gtn_fast.learn import GTN

    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert stages._device(None, quiet=False) == torch.device("cpu") == GTN(2).device
        assert ("--device cuda" in capsys.readouterr().err) == there
    stages._device(None, quiet=True)
    stages._device("cpu", quiet=False)
    assert capsys.readouterr().err == ""


def test_the_output_folder_is_checked_before_the_work(at, capsys, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(models, "load_points", lambda *_: pytest.fail("worked first"))
    assert run("train", at / "x.npy", "--out", "o") == 2
    one_line(capsys, "cannot write", "Permission denied")


@pytest.mark.parametrize("command", ["sample", "interpolate"])
def test_a_full_disk_leaves_nothing_half_written(at, capsys, monkeypatch, command):
    def full(file, _):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert run(command, at / "points/gtn.safetensors", "--out", "o.npy") == 2
    one_line(capsys, "o.npy", "No space left")
    assert names(".") == set()


@pytest.mark.parametrize("package", ["torch", "safetensors", "matplotlib", "PIL", "sklearn"])
def test_missing_packages_are_named_with_their_extra(capsys, monkeypatch, package):
    def missing(_):
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr("gtn_fast.cli.encoding.stages.begin", lambda *_: missing(_))
    assert run("autoencode", "x", "--out", "o") == 2
    one_line(capsys, package, f"gtn-fast[{'plots' if package == 'matplotlib' else 'train'}]")


# ------------------------------------------------------------------ what is there stays


def everything(*folders):
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


POINTS = "train {at}/x.npy --out {at}/points --preset uniform"
WHOLE = "train {at}/images.npz --images --out {at}/images --d 3"


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (POINTS, "gtn.safetensors"),
        (POINTS + " --fresh", "gtn.safetensors"),
        (WHOLE, "gtn.safetensors"),
        ("autoencode {at}/images.npz --out {at}/images", "autoencoder.safetensors"),
        ("sample {at}/points/gtn.safetensors --out {at}/x.npy", "x.npy"),
        # Its images would go to images.npz.
        ("sample {at}/images/gtn.safetensors --out {at}/images.npy --autoencoder "
         "{at}/images/autoencoder.safetensors", "images.npz"),
        ("sample {at}/images/gtn.safetensors --out samples.npy --autoencoder "
         "{at}/images/autoencoder.safetensors", "samples.png"),
        ("interpolate {at}/points/gtn.safetensors --out .", "interpolation.png"),
        ("evaluate --real {at}/x.npy --generated {at}/x.npy --out {at}/points/metrics.json",
         "metrics.json"),
        ("evaluate --real {at}/images.npz --generated {at}/images.npz --train-classifier"
         " --out m.json", "classifier.safetensors"),
        ("train {at}/x.npy --preset uniform --val 0.1 --out held", "held_out.npy"),
        ("experiment uniform --quick --out e", "summary.md"),
        ("experiment uniform --quick --out pictures", "of_mine.png"),
        ("bench --quick --out .", "bench.md"),
        ("bench --quick --out pictures", "bench.png"),
        ("demo --quick --out .", "results.md"),
    ],
)  # fmt: skip
def test_nothing_is_replaced_unasked(at, capsys, command, word):
    for folder in ("e/uniform", "pictures/uniform", "held"):
        Path(folder).mkdir(parents=True)
    for name in ("samples.png", "interpolation.png", "classifier.safetensors", "bench.md",
                 "results.md", "e/uniform/summary.md", "pictures/uniform/of_mine.png",
                 "pictures/bench.png", "held/held_out.npy"):  # fmt: skip
        Path(name).write_text("mine")
    before = everything(".", at)
    assert run(*command.format(at=at).split()) == 2
    one_line(capsys, word, "is there already", "--force")
    assert everything(".", at) == before


@pytest.mark.parametrize(
    "command",
    [
        "sample {at}/images/gtn.safetensors --out a.npy --autoencoder a.png",
        "train x.npy --out . --preset uniform --val loss.png",
        "train images.npz --images --out . --autoencoder latents.npy",
        "train images.npz --images --out . --val latents.npy",
        "evaluate --real x.npy --generated m.json --out m.json",
    ],
)
def test_an_input_is_never_an_output(at, capsys, command):
    """Whatever the names: links to what is read stand where something would be written."""
    for name in ("x.npy", "images.npz"):
        shutil.copy(at / name, name)
    for name in ("loss.png", "latents.npy", "m.json", "a.png"):
        Path(name).hardlink_to("x.npy")
    before = everything(".")
    assert run(*command.format(at=at).split(), "--force") == 2
    one_line(capsys, "is the input")
    assert everything(".") == before


def test_pictures_are_not_put_among_the_training_images(at, capsys):
    Image = pytest.importorskip("PIL.Image")
    Path("images").mkdir()
    for i in range(4):
        Image.fromarray(np.full((8, 8), 60 * i, np.uint8)).save(f"images/{i}.png")
    before = everything(".")
    for command in (
        "train images --images --out images",
        "train images --images --out images/run --force",
        "train images/../images --images --out images/new",
        "autoencode images --out images --force",
        "train x.npy --out images/run --images --val images",
    ):
        assert run(*command.split()) == 2
        one_line(capsys, "images", "whose pictures are read")
        assert everything(".") == before


def test_what_a_failed_training_left_is_no_finished_run(at, capsys):
    """Its log is in the way of nobody; another's table is."""
    command = ("train", at / "x.npy", "--out", "o", "--preset", "uniform", "--epochs", 1, "--quiet")
    Path("o").mkdir()
    Path("o/log.csv").write_text("name,size\n")
    assert run(*command) == 2
    one_line(capsys, "o/log.csv", "is there already")
    shutil.copy(at / "points/log.csv", "o/log.csv")
    assert run(*command) == 0


def test_samples_whose_name_is_written_large(at):
    assert run("sample", at / "points/gtn.safetensors", "--n", 7, "--out", "S.NPY", "--quiet") == 0
    assert np.load("S.NPY").shape == (7, 2)
    assert names(".") == {"S.NPY"}


def test_a_finished_run_is_replaced_with_force(at):
    command = ("train", at / "x.npy", "--out", "o", "--preset", "uniform", "--epochs", 1, "--quiet")
    assert run(*command) == 0
    Path("o/checkpoint.safetensors").write_bytes(b"not a checkpoint of anything")
    assert run(*command, "--seed", 1) == 2
    assert run(*command, "--fresh") == 2
    Path("o/log.csv").write_text("name,size\n")
    assert run(*command, "--seed", 1, "--force") == 0
    assert Path("o/log.csv").read_text().startswith("epoch,loss,")
    assert read("o/metrics.json")["seed"] == 1
    assert "checkpoint.safetensors" not in names("o")


def test_room_for_a_whole_run_is_asked_for_before_it(at, capsys, monkeypatch):
    usage = shutil.disk_usage(".")._replace(free=(1 << 22) + 1000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    for command in (f"train {at}/x.npy --preset uniform", f"train {at}/images.npz --images --d 3",
                    f"autoencode {at}/images.npz --d 3"):  # fmt: skip
        assert run(*command.split(), "--out", "o") == 2
        one_line(capsys, "o", "bytes", "left")
        assert names(".") == set()


# ------------------------------------------------------------------ Ctrl-C and going on


def test_ctrl_c_keeps_the_checkpoint_and_resume_goes_on(at, capsys):
    command = ("train", at / "x.npy", "--out", "o", "--preset", "uniform", "--quiet")
    with subprocess.Popen(
        [sys.executable, "-m", "gtn_fast", *map(str, command), "--epochs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            deadline = time.monotonic() + 300  # a guard: the log comes with the first epoch
            while not Path("o/log.csv").exists() and time.monotonic() < deadline:
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert errors.startswith("gtn-fast: interrupted; o/checkpoint.safetensors")
    assert "--resume" in errors
    assert names("o") == {"checkpoint.safetensors", "log.csv"}

    shutil.copytree("o", "other")
    assert run(*command) == 2
    one_line(capsys, "o:", "--resume", "--fresh")
    assert run(*command, "--resume", "--lr", 0.5) == 2
    one_line(capsys, "checkpoint of another run", "lr")
    assert run(*command, "--resume", "--epochs", 1) == 0  # it has done more already
    assert read("o/metrics.json")["training"]["epochs"] >= 1
    assert "checkpoint.safetensors" not in names("o")

    fresh = ("train", at / "x.npy", "--out", "other", "--preset", "uniform", "--quiet", "--fresh")
    assert run(*fresh, "--epochs", 2) == 0
    assert read("other/metrics.json")["training"]["epochs"] == 2
