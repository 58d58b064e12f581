"""A small U-Net for diffusion in pixels (Ho, Jain and Abbeel 2020, Ronneberger et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.sizes import MAX_WIDTH, check_weights

GROUPS = 8  # of a group norm
_TIMES = 64  # sines and cosines that a network sees of the time
_LONGEST = 10_000.0  # period of the slowest, as in transformers


class Block(nn.Module):
    """A residual block that is told the time: (b, i, s, s), (b, _TIMES) -> (b, o, s, s)."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(i), nn.SiLU(), nn.Conv2d(i, o, 3, padding=1))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(_TIMES, o))
        self.second = nn.Sequential(_norm(o), nn.SiLU(), nn.Conv2d(o, o, 3, padding=1))
        self.past = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return the block's answer."""
        h = self.first(x) + self.time(time)[:, :, None, None]
        return cast(Tensor, self.second(h) + self.past(x))


class UNet(nn.Module):
    """Noised images (b, c, side, side) and int64 times (b,) -> numbers of the same shape.

    A level for each of ``widths``, half the side of the one before, with a block on the way down
    and one on the way up, and one block in the middle; no attention. ``patch``: so many pixels of a
    side are one place of the first level, for speed. It begins as zero. ValueError for
    widths that are no multiples of 8, and a side that ``patch`` does not divide.
    """

    def __init__(
        self, channels: int, side: int, widths: Sequence[int] = (32, 64, 64), patch: int = 1
    ) -> None:
        super().__init__()
        self.channels = check_integer(channels, "channels", 1, 1 << 16)
        self.side = check_integer(side, "side", 1, 1 << 14)
        self.widths = [check_integer(each, "a width", GROUPS, MAX_WIDTH) for each in widths]
        self.patch = check_integer(patch, "patch", 1, self.side)
        if not self.widths or any(each % GROUPS for each in self.widths):
            raise ValueError(f"widths must be multiples of {GROUPS}, got {self.widths}")
        if self.side % self.patch:
            raise ValueError(f"patch must divide the side of the images, {side}, got {patch}")
        check_weights(30 * sum(each**2 for each in self.widths), f"a U-Net of {self.widths}")
        seen, pixels = self.widths[0], self.channels * self.patch**2
        self.time = nn.Sequential(nn.Linear(_TIMES, _TIMES), nn.SiLU(), nn.Linear(_TIMES, _TIMES))
        self.open = nn.Conv2d(pixels, seen, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for width in self.widths:
            self.down.append(Block(seen, width))
            seen = width
        self.middle = Block(seen, seen)
        for width in reversed(self.widths):
            self.up.append(Block(seen + width, width))
            seen = width
        self.close = nn.Sequential(_norm(seen), nn.SiLU(), nn.Conv2d(seen, pixels, 3, padding=1))
        nn.init.zeros_(cast(nn.Conv2d, self.close[-1]).weight)
        nn.init.zeros_(cast(Tensor, cast(nn.Conv2d, self.close[-1]).bias))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return what the network was trained to see in x: the noise, or v (atlas/ddpm.py)."""
        time = self.time(waves(t).to(x.dtype))
        h = self.open(functional.pixel_unshuffle(x, self.patch))
        levels: list[Tensor] = []
        for place, block in enumerate(self.down):
            if place:
                h = functional.avg_pool2d(h, 2, ceil_mode=True)
            h = block(h, time)
            levels.append(h)
        h = self.middle(h, time)
        for block in self.up:
            beside = levels.pop()
            if h.shape[-1] != beside.shape[-1]:  # an odd side was rounded up on the way down
                h = functional.interpolate(h, size=beside.shape[-2:], mode="nearest")
            h = block(torch.cat((h, beside), 1), time)
        return functional.pixel_shuffle(self.close(h), self.patch)


def waves(t: Tensor) -> Tensor:
    """Return sines and cosines of times (b,), of slower and slower waves: float32 (b, 64)."""
    half = _TIMES // 2
    rate = torch.exp(torch.arange(half, device=t.device) * (-math.log(_LONGEST) / half))
    angle = t[:, None].float() * rate
    return torch.cat((angle.sin(), angle.cos()), 1)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, width)
