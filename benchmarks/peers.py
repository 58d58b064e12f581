"""The peers, each run at its best and each with its answer checked.

    authors_loop   the authors' loop: whole where that is quick, else timed slices of it
    Faiss          IndexFlatIP in a process of its own, under the OpenBLAS setting that suits it
    KDTree         SciPy's cKDTree with the constructor options that suit it
    sgemm_rate     what torch's float32 matrix product reaches on this machine

What is run is gtn_fast/tools/bench.py, which `gtn-fast bench` runs too; here it is given the
best of its settings, found by short trials, and its answers are compared with brute force.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gtn_fast
from gtn_fast.tools import bench

Array = NDArray[Any]
ROOT = Path(__file__).absolute().parent.parent


class WrongPeer(RuntimeError):
    """A peer's answer is wrong: its time means nothing."""


# ------------------------------------------------------------------ the authors' loop


@dataclass(frozen=True)
class LoopTime:
    """``seconds`` of the whole loop; of ``steps`` timed steps, ``agreed`` chose as the engine."""

    seconds: float
    measured: bool
    threads: int
    steps: int
    agreed: int


def authors_loop(
    x: Array,
    y: Array,
    labels: gtn_fast.Labels,
    *,
    whole_below: float = 20.0,
    budget: float = 15.0,
) -> LoopTime:
    """Time the loop on (x, y), against the exact ``labels`` of the same sets.

    Steps are timed at six positions of the run, each on exactly the x's that are free
    then, and integrated over the run: a step costs what the shrinking free set costs.
    If that foretells less than ``whole_below`` seconds, the whole loop is run instead.
    ``budget``: seconds for the slices.
    """
    n_x, n_y = len(x), len(y)
    by_norm = np.argsort(np.linalg.norm(x.astype(np.float64), axis=1), kind="stable")
    turn = labels.order
    taken_at = np.full(n_x, n_y)  # the turn at which an x is taken
    taken_at[labels.x_index[turn]] = np.arange(n_y)
    threads = bench.loop_threads(x[by_norm].astype(np.float32), y[turn].astype(np.float32))

    def run(position: int, steps: int) -> tuple[float, int]:
        free = by_norm[taken_at[by_norm] >= position]
        turns = turn[position : position + steps]
        seconds, picks = bench.authors_loop(x[free], y[turns], len(turns), threads)
        chosen = free[picks]
        if whole is None:
            _check_choices(x[chosen], y[turns], labels.cosine[turns])
        return seconds, int((chosen == labels.x_index[turns]).sum())

    whole: bool | None = None
    positions = sorted({round(share * (n_y - 1)) for share in (0, 0.2, 0.4, 0.6, 0.8, 0.97)})
    per_step, steps, agreed = [], 0, 0
    for position in positions:
        run(position, min(3, n_y - position))  # warm up
        probe = min(10, n_y - position)
        count = round(budget / len(positions) / (run(position, probe)[0] / probe))
        count = max(1, min(count, 200, n_y - position))
        seconds, same = run(position, count)
        per_step.append(seconds / count)
        steps += count
        agreed += same
    total = float(np.interp(np.arange(n_y), positions, per_step).sum())
    whole = total < whole_below
    if whole:
        total, agreed = run(0, n_y)
        steps = n_y
    return LoopTime(total, whole, threads, steps, agreed)


def _check_choices(x: Array, y: Array, best: Array) -> None:
    """Raise WrongPeer unless nearly all pairs (x, y) reach the ``best`` cosine possible.

    Up to float32: where x's are closer than its rounding, as in the plane, the loop's
    choice among them is chance, and a slice lives with its own earlier choices.
    """
    cosine = (bench.unit(x, np.float64) * bench.unit(y, np.float64)).sum(axis=1)
    good = int((np.abs(cosine - best) < 1e-5).sum())
    if good < 0.8 * len(x):
        raise WrongPeer(f"only {good} of {len(x)} choices of the authors' loop are the best")


# ------------------------------------------------------------------ brute force


def check_nearest(
    x: Array, y: Array, nearest: Array, *, tolerance: float, sample: int = 200
) -> None:
    """Raise WrongPeer unless ``nearest`` has an x of the highest cosine for every sampled y.

    ``tolerance``: how far below the highest a cosine may be, for the peer's rounding.
    """
    rows = np.random.default_rng(0).choice(len(y), min(sample, len(y)), replace=False)
    queries = bench.unit(y[rows], np.float64)
    best = np.full(len(rows), -np.inf)
    for start in range(0, len(x), 100_000):
        part = bench.unit(x[start : start + 100_000], np.float64)
        best = np.maximum(best, (queries @ part.T).max(axis=1))
    if nearest.shape != (len(y),) or nearest.min() < 0 or nearest.max() >= len(x):
        raise WrongPeer("rows out of range")
    found = (queries * bench.unit(x[nearest[rows]], np.float64)).sum(axis=1)
    missed = best - found
    if missed.max() > tolerance:
        row = int(rows[missed.argmax()])
        raise WrongPeer(f"row {row} of Y: the nearest x is {missed.max():.3g} in cosine closer")


# ------------------------------------------------------------------ FAISS


class Faiss:
    """FAISS on one workload: ``tune`` once, then ``seconds`` for every repetition.

    FAISS takes its matrix product from OpenBLAS, which guesses the CPU or is told by
    the environment, once a process; on a CPU it does not know the guess may cost half
    the speed. So every run is a process of its own, under the best of SETTINGS.
    """

    TRIAL_QUERIES = 4096
    TOLERANCE = 1e-5  # of float32 products of unit vectors

    def __init__(self, x: Array, y: Array, threads: int) -> None:
        self.x, self.y, self.threads = x, y, threads
        self.setting = "as is"
        self.trials: dict[str, float] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="gtn_fast_bench_")
        np.save(self._path("x"), bench.unit(x, np.float32))
        np.save(self._path("y"), bench.unit(y, np.float32))

    def __enter__(self) -> Faiss:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def tune(self) -> None:
        """Choose the setting by two short trials of each; check the answer of the best."""
        trials = faiss_settings(os.environ)
        for _ in range(2):
            for name in trials:
                seconds = self._run(name, self.TRIAL_QUERIES)
                self.trials[name] = min(seconds, self.trials.get(name, seconds))
        self.setting = min(self.trials, key=lambda name: self.trials[name])

    def seconds(self) -> float:
        """One run of all queries: build and search. Raises WrongPeer on a wrong answer."""
        seconds = self._run(self.setting, len(self.y))
        check_nearest(self.x, self.y, np.load(self._path("nearest")), tolerance=self.TOLERANCE)
        return seconds

    def _run(self, setting: str, queries: int) -> float:
        command = [sys.executable, "-m", "benchmarks.peers", self._folder.name]
        done = subprocess.run(
            [*command, str(queries), str(self.threads)],
            env=faiss_settings(os.environ)[setting],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return float(json.loads(done.stdout)["seconds"])

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.npy"


def faiss_settings(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Environments to try, by name: OpenBLAS as it is told, untold, told each kind of CPU."""
    untold = {k: v for k, v in environment.items() if not k.startswith("OPENBLAS_")}
    settings = {"as is": dict(environment), "unset": untold}
    settings["Haswell"] = untold | {"OPENBLAS_CORETYPE": "Haswell"}
    if "avx512" in gtn_fast.backends.native.module().simd_active():
        settings["SkylakeX"] = untold | {"OPENBLAS_CORETYPE": "SkylakeX"}
    return settings


def _faiss_child(folder: str, queries: int, threads: int) -> None:
    x, y = (np.load(Path(folder) / f"{name}.npy") for name in "xy")
    y = y[:queries]
    bench.faiss_flat(x[:1000], y[:1000], threads)  # wakes OpenBLAS and the threads
    seconds, nearest = bench.faiss_flat(x, y, threads)
    np.save(Path(folder) / "nearest.npy", nearest)
    print(json.dumps({"seconds": seconds}))


# ------------------------------------------------------------------ SciPy


class KDTree:
    """cKDTree on one workload: ``tune`` once, then ``seconds`` for every repetition."""

    TRIAL_QUERIES = 20_000
    TOLERANCE = 1e-12
    VARIANTS: tuple[dict[str, Any], ...] = (
        {},  # as SciPy has it: leaves of 16, balanced, compact
        {"balanced_tree": False},
        {"balanced_tree": False, "compact_nodes": False},
        {"balanced_tree": False, "leafsize": 8},
        {"balanced_tree": False, "leafsize": 32},
        {"balanced_tree": False, "leafsize": 64},
    )

    def __init__(self, x: Array, y: Array, threads: int) -> None:
        self.x, self.y, self.threads = x, y, threads
        self.unit_x, self.unit_y = bench.unit(x, np.float64), bench.unit(y, np.float64)
        self.options: dict[str, Any] = {}
        self.trials: dict[str, float] = {}

    def tune(self) -> None:
        """Choose the options by two trials of build and a part of the queries."""
        part = self.unit_y[: self.TRIAL_QUERIES]
        for options in 2 * self.VARIANTS:
            build, query, _ = bench.kdtree(self.unit_x, part, self.threads, **options)
            seconds, name = build + query * len(self.unit_y) / len(part), self.name(options)
            self.trials[name] = min(seconds, self.trials.get(name, seconds))
        self.options = min(self.VARIANTS, key=lambda options: self.trials[self.name(options)])

    def seconds(self) -> float:
        """One run: build and all queries. Raises WrongPeer on a wrong answer."""
        build, query, nearest = bench.kdtree(self.unit_x, self.unit_y, self.threads, **self.options)
        check_nearest(self.x, self.y, nearest, tolerance=self.TOLERANCE)
        return build + query

    @staticmethod
    def name(options: dict[str, Any]) -> str:
        """The options in words."""
        return ", ".join(f"{key}={value}" for key, value in options.items()) or "defaults"


# ------------------------------------------------------------------ the roofline


def sgemm_rate(threads: int, size: int = 4096, repeats: int = 3) -> float:
    """Flop/s of torch's float32 product of two ``size``-cubes, the best of ``repeats``."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a, b = torch.randn(size, size), torch.randn(size, size)
        out = a @ b  # wakes the threads, touches the pages
        best = np.inf
        for _ in range(repeats):
            start = time.perf_counter()
            torch.mm(a, b, out=out)
            best = min(best, time.perf_counter() - start)
        row = a[0].double() @ b.double()
        if not torch.allclose(out[0].double(), row, atol=1e-2):
            raise WrongPeer("the matrix product is wrong")
        return 2.0 * size**3 / best
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    _faiss_child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
