"""gtn_fast in other frameworks, with the real packages."""

from __future__ import annotations

import doctest
import pickle
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import gtn_fast
from gtn_fast.adapters import lightning, scikit_learn
from gtn_fast.adapters.lightning import LabeledPairsModule
from gtn_fast.adapters.scikit_learn import GTNLabeler

X = (3 * gtn_fast.normal(1, 0, 300, 4) + 1).astype(np.float64)


# ------------------------------------------------------------------ scikit-learn


# Of arrays of other libraries, which it does not promise to take, sklearn checks nothing.
CHECKS = [
    pytest.param(estimator, check, id=check.func.__name__)
    for estimator, check in estimator_checks_generator(GTNLabeler())
    if check.func.__name__ != "check_array_api_input"
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_it_keeps_the_conventions(native, estimator, check):
    check(estimator)


def test_its_labels_are_those_of_label(native):
    labels = gtn_fast.label(X, seed=5)
    labeler = GTNLabeler(random_state=5)
    assert (labeler.fit_predict(X) == labels.y_index).all()
    y = labeler.transform(X)
    assert (y[labels.x_index] == labels.y).all()
    assert (labeler.inverse_transform(y) == X).all()
    # A row nearby goes where its neighbour went.
    assert (labeler.transform(X + 1e-9) == y).all()
    assert not (GTNLabeler(random_state=6).fit_transform(X) == y).any()


def test_a_pipeline_and_copies_of_it(native):
    pipeline = make_pipeline(StandardScaler(), GTNLabeler(method="tree", n_jobs=1))
    y = pipeline.fit_transform(X)
    scaled = StandardScaler().fit_transform(X)
    assert (y == gtn_fast.normal(0, 0, 300, 4)[gtn_fast.label(scaled).y_index]).all()
    assert (clone(pipeline).fit_transform(X) == y).all()
    assert (pickle.loads(pickle.dumps(pipeline)).transform(X) == y).all()
    back = pipeline.inverse_transform(y)
    assert np.allclose(back, X)


@pytest.mark.parametrize(("how", "text"), [({"method": "x"}, "method"), ({"n_jobs": 0}, "threads")])
def test_what_label_refuses(how, text):
    with pytest.raises(ValueError, match=text):
        GTNLabeler(**how).fit(X)


@pytest.mark.parametrize("module", [scikit_learn, lightning])
def test_the_examples_run(native, module):
    assert doctest.testmod(module).failed == 0


# ------------------------------------------------------------------ Lightning


class Regression(LightningModule):
    """h(y) ~ x_y, as short as it can be."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.h, self.losses, self.val_losses = gtn_fast.HHat(4, layers=2, width=32), [], []

    def training_step(self, batch, _):
        y, x = batch
        loss = (self.h(y) - x).pow(2).mean()
        self.losses.append(float(loss))
        return loss

    def validation_step(self, batch, _):
        y, x = batch
        self.val_losses.append(float((self.h(y) - x).pow(2).mean()))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def trained(folder, **how):
    """A few epochs of Lightning's own loop."""
    data = LabeledPairsModule(X, batch_size=64, seed=3, progress=False, threads=1, **how)
    model = Regression()
    trainer = Trainer(
        max_epochs=8,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of workers, of a last batch that is smaller
        trainer.fit(model, datamodule=data)
    return model, data


def test_lightning_trains_on_labeled_pairs(native, tmp_path):
    model, data = trained(tmp_path, val=X[:50] + 0.1)
    assert len(model.losses) == 8 * 5  # 300 pairs in batches of 64
    assert np.mean(model.losses[-5:]) < 0.5 * np.mean(model.losses[:5])
    assert len(model.val_losses) >= 8
    labels = gtn_fast.label(X, seed=3)
    assert (data.pairs.labels.x_index == labels.x_index).all()
    assert (data.val_pairs.labels.seed, len(data.val_pairs)) == (4, 50)
    again, _ = trained(tmp_path, val=X[:50] + 0.1)
    assert again.losses == model.losses


def test_every_pair_comes_once_an_epoch(native):
    data = LabeledPairsModule(X, batch_size=64, progress=False)
    data.setup("fit")
    assert data.val_dataloader() == []
    loader = data.train_dataloader()
    first, second = (torch.cat([y for y, _ in loader]) for _ in range(2))
    assert not torch.equal(first, second)
    for y in (first, second):
        assert torch.equal(y.sort(dim=0).values, data.pairs.y.sort(dim=0).values)


def test_the_cache_is_made_once(native, tmp_path, monkeypatch):
    data = LabeledPairsModule(X, cache=tmp_path / "labels.npz", progress=False)
    data.prepare_data()
    monkeypatch.setattr("gtn_fast.learn.pairs.label", lambda *_, **__: pytest.fail("labeled again"))
    data.setup("fit")
    assert len(data.pairs) == 300


@pytest.mark.parametrize("how", [{"batch_size": 0}, {"num_workers": -1}, {"seed": -1}])
def test_wrong_numbers_are_refused_at_once(how):
    with pytest.raises(ValueError, match=next(iter(how))):
        LabeledPairsModule(X, **how)
