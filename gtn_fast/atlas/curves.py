"""Curves in latent spaces, measured where they are seen: in the images that they decode to.

Source: Stolberg-Larsen and Sommer, *Atlas Generative Models and Geodesic Interpolation*. Distances
are Euclidean, of images in [0, 1].

curve_length   the length of a straight piece of latent space, by equation (10)
Path           a way from chart to chart; ``resample`` shows it at equal steps
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.atlas.model import Atlas
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.system.ending import stop_here
from gtn_fast.vision.tensors import to_bytes

STEPS = 15  # of equation (10), as in the paper
_BATCH = 512  # images that are decoded together: they stay in the cache


@dataclass(frozen=True, eq=False)
class Points:
    """Points along a path: latents (n, d), charts (n,), images uint8 (n, c, side, side).

    ``caption``: the number of the chart, or "1/2" within a jump from chart 1 to chart 2.
    """

    z: NDArray[np.float32]
    chart: NDArray[np.int64]
    images: NDArray[np.uint8]
    caption: list[str]


@dataclass(frozen=True, eq=False)
class Path:
    """A way through latent space: straight lines inside charts, jumps between them.

    Attributes
    ----------
    z : float32 (p, d)
        Its corners.
    chart : int64 (p,)
        The chart of each corner.
    length : float
        Of the whole: the sum of ``segment_lengths`` (p - 1,).
    jumps : bool (p - 1,)
        Which segments lead from one chart to another.
    steps : int
        Into how many pieces a segment is cut to measure it.
    """

    z: NDArray[np.float32]
    chart: NDArray[np.int64]
    length: float
    segment_lengths: NDArray[np.float64]
    jumps: NDArray[np.bool_]
    steps: int = STEPS

    def resample(self, atlas: Atlas, n: int = 10) -> Points:
        """Return n points at equal steps of the way, as measured in the images, ends included.

        Between two cuts of a segment z is linear. Within a jump there is nothing to decode:
        its nearer end is shown.
        """
        n = check_integer(n, "n", 2, 1 << 20)
        starts, ends, first, last, length = self._pieces(atlas)
        cumulated = np.concatenate([[0.0], np.cumsum(length)])
        way = np.linspace(0.0, cumulated[-1], n)
        piece = np.clip(np.searchsorted(cumulated, way, side="left") - 1, 0, len(length) - 1)
        rest = np.divide(way - cumulated[piece], length[piece], where=length[piece] > 0,
                         out=np.zeros(n))  # fmt: skip
        rest = np.clip(rest, 0.0, 1.0)
        jump = first[piece] != last[piece]
        rest[jump] = rest[jump] >= 0.5
        z = starts[piece] + rest[:, None] * (ends[piece] - starts[piece])
        chart = np.where(rest < 0.5, first[piece], last[piece])
        caption = [f"{first[p]}/{last[p]}" if jump[i] else str(first[p])
                   for i, p in enumerate(piece)]  # fmt: skip
        z = z.astype(np.float32)
        shown = [to_bytes(part).cpu().numpy() for part in _decoded(atlas, z, chart)]
        return Points(z, chart, np.concatenate(shown), caption)

    def _pieces(self, atlas: Atlas) -> tuple[NDArray[Any], ...]:
        """Return start and end (z), their charts and the length of each piece that has one."""
        z, chart = self.z.astype(np.float64), self.chart
        if len(z) == 1:
            return z, z, chart, chart, np.zeros(1)
        inside = np.flatnonzero(~self.jumps)
        t = np.linspace(0.0, 1.0, self.steps + 1)[:, None]
        pieces: list[tuple[NDArray[Any], ...]] = []
        cut = {int(i): z[i] + t * (z[i + 1] - z[i]) for i in inside}
        for i in range(len(self.jumps)):
            if i in cut:
                of = np.full(self.steps, chart[i])
                ends = np.full(self.steps + 1, chart[i])
                seen = pixels(atlas, cut[i].astype(np.float32), ends)
                pieces.append((cut[i][:-1], cut[i][1:], of, of, steps_of(seen)))
            elif self.segment_lengths[i] > 0 or len(self.jumps) == 1:
                there, here = slice(i + 1, i + 2), slice(i, i + 1)
                pieces.append((z[here], z[there], chart[here], chart[there],
                               self.segment_lengths[here]))  # fmt: skip
        return tuple(np.concatenate(each) for each in zip(*pieces, strict=True))


def curve_length(atlas: Atlas, z0: Any, z1: Any, y: Any, steps: int = STEPS) -> Any:
    """Return the length of G along straight lines of latent space, by (10): float64 (b,).

    ``z0``, ``z1``: (b, d), the ends; ``y`` (b,): their charts; each line is cut into ``steps``
    equal pieces. ValueError for shapes that do not fit, or numbers that are not finite.
    """
    steps = check_integer(steps, "steps", 1, 1 << 16)
    start, end = (_latents(atlas, z, name) for z, name in ((z0, "z0"), (z1, "z1")))
    chart = charts_of(atlas, y, len(start))
    if len(start) != len(end):
        raise ValueError(f"z0 and z1 must have as many rows, got {len(start)} and {len(end)}")
    ends = pixels(atlas, np.concatenate([start, end]), np.concatenate([chart, chart]))
    return lengths(atlas, start, end, chart, *np.split(ends, 2), steps=steps)


def lengths(
    atlas: Atlas,
    z0: NDArray[np.float32],
    z1: NDArray[np.float32],
    y: NDArray[np.int64],
    seen0: NDArray[np.float32],
    seen1: NDArray[np.float32],
    *,
    steps: int,
) -> NDArray[np.float64]:
    """Return what ``curve_length`` does, of ends that are decoded already, (b, pixels) each.

    No length is below the distance of its ends, whatever float32 does: the differences are
    taken in float64.
    """
    found = np.empty(len(z0))
    step = max(1, _BATCH // steps)
    t = (np.arange(1, steps, dtype=np.float32) / steps)[:, None]
    for start in range(0, len(z0), step):
        part = slice(start, start + step)
        here = z0[part]
        between = here[:, None] + t * (z1[part] - here)[:, None]  # (b, steps - 1, d)
        inner = pixels(atlas, between.reshape(-1, here.shape[1]), np.repeat(y[part], steps - 1))
        inner = inner.reshape(len(here), steps - 1, seen0.shape[1])
        line = np.concatenate([seen0[part, None], inner, seen1[part, None]], axis=1)
        found[part] = steps_of(line).sum(axis=1)
    return found


def steps_of(line: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the distances between neighbours on axis -2: (..., p, pixels) to (..., p - 1)."""
    seen = torch.from_numpy(line)
    gaps = torch.diff(seen.double(), dim=-2)
    found: NDArray[np.float64] = torch.linalg.vector_norm(gaps, dim=-1).numpy()
    return found


def pixels(atlas: Atlas, z: NDArray[np.float32], y: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return G_y(z), z (n, d), as rows of pixels in [0, 1] units: float32 (n, pixels).

    ValueError if the decoder gives NaN or infinity.
    """
    if not len(z):
        return np.empty((0, atlas.channels * atlas.side**2), np.float32)
    parts = []
    for part in _decoded(atlas, z, y):
        seen = part.reshape(len(part), -1).float().add(1).mul(0.5).cpu().numpy()
        parts.append(seen)
    found = np.concatenate(parts)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise ValueError(f"the decoder of chart {y[row]} gives NaN or infinity")
    return found


@torch.no_grad()
def _decoded(atlas: Atlas, z: NDArray[np.float32], y: NDArray[np.int64]) -> Iterator[Tensor]:
    """Yield G_y(z) in [-1, 1], batch by batch."""
    where = atlas.weights.device
    with in_eval(atlas):
        for start in range(0, len(z), _BATCH):
            stop_here()
            part = slice(start, start + _BATCH)
            latents, chart = torch.from_numpy(z[part]), torch.from_numpy(y[part])
            yield atlas.decode(latents.to(where), chart.to(where))


@contextmanager
def in_eval(atlas: Atlas) -> Iterator[None]:
    """Put an atlas into eval mode, and back as it was: batch norm must not see what is asked."""
    training = atlas.training
    atlas.eval()
    try:
        yield
    finally:
        atlas.train(training)


@torch.enable_grad()
def jacobian(function: Any, z: Tensor) -> Tensor:
    """Return d function / dz of each row, (b, out, d); rows must not depend on each other."""
    start = z.detach().requires_grad_()
    made = function(start)
    rows = [
        torch.autograd.grad(made[:, c].sum(), start, retain_graph=True)[0]
        for c in range(made.shape[1])
    ]
    return torch.stack(rows, dim=1)


def _latents(atlas: Atlas, z: Any, name: str) -> NDArray[np.float32]:
    found = np.asarray(z.detach().cpu() if isinstance(z, Tensor) else z, dtype=np.float32)
    if found.ndim != 2 or found.shape[1] != atlas.d:
        raise ValueError(f"{name} must have shape (n, {atlas.d}), got {found.shape}")
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise ValueError(f"{name} must be finite: row {row} is not")
    return found


def charts_of(atlas: Atlas, y: Any, n: int) -> NDArray[np.int64]:
    """Return the charts of n rows, int64; ``y``: one for all, or one for each."""
    given = np.asarray(y.cpu() if isinstance(y, Tensor) else y)
    if given.dtype.kind not in "iu":
        raise TypeError(f"charts must be integers, got {given.dtype}")
    if given.ndim and given.shape != (n,):
        raise ValueError(f"there must be a chart for each of {n} rows, got shape {given.shape}")
    chart = np.broadcast_to(given.astype(np.int64), (n,))
    wrong = np.flatnonzero((chart < 0) | (chart >= atlas.charts))
    if len(wrong):
        raise ValueError(f"charts are 0 to {atlas.charts - 1}, got {chart[wrong[0]]}")
    return np.ascontiguousarray(chart)
