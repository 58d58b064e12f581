"""The networks of an atlas: a trunk and a decoder that all charts share, and what each has alone.

Dense ones are for small images of few degrees of freedom, after Schonsheck, Chen and Lai.
Convolutional ones are appendix A of Stolberg-Larsen and Sommer, whose table 1 counts the
parameters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtn_fast.atlas.chart_layers import (
    ChartChoice,
    ChartConv,
    ChartLinear,
    ChartNorm,
    OfCharts,
    by_chart,
)
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.sizes import MAX_WIDTH, check_weights

MAX_CHARTS = 256
_PAPER_H = {1: 128, 2: 86, 4: 64, 8: 48, 16: 34}  # appendix A: models of about equal size
_LEAST_H = 4
_MOST_MEAN = 0.98  # tanh of the output bias: a pixel that is always black stays trainable
_GAIN = 2.0  # variance of a layer's weights times its inputs: what keeps size through SiLU
_FIRST_OUTPUT = 0.01  # of the last layer's weights: what is shown first is the mean
_SEEN = 1 << 22  # pixels that tell how images differ


class Networks(nn.Module):
    """Trunk, chart encoders, psi and decoders; b images (b, channels, side, side) in [-1, 1].

    ``heads``: how many times d a chart encoder gives (2: mean and log variance; 0: there are
    none). One chart has no psi.
    """

    name = ""
    has_batch_norm = False
    trunk: nn.Module
    flat: int  # numbers that the trunk gives
    choice: nn.Sequential | None
    shared: nn.Sequential

    def __init__(self, side: int, channels: int, d: int, charts: int, heads: int) -> None:
        super().__init__()
        self.side = check_integer(side, "side", 1, 1 << 14)
        self.channels = check_integer(channels, "channels", 1, 1 << 16)
        self.d = check_integer(d, "d", 1, 1 << 24)
        self.charts = check_integer(charts, "charts", 1, MAX_CHARTS)
        self.heads = check_integer(heads, "heads", 0, 2)

    def settings(self) -> dict[str, Any]:
        """Return what ``build`` makes such networks from, beside their sizes: JSON-able."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """Return what encoders and psi see of images."""
        return cast(Tensor, self.trunk(x))

    def logits(self, features: Tensor) -> Tensor:
        """Return log psi (b, m) up to a constant a row."""
        if self.choice is None:
            return torch.zeros(len(features), 1, device=features.device)
        return cast(Tensor, self.choice(features))

    def codes(self, features: Tensor) -> Tensor:
        """Return every chart encoder's answer, (b, m, heads d)."""
        raise NotImplementedError

    def code(self, features: Tensor, y: Tensor) -> Tensor:
        """Return the answer of each row's chart encoder y (b,), (b, heads d)."""
        raise NotImplementedError

    def shown(self, z: Tensor) -> Tensor:
        """Decode (b, m, d), each in its chart: (b, m, channels, side, side)."""
        raise NotImplementedError

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        """Decode (b, d), each in chart y (b,): (b, channels, side, side)."""
        raise NotImplementedError

    def start_from(self, images: Tensor) -> None:
        """Let the output begin at the mean of uint8 images (n, channels, side, side)."""
        raise NotImplementedError

    def encoder_matrices(self) -> list[Tensor]:
        """Return the layers of the chart encoders as matrices, (m, i, o) each."""
        raise NotImplementedError

    def adversary(self, inputs: int) -> nn.Module:
        """Make a network (b, inputs) -> (b, 1) that tells encoded from drawn z."""
        raise NotImplementedError

    def keep(self, charts: Sequence[int]) -> None:
        """Keep these charts, in this order."""
        for module in self.modules():
            if isinstance(module, OfCharts):
                module.keep(charts)
        self.charts = len(charts)
        if self.charts == 1:
            self.choice = None

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of G."""
        names = ("decoders", "decoder_", "shared")
        return [value for name, value in self.named_parameters() if name.startswith(names)]


def _stack(sizes: Sequence[int], last: bool = True) -> nn.Sequential:
    """Make linear layers with SiLU between them, and behind the last one if ``last``."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*(layers if last else layers[:-1]))


def _keep_size(networks: nn.Module) -> None:
    """Start all linear layers so that what passes keeps its size: He et al. (arXiv:1502.01852)."""
    for layer in networks.modules():
        if isinstance(layer, (nn.Linear, ChartLinear)):
            inputs = layer.weight.shape[1]  # (o, i) and (m, i, o)
            nn.init.normal_(layer.weight, std=math.sqrt(_GAIN / inputs))
            nn.init.zeros_(layer.bias)


def _deviation(pixels: Tensor) -> float:
    """Return the root mean variance of uint8 pixels (n, p) of the first images, in [-1, 1]."""
    some = pixels[: 2 + _SEEN // pixels.shape[1]].float() / 127.5
    return math.sqrt(float(some.var(dim=0, correction=0).mean()))


class Dense(Networks):
    """Dense layers, SiLU between them: smooth, as geodesics want it; tanh at the end.

    Trunk pixels -> width -> width -> embed; a chart's encoder embed -> chart -> chart -> d and
    decoder d -> chart -> chart -> embed; the shared decoder embed -> width -> width -> pixels.
    """

    name = "dense"

    def __init__(
        self,
        side: int,
        channels: int,
        d: int,
        charts: int,
        *,
        heads: int = 1,
        width: int = 256,
        embed: int = 64,
        chart: int = 64,
    ) -> None:
        super().__init__(side, channels, d, charts, heads)
        for what, value in (("width", width), ("embed", embed), ("chart", chart)):
            check_integer(value, what, 1, MAX_WIDTH)
        self.width, self.embed, self.chart = width, embed, chart
        pixels = channels * side * side
        check_weights(2 * pixels * width, f"dense networks of width {width} for {pixels} pixels")
        self.flat = embed
        self.trunk = nn.Sequential(nn.Flatten(), *_stack((pixels, width, width, embed)))
        sizes = (embed, chart, chart, heads * d)
        self.encoders = nn.ModuleList(
            [ChartLinear(charts, i, o) for i, o in itertools.pairwise(sizes)] if heads else []
        )
        self.choice = None
        if charts > 1:
            self.choice = nn.Sequential(*_stack((embed, chart)), ChartChoice(chart, charts))
        sizes = (d, chart, chart, embed)
        self.decoders = nn.ModuleList(
            [ChartLinear(charts, i, o) for i, o in itertools.pairwise(sizes)]
        )
        self.shared = nn.Sequential(*_stack((embed, width, width, pixels), last=False), nn.Tanh())
        _keep_size(self)

    def settings(self) -> dict[str, Any]:
        """Return the widths."""
        return {"name": "dense", "width": self.width, "embed": self.embed, "chart": self.chart}

    def codes(self, features: Tensor) -> Tensor:
        """Return every chart encoder's answer, (b, m, heads d)."""
        first, middle, last = cast(list[ChartLinear], self.encoders)
        hidden = functional.silu(middle.every(functional.silu(first.every(features))))
        return last.every(hidden).transpose(0, 1)

    def code(self, features: Tensor, y: Tensor) -> Tensor:
        """Return the answer of each row's chart encoder y (b,), (b, heads d)."""
        first, middle, last = cast(list[ChartLinear], self.encoders)

        def one(rows: Tensor, chart: int) -> Tensor:
            hidden = functional.silu(first.one(rows, chart))
            return last.one(functional.silu(middle.one(hidden, chart)), chart)

        return by_chart(one, features, y, self.charts)

    def shown(self, z: Tensor) -> Tensor:
        """Decode (b, m, d), each in its chart: (b, m, channels, side, side)."""
        hidden = z.transpose(0, 1)
        for layer in cast(list[ChartLinear], self.decoders):
            hidden = functional.silu(layer.every(hidden))
        pixels = cast(Tensor, self.shared(hidden)).transpose(0, 1)
        return pixels.reshape(*pixels.shape[:2], self.channels, self.side, self.side)

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        """Decode (b, d), each in chart y (b,): (b, channels, side, side)."""

        def one(rows: Tensor, chart: int) -> Tensor:
            for layer in cast(list[ChartLinear], self.decoders):
                rows = functional.silu(layer.one(rows, chart))
            return rows

        pixels = cast(Tensor, self.shared(by_chart(one, z, y, self.charts)))
        return pixels.reshape(-1, self.channels, self.side, self.side)

    def start_from(self, images: Tensor) -> None:
        """Let every pixel begin at its mean over uint8 images, and the trunk see what differs.

        Of bright spots on black nearly all that a layer sees is the same for every image, and from
        torch's own start each of a dozen layers halves the rest: autoencoders stayed at the mean.
        """
        pixels = images.flatten(1)
        mean = pixels.sum(dim=0, dtype=torch.int64).double() / len(images) / 127.5 - 1
        spread = max(_deviation(pixels), 1 / 255)
        first = cast(nn.Linear, cast(nn.Sequential, self.trunk)[1])
        last = cast(nn.Linear, self.shared[-2])
        with torch.no_grad():
            first.weight /= spread
            first.bias.copy_(-(first.weight.double() @ mean))
            last.weight *= _FIRST_OUTPUT
            last.bias.copy_(torch.atanh(mean.clamp(-_MOST_MEAN, _MOST_MEAN)))

    def encoder_matrices(self) -> list[Tensor]:
        """Return the layers of the chart encoders as matrices, (m, i, o) each."""
        return [layer.weight for layer in cast(list[ChartLinear], self.encoders)]

    def adversary(self, inputs: int) -> nn.Module:
        """Make a network (b, inputs) -> (b, 1) that tells encoded from drawn z."""
        return _stack((inputs, self.width, self.width, self.width, 1), last=False)


class Conv(Networks):
    """Appendix A of Stolberg-Larsen and Sommer; ``h`` is the width, of table 1 by default.

    Its reading is fixed by the parameter counts of table 1: convolutions have no bias,
    transposed ones do, the last transposed one has stride 1, and its last row and column are cut.
    """

    name = "conv"
    has_batch_norm = True

    def __init__(
        self, side: int, channels: int, d: int, charts: int, *, heads: int = 1, h: int | None = None
    ) -> None:
        super().__init__(side, channels, d, charts, heads)
        if side % 4 or side < 16:
            raise ValueError(
                "the side of images for convolutions must be divisible by 4 and at least 16,"
                f" got {side}"
            )
        self.h = h = check_integer(h_for(charts) if h is None else h, "h", 1, MAX_WIDTH)
        self.quarter = side // 4
        self.small = side // 8 // 2  # the side after four convolutions
        flat = 8 * h * self.small**2
        layers: list[nn.Module] = []
        for before, after in ((channels, h), (h, 2 * h), (2 * h, 4 * h)):
            layers += [
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.SiLU(),
            ]
        self.trunk = nn.Sequential(*layers)
        self.flat = 4 * h * (side // 8) ** 2
        self.encoders = nn.ModuleList(
            [ChartConv(charts, 4 * h, 8 * h), ChartNorm(charts, 8 * h),
             ChartLinear(charts, flat, heads * d)] if heads else []
        )  # fmt: skip
        self.choice = None
        if charts > 1:
            self.choice = nn.Sequential(
                nn.Conv2d(4 * h, 8 * h, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(8 * h),
                nn.SiLU(),
                nn.Flatten(),
                ChartChoice(flat, charts),
            )
        self.decoder_linear = ChartLinear(charts, d, 8 * h * self.quarter**2)
        self.decoder_conv = ChartConv(charts, 8 * h, 4 * h, transposed=True)
        self.decoder_norm = ChartNorm(charts, 4 * h)
        self.shared = nn.Sequential(
            nn.ConvTranspose2d(4 * h, 2 * h, 4, stride=2, padding=1),
            nn.BatchNorm2d(2 * h),
            nn.SiLU(),
            nn.ConvTranspose2d(2 * h, channels, 4, stride=1, padding=1),
            nn.Tanh(),
        )

    def settings(self) -> dict[str, Any]:
        """Return the width."""
        return {"name": "conv", "h": self.h}

    def codes(self, features: Tensor) -> Tensor:
        """Return every chart encoder's answer, (b, m, heads d)."""
        conv, norm, linear = self.encoders
        maps = functional.silu(cast(ChartNorm, norm).every(cast(ChartConv, conv).every(features)))
        rows = maps.reshape(len(maps), self.charts, -1).transpose(0, 1)
        return cast(ChartLinear, linear).every(rows).transpose(0, 1)

    def code(self, features: Tensor, y: Tensor) -> Tensor:
        """Return the answer of each row's chart encoder y (b,), (b, heads d)."""
        conv, norm, linear = self.encoders

        def one(rows: Tensor, chart: int) -> Tensor:
            maps = cast(ChartNorm, norm).one(cast(ChartConv, conv).one(rows, chart), chart)
            return cast(ChartLinear, linear).one(functional.silu(maps).flatten(1), chart)

        return by_chart(one, features, y, self.charts)

    def _pictures(self, maps: Tensor) -> Tensor:
        return cast(Tensor, self.shared(maps))[..., : self.side, : self.side]

    def shown(self, z: Tensor) -> Tensor:
        """Decode (b, m, d), each in its chart: (b, m, channels, side, side)."""
        rows = functional.silu(self.decoder_linear.every(z.transpose(0, 1))).transpose(0, 1)
        maps = rows.reshape(len(rows), -1, self.quarter, self.quarter)
        maps = functional.silu(self.decoder_norm.every(self.decoder_conv.every(maps)))
        pictures = self._pictures(maps.reshape(-1, 4 * self.h, *maps.shape[2:]))
        return pictures.reshape(len(z), self.charts, *pictures.shape[1:])

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        """Decode (b, d), each in chart y (b,): (b, channels, side, side)."""

        def one(rows: Tensor, chart: int) -> Tensor:
            rows = functional.silu(self.decoder_linear.one(rows, chart))
            maps = rows.reshape(-1, 8 * self.h, self.quarter, self.quarter)
            maps = self.decoder_norm.one(self.decoder_conv.one(maps, chart), chart)
            return functional.silu(maps)

        return self._pictures(by_chart(one, z, y, self.charts))

    def start_from(self, images: Tensor) -> None:
        """Let every channel begin at its mean colour over uint8 images."""
        pixels = images.numel() // self.channels
        mean = images.sum(dim=(0, 2, 3), dtype=torch.int64).double() / pixels / 127.5 - 1
        with torch.no_grad():
            last = cast(nn.ConvTranspose2d, self.shared[-2])
            cast(Tensor, last.bias).copy_(torch.atanh(mean.clamp(-_MOST_MEAN, _MOST_MEAN)))

    def encoder_matrices(self) -> list[Tensor]:
        """Return the layers of the chart encoders as matrices, (m, i, o) each."""
        conv, _, linear = self.encoders
        return [cast(ChartConv, conv).weight.flatten(2), cast(ChartLinear, linear).weight]

    def adversary(self, inputs: int) -> nn.Module:
        """Make a network (b, inputs) -> (b, 1) that tells encoded from drawn z."""
        layers: list[nn.Module] = []
        for before in (inputs, *[4 * self.h] * 3):
            layers += [nn.Linear(before, 4 * self.h), nn.BatchNorm1d(4 * self.h), nn.SiLU()]
        return nn.Sequential(*layers, nn.Linear(4 * self.h, 1))


def h_for(charts: int, width: float = 1.0) -> int:
    """Return appendix A's h for so many charts, times ``width``: at least 4.

    Between the numbers of charts of the paper, that of the next larger one.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"width must be a finite number above 0, got {width}")
    base = next((h for most, h in _PAPER_H.items() if charts <= most), _PAPER_H[16])
    return max(_LEAST_H, round(base * width))


KINDS: dict[str, type[Networks]] = {"dense": Dense, "conv": Conv}


def build(
    side: int, channels: int, d: int, charts: int, heads: int, settings: Mapping[str, Any]
) -> Networks:
    """Make the networks that ``settings`` (name and widths) describe; ValueError for others."""
    given = dict(settings)
    name = given.pop("name", None)
    if name not in KINDS:
        raise ValueError(f"unknown networks {name!r}; valid: {', '.join(KINDS)}")
    allowed = {"dense": {"width", "embed", "chart"}, "conv": {"h"}}[str(name)]
    for key in given:
        if key not in allowed:
            valid = ", ".join(sorted(allowed))
            raise ValueError(f"{name} networks have no setting {key!r}; valid: {valid}")
    made: Any = KINDS[str(name)]
    return cast(Networks, made(side, channels, d, charts, heads=heads, **given))
