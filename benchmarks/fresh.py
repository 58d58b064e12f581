"""One labeling in a process of its own: time, report, memory beyond the inputs, verified.

`measure` starts it; `python -m benchmarks.fresh '{"name": "gaussian", ...}'` is the child,
which writes one line of JSON. A process of its own, because a peak of memory is a peak
of the process, and because a limit of time can end it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import gtn_fast
from benchmarks import workloads

ROOT = Path(__file__).absolute().parent.parent


def measure(
    name: str,
    n_x: int,
    d: int,
    *,
    n_y: int | None = None,
    dtype: str = "float32",
    threads: int,
    sample: int,
    method: str = "auto",
    options: dict[str, Any] | None = None,
    limit: float | None = None,
) -> dict[str, Any] | None:
    """Label workload ``name`` and verify ``sample`` of its y's; None if ``limit`` s passed.

    ``options`` go to ``label``. Returns seconds, strategy, predicted_seconds, verified,
    report, peak_bytes (beyond the inputs), peak_total_bytes and memory_ratio (to the bytes
    of X and Y in float32).
    """
    task = {
        "name": name,
        "n_x": n_x,
        "n_y": n_y or n_x,
        "d": d,
        "dtype": dtype,
        "threads": threads,
        "sample": sample,
        "method": method,
        "options": options or {},
    }
    command = [sys.executable, "-m", "benchmarks.fresh", json.dumps(task)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return None
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _child(task: dict[str, Any]) -> dict[str, Any]:
    n_x, n_y, d = task["n_x"], task["n_y"], task["d"]
    work = workloads.make(task["name"], n_x, n_y, d, dtype=task["dtype"])
    small = workloads.make("gaussian", 1000, 1000, d)
    chosen = {"method": task["method"], "threads": task["threads"]}
    gtn_fast.label(small.x, small.y, **chosen)  # modules, threads, first pages
    before = _start_of_peak()
    start = time.perf_counter()
    labels = gtn_fast.label(work.x, work.y, **chosen, **task["options"])
    seconds = time.perf_counter() - start
    beyond = _peak() - before
    checked = gtn_fast.verify(work.x, work.y, labels, sample=task["sample"])
    return {
        **task,
        "source": work.source,
        "seconds": seconds,
        "strategy": labels.report["strategy"],
        "predicted_seconds": labels.report["predicted_seconds"],
        "verified": checked.checked,
        "mean_cosine": float(np.mean(labels.cosine)),
        "peak_bytes": beyond,
        "peak_total_bytes": before + beyond,
        "memory_ratio": beyond / (4 * d * (n_x + n_y)),
        "report": labels.report,
    }


def _start_of_peak() -> int:
    """Forget the peak so far; return the resident set now, in bytes."""
    with contextlib.suppress(OSError):  # then making the workload counts as well
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    print(json.dumps(_child(json.loads(sys.argv[1]))))
