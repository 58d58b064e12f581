"""An affine map after ĥ, or a flow, that gives back the data's mean and covariance.

ĥ is a regression: it answers with the mean of what lies near, and so its points have less
spread than the data, the less the more dimensions there are. The points of a flow lose some too,
the more the fewer its steps. What is lost in the first two moments comes back in closed form. Of
all maps between two Gaussians, N(m_g, C_g) of such points and N(m_x, C_x) of the data, the optimal
transport is affine (Knott and Smith, 1984):

    x -> m_x + A (x - m_g),   A = C_g^-1/2 (C_g^1/2 C_x C_g^1/2)^1/2 C_g^-1/2

A is symmetric and positive definite, so that ĥ, if it is a homeomorphism, stays one. The paper
has no such step; ``GTN.fit(calibrate=False)`` leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Directions in which ĥ's points have hardly any spread are stretched by this much at most: what
# is there is error more than signal.
_LARGEST_GAIN = 30.0
_FEWEST = 3  # rows of a component with a map of its own
_CHUNK = 1 << 20  # elements widened to float64 together


@dataclass(frozen=True, eq=False)
class Moments:
    """What a calibration has to know of points: of all of them first, then of each component.

    Without components (one of them) there is the first entry alone.

    Attributes
    ----------
    mean : float64 (p, d)
    covariance : float64 (p, d, d)
        As ``covariance`` measures it.
    rows : int64 (p,)
        How many points were measured; where there are too few, means and covariance are those of
        all.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    rows: NDArray[np.int64]

    @classmethod
    def of(
        cls, x: NDArray[Any], component: NDArray[np.int64] | None = None, components: int = 1
    ) -> Moments:
        """Measure points (n, d), each with the component of its row (n,)."""
        parts = [x]
        if component is not None and components > 1:
            parts += [x[component == c] for c in range(components)]
        found = [_measured(x)]
        found += [_measured(part) if len(part) >= _FEWEST else found[0] for part in parts[1:]]
        mean, spread = zip(*found, strict=True)
        return cls(np.stack(mean), np.stack(spread), np.array([len(part) for part in parts]))


@dataclass(frozen=True, eq=False)
class Calibration:
    """One map for every component (k of them, k = 1 without): all float64.

    Attributes
    ----------
    matrix : (k, d, d)
        A, symmetric.
    source, target : (k, d)
        m_g and m_x.
    """

    matrix: NDArray[np.float64]
    source: NDArray[np.float64]
    target: NDArray[np.float64]

    @classmethod
    def between(
        cls,
        generated: NDArray[Any],
        data: NDArray[Any],
        generated_of: NDArray[np.int64] | None = None,
        data_of: NDArray[np.int64] | None = None,
        components: int = 1,
    ) -> Calibration:
        """Measure ``generated`` (m, d) and ``data`` (n, d), each with the component of its rows.

        A component with fewer than three rows on either side gets the map of all rows.
        """
        return cls.to(
            Moments.of(generated, generated_of, components), Moments.of(data, data_of, components)
        )

    @classmethod
    def to(cls, generated: Moments, data: Moments) -> Calibration:
        """Return the map from points of the moments ``generated`` to those of ``data``."""
        parts = range(1, len(data.rows)) if len(data.rows) > 1 else (0,)
        matrix, source, target = [], [], []
        for part in parts:
            own = part if min(generated.rows[part], data.rows[part]) >= _FEWEST else 0
            matrix.append(_transport(generated.covariance[own], data.covariance[own]))
            source.append(generated.mean[own])
            target.append(data.mean[own])
        return cls(np.stack(matrix), np.stack(source), np.stack(target))

    def apply(
        self, x: NDArray[Any], component: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Map points (n, d), rounded once from float64; ``component`` (n,) says by which map."""
        return _by_component(x, component, lambda rows, c: (
            (rows - self.source[c]) @ self.matrix[c] + self.target[c]
        ))  # fmt: skip

    def undo(
        self, x: NDArray[Any], component: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Map points (n, d) back: what ``apply`` sends there, but for rounding."""
        back = np.linalg.pinv(self.matrix, hermitian=True)
        return _by_component(x, component, lambda rows, c: (
            (rows - self.target[c]) @ back[c] + self.source[c]
        ))  # fmt: skip


def _by_component(
    x: NDArray[Any],
    component: NDArray[np.int64] | None,
    map_: Callable[[NDArray[np.float64], int], NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Map the rows of each component (n,) by ``map_``, in blocks, rounded once from float64."""
    out = np.empty(x.shape, dtype=np.float32)
    step = max(1, _CHUNK // x.shape[1])
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        rows = x[part].astype(np.float64)
        of = np.zeros(len(rows), np.int64) if component is None else component[part]
        for c in np.unique(of):
            with np.errstate(over="ignore", invalid="ignore"):  # Scaling.undo will refuse it
                out[part][of == c] = map_(rows[of == c], c)
    return out


def covariance(x: NDArray[Any]) -> NDArray[np.float64]:
    """Return the covariance of x (n, d), its correlations shrunk by as much as they are noise.

    Deviations stay as measured; the correlations are multiplied by 1 - λ, with λ by Schäfer
    and Strimmer (2005) and at least 1 / n, so that the matrix is of full rank, deviations being
    positive, even where there are fewer rows than dimensions. With many rows λ goes to 0.
    """
    n = len(x)
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    found = centred.T @ centred / max(1, n - 1)
    deviation = np.sqrt(np.diag(found))
    scaled = centred / np.where(deviation > 0, deviation, 1.0)
    correlation = scaled.T @ scaled / n
    # The variance of an entry, of n products with mean `correlation`: Schäfer and Strimmer's.
    variance = (np.square(scaled).T @ np.square(scaled) / n - np.square(correlation)) / max(
        1, n - 1
    )
    off = ~np.eye(len(found), dtype=bool)
    squares = float(np.square(correlation[off]).sum())
    share = 1.0 if squares == 0 else float(variance[off].sum()) / squares
    share = min(1.0, max(1.0 / n, share))
    shrunk: NDArray[np.float64] = found * np.where(off, 1.0 - share, 1.0)
    return shrunk


def _measured(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return x.mean(axis=0, dtype=np.float64), covariance(x)


def _transport(generated: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return A of two covariances."""
    values, vectors = np.linalg.eigh(generated)
    # Exact zeros (a coordinate of ĥ that never changes) and what is below rounding.
    least = max(float(values[-1]) * 1e-14, np.finfo(np.float64).tiny)
    values = np.maximum(values, least)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    inner_values, inner_vectors = np.linalg.eigh(root @ wanted @ root)
    inner = (inner_vectors * np.sqrt(np.maximum(inner_values, 0.0))) @ inner_vectors.T
    gains, axes = np.linalg.eigh(inverse @ inner @ inverse)
    matrix: NDArray[np.float64] = (axes * np.clip(gains, 0.0, _LARGEST_GAIN)) @ axes.T
    return matrix
