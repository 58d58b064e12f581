"""What the families' trainings share: checked images, a new atlas, and the one loop.

What is trained is an ``Objective``: the atlas, whoever else plays (an adversary), and what of the
loss must outlive a killed run (a count of steps, prices). It is the model of the loop, so that
all of it is in the checkpoint; what is kept in the end is its atlas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtn_fast.atlas.model import NetworkAtlas
from gtn_fast.atlas.networks import MAX_CHARTS
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.vision.tensors import as_square_images, to_unit

_EDGE, _EDGE_PRICE = 6.0, 0.1  # a code; its place in the cube is then 0.0025 from a wall


class Objective(nn.Module):
    """An atlas and its loss: ``loss(x, generator)`` of images in [-1, 1], the batch's mean."""

    step: Tensor

    def __init__(self, atlas: NetworkAtlas) -> None:
        super().__init__()
        self.atlas = atlas
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.steps_per_epoch = 1

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss; in training, ``step`` counts the batches before this one."""
        raise NotImplementedError

    def epoch(self) -> int:
        """Return the epoch, from 1, that ``step`` lies in."""
        return 1 + int(self.step) // self.steps_per_epoch


def start(
    kind: str,
    images: Any,
    val: Any,
    d: int,
    charts: int,
    networks: str | Mapping[str, Any],
    h: int | None,
    seed: int,
) -> tuple[NetworkAtlas, Tensor, Tensor | None]:
    """Return a new atlas whose output begins at the mean image, and the checked images.

    TypeError or ValueError for images of another kind or shape, and fewer than charts.
    """
    data = as_square_images(images)
    held_out = None if val is None else as_square_images(val, "val", data)
    check_integer(d, "d", 1, 1 << 24)
    check_integer(charts, "charts", 1, MAX_CHARTS)
    if len(data) < charts:
        raise ValueError(f"need at least one image a chart: {len(data)} images, {charts} charts")
    settings: dict[str, Any] = {"name": networks} if isinstance(networks, str) else dict(networks)
    if h is not None:
        settings["h"] = h
    atlas = seeded(
        lambda: NetworkAtlas(kind, d, charts, data.shape[1], data.shape[2], settings),
        derive(seed, "weights"),
    )
    atlas.networks.start_from(data)
    return atlas, data, held_out


def fit(
    objective: Objective,
    data: Tensor,
    val: Tensor | None,
    *,
    epochs: int,
    batch_size: int,
    identity: Mapping[str, Any],
    **training: Any,
) -> History:
    """Train the objective on uint8 images; its atlas is in eval mode afterwards."""
    batch_size = check_integer(batch_size, "batch_size", 1, 2**31 - 1)
    objective.steps_per_epoch = math.ceil(len(data) / batch_size)
    atlas = objective.atlas
    known = {"kind": atlas.kind, "networks": atlas.networks.settings(), **identity}

    def loss(model: nn.Module, batch: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(model, Objective)
        value = model.loss(to_unit(batch), generator)
        if model.training:
            model.step += 1
        return value

    return train(
        objective,
        loss,
        (data,),
        val=None if val is None else (val,),
        epochs=epochs,
        batch_size=batch_size,
        identity=known,
        draws=True,
        **training,
    )


def errors(x: Tensor, shown: Tensor) -> Tensor:
    """Return e_y, (b, m): squared distances of images (b, ...) to (b, m, ...), in [0, 1] units."""
    return ((x[:, None] - shown) / 2).flatten(2).square().sum(2)


def edge_price(code: Tensor) -> Tensor:
    """Return what codes (b, d) cost that run against the walls of the cube, (b,)."""
    return _EDGE_PRICE * functional.relu(code.abs() - _EDGE).square().sum(1)


def randn(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw normals on the device of ``like``."""
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)


def random_charts(n: int, charts: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw n charts, each as likely: int64 (n,)."""
    return torch.randint(charts, (n,), generator=generator, device=like.device)


def check_number(name: str, value: float, low: float = 0.0) -> float:
    """Return a finite number, ``low`` or more; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not low <= value < math.inf:
        raise ValueError(f"{name} must be a finite number, {low:g} or more, got {value}")
    return float(value)
