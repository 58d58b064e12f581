"""What a fit came to: samples against held-out data, beside what plain normals do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.learn.calibration import covariance
from gtn_fast.metrics.points import energy_distance
from gtn_fast.sample import normal

ROWS = 2000  # of each set that is compared
_FEWEST = 200
_CLEAR = 1.1  # a distance that is larger by less is called equal


@dataclass(frozen=True)
class Verdict:
    """Distances in the data's standardised coordinates: 0 is the data itself.

    Attributes
    ----------
    compared_with : str
        "held-out data" if a fit was given some, else "the training data".
    deviation : float
        Mean over coordinates of the samples' standard deviation; the data's is 1.
    samples, normals, full_normals : float
        Energy distance to the data: of new samples; of normals with the data's mean and
        deviations; of normals with its full covariance, the best that one affine map can do.
    data : float
        Of rows of the training data: what cannot be beaten by much.
    rows : int
        That were compared with; of fewer than 200 nothing certain can be said.
    """

    compared_with: str
    deviation: float
    samples: float
    normals: float
    full_normals: float
    data: float
    rows: int

    @property
    def warning(self) -> str | None:
        """Say in plain words what is wrong and what to do; None if nothing is."""
        if self.rows < _FEWEST or self.samples <= _CLEAR * self.normals:
            return None
        return (
            f"samples of this GTN are farther from {self.compared_with} (energy distance"
            f" {self.samples:.3g}) than plain normals ({self.normals:.3g}): take"
            " fewer dimensions, a wider network or more epochs, or components=k for clusters"
        )

    def table(self) -> str:
        """Return the numbers as lines of text."""
        rows = [
            ("training data", self.data),
            ("samples", self.samples),
            ("normals, the data's deviations", self.normals),
            ("normals, the data's covariance", self.full_normals),
        ]
        lines = [f"energy distance to {self.compared_with}"]
        lines += [f"  {name:32s} {value:.3f}" for name, value in rows]
        lines.append(f"deviation of samples (the data's: 1)   {self.deviation:.2f}")
        return "\n".join(lines)


def judge(
    samples: NDArray[Any], data: NDArray[Any], held_out: NDArray[Any] | None, seed: int
) -> Verdict:
    """Compare standardised samples (m, d) with the data (n, d) or rows of it held out."""
    rng = np.random.default_rng(seed)
    if held_out is not None:
        real, rest = _some(held_out, rng), _some(data, rng)
    else:  # halves of the data: what is compared with is not what it is compared to
        order = rng.permutation(len(data))
        real, rest = (_some(data[half], rng) for half in np.array_split(order, 2))
    d = data.shape[1]
    plain = normal(seed, 0, ROWS, d).astype(np.float64)
    mean = data.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(covariance(data))
    full = mean + plain @ ((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
    deviations = mean + plain * data.std(axis=0, dtype=np.float64)
    deviation = samples.std(axis=0) / np.maximum(data.std(axis=0), 1e-12)
    return Verdict(
        compared_with="the training data" if held_out is None else "held-out data",
        deviation=float(deviation.mean()),
        samples=energy_distance(samples[:ROWS], real),
        normals=energy_distance(deviations, real),
        full_normals=energy_distance(full, real),
        data=energy_distance(rest, real),
        rows=len(real),
    )


def _some(rows: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    return rows if len(rows) <= ROWS else rows[rng.choice(len(rows), ROWS, replace=False)]
