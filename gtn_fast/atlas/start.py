"""Where the charts of an atlas begin: each in a region of the images of its own.

From networks that know nothing, a few charts take everything before the others learn, and one
chart may lie over two pieces of the data. So the images are cut into connected regions first, one
a chart, along the graph of nearest images; the charts learn these before they compete.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.atlas.families import Objective, edge_price, errors
from gtn_fast.atlas.model import NetworkAtlas
from gtn_fast.learn.training.loop import train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.metrics.graph import joined, regions
from gtn_fast.system.openmp import computes_by_torch
from gtn_fast.vision.tensors import to_unit

START_STEPS = 600
_POOL = 4_000
_NEIGHBOURS = 10
_BATCH = 128
_LR = 2e-3
_LEAST = 0.25  # of a chart's share of the images: smaller pieces have no chart of their own


class StartLoss(Objective):
    """Teaches each chart the images of its region, and psi which these are."""

    def at(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean of e_y(x), the price of the edge and -log psi_y(x)."""
        atlas, networks, own = self.atlas, self.atlas.networks, y[:, None]
        features = networks.features(x)
        if networks.has_batch_norm:  # it needs more rows than some charts have
            codes = networks.codes(features)
            error = errors(x, networks.shown(atlas.placed(codes))).gather(1, own)
            code = codes[torch.arange(len(y), device=y.device), y]
        else:
            code = networks.code(features, y)
            error = errors(x, networks.decode(atlas.placed(code), y)[:, None])
        said = torch.log_softmax(networks.logits(features), dim=1).gather(1, own)
        return error.mean() + edge_price(code).mean() - said.mean()


@computes_by_torch
def start_apart(
    atlas: NetworkAtlas,
    images: Tensor,
    seed: int,
    steps: int = START_STEPS,
    *,
    device: torch.device | str | None = None,
    progress: Any = False,
) -> None:
    """Give each chart one of the connected regions of uint8 images (n, c, side, side).

    ``device`` and ``progress`` are ``train``'s.
    """
    own_seed = derive(seed, "chart start")
    rng = np.random.default_rng(own_seed)
    pool = images[torch.from_numpy(rng.permutation(len(images))[:_POOL])]
    region = _regions_of(pool, atlas.charts, own_seed)
    rows = np.flatnonzero(region >= 0)
    if not len(rows):
        return
    batch = min(_BATCH, len(rows))
    drawn = torch.from_numpy(rows[rng.integers(len(rows), size=steps * batch)])

    def loss(model: Any, rows: Tensor, y: Tensor) -> Tensor:
        return StartLoss.at(model, to_unit(pool[rows.cpu()].to(y.device)), y)

    train(
        StartLoss(atlas), loss, (drawn, torch.from_numpy(region)[drawn]), epochs=1,
        batch_size=batch, lr=_LR, draws=False, progress=progress, title="chart start", seed=seed,
        device=device,
    )  # fmt: skip


def _regions_of(pool: Tensor, m: int, seed: int) -> NDArray[np.int64]:
    """Return each image's region, one of m; -1 for those of pieces too small for a chart."""
    graph, piece = joined(pool.flatten(1).float().numpy(), _NEIGHBOURS)
    large = np.bincount(piece)[piece] >= _LEAST * len(pool) / m
    rows = np.flatnonzero(large)
    found = np.full(len(pool), -1, np.int64)
    if len(rows) >= m:
        found[rows] = regions(graph[rows][:, rows], m, seed)
    return found
