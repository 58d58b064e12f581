"""The autoencoder of appendix F; base.py has its layers, codecs.py what encodes with it."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.store import PathLike
from gtn_fast.vision.base import ImageModel, load_model, mirror, train_model, trunk

__all__ = ["Autoencoder", "load_autoencoder", "train_autoencoder"]


class Autoencoder(ImageModel):
    """Appendix F: two stride-2 convolutions (64, 128), linear to d; mirrored decoder, tanh.

    ``Autoencoder(channels, side, d)`` for square images; ValueError unless the side is
    divisible by 4 and at least 8.
    """

    kind = "autoencoder"

    def __init__(self, channels: int, side: int, d: int) -> None:
        super().__init__(channels, side, d)
        layers, features = trunk(channels, side)
        self.encoder = layers.append(nn.Linear(features, d))
        self.decoder = mirror(channels, side, d)

    def encode(self, x: Tensor) -> Tensor:
        """Map (b, c, side, side) in [-1, 1] to (b, d)."""
        return cast(Tensor, self.encoder(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of ``x``."""
        return self.decode(self.encode(x))


def train_autoencoder(
    images: Any,
    d: int,
    *,
    val: Any = None,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 1e-5,
    seed: int = 0,
    bfloat16: bool = False,
    **training: Any,
) -> tuple[Autoencoder, History]:
    """Train an Autoencoder on uint8 images (n, c, h, w) by the mean squared error of [-1, 1].

    The defaults are appendix F's for MNIST; CelebA and HaP: batch_size=200, lr=1e-4.
    The output starts at the mean colour (``at_mean_colour``).
    ``val``: more such images. ``bfloat16`` computes the layers in that precision: other
    weights, and twice as fast on a CPU with avx512_bf16. ``training``: what ``train`` takes.
    TypeError or ValueError for images of another kind or shape.
    """
    return train_model(
        Autoencoder,
        lambda x, shown: nn.functional.mse_loss(shown, x),
        images,
        d,
        val=val,
        bfloat16=bfloat16,
        seed=seed,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        **{"title": "autoencoder", **training},
    )


def load_autoencoder(
    path: PathLike, device: torch.device | str | None = None
) -> tuple[Autoencoder, dict[str, Any]]:
    """Load as ``Autoencoder.load`` does, and the ``meta`` that was saved with it."""
    return load_model(Autoencoder, path, device)
