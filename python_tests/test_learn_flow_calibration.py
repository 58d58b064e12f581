"""What follows a flow's last step: the data's mean and covariance, for any number of steps."""

from __future__ import annotations

import numpy as np
import pytest

from gtn_fast.learn.calibration import Calibration, Moments
from gtn_fast.learn.flow import Flow
from gtn_fast.learn.training.store import load_tensors, save_tensors

# Little trained, they lose against normals of the data's covariance, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:samples of this flow are farther")

SMALL = {"layers": 1, "width": 16, "batch_size": 64}


def rows(n: int, seed: int = 0) -> np.ndarray:
    """Points of d = 3 that are no Gaussian and whose coordinates are correlated."""
    z = np.random.default_rng(seed).standard_normal((n, 3))
    z[:, 1] += np.abs(z[:, 0])
    return (z @ [[3, 1, 0], [0, 0.5, 0.2], [0, 0, 1]] + [10, -5, 0]).astype(np.float32)


@pytest.fixture(scope="module")
def flow() -> Flow:
    """Little trained: its points have less spread than the data."""
    made = Flow(3, **SMALL, steps=4)
    made.fit(rows(3000), epochs=2, threads=1, progress=False)
    return made


@pytest.mark.parametrize("way", [{}, {"steps": 1}, {"steps": 3, "solver": "heun"}])
def test_samples_have_the_datas_mean_and_covariance_after_any_number_of_steps(flow, way):
    x, made = rows(3000).astype(np.float64), flow.sample(20_000, 7, **way).astype(np.float64)
    np.testing.assert_allclose(made.mean(axis=0), x.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(made.T), np.cov(x.T), atol=0.05 * np.cov(x.T).max())
    assert (flow.steps, "euler") in flow.calibrations.maps


def test_without_it_the_points_are_those_of_the_velocity(flow):
    plain = Flow(3, **SMALL, steps=4)
    plain.fit(rows(3000), epochs=2, threads=1, progress=False, calibrate=False)
    assert plain.calibrations is None
    y = flow.source_sample(500)
    wanted = plain.scaling.undo(plain._follow(y, None, 4, "euler"))
    np.testing.assert_array_equal(plain.transform(y), wanted)
    wanted = np.cov(rows(3000).T)
    off = [np.abs(np.cov(each.sample(20_000).T) - wanted).max() for each in (plain, flow)]
    assert off[0] > 2 * off[1]
    assert "not calibrated" in plain.summary()
    assert ", calibrated" in flow.summary()


def test_the_way_back_undoes_it(flow):
    y = flow.source_sample(300)
    there = flow.transform(y, steps=64, solver="heun")
    np.testing.assert_allclose(flow.inverse(there, steps=64, solver="heun"), y, atol=2e-3)


def test_a_file_gives_the_same_points_at_any_number_of_steps(flow, tmp_path):
    flow.save(tmp_path / "flow.safetensors")
    read = Flow.load(tmp_path / "flow.safetensors")
    assert list(read.calibrations.maps) == [(4, "euler")]
    for steps in (4, 2):
        np.testing.assert_array_equal(read.sample(50, steps=steps), flow.sample(50, steps=steps))


def test_a_file_from_before_there_were_calibrations_is_read_without(flow, tmp_path):
    flow.save(tmp_path / "new.safetensors")
    tensors, meta = load_tensors(tmp_path / "new.safetensors", "flow")
    old = {k: v for k, v in tensors.items() if not k.startswith(("moments/", "calibration/"))}
    save_tensors(tmp_path / "old.safetensors", "flow", old, meta)
    assert Flow.load(tmp_path / "old.safetensors").calibrations is None


@pytest.mark.parametrize("name", ["moments/covariance", "moments/rows", "calibration/matrix"])
def test_a_file_whose_moments_have_another_shape_is_refused(flow, tmp_path, name):
    flow.save(tmp_path / "flow.safetensors")
    tensors, meta = load_tensors(tmp_path / "flow.safetensors", "flow")
    tensors[name] = tensors[name][..., :0].contiguous()
    save_tensors(tmp_path / "bad.safetensors", "flow", tensors, meta)
    with pytest.raises(ValueError, match="is not a whole flow"):
        Flow.load(tmp_path / "bad.safetensors")


def test_each_class_gets_its_own():
    x = np.concatenate([rows(800), -3 * rows(800, seed=1)])
    names = np.repeat(["a", "b"], 800)
    flow = Flow(3, **SMALL)
    flow.fit(x, classes=names, epochs=1, threads=1, progress=False)
    for name in ("a", "b"):
        own, made = x[names == name].astype(np.float64), flow.sample(8000, classes=name)
        wanted = np.cov(own.T)
        np.testing.assert_allclose(made.mean(axis=0), own.mean(axis=0), atol=0.1 * own.std())
        np.testing.assert_allclose(np.cov(made.T), wanted, atol=0.1 * wanted.max())
    y = flow.source_sample(20)
    there = flow.transform(y, classes="b", steps=64)
    np.testing.assert_allclose(flow.inverse(there, classes="b", steps=64), y, atol=0.02)


def test_a_metric_sees_the_map_of_the_weights_it_judges():
    seen = []

    def metric(flow: Flow) -> float:
        made = flow.sample(10_000, 3).astype(np.float64)
        seen.append(np.abs(np.cov(made.T) - np.cov(rows(2000).T)).max())
        return 0.0

    Flow(3, **SMALL).fit(rows(2000), epochs=3, threads=1, metric=metric, progress=False)
    assert len(seen) == 3
    assert max(seen) < 0.05 * np.cov(rows(2000).T).max()


# ------------------------------------------------------------------ moments


def test_a_map_of_moments_is_the_map_of_the_points():
    x, g = rows(500), 0.4 * rows(700, seed=2)
    of_x, of_g = np.arange(500) % 2, np.arange(700) % 2
    direct = Calibration.between(g, x, of_g, of_x, 2)
    by_moments = Calibration.to(Moments.of(g, of_g, 2), Moments.of(x, of_x, 2))
    for name in ("matrix", "source", "target"):
        np.testing.assert_array_equal(getattr(direct, name), getattr(by_moments, name))


def test_undo_is_the_inverse():
    x, g = rows(500), 0.4 * rows(700, seed=2)
    map_ = Calibration.between(g, x)
    np.testing.assert_allclose(map_.undo(map_.apply(g)), g, atol=1e-4)
