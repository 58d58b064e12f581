"""Labels and training in the plane, where it matters how ties are decided (learn/rays.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gtn_fast
from gtn_fast.experiments.report import Notes
from gtn_fast.learn.presets import preset
from gtn_fast.learn.rays import label_on_rays
from gtn_fast.learn.training.seeds import derive

Array = NDArray[Any]
Labeler = Callable[[Array, Array], Array]  # X, Y -> for every row of Y its row of X

RAYS = 100


def along_rays(X: Array, Y: Array) -> Array:
    """Label by Algorithm 1 on 100 lines through the origin: small y's get small x's."""
    return label_on_rays(X, Y, RAYS).x_index


def exact(X: Array, Y: Array) -> Array:
    """Label by Algorithm 1 to the letter: without equal cosines, the norms of x decide nothing."""
    return gtn_fast.label(X, Y).x_index


def unsorted(X: Array, Y: Array) -> Array:
    """Label greedily without sorting by norm (figure 11).

    The engine sorts by norm, so it is given directions: the norms then differ by rounding
    at most, and the order of choice has nothing to do with the points' own.
    """
    return gtn_fast.label(_directions(X), _directions(Y)).x_index


def _directions(v: Array) -> Array:
    v = v.astype(np.float64)
    directions: Array = v / np.linalg.norm(v, axis=1, keepdims=True)
    return directions


def train_pairs(
    y: Array,
    x: Array,
    val: tuple[Array, Array],
    notes: Notes,
    *,
    epochs: int,
    patience: int,
) -> tuple[Any, Any]:
    """Train ĥ of the preset ``uniform`` on labeled pairs; return it and the history."""
    import torch

    from gtn_fast.learn.hhat import HHat, mse
    from gtn_fast.learn.training.loop import train

    table_2 = preset("uniform")
    model = HHat.of(2, table_2, derive(notes.seed, "weights") % 2**63)

    def tensors(*arrays: Array) -> list[torch.Tensor]:
        return [torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in arrays]

    history = train(
        model,
        mse,
        tensors(y, x),
        val=tensors(*val),
        epochs=epochs,
        patience=patience,
        batch_size=table_2.batch_size,
        lr=table_2.lr,
        seed=notes.seed,
    )

    def transform(y: Array) -> Array:
        with torch.no_grad():
            return np.asarray(model(tensors(y)[0]).numpy())

    return transform, history
