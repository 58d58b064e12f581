"""Measures the constants of gtn_fast/backends/faiss/cost.py and prints them.

    python -m benchmarks.measure_faiss [--n 100000] [--hnsw]

A minute on an idle machine; one thread, the best of three. What it prints is pasted there
by hand: the numbers decide from where on the exact engine takes over, and should not
change with every run. --hnsw compares a graph with inverted lists instead: why there is none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import workloads
from gtn_fast.backends import native
from gtn_fast.backends.faiss import index as faiss_index
from gtn_fast.system.openmp import faiss_threads

DIMENSIONS = (16, 64, 128)
GRAPH_WORKLOAD = ("mnist", 64)
ROWS = 2048
FEW, MANY = 8, 128  # lists probed


def best(call: Callable[[], Any], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(kind: str, n: int, d: int) -> dict[str, float]:
    """Seconds of one thread, by the names of cost.py."""
    work = workloads.make("gaussian", n, ROWS, d)
    index = faiss_index.FreeIndex(work.x, work.y, kind)
    nlist = faiss_index.settings({}).lists(n, n)
    build = best(lambda: index.build(nlist), 2)
    rows = np.arange(ROWS)
    few, many = (
        best(lambda probed=probed: index.search(rows, 32, probed, 1e-5)) / ROWS
        for probed in (FEW, MANY)
    )
    centroids, v = index._index.quantizer, faiss_index.unit_rows(work.y, index._columns)
    u = faiss_index.unit_rows(work.x[:20_000], index._columns)
    coarse = best(lambda: centroids.search(v, FEW)) / ROWS
    assign = best(lambda: centroids.search(u, 1)) / len(u)
    scan = (many - few) / ((MANY - FEW) / nlist * n)
    lists = [index.search(rows, k, MANY, 1e-5) for k in (16, 96)]
    engine = native.module()
    short, long = (
        best(lambda found=found: engine.evaluate_lists(work.x, work.y, rows, found, 1)) / ROWS
        for found in lists
    )
    trained = min(n, faiss_index.TRAIN_ROWS * nlist) * faiss_index.TRAIN_ROUNDS
    return {
        "centroid": coarse / nlist,
        "assign": assign / nlist,
        "scan": scan,
        "candidate": (long - short) / 80,
        "row": few - coarse - FEW / nlist * n * scan,
        "fit and encode": build - (trained + n) * assign,
    }


def compare_with_hnsw(n: int) -> None:
    """Build and search times of IVF-PQ and HNSW, and the share of the best cosine they find."""
    name, d = GRAPH_WORKLOAD
    faiss, engine = faiss_index.module(), native.module()
    work = workloads.make(name, n, ROWS, d)
    rows = np.arange(ROWS)
    lists = faiss_index.FreeIndex(work.x, work.y, "ivf-pq")
    exact = lists.nearest(rows, 1)[1]
    most = engine.evaluate_lists(work.x, work.y, rows, exact, 1).mean()

    def show(what: str, search: Callable[[], Any]) -> None:
        found = search()
        cosine = engine.evaluate_lists(work.x, work.y, rows, found, 1).max(axis=1)
        print(f"{what}: {best(search) / ROWS * 1e6:.0f} us per y, {cosine.mean() / most:.4f}")

    nlist = faiss_index.settings({}).lists(n, n)
    print(f"{name}, n = {n}, d = {d}")
    print(f"ivf-pq built in {best(lambda: lists.build(nlist), 1):.2f} s")
    for nprobe, k in faiss_index.QUALITIES.values():
        show(f"nprobe={nprobe}", partial(lists.search, rows, k, nprobe, 1e-5))
    graph = faiss.IndexHNSWFlat(d, 16, faiss.METRIC_INNER_PRODUCT)
    u, v = faiss_index.unit_rows(work.x, d), faiss_index.unit_rows(work.y, d)
    print(f"hnsw built in {best(lambda: graph.add(u), 1):.2f} s")
    for effort in (16, 64, 256):
        graph.hnsw.efSearch = effort
        show(f"efSearch={effort}", lambda: graph.search(v, 16)[1])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--hnsw", action="store_true")
    parsed = parser.parse_args(arguments)
    n, faiss = parsed.n, faiss_index.module()
    with faiss_threads(faiss, 1):
        if parsed.hnsw:
            compare_with_hnsw(n)
            return 0
        for kind in faiss_index.KINDS:
            for d in DIMENSIONS:
                found = measure(kind, n, d)
                print(kind, f"d={d:4d}", *(f"{k} {v:.2e}" for k, v in found.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
