"""Whether data whitened before labeling give a better GTN than standardised ones.

    python -m benchmarks.whitening [--sets mnist fashion] [--n 15000] [--epochs 12] [--seeds 2]

Correlated coordinates: means of 4 x 4 pixels of images (49), or points of one's own: an .npy file
(n, d) in place of a name. A GTN of default settings, as it is and calibrated; samples of the
whitened one are led back. Energy distances to 2,000 rows that were held out, in standardised
coordinates, beside normals of full covariance and training rows. Prints a table of means over
seeds; docs/training.md has the last one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import machine, workloads
from gtn_fast.learn.calibration import Calibration, Moments
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.verdict import normals_like
from gtn_fast.metrics import energy_distance

Array = NDArray[Any]
JUDGED = 2_000  # rows


def points_of(name: str) -> Array:
    """Return an .npy file's rows, or the means of 4 x 4 pixels: float32 (n, d)."""
    own = workloads.own_points(name)
    if own is not None:
        return own
    pixels, source = workloads.image_rows(name)
    if pixels is None:
        raise SystemExit(f"no images of {name}: {source}")
    return pixels.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(len(pixels), -1)


def whitener(x: Array) -> Calibration:
    """Return the map from the rows' mean and covariance to those of N(0, I)."""
    d = x.shape[1]
    plain = Moments(np.zeros((1, d)), np.eye(d)[None], np.array([len(x)]))
    return Calibration.to(Moments.of(x), plain)


def judged(
    x: Array, held_out: Array, white: Calibration | None, epochs: int, seed: int
) -> list[float]:
    """Train on x, or on x whitened; return the energy distances of plain and calibrated samples."""
    gtn = GTN(x.shape[1], epochs=epochs)
    gtn.fit(x if white is None else white.apply(x), seed=seed, progress=False)
    found = []
    for calibration in (None, gtn.calibration):
        gtn.calibration = calibration
        made = gtn.sample(JUDGED, seed=seed)
        if white is not None:
            made = white.undo(made)
        found.append(energy_distance(made, held_out))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sets", nargs="+", default=["mnist", "fashion"])
    parser.add_argument("--n", type=int, default=15_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| set | plain | calibrated | whitened, plain | calibrated | full normals | data |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in options.sets:
        whole, rows = points_of(name), []
        for seed in range(options.seeds):
            order = np.random.default_rng(seed).permutation(len(whole))
            n = min(options.n, len(whole) - len(whole) // 10)
            scaling = Scaling.of(whole[order[:n]])
            x, held_out = (scaling.apply(whole[each]) for each in (order[:n], order[n:][:JUDGED]))
            rows.append(
                [
                    *judged(x, held_out, None, options.epochs, seed),
                    *judged(x, held_out, whitener(x), options.epochs, seed),
                    energy_distance(normals_like(x, None, seed, JUDGED)[1], held_out),
                    energy_distance(x[:JUDGED], held_out),
                ]
            )
        means = " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0))
        print(f"| {Path(name).stem}, {len(x):,} x {x.shape[1]} | {means} |", flush=True)
    print(f"\n{options.seeds} seeds; {machine.describe()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
