"""Small calls from threads, forks and spawned processes, and what the process holds after them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gtn_fast
from gtn_fast import reference
from tools.soak.running import Verdict

_SHAPES = ((60, 60, 1), (90, 50, 2), (80, 80, 3), (120, 100, 7), (70, 70, 20), (90, 90, 48))
_PER_CHILD = 5
_THREADS = 8
_CHILD_S = 120
GROWTH = 8 << 20  # bytes: what the allocator may keep; a leak of a kB per call is seen


@dataclass
class Held:
    """What this process holds."""

    memory: int
    descriptors: int
    threads: int
    children: int
    shared: int

    @classmethod
    def now(cls) -> Held:
        """Look, once nothing of ours that is garbage is left."""
        gc.collect()
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        task = Path(f"/proc/self/task/{os.getpid()}/children")
        return cls(
            memory=int(status["VmRSS"].split()[0]) * 1024,
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
            threads=int(status["Threads"]),
            children=len(task.read_text().split()) if task.exists() else 0,
            shared=len(list(Path("/dev/shm").iterdir())) if Path("/dev/shm").is_dir() else 0,
        )


class Calls:
    """Small labelings whose answers are known."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._problems = []
        for n_x, n_y, d in _SHAPES:
            x = np.round(4 * rng.normal(size=(n_x, d)), 1)
            y = rng.normal(size=(n_y, d))
            self._problems.append((x, y, reference.match(x, y)[0]))

    def one(self, number: int) -> None:
        """Make one call; AssertionError if its answer is another."""
        x, y, right = self._problems[number % len(self._problems)]
        got = gtn_fast.label(x, y, threads=1 + number % 3, progress=False)
        if not np.array_equal(got.x_index, right):
            raise AssertionError(f"call {number} gave other labels")

    def some(self, numbers: Sequence[int]) -> None:
        """Make several calls."""
        for number in numbers:
            self.one(number)


def _child(seed: int, numbers: Sequence[int]) -> None:
    Calls(seed).some(numbers)


def _from_children(method: str, seed: int, calls: Calls, numbers: Sequence[int]) -> list[str]:
    context: Any = multiprocessing.get_context(method)
    wrong = []
    for at in range(0, len(numbers), _PER_CHILD):
        some = numbers[at : at + _PER_CHILD]
        work = (calls.some, (some,)) if method == "fork" else (_child, (seed, some))
        child = context.Process(target=work[0], args=work[1])
        child.start()
        child.join(_CHILD_S)
        if child.is_alive():
            wrong.append(f"a {method}ed child hung")
            child.kill()
            child.join()
        elif child.exitcode:
            wrong.append(f"a {method}ed child ended with {child.exitcode}")
        child.close()
    return wrong


def _round(seed: int, calls: Calls, first: int, count: int) -> list[str]:
    """Make so many calls: six of ten from threads, three from forks, one from spawned processes."""
    numbers = range(first, first + count)
    forked, spawned = count * 3 // 10, count // 10
    with ThreadPoolExecutor(_THREADS) as pool:
        work = [pool.submit(calls.one, number) for number in numbers[forked + spawned :]]
        wrong = [f"{each.exception()}" for each in work if each.exception()]
    # A thread labels while children are forked: what they inherit is in the midst of a call.
    stop = threading.Event()

    def beside() -> None:
        number = 0
        while not stop.is_set():
            calls.one(number := number + 1)

    thread = threading.Thread(target=beside)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
            wrong += _from_children("fork", seed, calls, numbers[:forked])
    finally:
        stop.set()
        thread.join()
    return wrong + _from_children("spawn", seed, calls, numbers[forked : forked + spawned])


def soak(count: int, seed: int) -> Verdict:
    """Make ``count`` calls after a tenth as many; compare what is held before and after."""
    verdict = Verdict("calls")
    calls = Calls(seed)
    verdict.wrong += _round(seed, calls, 0, max(20, count // 10))
    before = Held.now()
    verdict.wrong += _round(seed, calls, 0, count // 2)
    between = Held.now()
    verdict.wrong += _round(seed, calls, count // 2, count - count // 2)
    after = Held.now()
    mib = [f"{each.memory / 2**20:.1f}" for each in (before, between, after)]
    verdict.seen.append(f"{count:,} calls; MiB before, half-way, after: {', '.join(mib)}")
    for name in ("descriptors", "threads", "children", "shared"):
        values = [getattr(each, name) for each in (before, between, after)]
        verdict.seen.append(f"{name} before, half-way, after: {', '.join(map(str, values))}")
        if name == "shared":  # of all processes of this machine
            continue
        if values[2] > values[0]:
            verdict.wrong.append(f"{name} grew from {values[0]} to {values[2]}")
    if after.memory - before.memory > GROWTH:
        verdict.wrong.append(f"memory grew from {mib[0]} to {mib[2]} MiB")
    return verdict
