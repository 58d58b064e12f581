"""Files of X and Y that are truncated, overwritten or replaced while they are read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from cli_runs import one_line, run

import gtn_fast
from gtn_fast.inputs import sources
from gtn_fast.inputs.arrays import convert, describe, unchanged
from gtn_fast.run import local

N, D = 1200, 12
X = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
OTHER = np.random.default_rng(1).standard_normal((N, D)).astype(np.float32)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("a-1.npy", X[:400])
    np.save("a-2.npy", X[400:])


def truncate(name):
    os.truncate(name, 5000)


def empty(name):
    os.truncate(name, 0)


def overwrite(name):
    Path(name).write_bytes(Path(name).read_bytes()[:-400] + bytes(400))


def overwrite_in_place(name):
    rows = np.load(name, mmap_mode="r+")
    rows[:] = OTHER[: len(rows)]
    rows.flush()


def grow(name):
    with Path(name).open("ab") as file:
        file.write(bytes(100))


def replace(name):
    np.save("new.npy", OTHER[: len(np.load(name, mmap_mode="r"))])
    Path("new.npy").rename(name)


CHANGES = {
    truncate: "was truncated, from .* to 5,000 bytes, while",
    empty: "was truncated, from .* to 0 bytes, while",
    overwrite: "was overwritten while",
    overwrite_in_place: "was overwritten while",
    grow: "was overwritten or grew, from .* bytes, while",
    replace: "was replaced by another file while",
}
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@pytest.fixture
def in_between(monkeypatch):
    """Do something when X is converted and the match has not begun."""

    def when(action):
        match = local.match

        def later(*arguments):
            action()
            return match(*arguments)

        monkeypatch.setattr(local, "match", later)

    when.undo = monkeypatch.undo
    return when


@each_change
@pytest.mark.parametrize("method", ["screen", "tree", "reference", "faiss"])
@pytest.mark.parametrize(("given", "name"), [("x.npy", "x.npy"), ("a-*.npy", "a-2.npy")])
def test_a_file_that_changes_while_it_is_labeled(
    native, in_between, monkeypatch, change, method, given, name
):
    if method == "reference" and change is not replace:
        monkeypatch.setattr(local, "match", lambda *_: None)  # minutes; what follows is the same
    in_between(lambda: change(name))
    with pytest.raises(ValueError, match=rf"{name}: {CHANGES[change]} it was read"):
        gtn_fast.label(given, method=method, threads=2)


@each_change
def test_a_map_of_the_caller(native, in_between, change):
    x = np.load("x.npy", mmap_mode="r")[5:]
    in_between(lambda: change("x.npy"))
    with pytest.raises(ValueError, match=rf"x.npy: {CHANGES[change]} it was read"):
        gtn_fast.label(x, x[:100])


def test_what_is_no_change(native, in_between, monkeypatch, tmp_path):
    """Times of reading, names and permissions; a file that is gone was read all the same."""
    expected = gtn_fast.label(X).x_index

    def touch():
        Path("x.npy").chmod(0o600)
        os.link("x.npy", "y.npy")
        Path("y.npy").read_bytes()

    in_between(touch)
    assert (gtn_fast.label("x.npy").x_index == expected).all()
    in_between.undo()
    monkeypatch.chdir(tmp_path)
    in_between(Path("x.npy").unlink)
    assert (gtn_fast.label("x.npy").x_index == expected).all()


@each_change
def test_everybody_who_reads_files_notices(native, monkeypatch, change):
    labels = gtn_fast.label(X)
    gtn = gtn_fast.GTN(D, layers=1, width=4)
    gtn.fit(X, epochs=1, progress=False)
    finite = sources.Reading.check
    calls = []

    def check(self, error=None):
        calls.append(error)
        if len(calls) == 2:  # the first is at the beginning
            change("x.npy")
        finite(self, error)

    monkeypatch.setattr(sources.Reading, "check", check)
    for read in (
        lambda: gtn_fast.label("x.npy"),
        lambda: gtn_fast.verify("x.npy", None, labels),
        lambda: gtn_fast.plan("x.npy"),
        lambda: labels.pairs("x.npy"),
        lambda: gtn.fit("x.npy", epochs=1, progress=False),
        lambda: gtn.transform("x.npy"),
    ):
        np.save("x.npy", X)
        calls.clear()
        with pytest.raises(ValueError, match=r"x.npy: was"):
            read()
    np.save("x.npy", X)
    monkeypatch.setattr(sources.Reading, "check", finite)
    monkeypatch.setattr("gtn_fast.learn.pairs._sha256", lambda _: change("x.npy"))
    with pytest.raises(ValueError, match=r"x.npy: was"):
        gtn_fast.LabeledPairs("x.npy", cache="c.npz")


def test_the_command_line_says_so(native, in_between, capsys):
    in_between(lambda: truncate("x.npy"))
    assert run("label", "x.npy", "--out", "o.npz", "--quiet") == 2
    one_line(capsys, "x.npy: was truncated, from 57,728 to 5,000 bytes, while it was read")
    assert not Path("o.npz").exists()


def test_nothing_of_a_mixture_is_saved(native, monkeypatch, tmp_path):
    """A checkpoint keeps what was settled while the file was as it had been."""
    settled = local.Checkpoint.add
    calls = []

    def add(self, *pairs):
        settled(self, *pairs)
        calls.append(len(self.pairs().y_rows))
        if len(calls) == 2:
            overwrite_in_place("x.npy")

    monkeypatch.setattr(local.Checkpoint, "add", add)
    monkeypatch.setattr("gtn_fast.run.checkpoint._SHARE", 1e9)  # save each time
    groups = np.arange(N) % 50
    with pytest.raises(ValueError, match=r"x.npy: was overwritten"):
        gtn_fast.label(
            "x.npy", checkpoint="c", checkpoint_every=0, threads=1, groups=(groups, groups)
        )
    assert len(calls) < 5
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    again = gtn_fast.label("x.npy", checkpoint="c", resume=True, groups=(groups, groups))
    assert 0 < again.report["resumed_rows"] <= calls[1]
    assert (again.x_index == gtn_fast.label(X, groups=(groups, groups)).x_index).all()


def test_a_given_y_stays_what_it_was(native):
    """Labels outlive the files that they were made from."""
    np.save("y.npy", OTHER)
    labels = gtn_fast.label("x.npy", "y.npy")
    overwrite_in_place("y.npy")
    empty("x.npy")
    assert (labels.y == OTHER).all()
    labels.save("labels.npz")
    assert (gtn_fast.Labels.load("labels.npz").y == OTHER).all()
    mapped = gtn_fast.label(X, np.load("y.npy", mmap_mode="r"))
    empty("y.npy")
    with pytest.raises(ValueError, match="could not be read to its end"):
        mapped.save("mapped.npz")
    assert not Path("mapped.npz").exists()


def test_what_failed_is_not_hidden(native, in_between):
    """An error of the work itself, with files as they were, stays what it is."""

    def fail():
        raise ZeroDivisionError("of the work")

    in_between(fail)
    with pytest.raises(ZeroDivisionError, match="of the work"):
        gtn_fast.label("x.npy")
    before = signal.getsignal(signal.SIGBUS)
    assert before == signal.getsignal(signal.SIGBUS)


# ------------------------------------------------------------------ reads beyond the end


def in_a_process(code, status=0):
    """Run it where a signal ends nobody else."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,  # a guard against a hang
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


HEAD = """
import os, sys
import numpy as np
import gtn_fast
from gtn_fast.inputs.arrays import describe, unchanged
x = np.random.default_rng(0).standard_normal((60_000, 16)).astype(np.float32)
np.save("big.npy", x)
"""


def test_a_read_beyond_the_end_is_no_crash(native):
    out = in_a_process(
        HEAD
        + """
mapped = describe("big.npy", "X")
for how in ("first", "second"):
    try:
        with unchanged(mapped):
            if how == "first":
                os.truncate("big.npy", 4096)
            print(float(np.abs(mapped.value[50_000:]).sum()))
    except ValueError as error:
        print(error)
"""
    )
    zeros, first, second = out.splitlines()
    assert zeros == "0.0"
    assert "big.npy: was truncated, from 3,840,128 to 4,096 bytes, while it was read" in first
    # Whole again or not: there are zeros in that map.
    assert "was truncated" in second


def test_a_map_with_zeros_in_it_is_refused(native):
    out = in_a_process(
        HEAD
        + """
mapped = np.load("big.npy", mmap_mode="r")
def label():
    try:
        print(gtn_fast.label(mapped, mapped[:9], progress=False).n_x)
    except ValueError as error:
        print(error)
import gtn_fast.run.local as local
match = local.match
def later(*arguments):
    os.truncate("big.npy", 4096)
    return match(*arguments)
local.match = later
label()
local.match = match
np.save("big.npy", x)
label()
mapped = np.load("big.npy", mmap_mode="r")
label()
"""
    )
    first, second, third = out.splitlines()
    assert "was truncated, from 3,840,128 to 4,096 bytes" in first
    assert "open it again" in second
    assert third == "60000"


def test_a_file_that_is_cut_at_any_moment(native):
    """Whatever is being done with it then: an error of ours, in time."""
    out = in_a_process(
        HEAD
        + """
import threading, time
for i in range(24):
    np.save("big.npy", x)
    timer = threading.Timer(0.004 * i, os.truncate, ("big.npy", 100_000))
    timer.start()
    try:
        labels = gtn_fast.label("big.npy", x[:4000], method=("screen", "tree")[i % 2], threads=2)
        timer.join()
        print("done")
    except ValueError as error:
        timer.join()
        print("truncated" if "was truncated" in str(error) or "not whole" in str(error) else error)
"""
    )
    assert set(out.split()) <= {"done", "truncated"}
    assert "truncated" in out


def test_a_file_that_is_filled_with_noise_at_any_moment(native):
    """NaN and infinity where there were none: no crash, no run without end."""
    out = in_a_process(
        """
import threading
import numpy as np
import gtn_fast
rng = np.random.default_rng(0)
for i in range(24):
    d = (1, 2, 3, 6, 24)[i % 5]
    x = rng.standard_normal((200_000 if d < 3 else 40_000, d)).astype(np.float32)
    np.save("big.npy", x)
    def change():
        noise = rng.integers(0, 256, x.nbytes, np.uint8).tobytes()
        with open("big.npy", "r+b") as file:
            file.seek(128)
            file.write(noise)
    timer = threading.Timer(rng.uniform(0, 0.2), change)
    timer.start()
    try:
        gtn_fast.label("big.npy", x[:20_000], threads=2)
        print("done")
    except ValueError as error:
        known = ("was overwritten", "must be finite")  # the noise may be there from the start
        print("overwritten" if any(text in str(error) for text in known) else error)
    timer.join()
"""
    )
    assert set(out.split()) <= {"done", "overwritten"}
    assert "overwritten" in out


def test_others_keep_their_handler(native):
    """Ours ends with the call; a fault that is not in a file of ours goes to who was there."""
    in_a_process(
        HEAD
        + """
import mmap
mapped = describe("big.npy", "X")
with open("other", "w+b") as file:
    file.write(bytes(1 << 16))
    file.flush()
    other = mmap.mmap(file.fileno(), 0)
os.truncate("other", 0)
with unchanged(mapped):
    other[40_000]
""",
        status=-signal.SIGBUS,
    )
    in_a_process(
        HEAD
        + """
mapped = describe("big.npy", "X")
with unchanged(mapped):
    pass
os.truncate("big.npy", 0)
mapped.value.sum()
""",
        status=-signal.SIGBUS,
    )


def test_guards_nest(native):
    engine = native
    a = engine.guard_map(1 << 20, 10)
    b = engine.guard_map(1 << 21, 10)
    assert not engine.map_failed(a)
    assert not engine.release_map(a)
    with pytest.raises(IndexError, match="no such guard"):
        engine.release_map(a)
    assert engine.guard_map(1 << 20, 10) == a
    assert not engine.release_map(a)
    assert not engine.release_map(b)
    with pytest.raises(ValueError, match="nothing to guard"):
        engine.guard_map(1 << 20, 0)


def test_the_addresses_of_an_array(native):
    whole = np.arange(60.0).reshape(6, 10)
    for view in (whole, whole[1:3], whole[::-1], whole[:, ::-2], whole.T, whole[2:3, 4:5]):
        low, high = sources._bounds(view)
        start = whole.__array_interface__["data"][0]
        numbers = np.sort(view.reshape(-1))
        assert (low, high) == (start + 8 * int(numbers[0]), start + 8 * int(numbers[-1]) + 8)


def test_without_the_engine_sizes_and_times_are_compared(monkeypatch):
    monkeypatch.setattr(sources.native, "available", lambda: False)
    described = describe("x.npy", "X")
    with pytest.raises(ValueError, match="was overwritten"), unchanged(described):
        overwrite("x.npy")
    assert (convert(describe(X, "X")) == X).all()
