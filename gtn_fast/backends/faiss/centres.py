"""Centres of lists, by FAISS's k-means on directions; and how many lists there are and are probed.

Trained on one thread, in float32: the same sample gives the same centres, however many threads
the matching has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends.faiss.options import QUALITIES
from gtn_fast.packages import load_package
from gtn_fast.system.openmp import faiss_threads

SMALLEST = 64  # free x's below which there are no lists
TRAIN_ROWS = 24  # per centre
TRAIN_ROUNDS = 4

LISTS = 1.5  # by default, in square roots of the free x's

# Share of the lists that is probed, by quality and dimension: what gave isotropic x's of SHARES_N
# rows 0.95, 0.97 and 0.99 of the best cosines (benchmarks/measure_faiss.py). Other data get more.
SHARES = {
    "fast": {8: 0.001, 16: 0.001, 32: 0.004, 64: 0.016, 128: 0.046, 256: 0.08},
    "balanced": {8: 0.001, 16: 0.0015, 32: 0.008, 64: 0.034, 128: 0.1, 256: 0.15},
    "careful": {8: 0.0015, 16: 0.007, 32: 0.032, 64: 0.13, 128: 0.24, 256: 0.4},
}
SHARES_N = 300_000
# The fewer x's, the larger a share it takes: exponents of free x's / SHARES_N, below and above.
SHARES_EXPONENTS = (-0.36, -0.08)
FEWEST_PROBES = 4

Assigner = Callable[[int], Any]
"""columns -> the index of FAISS that holds the centres while they are trained."""


@dataclass(frozen=True)
class Settings:
    """``quality``; ``nprobe`` lists probed for a y and ``nlist`` lists (None: by quality, n, d).

    ``effort``: how many times more lists are probed, after ``min_cosine_ratio`` asked for more.
    """

    quality: str = QUALITIES[1]
    nprobe: int | None = None
    nlist: int | None = None
    effort: int = 1

    def lists(self, free: int, of: int) -> int:
        """Say how many lists there are over ``free`` of the ``of`` rows of X."""
        wanted = LISTS * free**0.5 if self.nlist is None else self.nlist * (free / of) ** 0.5
        return int(max(1, min(wanted, free // 8)))

    def probes(self, lists: int, free: int, d: int) -> int:
        """Say how many of the lists, which were made of ``free`` x's, a y probes."""
        wanted = self.nprobe
        if wanted is None:
            share = SHARES[self.quality]
            at = np.interp(np.log(d), np.log(list(share)), np.log(list(share.values())))
            of = math.exp(at) * share_by_size(free)
            wanted = max(FEWEST_PROBES, round(lists * of))
        return min(lists, wanted * self.effort)

    def stronger(self) -> Settings:
        """Return settings of twice the probes."""
        return replace(self, effort=2 * self.effort)


def share_by_size(free: int) -> float:
    """Return how many times the share of ``SHARES`` it takes of lists made of ``free`` x's."""
    return float((free / SHARES_N) ** SHARES_EXPONENTS[free > SHARES_N])


def settings(options: Mapping[str, Any]) -> Settings:
    """Return the knobs of checked ``FaissOptions``."""
    return Settings(
        options.get("quality") or Settings.quality, options.get("nprobe"), options.get("nlist")
    )


def module() -> Any:
    """Return the package faiss; ImportError, with reason and remedy, if it cannot be used."""
    remedy = "pip install 'gtn-fast[faiss-cpu]', or use method='auto' (exact)"
    return load_package("faiss", "method 'faiss' needs the package faiss, which", remedy)


def unit_rows(a: NDArray[Any]) -> NDArray[np.float32]:
    """Return directions (n, d) in float32: of any magnitudes, zero rows as they are."""
    scale = np.abs(a).max(axis=1, keepdims=True)
    scale[scale == 0] = 1
    out: NDArray[np.float32] = (a / scale).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", out, out))
    length[length == 0] = 1
    out /= length[:, None]
    return out


def host_assigner(columns: int) -> Any:
    """Return an index on the CPU."""
    return module().IndexFlatIP(columns)


class Trained:
    """Centres (nlist, d) float32, and what share of X their lists hold, by the training sample."""

    def __init__(self, sample: NDArray[np.float32], nlist: int, assigner: Assigner) -> None:
        faiss = module()
        columns = sample.shape[1]
        clustering = faiss.Clustering(columns, nlist)
        clustering.niter, clustering.spherical = TRAIN_ROUNDS, True
        # FAISS says on stderr what it thinks of few points; here they are meant.
        clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, len(sample)
        self._index = assigner(columns)
        with faiss_threads(faiss, 1):
            clustering.train(sample, self._index)
            at = self._index.search(sample, 1)[1][:, 0]
        centres = faiss.vector_to_array(clustering.centroids).reshape(nlist, columns)
        self.centres: NDArray[np.float32] = centres
        self._share = np.bincount(at, minlength=nlist) / len(sample)

    def looked_at(self, y: NDArray[Any], probes: int) -> float:
        """Return what share of X these rows of Y find in their lists, on average."""
        with faiss_threads(module(), 1):
            near = self._index.search(unit_rows(y), probes)[1]
        return float(self._share[near].sum(axis=1).mean())


def train(
    x: NDArray[Any], free: NDArray[np.int64], nlist: int, assigner: Assigner = host_assigner
) -> Trained:
    """Train ``nlist`` centres on a sample of the rows ``free`` of X (ascending)."""
    step = max(1, len(free) // max(TRAIN_ROWS * nlist, 4096))
    return Trained(unit_rows(x[free[::step]]), nlist, assigner)
