"""The atlas VAE: q(y | x) = psi, a Gaussian q(z | y, x) a chart, the sum over charts exact.

The bound (1), (2) of Stolberg-Larsen and Sommer, and the mutual information of a drawn y and
its image (5), as in InfoCatVAE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gtn_fast.atlas import families
from gtn_fast.atlas.families import Objective, check_number, errors, randn, random_charts
from gtn_fast.atlas.model import NetworkAtlas
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.training.loop import History


class VAELoss(Objective):
    """What is minimised: the negative bound, up to a constant, minus the information."""

    def __init__(
        self, atlas: NetworkAtlas, *, beta: float = 1.0, mi: float = 1.0, warmup: int = 5
    ) -> None:
        super().__init__(atlas)
        self.beta, self.mi, self.warmup = beta, mi, warmup

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean of sum_y psi_y [4 e_y + beta KL_y] + KL(psi | 1/m) - mi I.

        4 e is the squared error in [-1, 1]. The KL terms grow from 1 / warmup of themselves: from
        the start in full, psi often falls to one chart.
        """
        networks, m = self.atlas.networks, self.atlas.charts
        part = 1.0
        if self.training and self.warmup:
            part = min(1.0, self.epoch() / self.warmup)
        features = networks.features(x)
        log_psi = torch.log_softmax(networks.logits(features), dim=1)
        mu, logvar = networks.codes(features).chunk(2, dim=2)
        z = mu + randn(tuple(mu.shape), mu, generator) * torch.exp(0.5 * logvar)
        divergence = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(2)
        bound = 4 * errors(x, networks.shown(z)) + part * self.beta * divergence
        value = (log_psi.exp() * (bound + part * (log_psi + math.log(m)))).sum(1).mean()
        if self.mi and m > 1:
            value = value - self.mi * self._information(x, generator)
        return value

    def _information(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean of log psi_y(G_y(z)) + log m over (z, y) of the prior."""
        networks, m = self.atlas.networks, self.atlas.charts
        z = randn((len(x), self.atlas.d), x, generator)
        y = random_charts(len(x), m, x, generator)
        logits = networks.logits(networks.features(networks.decode(z, y)))
        said = torch.log_softmax(logits, dim=1).gather(1, y[:, None])
        return said.mean() + math.log(m)


def train_atlas_vae(
    images: Any,
    d: int,
    charts: int,
    *,
    val: Any = None,
    networks: str | Mapping[str, Any] = "dense",
    h: int | None = None,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    seed: int = 0,
    beta: float = 1.0,
    mi: float = 1.0,
    warmup: int = 5,
    **training: Any,
) -> tuple[NetworkAtlas, History]:
    """Train an atlas VAE on square uint8 images (n, c, h, w); one chart is a VAE.

    ``beta`` weighs KL(q(z | y, x) | N(0, I)), ``mi`` the mutual information; over ``warmup``
    epochs the KL terms grow to their weight. F_y is the mean of q(z | y, x); the prior is uniform
    over charts times N(0, I). The rest is ``train``'s; errors as ``train_cae``'s.
    """
    settings: dict[str, Any] = {
        "beta": check_number("beta", beta),
        "mi": check_number("mi", mi),
        "warmup": check_integer(warmup, "warmup", 0, 2**31 - 1),
    }
    atlas, data, held_out = families.start("vae", images, val, d, charts, networks, h, seed)
    history = families.fit(
        VAELoss(atlas, **settings),
        data,
        held_out,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        identity=settings,
        **{"title": "atlas VAE", **training},
    )
    return atlas, history
