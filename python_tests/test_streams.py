"""Progress and notes on whatever sys.stderr is: missing, closed, full, odd, a log, a notebook."""

from __future__ import annotations

import io
import subprocess
import sys
import types

import numpy as np
import pytest

import gtn_fast
from gtn_fast.cli import main
from gtn_fast.inputs.wording import shortened
from gtn_fast.outputs.streams import Forgiving, is_terminal, note
from gtn_fast.run import progress
from gtn_fast.run.progress import progress_bar, progress_reporter


class Bare:
    """What some web back ends put there: it can write, and nothing else."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class Full(io.StringIO):
    def isatty(self):
        return True

    def write(self, text):
        raise OSError(28, "No space left on device")

    def flush(self):
        raise OSError(28, "No space left on device")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


ODD = {"none": lambda: None, "closed": closed, "bare": Bare, "full": Full}


on_each = pytest.mark.parametrize("kind", list(ODD))


@on_each
@pytest.mark.parametrize("asked", [None, True, False])
def test_a_long_job_does_not_mind(monkeypatch, kind, asked):
    # Not in a fixture: pytest puts a stream of its own there when a test begins.
    monkeypatch.setattr(sys, "stderr", ODD[kind]())
    with progress_reporter(asked, 100, 1e6) as call:
        if call is not None:
            call(40, 100)
            call(100, 100)
    with progress_bar(100, "work", "rows", asked) as bar:
        bar.update(60)
        bar.show(loss=1.0)
        bar.update(40)
    note("a line")


@on_each
@pytest.mark.parametrize("asked", [None, True])
def test_label_does_not_mind(native, monkeypatch, kind, asked):
    monkeypatch.setattr(sys, "stderr", ODD[kind]())
    monkeypatch.setattr(progress, "_BAR_FROM_S", 0.0)
    x = np.random.default_rng(0).random((300, 5))
    labels = gtn_fast.label(x, progress=asked)
    assert np.array_equal(labels.x_index, gtn_fast.label(x, progress=False).x_index)


def test_a_bare_stream_gets_its_bar(monkeypatch):
    stream = Bare()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_reporter(True, 100, 0.0) as call:
        call(100, 100)
    assert "100/100" in stream.text


WARNING = """
import io, sys
sys.stderr = {stream}
if sys.argv[1:]:
    sys.stderr.close()
from gtn_fast.outputs.streams import warn
warn("nobody reads this", RuntimeWarning)
print("done")
"""


@pytest.mark.parametrize(
    ("stream", "close"), [("None", ()), ("object()", ()), ("io.StringIO()", ("close",))]
)
def test_a_warning_that_nobody_can_read_is_no_error(stream, close):
    command = [sys.executable, "-c", WARNING.format(stream=stream), *close]
    done = subprocess.run(command, check=False, capture_output=True, timeout=300)
    assert done.stdout == b"done\n", done.stderr


def test_a_closed_stream_is_no_terminal():
    assert [is_terminal(make()) for make in ODD.values()] == [False, False, False, True]
    assert not is_terminal(object())


def test_characters_that_the_stream_does_not_have():
    raw = io.BytesIO()
    stream = Forgiving(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("train ĥ\n")
    stream.flush()
    assert raw.getvalue() == b"train \\u0125\n"
    assert stream.failure is None
    assert stream.encoding == "ascii"


# ------------------------------------------------------------------ a log


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_log_gets_a_line_a_minute(clock, monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress_reporter(None, 1_000_000, 600.0) as call:
        for minute in range(4):
            for second in range(0, 60, 10):
                clock.now = 1000 + 60 * minute + second
                call(minute * 100_000, 1_000_000)
    assert log.getvalue().splitlines() == [
        f"gtn-fast: label: {n}00,000 of 1,000,000 rows ({n}0%), {n} min so far" for n in (1, 2, 3)
    ]


def test_a_loop_says_so_too_once_a_minute_has_passed(clock, monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress_bar(10, "train ĥ", "batches") as bar:
        for _ in range(4):
            clock.now += 25
            bar.update()
    assert log.getvalue() == "gtn-fast: train ĥ: 3 of 10 batches (30%), 1 min so far\n"


@pytest.mark.parametrize(("asked", "seconds"), [(False, 1e6), (None, 10.0)])
def test_no_lines_where_they_are_not_wanted_or_nobody_would_wait(monkeypatch, asked, seconds):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_reporter(asked, 100, seconds) as call:
        assert call is None


# ------------------------------------------------------------------ a notebook


@pytest.mark.parametrize("app", ["IPKernelApp", "TerminalIPythonApp"])
def test_a_notebook_shows_the_bar(monkeypatch, app):
    stream = io.StringIO()  # no terminal
    shell = types.SimpleNamespace(config={app: {}})
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    made = []

    class Bar:
        n = 0

        def __init__(self, **options):
            made.append(options)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, n):
            self.n += n

    auto = types.ModuleType("tqdm.auto")
    auto.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    with progress_reporter(None, 100, 10.0) as call:
        assert (call is not None) == (app == "IPKernelApp")
        if call is not None:
            call(100, 100)
    assert len(made) == (app == "IPKernelApp")
    assert all("file" not in options for options in made)


LIBRARY = """
import os, sys
from gtn_fast.outputs.streams import forgiving, note
with forgiving():
    os.write(2, b"a decoder: not enough data\\n")
    note("error: x.tif")
    print("own", file=sys.stderr)
os.write(2, b"after\\n")
print("last", file=sys.stderr)
"""


@pytest.mark.parametrize("shown", [False, True])
def test_what_libraries_write_is_no_line_of_ours(monkeypatch, shown):
    monkeypatch.setenv("GTN_FAST_TRACEBACK", "1" if shown else "")
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY], check=True, capture_output=True, text=True, timeout=300
    )
    lines = ["gtn-fast: error: x.tif", "own", "after", "last"]
    assert done.stderr.splitlines() == (["a decoder: not enough data"] if shown else []) + lines


@pytest.mark.parametrize("broken", ["2>&-", "2>/dev/full", "2>&1 >&-", ""])
def test_silence_takes_any_descriptor(broken):
    command = f"{sys.executable} -c '{LIBRARY}' {broken}"
    done = subprocess.run(command, shell=True, check=False, capture_output=True, timeout=300)
    assert done.returncode in ((0,) if broken in ("", "2>&1 >&-") else (0, 1, 120))
    assert b"decoder" not in done.stderr + done.stdout


def test_a_long_message_keeps_both_ends():
    assert shortened("a  b\n c") == "a b c"
    assert shortened("x" * 200) == "x" * 200
    text = shortened("X: " + "y" * 500 + ": not a number")
    assert len(text) == 200
    assert text.startswith("X: yyy")
    assert text.endswith("yyy: not a number")
    assert " ... " in text


def test_the_command_line_writes_at_most_200_characters(capsys):
    name = "a/" * 300 + "x.npy"
    assert main(["plan", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line.removeprefix("gtn-fast: ")) <= 200
    assert line.startswith("gtn-fast: error: a/a/")
    assert line.endswith("no such file")
