"""Points 15 to 20: gtn_fast against its peers and its own promises.

    python -m benchmarks.run                  everything, about 20 minutes on 2 cores
    python -m benchmarks.run --quick          small sizes, two minutes, no targets
    python -m benchmarks.run --only 16 17     these points again, into the last results

One point after another, each with its own moment (time, commit, load). Within a point
gtn_fast and its peer take turns, on the same number of threads; medians count. Nothing
is reported before its answer was checked. The exit code is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gtn_fast
from benchmarks import fresh, machine, peers, report, workloads
from benchmarks.report import FASTER, MEMORY, SECONDS, SHARE, Row

ROOT = Path(__file__).absolute().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
VERIFY_SAMPLE = 500


@dataclass(frozen=True)
class Case:
    """A workload, and what is asked of it (None: nothing, at small sizes)."""

    name: str
    n: int
    d: int
    limit: float | None = None
    measure: str = FASTER


FULL: dict[int, list[Case]] = {
    15: [
        Case("gaussian", 20_000, 100, 100),
        Case("gaussian", 100_000, 100, 300),
        Case("gaussian", 100_000, 2, 1000),
    ],
    16: [Case("gaussian", 100_000, d, 6) for d in (32, 100, 256)],
    17: [Case("gaussian", 200_000, 100, 0.5, SHARE)]
    + [Case(name, 200_000, d, 0.3, SHARE) for name in ("mnist", "fashion") for d in (64, 100, 128)],
    18: [
        Case("gaussian", 1_000_000, 2, 2),
        Case("gaussian", 1_000_000, 3, 1.5, SHARE),
        Case("gaussian", 1_000_000, 5, 1.5, SHARE),
        Case("gaussian", 1_000_000, 8, 1, SHARE),
    ],
    19: [
        Case("gaussian", 1_000_000, 100, 720, SECONDS),
        Case("gaussian", 1_000_000, 32, None, SECONDS),
    ],
    20: [Case("gaussian", 100_000, 100, 1.8)],
}
QUICK: dict[int, list[Case]] = {
    15: [Case("gaussian", 5000, 100), Case("gaussian", 20_000, 2)],
    16: [Case("gaussian", 20_000, 32), Case("gaussian", 20_000, 100)],
    17: [Case("gaussian", 40_000, 100, None, SHARE), Case("mnist", 40_000, 64, None, SHARE)],
    18: [Case("gaussian", 100_000, d, None, SHARE) for d in (2, 3, 8)],
    19: [Case("gaussian", 100_000, 32, None, SECONDS)],
    20: [Case("gaussian", 40_000, 100)],
}
MEMORY_LIMIT = 2.5  # point 14, asked at n = 10^6, d = 100
MEMORY_CASE = (1_000_000, 100)


SETTLE_S = 0.5


class Engine:
    """gtn_fast on one workload: the first answer is verified, the later ones are the same."""

    def __init__(self, work: workloads.Workload, threads: int) -> None:
        self.work, self.threads = work, threads
        planned = gtn_fast.plan(work.x, len(work.y), threads=threads)
        self.predicted_seconds = planned.seconds
        start = time.perf_counter()
        self.labels = gtn_fast.label(work.x, work.y, threads=threads)
        self.first_seconds = time.perf_counter() - start
        self.report = self.labels.report
        self.verified = gtn_fast.verify(work.x, work.y, self.labels, sample=VERIFY_SAMPLE).checked

    def seconds(self, threads: int | None = None) -> float:
        """One run, its answer compared with the verified one."""
        start = time.perf_counter()
        labels = gtn_fast.label(self.work.x, self.work.y, threads=threads or self.threads)
        seconds = time.perf_counter() - start
        if not np.array_equal(labels.x_index, self.labels.x_index):
            raise gtn_fast.WrongMatching("a second run gave another matching")
        return seconds


def take_turns(
    one: Callable[[], float], other: Callable[[], float], repeats: int | None = None
) -> tuple[list[float], list[float]]:
    """Seconds of ``one`` and ``other``, by turns; fewer repeats where they take long."""

    def settled(run: Callable[[], float]) -> float:
        # Threads of the other side's runtime spin for a while after their last work
        # (OpenMP, OpenBLAS): let them fall asleep before the clock starts.
        time.sleep(SETTLE_S)
        return run()

    ones, others = [settled(one)], [settled(other)]
    if repeats is None:
        spent = ones[0] + others[0]
        repeats = 5 if spent < 5 else 3 if spent < 60 else 2
    for _ in range(repeats - 1):
        ones.append(settled(one))
        others.append(settled(other))
    return ones, others


def compared(
    point: int,
    case: Case,
    engine: Engine,
    own: list[float],
    against: str,
    other: list[float],
    **details: Any,
) -> Row:
    """The row of a case that ran against a peer."""
    seconds, peer_seconds = statistics.median(own), statistics.median(other)
    ratio = peer_seconds / seconds if case.measure == FASTER else seconds / peer_seconds
    return Row(
        point=point,
        workload=words(case),
        strategy=engine.report["strategy"],
        seconds=seconds,
        value=ratio,
        measure=case.measure,
        limit=case.limit,
        against=against,
        against_seconds=peer_seconds,
        predicted_seconds=engine.predicted_seconds,
        verified=engine.verified,
        details={
            "source": engine.work.source,
            "own_seconds": own,
            "peer_seconds": other,
            "report": engine.report,
            **details,
        },
    )


def words(case: Case) -> str:
    """The case for people."""
    name = {"gaussian": "Gaussian", "mnist": "MNIST, PCA", "fashion": "Fashion-MNIST, PCA"}
    return f"{name.get(case.name, case.name)}, n = {case.n:,}, d = {case.d}"


# ------------------------------------------------------------------ the points


def point_15(case: Case, threads: int) -> list[Row]:
    """The authors' loop."""
    work = workloads.make(case.name, case.n, case.n, case.d)
    engine = Engine(work, threads)
    times: list[peers.LoopTime] = []

    def loop() -> float:
        times.append(peers.authors_loop(work.x, work.y, engine.labels))
        return times[-1].seconds

    own, other = take_turns(engine.seconds, loop, repeats=2)
    own.append(engine.seconds())
    last = times[-1]
    return [
        compared(
            15,
            case,
            engine,
            own,
            "authors' loop" if last.measured else "authors' loop, from slices",
            other,
            loop=[vars(each) for each in times],
        )
    ]


def point_16(case: Case, threads: int) -> list[Row]:
    """FAISS IndexFlatIP, k = 1."""
    work = workloads.make(case.name, case.n, case.n, case.d)
    engine = Engine(work, threads)
    with peers.Faiss(work.x, work.y, threads) as faiss:
        faiss.tune()
        own, other = take_turns(engine.seconds, faiss.seconds)
        details = {"openblas": faiss.setting, "trials": faiss.trials}
    return [compared(16, case, engine, own, "FAISS IndexFlatIP", other, **details)]


def point_17(case: Case, threads: int) -> list[Row]:
    """The matrix-multiply roofline."""
    work = workloads.make(case.name, case.n, case.n, case.d)
    engine = Engine(work, threads)
    rates: list[float] = []

    def roofline() -> float:
        rates.append(peers.sgemm_rate(threads))
        return case.n * case.n * case.d / rates[-1]

    own, other = take_turns(engine.seconds, roofline, repeats=3)
    return [compared(17, case, engine, own, "n^2 d flop of sgemm", other, flop_per_s=rates)]


def point_18(case: Case, threads: int) -> list[Row]:
    """SciPy's cKDTree."""
    work = workloads.make(case.name, case.n, case.n, case.d)
    engine = Engine(work, threads)
    tree = peers.KDTree(work.x, work.y, threads)
    tree.tune()
    own, other = take_turns(engine.seconds, tree.seconds)
    details = {"options": tree.name(tree.options), "trials": tree.trials}
    return [compared(18, case, engine, own, "SciPy cKDTree", other, **details)]


def point_19(case: Case, threads: int) -> list[Row]:
    """One whole run: wall time and memory beyond the inputs."""
    run = fresh.measure(case.name, case.n, case.d, threads=threads, sample=1000)
    assert run is not None  # no limit was given

    def row(value: float, measure: str, limit: float | None, predicted: float | None) -> Row:
        return Row(
            point=19,
            workload=words(case),
            strategy=run["strategy"],
            seconds=run["seconds"],
            value=value,
            measure=measure,
            limit=limit,
            against="memory beyond X and Y" if measure == MEMORY else "wall time",
            predicted_seconds=predicted,
            verified=run["verified"],
            details=run if measure == SECONDS else {"peak_bytes": run["peak_bytes"]},
        )

    memory_limit = MEMORY_LIMIT if (case.n, case.d) == MEMORY_CASE else None
    return [
        row(run["seconds"], SECONDS, case.limit, run["predicted_seconds"]),
        row(run["memory_ratio"], MEMORY, memory_limit, None),
    ]


def point_20(case: Case, threads: int) -> list[Row]:
    """All threads against one."""
    engine = Engine(workloads.make(case.name, case.n, case.n, case.d), threads)
    # A ratio of a machine to itself: by more turns than others, what comes and goes weighs less.
    own, other = take_turns(engine.seconds, lambda: engine.seconds(threads=1), repeats=9)
    return [compared(20, case, engine, own, "itself, 1 thread", other)]


POINTS: dict[int, Callable[[Case, int], list[Row]]] = {
    15: point_15,
    16: point_16,
    17: point_17,
    18: point_18,
    19: point_19,
    20: point_20,
}


# ------------------------------------------------------------------ the run


def run(points: Sequence[int], *, quick: bool, threads: int, say: Callable[[str], None]) -> Any:
    """Measure ``points``; returns what is written as JSON."""
    results: dict[str, Any] = {
        "machine": machine.describe(),
        "threads": threads,
        "quick": quick,
        "points": {},
    }
    for number in points:
        moment = machine.moment()
        if (moment["busy_share"] or 0) > machine.BUSY_FROM:
            say(
                f"warning: the machine is not idle: {moment['busy_share']:.0%} of its time goes"
                f" elsewhere, load {moment['load_average']}"
            )
        start = time.perf_counter()
        rows = []
        for case in (QUICK if quick else FULL)[number]:
            for row in POINTS[number](case, threads):
                say(row.text())
                rows.append(row)
        moment["took_seconds"] = round(time.perf_counter() - start, 1)
        results["points"][str(number)] = report.section(moment, rows)
    return results


def merged(new: dict[str, Any], path: Path) -> dict[str, Any]:
    """``new`` points in place of those in the results at ``path``, on the same machine only."""
    if not path.exists():
        return new
    old = json.loads(path.read_text(encoding="utf-8"))
    for key in ("cpu", "cpu_id", "cores"):
        if old["machine"][key] != new["machine"][key]:
            raise ValueError(f"{path} is of another machine: measure all points on this one")
    if old["threads"] != new["threads"]:
        raise ValueError(f"{path} was measured on {old['threads']} threads")
    return {**new, "points": {**old["points"], **new["points"]}}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("--quick", action="store_true", help="small sizes, two minutes")
    parser.add_argument(
        "--only", nargs="+", type=int, choices=sorted(POINTS), metavar="POINT", help="15 to 20"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args(argv)

    def say(line: str) -> None:
        print(line, flush=True)

    points = arguments.only or sorted(POINTS)
    results = run(points, quick=arguments.quick, threads=arguments.threads, say=say)
    if arguments.quick:
        report.write_json(RESULTS / "quick.json", results)
    else:
        if arguments.only:
            results = merged(results, RESULTS / "latest.json")
        day = max(point["at"] for point in results["points"].values())[:10]
        name = f"{day}-{machine.slug(results['machine'])}.json"
        for path in (RESULTS / name, RESULTS / "latest.json"):
            report.write_json(path, results)
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(report.put_between_marks(text, report.markdown(results)), "utf-8")
    rows = report.rows_of(results)
    say(f"\n{report.markdown(results)}")
    missed = [row for row in rows if row.passed is False]
    for row in missed:
        say(f"target missed: {row.text()}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
