"""One ĥ for all charts, told which, beside one for each: what AtlasGTN would be with it.

    python -m benchmarks.chart_ablation [--of torus] [--charts 8] [--epochs 32] [--seeds 3]
        [--atlas FILE]

A chart autoencoder learns 20,000 images of a set of known shape, once; FILE may hold it. Then come
an ``AtlasGTN``, and GTNs that get the chart as an input beside y (``GTN.fit(classes=)``), of the
same size and of twice the width. Each is trained for 30 epochs from every seed; 2,000 samples are
projected onto the set. Prints a table of means over seeds, of tv the deviation too; docs/atlas.md
has the last one.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import machine
from gtn_fast.atlas.cae import train_cae
from gtn_fast.atlas.gtn import AtlasGTN
from gtn_fast.atlas.model import Atlas, NetworkAtlas
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training.seeds import derive
from gtn_fast.manifolds import Projector, manifold
from gtn_fast.metrics import manifold as truth

Array = NDArray[Any]
IMAGES, SAMPLES, EPOCHS = 20_000, 2_000, 30


class OneForAll(AtlasGTN):
    """An AtlasGTN whose charts share one ĥ: its latents are classes of one GTN."""

    def __init__(self, atlas: Atlas, widened: int) -> None:
        super().__init__(atlas)
        self.widened = widened
        self.shared: GTN | None = None

    def fit(self, images: Any, *_: Any, seed: int = 0, **fitting: Any) -> list[Any]:
        """Learn the latents of every chart with one network."""
        y, z = self.atlas.charted(images)
        preset = self._preset_for(len(z) // self.charts)
        changed = {"rays": preset.rays, "width": self.widened * preset.width}
        self.shared = GTN(self.d, **changed)
        history = self.shared.fit(z, classes=y, seed=seed, **fitting)
        counts = np.bincount(y, minlength=self.charts)
        self.weights.copy_(torch.from_numpy(counts / counts.sum()))
        return [history]

    def prior(self, u: Tensor, y: Tensor) -> Tensor:
        """Map normals u (n, d) to z of charts y: ĥ(u, y)."""
        assert self.shared is not None
        return torch.from_numpy(self.shared.transform(u.numpy(), classes=y.numpy()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--of", default="torus")
    parser.add_argument("--charts", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--atlas")
    options = parser.parse_args(arguments)
    m = manifold(options.of)
    images = m.images(IMAGES, derive(0, "images"))[0]
    if options.atlas:
        atlas = NetworkAtlas.load(options.atlas)
    else:
        atlas, _ = train_cae(images, m.dim, options.charts, epochs=options.epochs, progress=False)
    projector = Projector(m)
    makers = {
        "one ĥ for each chart": lambda: AtlasGTN(atlas),
        "one ĥ for all": lambda: OneForAll(atlas, 1),
        "one ĥ for all, twice as wide": lambda: OneForAll(atlas, 2),
    }
    print(
        "| | off, median | share off | tv | reached | CPU seconds |\n|---|---:|---:|---:|---:|---:|"
    )
    for name, make in makers.items():
        rows = []
        for seed in range(options.seeds):
            made, began = make(), time.process_time()
            made.fit(images, seed=seed, epochs=EPOCHS, threads=1, progress=False)
            seconds = time.process_time() - began
            where = projector(made.sample(SAMPLES, derive(seed, "samples")).numpy())
            cells = truth.cell_coverage(m, where, seed=seed)
            share = float((where.off > truth.OFF).mean())
            rows.append((np.median(where.off), share, cells["tv"], cells["reached"], seconds))
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        print(f"| {name} | {mean[0]:.4f} | {mean[1]:.4f} | {mean[2]:.3f} ± {spread[2]:.3f} |"
              f" {mean[3]:.3f} | {mean[4]:.0f} |", flush=True)  # fmt: skip
    print(f"\n{options.of}, {options.seeds} seeds; {machine.describe()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
