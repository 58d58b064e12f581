"""Checkpoints: a run that was stopped in any way goes on to the very same result."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time

import cases
import numpy as np
import pytest
from cli_runs import header, one_line, run, start_matching

import gtn_fast
from gtn_fast.run import checkpoint
from gtn_fast.run.checkpoint import (
    Checkpoint,
    load_checkpoint,
    no_pairs,
)

N = 150_000  # a second's work: time enough to be stopped in its middle


def label_until(x, path, rows, **options):
    """Label, and stop by Ctrl-C when about that many rows are settled."""

    def stop(done, total):
        if done >= rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gtn_fast.label(x, progress=stop, checkpoint=path, checkpoint_every=0, **options)


def same(a, b):
    return (
        (a.x_index == b.x_index).all()
        and (a.cosine == b.cosine).all()
        and (a.order == b.order).all()
    )


@pytest.fixture(scope="module")
def problem():
    x = np.random.default_rng(7).standard_normal((N, 24)).astype(np.float32)
    return x, gtn_fast.label(x)


def test_goes_on_with_another_method_and_thread_count(native, problem, tmp_path):
    x, expected = problem
    path = tmp_path / "run.ckpt"
    label_until(x, path, 1, method="screen", threads=2)
    label_until(x, path, 30_000, method="screen", threads=1, resume=True, list_length=2)
    rows = len(load_checkpoint(path, header(path)["fingerprint"], N, N).y_rows)
    assert 30_000 <= rows < N
    done = gtn_fast.label(x, checkpoint=path, resume=True, threads=2, block=1000)
    assert same(done, expected)
    assert done.report["resumed_rows"] == rows
    again = gtn_fast.label(x, checkpoint=path, resume=True)  # nothing is left to do
    assert same(again, expected)
    assert again.report["resumed_rows"] == N
    assert [file.name for file in tmp_path.iterdir()] == ["run.ckpt"]


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize("d", [1, 2, 3, 20])
def test_any_settled_pairs_will_do(native, name, d, tmp_path, monkeypatch):
    """From any prefix of the answer, whatever the data."""
    x, y = cases.make(name, 400, 300, d)
    expected = gtn_fast.label(x, y, method="reference")
    path = tmp_path / "c"
    for settled in (0, 1, 150, 299):
        path.unlink(missing_ok=True)
        whole = gtn_fast.label(x, y, checkpoint=path)
        digest = header(path)["fingerprint"]
        pairs = load_checkpoint(path, digest, len(x), len(y))
        cut = Checkpoint(path, digest, 0, no_pairs())
        cut.add(*(column[:settled] for column in pairs))
        cut._write()
        resumed = gtn_fast.label(x, y, checkpoint=path, resume=True)
        assert same(whole, expected)
        assert same(resumed, expected)
        assert resumed.report["resumed_rows"] == settled


def test_groups(native, tmp_path):
    """Small groups, large ones, and those that were done before."""
    rng = np.random.default_rng(3)
    n = 100_000
    x = rng.standard_normal((n, 48)).astype(np.float32)
    g = np.where(rng.random(n) < 0.9, 0, rng.integers(1, 300, n))
    expected = gtn_fast.label(x, groups=(g, g))
    path = tmp_path / "c"
    label_until(x, path, 1, groups=(g, g))
    label_until(x, path, 12_000, groups=(g, g), resume=True)
    done = gtn_fast.label(x, groups=(g, g), checkpoint=path, resume=True)
    assert same(done, expected)
    assert 12_000 <= done.report["resumed_rows"] < n
    other = g.copy()
    other[0] += 1
    with pytest.raises(ValueError, match="other data or parameters"):
        gtn_fast.label(x, groups=(other, other), checkpoint=path, resume=True)


class Events:
    """Counts what happens in checkpoint.py, call by call; kills the process at one of them."""

    def __init__(self, kill_at=None):
        self.count, self.kill_at = 0, kill_at

    def __call__(self, frame, event, _what):
        if frame.f_code.co_filename == checkpoint.__file__:
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def label_counted(x, path, events):
    sys.setprofile(events)
    try:
        return gtn_fast.label(x, checkpoint=path, resume=True, checkpoint_every=0.0, threads=2)
    finally:
        sys.setprofile(None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_killed_at_25_random_moments(native, tmp_path):
    """Before, within and after the writing of a file, at any call that this makes."""
    x = np.random.default_rng(7).standard_normal((20_000, 24)).astype(np.float32)
    expected = gtn_fast.label(x)
    rng = np.random.default_rng(11)
    path = tmp_path / "run.ckpt"
    whole = Events()
    label_counted(x, path, whole)
    assert whole.count > 200
    path.unlink()
    kills = 0
    while kills < 25:
        moment = int(rng.integers(1, whole.count // 3))
        child = os.fork()
        if child == 0:
            try:
                label_counted(x, path, Events(moment))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills += 1
        else:  # it was done: once more from the start
            assert same(gtn_fast.label(x, checkpoint=path, resume=True), expected)
            path.unlink()
    assert same(gtn_fast.label(x, checkpoint=path, resume=True), expected)


def test_sigterm_saves_and_ends(native, tmp_path):
    n = 250_000
    np.save(tmp_path / "X.npy", np.random.default_rng(0).random((n, 48), dtype=np.float32))
    command = (
        "label",
        "X.npy",
        "--out",
        "o.npz",
        "--checkpoint",
        "c",
        "--checkpoint-every",
        "0.01",
    )
    process = start_matching(*command, "--checkpoint-every", "0.01", cwd=tmp_path)
    try:
        while header(tmp_path / "c")["rows"] == 0:  # until some are settled; the run has an end
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)  # a guard against a hang
    finally:
        process.kill()
    assert process.returncode == 143
    assert 0 < header(tmp_path / "c")["rows"] < n
    assert sorted(file.name for file in tmp_path.iterdir()) == ["X.npy", "c"]


def test_command_line(native, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", np.random.default_rng(0).random((3000, 20), dtype=np.float32))
    command = ("label", "X.npy", "--out", "o.npz", "--checkpoint", "c")
    assert run(*command, "--resume") == 0  # nothing there: from the start
    assert sorted(file.name for file in tmp_path.iterdir()) == ["X.npy", "o.npz"]
    capsys.readouterr()
    (tmp_path / "c").write_text("something else\n")
    for arguments, words in (
        ((*command, "--resume"), "no checkpoint of gtn_fast"),
        (command, "resume it or remove it"),
        ((*command[:4], "--resume"), "needs a checkpoint"),
        ((*command, "--checkpoint-every", "0"), "positive number"),
    ):
        assert run(*arguments) == 2
        one_line(capsys, words)


# ------------------------------------------------------------------ what is refused


@pytest.fixture
def saved(native, tmp_path):
    x = np.random.default_rng(1).standard_normal((500, 6))
    path = tmp_path / "c"
    gtn_fast.label(x, checkpoint=path)
    return x, path


def test_another_run(saved):
    x, path = saved
    before = path.read_bytes()
    other = x.copy()
    other[499, 5] += 1e-9
    for arguments in ((other,), (x[:-1],), (x.astype(np.float32),), (x, x)):
        with pytest.raises(ValueError, match="other data or parameters"):
            gtn_fast.label(*arguments, checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="other data or parameters"):
        gtn_fast.label(x, seed=1, checkpoint=path, resume=True)
    with pytest.raises(FileExistsError, match="resume it or remove it"):
        gtn_fast.label(x, checkpoint=path)
    assert path.read_bytes() == before


def test_another_version_goes_on(saved, monkeypatch):
    """The answer depends on nothing but X and Y: what another version settled is as good."""
    x, path = saved
    monkeypatch.setattr(checkpoint, "__version__", "9.9")
    labels = gtn_fast.label(x, checkpoint=path, resume=True)
    assert labels.report["resumed_rows"] > 0
    assert (labels.x_index == gtn_fast.label(x).x_index).all()


def test_another_format(saved):
    x, path = saved
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"gtn_fast.checkpoint 1\n", b"gtn_fast.checkpoint 2\n", 1))
    with pytest.raises(ValueError, match=r"another format than 'gtn_fast\.checkpoint 1'"):
        gtn_fast.label(x, checkpoint=path, resume=True)


def test_rows_in_another_order_are_other_data(saved):
    x, path = saved
    swapped = x.copy()
    swapped[[3, 400]] = x[[400, 3]]
    for other in (x[::-1].copy(), swapped):
        with pytest.raises(ValueError, match="other data or parameters"):
            gtn_fast.label(other, checkpoint=path, resume=True)


def test_damaged(saved):
    x, path = saved
    whole = path.read_bytes()
    for cut in (0, 10, 30, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"damaged|no checkpoint"):
            gtn_fast.label(x, checkpoint=path, resume=True)
    flipped = bytearray(whole)
    flipped[-9] ^= 1
    for bad in (bytes(flipped), whole + b"x", b"PK\x03\x04" * 100, whole[:23] + b"[]\n"):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"damaged|no checkpoint"):
            gtn_fast.label(x, checkpoint=path, resume=True)


def test_a_full_disk_loses_nothing(native, problem, tmp_path, monkeypatch):
    """The run goes on with a warning; what was saved before stays; the result is right."""
    x, expected = problem
    path = tmp_path / "c"
    label_until(x, path, 10_000)
    before = path.read_bytes()

    def full(_file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.warns(RuntimeWarning, match=r"not saved \(No space left on device\)"):
            done = gtn_fast.label(x, checkpoint=path, resume=True, checkpoint_every=0)
    assert same(done, expected)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["c"]
    assert same(gtn_fast.label(x, checkpoint=path, resume=True), expected)


def test_a_place_that_cannot_be_written_is_found_first(native, tmp_path):
    x = np.random.default_rng(1).standard_normal((50, 6))
    with pytest.raises(FileNotFoundError):
        gtn_fast.label(x, checkpoint=tmp_path / "no folder" / "c")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"resume": True}, ValueError, "needs a checkpoint"),
        ({"resume": 1}, TypeError, "True or False"),
        ({"checkpoint_every": "1"}, TypeError, "seconds"),
        ({"checkpoint_every": -1}, ValueError, "seconds from 0"),
        ({"checkpoint_every": float("nan")}, ValueError, "seconds from 0"),
        ({"checkpoint_every": float("inf")}, ValueError, "seconds from 0"),
        ({"checkpoint_every": True}, TypeError, "seconds, got bool"),
        ({"checkpoint": 3}, TypeError, "path"),
        ({"checkpoint": "c", "method": "rank"}, ValueError, "'rank' cannot be resumed"),
        ({"checkpoint": "c", "method": "faiss"}, ValueError, "'faiss' cannot be resumed"),
    ],
)
def test_bad_arguments(native, arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        gtn_fast.label(np.ones((5, 1)), **arguments)
    assert not list(tmp_path.iterdir())


def test_saving_takes_its_share_of_the_time_at_most(tmp_path, monkeypatch):
    """Where a save is slow, the next one waits a hundred times as long."""
    clock = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    point = Checkpoint(tmp_path / "c", "d", 1.0, no_pairs())

    def slow(_file):
        clock[0] += 0.5

    monkeypatch.setattr(os, "fsync", slow)
    row = np.zeros(1, np.int64)
    for _ in range(1000):
        clock[0] += 0.2
        point.add(row, row, np.zeros(1))
    assert point.seconds / clock[0] < 0.02
    assert point.saves > 2
