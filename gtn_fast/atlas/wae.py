"""WAE-GAN (Tolstikhin et al.) and atlas WAE-GAN (Korman; Stolberg-Larsen and Sommer).

Deterministic encoders and decoders; an adversary T tells encoded (z, y) from those of the prior
N(0, I) x uniform, and the encoders learn to deceive it. The sum over charts is exact. One chart
is the WAE-GAN. In Tolstikhin's code, unlike in the paper, the squared error has a factor of 0.05,
which makes lam = 10 mean what it means there, and a noise of 0.01 is added to what is encoded;
both are here. Its matching of moments before the training is not. Encoders and adversary move in
the same step (learn/adversary.py), not in turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtn_fast.atlas import families
from gtn_fast.atlas.families import Objective, check_number, errors, randn, random_charts
from gtn_fast.atlas.model import NetworkAtlas
from gtn_fast.learn.adversary import frozen
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.optimizer import halving
from gtn_fast.learn.training.seeds import derive

COSTS = ("wae", "l2")
# Appendix A of Stolberg-Larsen and Sommer: what ``train_wae`` takes for a set of images.
PAPER: dict[str, dict[str, Any]] = {
    "mnist": {"epochs": 80, "batch_size": 100, "lr": 2e-4, "adversary_lr": 1e-4,
              "schedule": halving((5, 25, 50))},
    "fashion-mnist": {"epochs": 80, "batch_size": 128, "lr": 1e-4, "adversary_lr": 5e-5,
                      "schedule": halving((15, 30, 50, 70))},
}  # fmt: skip
_SQUARED, _PLAIN = 0.05, 0.2  # weights of the two costs: Tolstikhin's code, Korman's


class WAELoss(Objective):
    """The encoders' and decoders' loss and the adversary's, each blind to the other's weights."""

    def __init__(
        self, atlas: NetworkAtlas, *, lam: float = 10.0, cost: str = "wae", noise: float = 0.01
    ) -> None:
        super().__init__(atlas)
        self.lam, self.cost, self.noise = lam, cost, noise
        many = atlas.charts if atlas.charts > 1 else 0
        self.adversary = atlas.networks.adversary(atlas.d + many)

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the sum of both losses: one backward gives each player its own gradient."""
        encoders, adversary = self.losses(x, generator)
        return encoders + adversary

    def losses(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the mean of sum_y psi_y [cost + lam softplus(-T)], and the adversary's loss."""
        networks, m = self.atlas.networks, self.atlas.charts
        seen = x
        if self.training and self.noise:  # in units of [0, 1]
            seen = x + 2 * self.noise * randn(tuple(x.shape), x, generator)
        features = networks.features(seen)
        psi = torch.softmax(networks.logits(features), dim=1)
        z = networks.codes(features)
        e = errors(x, networks.shown(z))
        cost = _SQUARED * e if self.cost == "wae" else _PLAIN * (4 * e + 1e-12).sqrt()
        y = torch.arange(m, device=x.device).repeat(len(x))
        deceived = functional.softplus(-self._told(frozen(self.adversary), z.flatten(0, 1), y))
        encoders = (psi * (cost + self.lam * deceived.reshape(psi.shape))).sum(1).mean()

        drawn_z = randn((len(x), self.atlas.d), x, generator)
        drawn_y = random_charts(len(x), m, x, generator)
        encoded = functional.softplus(self._told(self.adversary, z.detach().flatten(0, 1), y))
        adversary = (
            functional.softplus(-self._told(self.adversary, drawn_z, drawn_y)).mean()
            + (psi.detach() * encoded.reshape(psi.shape)).sum(1).mean()
        )
        return encoders, adversary

    def _told(self, adversary: Any, z: Tensor, y: Tensor) -> Tensor:
        """Return T(z, y), (b,): above 0 for what it takes for the prior's."""
        if self.atlas.charts > 1:
            z = torch.cat((z, functional.one_hot(y, self.atlas.charts).to(z.dtype)), dim=1)
        told: Tensor = adversary(z)[:, 0]
        return told


def train_wae(
    images: Any,
    d: int,
    charts: int = 1,
    *,
    val: Any = None,
    networks: str | Mapping[str, Any] = "dense",
    h: int | None = None,
    epochs: int,
    batch_size: int = 100,
    lr: float = 1e-3,
    adversary_lr: float | None = None,
    betas: tuple[float, float] = (0.5, 0.999),
    seed: int = 0,
    lam: float = 10.0,
    cost: str = "wae",
    noise: float = 0.01,
    **training: Any,
) -> tuple[NetworkAtlas, History]:
    """Train a WAE-GAN, or with charts an atlas WAE-GAN, on square uint8 images (n, c, h, w).

    ``lam`` weighs the adversary, whose rate is half of ``lr`` by default; ``cost``: "wae", 0.05
    of the squared error of [0, 1], or "l2", 0.2 of the distance in [-1, 1]; ``noise`` is added to
    what is encoded, in units of [0, 1]. The prior is uniform over charts times N(0, I).
    ``PAPER`` has the settings of two sets. The rest is ``train``'s; errors as ``train_cae``'s.
    """
    if cost not in COSTS:
        raise ValueError(f"unknown cost {cost!r}; valid: {', '.join(COSTS)}")
    settings: dict[str, Any] = {
        "lam": check_number("lam", lam), "cost": cost, "noise": check_number("noise", noise)
    }  # fmt: skip
    atlas, data, held_out = families.start("wae", images, val, d, charts, networks, h, seed)
    objective = seeded(lambda: WAELoss(atlas, **settings), derive(seed, "adversary"))
    other: nn.Module = objective.adversary
    history = families.fit(
        objective,
        data,
        held_out,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        betas=betas,
        groups=[
            (list(atlas.parameters()), lr),
            (list(other.parameters()), lr / 2 if adversary_lr is None else adversary_lr),
        ],
        seed=seed,
        identity=settings,
        **{"title": "WAE-GAN" if charts == 1 else "atlas WAE-GAN", **training},
    )
    return atlas, history
