"""A flow with classes: pairs inside each of them, a velocity that is told the class, its file."""

from __future__ import annotations

import numpy as np
import pytest
from learning_cases import two_classes

import gtn_fast
from gtn_fast.learn import couplings
from gtn_fast.learn import flow as flow_module
from gtn_fast.learn.flow import Flow
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import load_tensors, save_tensors

SMALL = {"layers": 2, "width": 32, "batch_size": 64}


@pytest.fixture(scope="module")
def data():
    return two_classes()


@pytest.fixture(scope="module")
def flow(data) -> Flow:
    made = Flow(2, **SMALL)
    made.fit(data[0], classes=data[1], epochs=15, seed=2, threads=1, progress=False)
    return made


# ------------------------------------------------------------------ what it learns


def test_samples_of_a_class_lie_on_that_class(flow, data):
    x, names = data
    for name in ("left", "right"):
        own, made = x[names == name], flow.sample(2000, classes=name)
        np.testing.assert_allclose(made.mean(axis=0), own.mean(axis=0), atol=0.2 * own.std())
        np.testing.assert_allclose(made.std(axis=0), own.std(axis=0), rtol=0.2)
        assert ((made > 5).all(axis=1) == (name == "right")).all()


def test_classes_that_lie_on_each_other_are_told_apart():
    """Both have mean 0 and deviation 1: only the network's own input can tell them apart."""
    rng = np.random.default_rng(0)
    t = rng.choice([-1.0, 1.0], 800)
    x = np.stack([t, np.where(np.arange(800) < 400, t, -t)], axis=1)
    x += 0.1 * rng.standard_normal(x.shape)
    flow = Flow(2, **SMALL)
    flow.fit(x, classes=np.arange(800) < 400, epochs=25, threads=1, progress=False)
    for name, sign in ((True, 1), (False, -1)):
        made = flow.sample(1000, classes=name)
        assert sign * np.corrcoef(made.T)[0, 1] > 0.8


def test_by_default_classes_are_drawn_by_their_shares(flow):
    made, of = flow.sample(4000, seed=5), flow.sample_classes(4000, seed=5)
    assert ((made > 5).all(axis=1) == (of == "right")).all()
    assert abs((of == "right").mean() - 0.4) < 4 * np.sqrt(0.24 / 4000)
    np.testing.assert_allclose(flow.sample(4000, 5, classes=of), made, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(
        flow.source_sample(9, 5, classes="left"), flow.source_sample(9, 5)
    )


@pytest.mark.parametrize("coupling", ["labels", "independent", "minibatch"])
def test_pairs_stay_inside_a_class(monkeypatch, data, coupling):
    x, names = data
    seen, train = [], flow_module.train

    def spied(model, loss, first, **options):
        seen.extend([first, options["refresh"](2), options["val"]])
        return train(model, loss, first, **options)

    monkeypatch.setattr(flow_module, "train", spied)
    flow = Flow(2, coupling=coupling, **SMALL)
    flow.fit(x, x[:100], classes=names, val_classes=names[:100], epochs=2, threads=1)
    scaled, of = flow.scaling.apply(x), (names == "right").astype(np.int64)
    local = flow.mixture.to_local(scaled, of)
    for (y, x_y, its), rows, purpose in zip(
        seen, (slice(None), slice(None), slice(100)), ("flow 0", "flow 1", "flow val"), strict=True
    ):
        np.testing.assert_array_equal(its.numpy(), of[rows])
        drawn = gtn_fast.normal(derive(0, purpose), 0, len(of[rows]), 2)
        np.testing.assert_array_equal(y.numpy(), drawn)
        for c in (0, 1):
            there = of[rows] == c
            own = np.sort(local[rows][there], axis=0)
            np.testing.assert_array_equal(np.sort(x_y.numpy()[there], axis=0), own)
    if coupling == "labels":
        for c in (0, 1):
            alone = gtn_fast.label(local[of == c], seen[0][0].numpy()[of == c])
            paired = seen[0][1].numpy()[of == c]
            np.testing.assert_array_equal(paired, local[of == c][alone.x_index])


def test_the_way_there_and_back(flow):
    y, how = flow.source_sample(50, seed=3), {"steps": 200, "solver": "heun"}
    for name in ("left", "right"):
        x = flow.transform(y, classes=name, **how)
        np.testing.assert_allclose(flow.inverse(x, classes=name, **how), y, atol=1e-2)


def test_a_path_stays_in_its_class(flow):
    ends = flow.source_sample(2, seed=4)
    path = flow.interpolate(*ends, 7, classes="right")
    assert (path > 5).all()
    np.testing.assert_allclose(path[[0, -1]], flow.transform(ends, classes="right"), atol=1e-4)


# ------------------------------------------------------------------ the same again


def test_a_saved_flow_makes_the_same_samples(flow, tmp_path):
    flow.save(tmp_path / "f.safetensors")
    again = Flow.load(tmp_path / "f.safetensors")
    assert again.classes == flow.classes
    assert repr(again) == repr(flow)
    assert "2 classes" in repr(flow)
    for options in ({}, {"classes": "left"}, {"classes": ["right"] * 40}):
        np.testing.assert_array_equal(again.sample(40, 3, **options), flow.sample(40, 3, **options))


def test_a_killed_run_ends_with_the_same_weights(data, tmp_path):
    x, names = data
    path, options = tmp_path / "c.safetensors", {"classes": names, "seed": 3, "threads": 1}
    whole, part = Flow(2, **SMALL), Flow(2, **SMALL)
    whole.fit(x, epochs=4, **options)
    part.fit(x, epochs=2, checkpoint=path, **options)
    with pytest.raises(ValueError, match="its classes is"):
        Flow(2, **SMALL).fit(
            x, epochs=4, checkpoint=path, **{**options, "classes": names == "left"}
        )
    part.fit(x, epochs=4, checkpoint=path, **options)
    assert part.history.resumed_at == 3
    np.testing.assert_array_equal(part.sample(30), whole.sample(30))


def test_a_second_fit_forgets_the_classes(data):
    flow = Flow(2, **SMALL)
    flow.fit(data[0][:150], classes=data[1][:150], epochs=1)
    flow.fit(data[0][:150], epochs=1)
    assert flow.classes is None
    assert flow.sample(5).shape == (5, 2)
    for ask in (lambda: flow.sample(5, classes="left"), lambda: flow.sample_classes(5)):
        with pytest.raises(ValueError, match="this flow knows no classes"):
            ask()


@pytest.mark.parametrize("names", [["left"], ["right", "left"], ["left", "left"], ["a", 1], None])
def test_a_file_whose_classes_make_no_sense_is_refused(flow, tmp_path, names):
    path = tmp_path / "f.safetensors"
    flow.save(path)
    tensors, meta = load_tensors(path, "flow")
    save_tensors(path, "flow", tensors, {**meta, "classes": names})
    with pytest.raises(ValueError, match="is not a whole flow"):
        Flow.load(path)


# ------------------------------------------------------------------ the verdict


def test_a_flow_worse_than_normals_is_warned_of(data):
    """One epoch of one tiny layer learns nothing; normals of each class are near two squares."""
    flow = Flow(2, layers=1, width=1)
    with pytest.warns(match="samples of this flow are farther from the training data.*more steps"):
        flow.fit(data[0], classes=data[1], epochs=1, threads=1, progress=False, calibrate=False)
    assert flow.verdict.samples > flow.verdict.full_normals
    assert "normals with full covariance" in flow.summary()


def test_the_verdict_gives_each_class_normals_of_its_own(flow):
    assert flow.verdict.full_normals < 0.2
    assert flow.verdict.of == "flow"


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (lambda d: {"classes": d[1][:-1]}, ValueError, r"classes must have shape \(500,\)"),
        (lambda d: {"classes": np.full(500, np.nan)}, TypeError, "got dtype float64"),
        (lambda d: {"classes": np.arange(500)}, ValueError, "class 0 has 1 row; each"),
        (lambda d: {"val_classes": d[1]}, ValueError, "val_classes= goes with classes="),
        (lambda d: {"classes": d[1], "val": d[0]}, ValueError, "val= needs val_classes="),
    ],
)
def test_bad_classes_leave_the_flow_as_it_was(flow, data, options, error, message):
    before = flow.sample(5)
    with pytest.raises(error, match=message):
        flow.fit(data[0], progress=False, **options(data))
    np.testing.assert_array_equal(flow.sample(5), before)


def test_bad_calls(flow):
    with pytest.raises(ValueError, match="unknown class 'up'; there are 'left', 'right'"):
        flow.sample(5, classes="up")
    for ask in (flow.transform, flow.inverse):
        with pytest.raises(ValueError, match="classes= is missing, the class of every row: 'left'"):
            ask(np.zeros((3, 2)))
    assert flow.sample(0, classes="left").shape == (0, 2)
    assert couplings.name_of(flow.coupling) == "labels"
