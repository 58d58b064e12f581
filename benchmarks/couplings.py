"""How near labels come to the best assignment, what swaps add, and a batch beside torchcfm's.

    python -m benchmarks.couplings [--d 8 32 64] [--n 4000] [--flow 15000]

Principal components of MNIST, standardised (workloads.py says where they come from), to normals.
*swapped*: labels, after passes over the 16 x's of highest y.x of every y, in which two y's exchange
their x's where that makes the sum of y.x larger, until no pass finds anything. ``--flow N`` trains
the flow of the experiment ``couplings`` on N rows with both. Prints tables; docs/flow-matching.md
has the last ones.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks import machine, workloads
from gtn_fast.learn.couplings import How, Labels, Minibatch, Rows, check_coupling
from gtn_fast.learn.plans import PlanSampler
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training.loop import train
from gtn_fast.learn.velocity import Velocity, integrate, matching_loss
from gtn_fast.metrics import energy_distance
from gtn_fast.sample import normal

Array = NDArray[Any]

NEIGHBOURS, PASSES = 16, 50
HOW = How(seed=1, threads=1, progress=False)
BATCHES = ((128, 2), (256, 32), (512, 64), (1024, 64), (128, 784), (256, 3072))


def swapped(x: Array, y: Array, how: How) -> Rows:
    """Improve labels by exchanges between neighbours: int64 (n,)."""
    n = len(y)
    rows = Labels()(x, y, how)
    near = np.empty((n, NEIGHBOURS), np.int64)
    for some in np.array_split(np.arange(n), max(1, n // 1000)):
        near[some] = np.argpartition(-(y[some] @ x.T), NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    wanted = np.einsum("ikd,id->ik", x[near], y)
    for _ in range(PASSES):
        owner = np.empty(n, np.int64)
        owner[rows] = np.arange(n)
        own, other = np.einsum("id,id->i", y, x[rows]), owner[near]
        gain = wanted - own[:, None] + np.einsum("ikd,id->ik", y[other], x[rows]) - own[other]
        best = gain.argmax(axis=1)
        most = gain[np.arange(n), best]
        order = np.argsort(-most)
        taken = np.zeros(n, bool)
        for i in order[: int((most > 1e-4).sum())].tolist():
            j = int(other[i, best[i]])
            if not (taken[i] or taken[j]):
                taken[i] = taken[j] = True
                rows[i], rows[j] = rows[j], rows[i]
        if not taken.any():
            break
    return rows


def latents(n: int, d: int) -> Array:
    x = np.asarray(workloads.make("mnist", n, 2, d).x)
    return Scaling.of(x).apply(x)


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def best(y: Array, x: Array) -> Rows:
    product = y.astype(np.float64) @ x.astype(np.float64).T
    return np.asarray(linear_sum_assignment(product, maximize=True)[1])


def near_the_best(x: Array, y: Array) -> None:
    d = x.shape[1]
    rules = {
        "independent": check_coupling("independent", d),
        "transport in batches of 500": Minibatch(),
        "euclidean": check_coupling("euclidean", d),
        "labels": Labels(),
        "labels, swapped": swapped,
        "best assignment by cosine": lambda x, y, _: best(unit(y), unit(x)),
        "best assignment by distance": lambda x, y, _: best(y, x),
    }
    for name, rule in rules.items():
        began = time.process_time()
        rows = rule(x, y, HOW)
        seconds = time.process_time() - began
        cosine = float((unit(x[rows]) * unit(y)).sum(axis=1).mean())
        cost = float(np.square(x[rows] - y).sum(axis=1).mean()) / d
        print(f"| {d} | {name} | {cosine:.3f} | {cost:.3f} | {seconds:.2f} |", flush=True)


def flows(x: Array, held_out: Array) -> None:
    """Train a flow on labels and on swapped ones; 12 epochs of a fresh y each."""
    d = x.shape[1]
    for name, rule in (("labels", Labels()), ("labels, swapped", swapped)):

        def pairs(epoch: int, rule: Any = rule) -> tuple[torch.Tensor, torch.Tensor]:
            y = normal(100 + epoch, 0, len(x), d)
            return torch.from_numpy(y), torch.from_numpy(x[rule(x, y, HOW)])

        model = Velocity.of(d, 4, 256, 0)
        train(
            model, matching_loss, pairs(1), epochs=12, batch_size=256, lr=1e-3, draws=True,
            refresh=lambda epoch, make=pairs: make(epoch) if epoch > 1 else None, progress=False,
        )  # fmt: skip
        y = torch.from_numpy(normal(7, 0, len(held_out), d))
        with torch.no_grad():
            found = [energy_distance(integrate(model, y, k).numpy(), held_out)
                     for k in (1, 2, 4, 8, 32)]  # fmt: skip
        print(f"| {d} | {name} | " + " | ".join(f"{value:.3f}" for value in found) + " |",
              flush=True)  # fmt: skip


def batches() -> None:
    """One batch by torchcfm's sampler and by ours, in turns."""
    from torchcfm.optimal_transport import OTPlanSampler

    for rows, d in BATCHES:
        x0, x1 = torch.randn(rows, d), torch.randn(rows, d)
        samplers = {"torchcfm": OTPlanSampler("exact"), "labels": PlanSampler(threads=1)}
        taken: dict[str, list[float]] = {name: [] for name in samplers}
        for _ in range(3 if rows > 500 else 7):
            for name, sampler in samplers.items():
                began = time.process_time()
                sampler.sample_plan(x0, x1)
                taken[name].append(1e3 * time.process_time() - 1e3 * began)
        times = " | ".join(f"{statistics.median(each):.1f}" for each in taken.values())
        print(f"| {rows} | {d} | {times} |", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--d", type=int, nargs="+", default=[8, 32, 64])
    parser.add_argument("--n", type=int, default=4_000)
    parser.add_argument("--flow", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| rows | d | torchcfm, ms | labels, ms |\n|---:|---:|---:|---:|")
    batches()
    print("| d | coupling | mean cosine | squared distance / d | CPU seconds |")
    print("|---:|---|---:|---:|---:|")
    for d in options.d:
        x = latents(options.n, d)
        near_the_best(x, normal(50, 0, len(x), d))
    if options.flow:
        print("| d | coupling | 1 | 2 | 4 | 8 | 32 |\n|---:|---|---:|---:|---:|---:|---:|")
        for d in options.d:
            x = latents(options.flow + 3_000, d)
            flows(x[: options.flow], x[options.flow :])
    print(f"\n{options.n:,} rows; {machine.describe()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
