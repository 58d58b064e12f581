"""Workloads for the tests: (X, Y) for sizes and a seed, friendly and hostile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Case = Callable[[np.random.Generator, int, int, int], tuple[Array, Array]]


def gaussian(rng, n_x, n_y, d):
    return rng.standard_normal((n_x, d)).astype(np.float32), rng.standard_normal((n_y, d))


def decaying_spectrum(rng, n_x, n_y, d):
    scale = 0.8 ** np.arange(d)
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return (rng.standard_normal((n_x, d)) * scale) @ rotation, rng.standard_normal((n_y, d))


def clustered(rng, n_x, n_y, d):
    centres = 3 * rng.standard_normal((10, d))
    x = centres[rng.integers(10, size=n_x)] + 0.1 * rng.standard_normal((n_x, d))
    return x, rng.standard_normal((n_y, d))


def few_rays(rng, n_x, n_y, d):
    """All x's on 10 rays, in integer multiples: many equal directions and equal norms."""
    rays = rng.integers(-3, 4, size=(10, d)).astype(np.float64)
    x = rays[rng.integers(10, size=n_x)] * rng.integers(1, 50, size=(n_x, 1))
    return x, rng.standard_normal((n_y, d))


def all_equal(rng, n_x, n_y, d):
    return np.ones((n_x, d), np.float32), np.ones((n_y, d))


def half_duplicates(rng, n_x, n_y, d):
    x = rng.standard_normal((n_x, d))
    x[n_x // 2 :] = x[: n_x - n_x // 2]
    return x, rng.standard_normal((n_y, d))


def both_duplicated(rng, n_x, n_y, d):
    values = rng.standard_normal((max(1, n_x // 10), d))
    return values[rng.integers(len(values), size=n_x)], values[rng.integers(len(values), size=n_y)]


def narrow_cone(rng, n_x, n_y, d):
    return 100 + 1e-3 * rng.standard_normal((n_x, d)), rng.standard_normal((n_y, d))


def one_orthant(rng, n_x, n_y, d):
    return rng.random((n_x, d)), rng.standard_normal((n_y, d))


def zero_rows(rng, n_x, n_y, d):
    x, y = rng.standard_normal((n_x, d)), rng.standard_normal((n_y, d))
    x[rng.random(n_x) < 0.2] = 0.0
    y[rng.random(n_y) < 0.2] = -0.0
    return x, y


def magnitudes(rng, n_x, n_y, d):
    x = rng.standard_normal((n_x, d)) * 10.0 ** rng.uniform(-30, 30, (n_x, 1))
    return x, rng.standard_normal((n_y, d)) * 10.0 ** rng.uniform(-30, 30, (n_y, 1))


def float64_extremes(rng, n_x, n_y, d):
    x = rng.standard_normal((n_x, d)) * 10.0 ** rng.uniform(-320, 300, (n_x, 1))
    return x, rng.standard_normal((n_y, d)) * 10.0 ** rng.uniform(-320, 300, (n_y, 1))


def mixed_columns(rng, n_x, n_y, d):
    """Coordinates of one row differ by 60 orders of magnitude."""
    x = rng.standard_normal((n_x, d)) * 10.0 ** rng.uniform(-30, 30, (n_x, d))
    return x, rng.standard_normal((n_y, d)) * 10.0 ** rng.uniform(-30, 30, (n_y, d))


def integers(rng, n_x, n_y, d):
    """Small integers: ties in cosine and norm everywhere."""
    return (
        rng.integers(-2, 3, (n_x, d)).astype(np.float32),
        rng.integers(-2, 3, (n_y, d)).astype(np.float32),
    )


def signs(rng, n_x, n_y, d):
    """Corners of the cube: all norms equal, few cosines."""
    return rng.choice([-1.0, 1.0], (n_x, d)), rng.choice([-1.0, 1.0], (n_y, d))


def unit_sphere(rng, n_x, n_y, d):
    x, y = rng.standard_normal((n_x, d)), rng.standard_normal((n_y, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True), y / np.linalg.norm(y, axis=1)[:, None]


def opposite(rng, n_x, n_y, d):
    """Y looks where no x is."""
    return rng.random((n_x, d)) + 0.5, -rng.random((n_y, d)) - 0.5


def near_ties(rng, n_x, n_y, d):
    """Directions a few units in the last place apart."""
    x = np.repeat(rng.standard_normal((max(1, n_x // 50), d)), 60, axis=0)[:n_x]
    x = x * (1 + rng.integers(-2, 3, x.shape) * 2.0**-52)
    if len(x) < n_x:
        x = np.concatenate([x, rng.standard_normal((n_x - len(x), d))])
    return x, rng.standard_normal((n_y, d))


def axes(rng, n_x, n_y, d):
    """Points on the coordinate axes, y's on them and between them."""
    x = np.eye(d)[rng.integers(d, size=n_x)] * rng.choice([-2.0, -1.0, 1.0, 2.0], (n_x, 1))
    y = rng.choice([-1.0, 0.0, 1.0], (n_y, d))
    return x, y


FRIENDLY: dict[str, Case] = {f.__name__: f for f in (gaussian, decaying_spectrum, clustered)}
HOSTILE: dict[str, Case] = {
    f.__name__: f
    for f in (
        few_rays,
        all_equal,
        half_duplicates,
        both_duplicated,
        narrow_cone,
        one_orthant,
        zero_rows,
        magnitudes,
        float64_extremes,
        mixed_columns,
        integers,
        signs,
        unit_sphere,
        opposite,
        near_ties,
        axes,
    )
}
ALL = FRIENDLY | HOSTILE


def make(name: str, n_x: int, n_y: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    """The workload ``name``; the same arguments give the same arrays."""
    return ALL[name](np.random.default_rng([seed, n_x, n_y, d]), n_x, n_y, d)


def strategies(d: int) -> list[str]:
    """Native strategies that handle dimension d."""
    limits = {"ray": (1, 1), "circle": (2, 2), "tree": (2, 16), "screen": (1, 10**9)}
    return [name for name, (low, high) in limits.items() if low <= d <= high]
