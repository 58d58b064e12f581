"""GAN and InfoGAN (Chen et al. 2016): decoders, and psi on the discriminator's trunk.

There are no encoders: a semi-atlas. psi (Q in InfoGAN) learns to tell from an image which chart
it was drawn in, and the decoders learn to make that easy. The discriminator's gradient on
real images is kept small (R1, Mescheder et al. 2018). All players move in the same step
(learn/adversary.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtn_fast.atlas import families
from gtn_fast.atlas.families import Objective, check_number, randn, random_charts
from gtn_fast.atlas.model import NetworkAtlas
from gtn_fast.learn.adversary import frozen
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.seeds import derive

_PENALTY_EVERY = 4


class GANLoss(Objective):
    """The generator's, the discriminator's and the chart's loss, in one sum."""

    def __init__(self, atlas: NetworkAtlas, *, mi: float = 1.0, gamma: float = 1.0) -> None:
        super().__init__(atlas)
        self.mi, self.gamma = mi, gamma
        self.told = nn.Linear(atlas.networks.flat, 1)

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the sum of the losses."""
        made = self.losses(x, generator)
        return made[0] + made[1] + made[2]

    def losses(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return generator's softplus(-D), discriminator's with R1, and -mi log psi_y.

        The last reaches decoders, trunk and psi, not the real-or-made head.
        """
        atlas, networks, m = self.atlas, self.atlas.networks, self.atlas.charts
        judge = nn.Sequential(networks.trunk, nn.Flatten(), self.told)
        z = randn((len(x), atlas.d), x, generator)
        y = random_charts(len(x), m, x, generator)
        made = networks.decode(z, y)
        generating = functional.softplus(-frozen(judge)(made)).mean()
        judging = (
            functional.softplus(-judge(x)).mean() + functional.softplus(judge(made.detach())).mean()
        )
        if self.gamma and self.training and int(self.step) % _PENALTY_EVERY == 0:
            judging = judging + self._penalty(judge, x)
        chart = torch.zeros((), device=x.device)
        if self.mi and m > 1:
            said = torch.log_softmax(networks.logits(networks.features(made)), dim=1)
            chart = -self.mi * said.gather(1, y[:, None]).mean()
        return generating, judging, chart

    def _penalty(self, judge: nn.Module, x: Tensor) -> Tensor:
        real = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(judge(real).sum(), real, create_graph=True)
        return _PENALTY_EVERY * self.gamma / 2 * slope.flatten(1).square().sum(1).mean()


def train_infogan(
    images: Any,
    d: int,
    charts: int = 1,
    *,
    val: Any = None,
    networks: str | Mapping[str, Any] = "dense",
    h: int | None = None,
    epochs: int,
    batch_size: int = 128,
    lr: float = 2e-4,
    discriminator_lr: float = 1e-3,
    betas: tuple[float, float] = (0.5, 0.999),
    seed: int = 0,
    mi: float = 1.0,
    gamma: float = 1.0,
    **training: Any,
) -> tuple[NetworkAtlas, History]:
    """Train an InfoGAN on square uint8 images (n, c, h, w); with one chart a plain GAN.

    ``mi`` weighs the mutual information of chart and image, ``gamma`` the penalty R1; ``lr`` is
    the decoders', ``discriminator_lr`` that of the trunk, both its heads included: the larger one,
    as in WAE-GANs (with InfoGAN's own, the other way round, dense networks learn nothing of bright
    spots on black). The prior is uniform over charts times N(0, I). The rest is ``train``'s;
    errors as ``train_cae``'s.
    """
    settings = {"mi": check_number("mi", mi), "gamma": check_number("gamma", gamma)}
    atlas, data, held_out = families.start("gan", images, val, d, charts, networks, h, seed)
    objective = seeded(lambda: GANLoss(atlas, **settings), derive(seed, "discriminator"))
    decoders = atlas.networks.decoder_parameters()
    known = set(map(id, decoders))
    history = families.fit(
        objective,
        data,
        held_out,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        betas=betas,
        groups=[
            (decoders, lr),
            ([p for p in objective.parameters() if id(p) not in known], discriminator_lr),
        ],
        seed=seed,
        identity=settings,
        **{"title": "GAN" if charts == 1 else "InfoGAN", **training},
    )
    return atlas, history
