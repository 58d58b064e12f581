"""Low-precision codes and what their scores can be off by.

A y has the direction p, an x the direction c + z, c being a centre that all x's share; both
are float64. Their codes are fp16: P = fp16(a p), Z = fp16(b z), with powers of two a and b.
The kernel computes a score s, about a b (p . z). With

    r = Z - b z, q = P - a p        measured in float64 when the codes are made
    |P . Z - a b (p . z)| <= a |p| |r| + |q| |Z|                    (Cauchy-Schwarz)
    |s - P . Z| <= gamma |P| |Z|                                    (accumulation)

we have |s - a b (p . z)| <= bound(x) + margin(y), where

    bound(x)  = a |r|                            rounded up, one float32 per column
    margin(y) = (|q| + gamma |P|) max |Z| + slack

Accumulation. A product of two fp16 numbers is exact in float32. What is known of the
tensor cores' sums (they align the terms with the largest and may cut, not round, what is
below their last bit) is covered if every addition loses at most 2^-22 of the largest term
or partial sum, each of which |P| |Z| bounds: gamma = (dp + 8) 2^-22 for dp coordinates.
IEEE float32 sums in any order lose less (2^-24 each). This is the one assumption about the
hardware here; ``launch`` uses fp16 inputs with float32 sums, never fp8 or TF32.

Slack. The float64 side has its own rounding, ``cosine_error``: u = 2^-53 times
    4 d + 16   both directions, ours against the engine's: each within (2 d + 8) u
    2          z = p_x - c, rounded once
    d / 4 + 10 ordered_dot against the true product of the stored directions
    d + 1      p . c in any order
which (8 d + 64) u exceeds. Four times that, and 2^-22 of the largest score for the float32
addition in the kernel and the rounding of thresholds, go into the margin.

What follows for a row, if v is the k-th largest of its lower values s - bound(x):
    t = v - margin          at least k x's have a b (p . z) >= t, even exactly computed
    s + bound(x) >= v - 2 margin        holds for every x with a b (p . z) >= t
so that the x's that pass this test include every x whose exact cosine reaches
    level = p . c + t / (a b) + 2 cosine_error
and at least k x's reach it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

Y_SCALE = 2.0**10
_AIM = 2.0**11  # the largest |b z| of the sample lies below
_LIMIT = 60000.0  # fp16 ends at 65504; what is cut is measured as residual
_UP = 1.0 + 2.0**-20  # covers the float64 rounding of a measured norm
_TINY = 2.0**-120  # and what a float32 cannot hold


@dataclass(frozen=True)
class Codes:
    """fp16 codes (n, dp) with the norms, float64 (n,), of their residuals and of themselves."""

    codes: torch.Tensor
    residual: torch.Tensor
    norm: torch.Tensor


def directions(rows: torch.Tensor) -> torch.Tensor:
    """Return directions (n, d), float64, of rows (n, d): within (2 d + 8) 2^-53 of the engine's."""
    u = scaled(rows)
    inner = torch.sqrt((u * u).sum(dim=1, keepdim=True))
    return u / torch.where(inner == 0, 1.0, inner)


def scaled(rows: torch.Tensor) -> torch.Tensor:
    """Return x / max |x_i| (n, d), float64, exactly as the engine has it; zeros stay zero."""
    values = rows.to(torch.float64)
    largest = values.abs().amax(dim=1, keepdim=True)
    return values / torch.where(largest == 0, 1.0, largest)


def code_scale(sample: torch.Tensor) -> float:
    """Return the power of two b that brings z's like these (n, d) into the range of fp16."""
    largest = float(sample.abs().max()) if sample.numel() else 0.0
    if largest < 2.0**-60:  # all alike to the last bits: any scale will do
        return 2.0**60
    return float(2.0 ** math.floor(math.log2(_AIM / largest)))


def encode(values: torch.Tensor, scale: float, padded: int) -> Codes:
    """Return codes of ``scale * values``, (n, d) float64 to (n, padded) fp16, with residuals."""
    n, d = values.shape
    wanted = values * scale
    codes = torch.zeros((n, padded), dtype=torch.float16, device=values.device)
    codes[:, :d] = wanted.clamp(-_LIMIT, _LIMIT).to(torch.float16)
    given = codes[:, :d].to(torch.float64)
    return Codes(codes, _norm(given - wanted) * _UP, _norm(given) * _UP)


def _norm(values: torch.Tensor) -> torch.Tensor:
    return torch.sqrt((values * values).sum(dim=1))


def column_bound(codes: Codes) -> torch.Tensor:
    """Return bound(x) of every column, float32 (n,), rounded up."""
    return (codes.residual * (Y_SCALE * _UP) + _TINY).to(torch.float32)


def cosine_error(d: int) -> float:
    """Return the most by which float64 rounding changes a cosine, on both sides together."""
    return (8.0 * d + 64.0) * 2.0**-53


def accumulation(padded: int) -> float:
    """Return gamma: what a sum of ``padded`` products can lose, relative to |P| |Z|."""
    return (padded + 8.0) * 2.0**-22


@dataclass(frozen=True)
class Scale:
    """What belongs to a packing of the x's: b, the largest |Z| and bound(x), d and dp."""

    scale: float
    largest_norm: float
    largest_bound: float
    d: int
    padded: int


def row_margin(y: Codes, x: Scale) -> torch.Tensor:
    """Return margin(y) of every row, float64 (n,)."""
    product = y.norm * x.largest_norm
    margin = y.residual * x.largest_norm + accumulation(x.padded) * product
    margin += 4.0 * cosine_error(x.d) * Y_SCALE * x.scale
    return (margin + 2.0**-22 * (product + x.largest_bound)) * _UP + _TINY


def threshold(kth_lower: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
    """Return what score + bound must reach, float32 rounded down.

    The least finite number where kth_lower is -inf: every score reaches it, and the -inf
    of a column that is taken does not.
    """
    rounded = (kth_lower - 2.0 * margin).to(torch.float32)
    lower = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
    return lower.clamp(min=torch.finfo(torch.float32).min)


def group_threshold(kth_lower: torch.Tensor, margin: torch.Tensor, x: Scale) -> torch.Tensor:
    """Return what a group's maximum of score - bound must reach for a survivor to be in it.

    Twice the group's largest bound is added to the maximum, in float32, before the comparison.
    That takes three roundings more than the test of a survivor, each of at most 2^-24 (product
    + 3 largest_bound): another margin and 2^-20 largest_bound cover them.
    """
    return threshold(kth_lower - margin - 2.0**-20 * x.largest_bound, margin)


def level(certain: torch.Tensor, centred: torch.Tensor, x: Scale) -> torch.Tensor:
    """Return the cosine from which on a list is complete, float64 (n,).

    ``certain``: the list holds every x with a b (p . z) >= certain; ``centred``: p . c.
    """
    return centred + certain / (Y_SCALE * x.scale) + 2.0 * cosine_error(x.d)
