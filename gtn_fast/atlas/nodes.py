"""Nodes of a LatentGraph: images, or draws of the prior, in every chart that they belong to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.atlas.curves import in_eval
from gtn_fast.atlas.model import Atlas
from gtn_fast.vision.tensors import batches, to_unit

_BATCH = 512  # images that are encoded together


class Nodes(NamedTuple):
    """What ``LatentGraph`` says of its nodes, all with a row for each."""

    z: NDArray[np.float32]
    chart: NDArray[np.int64]
    row: NDArray[np.int64]
    home: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: list[Nodes]) -> Nodes:
        """Return all of them, by chart and row."""
        z, chart, row, home = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.lexsort((row, chart))
        return cls(z[order], chart[order], row[order], home[order])


def check_eps(eps: Any, charts: int) -> float:
    """Return eps; ValueError unless 0 <= eps < 1 / charts: every image then has a chart."""
    if isinstance(eps, bool) or not isinstance(eps, int | float | np.number):
        raise TypeError(f"eps must be a number, got {type(eps).__name__}")
    if not 0 <= eps < 1 / charts:
        raise ValueError(
            f"eps must be at least 0 and below 1 / {charts}, so that every image has a chart,"
            f" got {eps}"
        )
    return float(eps)


def of_data(atlas: Atlas, images: Any, eps: float, most: int, seed: int) -> Nodes:
    """Return the nodes of up to ``most`` images."""
    if not atlas.has_charts:
        raise TypeError("this model has no encoders (charts F_y): nodes='prior' draws the nodes")
    checked = atlas.checked(images)
    rows = np.arange(len(checked))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
    return encoded(atlas, checked[torch.from_numpy(rows)], rows, eps)


@torch.no_grad()
def encoded(atlas: Atlas, images: Tensor, rows: NDArray[np.int64], eps: float) -> Nodes:
    """Return the nodes of images: one in every chart whose psi is above eps."""
    where = atlas.weights.device
    parts: list[Nodes] = []
    with in_eval(atlas):
        for batch, number in zip(
            batches(images, _BATCH), batches(torch.from_numpy(rows), _BATCH), strict=True
        ):
            x = to_unit(batch.to(where))
            parts.append(_copies_of(atlas, x, atlas.psi(x), number.numpy(), eps))
    return Nodes.joined(parts)


def _copies_of(atlas: Atlas, x: Tensor, psi: Tensor, rows: NDArray[np.int64], eps: float) -> Nodes:
    if psi.shape != (len(x), atlas.charts) or not bool(psi.isfinite().all()):
        raise ValueError(f"psi must give {atlas.charts} finite weights for each image")
    own = psi.argmax(dim=1)
    image, chart = (psi > eps).nonzero(as_tuple=True)
    z = atlas.encode(x[image], chart)
    if not bool(z.isfinite().all()):
        raise ValueError("the encoder gives NaN or infinity")
    home = own[image] == chart
    return Nodes(
        z.float().cpu().numpy(), chart.cpu().numpy(), rows[image.cpu().numpy()], home.cpu().numpy()
    )


@torch.no_grad()
def of_prior(atlas: Atlas, eps: float, count: int, seed: int) -> Nodes:
    """Return the nodes of draws: each in its own chart, and where else psi is above eps."""
    z, chart = (each.cpu() for each in atlas.draw(count, seed))
    rows = np.arange(count)
    drawn = Nodes(z.float().numpy(), chart.to(torch.int64).numpy(), rows, np.ones(count, bool))
    if not atlas.has_charts:
        return Nodes.joined([drawn])
    where = atlas.weights.device
    with in_eval(atlas):
        shown = [
            atlas.decode(some.to(where), of.to(where))
            for some, of in zip(batches(z, _BATCH), batches(chart, _BATCH), strict=True)
        ]
        x = torch.cat(shown)
        psi = atlas.psi(x)
        psi[torch.arange(count), chart.to(where)] = 0.0
        copies = _copies_of(atlas, x, psi, rows, eps)
    return Nodes.joined([drawn, copies._replace(home=np.zeros(len(copies.z), bool))])
