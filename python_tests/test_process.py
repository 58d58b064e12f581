"""A match beside the rest of a process: Ctrl-C, forks, threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import cases
import numpy as np
import pytest
from cli_runs import header

import gtn_fast
from gtn_fast.reference import match

INTERRUPTED = """
    import os, signal, threading
    import numpy as np, gtn_fast
    from gtn_fast.backends import native, reference

    rng = np.random.default_rng(0)
    x = rng.standard_normal(({n}, {d})).astype(np.float32)
    small = x[:200]
    expected = gtn_fast.label(small, small, method="reference").x_index
    backend, timers = {backend}, []
    run = backend.match

    def match(*arguments, **options):
        if not timers and ("settled" in options or backend is reference):  # not a trial
            timers.append(threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)))
            timers[0].start()
        return run(*arguments, **options)

    backend.match = match
    try:
        gtn_fast.label(x, method={method!r}, threads=2, groups={groups},
                       checkpoint="c", checkpoint_every=1e9)
    except KeyboardInterrupt:
        print("interrupted")
    backend.match = run
    assert (gtn_fast.label(small, small).x_index == expected).all()
    print("usable", threading.active_count())
"""


@pytest.mark.parametrize(
    ("method", "n", "d", "groups"),
    [
        ("screen", 250_000, 64, None),
        ("tree", 500_000, 8, None),
        ("reference", 20_000, 8, None),
        ("screen", 2_000_000, 2, "(np.arange(2_000_000) // 40,) * 2"),
    ],
)
def test_ctrl_c(native, tmp_path, method, n, d, groups):
    """KeyboardInterrupt is raised in the midst of the work, and labeling still works.

    The signal comes a tenth of a second after the match began; the whole takes seconds on the
    fastest machine seen. What is settled is saved on the way out, and is not all.
    """
    backend = "reference" if method == "reference" else "native"
    code = INTERRUPTED.format(method=method, n=n, d=d, groups=groups, backend=backend)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,  # a guard against a hang
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["interrupted", "usable 1"]
    assert header(tmp_path / "c")["rows"] < n


def label_in_a_child(queue):
    x, y = cases.make("gaussian", 500, 400, 20)
    queue.put(gtn_fast.label(x, y, threads=2).x_index)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_in_a_forked_child(native):
    """As in a DataLoader worker, after the parent has used the engine."""
    x, y = cases.make("gaussian", 500, 400, 20)
    expected = gtn_fast.label(x, y, threads=2).x_index
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=label_in_a_child, args=(queue,))
    child.start()
    answer = queue.get(timeout=300)
    child.join(300)
    assert child.exitcode == 0
    assert (answer == expected).all()


def test_from_many_python_threads(native):
    problems = [
        cases.make("clustered", 400, 300, d, seed) for d in (1, 2, 3, 20) for seed in (0, 1)
    ]
    expected = [match(x, y)[0] for x, y in problems]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            answers = pool.map(lambda xy: gtn_fast.label(*xy, threads=2).x_index, problems)
            for answer, right in zip(answers, expected, strict=True):
                assert (answer == right).all()


def test_other_python_threads_run_meanwhile(native):
    """The interpreter lock is released during a match: another thread counts on."""
    x, y = cases.make("gaussian", 15_000, 15_000, 64)
    counted = 0
    stop = threading.Event()

    def count():
        nonlocal counted
        while not stop.wait(0.001):
            counted += 1

    other = threading.Thread(target=count)
    other.start()
    before = counted
    native.match(x, y, strategy="screen", threads=1)
    during = counted - before
    stop.set()
    other.join()
    assert during > 5  # with the lock held: 0 or 1


def test_signal_handlers_stay(native):
    before = signal.getsignal(signal.SIGINT)
    gtn_fast.label(np.eye(5))
    assert signal.getsignal(signal.SIGINT) is before
