"""A match beside the rest of a process: Ctrl-C, forks, threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cases
import numpy as np
import pytest

import gtn_fast
from gtn_fast.reference import match

INTERRUPTED = """
    import os, signal, threading, time
    import numpy as np, gtn_fast

    rng = np.random.default_rng(0)
    x = rng.standard_normal(({n}, {d})).astype(np.float32)
    small = x[:200]
    expected = gtn_fast.label(small, small, method="reference").x_index
    threading.Timer({after}, lambda: sent.append(time.monotonic())
                    or os.kill(os.getpid(), signal.SIGINT)).start()
    sent = []
    try:
        gtn_fast.label(x, method={method!r}, threads=2, groups={groups})
    except KeyboardInterrupt:
        print("late by", time.monotonic() - sent[0])
    else:
        print("not interrupted")
    assert (gtn_fast.label(small, small).x_index == expected).all()
    print("usable", threading.active_count())
"""


@pytest.mark.parametrize(
    ("method", "n", "d", "groups"),
    [
        ("screen", 400_000, 64, None),
        ("tree", 1_000_000, 8, None),
        ("reference", 20_000, 8, None),
        ("screen", 2_000_000, 2, "(np.arange(2_000_000) // 40,) * 2"),
    ],
)
def test_ctrl_c(native, method, n, d, groups):
    """A second after Ctrl-C at the latest KeyboardInterrupt is raised and labeling still works.

    Each takes some seconds on the fastest machine seen, and is interrupted long before.
    """
    code = INTERRUPTED.format(method=method, n=n, d=d, groups=groups, after=0.4)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    late, usable = done.stdout.splitlines()
    assert late.startswith("late by"), done.stdout
    assert float(late.split()[-1]) < 1.0
    assert usable == "usable 1"


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
    answer = queue.get(timeout=30)
    child.join(30)
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
    """The interpreter lock is released during a match."""
    x, y = cases.make("gaussian", 15_000, 15_000, 64)
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.01)

    ticker = threading.Thread(target=tick)
    ticker.start()
    started = time.monotonic()
    gtn_fast.label(x, y, method="screen", threads=1)
    seconds = time.monotonic() - started
    stop.set()
    ticker.join()
    during = [t for t in ticks if started <= t <= started + seconds]
    assert len(during) > 10 * seconds  # 100 a second when the machine is idle


def test_signal_handlers_stay(native):
    before = signal.getsignal(signal.SIGINT)
    gtn_fast.label(np.eye(5))
    assert signal.getsignal(signal.SIGINT) is before
