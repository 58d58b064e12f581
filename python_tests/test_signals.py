"""Signals that end a process: the checkpoint is saved first, and the exit code is the signal's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_runs import header, start_matching

from gtn_fast.run.checkpoint import Checkpoint, no_pairs, saved_on_exit
from gtn_fast.run.signals import ENDING, ending_by_exit

CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGQUIT: 131, signal.SIGUSR1: 138}


@pytest.fixture(params=list(CODES), ids=lambda number: number.name)
def number(request):
    """One of them, as Python has it at its start: whoever starts the tests may ignore it."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def one_row(path):
    point = Checkpoint(path, "d", 1e9, no_pairs())
    point.add(np.arange(1), np.arange(1), np.ones(1))
    return point


def test_all_are_known():
    assert set(ENDING) == set(CODES)


def test_a_labeling_saves_and_ends(tmp_path, number):
    with pytest.raises(SystemExit) as caught, saved_on_exit(one_row(tmp_path / "c")):
        os.kill(os.getpid(), number)
    assert caught.value.code == CODES[number]
    assert header(tmp_path / "c")["rows"] == 1
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_programs_own_handling_stays(tmp_path, number):
    seen = []
    for handler in (signal.SIG_IGN, lambda *_: seen.append(1)):
        signal.signal(number, handler)
        with saved_on_exit(one_row(tmp_path / "c")):
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is handler
    assert seen == [1]


def test_a_second_signal_does_not_cut_the_saving_short(number):
    done = []

    def work():
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("saved")

    with pytest.raises(SystemExit) as caught, ending_by_exit():
        work()
    assert caught.value.code == CODES[number]
    assert done == ["saved"]


def test_label_goes_on_after_any_of_them(native, tmp_path, number):
    n = 120_000
    np.save(tmp_path / "X.npy", np.random.default_rng(0).random((n, 48), dtype=np.float32))
    process = start_matching(
        *("label", "X.npy", "--out", "o.npz", "--checkpoint", "c", "--checkpoint-every", "1e9"),
        cwd=tmp_path,
    )
    try:
        process.send_signal(number)
        process.communicate(timeout=300)  # a guard against a hang
    finally:
        process.kill()
    assert process.returncode == CODES[number]
    assert header(tmp_path / "c")["rows"] < n
    assert sorted(file.name for file in tmp_path.iterdir()) == ["X.npy", "c"]


# ------------------------------------------------------------------ trainings


@pytest.mark.parametrize("at", [4, 8])
def test_a_training_saves_between_two_batches(tmp_path, number, at):
    pytest.importorskip("torch")
    from test_learn_training import loss, make_data, run, same

    from gtn_fast.learn.training.store import load_tensors

    calls = 0

    def ended(model, y, x):
        nonlocal calls
        calls += 1
        if calls == at:  # 8 is in the validation
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGTERM)  # a service manager sends two
        return loss(model, y, x)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    options = {"val": make_data(60, 1), "epochs": 3}
    path = tmp_path / "c.safetensors"
    try:
        with pytest.raises(SystemExit) as caught:
            run(loss=ended, checkpoint=path, checkpoint_every_s=1e9, **options)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == CODES[number]
    assert load_tensors(path, "training checkpoint")[1]["step"] == min(at, 7)
    resumed, history = run(checkpoint=path, **options)
    assert history.resumed_at == 1
    assert same(resumed, run(**options)[0])


def test_without_a_checkpoint_a_training_handles_none(number):
    pytest.importorskip("torch")
    from test_learn_training import loss, run

    def looking(model, y, x):
        assert signal.getsignal(number) is signal.SIG_DFL
        return loss(model, y, x)

    run(loss=looking, epochs=1)


def test_train_keeps_its_checkpoint_and_says_how_to_go_on(tmp_path, monkeypatch):
    for package in ("torch", "matplotlib", "safetensors"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(3).random((300, 2)))
    command = ("train", "x.npy", "--out", "o", "--preset", "uniform", "--quiet")
    process = subprocess.Popen(
        [sys.executable, "-m", "gtn_fast", *command, "--epochs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 300  # a guard: the log comes with the first epoch
        while not Path("o/log.csv").exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 143
    assert out == ""
    assert errors == (
        "gtn-fast: ended by a signal; o/checkpoint.safetensors has the training so far:"
        " the same command with --resume goes on\n"
    )
    assert {path.name for path in Path("o").iterdir()} == {"checkpoint.safetensors", "log.csv"}
