"""Several processes against one with as many threads, and what their messages cost.

    python -m benchmarks.distributed [--n 200000] [--d 100] [--ranks 2] [--repetitions 3]

Each rank is a process with one thread and a share of X; the peer is one process with as many
threads as there are ranks. Repetitions alternate; the ratio of medians is the efficiency (the
exit code is 1 below 0.85). All-gathers of the sizes of blocks are then timed alone and held
against the model of docs/several-processes.md: seconds = latency + bytes received / bandwidth,
both taken from the smallest and the largest message. Results: benchmarks/results/distributed.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gtn_fast
from benchmarks import machine, report, workloads

RESULTS = Path(__file__).absolute().parent / "results"
LEAST_EFFICIENCY = 0.85
BLOCKS = (256, 1024, 4096, 8192, 32768)
PLACES = 4  # of a list, with two candidates wanted: 12 * 4 + 20 bytes per y
GATHERS = 15


def rank_process(rank: int, size: int, store: str, name: str, n: int, d: int) -> None:
    """A rank: labels whenever it is told to, then times messages."""
    import torch.distributed as dist

    from gtn_fast.backends.distributed.ranks import joined

    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=size,
        timeout=datetime.timedelta(seconds=300),
    )
    x = workloads.make(name, n, 1, d).x[n * rank // size : n * (rank + 1) // size].copy()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "label":
            start, cpu = time.perf_counter(), time.process_time()
            labels = gtn_fast.label(x, threads=1, group=dist.group.WORLD)
            answer: Any = {
                "seconds": time.perf_counter() - start,
                "cpu_seconds": time.process_time() - cpu,
                "engine": labels.report["engine"],
                "check": int(np.dot(labels.x_index % 1009, np.arange(len(labels.x_index)) % 997)),
            }
        else:
            with joined(dist.group.WORLD) as ranks:
                answer = {str(block): gathered(ranks, block) for block in BLOCKS}
        print(json.dumps(answer), flush=True)
    dist.destroy_process_group()


def gathered(ranks: Any, block: int) -> dict[str, float]:
    """Median seconds of an all-gather of a block's lists, all ranks starting together."""
    part = np.zeros(block * (12 * PLACES + 20), np.uint8)
    times = []
    for _ in range(GATHERS):
        ranks.gather(np.zeros(1, np.uint8))
        start = time.perf_counter()
        ranks.gather(part)
        times.append(time.perf_counter() - start)
    return {"seconds": statistics.median(times), "bytes": float(part.size * (ranks.size - 1))}


def ask(processes: Sequence[subprocess.Popen[str]], what: str) -> list[Any]:
    for each in processes:
        assert each.stdin is not None
        each.stdin.write(what + "\n")
        each.stdin.flush()
    return [json.loads(answer(each)) for each in processes]


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a rank ended")
    return line


def measure(name: str, n: int, d: int, size: int, repetitions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.distributed", "--as-rank"]
        sizes = [str(size), str(Path(folder) / "store"), name, str(n), str(d)]
        processes = [
            subprocess.Popen(
                [*command, str(rank), *sizes],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]
        try:
            x = workloads.make(name, n, 1, d).x
            for each in processes:
                answer(each)
            one, one_cpu, many = [], [], []
            for _ in range(repetitions):
                start, cpu = time.perf_counter(), time.process_time()
                labels = gtn_fast.label(x, threads=size, method="screen")
                one.append(time.perf_counter() - start)
                one_cpu.append(time.process_time() - cpu)
                many.append(ask(processes, "label"))
            messages = ask(processes, "messages")
        finally:
            for each in processes:
                assert each.stdin is not None
                each.stdin.close()
                each.wait(60)
    check = int(np.dot(labels.x_index % 1009, np.arange(n) % 997))
    assert all(rank["check"] == check for run in many for rank in run), "the answers differ"
    return {
        "one_process": one,
        "one_process_cpu": one_cpu,
        "ranks": many,
        "cpu_efficiency": statistics.median(one_cpu)
        / statistics.median(sum(rank["cpu_seconds"] for rank in run) for run in many),
        "efficiency": statistics.median(one)
        / statistics.median(max(rank["seconds"] for rank in run) for run in many),
        "messages": messages[0],
    }


def model(messages: dict[str, dict[str, float]]) -> list[str]:
    """The table of messages against latency + bytes / bandwidth."""
    small, large = messages[str(BLOCKS[0])], messages[str(BLOCKS[-1])]
    per_byte = (large["seconds"] - small["seconds"]) / (large["bytes"] - small["bytes"])
    latency = small["seconds"] - per_byte * small["bytes"]
    lines = [
        f"latency {1e3 * latency:.2f} ms, bandwidth {1e-9 / per_byte:.2f} GB/s",
        "",
        "| block | bytes received | measured | model |",
        "|---:|---:|---:|---:|",
    ]
    for block in BLOCKS:
        seen = messages[str(block)]
        expected = latency + per_byte * seen["bytes"]
        lines.append(
            f"| {block:,} | {seen['bytes']:,.0f} | {1e3 * seen['seconds']:.2f} ms"
            f" | {1e3 * expected:.2f} ms |"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed")
    parser.add_argument("--workload", default="gaussian")
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--d", type=int, default=100)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--as-rank", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.as_rank:
        rank, size, store, name, n, d = arguments.as_rank
        rank_process(int(rank), int(size), store, name, int(n), int(d))
        return 0
    result = measure(
        arguments.workload, arguments.n, arguments.d, arguments.ranks, arguments.repetitions
    )
    ranks = arguments.ranks
    print(f"{arguments.workload}, n = {arguments.n:,}, d = {arguments.d}")
    print(f"one process, {ranks} threads   {statistics.median(result['one_process']):.2f} s")
    slowest = [max(rank["seconds"] for rank in run) for run in result["ranks"]]
    print(f"{ranks} ranks of one thread    {statistics.median(slowest):.2f} s")
    verdict = "PASS" if result["efficiency"] >= LEAST_EFFICIENCY else "FAIL"
    limit = f"at least {LEAST_EFFICIENCY}"
    print(f"efficiency               {result['efficiency']:.2f} ({limit}): {verdict}")
    print(f"of CPU seconds alone     {result['cpu_efficiency']:.2f} (what a busy machine hides)")
    for name, value in result["ranks"][-1][0]["engine"].items():
        print(f"  {name:<24} {value:,.6g}")
    print("\n".join(model(result["messages"])))
    shape = {"n": arguments.n, "d": arguments.d, "workload": arguments.workload}
    report.write_json(
        RESULTS / "distributed.json",
        {"machine": machine.describe(), **machine.moment(), **shape, **result},
    )
    return 0 if verdict == "PASS" else 1


if __name__ == "__main__":
    sys.exit(main())
