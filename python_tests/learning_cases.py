"""What the tests of the learning commands share: tiny data, trained once, and helpers."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_runs import run

N, SIDE, D = 300, 8, 3
PNG = b"\x89PNG"
CLASSES = {"left": 300, "right": 200}  # rows of each, in two_classes()


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def read(path):
    return json.loads(Path(path).read_text())


def train(folder):
    """Writes data into ``folder``, and the results of train and of train --images."""
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


def two_classes(seed: int = 0, far: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """Two squares of sides 1 and 3, ``far`` apart, rows mixed; and the name of each row's."""
    rng = np.random.default_rng(seed)
    names = np.repeat(list(CLASSES), list(CLASSES.values()))
    x = rng.random((500, 2)) * np.where(names == "left", 1, 3)[:, None]
    x[names == "right"] += far
    order = rng.permutation(500)
    return x[order].astype(np.float32), names[order]


def check_a_stopped_run(train, learner, call, checkpoint, monkeypatch):
    """A run of four epochs, stopped by Ctrl-C in ``learner.loss``, ends as one that was not.

    ``train(checkpoint=...)`` returns a model and its history; it is stopped in call number
    ``call`` of the loss, in the middle of the third epoch.
    """
    whole, _ = train()
    calls, real = 0, learner.loss

    def interrupted(self, x, generator):
        nonlocal calls
        calls += 1
        if calls == call:
            signal.raise_signal(signal.SIGINT)
        return real(self, x, generator)

    monkeypatch.setattr(learner, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=checkpoint)
    monkeypatch.setattr(learner, "loss", real)
    resumed, history = train(checkpoint=checkpoint)
    assert history.resumed_at == 3
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
