"""What a fit came to: samples against held-out data, beside what plain normals do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.learn.calibration import covariance
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.training.run import History
from gtn_fast.metrics.points import energy_distance
from gtn_fast.sample import normal

ROWS = 2000  # of each set that is compared
FEWEST = 200  # rows, below which nothing certain can be said
_CLEAR = 1.1  # a distance that is larger by less is called equal

_PARTS = "take fewer dimensions, a wider network or more epochs"
REMEDY = f"{_PARTS}, components=k or classes= for data of several parts"
REMEDIES = {"GTN": REMEDY, "flow": f"{_PARTS}, more steps, classes= for data of several parts"}


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
        Energy distance to the data: of new samples; of plain normals, with the data's mean and
        deviations; of normals with its full covariance, the best that one affine map can do. Of
        data in components or classes each has normals of its own.
    data : float
        Of rows of the training data: what cannot be beaten by much.
    rows : int
        That were compared with; of fewer than 200 nothing certain can be said.
    of : str
        "GTN" or "flow": what made the samples.
    """

    compared_with: str
    deviation: float
    samples: float
    normals: float
    full_normals: float
    data: float
    rows: int
    of: str = "GTN"

    @property
    def warning(self) -> str | None:
        """Say in plain words what is wrong and what to do; None if nothing is."""
        return worse_than_normals(
            f"samples of this {self.of}", self.compared_with, self.rows,
            self.samples, self.normals, self.full_normals, self.data, REMEDIES[self.of],
        )  # fmt: skip

    def table(self) -> str:
        """Return the numbers as lines of text."""
        rows = [
            ("training data", self.data),
            ("samples", self.samples),
            ("plain normals (deviations)", self.normals),
            ("normals with full covariance", self.full_normals),
        ]
        lines = [f"energy distance to {self.compared_with}"]
        lines += [f"  {name:32s} {value:.3f}" for name, value in rows]
        lines.append(f"deviation of samples (the data's: 1)   {self.deviation:.2f}")
        return "\n".join(lines)


def worse_than_normals(
    what: str,
    compared_with: str,
    rows: int,
    samples: float,
    normals: float,
    full: float,
    data: float,
    remedy: str = REMEDY,
) -> str | None:
    """Return the warning about samples that are farther than either kind of normals, if any.

    What is as near as the data to itself is not warned of.
    """
    nearest = min(normals, full)
    if rows < FEWEST or samples <= _CLEAR * max(nearest, data):
        return None
    which = "plain normals" if normals <= full else "normals of the data's covariance"
    return (
        f"{what} are farther from {compared_with} (energy distance {samples:.3g}) than {which}"
        f" ({nearest:.3g}): {remedy}"
    )


def judge(
    samples: NDArray[Any],
    data: NDArray[Any],
    held_out: NDArray[Any] | None,
    seed: int,
    component: NDArray[np.int64] | None = None,
    of: str = "GTN",
) -> Verdict:
    """Compare standardised samples (m, d) with the data (n, d) or rows of it held out.

    ``component`` (n,): of each row of the data. ``of``: what made the samples.
    """
    rng = np.random.default_rng(seed)
    if held_out is not None:
        real, rest = _some(held_out, rng), _some(data, rng)
    else:  # halves of the data: what is compared with is not what it is compared to
        order = rng.permutation(len(data))
        real, rest = (_some(data[half], rng) for half in np.array_split(order, 2))
    plain, full = normals_like(data, component, seed)
    deviation = samples.std(axis=0) / np.maximum(data.std(axis=0), 1e-12)
    return Verdict(
        compared_with="the training data" if held_out is None else "held-out data",
        deviation=float(deviation.mean()),
        samples=energy_distance(samples[:ROWS], real),
        normals=energy_distance(plain, real),
        full_normals=energy_distance(full, real),
        data=energy_distance(rest, real),
        rows=len(real),
        of=of,
    )


def normals_like(
    data: NDArray[Any], component: NDArray[np.int64] | None, seed: int, rows: int = ROWS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw normals with the mean of data (n, d): with its deviations, with its covariance.

    Both (rows, d). ``component`` (n,): each has its own, in the share that it has of the rows.
    """
    y = normal(seed, 0, rows, data.shape[1]).astype(np.float64)
    of = np.zeros(len(data), np.int64) if component is None else component
    drawn = of[np.random.default_rng(seed).integers(0, len(data), rows)]
    plain, full = np.empty_like(y), np.empty_like(y)
    for c in np.unique(drawn):
        own = data[of == c]
        mean = own.mean(axis=0, dtype=np.float64)
        values, vectors = np.linalg.eigh(covariance(own))
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        plain[drawn == c] = mean + y[drawn == c] * own.std(axis=0, dtype=np.float64)
        full[drawn == c] = mean + y[drawn == c] @ root
    return plain, full


def _some(rows: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    return rows if len(rows) <= ROWS else rows[rng.choice(len(rows), ROWS, replace=False)]


def summary(
    d: int, preset: Preset, calibrated: bool, history: History | None, found: Verdict | None
) -> str:
    """Return what a fit came to, as lines of text."""
    network = f"{preset.layers} layers of {preset.width}, d = {d}"
    lines = [f"GTN: {network}, {'calibrated' if calibrated else 'not calibrated'}"]
    if history is not None:
        lines.append(f"{len(history.epochs)} epochs, best {history.best_epoch}")
        if history.note is not None:
            lines.append(history.note)
        best = history.epochs[history.best_epoch - 1] if history.best_epoch else {}
        name = "val_loss" if "val_loss" in best else "loss"
        if name in best:
            on = "held-out" if name == "val_loss" else "training"
            lines.append(f"error of ĥ on {on} pairs (the data: 1)   {np.sqrt(best[name]):.2f}")
    return "\n".join(lines if found is None else [*lines, found.table()])
