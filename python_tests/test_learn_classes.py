"""Classes: labels inside each of them, one ĥ that is told the class, samples of a class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_cases import CLASSES, two_classes

import gtn_fast
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training.store import load_tensors, save_tensors
from gtn_fast.metrics import energy_distance

SMALL = {"layers": 2, "width": 16, "batch_size": 64, "epochs": 4}


@pytest.fixture(scope="module")
def data():
    return two_classes()


@pytest.fixture(scope="module")
def gtn(data) -> GTN:
    made = GTN(2, **SMALL)
    made.fit(data[0], classes=data[1], seed=2, progress=False)
    return made


# ------------------------------------------------------------------ what it learns


def test_samples_of_a_class_lie_on_that_class(gtn, data):
    x, names = data
    for name in CLASSES:
        own, made = x[names == name], gtn.sample(4000, classes=name)
        np.testing.assert_allclose(made.mean(axis=0), own.mean(axis=0), atol=0.1)
        np.testing.assert_allclose(np.cov(made.T), np.cov(own.T), atol=0.1 * own.var())
        assert energy_distance(made, own) < 0.3 * own.std()
        assert ((made > 5).all(axis=1) == (name == "right")).all()


def test_by_default_classes_are_drawn_by_their_shares(gtn):
    made, of = gtn.sample(4000, seed=5), gtn.sample_classes(4000, seed=5)
    assert ((made > 5).all(axis=1) == (of == "right")).all()
    assert abs((of == "right").mean() - 0.4) < 4 * np.sqrt(0.24 / 4000)
    assert (gtn.sample_classes(50, seed=5) == of[:50]).all()
    np.testing.assert_allclose(gtn.sample(4000, 5, classes=of), made, rtol=1e-5, atol=1e-5)


def test_classes_that_lie_on_each_other_are_told_apart():
    """What a source by position alone could not do: one distribution, two shapes."""
    rng = np.random.default_rng(0)
    wide, high = rng.standard_normal((2, 600, 2)) * [[[3, 0.3]], [[0.3, 3]]]
    gtn = GTN(2, **SMALL)
    gtn.fit(np.concatenate([wide, high]), classes=[1] * 600 + [2] * 600, progress=False)
    for label, wanted in ((1, (3, 0.3)), (2, (0.3, 3))):
        np.testing.assert_allclose(gtn.sample(3000, classes=label).std(axis=0), wanted, rtol=0.15)


def test_labels_are_the_engines_inside_each_class(gtn, data):
    x, names = data
    scaled = gtn.scaling.apply(x)
    of = (names == "right").astype(np.int64)
    local, y = gtn.mixture.to_local(scaled, of), gtn_fast.normal(gtn.label_seed, 0, 500, 2)
    for c in (0, 1):
        rows = np.flatnonzero(of == c)
        alone = gtn_fast.label(local[rows], y[rows])
        assert (rows[alone.x_index] == gtn.x_index[rows]).all()
    assert (gtn.y_of_row(7) == y[gtn.x_index == 7][0]).all()


def test_one_y_makes_a_point_of_every_class(gtn):
    y = gtn.source_sample(300)
    assert (y == gtn.source_sample(300, classes="left")).all()
    assert abs(y.mean()) < 0.2
    left, right = (gtn.transform(y, classes=name) for name in CLASSES)
    assert (left < 5).all()
    assert (right > 5).all()


def test_validation_has_classes_of_its_own(data):
    x, names = data
    gtn = GTN(2, **{**SMALL, "epochs": 50, "lr": 0.02})
    val, of_val = two_classes(seed=1)
    history = gtn.fit(
        x, val[:100], classes=names, val_classes=of_val[:100], patience=2, progress=False
    )
    assert history.stopped == "patience"
    assert gtn.verdict.compared_with == "held-out data"
    other = GTN(2, **{**SMALL, "epochs": 1})
    wrong = np.where(of_val[:100] == "left", "right", "left")
    other.fit(x, val[:100], classes=names, val_classes=wrong, progress=False)
    assert other.history.epochs[0]["val_loss"] > 2 * history.epochs[0]["val_loss"]


def test_the_verdict_gives_each_class_normals_of_its_own(gtn):
    """Normals of the whole are far from two squares: theirs would flatter every GTN."""
    assert gtn.verdict.full_normals < 0.2


# ------------------------------------------------------------------ the same again


@pytest.mark.parametrize(
    "kind",
    [
        lambda names: np.where(names == "left", -7, 3),
        lambda names: torch.from_numpy(np.where(names == "left", 0, 1)),
        lambda names: names == "right",
        lambda names: names.astype("S").tolist() and names.astype("S"),
        list,
    ],
    ids=["integers", "tensor", "booleans", "bytes", "list"],
)
def test_labels_of_any_kind_make_the_same_gtn(gtn, data, kind):
    x, names = data
    other = GTN(2, **SMALL)
    other.fit(x, classes=kind(names), seed=2, progress=False)
    assert (other.sample(50) == gtn.sample(50)).all()
    assert type(other.classes.names[1]) is type(other.sample_classes(3).tolist()[0])


def test_loaded_it_samples_the_same(gtn, tmp_path):
    gtn.save(tmp_path / "g.safetensors")
    other = GTN.load(tmp_path / "g.safetensors")
    assert other.classes == gtn.classes
    for options in ({}, {"classes": "left"}, {"residual": True, "classes": ["right"] * 40}):
        assert (other.sample(40, 3, **options) == gtn.sample(40, 3, **options)).all()
    assert repr(other) == repr(gtn)
    assert "2 classes" in repr(gtn)


def test_a_killed_run_ends_with_the_same_weights(gtn, data, tmp_path):
    x, names = data
    path, seen = tmp_path / "c.safetensors", []

    def stop(_):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return float(len(seen))

    options = {"classes": names, "seed": 2, "progress": False, "checkpoint": path}
    with pytest.raises(KeyboardInterrupt):
        GTN(2, **SMALL).fit(x, metric=stop, **options)
    resumed = GTN(2, **SMALL)
    resumed.fit(x, metric=lambda _: float(seen.append(1) or len(seen)), **options)
    assert resumed.history.resumed_at == 3
    assert (resumed.sample(30) == gtn.sample(30)).all()
    renamed = {**options, "classes": names == "right"}
    with pytest.raises(ValueError, match="its classes is"):
        GTN(2, **SMALL).fit(x, metric=lambda _: 0.0, **renamed)


def test_a_path_stays_in_its_class(gtn, data):
    _, names = data
    a, b = np.flatnonzero(names == "right")[:2]
    path = gtn.interpolate_between(int(a), int(b), 9)
    ends = np.stack([gtn.y_of_row(int(row)) for row in (a, b)])
    whole = gtn.transform(ends, classes="right")
    np.testing.assert_allclose(path[[0, -1]], whole, rtol=1e-4, atol=1e-4)
    assert (path > 5).all()
    left = int(np.flatnonzero(names == "left")[0])
    with pytest.raises(
        ValueError, match=r"row \d+ is of class 'right' and row \d+ of class 'left'"
    ):
        gtn.interpolate_between(int(a), left)
    np.testing.assert_allclose(
        gtn.interpolate(*ends, 9, classes="right"), path, rtol=1e-5, atol=1e-5
    )


def test_a_second_fit_forgets_the_classes(data):
    gtn = GTN(2, **{**SMALL, "epochs": 1})
    gtn.fit(data[0], classes=data[1], progress=False)
    gtn.fit(data[0], progress=False)
    assert gtn.classes is None
    assert gtn.sample(5).shape == (5, 2)
    with pytest.raises(ValueError, match="this GTN knows no classes"):
        gtn.sample(5, classes="left")
    with pytest.raises(ValueError, match="this GTN knows no classes"):
        gtn.sample_classes(5)


def test_one_class_is_enough(data):
    gtn = GTN(2, **{**SMALL, "epochs": 1})
    gtn.fit(data[0], classes=np.zeros(500, int), progress=False)
    assert gtn.sample(3, classes=0).shape == (3, 2)
    assert (gtn.sample_classes(3) == 0).all()


def test_few_rows_and_coordinates_that_never_change():
    """Six rows per class in twenty dimensions: samples are finite, and constants stay."""
    x = np.random.default_rng(0).standard_normal((12, 20))
    x[:, 3] = 5
    x[:6, 4] = 1
    gtn = GTN(20, **SMALL)
    gtn.fit(x, classes=[False] * 6 + [True] * 6, progress=False)
    for residual in (False, True):
        made = gtn.sample(60, classes=False, residual=residual)
        assert np.isfinite(made).all()
        np.testing.assert_allclose(made[:, 3], 5, atol=1e-4)
        np.testing.assert_allclose(made[:, 4], 1, atol=1e-4)
        assert gtn.sample(60, classes=True, residual=residual)[:, 4].std() > 0.1


# ------------------------------------------------------------------ bad input


def some(data, **changed):
    names = data[1].astype(object)
    for row, value in changed.items():
        names[int(row[3:])] = value
    return names


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (lambda d: {"classes": d[1][:-1]}, ValueError, r"classes must have shape \(500,\)"),
        (lambda d: {"classes": some(d, row7=np.nan)}, ValueError, "no label in row 7"),
        (lambda d: {"classes": some(d, row3=None)}, ValueError, "no label in row 3"),
        (lambda d: {"classes": some(d, row3=4)}, TypeError, "got int and str"),
        (lambda d: {"classes": np.full(500, np.nan)}, TypeError, "got dtype float64"),
        (lambda d: {"classes": some(d, row3="alone")}, ValueError, "class 'alone' has 1 row; each"),
        (lambda d: {"val_classes": d[1]}, ValueError, "val_classes= goes with classes="),
        (lambda d: {"classes": d[1], "val": d[0]}, ValueError, "val= needs val_classes="),
        (lambda d: {"classes": d[1], "val_classes": d[1]}, ValueError, "val_classes= needs val="),
        (
            lambda d: {"classes": d[1], "val": d[0][:2], "val_classes": ["left", "up"]},
            ValueError,
            "val_classes: unknown class 'up' in row 1; there are 'left', 'right'",
        ),
        (
            lambda d: {"classes": d[1], "val": d[0][:2], "val_classes": [1, 2]},
            TypeError,
            "val_classes must hold strings, as those of fit, got integers",
        ),
    ],
)
def test_bad_classes_leave_the_gtn_as_it_was(gtn, data, options, error, message):
    before = gtn.sample(5)
    with pytest.raises(error, match=message):
        gtn.fit(data[0], progress=False, **options(data))
    assert (gtn.sample(5) == before).all()


def test_bad_calls(gtn, data):
    with pytest.raises(ValueError, match="unknown class 'up'; there are 'left', 'right'"):
        gtn.sample(5, classes="up")
    with pytest.raises(ValueError, match=r"shape \(5,\), one label per row, got \(2,\)"):
        gtn.sample(5, classes=["left", "right"])
    with pytest.raises(TypeError, match="must hold strings, as those of fit, got booleans"):
        gtn.sample(5, classes=True)
    with pytest.raises(ValueError, match="classes= is missing, the class of every row: 'left'"):
        gtn.transform(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="classes= is missing"):
        gtn.interpolate(np.zeros(2), np.ones(2))
    with pytest.raises(ValueError, match="make the GTN without components=2"):
        GTN(2, components=2, **SMALL).fit(data[0], classes=data[1])
    with pytest.raises(ValueError, match="has not learned anything yet"):
        GTN(2).sample(5, classes="left")


def test_no_rows_need_no_class(gtn):
    assert gtn.sample(0, classes=[]).shape == (0, 2)
    assert gtn.sample(0, classes="left").shape == (0, 2)


@pytest.mark.parametrize("names", [["left"], ["right", "left"], ["left", "left"], ["a", 1], []])
def test_a_file_whose_classes_make_no_sense_is_refused(gtn, tmp_path, names):
    path = tmp_path / "g.safetensors"
    gtn.save(path)
    tensors, meta = load_tensors(path, "GTN")
    save_tensors(path, "GTN", tensors, {**meta, "classes": names})
    with pytest.raises(ValueError, match="is not a whole GTN"):
        GTN.load(path)


def test_what_is_typed_is_found_by_its_text():
    for labels, text, wanted in (
        ([3, 10, -1], "10", 10),
        (["3", "b"], "3", "3"),
        ([True, False], "True", True),
    ):
        found = Classes.of(labels, len(labels))[0].parsed(text)
        assert (found, type(found)) == (wanted, type(wanted))
    with pytest.raises(ValueError, match="unknown class '4'; there are 1, 2, 3"):
        Classes.of([3, 2, 1], 3)[0].parsed("4")
