"""ĥ: the feed-forward network that learns the homeomorphism (section 2, table 2)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.presets import Preset, check_slope
from gtn_fast.learn.sizes import MAX_LAYERS, MAX_WIDTH, check_weights
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.guards import threads_for
from gtn_fast.system.ending import long_call, stop_here

_ACTIVATIONS = 1 << 19  # elements of one layer that are computed together: they stay in cache
_ROWS = 1024  # but at least so many rows
_BATCH = 128  # of a training: what decides whether a second thread pays


class HHat(nn.Module):
    """ĥ: (b, d) source points -> (b, d) data points, float32.

    ``layers`` times Linear -> LeakyReLU(``negative_slope``) -> BatchNorm, all ``width`` wide,
    batch norm on the first ``batch_norm_layers`` only, then a linear output. With ``classes`` the
    class of a point, one of so many, is a further input, one-hot. ValueError or TypeError for
    sizes that make no network.
    """

    def __init__(
        self,
        d: int,
        *,
        layers: int,
        width: int,
        batch_norm_layers: int = 0,
        negative_slope: float = 0.5,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.d = check_integer(d, "d", 1, 2**31 - 1)
        layers = check_integer(layers, "layers", 1, MAX_LAYERS)
        self.width = width = check_integer(width, "width", 1, MAX_WIDTH)
        check_integer(batch_norm_layers, "batch_norm_layers", 0, layers)
        check_slope(negative_slope)
        slope = float(negative_slope)  # torch refuses an integer of more than 64 bits
        self.classes = check_integer(classes, "classes", 0, MAX_WIDTH)
        inputs = self.d + self.classes
        weights = (inputs + self.d + (layers - 1) * width) * width
        check_weights(weights, f"a network of {layers} layers of width {width} for d = {self.d}")
        stack: list[nn.Module] = []
        for layer in range(layers):
            stack.append(nn.Linear(inputs if layer == 0 else width, width))
            stack.append(nn.LeakyReLU(slope, inplace=slope > 0))
            if layer < batch_norm_layers:
                stack.append(nn.BatchNorm1d(width))
        self.net = nn.Sequential(*stack, nn.Linear(width, self.d))

    @classmethod
    def of(cls, d: int, preset: Preset, seed: int, classes: int = 0) -> HHat:
        """Make the preset's network, weights drawn from ``seed``, not from torch's generator."""
        shape = {
            name: getattr(preset, name)
            for name in ("layers", "width", "batch_norm_layers", "negative_slope")
        }
        return seeded(lambda: cls(d, classes=classes, **shape), seed)

    def forward(self, y: Tensor, of: Tensor | None = None) -> Tensor:
        """Map (b, d) to (b, d); ``of`` (b,), where there are classes: that of each y, int64."""
        if of is not None:
            y = torch.cat([y, nn.functional.one_hot(of, self.classes).to(y.dtype)], dim=1)
        x: Tensor = self.net(y)
        return x


@torch.no_grad()
def answers(
    model: HHat, y: NDArray[np.float32], of: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Return ĥ of y (n, d) on the CPU, as the network gives it; ``of`` (n,): the class of each."""
    # A mapped file cannot be written, and torch warns of tensors that cannot.
    given = [torch.from_numpy(np.require(y, np.float32, "W"))]
    if not len(y):
        return np.empty((0, model.d), dtype=np.float32)
    if of is not None and model.classes:
        given.append(torch.from_numpy(of))
    was_training = model.training  # a metric is called in the middle of a training
    model.eval()
    device = next(model.parameters()).device
    step = max(_ROWS, _ACTIVATIONS // max(model.width, model.d))
    parts = []
    with long_call(), threads_for(model, _BATCH):
        for rows in zip(*(torch.split(each, step) for each in given), strict=True):
            stop_here()
            parts.append(model(*(each.to(device) for each in rows)).cpu())
    model.train(was_training)
    made: NDArray[np.float32] = torch.cat(parts).numpy()
    return made


def mse(model: nn.Module, y: Tensor, x: Tensor, *of: Tensor) -> Tensor:
    """Return the mean of (ĥ(y) - x)² over rows and coordinates, (b, d) each (section 2.1).

    ``of``: where there are classes, those of the rows, (b,).
    """
    return nn.functional.mse_loss(model(y, *of), x)
