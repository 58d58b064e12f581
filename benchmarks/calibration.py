"""One GTN per dimension: samples plain and calibrated, beside plain normals.

    python -m benchmarks.calibration [--d 5 16 32 64] [--n 15000] [--epochs 12]

Principal components of MNIST, standardised (workloads.py says where they come from). Energy
distances to 2,000 rows that were held out; the last column is that of 2,000 training rows.
Prints a table; docs/training.md has the last one.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from benchmarks import machine, workloads
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.verdict import ROWS, judge


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--d", type=int, nargs="+", default=[5, 16, 32, 64])
    parser.add_argument("--n", type=int, default=15_000)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args(arguments)
    print("| d | width | deviation, plain | plain | calibrated | normals | full normals | data |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for d in options.d:
        workload = workloads.make("mnist", options.n + ROWS, 2, d)
        x = np.asarray(workload.x)
        x, held_out = x[: options.n], x[options.n :]
        gtn = GTN(d, epochs=options.epochs)
        gtn.fit(x, progress=False)
        assert gtn.scaling is not None
        assert gtn.verdict is not None
        x, held_out = gtn.scaling.apply(x), gtn.scaling.apply(held_out)
        verdicts = []
        for calibration in (None, gtn.calibration):
            gtn.calibration = calibration
            verdicts.append(judge(gtn.scaling.apply(gtn.sample(ROWS, 1)), x, held_out, 1))
        plain, calibrated = verdicts
        print(
            f"| {d} | {gtn.preset.width} | {plain.deviation:.2f} | {plain.samples:.3f} |"
            f" **{calibrated.samples:.3f}** | {plain.normals:.3f} | {plain.full_normals:.3f} |"
            f" {plain.data:.3f} |",
            flush=True,
        )
    print(f"\n{workload.source}; {options.n:,} rows, {options.epochs} epochs; {machine.describe()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
