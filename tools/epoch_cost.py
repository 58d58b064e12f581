"""What an epoch of ĥ costs: ``train``, with and without torch.compile, and a DataLoader loop.

    python tools/epoch_cost.py [--rounds 7] [--json FILE]    docs/training.md has the numbers

All loops train the same network on the same pairs, in turns; medians count. Compilation happens
in an epoch beforehand, which is timed too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gtn_fast
from gtn_fast.learn import PRESETS, HHat, Preset, train

Epoch = Callable[[], object]


def network(d: int, preset: Preset) -> HHat:
    """Return a network of the same weights for every loop."""
    torch.manual_seed(0)
    return HHat(
        d,
        layers=preset.layers,
        width=preset.width,
        batch_norm_layers=preset.batch_norm_layers,
        negative_slope=preset.negative_slope,
    )


def mse(model: nn.Module, y: Tensor, x: Tensor) -> Tensor:
    """Return the loss of a batch, (b, d) each."""
    return nn.functional.mse_loss(model(y), x)


def by_train(data: tuple[Tensor, Tensor], d: int, preset: Preset, *, compiled: bool) -> Epoch:
    """Return an epoch of ``train``, always of one network."""
    model = network(d, preset)
    called = torch.compile(model) if compiled else model

    def loss(_: nn.Module, y: Tensor, x: Tensor) -> Tensor:
        return mse(called, y, x)

    def epoch() -> object:
        options = {"epochs": 1, "batch_size": preset.batch_size, "lr": preset.lr}
        return train(model, loss, data, progress=False, **options)

    return epoch


def by_loader(data: tuple[Tensor, Tensor], d: int, preset: Preset, *, threads: int) -> Epoch:
    """Return an epoch of the loop that people write."""
    model = network(d, preset)
    optimizer = torch.optim.Adam(model.parameters(), lr=preset.lr)
    loader = DataLoader(TensorDataset(*data), preset.batch_size, shuffle=True)

    def epoch() -> object:
        torch.set_num_threads(threads)
        total = 0.0
        for y, x in loader:
            optimizer.zero_grad()
            loss = mse(model, y, x)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
        return total

    return epoch


def measure(loops: dict[str, Epoch], rounds: int) -> dict[str, dict[str, Any]]:
    """Time loops by name: the first epoch, and those after it, in turns."""
    cores = len(os.sched_getaffinity(0))
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds + 1):
        for name, epoch in loops.items():
            torch.set_num_threads(cores)
            began = time.perf_counter()
            epoch()
            seconds[name].append(time.perf_counter() - began)
    return {
        name: {"first_s": each[0], "median_s": statistics.median(each[1:]), "seconds": each[1:]}
        for name, each in seconds.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Print a table of each network; write the numbers where --json says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    cores = len(os.sched_getaffinity(0))
    wide = PRESETS["cifar10"]
    cases: dict[str, tuple[int, int, Preset]] = {
        "mnist: 7 x 50, d = 5, batches of 128, 60,000 pairs": (60_000, 5, PRESETS["mnist"]),
        "8 x 512, d = 32, batches of 200, 20,000 pairs": (
            20_000,
            32,
            Preset("wide", 8, 512, 8, wide.lr, wide.batch_size, epochs=1, patience=None),
        ),
    }
    results: dict[str, Any] = {"torch": torch.__version__, "cores": cores, "cases": {}}
    print(f"torch {torch.__version__}, {cores} cores, load {os.getloadavg()}")
    for title, (n, d, preset) in cases.items():
        # What the numbers are is of no account for the time.
        data = tuple(torch.from_numpy(gtn_fast.normal(seed, 0, n, d)) for seed in (0, 1))
        assert len(data) == 2
        loops = {
            "train": by_train(data, d, preset, compiled=False),
            "train, torch.compile": by_train(data, d, preset, compiled=True),
            "DataLoader loop, 1 thread": by_loader(data, d, preset, threads=1),
            f"DataLoader loop, {cores} threads": by_loader(data, d, preset, threads=cores),
        }
        found = results["cases"][title] = measure(loops, options.rounds)
        print(title)
        for name, each in found.items():
            spread = f"{min(each['seconds']):.3f} to {max(each['seconds']):.3f}"
            print(f"  {name:28s} {each['median_s']:7.3f} s ({spread}), first {each['first_s']:.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
