"""An epoch of the mnist preset against the usual loop, sampling, labeling's share.

    python -m benchmarks.training [--rounds 7] [--n 60000] [--out FILE]

The peer is what people write: a Dataset of pairs, a DataLoader that shuffles and batches them,
Adam, ``.item()`` for the loss. It runs at its best: 0 or 2 workers, 1 or all threads, whichever
a trial finds faster; with Adam as it comes and with Adam(fused=True). All loops train the
same HHat from the same weights on the same pairs, one epoch, in turns; each must reach the
loss of the others before its time counts. Results: benchmarks/results/training.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks import machine, workloads
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.hhat import HHat, mse
from gtn_fast.learn.pairs import LabeledPairs
from gtn_fast.learn.presets import PRESETS
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training.loop import train

RESULTS = Path(__file__).absolute().parent / "results" / "training.json"
PRESET = PRESETS["mnist"]
D = 5
SAMPLES = 100_000
TRIALS = 2  # of each set of options; the faster counts
LEAST_RATIO, MOST_SAMPLE_S = 1.0, 1.0  # the layer is plain PyTorch: no slower than that at its best
LOSS_AGREES = 0.05  # relative: the loops see the batches in different orders

Epoch = Callable[[], float]  # trains a fresh model for one epoch, returns the mean loss


def fresh() -> HHat:
    return HHat.of(D, PRESET, seed=1)


def ours(pairs: LabeledPairs) -> float:
    """train() as GTN calls it."""
    history = train(
        fresh(),
        mse,
        (pairs.y, pairs.x),
        epochs=1,
        batch_size=PRESET.batch_size,
        lr=PRESET.lr,
    )
    return history.epochs[0]["loss"]


def usual(pairs: LabeledPairs, *, fused: bool, workers: int, threads: int) -> float:
    """The loop that people write."""
    model = fresh()
    adam: dict[str, Any] = {"fused": True} if fused else {}
    optimizer = torch.optim.Adam(model.parameters(), lr=PRESET.lr, **adam)
    loader = DataLoader(pairs, PRESET.batch_size, shuffle=True, num_workers=workers)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        total = 0.0
        for y, x in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(y), x)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
    finally:
        torch.set_num_threads(before)
    return total / len(loader)


def timed(epoch: Epoch) -> tuple[float, float]:
    """Seconds and loss."""
    began = time.perf_counter()
    loss = epoch()
    return time.perf_counter() - began, loss


def best_usual(pairs: LabeledPairs, *, fused: bool) -> dict[str, Any]:
    """The options with which the usual loop is fastest here."""
    trials = []
    for workers in (0, 2):
        for threads in sorted({1, len(os.sched_getaffinity(0))}):
            options: dict[str, Any] = {"fused": fused, "workers": workers, "threads": threads}
            epoch = functools.partial(usual, pairs, **options)
            trials.append((min(timed(epoch)[0] for _ in range(TRIALS)), options))
    return min(trials, key=lambda trial: trial[0])[1]


def race(pairs: LabeledPairs, rounds: int) -> dict[str, Any]:
    """All loops in turns; medians, and the ratios to ours."""
    plain, fused = (best_usual(pairs, fused=each) for each in (False, True))
    loops: dict[str, Epoch] = {
        "gtn_fast": lambda: ours(pairs),
        "DataLoader": lambda: usual(pairs, **plain),
        "DataLoader, fused Adam": lambda: usual(pairs, **fused),
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, epoch in loops.items():
            runs[name].append(timed(epoch))
    losses = {name: statistics.mean(loss for _, loss in each) for name, each in runs.items()}
    lowest = min(losses.values())
    for name, loss in losses.items():
        if loss > lowest * (1 + LOSS_AGREES):
            raise SystemExit(f"{name} reaches a loss of {loss:.4f}, another {lowest:.4f}")
    seconds = {name: [s for s, _ in each] for name, each in runs.items()}
    median = {name: statistics.median(each) for name, each in seconds.items()}
    ratio = {
        name: statistics.median(
            theirs / mine for theirs, mine in zip(each, seconds["gtn_fast"], strict=True)
        )
        for name, each in seconds.items()
    }
    return {
        "options": {"DataLoader": plain, "DataLoader, fused Adam": fused},
        "seconds": seconds,
        "median_s": median,
        "ratio": ratio,
        "loss": losses,
    }


def whole(x: Any) -> dict[str, float]:
    """Labeling's share of a fit as it is meant (validation, patience), and sampling after it."""
    held_out = len(x) // 12
    gtn = GTN(D, PRESET)
    began = time.perf_counter()
    history = gtn.fit(x[held_out:], val=x[:held_out])
    fit_s = time.perf_counter() - began
    gtn.sample(SAMPLES)
    times = []
    for seed in range(5):
        began = time.perf_counter()
        gtn.sample(SAMPLES, seed)
        times.append(time.perf_counter() - began)
    return {
        "fit_s": fit_s,
        "epochs": len(history.epochs),
        "label_s": gtn.label_seconds,
        "label_share": gtn.label_seconds / fit_s,
        "sample_s": statistics.median(times),
    }


def table(result: dict[str, Any]) -> str:
    race_, whole_ = result["race"], result["whole"]
    lines = [f"an epoch of {result['n']:,} pairs, d = {D}, preset mnist ({result['source']})"]
    for name, seconds in race_["median_s"].items():
        options = race_["options"].get(name)
        shown = f"  workers {options['workers']}, threads {options['threads']}" if options else ""
        lines.append(
            f"  {name:24s} {seconds:7.3f} s  x{race_['ratio'][name]:5.2f}"
            f"  loss {race_['loss'][name]:.4f}{shown}"
        )
    limits = (
        (
            f"ratio to the DataLoader loop, at least {LEAST_RATIO:g}",
            f"{race_['ratio']['DataLoader']:.2f}",
            race_["ratio"]["DataLoader"] >= LEAST_RATIO,
        ),
        (
            f"sampling {SAMPLES:,}, less than {MOST_SAMPLE_S:g} s",
            f"{whole_['sample_s']:.3f} s",
            whole_["sample_s"] < MOST_SAMPLE_S,
        ),
    )
    lines += [f"  {'PASS' if ok else 'FAIL'}  {text}: {value}" for text, value, ok in limits]
    lines.append(
        f"  labeling's share of labeling and {whole_['epochs']} epochs (no autoencoder):"
        f" {whole_['label_s']:.3f} of {whole_['fit_s']:.2f} s, {whole_['label_share']:.2%}"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    before = machine.moment()
    if before["busy_share"] and before["busy_share"] > machine.BUSY_FROM:
        print(f"warning: others use {before['busy_share']:.0%} of this machine", file=sys.stderr)
    workload = workloads.make("mnist", options.n, options.n, D)
    x = Scaling.of(workload.x).apply(workload.x)
    result = {
        "machine": machine.describe(),
        **before,
        "n": options.n,
        "source": workload.source,
        "race": race(LabeledPairs(x), options.rounds),
        "whole": whole(workload.x),
    }
    print(table(result))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
