"""A look at a sample of rows: how few dimensions their directions fill."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.arrays import convert, describe, is_tensor
from gtn_fast.inputs.matrices import RowMatrix

_SAMPLE_ROWS = 160


@dataclass(frozen=True)
class Spread:
    """How unevenly the directions of X fill the space; 1 each for isotropic data.

    ``crowding``: d over the effective dimension of the directions, large where they crowd into
    a cone or a subspace; ``decay``: the same after subtracting their mean, large for a decaying
    spectrum.
    """

    crowding: float
    decay: float


ISOTROPIC = Spread(1.0, 1.0)


def look(X: Any, metric: str = "cosine") -> Spread:
    """Measure how few dimensions the directions of X fill, on a sample.

    At most 160 rows, evenly spaced, are read. By metric "euclidean" it is the rows that count,
    less their mean.
    """
    values = finite_rows(X, _SAMPLE_ROWS)
    if metric == "euclidean":
        return _look_at_rows(values)
    scale = np.abs(values).max(axis=1, initial=0.0)
    values = values[scale > 0] / scale[scale > 0, None]
    if len(values) < 2:
        return Spread(values.shape[1], 1.0)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    d = values.shape[1]
    return Spread(
        d / effective_dimension(values), d / effective_dimension(values - values.mean(axis=0))
    )


def finite_rows(X: Any, most: int) -> NDArray[np.float64]:
    """Return at most so many rows of X, evenly spaced, less those that are not finite."""
    step = max(1, math.ceil(len(X) / most))
    sample = X.spread(most) if isinstance(X, RowMatrix) else X[::step]
    if is_tensor(sample):
        sample = convert(describe(sample, "X"))
    values: NDArray[np.float64] = np.array(sample, dtype=np.float64)
    return values[np.isfinite(values).all(axis=1)]


def _look_at_rows(values: NDArray[np.float64]) -> Spread:
    largest = np.abs(values).max(initial=0.0)
    if len(values) < 2 or largest == 0.0:
        return ISOTROPIC
    values = values / largest
    values -= values.mean(axis=0)
    decay = values.shape[1] / effective_dimension(values)
    return Spread(decay, decay)


def effective_dimension(values: NDArray[np.float64]) -> float:
    """Return (sum of w)^2 / sum of w^2 over the second moments w of the rows.

    From 1, for multiples of one vector, to d, for rows that point everywhere alike.
    """
    n, d = values.shape
    lengths = (values * values).sum(axis=1)
    total = float(lengths.sum())
    if n < 2 or total < 1e-24 * n:  # nothing but rounding
        return float(d)
    # The diagonal of the Gram matrix is left out: it would make the result depend on the size
    # of the sample. No BLAS: its threads would spin beside the engine's for some milliseconds.
    gram = np.einsum("ik,jk->ij", values, values)
    between = float((gram * gram).sum() - (lengths * lengths).sum()) * n / (n - 1)
    return float(min(max(total * total / max(between, total * total / d), 1.0), d))
