"""Whether ĥ learns better when Y is drawn anew every few epochs.

    python -m benchmarks.relabeling LATENTS.npy

LATENTS holds what an autoencoder made of a data set (`gtn-fast autoencode` writes them). A
tenth of the rows is held out. The mnist preset trains for 30 epochs on the others, with one Y,
with a new one every 5 epochs, and with a new one every epoch, from three seeds each. Printed,
as a Markdown table: the energy distance between the held-out rows and as many samples, and
below it the distance between the held-out rows and as many training rows.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from gtn_fast.learn import GTN
from gtn_fast.metrics import energy_distance

EPOCHS, SEEDS = 30, (0, 1, 2)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    latents = np.load(arguments[0])
    order = np.random.default_rng(0).permutation(len(latents))
    held, x = np.split(latents[order], [len(latents) // 10])
    floor = energy_distance(x[: len(held)], held)
    print("| labels | energy distance, mean of seeds (each) | labeling | training |")
    print("|---|---:|---:|---:|")
    for every, name in ((0, "stay"), (5, "every 5 epochs"), (1, "every epoch")):
        found, labeling, total = [], 0.0, 0.0
        for seed in SEEDS:
            gtn = GTN(x.shape[1], "mnist", epochs=EPOCHS)
            start = time.perf_counter()
            gtn.fit(x, seed=seed, relabel_every=every)
            total += time.perf_counter() - start
            labeling += gtn.label_seconds
            found.append(energy_distance(gtn.sample(len(held), seed), held))
        each = ", ".join(f"{value:.4f}" for value in found)
        k = len(SEEDS)
        print(
            f"| {name} | {np.mean(found):.4f} ({each}) | {labeling / k:.1f} s"
            f" | {(total - labeling) / k:.1f} s |"
        )
    print(f"\nTraining points to the held-out ones: {floor:.4f}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
