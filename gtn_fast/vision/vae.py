"""The vanilla VAE to compare with: the autoencoder's layers and only what a VAE needs besides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.seeds import derive
from gtn_fast.vision.base import ImageModel, mirror, train_model, trunk
from gtn_fast.vision.tensors import batches, device_of, to_bytes

__all__ = ["VAE", "train_vae"]


class VAE(ImageModel):
    """Kingma and Welling's VAE with appendix F's layers (table 1's kind of comparison).

    ``VAE(channels, side, d)``; two linear heads instead of one: mean and log variance.
    ValueError unless the side is divisible by 4 and at least 8.
    """

    kind = "VAE"

    def __init__(self, channels: int, side: int, d: int) -> None:
        super().__init__(channels, side, d)
        self.trunk, features = trunk(channels, side)
        self.mu = nn.Linear(features, d)
        self.logvar = nn.Linear(features, d)
        self.decoder = mirror(channels, side, d)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, c, side, side) in [-1, 1] to mean and log variance of z, (b, d) each."""
        features = self.trunk(x)
        return self.mu(features), self.logvar(features)

    def encode(self, x: Tensor) -> Tensor:
        """Map (b, c, side, side) in [-1, 1] to the mean of z, (b, d)."""
        return self.posterior(x)[0]

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction from a z that is drawn, mean, log variance.

        It is drawn from ``generator``, torch's global one by default.
        """
        mu, logvar = self.posterior(x)
        noise = torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
        z = mu + noise * torch.exp(0.5 * logvar)
        return self.decode(z), mu, logvar

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Generate images from z ~ N(0, I): uint8 (n, c, side, side) on the CPU."""
        generator = torch.Generator().manual_seed(derive(seed, "vae sample"))
        z = torch.randn(check_integer(n, "n", 1, 1 << 40), self.d, generator=generator)
        where = device_of(self)
        return torch.cat([to_bytes(self.decode(part.to(where))).cpu() for part in batches(z, 512)])


def vae_loss(x: Tensor, shown: Tensor, mu: Tensor, logvar: Tensor, beta: float) -> Tensor:
    """Return the mean over images of squared error + beta * KL(q(z|x) || N(0, I))."""
    error = (shown - x).square().sum()
    divergence = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()
    return (error + beta * divergence) / len(x)


def train_vae(
    images: Any,
    d: int,
    *,
    val: Any = None,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 1e-5,
    beta: float = 1.0,
    seed: int = 0,
    bfloat16: bool = False,
    **training: Any,
) -> tuple[VAE, History]:
    """Train a VAE as ``train_autoencoder`` trains an Autoencoder, with ``vae_loss``.

    TypeError or ValueError for images of another kind or shape, or beta below 0.
    """
    if not 0 <= beta < float("inf"):
        raise ValueError(f"beta must be a finite number, 0 or more, got {beta}")
    return train_model(
        VAE,
        lambda x, shown, mu, logvar: vae_loss(x, shown, mu, logvar, beta),
        images,
        d,
        val=val,
        bfloat16=bfloat16,
        seed=seed,
        identity={"beta": beta},
        draws=True,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        **{"title": "VAE", **training},
    )
