"""``sample(residual=True)``: what ĥ leaves over is drawn back, from pairs nearby."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.hhat import answers
from gtn_fast.learn.residuals import Residuals, most_pairs
from gtn_fast.learn.training.store import load_tensors, save_tensors
from gtn_fast.metrics import energy_distance

SMALL = {"layers": 2, "width": 16, "batch_size": 64, "epochs": 4}


def cloud(n: int, d: int, seed: int = 0) -> np.ndarray:
    """A cube's corners, blurred: far from normal, and more than ĥ of 2 x 16 can follow."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], (n, d)) + 0.1 * rng.standard_normal((n, d))


@pytest.fixture(scope="module")
def gtn() -> GTN:
    made = GTN(8, **SMALL)
    made.fit(cloud(2000, 8), cloud(500, 8, seed=1), seed=3, progress=False)
    return made


def test_they_are_of_pairs_that_were_not_trained_on(gtn):
    """ĥ of other y's plus the residuals are the rows of X, each of them once."""
    x = gtn.scaling.apply(cloud(2000, 8))
    whole = answers(gtn.model, gtn.residuals.y) + gtn.residuals.values
    order = np.lexsort(whole.round(3).T), np.lexsort(x.round(3).T)
    np.testing.assert_allclose(whole[order[0]], x[order[1]], atol=2e-3)
    trained = gtn_fast.normal(gtn.label_seed, 0, 2000, 8)
    assert not np.isin(gtn.residuals.y[:, 0], trained[:, 0]).any()


def test_of_many_rows_a_part_is_labeled(monkeypatch):
    monkeypatch.setattr("gtn_fast.learn.finishing._LABELED", 100)
    monkeypatch.setattr("gtn_fast.learn.residuals._MOST_PAIRS", 70)
    made = GTN(8, **SMALL)
    made.fit(cloud(300, 8), progress=False)
    assert len(made.residuals.y) == len(np.unique(made.residuals.y[:, 0])) == 70


def test_mean_and_covariance_are_the_datas(gtn):
    x = cloud(2000, 8)
    drawn = gtn.sample(20_000, residual=True)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(x.T), atol=0.08)
    paper = GTN(8, **SMALL)
    paper.fit(x, seed=3, calibrate=False, progress=False)
    assert paper.residuals.calibration is None
    assert (paper.residuals.y == gtn.residuals.y).all()
    assert np.isfinite(paper.sample(20, residual=True)).all()


def test_samples_are_nearer_to_the_data(gtn):
    fresh = cloud(2000, 8, seed=2)
    plain, drawn = (gtn.sample(2000, 4, residual=r) for r in (False, True))
    far = [energy_distance(made, fresh) for made in (plain, drawn)]
    assert far[1] < 0.8 * far[0]
    np.testing.assert_allclose(drawn.std(axis=0), fresh.std(axis=0), rtol=0.15)


def test_off_by_default_and_a_function_of_the_seed(gtn):
    drawn = gtn.sample(50, 4, residual=True)
    assert (drawn == gtn.sample(50, 4, residual=True)).all()
    assert (gtn.sample(50, 4) == gtn.sample(50, 4, residual=False)).all()
    assert (drawn != gtn.sample(50, 5, residual=True)).any(axis=1).all()
    np.testing.assert_allclose(gtn.sample(80, 4, residual=True)[:50], drawn, rtol=1e-4, atol=1e-4)
    assert gtn.sample(0, residual=True).shape == (0, 8)


def test_it_takes_a_near_pair():
    """y's on a line, residuals that tell which was taken: never one beyond the eight nearest."""
    place = np.arange(100, dtype=np.float32)[:, None]
    found = Residuals(y=place, values=place)
    y = np.float32([[10.0], [50.4], [99.0]]).repeat(500, axis=0)
    taken = found.add(np.zeros((1500, 1), np.float32), y, None, 1)
    assert (np.abs(taken - y) < 8).all()
    assert len(np.unique(taken[:500])) == 8
    counts = np.unique(taken[500:1000], return_counts=True)[1]
    assert counts.min() > 30  # of 62.5


def test_each_component_has_its_own():
    of = np.repeat([0, 1], 50)
    found = Residuals(np.zeros((100, 2), np.float32), of[:, None].repeat(2, 1).astype("f4"), of)
    taken = found.add(np.zeros((40, 2), np.float32), np.zeros((40, 2), np.float32), of[30:70], 0)
    assert (taken[:, 0] == of[30:70]).all()
    none = np.full(3, 7)  # of which no pair was kept
    assert (found.add(np.ones((3, 2), "f4"), np.zeros((3, 2), "f4"), none, 0) == 1).all()


def test_components_have_them_too(tmp_path):
    x = np.concatenate([cloud(400, 2), cloud(400, 2) + 20])
    made = GTN(2, components=2, **SMALL)
    made.fit(x, progress=False)
    drawn = made.sample(1000, residual=True)
    assert ((drawn > 10).all(axis=1) | (drawn < 10).all(axis=1)).all()
    made.save(tmp_path / "g.safetensors")
    assert (GTN.load(tmp_path / "g.safetensors").sample(40, residual=True) == drawn[:40]).all()


def test_few_are_kept():
    assert most_pairs(2) == most_pairs(200) == 10_000
    assert most_pairs(2048) * 2048 * 8 <= 1 << 24
    assert most_pairs(10**9) == 1


def test_they_are_kept_with_the_gtn(gtn, tmp_path):
    path = tmp_path / "g.safetensors"
    gtn.save(path)
    assert (GTN.load(path).sample(40, 1, residual=True) == gtn.sample(40, 1, residual=True)).all()
    tensors, meta = load_tensors(path, "GTN")
    for wrong in (
        {"residuals/values": torch.zeros(500, 7)},
        {"residuals/component": torch.zeros(500, dtype=torch.int64)},
        {"residuals/y": torch.zeros(0, 8), "residuals/values": torch.zeros(0, 8)},
    ):
        save_tensors(path, "GTN", {**tensors, **wrong}, meta)
        with pytest.raises(ValueError, match="is not a whole GTN"):
            GTN.load(path)


def test_a_gtn_from_before_has_none(gtn, tmp_path):
    path = tmp_path / "g.safetensors"
    gtn.save(path)
    tensors, meta = load_tensors(path, "GTN")
    kept = {name: value for name, value in tensors.items() if "residuals" not in name}
    save_tensors(path, "GTN", kept, {k: v for k, v in meta.items() if k != "classes"})
    old = GTN.load(path)
    assert (old.sample(5) == gtn.sample(5)).all()
    with pytest.raises(ValueError, match="this GTN has no residuals"):
        old.sample(5, residual=True)
