"""The affine map after ĥ, and the verdict of a fit."""

from __future__ import annotations

import dataclasses
import re
import warnings

import numpy as np
import pytest
from sklearn.covariance import empirical_covariance

from gtn_fast.learn.calibration import Calibration, covariance
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.presets import for_rows, preset, width_for
from gtn_fast.learn.verdict import Verdict, judge, normals_like

SMALL = {"layers": 2, "width": 16, "batch_size": 64, "epochs": 2}


def correlated(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((d, d)) / np.sqrt(4 * d) + np.eye(d)
    return rng.standard_normal((n, d)) @ mix + rng.standard_normal(d)


# ------------------------------------------------------------------ the map


@pytest.mark.parametrize("d", [1, 2, 7, 20])
def test_mean_and_covariance_come_out_as_the_datas(d):
    x, g = correlated(20_000, d), 0.3 * correlated(20_000, d, seed=1)
    made = Calibration.between(g, x).apply(g).astype(np.float64)
    np.testing.assert_allclose(made.mean(axis=0), x.mean(axis=0), atol=1e-5)
    wanted = empirical_covariance(x)
    np.testing.assert_allclose(empirical_covariance(made), wanted, atol=0.02 * wanted.max())


def test_it_is_the_optimal_transport_between_the_two_gaussians():
    """Symmetric, positive definite, and A C_g A = C_x: those three make it the one."""
    x, g = correlated(5000, 6), correlated(5000, 6, seed=2)
    (a,) = Calibration.between(g, x).matrix
    np.testing.assert_allclose(a, a.T, atol=1e-12)
    assert np.linalg.eigvalsh(a).min() > 0
    np.testing.assert_allclose(a @ covariance(g) @ a, covariance(x), atol=1e-10)


def test_what_is_right_already_stays():
    x = correlated(500, 4)
    made = Calibration.between(x, x).apply(x)
    np.testing.assert_allclose(made, x, atol=1e-5)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_fewer_rows_than_dimensions(n):
    """Correlations of a few rows are noise: they are shrunk, and deviations stay."""
    x, g = correlated(n, 30), correlated(4000, 30, seed=1)
    found = covariance(x)
    np.testing.assert_allclose(np.diag(found), x.var(axis=0, ddof=1))
    assert np.linalg.eigvalsh(found).min() > 1e-6
    made = Calibration.between(g, x).apply(g)
    assert np.isfinite(made).all()
    np.testing.assert_allclose(made.std(axis=0), x.std(axis=0, ddof=1), rtol=0.15)


def test_many_rows_are_hardly_shrunk():
    x = correlated(50_000, 5)
    np.testing.assert_allclose(covariance(x), np.cov(x.T), rtol=0.01, atol=1e-3)


def test_directions_without_spread_are_not_blown_up():
    """Noise of 1e-6 is not stretched to a coordinate of the data; constants neither."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3000, 3))
    g = np.stack(
        [rng.standard_normal(3000), 1e-6 * rng.standard_normal(3000), np.ones(3000)], axis=1
    )
    found = Calibration.between(g, x)
    made = found.apply(g)
    assert np.isfinite(made).all()
    np.testing.assert_allclose(made[:, 0].std(), 1, rtol=0.05)
    assert made[:, 1].std() < 1e-4
    # Where the data are as thin as ĥ's points nothing is lost, either.
    thin = x * [1, 1e-6, 1]
    np.testing.assert_allclose(Calibration.between(thin, thin).matrix[0], np.eye(3), atol=1e-3)
    np.testing.assert_allclose(made[:, 2], x[:, 2].mean(), atol=1e-6)


def test_every_component_has_a_map_of_its_own():
    a, b = correlated(2000, 3), correlated(2000, 3, seed=5) + 20
    x, of = np.concatenate([a, b]), np.repeat([0, 1], 2000)
    g = np.concatenate([0.5 * a, 0.2 * b])
    found = Calibration.between(g, x, of, of, 2)
    np.testing.assert_allclose(found.apply(g, of), x, atol=1e-3)
    # One that has next to no rows takes the map of all.
    few = Calibration.between(g, x, of, np.where(np.arange(4000) < 3999, 0, 1), 2)
    np.testing.assert_allclose(few.matrix[1], Calibration.between(g, x).matrix[0])


# ------------------------------------------------------------------ in a GTN


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    return correlated(1500, 6).astype(np.float32)


@pytest.fixture(scope="module")
def calibrated(data) -> GTN:
    gtn = GTN(6, "mnist", **SMALL)
    gtn.fit(data, seed=3, progress=False)
    return gtn


def test_samples_have_the_datas_mean_and_covariance(data, calibrated):
    made = calibrated.sample(20_000)
    plain = GTN(6, "mnist", **SMALL)
    plain.fit(data, seed=3, calibrate=False, progress=False)
    assert plain.calibration is None
    assert all(
        (a == b).all()
        for a, b in zip(plain.model.state_dict().values(), calibrated.model.state_dict().values(),
                        strict=True)
    )  # fmt: skip
    wanted = np.cov(data.T)
    far = [np.abs(np.cov(each.T) - wanted).max() for each in (made, plain.sample(20_000))]
    assert far[0] < 0.08 * wanted.max()
    assert far[1] > 3 * far[0]
    assert calibrated.verdict.samples < plain.verdict.samples


def test_it_is_kept_with_the_gtn(calibrated, tmp_path):
    calibrated.save(tmp_path / "g.safetensors")
    loaded = GTN.load(tmp_path / "g.safetensors")
    assert (loaded.sample(100) == calibrated.sample(100)).all()
    assert loaded.verdict == calibrated.verdict
    assert loaded.summary() == calibrated.summary()
    y = calibrated.source_sample(2)
    path = loaded.interpolate(y[0], y[1], 3)
    np.testing.assert_allclose(path[[0, 2]], calibrated.transform(y), rtol=1e-4, atol=1e-4)


def test_components_are_calibrated_each_for_itself(tmp_path):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 1, (600, 2)), rng.uniform(8, 12, (600, 2))])
    gtn = GTN(2, "mnist", components=2, **SMALL)
    gtn.fit(x, progress=False)
    made = gtn.sample(10_000)
    low = made[:, 0] < 5
    np.testing.assert_allclose(made[low].std(axis=0), x[:600].std(axis=0), rtol=0.2)
    np.testing.assert_allclose(made[~low].std(axis=0), x[600:].std(axis=0), rtol=0.2)
    gtn.save(tmp_path / "g.safetensors")
    assert (GTN.load(tmp_path / "g.safetensors").sample(50) == gtn.sample(50)).all()


def test_a_metric_sees_what_samples_will_be(data):
    seen = []
    gtn = GTN(6, "mnist", **SMALL)

    def metric(each):
        seen.append(each.sample(50))
        return float(len(seen))

    gtn.fit(data, metric=metric, progress=False)
    assert len(seen) == 2
    assert (seen[-1] == gtn.sample(50)).all()


# ------------------------------------------------------------------ the verdict


def test_a_gtn_worse_than_plain_normals_is_said_to_be(data):
    gtn = GTN(6, "mnist", **SMALL)
    said = (
        r"farther from the training data \(.*\) than normals of the data's covariance \(.*\): take"
    )
    with pytest.warns(UserWarning, match=said):
        gtn.fit(data, calibrate=False, progress=False)
    text = gtn.summary()
    for words in ("2 layers of 16, d = 6, not calibrated", "2 epochs", "normals with full cov"):
        assert words in text


def test_what_is_good_is_not_warned_of():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1.7, 1.7, (2, 2000, 6))
    found = judge(rng.uniform(-1.7, 1.7, (2000, 6)), x, y, 0)
    assert found.warning is None
    assert found.compared_with == "held-out data"
    assert abs(found.deviation - 1) < 0.05
    assert found.samples < found.normals
    few = dataclasses.replace(found, samples=9.0, rows=50)
    assert few.warning is None
    assert dataclasses.replace(few, rows=500).warning is not None


@pytest.mark.parametrize(
    ("samples", "normals", "full", "data", "words"),
    [
        (0.3, 0.2, 0.4, 0.1, r"0\.3\) than plain normals \(0\.2\): take fewer dimensions"),
        (0.3, 0.4, 0.2, 0.1, r"0\.3\) than normals of the data's covariance \(0\.2\)"),
        (0.21, 0.2, 0.4, 0.1, None),
        (0.3, 0.2, 0.2, 0.3, None),  # as near as the data: nothing is wrong
    ],
)
def test_one_that_is_worse_than_either_kind_of_normals_is_warned_of(
    samples, normals, full, data, words
):
    found = Verdict("held-out data", 0.5, samples, normals, full, data, 500).warning
    assert (found is None) == (words is None)
    if words is not None:
        assert re.search(words, found)


def test_normals_of_each_component_have_its_moments():
    x = np.concatenate([correlated(3000, 3), correlated(1000, 3, seed=4) * 3 + 50])
    of = np.repeat([0, 1], [3000, 1000])
    plain, full = normals_like(x, of, 0, 8000)
    for made, wanted in ((plain, lambda c: np.diag(np.diag(c))), (full, lambda c: c)):
        first = made[:, 0] < 25
        assert abs(first.mean() - 0.75) < 0.02
        for part, own in ((made[first], x[:3000]), (made[~first], x[3000:])):
            np.testing.assert_allclose(part.mean(axis=0), own.mean(axis=0), atol=0.2)
            cov = wanted(np.cov(own.T))
            np.testing.assert_allclose(np.cov(part.T), cov, atol=0.1 * cov.max())


# ------------------------------------------------------------------ how long a small set is trained


@pytest.mark.parametrize(
    ("rows", "options", "epochs", "patience"),
    [
        (60_000, {}, 100, 3),
        (2_433, {}, 100, 3),
        (2_432, {}, 106, 3),
        (1_280, {}, 200, 6),
        (1_281, {}, 182, 5),
        (128, {}, 2000, 60),
        (128, {"min_steps": 300}, 300, 9),
        (128, {"epochs": 100}, 100, 3),
        (128, {"epochs": 30, "min_steps": 60}, 60, 6),
        (128, {"patience": 10}, 2000, 10),
        (128, {"patience": None}, 2000, None),
    ],
)
def test_small_sets_get_epochs_by_steps(rows, options, epochs, patience):
    found = for_rows(preset("mnist", **options), rows, patient=False)
    assert (found.epochs, found.patience) == (epochs, patience)
    assert for_rows(preset("mnist", **options), rows, patient=True).patience == (
        preset("mnist", **options).patience
    )


def test_a_fit_says_so_and_keeps_to_epochs_that_are_given():
    x = correlated(40, 2)
    options = {"layers": 1, "width": 4, "batch_size": 40, "min_steps": 130}
    gtn = GTN(2, **options)
    history = gtn.fit(x, progress=False)
    assert len(history.epochs) == 130
    assert history.note.startswith("up to 130 epochs, not 100: 40 rows are 1 batch per epoch")
    assert history.note in gtn.summary()
    assert len(gtn.fit(x, epochs=3, progress=False).epochs) == 3
    assert gtn.history.note is None


def test_the_default_network_is_as_wide_as_the_data_need():
    assert [width_for(d) for d in (1, 6, 10, 64, 600)] == [50, 50, 80, 512, 600]
    assert GTN(40).preset.width == 320
    assert GTN(40, "mnist").preset.width == 50
    assert GTN(40, width=7).preset.width == 7
    narrow = GTN(40, "mnist", width=10, layers=1, epochs=1)
    with pytest.warns(UserWarning, match="10 wide and the data have 40 dimensions"):
        narrow.fit(correlated(64, 40), progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GTN(2, layers=1, epochs=1, batch_size=512).fit(correlated(128, 2), progress=False)


def test_a_file_from_before_there_was_a_verdict_has_none(calibrated, monkeypatch, tmp_path):
    monkeypatch.setattr(calibrated, "calibration", None)
    monkeypatch.setattr(calibrated, "verdict", None)
    calibrated.save(tmp_path / "old.safetensors")
    loaded = GTN.load(tmp_path / "old.safetensors")
    assert loaded.calibration is None
    assert loaded.verdict is None
    assert "not calibrated" in loaded.summary()


def test_the_text_of_a_verdict():
    text = Verdict("held-out data", 0.5, 0.4, 0.3, 0.2, 0.1, 500).table()
    assert "samples                          0.400" in text
    assert text.splitlines()[0] == "energy distance to held-out data"
