"""Points along a learned velocity, in blocks of rows; and calibrations by the number of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.learn.calibration import Calibration, Moments
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.training.guards import threads_for
from gtn_fast.learn.velocity import Velocity, integrate
from gtn_fast.system.ending import long_call, stop_here

_ACTIVATIONS = 1 << 19  # elements of one layer that are computed together: they stay in cache
_ROWS = 1024  # but at least so many rows

Points = tuple[NDArray[np.float32], NDArray[np.int64] | None]  # (n, d), and components (n,)


@torch.no_grad()
def follow(
    model: Velocity,
    preset: Preset,
    device: torch.device,
    start: NDArray[Any],
    of: NDArray[np.int64] | None,
    steps: int,
    solver: str,
    *,
    backwards: bool = False,
) -> NDArray[np.float32]:
    """Follow the velocity from points (n, d), of classes (n,): float32 (n, d)."""
    if not len(start):
        return np.empty((0, model.d), dtype=np.float32)
    # A mapped file cannot be written, and torch warns of tensors that cannot.
    given = [torch.from_numpy(np.require(start, np.float32, "W"))]
    given += [] if of is None else [torch.from_numpy(of)]
    was_training = model.training  # a metric is called in the middle of a training
    model.eval()
    rows = max(_ROWS, _ACTIVATIONS // max(preset.width, model.d))
    parts = []
    with long_call(), threads_for(model, preset.batch_size):
        for part in zip(*(torch.split(each, rows) for each in given), strict=True):
            at, *its = (each.to(device) for each in part)
            v = partial(_velocity, model, tuple(its))
            parts.append(integrate(v, at, steps, solver, backwards=backwards).cpu())
    model.train(was_training)
    made: NDArray[np.float32] = torch.cat(parts).numpy()
    return made


def _velocity(model: Velocity, of: tuple[Tensor, ...], x: Tensor, t: Tensor) -> Tensor:
    stop_here()
    v: Tensor = model(x, t, *of)
    return v


@dataclass(eq=False)
class Calibrations:
    """The calibration of a flow for each number of steps and solver: fewer steps lose more.

    Attributes
    ----------
    data : Moments
        Of what the flow learned.
    maps : dict
        Those measured so far, by (steps, solver).
    """

    data: Moments
    maps: dict[tuple[int, str], Calibration] = field(default_factory=dict)

    def at(self, steps: int, solver: str, points: Callable[[], Points]) -> Calibration:
        """Return the map for so many steps; ``points`` makes those to measure, if need be."""
        key = steps, solver
        if key not in self.maps:
            made, of = points()
            generated = Moments.of(made, of, max(1, len(self.data.rows) - 1))
            self.maps[key] = Calibration.to(generated, self.data)
        return self.maps[key]
