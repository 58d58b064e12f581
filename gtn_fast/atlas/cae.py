"""The chart autoencoder of Schonsheck, Chen and Lai (arXiv:1912.10094), and prices for its charts.

Its loss, (7) of Stolberg-Larsen and Sommer, is the error in the best chart, and a cross entropy
that teaches psi which charts are good: l = softmax(-e). (The latter print softmax(e), which
would teach the worst; the former have the minus.) The z of every chart lie in the unit cube.

Prices are not in either paper. Without them one chart takes half of the data and others a few
per cent. A chart whose share of a batch is above 1 / m becomes dearer, one below cheaper, and an
image goes to the chart of least error and price; for the last half of the epochs prices are gone.
Nor is the price of the cube's edge: codes that all run against one wall, where the sigmoid is flat,
never come back, and the autoencoder shows the mean for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gtn_fast.atlas import families
from gtn_fast.atlas.families import Objective, check_number, edge_price, errors
from gtn_fast.atlas.model import NetworkAtlas
from gtn_fast.atlas.start import START_STEPS, start_apart
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.optimizer import cosine
from gtn_fast.system.openmp import computes_by_torch
from gtn_fast.vision.tensors import batches, to_unit

_LIPSCHITZ_EVERY = 8  # a singular value decomposition a step would cost as much as the step


class ChartLoss(Objective):
    """(7), the Lipschitz price of the chart encoders, and prices of the charts."""

    price: Tensor

    def __init__(
        self,
        atlas: NetworkAtlas,
        *,
        temperature: float = 1.0,
        lipschitz: float = 1e-2,
        balance: float = 0.2,
        balanced_epochs: int = 0,
    ) -> None:
        super().__init__(atlas)
        self.temperature, self.lipschitz = temperature, lipschitz
        self.balance, self.balanced_epochs = balance, balanced_epochs
        self.register_buffer("price", torch.zeros(atlas.charts))

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the mean of min_y e_y - sum_y l_y log psi_y, and the prices of slope and edge."""
        networks, priced = self.atlas.networks, self.training and self._balancing()
        features = networks.features(x)
        price = self.price if priced else torch.zeros_like(self.price)
        if networks.has_batch_norm:
            codes = networks.codes(features)
            e = errors(x, networks.shown(self.atlas.placed(codes)))
            chosen = (e.detach() - price).argmin(1)
            best = e.gather(1, chosen[:, None])[:, 0]
            code = codes[torch.arange(len(x), device=x.device), chosen]
        else:  # the gradient is that of the chosen chart alone: the others need none
            with torch.no_grad():
                e = errors(x, networks.shown(self.atlas.placed(networks.codes(features))))
            chosen = (e - price).argmin(1)
            code = networks.code(features, chosen)
            best = errors(x, networks.decode(self.atlas.placed(code), chosen)[:, None])[:, 0]
        target = torch.softmax((price - e.detach()) / self.temperature, dim=1)
        said = torch.log_softmax(networks.logits(features), dim=1)
        value = (best + edge_price(code)).mean() - (target * said).sum(1).mean()
        if priced:
            self._move_prices(chosen, best.detach().mean())
        if self.lipschitz and self.training and int(self.step) % _LIPSCHITZ_EVERY == 0:
            value = value + self.lipschitz * _LIPSCHITZ_EVERY * self._slopes()
        return value

    def _balancing(self) -> bool:
        return self.balance > 0 and self.atlas.charts > 1 and self.epoch() <= self.balanced_epochs

    def _move_prices(self, chosen: Tensor, error: Tensor) -> None:
        share = torch.bincount(chosen, minlength=self.atlas.charts) / len(chosen)
        self.price += self.balance * error * (1 / self.atlas.charts - share)
        self.price -= self.price.mean()

    def _slopes(self) -> Tensor:
        """Return max and mean over charts of a bound on the slope of F_y."""
        slopes = torch.ones_like(self.price)
        for matrix in self.atlas.networks.encoder_matrices():
            slopes = slopes * torch.linalg.matrix_norm(matrix, ord=2)
        return slopes.max() + slopes.mean()


def train_cae(
    images: Any,
    d: int,
    charts: int,
    *,
    val: Any = None,
    networks: str | Mapping[str, Any] = "dense",
    h: int | None = None,
    epochs: int,
    batch_size: int = 128,
    lr: float = 2e-3,
    weight_decay: float = 0.0,
    seed: int = 0,
    temperature: float = 1.0,
    lipschitz: float = 1e-2,
    balance: float = 0.2,
    start_steps: int = START_STEPS,
    **training: Any,
) -> tuple[NetworkAtlas, History]:
    """Train a chart autoencoder on square uint8 images (n, c, h, w).

    Learning rates go down a cosine to 2 %. ``balance`` is the rate of the prices (0: the paper's
    loss), ``lipschitz`` the weight of the encoders' slopes, ``temperature`` that of the softmax.
    ``networks``: "dense", "conv" or their settings, ``h`` the width of "conv". Its prior is each
    chart's share of the images, z uniform in the cube. ``start_steps`` of 128 images teach each
    chart a connected region of the images first (0: none do). The rest is ``train``'s. TypeError or
    ValueError for images of another kind, shape or number (one a chart at least), and settings
    that make no sense.
    """
    for name, value in (("lipschitz", lipschitz), ("balance", balance)):
        check_number(name, value)
    if check_number("temperature", temperature) == 0:
        raise ValueError("temperature must be above 0, got 0")
    epochs = check_integer(epochs, "epochs", 1, 2**31 - 1)
    start_steps = check_integer(start_steps, "start_steps", 0, 2**31 - 1)
    atlas, data, held_out = families.start("cae", images, val, d, charts, networks, h, seed)
    goes_on = training.get("checkpoint") is not None and Path(training["checkpoint"]).exists()
    if charts > 1 and start_steps and not goes_on:
        shared = {name: training[name] for name in ("device", "progress") if name in training}
        start_apart(atlas, data, seed, start_steps, **{"progress": None, **shared})
    settings = {"temperature": temperature, "lipschitz": lipschitz, "balance": balance}
    history = families.fit(
        ChartLoss(atlas, balanced_epochs=epochs // 2, **settings),
        data,
        held_out,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        seed=seed,
        identity={**settings, "start_steps": start_steps},
        **{"schedule": cosine(epochs), "title": "chart autoencoder", **training},
    )
    set_use(atlas, data)
    return atlas, history


def set_use(atlas: NetworkAtlas, images: Any) -> None:
    """Let the prior of the charts be their shares of uint8 images."""
    charts, _ = atlas.charted(images)
    use = torch.bincount(torch.from_numpy(charts), minlength=atlas.charts).double()
    atlas.weights.copy_(use / use.sum())


@computes_by_torch
@torch.no_grad()
def prune(atlas: NetworkAtlas, images: Any, tolerance: float = 0.02) -> list[int]:
    """Drop the charts that uint8 images hardly need, in place; return the numbers of the kept.

    The chart of least use goes, as long as the mean error of the images, each in the chart
    that psi names, grows by at most ``tolerance`` of itself in all; one stays. The prior becomes
    the kept charts' shares of the images.
    """
    check_number("tolerance", tolerance)
    checked, where = atlas.checked(images), atlas.weights.device
    error, said = [], []
    for part in batches(checked, 512):
        x = to_unit(part.to(where))
        networks = atlas.networks
        features = networks.features(x)
        error.append(errors(x, networks.shown(atlas.placed(networks.codes(features)))).cpu())
        said.append(networks.logits(features).cpu())
    e, logits = torch.cat(error).double(), torch.cat(said)

    def of(kept: list[int]) -> tuple[float, Tensor]:
        best = logits[:, kept].argmax(1)
        mean = float(e[:, kept].gather(1, best[:, None]).mean())
        return mean, torch.bincount(best, minlength=len(kept))

    kept = list(range(atlas.charts))
    limit = of(kept)[0] * (1 + tolerance)
    while len(kept) > 1:
        least = int(of(kept)[1].argmin())
        fewer = kept[:least] + kept[least + 1 :]
        if of(fewer)[0] > limit:
            break
        kept = fewer
    atlas.keep(kept)
    use = of(kept)[1].double()
    atlas.weights.copy_(use / use.sum())
    return kept
