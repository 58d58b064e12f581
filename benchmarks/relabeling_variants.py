"""Whether ĥ learns better from labels of what it says itself, or from several Y per X.

    python -m benchmarks.relabeling_variants [--d 8 32] [--n 5000] [--seeds 3]

Principal components of MNIST, standardised (workloads.py says where they come from); 24 epochs of
the default network in all. *its own*: in eight rounds every y takes the x that suits ĥ(y), by
Algorithm 1, and ĥ trains on for three epochs. *k Y per x*: labels of k Y's side by side, for 24 / k
epochs. *fresh Y*: labels of another Y before every epoch. Prints a table of means over seeds: mean
cosine of the last pairs, energy distance of 2,000 samples to as many held-out rows, without and
with calibration. docs/experiments.md has the last one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import machine, workloads
from gtn_fast.api import label
from gtn_fast.learn.calibration import Calibration
from gtn_fast.learn.hhat import HHat, answers, mse
from gtn_fast.learn.presets import for_dimension
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training.loop import train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.metrics import energy_distance
from gtn_fast.sample import normal

Array = NDArray[Any]
EPOCHS, ROUNDS, JUDGED = 24, 8, 2_000
Way = Callable[[Array, HHat, Callable[..., None], int], float]


def labeled(x: Array, seen: Array) -> tuple[Array, float]:
    """Return the row of x for every y as it is seen, and the mean cosine."""
    found = label(x, seen, threads=1, progress=False)
    return x[found.x_index], float(found.cosine.mean())


def stay(x: Array, _: HHat, go: Callable[..., None], seed: int) -> float:
    y = normal(derive(seed, "y"), 0, *x.shape)
    t, cosine = labeled(x, y)
    go(y, t, EPOCHS)
    return cosine


def fresh(x: Array, _: HHat, go: Callable[..., None], seed: int) -> float:
    cosine = 0.0
    for epoch in range(EPOCHS):
        y = normal(derive(seed, f"y {epoch}"), 0, *x.shape)
        t, cosine = labeled(x, y)
        go(y, t, 1)
    return cosine


def its_own(x: Array, model: HHat, go: Callable[..., None], seed: int) -> float:
    y, cosine = normal(derive(seed, "y"), 0, *x.shape), 0.0
    for number in range(ROUNDS):
        t, cosine = labeled(x, answers(model, y) if number else y)
        go(y, t, EPOCHS // ROUNDS)
    return cosine


def several(k: int) -> Way:
    def way(x: Array, _: HHat, go: Callable[..., None], seed: int) -> float:
        ys = [normal(derive(seed, f"y {j}"), 0, *x.shape) for j in range(k)]
        pairs = [labeled(x, y) for y in ys]
        go(np.concatenate(ys), np.concatenate([t for t, _ in pairs]), EPOCHS // k)
        return float(np.mean([cosine for _, cosine in pairs]))

    return way


WAYS: dict[str, Way] = {
    "labels stay": stay,
    "fresh Y every epoch": fresh,
    "its own, 8 rounds": its_own,
    "4 Y per x": several(4),
    "12 Y per x": several(12),
}


def measured(x: Array, held_out: Array, way: Way, seed: int) -> tuple[float, float, float]:
    """Train one ĥ; return the cosine, and the energy distance plain and calibrated."""
    d = x.shape[1]
    preset = for_dimension(d, None)
    model = HHat.of(d, preset, derive(seed, "weights"))
    calls = [0]

    def go(y: Array, t: Array, epochs: int) -> None:
        calls[0] += 1
        train(model, mse, (torch.from_numpy(y), torch.from_numpy(t)), epochs=epochs, lr=preset.lr,
              batch_size=preset.batch_size, seed=derive(seed, f"call {calls[0]}"),
              draws=False, progress=False)  # fmt: skip

    cosine = way(x, model, go, seed)
    on = answers(model, normal(derive(seed, "calibrate"), 0, 20_000, d))
    made = answers(model, normal(derive(seed, "new"), 0, JUDGED, d))
    calibrated = Calibration.between(on, x, None, None, 1).apply(made, None)
    return cosine, energy_distance(made, held_out), energy_distance(calibrated, held_out)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--d", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--n", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| d | labels | mean cosine | energy, plain | calibrated |\n|---:|---|---:|---:|---:|")
    for d in options.d:
        x = np.asarray(workloads.make("mnist", options.n + JUDGED, 2, d).x)
        scaling = Scaling.of(x[: options.n])
        x, held_out = scaling.apply(x[: options.n]), scaling.apply(x[options.n :])
        for name, way in WAYS.items():
            found = [measured(x, held_out, way, seed) for seed in range(options.seeds)]
            cosine, plain, calibrated = np.mean(found, axis=0)
            print(f"| {d} | {name} | {cosine:.2f} | {plain:.3f} | {calibrated:.3f} |", flush=True)
        rest = energy_distance(x[:JUDGED], held_out)
        normals = energy_distance(normal(1, 0, JUDGED, d), held_out)
        print(f"| {d} | training rows; plain normals | | {rest:.3f} | {normals:.3f} |", flush=True)
    print(f"\n{options.n:,} rows, {options.seeds} seeds; {machine.describe()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
