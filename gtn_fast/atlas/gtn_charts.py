"""A GTN of images, seen as an atlas: its components are the charts, its normal source is z.

So geodesics run through a trained GTN, from a cluster to its neighbours by jumps, and all else that
asks an atlas can ask a GTN.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from gtn_fast.atlas.curves import jacobian
from gtn_fast.atlas.model import Atlas, chart_numbers
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training.seeds import derive
from gtn_fast.sample import normal

_TABLE = 4096  # draws of a component among which the search for z begins
_STARTS, _STEPS = 3, 15  # of the search for a z
_ROWS = 512  # searched together


class ImageCoder(Protocol):
    """An Autoencoder, a VAE, or a module like them: images in [-1, 1] to latents and back."""

    d: int
    channels: int
    side: int

    def encode(self, x: Tensor) -> Tensor:
        """Map (b, c, side, side) to (b, d)."""

    def decode(self, z: Tensor) -> Tensor:
        """Map (b, d) to (b, c, side, side)."""


class GTNAtlas(Atlas):
    """A fitted GTN of latents and the autoencoder that they are of.

    G_y(z) = decoder(x), x what the GTN makes of mean_y + std_y z (calibrated by the component's
    own map, and in the data's scale); z ~ N(0, I); one chart for each component of the mixture,
    with its weight, or for each class, whose map starts at z. psi(x): whose normal distribution
    explains the encoded image. F_y(x): ĥ has no inverse, so the z is searched whose point is
    nearest to the encoded image (Levenberg-Marquardt from the three nearest of 4,096 draws); where
    the component's points do not reach it, ``residual`` says by how much.

    ValueError unless the GTN is fitted, and the autoencoder's d is the GTN's; TypeError for no
    autoencoder.
    """

    kind = "gtn"

    def __init__(self, gtn: GTN, autoencoder: ImageCoder) -> None:
        if not isinstance(autoencoder, nn.Module) or not hasattr(autoencoder, "side"):
            raise TypeError(
                "autoencoder must be an Autoencoder, a VAE or a module like them,"
                f" got {type(autoencoder).__name__}"
            )
        if gtn.scaling is None:
            raise ValueError("this GTN has not learned anything yet: call fit, or GTN.load a file")
        if autoencoder.d != gtn.d:
            raise ValueError(f"the GTN has d = {gtn.d}, the autoencoder d = {autoencoder.d}")
        mixture, calibration = gtn.mixture, gtn.calibration
        charts = 1 if mixture is None else len(mixture.weights)
        super().__init__(gtn.d, charts, autoencoder.channels, autoencoder.side)
        self.h_hat, self.autoencoder = gtn.model, autoencoder
        self._by_class = gtn.classes is not None
        zero, one, eye = np.zeros((charts, gtn.d)), np.ones((charts, gtn.d)), np.eye(gtn.d)
        for name, value in (
            ("mean", zero if mixture is None else mixture.means),
            ("std", one if mixture is None else mixture.stds),
            ("data_mean", gtn.scaling.mean),
            ("data_std", gtn.scaling.std),
            ("matrix", np.stack([eye] * charts) if calibration is None else calibration.matrix),
            ("source", zero if calibration is None else calibration.source),
            ("target", zero if calibration is None else calibration.target),
        ):
            self.register_buffer(name, torch.from_numpy(np.asarray(value, np.float32)))
        if mixture is not None:
            self.weights = torch.from_numpy(mixture.weights)
        self.to(gtn.device).eval()
        self.table = torch.from_numpy(normal(derive(0, "inverse of ĥ"), 0, _TABLE, gtn.d))
        self._table_points: dict[int, Tensor] = {}

    def psi(self, x: Tensor) -> Tensor:
        """Return how well each component's normal distribution explains the latents of x."""
        gap = (self._standardised(x)[:, None] - self._of("mean")) / self._of("std")
        prior = self.weights.to(gap).log() - self._of("std").log().sum(dim=1)
        return torch.softmax(prior - gap.square().sum(dim=2) / 2, dim=1)

    def decode(self, z: Tensor, y: Tensor | int) -> Tensor:
        """Return G_y(z) of (b, d): images (b, channels, side, side) in [-1, 1]."""
        chart = chart_numbers(y, z, self.charts)
        latents = self._points(z, chart) * self._of("data_std") + self._of("data_mean")
        return cast(Tensor, self._coder.decode(latents))

    def encode(self, x: Tensor, y: Tensor | int) -> Tensor:
        """Return F_y(x), (b, d): the z whose point is nearest to the latents of x.

        Differentiable in x.
        """
        wanted = self._standardised(x)
        chart = chart_numbers(y, x, self.charts)
        z, _ = self._nearest(wanted.detach(), chart)
        if not wanted.requires_grad:
            return z
        # One step of Newton's method more changes nothing but that it knows its derivative.
        slope = jacobian(lambda z: self._points(z, chart), z)
        gap = wanted - self._points(z, chart).detach()
        step: Tensor = torch.linalg.lstsq(slope, gap[:, :, None]).solution
        return z + step[:, :, 0]

    def residual(self, x: Tensor, y: Tensor | int) -> Tensor:
        """Return how far G_y(F_y(x)) is from x in standardised latents, (b,)."""
        return self._nearest(self._standardised(x).detach(), chart_numbers(y, x, self.charts))[1]

    # -------------------------------------------------------------- parts

    @property
    def _coder(self) -> Any:
        return self.autoencoder

    def _of(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self, name))

    def _standardised(self, x: Tensor) -> Tensor:
        latents: Tensor = self._coder.encode(x)
        return (latents - self._of("data_mean")) / self._of("data_std")

    def _points(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the calibrated points of ĥ, standardised: (b, d)."""
        mean, std = self._of("mean")[y], self._of("std")[y]
        points: Tensor = self.h_hat(z, y) if self._by_class else self.h_hat(mean + std * z)
        moved = (points - self._of("source")[y])[:, None] @ self._of("matrix")[y]
        calibrated: Tensor = moved[:, 0] + self._of("target")[y]
        return mean + std * calibrated if self._by_class else calibrated

    @torch.no_grad()
    def _nearest(self, wanted: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the z (b, d) whose points are nearest to ``wanted``, and how near."""
        z, rest = torch.empty_like(wanted), torch.empty_like(wanted[:, 0])
        for chart in sorted(set(y.tolist())):
            for rows in (y == chart).nonzero()[:, 0].split(_ROWS):
                z[rows], rest[rows] = self._searched(wanted[rows], chart)
        return z, rest

    def _searched(self, wanted: Tensor, chart: int) -> tuple[Tensor, Tensor]:
        table = self.table.to(wanted.device)
        if chart not in self._table_points:
            of = torch.full((len(table),), chart, device=wanted.device)
            self._table_points[chart] = self._points(table, of)
        near = torch.cdist(wanted, self._table_points[chart].to(wanted))
        starts = near.topk(_STARTS, dim=1, largest=False).indices.reshape(-1)
        z, left = self._descended(table[starts], wanted.repeat_interleave(_STARTS, 0), chart)
        left, best = left.reshape(-1, _STARTS).min(dim=1)
        return z.reshape(-1, _STARTS, self.d)[torch.arange(len(best)), best], left

    def _descended(self, z: Tensor, wanted: Tensor, chart: int) -> tuple[Tensor, Tensor]:
        """Go down |points(z) - wanted|: damped steps, each row with a damping of its own."""
        y = torch.full((len(z),), chart, device=z.device)
        eye = torch.eye(self.d, device=z.device)
        damping = torch.full((len(z), 1, 1), 1e-2, device=z.device)
        gap = wanted - self._points(z, y)
        left = gap.square().sum(dim=1)
        for _ in range(_STEPS):
            slope = jacobian(lambda z: self._points(z, y), z)
            normal_ = slope.mT @ slope + damping * eye
            step = torch.linalg.solve(normal_, slope.mT @ gap[:, :, None])[:, :, 0]
            tried = wanted - self._points(z + step, y)
            found = tried.square().sum(dim=1)
            better = found < left
            z = torch.where(better[:, None], z + step, z)
            gap = torch.where(better[:, None], tried, gap)
            left = torch.where(better, found, left)
            damping = damping * torch.where(better, 0.2, 5.0)[:, None, None]
            damping = damping.clamp(1e-7, 1e4)
        return z, left.sqrt()
