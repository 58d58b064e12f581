"""Labels by Euclidean distance against labels by cosine: the same data, the same method.

    python -m benchmarks.distance [--n 100000]

Both take turns, five times, on one thread; medians of CPU time count, so that a busy machine
does little harm. Every labeling by distance is verified on 200 y's. Printed as a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

import gtn_fast
from benchmarks import workloads
from gtn_fast.plots.texts import seconds_text

METRICS = ("cosine", "euclidean")
CASES = (
    *(("gaussian", d, "tree") for d in (2, 3, 8)),
    *(("gaussian", d, "screen") for d in (16, 32, 100)),
    *(("mnist", d, "screen") for d in (32, 64)),
    *(("cone", d, method) for d, method in ((3, "tree"), (32, "screen"))),
)
TURNS, SAMPLE = 5, 200


def measure(name: str, n: int, d: int, method: str) -> tuple[float, float]:
    """Return median seconds of CPU time by cosine and by distance."""
    work = workloads.make(name, n, n, d)
    x, y = work.x, work.y
    seconds: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for turn in range(TURNS):
        for metric in METRICS:
            start = time.process_time()
            labels = gtn_fast.label(x, y, method=method, metric=metric, threads=1)
            seconds[metric].append(time.process_time() - start)
            if turn == 0 and metric == "euclidean":
                gtn_fast.verify(x, y, labels, sample=SAMPLE)
    by_cosine, by_distance = (statistics.median(seconds[metric]) for metric in METRICS)
    return by_cosine, by_distance


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distance")
    parser.add_argument("--n", type=int, default=100_000)
    n = parser.parse_args(argv).n
    print(f"| data, n = {n:,} | method | by cosine | by distance | ratio |")
    print("|---|---|---:|---:|---:|", flush=True)
    for name, d, method in CASES:
        by_cosine, by_distance = measure(name, n, d, method)
        cells = [f"{name}, d = {d}", f"`{method}`"]
        cells += [seconds_text(by_cosine), seconds_text(by_distance)]
        print(f"| {' | '.join(cells)} | {by_distance / by_cosine:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
