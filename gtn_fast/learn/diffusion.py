"""A small denoising diffusion model for points: the baseline of figure 4.

DDPM (Ho, Jain and Abbeel 2020) with the cosine schedule (Nichol and Dhariwal 2021) and a
plain network that sees the noised point and the time, as in the toy model that the paper
compares with. Schedule and noising are also those of diffusion in pixels (atlas/ddpm.py).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.inputs.arrays import convert, describe, unchanged
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.seeds import derive

_OFFSET = 0.008  # of the cosine schedule: keeps the first steps from being without noise
_MAX_BETA = 0.999


class Diffusion(nn.Module):
    """Predicts the noise in a noised point: (b, d), time steps (b,) -> (b, d), float32.

    ``steps`` of noising between data and N(0, I); ``layers`` hidden layers of ``width``,
    ReLU. Points are those of the standardised data; ``sample`` undoes the standardisation.
    """

    alpha_bar: Tensor
    beta: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, d: int, *, steps: int = 100, layers: int = 4, width: int = 128) -> None:
        super().__init__()
        self.d = check_integer(d, "d", 1, 2**31 - 1)
        self.steps = check_integer(steps, "steps", 2, 100_000)
        layers = check_integer(layers, "layers", 1, 1000)
        width = check_integer(width, "width", 1, 100_000)
        sizes = [self.d + 1] + [width] * layers
        stack: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            stack += [nn.Linear(before, after), nn.ReLU()]
        self.net = nn.Sequential(*stack, nn.Linear(width, self.d))
        alpha_bar, beta = cosine_schedule(self.steps)
        self.register_buffer("alpha_bar", alpha_bar)
        self.register_buffer("beta", beta)
        self.register_buffer("mean", torch.zeros(self.d))
        self.register_buffer("std", torch.ones(self.d))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Map (b, d) noised points and int64 (b,) steps from 0 to the noise in them, (b, d)."""
        time = (2 * (t + 1) / self.steps - 1).to(x.dtype)
        noise: Tensor = self.net(torch.cat((x, time[:, None]), dim=1))
        return noise

    def noised(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return the points x (b, d) after t + 1 steps (equation 4 of Ho et al.)."""
        return noised(self.alpha_bar, x, t, noise)

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """Generate points, float32 (n, d), from N(0, I) to the data (algorithm 2 of Ho et al.)."""
        n = check_integer(n, "n", 0, 2**31 - 1)
        generator = torch.Generator().manual_seed(_torch_seed(seed, "diffusion sample"))
        x = torch.randn(n, self.d, generator=generator)
        for step in reversed(range(self.steps)):
            beta, kept = self.beta[step], self.alpha_bar[step]
            noise = self(x, torch.full((n,), step))
            x = (x - beta / (1 - kept).sqrt() * noise) / (1 - beta).sqrt()
            if step > 0:
                before = self.alpha_bar[step - 1]
                spread = (beta * (1 - before) / (1 - kept)).sqrt()
                x = x + spread * torch.randn(n, self.d, generator=generator)
        return (x * self.std + self.mean).numpy()


def noised(alpha_bar: Tensor, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Return x (b, ...) after t + 1 steps, t (b,), of a schedule (equation 4 of Ho et al.)."""
    kept = alpha_bar[t].view(-1, *(1,) * (x.ndim - 1))
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


def cosine_schedule(steps: int) -> tuple[Tensor, Tensor]:
    """Return the shares of signal left and noise added, float32 (steps,) each."""
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    left = torch.cos((t + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2
    beta = (1 - left[1:] / left[:-1]).clamp(max=_MAX_BETA)
    return torch.cumprod(1 - beta, 0).float(), beta.float()


def train_diffusion(
    X: Any,
    *,
    epochs: int,
    batch_size: int = 1000,
    lr: float = 1e-3,
    steps: int = 100,
    layers: int = 4,
    width: int = 128,
    seed: int = 0,
    **options: Any,
) -> tuple[Diffusion, History]:
    """Train on the points X (n, d), on the CPU; ``options`` go to ``train``.

    Raises what ``label`` raises for an X that makes no sense, and ValueError for a constant
    one. Reproducible from ``seed``; torch's own generator is left alone.
    """
    described = describe(X, "X")
    with unchanged(described):
        x = np.asarray(convert(described))
    scaling = Scaling.of(x)
    model = seeded(
        lambda: Diffusion(x.shape[1], steps=steps, layers=layers, width=width),
        _torch_seed(seed, "diffusion weights"),
    )
    model.mean.copy_(torch.from_numpy(scaling.mean))
    model.std.copy_(torch.from_numpy(scaling.std))

    def loss(_model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        t = torch.randint(steps, (len(x),), generator=generator)
        noise = torch.randn(x.shape, generator=generator)
        return nn.functional.mse_loss(model(model.noised(x, t, noise), t), noise)

    data = [torch.from_numpy(scaling.apply(x))]
    history = train(
        model,
        loss,
        data,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        draws=True,
        **options,
    )
    return model, history


def _torch_seed(seed: int, purpose: str) -> int:
    return derive(check_seed(seed), purpose) % 2**63
