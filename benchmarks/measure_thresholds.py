"""Measures what the planner needs to know, and writes gtn_fast/planning/constants.py.

    python -m benchmarks.measure_thresholds            prints the table and how well it fits
    python -m benchmarks.measure_thresholds --write    writes gtn_fast/planning/constants.py as well

About eight minutes on an idle machine. Strategies are timed against one another over d
and n, the best of three runs each (what others did to the machine is not theirs), one
thread by its CPU seconds; constants are fitted to relative errors. The screen is timed at
a second instruction set too, in a process of its own: one kernel alone cannot tell what a
pair costs in it from what it costs beside it. Bytes, and how cones grow with n, are not
measured here but kept: the tests compare bytes with peaks of memory.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gtn_fast
from benchmarks import machine, workloads
from gtn_fast.backends import native
from gtn_fast.inputs.matrices import for_engine
from gtn_fast.planning import calibration
from gtn_fast.planning import constants as constants_module
from gtn_fast.planning.calibration import TRIAL_ROWS, by_dimension
from gtn_fast.planning.costs import share_with_cones
from gtn_fast.planning.look import look

TARGET = Path(__file__).absolute().parent.parent / "gtn_fast" / "planning" / "constants.py"
DIMS = (1, 2, 4, 8, 16, 32, 64, 100, 128, 256, 512, 1024)
SMALL, MIDDLE = (20_000, 40_000), (25_000, 100_000)
TREE_SIZES = {
    **dict.fromkeys((2, 3, 4, 5, 6, 8), (100_000, 400_000)),
    **dict.fromkeys((10, 12, 16), MIDDLE),
}
SCREEN_SIZES = {
    **dict.fromkeys((4, 8, 16, 32, 64, 100, 128), (5000, *MIDDLE)),
    **dict.fromkeys((256, 512), (5000, *SMALL)),
}
CONES_SIZES = {9: 400_000, 10: 400_000, 12: 400_000, 16: 1_000_000}
SECOND_LEVEL = "avx2"
LINEAR_N = 500_000
CROWDED = (
    ("orthant", 100_000, 4),
    ("orthant", 200_000, 5),
    ("orthant", 100_000, 6),
    ("orthant", 50_000, 8),
)
DECAYING = (("mnist", 60_000, 64), ("fashion", 60_000, 100), ("mnist", 60_000, 128))
TEAMS = (("tree", 400_000, 5), ("screen", 100_000, 100))


def seconds(work: workloads.Workload, method: str, threads: int = 1, repeats: int = 3) -> float:
    """The best time of a call; of one thread, the CPU's."""
    best, clock = math.inf, time.process_time if threads == 1 else time.perf_counter
    for _ in range(repeats):
        start = clock()
        gtn_fast.label(work.x, work.y, method=method, threads=threads)
        best = min(best, clock() - start)
    return best


def timed(name: str, n: int, d: int, method: str, **options: Any) -> float:
    """The best time of a workload, and a line about it."""
    took = seconds(workloads.make(name, n, n, d), method, **options)
    print(f"{method:9s} {name}, n = {n:,}, d = {d}: {took:.4f} s", file=sys.stderr, flush=True)
    return took


# ------------------------------------------------------------------ the constants


def measure_kernel() -> dict[int, float]:
    """Seconds of a screened pair by dimension."""
    rate = native.module().screening_rate
    return {d: 1 / max(rate(d) for _ in range(3)) for d in DIMS}


def measure_trials() -> dict[str, dict[int, float]]:
    """Seconds of the trials that speeds are measured by: by strategy and dimension."""
    dims = {"ray": (1,), "circle": (2,), "tree": tuple(TREE_SIZES), "screen": DIMS}
    trial = calibration.trial
    return {
        strategy: {d: min(trial(strategy, d) for _ in range(3)) for d in dims[strategy]}
        for strategy in TRIAL_ROWS
    }


def measure_tree() -> dict[int, tuple[float, float]]:
    """By dimension: seconds for one row at n = 1e5, exponent of n / 1e5."""
    table = {}
    for d, (small, large) in TREE_SIZES.items():
        rows = [timed("gaussian", n, d, "tree") / n for n in (small, large)]
        exponent = math.log(rows[1] / rows[0]) / math.log(large / small)
        table[d] = (rows[0] * (1e5 / small) ** exponent, max(exponent, 0.0))
    return table


def measure_screen(trials: dict[int, float]) -> tuple[float, float, float, float]:
    """Load on the kernel; seconds for one pair beside it, one row of Y, one value of X or Y."""
    from scipy.optimize import nnls

    rows, times = [], []
    for level in {native.instructions(), SECOND_LEVEL} & set(native.module().simd_levels()):
        for d, n, took, pair, trial in screen_times(level):
            slower = trial / by_dimension(trials, d)
            pairs = 0.5 * n * n
            rows.append([pairs * pair, pairs * slower, n * slower, 2.0 * n * d * slower])
            times.append(took)
    weights = 1 / np.array(times)
    fitted, misfit = nnls(np.array(rows) * weights[:, None], np.ones(len(times)))
    print(f"screen fits to {misfit / math.sqrt(len(times)):.0%}", file=sys.stderr)
    load, per_pair, per_row, per_value = (float(value) for value in fitted)
    return load, per_pair, per_row, per_value


def screen_times(level: str) -> list[tuple[int, int, float, float, float]]:
    """At an instruction set: d, n, seconds of a screen, of a pair in its kernel, of a trial."""
    command = [sys.executable, "-m", "benchmarks.measure_thresholds", "--screens"]
    environment = {**os.environ, "GTN_FAST_SIMD": level}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [tuple(row) for row in json.loads(done.stdout)]


def own_screen_times() -> Iterator[tuple[int, int, float, float, float]]:
    """The rows of screen_times() for this process."""
    kernel, trials = measure_kernel(), measure_trials()["screen"]
    for d, sizes in SCREEN_SIZES.items():
        for n in sizes:
            took = timed("gaussian", n, d, "screen")
            yield d, n, took, *(by_dimension(of, d) for of in (kernel, trials))


def measure_cones() -> dict[int, float]:
    """By dimension: of the pairs of a y with 1e6 free x's, what cones leave takes as long as."""
    return {d: cones_left(d, n) for d, n in CONES_SIZES.items()}


def cones_left(d: int, n: int) -> float:
    """The same from a labeling with cones and one without."""
    work = workloads.make("gaussian", n, n, d)
    took = []
    for cones in (None, False):
        start = time.process_time()
        x, y = for_engine(work.x), for_engine(work.y)
        native.module().match(x, y, strategy="screen", threads=1, cones=cones)
        took.append(time.process_time() - start)
    print(f"cones     n = {n:,}, d = {d}: {took[0]:.2f} of {took[1]:.2f} s", file=sys.stderr)
    low, high = 0.0, 2.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        less = share_with_cones(n, n, middle) < took[0] / took[1]
        low, high = (middle, high) if less else (low, middle)
    return low


def measure_exponent(cases: Sequence[tuple[str, int, int]], method: str, which: str) -> float:
    """How time grows with the crowding or decay of directions: the exponent, least squares."""
    logs, growths = [], []
    for name, n, d in cases:
        spread = look(workloads.make(name, n, n, d).x)
        logs.append(math.log(getattr(spread, which)))
        isotropic = timed("gaussian", n, d, method)
        growths.append(math.log(timed(name, n, d, method) / isotropic))
    return float(np.dot(logs, growths) / max(np.dot(logs, logs), 1e-9))


def measure_team(threads: int) -> float:
    """The exponent of the number of threads in the speed-up; kept on a busy machine."""
    if threads == 1 or busy():
        return constants_module.THREAD_EXPONENT
    exponents = []
    for method, n, d in TEAMS:
        work = workloads.make("gaussian", n, n, d)
        ratio = seconds(work, method) / seconds(work, method, threads)
        exponents.append(math.log(ratio) / math.log(threads))
        print(f"{method:9s} {threads} threads: {ratio:.2f}x", file=sys.stderr, flush=True)
    return min(max(float(np.mean(exponents)), 0.1), 1.0)


def busy() -> bool:
    """Whether others use this machine. The best of three runs is not theirs; our cores are."""
    return (machine.busy_share() or 0) > machine.BUSY_FROM


def measure_reference() -> tuple[float, float]:
    """Seconds for one pair and value, and for one row."""
    sizes = ((500, 64), (2000, 64))
    times = [timed("gaussian", n, d, "reference", repeats=2) for n, d in sizes]
    system = [[n * n * (d + 16), n] for n, d in sizes]
    value, row = np.linalg.solve(np.array(system, dtype=float), np.array(times))
    return max(float(value), 1e-12), max(float(row), 1e-9)


def measure_all(threads: int) -> dict[str, Any]:
    """All constants of constants.py by name."""
    seconds(workloads.make("gaussian", 1000, 1000, 3), "tree")  # warm up
    now = datetime.datetime.now(datetime.timezone.utc)
    about = machine.describe()
    kernel, trials = measure_kernel(), measure_trials()
    per_row = {
        method: timed("gaussian", LINEAR_N, d, method, threads=threads) / (2 * LINEAR_N)
        for method, d in (("ray", 1), ("circle", 2), ("rank", 1))
    }
    tree = measure_tree()
    load, screen_pair, screen_row, screen_value = measure_screen(trials["screen"])
    reference_value, reference_row = measure_reference()
    small = workloads.make("gaussian", 2, 2, 3)
    return {
        "MEASURED_ON": f"{about['cpu']} {about['cpu_id']}, {about['simd']}, {about['cores']} cores",
        "MEASURED_AT": f"{now:%Y-%m-%d}, commit {machine.commit()}"
        + (", on a busy machine" if busy() else ""),
        "KERNEL_S_PER_PAIR": kernel,
        "TRIAL_S": trials,
        "LINEAR_S_PER_ROW": per_row,
        "TREE": tree,
        "TREE_CROWDING": measure_exponent(CROWDED, "tree", "crowding"),
        "SCREEN_LOAD": load,
        "SCREEN_S_PER_PAIR": screen_pair,
        "SCREEN_S_PER_ROW": screen_row,
        "SCREEN_S_PER_VALUE": screen_value,
        "CONES": measure_cones(),
        "CONES_EXPONENT": constants_module.CONES_EXPONENT,
        "CONES_PAIRS_PER_ROW": constants_module.CONES_PAIRS_PER_ROW,
        "SIFT_COST": native.module().sift_cost(),
        "SCREEN_DECAY": measure_exponent(DECAYING, "screen", "decay"),
        "REFERENCE_S_PER_VALUE": reference_value,
        "REFERENCE_S_PER_ROW": reference_row,
        "CALL_S": seconds(small, "tree", threads, repeats=20),
        "THREAD_EXPONENT": measure_team(threads),
        "BYTES": constants_module.BYTES,
        "FIXED_BYTES": constants_module.FIXED_BYTES,
        "SCREEN_BYTES_PER_DIMENSION": constants_module.SCREEN_BYTES_PER_DIMENSION,
    }


# ------------------------------------------------------------------ the file

HEADER = '''"""What the planner knows about cost: measured constants, nothing else.

Written by benchmarks/measure_thresholds.py. Seconds are those of one thread of the
machine named in MEASURED_ON (of all threads for LINEAR_S_PER_ROW). costs.py holds the
formulas; calibration.py says how much faster or slower another machine is.
"""
'''
COMMENTS = {
    "KERNEL_S_PER_PAIR": "Seconds of one screened pair, by dimension: 1 / screening_rate.",
    "TRIAL_S": "Seconds of calibration.trial(), by strategy and dimension.",
    "LINEAR_S_PER_ROW": "Seconds for one row of X or Y.",
    "TREE": "By dimension: (seconds for one row at n_x = 1e5, exponent of n_x / 1e5).",
    "TREE_CROWDING": "Exponent of Spread.crowding in the tree's time.",
    "SCREEN_LOAD": "The screen's passes over the pairs, against the bare kernel.",
    "SCREEN_S_PER_PAIR": "What a pair costs beside the kernel: survivors, thresholds.",
    "SCREEN_S_PER_ROW": "Exact scores and lists for one row of Y.",
    "SCREEN_S_PER_VALUE": "Reading, normalising, quantising one value of X or Y.",
    "CONES": "What cones leave of the pairs of a y with 1e6 free normals takes as long as so many"
    " pairs\n# without, by dimension.",
    "CONES_EXPONENT": "With a minus, of free x's / 1e6 in that: from labelings of 2e5 to 1e6 rows.",
    "CONES_PAIRS_PER_ROW": "And as long as so many pairs: a y's part of the layouts.",
    "SIFT_COST": "Kernels::sift_cost of that machine.",
    "SCREEN_DECAY": "Exponent of Spread.decay in the screen's time.",
    "REFERENCE_S_PER_VALUE": "NumPy: seconds for one pair and coordinate.",
    "REFERENCE_S_PER_ROW": "NumPy: seconds for one row of Y.",
    "CALL_S": "Start of a call, threads included.",
    "THREAD_EXPONENT": "Speed-up of t threads: t ** THREAD_EXPONENT.",
    "BYTES": "Bytes beyond the inputs and the results (28 per row of Y): (per row of X, per row of"
    "\n# Y, per value of X, per value of Y). From growths of the peak resident set.",
    "FIXED_BYTES": "Buffers that do not grow with the problem.",
    "SCREEN_BYTES_PER_DIMENSION": "Of a thread of the screen, per dimension: directions of a frame"
    " and of a tile of y's.",
}


def text(constants: dict[str, Any]) -> str:
    """The constants as a module."""
    parts = [HEADER]
    for name, value in constants.items():
        comment = f"# {COMMENTS[name]}\n" if name in COMMENTS else ""
        parts.append(f"{comment}{name} = {_literal(value)}\n")
    return "\n".join(parts)


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        lines = [f"{_literal(k)}: {_literal(v)}," for k, v in value.items()]
        return "{\n" + textwrap.indent("\n".join(lines), "    ") + "\n}"
    if isinstance(value, tuple):
        return f"({', '.join(_literal(each) for each in value)})"
    if isinstance(value, float):
        return repr(float(f"{value:.3g}"))
    return json.dumps(value) if isinstance(value, str) else repr(value)


def use(constants: dict[str, Any]) -> None:
    """Let the planner of this process go by ``constants``."""
    for name, value in constants.items():
        setattr(constants_module, name, value)
    calibration.forget()


CHECKS = (
    ("gaussian", 1_000_000, 2),
    ("gaussian", 500_000, 3),
    ("gaussian", 200_000, 5),
    ("gaussian", 200_000, 8),
    ("gaussian", 60_000, 12),
    ("gaussian", 20_000, 32),
    ("gaussian", 100_000, 32),
    ("gaussian", 20_000, 100),
    ("gaussian", 100_000, 100),
    ("gaussian", 50_000, 256),
    ("mnist", 100_000, 64),
    ("fashion", 100_000, 128),
    ("orthant", 200_000, 5),
    ("orthant", 50_000, 32),
)


def check(threads: int) -> Iterator[str]:
    """Lines that compare predictions with what then happens, and strategies where two fit."""
    for name, n, d in CHECKS:
        work = workloads.make(name, n, n, d)
        plan = gtn_fast.plan(work.x, threads=threads)
        took = seconds(work, "auto", threads, repeats=2)
        rest = ""
        if 3 <= d <= 16:
            other = "screen" if plan.strategy == "tree" else "tree"
            instead = gtn_fast.plan(work.x, method=other, threads=threads).seconds
            if instead < 5 * plan.seconds:
                rest = f"; {other} {seconds(work, other, threads, repeats=1):.3f} s"
        yield (
            f"{name}, n = {n:,}, d = {d}: {plan.strategy} {took:.3f} s,"
            f" predicted {plan.seconds / took:.2f}x{rest}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure_thresholds")
    parser.add_argument("--write", action="store_true", help=f"write {TARGET.name}")
    parser.add_argument("--check", action="store_true", help="only compare predictions with times")
    parser.add_argument("--screens", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args(argv)
    if arguments.screens:  # the child of screen_times()
        print(json.dumps(list(own_screen_times())))
        return 0
    if busy():
        print("warning: the machine is not idle; THREAD_EXPONENT is kept, the rest may be high")
    if not arguments.check:
        constants = measure_all(arguments.threads)
        print(text(constants))
        if arguments.write:
            TARGET.write_text(text(constants), encoding="utf-8")
        use(constants)
    for line in check(arguments.threads):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
