"""Standardisation: every coordinate to mean 0 and standard deviation 1, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 20  # elements widened to float64 together


@dataclass(frozen=True, eq=False)
class Scaling:
    """``mean`` and ``std`` of each coordinate: float32 (d,)."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @classmethod
    def of(cls, X: NDArray[Any]) -> Scaling:
        """Measure a finite matrix (n, d), in float64.

        A coordinate that never changes gets std 1. ValueError if none changes (there is
        nothing to learn) or if the measures do not fit float32.
        """
        n, d = X.shape
        total = np.zeros(d)
        for rows in _chunks(n, d):
            total += X[rows].sum(axis=0, dtype=np.float64)
        centre = total / n
        squares = np.zeros(d)
        constant = np.ones(d, dtype=bool)
        with np.errstate(over="ignore"):  # what overflows is refused below
            for rows in _chunks(n, d):
                squares += np.square(X[rows] - centre).sum(axis=0)
                constant &= (X[rows] == X[0]).all(axis=0)
            mean = centre.astype(np.float32)
            std = np.sqrt(squares / n).astype(np.float32)
        if constant.all():
            raise ValueError(f"X is constant: all of its {n} rows are equal, nothing to learn")
        std[constant] = 1
        bad = np.flatnonzero(~np.isfinite(mean) | ~np.isfinite(std) | (std == 0))
        if len(bad):
            column = int(bad[0])
            raise ValueError(
                f"X does not fit float32: column {column} has mean {centre[column]:.3g} and"
                f" standard deviation {np.sqrt(squares[column] / n):.3g}; rescale it"
            )
        return cls(mean, std)

    @classmethod
    def stored(cls, mean: NDArray[Any], std: NDArray[Any], d: int) -> Scaling:
        """Return what a file holds; ValueError unless it scales d coordinates."""
        if any(each.shape != (d,) or each.dtype != np.float32 for each in (mean, std)):
            raise ValueError(f"scaling is not of {d} coordinates")
        if not (std > 0).all():
            raise ValueError("scaling/std must be above 0")
        return cls(mean, std)

    def apply(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Give (x - mean) / std of (n, d), float32, rounded once from float64."""
        out = np.empty(x.shape, dtype=np.float32)
        mean, std = self.mean.astype(np.float64), self.std.astype(np.float64)
        for rows in _chunks(*x.shape):
            out[rows] = (x[rows] - mean) / std
        return out

    def undo(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Give back what ``apply`` took: (n, d), float32, rounded once from float64.

        FloatingPointError, with the first row, where that is no finite number: a model made it.
        """
        out = np.empty(x.shape, dtype=np.float32)
        mean, std = self.mean.astype(np.float64), self.std.astype(np.float64)
        for rows in _chunks(*x.shape):
            with np.errstate(over="ignore", invalid="ignore"):
                out[rows] = x[rows] * std + mean
            bad = np.flatnonzero(~np.isfinite(out[rows]).all(axis=1))
            if len(bad):
                raise FloatingPointError(
                    f"row {rows.start + bad[0]} of what the model made is not finite: its input or"
                    " its weights are too large"
                )
        return out


def _chunks(n: int, d: int) -> Iterator[slice]:
    step = max(1, _CHUNK // d)
    for start in range(0, n, step):
        yield slice(start, start + step)
