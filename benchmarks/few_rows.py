"""Whether ĥ gains by learning less, or otherwise, where rows are few for the dimensions.

    python -m benchmarks.few_rows [--sets mnist fashion] [--n 500 2000] [--d 32] [--seeds 2]
                                 [--ways default "fresh Y every epoch" ...]

Principal components (workloads.py says where they come from), or points of one's own: an .npy file
(n, d) in place of a name. Energy distance, in standardised coordinates, of 3,000 calibrated samples
to 3,000 rows that were held out (all that are left, of fewer), after 200 and 1,000 steps of the
default network, of one a quarter as wide, with weight decay, with a skip connection (ĥ(y) = y +
network), and with labels of a fresh Y before every epoch. *blended*: ĥ after 1,000 steps and y
itself, half of the variance each, before calibration. Beside them normals of full covariance, which
are what no capacity at all comes to, and training rows. Prints a table of means over seeds, which
draw the rows, too; docs/training.md has the last one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import machine, workloads
from gtn_fast.api import label
from gtn_fast.learn.calibration import Calibration
from gtn_fast.learn.hhat import HHat, answers
from gtn_fast.learn.presets import for_dimension, width_for
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training.loop import train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.verdict import normals_like
from gtn_fast.metrics import energy_distance
from gtn_fast.sample import normal

Array = NDArray[Any]
JUDGED, FEW, MANY = 3_000, 200, 1_000  # rows, and steps after which samples are judged


@dataclass(frozen=True)
class Way:
    """How ĥ learns: what differs from the default."""

    narrower: int = 1
    decay: float = 0.0
    skip: float = 0.0
    fresh: bool = False


WAYS = {
    "default": Way(),
    "a quarter as wide": Way(narrower=4),
    "weight decay 0.001": Way(decay=1e-3),
    "skip connection": Way(skip=1.0),
    "fresh Y every epoch": Way(fresh=True),
}


def learned(x: Array, held_out: Array, way: Way, seed: int) -> tuple[float, float, float]:
    """Return the energy distances after few and many steps, and blended."""
    n, d = x.shape
    preset = for_dimension(d, None, width=max(d, width_for(d) // way.narrower))
    model = HHat.of(d, preset, derive(seed, "weights"))
    measured = normal(derive(seed, "calibrate"), 0, 10_000, d)
    new = normal(derive(seed, "new"), 0, JUDGED, d)
    steps = -(-n // preset.batch_size)
    few, many = round(FEW / steps), round(MANY / steps)
    found: dict[str, float] = {}
    epochs = 0

    def judged(share: float) -> float:
        """``share``: of the variance, that is y's."""
        seen = [answers(model, y) + np.float32(way.skip) * y for y in (measured, new)]
        deviation = seen[0].std()
        on, made = (
            np.sqrt(1 - share) * each / deviation + np.sqrt(share) * y
            for each, y in zip(seen, (measured, new), strict=True)
        )
        return energy_distance(Calibration.between(on, x).apply(made), held_out)

    def watch(_: nn.Module) -> float:
        nonlocal epochs
        epochs += 1
        if epochs == few:
            found["few"] = judged(0.0)
        return epochs

    def loss(network: nn.Module, y: Tensor, t: Tensor) -> Tensor:
        return nn.functional.mse_loss(network(y) + way.skip * y, t)

    def pairs(epoch: int) -> Sequence[Tensor]:
        y = normal(derive(seed, f"y {epoch}"), 0, n, d)
        return torch.from_numpy(y), torch.from_numpy(x[label(x, y, progress=False).x_index])

    train(model, loss, pairs(1), epochs=many, batch_size=preset.batch_size, lr=preset.lr,
          weight_decay=way.decay, seed=seed, metric=watch, refresh=pairs if way.fresh else None,
          draws=False, progress=False)  # fmt: skip
    return found["few"], judged(0.0), judged(0.5)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sets", nargs="+", default=["mnist", "fashion"])
    parser.add_argument("--n", type=int, nargs="+", default=[500, 2_000])
    parser.add_argument("--d", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"| set | rows | ĥ | {FEW} steps | {MANY:,} steps | blended |")
    print("|---|---:|---|---:|---:|---:|")
    for name in options.sets:
        own = workloads.own_points(name)
        whole = workloads.make(name, 10_000, 2, options.d).x if own is None else own
        for n in options.n:
            rows: dict[str, list[Sequence[float]]] = {}
            for seed in range(options.seeds):
                order = np.random.default_rng(seed).permutation(len(whole))
                scaling = Scaling.of(whole[order[:n]])
                x, held_out = (scaling.apply(whole[each])
                               for each in (order[:n], order[n:][-JUDGED:]))  # fmt: skip
                for way in options.ways:
                    rows.setdefault(way, []).append(learned(x, held_out, WAYS[way], seed))
                normals = normals_like(x, None, seed, JUDGED)[1]
                rows.setdefault("normals of full covariance", []).append(
                    [energy_distance(normals, held_out)]
                )
                rows.setdefault("training rows", []).append([energy_distance(x, held_out)])
            for way, values in rows.items():
                means = [f"{value:.3f}" for value in np.mean(values, axis=0)]
                cells = " | ".join(means if len(means) == 3 else ["", *means, ""])
                print(f"| {Path(name).stem} | {n:,} | {way} | {cells} |", flush=True)
    print(f"\n{options.seeds} seeds; {machine.describe()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
