"""The training pairs of a GTN: a y for every point, with and without components."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.api import label
from gtn_fast.labels import Labels
from gtn_fast.learn.mixture import Mixture, label_mixture
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.rays import label_on_rays, on_rays
from gtn_fast.sample import normal


class Labeled(NamedTuple):
    """y (n, d) float32 and, for each, its row of the points x: x_index (n,) int64.

    ``component`` (n,): that of each y, and of its x.
    """

    y: NDArray[np.float32]
    x_index: NDArray[np.int64]
    x: NDArray[np.float32]
    component: NDArray[np.int64] | None
    labels: Labels | None  # None with components
    seconds: float

    def tensors(self, classes: bool) -> Sequence[Tensor]:
        """Return what is trained on: (y, x_y), each (n, d), and the classes (n,), if there are."""
        pairs = torch.from_numpy(self.y), torch.from_numpy(self.x[self.x_index])
        if not classes or self.component is None:
            return pairs
        return (*pairs, torch.from_numpy(self.component))


def label_points(
    x: NDArray[np.float32],
    mixture: Mixture | None,
    component: NDArray[np.int64] | None,
    seed: int,
    preset: Preset,
    threads: int | None,
    progress: Any,
) -> Labeled:
    """Draw and label a y for every row of standardised x; inside its component, if it has one.

    The preset says how: its method, or along its rays in the plane. Components without a mixture
    are classes, each standardised for itself: their y's are of N(0, I).
    """
    started = time.perf_counter()
    labels = None
    rays = preset.rays if x.shape[1] == 2 else None
    if mixture is not None:
        y, index = label_mixture(x, mixture, component, seed, threads, rays)
    elif component is not None:
        y = normal(seed, 0, *x.shape, threads=threads)
        seen = (x, y) if rays is None else (on_rays(x, rays), on_rays(y, rays))
        groups = (component, component)
        index = label(*seen, groups=groups, threads=threads, progress=progress).x_index
    elif rays is not None:
        y = normal(seed, 0, len(x), 2, threads=threads)
        labels = label_on_rays(x, y, rays, threads=threads)
        index = labels.x_index
    else:
        labels = label(x, seed=seed, method=preset.method, threads=threads, progress=progress)
        y, index = labels.y, labels.x_index
    return Labeled(y, index, x, component, labels, time.perf_counter() - started)


def nearest(mixture: Mixture, x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the component whose mean is nearest to each point, (n,): that of k-means."""
    distances = [np.square(x - mean).sum(axis=1) for mean in mixture.means]
    return np.asarray(np.argmin(distances, axis=0), dtype=np.int64)
