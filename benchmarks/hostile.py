"""Hostile but legal data at a million points: time, growth, and whether it is right.

    python -m benchmarks.hostile [--only NAME ...] [--n 1000000] [--limit 600]

Every workload runs in a process of its own at n / 4 and at n, each verified on a sample
of y's. The growth exponent is log4 of the ratio of their times: 1 is linear, 2 is every
pair. One that takes longer than --limit seconds is ended and reported as such. Results:
benchmarks/results/hostile.json (with another --n: hostile_quick.json, which git ignores).
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import fresh, machine, report
from gtn_fast.plots.texts import seconds_text

RESULTS = Path(__file__).absolute().parent / "results"
FULL_N = 1_000_000
SHRINK = 4
SAMPLE = 200


@dataclass(frozen=True)
class Case:
    """A workload of workloads.py; Y has ``y_share`` of X's rows."""

    name: str
    d: int
    dtype: str = "float32"
    y_share: float = 1.0

    def __str__(self) -> str:
        share = "" if self.y_share == 1 else f", n_y = {self.y_share:g} n_x"
        return f"{self.name}, d = {self.d}, {self.dtype}{share}"


CASES = (
    [Case("rays", d, dtype) for d in (3, 32) for dtype in ("float32", "float64")]
    + [Case(name, d) for name in ("all_equal", "half_duplicates", "cone") for d in (3, 32)]
    + [Case("orthant", d) for d in (2, 3, 5)]
    + [Case("zero_rows", d) for d in (3, 32)]
    + [Case("magnitudes", d, "float64") for d in (3, 32)]
    + [Case("magnitudes", 3)]
    + [Case("gaussian", d, y_share=0.1) for d in (3, 32)]
)


def measure(case: Case, n: int, *, threads: int, limit: float) -> dict[str, Any]:
    """One case at n / 4 and at n; ``runs`` holds None for what took longer than ``limit``."""
    runs: dict[str, dict[str, Any] | None] = {}
    for size in (n // SHRINK, n):
        run = fresh.measure(
            case.name,
            size,
            case.d,
            n_y=max(1, round(size * case.y_share)),
            dtype=case.dtype,
            threads=threads,
            sample=SAMPLE,
            limit=limit,
        )
        runs[str(size)] = run
        if run is None:
            break  # the larger one would take longer still
    times = [run["seconds"] if run else None for run in runs.values()]
    growth = None
    if len(times) == 2 and times[0] is not None and times[1] is not None:
        growth = math.log(times[1] / times[0], SHRINK)
    return {"case": str(case), "growth_exponent": growth, "runs": runs}


def line(result: dict[str, Any], limit: float) -> str:
    """A row of the table."""
    cells = [result["case"]]
    runs = list(result["runs"].values())
    cells.append(next((run["strategy"] for run in runs if run), "-"))
    for run in [*runs, None][:2]:
        cells.append(seconds_text(run["seconds"]) if run else f"over {limit:g} s")
    growth = result["growth_exponent"]
    cells.append("-" if growth is None else f"{growth:.2f}")
    cells.append(f"{runs[-1]['memory_ratio']:.2f}" if runs[-1] else "-")
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile")
    parser.add_argument("--only", nargs="+", choices=sorted({case.name for case in CASES}))
    parser.add_argument("--n", type=int, default=FULL_N)
    parser.add_argument("--limit", type=float, default=600, help="seconds a run may take")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args(argv)
    n, limit = arguments.n, arguments.limit
    print(f"| workload | strategy | n = {n // SHRINK:,} | n = {n:,} | exponent | memory |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    results: dict[str, Any] = {"machine": machine.describe(), **machine.moment(), "cases": []}
    for case in CASES:
        if arguments.only is None or case.name in arguments.only:
            result = measure(case, n, threads=arguments.threads, limit=limit)
            results["cases"].append(result)
            print(line(result, limit), flush=True)
    whole = n == FULL_N and arguments.only is None
    report.write_json(RESULTS / ("hostile.json" if whole else "hostile_quick.json"), results)
    ended = [each["case"] for each in results["cases"] if None in each["runs"].values()]
    for name in ended:
        print(f"over {limit:g} s: {name}")
    return 1 if ended else 0


if __name__ == "__main__":
    sys.exit(main())
