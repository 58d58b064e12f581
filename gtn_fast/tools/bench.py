"""`gtn-fast bench`: this machine, against the peers that are installed on it.

The peers, on the same data and threads:

* the authors' loop, written afresh from its description: sort by norm, then for
  every y the cosine similarity with all remaining x's, argmax, delete. Timed on
  slices and extrapolated, since the whole would take hours.
* FAISS ``IndexFlatIP`` and SciPy ``cKDTree``, one nearest neighbour of every y
  among all x's. That is *with* replacement, an easier job than a matching.

A time of gtn_fast is reported only after its answer was verified. The repository's
``benchmarks/`` measures more, and more carefully, with the same peers.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gtn_fast
from gtn_fast.inputs.arguments import check_threads
from gtn_fast.plots.texts import ratio_text, seconds_text
from gtn_fast.system.cpus import available_cpus, cpu_name
from gtn_fast.system.openmp import torch_threads

Array = NDArray[Any]
Say = Callable[[str], None]

KDTREE_MAX_D = 8  # above, a k-d tree visits nearly everything
FULL = ((1_000_000, 2), (100_000, 8), (100_000, 32), (100_000, 100))
LOOP_BUDGET_S = 4.0  # spent on timing slices of the authors' loop
QUICK = ((100_000, 2), (20_000, 8), (20_000, 32), (20_000, 100))


@dataclass
class Row:
    """One workload: seconds of gtn_fast and of every peer (None: not installed or not fit)."""

    name: str
    n: int
    d: int
    strategy: str
    seconds: float
    peers: dict[str, float | None] = field(default_factory=dict)


# ------------------------------------------------------------------ the authors' loop


def authors_loop(x: Array, y: Array, steps: int, threads: int | None = None) -> tuple[float, Array]:
    """Make the first ``steps`` choices of the authors' loop, in float32.

    ``x`` (n_x, d) and ``y`` (n_y, d), already sorted by norm. Returns the seconds
    spent and the positions in ``x`` that were chosen. With torch, on ``threads``
    threads or the number of them that suits it best, where torch is installed; else
    with NumPy.
    """
    x, y = x.astype(np.float32), y.astype(np.float32)
    if importlib.util.find_spec("torch"):
        seconds, picks = _loop_torch(x, y, steps, threads)
    else:
        seconds, picks = _loop_numpy(x, y, steps)
    remaining = list(range(len(x)))  # replays the deletions, outside the timing
    return seconds, np.array([remaining.pop(pick) for pick in picks], dtype=np.int64)


def loop_threads(x: Array, y: Array) -> int:
    """Return the number of torch's threads that suits the loop on these sets best: 1 or all.

    Many threads pay on large sets only; on small ones, or on a busy machine, they
    wait for each other: the worse of two trials tells.
    """
    import torch

    probe = min(10, len(x), len(y))
    trials = []
    for threads in sorted({1, torch.get_num_threads()}):
        took = (_loop_torch(x, y, probe, threads)[0] for _ in range(2))
        trials.append((max(took), threads))
    return min(trials)[1]


def _loop_torch(x: Array, y: Array, steps: int, threads: int | None) -> tuple[float, list[int]]:
    with torch_threads(threads or loop_threads(x, y)):
        return _steps_torch(x, y, steps)


def _steps_torch(x: Array, y: Array, steps: int) -> tuple[float, list[int]]:
    import torch

    free, sources = torch.from_numpy(x), torch.from_numpy(y)
    picks = []
    start = time.perf_counter()
    for row in sources[:steps]:
        similarity = torch.nn.functional.cosine_similarity(row[None, :], free)
        best = int(torch.argmax(similarity))
        free = torch.cat((free[:best], free[best + 1 :]))
        picks.append(best)
    return time.perf_counter() - start, picks


def _loop_numpy(x: Array, y: Array, steps: int) -> tuple[float, list[int]]:
    picks = []
    start = time.perf_counter()
    for row in y[:steps]:
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(row)
        best = int(np.argmax((x @ row) / np.maximum(lengths, 1e-8)))
        x = np.delete(x, best, axis=0)
        picks.append(best)
    return time.perf_counter() - start, picks


def authors_loop_seconds(x: Array, y: Array, budget: float | None = None) -> float:
    """Extrapolate the seconds of the whole loop from slices of it.

    A step costs time linear in the x's that remain, so steps are timed at five
    sizes and integrated. ``budget``: seconds that the timing itself may take.
    """
    n = len(x)
    budget = LOOP_BUDGET_S if budget is None else budget
    sizes = sorted({max(1, round(n * share)) for share in (0.02, 0.25, 0.5, 0.75, 1.0)})
    per_step = []
    for size in sizes:
        authors_loop(x[:size], y, min(3, size))  # warm up
        steps, seconds, spent = 0, 0.0, 0.0
        while spent < budget / len(sizes) and steps < 200:
            batch = min(20, size, len(y))
            began = time.perf_counter()
            seconds += authors_loop(x[:size], y, batch)[0]
            spent += time.perf_counter() - began
            steps += batch
        per_step.append(seconds / steps)
    # The i-th y sees n - i x's; only the last len(y) sizes occur.
    return float(np.interp(np.arange(n - len(y) + 1, n + 1), sizes, per_step).sum())


# ------------------------------------------------------------------ the other peers


def faiss_flat(unit_x: Array, unit_y: Array, threads: int) -> tuple[float, Array]:
    """Build FAISS's IndexFlatIP, then search k = 1 for every y; return (seconds, rows of x).

    ``unit_x``, ``unit_y``: unit vectors, float32, contiguous; making them is not charged.
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    start = time.perf_counter()
    index = faiss.IndexFlatIP(unit_x.shape[1])
    index.add(unit_x)
    nearest = index.search(unit_y, 1)[1]
    return time.perf_counter() - start, nearest[:, 0]


def kdtree(
    unit_x: Array, unit_y: Array, threads: int, **options: Any
) -> tuple[float, float, Array]:
    """Build SciPy's cKDTree, then query k = 1 for every y; (seconds, seconds, rows of x).

    The seconds are those of the build (one thread, SciPy has no other) and of the
    queries. ``options`` go to the tree's constructor.
    """
    from scipy.spatial import cKDTree

    start = time.perf_counter()
    tree = cKDTree(unit_x, **options)
    built = time.perf_counter()
    nearest = tree.query(unit_y, k=1, workers=threads)[1]
    return built - start, time.perf_counter() - built, nearest


def unit(a: Array, dtype: Any) -> Array:
    """Return the rows of ``a`` scaled to length 1 (zero rows stay), in float64, as ``dtype``."""
    a = np.asarray(a, dtype=np.float64)
    lengths = np.linalg.norm(a, axis=1, keepdims=True)
    return np.ascontiguousarray(a / np.where(lengths == 0, 1, lengths), dtype=dtype)


def _faiss_seconds(x: Array, y: Array, threads: int) -> float | None:
    if x.shape[1] <= KDTREE_MAX_D or not importlib.util.find_spec("faiss"):
        return None
    return faiss_flat(unit(x, np.float32), unit(y, np.float32), threads)[0]


def _kdtree_seconds(x: Array, y: Array, threads: int) -> float | None:
    if x.shape[1] > KDTREE_MAX_D or not importlib.util.find_spec("scipy"):
        return None
    build, query, _ = kdtree(unit(x, np.float64), unit(y, np.float64), threads)
    return build + query


# ------------------------------------------------------------------ the run


def run(quick: bool = False, threads: int | None = None, say: Say = print) -> list[Row]:
    """Measure every workload; ``say`` gets a line as each is done.

    Repetitions of gtn_fast and its peers are interleaved, the median counts.
    Raises gtn_fast.WrongMatching rather than report the time of a wrong answer.
    """
    threads = check_threads(threads)
    rows = []
    for n, d in QUICK if quick else FULL:
        rng = np.random.default_rng(0)
        x, y = (rng.standard_normal((n, d), dtype=np.float32) for _ in range(2))
        labels = gtn_fast.label(x, y, threads=threads)
        gtn_fast.verify(x, y, labels, sample=200)
        own: list[float] = []
        peers: dict[str, list[float | None]] = {"faiss": [], "scipy": []}
        for _ in range(3):
            start = time.perf_counter()
            gtn_fast.label(x, y, threads=threads)
            own.append(time.perf_counter() - start)
            peers["faiss"].append(_faiss_seconds(x, y, threads))
            peers["scipy"].append(_kdtree_seconds(x, y, threads))
        order_x, order_y = (np.argsort(np.linalg.norm(a, axis=1), kind="stable") for a in (x, y))
        row = Row(
            name=f"Gaussian n = {n:,}, d = {d}",
            n=n,
            d=d,
            strategy=labels.report["strategy"],
            seconds=statistics.median(own),
            peers={
                "authors": authors_loop_seconds(x[order_x], y[order_y]),
                **{name: _median(times) for name, times in peers.items()},
            },
        )
        rows.append(row)
        say(f"{row.name}: {row.strategy}, {row.seconds:.3f} s, verified")
    return rows


def _median(times: list[float | None]) -> float | None:
    measured = [seconds for seconds in times if seconds is not None]
    return statistics.median(measured) if measured else None


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table; ratios are peer / gtn_fast."""
    lines = [
        "| workload | strategy | gtn_fast | authors' loop (extrapolated) | FAISS flat | cKDTree |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = [row.name, row.strategy, seconds_text(row.seconds)]
        for name in ("authors", "faiss", "scipy"):
            peer = row.peers.get(name)
            ratio = (
                "" if peer is None else f"{seconds_text(peer)} ({ratio_text(peer / row.seconds)})"
            )
            cells.append(ratio or "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Return one line on what the times were measured on."""
    versions = [f"gtn_fast {gtn_fast.__version__}", f"numpy {np.__version__}"]
    for name in ("torch", "faiss", "scipy"):
        if importlib.util.find_spec(name):
            versions.append(f"{name} {importlib.import_module(name).__version__}")
    return (
        f"{cpu_name()}, {available_cpus()} cores; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def openblas_note() -> str | None:
    """Return a warning where the environment holds OpenBLAS (and FAISS) to another CPU's code."""
    forced = os.environ.get("OPENBLAS_CORETYPE")
    if forced is None:
        return None
    return f"OPENBLAS_CORETYPE={forced} is set and may slow the peers; unset it for a fair race"
