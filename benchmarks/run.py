"""gtn_fast against its peers, and at a million rows.

    python -m benchmarks.run                       everything, about 20 minutes on 2 cores
    python -m benchmarks.run --quick               small sizes, two minutes, no limits
    python -m benchmarks.run --only faiss sgemm    these comparisons again, into the last results

One comparison runs after another, and each records time, commit and load. gtn_fast and its
peer take turns on the same number of threads; medians count. An answer is checked before
its time is reported. Most cases of full size have a limit that the result must keep to; the
exit code is 1 if one does not.
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
    """A workload, and the limit that its result must keep to (None: there is none)."""

    name: str
    n: int
    d: int
    limit: float | None = None
    measure: str = FASTER


FULL: dict[str, list[Case]] = {
    "loop": [
        Case("gaussian", 20_000, 100, 100),
        Case("gaussian", 100_000, 100, 300),
        Case("gaussian", 100_000, 2, 1000),
    ],
    "faiss": [Case("gaussian", 100_000, d, 6) for d in (32, 100, 256)],
    "sgemm": [Case("gaussian", 200_000, 100, 0.5, SHARE)]
    + [Case(name, 200_000, d, 0.3, SHARE) for name in ("mnist", "fashion") for d in (64, 100, 128)],
    "tree": [
        Case("gaussian", 1_000_000, 2, 2),
        Case("gaussian", 1_000_000, 3, 1.5, SHARE),
        Case("gaussian", 1_000_000, 5, 1.5, SHARE),
        Case("gaussian", 1_000_000, 8, 1, SHARE),
    ],
    "large": [
        Case("gaussian", 1_000_000, 100, 720, SECONDS),
        Case("gaussian", 1_000_000, 32, None, SECONDS),
    ],
    "threads": [Case("gaussian", 100_000, 100, 1.8)],
}
QUICK: dict[str, list[Case]] = {
    "loop": [Case("gaussian", 5000, 100), Case("gaussian", 20_000, 2)],
    "faiss": [Case("gaussian", 20_000, 32), Case("gaussian", 20_000, 100)],
    "sgemm": [Case("gaussian", 40_000, 100, None, SHARE), Case("mnist", 40_000, 64, None, SHARE)],
    "tree": [Case("gaussian", 100_000, d, None, SHARE) for d in (2, 3, 8)],
    "large": [Case("gaussian", 100_000, 32, None, SECONDS)],
    "threads": [Case("gaussian", 40_000, 100)],
}
MEMORY_LIMIT = 2.5  # bytes beyond X and Y / bytes of X and Y, in this case:
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
    comparison: str,
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
        comparison=comparison,
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


# ------------------------------------------------------------------ the comparisons


def compare_loop(case: Case, threads: int) -> list[Row]:
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
            "loop",
            case,
            engine,
            own,
            "authors' loop" if last.measured else "authors' loop, from slices",
            other,
            loop=[vars(each) for each in times],
        )
    ]


def compare_faiss(case: Case, threads: int) -> list[Row]:
    """FAISS IndexFlatIP, k = 1."""
    work = workloads.make(case.name, case.n, case.n, case.d)
    engine = Engine(work, threads)
    with peers.Faiss(work.x, work.y, threads) as faiss:
        faiss.tune()
        own, other = take_turns(engine.seconds, faiss.seconds)
        details = {"openblas": faiss.setting, "trials": faiss.trials}
    return [compared("faiss", case, engine, own, "FAISS IndexFlatIP", other, **details)]


def compare_sgemm(case: Case, threads: int) -> list[Row]:
    """The matrix-multiply roofline."""
    work = workloads.make(case.name, case.n, case.n, case.d)
    engine = Engine(work, threads)
    rates: list[float] = []

    def roofline() -> float:
        rates.append(peers.sgemm_rate(threads))
        return case.n * case.n * case.d / rates[-1]

    own, other = take_turns(engine.seconds, roofline, repeats=3)
    return [compared("sgemm", case, engine, own, "n^2 d flop of sgemm", other, flop_per_s=rates)]


def compare_tree(case: Case, threads: int) -> list[Row]:
    """SciPy's cKDTree."""
    work = workloads.make(case.name, case.n, case.n, case.d)
    engine = Engine(work, threads)
    tree = peers.KDTree(work.x, work.y, threads)
    tree.tune()
    own, other = take_turns(engine.seconds, tree.seconds)
    details = {"options": tree.name(tree.options), "trials": tree.trials}
    return [compared("tree", case, engine, own, "SciPy cKDTree", other, **details)]


def measure_large(case: Case, threads: int) -> list[Row]:
    """One whole run: wall time and memory beyond the inputs."""
    run = fresh.measure(case.name, case.n, case.d, threads=threads, sample=1000)
    assert run is not None  # no limit was given

    def row(value: float, measure: str, limit: float | None, predicted: float | None) -> Row:
        return Row(
            comparison="large",
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


def compare_threads(case: Case, threads: int) -> list[Row]:
    """All threads against one."""
    engine = Engine(workloads.make(case.name, case.n, case.n, case.d), threads)
    # A ratio of a machine to itself: by more turns than others, what comes and goes weighs less.
    own, other = take_turns(engine.seconds, lambda: engine.seconds(threads=1), repeats=9)
    return [compared("threads", case, engine, own, "itself, 1 thread", other)]


COMPARISONS: dict[str, Callable[[Case, int], list[Row]]] = {
    "loop": compare_loop,
    "faiss": compare_faiss,
    "sgemm": compare_sgemm,
    "tree": compare_tree,
    "large": measure_large,
    "threads": compare_threads,
}


# ------------------------------------------------------------------ the run


def run(names: Sequence[str], *, quick: bool, threads: int, say: Callable[[str], None]) -> Any:
    """Run the comparisons of these names; returns what is written as JSON."""
    results: dict[str, Any] = {
        "machine": machine.describe(),
        "threads": threads,
        "quick": quick,
        "comparisons": {},
    }
    for name in names:
        moment = machine.moment()
        if (moment["busy_share"] or 0) > machine.BUSY_FROM:
            say(
                f"warning: the machine is not idle: {moment['busy_share']:.0%} of its time goes"
                f" elsewhere, load {moment['load_average']}"
            )
        start = time.perf_counter()
        rows = []
        for case in (QUICK if quick else FULL)[name]:
            for row in COMPARISONS[name](case, threads):
                say(row.text())
                rows.append(row)
        moment["took_seconds"] = round(time.perf_counter() - start, 1)
        results["comparisons"][name] = report.section(moment, rows)
    return results


def merged(new: dict[str, Any], path: Path) -> dict[str, Any]:
    """The results at ``path`` with ``new`` comparisons in place of its own; one machine only."""
    if not path.exists():
        return new
    old = json.loads(path.read_text(encoding="utf-8"))
    for key in ("cpu", "cpu_id", "cores"):
        if old["machine"][key] != new["machine"][key]:
            raise ValueError(f"{path} is of another machine: measure all comparisons on this one")
    if old["threads"] != new["threads"]:
        raise ValueError(f"{path} was measured on {old['threads']} threads")
    return {**new, "comparisons": {**old["comparisons"], **new["comparisons"]}}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("--quick", action="store_true", help="small sizes, two minutes")
    parser.add_argument(
        "--only", nargs="+", choices=list(COMPARISONS), metavar="NAME", help=", ".join(COMPARISONS)
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args(argv)

    def say(line: str) -> None:
        print(line, flush=True)

    names = [name for name in COMPARISONS if name in (arguments.only or COMPARISONS)]
    results = run(names, quick=arguments.quick, threads=arguments.threads, say=say)
    if arguments.quick:
        report.write_json(RESULTS / "quick.json", results)
    else:
        if arguments.only:
            results = merged(results, RESULTS / "latest.json")
        day = max(each["at"] for each in results["comparisons"].values())[:10]
        name = f"{day}-{machine.slug(results['machine'])}.json"
        for path in (RESULTS / name, RESULTS / "latest.json"):
            report.write_json(path, results)
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(report.put_between_marks(text, report.markdown(results)), "utf-8")
    rows = report.rows_of(results)
    say(f"\n{report.markdown(results)}")
    outside = [row for row in rows if row.passed is False]
    for row in outside:
        say(f"limit not kept: {row.text()}")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
