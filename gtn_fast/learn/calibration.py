"""An affine map after ĥ that gives back the data's mean and covariance.

ĥ is a regression: it answers with the mean of what lies near, and so its points have less
spread than the data, the less the more dimensions there are. What is lost in the first two
moments comes back in closed form. Of all maps between two Gaussians, N(m_g, C_g) of ĥ's points
and N(m_x, C_x) of the data, the optimal transport is affine (Knott and Smith, 1984):

    x -> m_x + A (x - m_g),   A = C_g^-1/2 (C_g^1/2 C_x C_g^1/2)^1/2 C_g^-1/2

A is symmetric and positive definite, so that ĥ, if it is a homeomorphism, stays one. The paper
has no such step; ``GTN.fit(calibrate=False)`` leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Directions in which ĥ's points have hardly any spread are stretched by this much at most: what
# is there is error more than signal.
_LARGEST_GAIN = 30.0
_CHUNK = 1 << 20  # elements widened to float64 together


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
        whole = _transport(generated, data)
        maps = []
        for c in range(components):
            g = generated if generated_of is None else generated[generated_of == c]
            x = data if data_of is None else data[data_of == c]
            own = len(g) >= 3 and len(x) >= 3 and components > 1
            maps.append(_transport(g, x) if own else whole)
        matrix, source, target = zip(*maps, strict=True)
        return cls(np.stack(matrix), np.stack(source), np.stack(target))

    def apply(
        self, x: NDArray[Any], component: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Map points (n, d), rounded once from float64; ``component`` (n,) says by which map."""
        out = np.empty(x.shape, dtype=np.float32)
        step = max(1, _CHUNK // x.shape[1])
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            rows = x[part].astype(np.float64)
            of = np.zeros(len(rows), np.int64) if component is None else component[part]
            for c in np.unique(of):
                with np.errstate(over="ignore", invalid="ignore"):  # Scaling.undo will refuse it
                    moved = (rows[of == c] - self.source[c]) @ self.matrix[c] + self.target[c]
                    out[part][of == c] = moved
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


def _transport(
    generated: NDArray[Any], data: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return A, m_g and m_x."""
    wanted = covariance(data)
    values, vectors = np.linalg.eigh(covariance(generated))
    # Exact zeros (a coordinate of ĥ that never changes) and what is below rounding.
    least = max(float(values[-1]) * 1e-14, np.finfo(np.float64).tiny)
    values = np.maximum(values, least)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    inner_values, inner_vectors = np.linalg.eigh(root @ wanted @ root)
    inner = (inner_vectors * np.sqrt(np.maximum(inner_values, 0.0))) @ inner_vectors.T
    gains, axes = np.linalg.eigh(inverse @ inner @ inverse)
    matrix = (axes * np.clip(gains, 0.0, _LARGEST_GAIN)) @ axes.T
    mean_g = generated.mean(axis=0, dtype=np.float64)
    mean_x = data.mean(axis=0, dtype=np.float64)
    return matrix, mean_g, mean_x
