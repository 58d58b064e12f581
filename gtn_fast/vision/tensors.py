"""Images as the networks take them: checked once, between bytes and [-1, 1]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gtn_fast.system.ending import stop_here


def as_images(images: Any, name: str = "images") -> Tensor:
    """Return ``images`` (tensor or array) as a uint8 tensor (n, c, h, w), copied only if needed.

    TypeError for another container or dtype, ValueError for another shape.
    """
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8:
            raise TypeError(f"{name} must be uint8 (0 to 255), got {images.dtype}")
        # torch warns about read-only memory, such as a memory map's.
        images = torch.from_numpy(images if images.flags.writeable else images.copy())
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a uint8 array or tensor, got {type(images).__name__}")
    if images.dtype != torch.uint8:
        raise TypeError(f"{name} must be uint8 (0 to 255), got {images.dtype}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"{name} must have shape (n, channels, height, width), n > 0, got {tuple(images.shape)}"
        )
    return images


def as_square_images(images: Any, name: str = "images", like: Tensor | None = None) -> Tensor:
    """Do as ``as_images``; ValueError also unless square and like ``like`` in channels and side."""
    checked = as_images(images, name)
    height, width = checked.shape[2:]
    if height != width:
        raise ValueError(
            f"{name} must be square, got height {height} and width {width};"
            " load_images(..., side=) resizes them"
        )
    if like is not None and like.shape[1:] != checked.shape[1:]:
        raise ValueError(
            f"{name} must be images like those trained on, {tuple(like.shape[1:])},"
            f" got {tuple(checked.shape[1:])}"
        )
    return checked


def to_unit(images: Tensor) -> Tensor:
    """Map uint8 to float32 in [-1, 1]."""
    return images.to(torch.float32).mul_(1 / 127.5).sub_(1)


def to_bytes(images: Tensor) -> Tensor:
    """Map floats in [-1, 1] to uint8, rounded; what is outside is clipped."""
    return images.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def device_of(module: nn.Module) -> torch.device:
    """Return the device of the weights."""
    return next(module.parameters()).device


def batches(rows: Tensor, size: int) -> Iterator[Tensor]:
    """Yield ``rows`` in pieces of ``size``, in order."""
    for start in range(0, len(rows), size):
        stop_here()
        yield rows[start : start + size]
