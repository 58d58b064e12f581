"""Layers of all charts at once: the chart is the first axis of everything that they hold.

A step of all charts is one batched product; ``one`` runs a single chart's slice; pruning is
indexing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtn_fast.learn.sizes import check_weights


class OfCharts(nn.Module):
    """A module whose parameters and buffers all have the chart as first axis."""

    def keep(self, charts: Sequence[int]) -> None:
        """Keep these charts, in this order."""
        for name, value in list(self.named_parameters(recurse=False)):
            setattr(self, name, nn.Parameter(value.detach()[list(charts)].clone()))
        for name, buffer in list(self.named_buffers(recurse=False)):
            setattr(self, name, buffer[list(charts)].clone())


class ChartLinear(OfCharts):
    """A linear layer a chart: weight (m, i, o), bias (m, 1, o), each as nn.Linear starts."""

    def __init__(self, charts: int, inputs: int, outputs: int) -> None:
        super().__init__()
        check_weights(charts * inputs * outputs, f"{charts} layers of {inputs} x {outputs}")
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(charts, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(charts, 1, outputs).uniform_(-bound, bound))

    def every(self, x: Tensor) -> Tensor:
        """Map (b, i), or (m, b, i), to (m, b, o): every chart's rows by its own layer."""
        if x.ndim == 2:
            x = x.expand(len(self.weight), -1, -1)
        return torch.baddbmm(self.bias, x, self.weight)

    def one(self, x: Tensor, y: int) -> Tensor:
        """Map (b, i) to (b, o) by chart y's layer."""
        return torch.addmm(self.bias[y], x, self.weight[y])


class ChartConv(OfCharts):
    """A 4 x 4 convolution of stride 2, or its transpose, a chart: weight (m, ...)."""

    def __init__(self, charts: int, inputs: int, outputs: int, *, transposed: bool = False) -> None:
        super().__init__()
        check_weights(16 * charts * inputs * outputs, f"{charts} x {inputs} x {outputs} kernels")
        self.transposed = transposed
        sizes = (inputs, outputs) if transposed else (outputs, inputs)
        bound = 1 / math.sqrt(16 * sizes[1])  # as torch starts a (transposed) convolution
        self.weight = nn.Parameter(torch.empty(charts, *sizes, 4, 4).uniform_(-bound, bound))
        self.bias = None
        if transposed:
            self.bias = nn.Parameter(torch.empty(charts, outputs).uniform_(-bound, bound))

    def every(self, x: Tensor) -> Tensor:
        """Map (b, i, ...) of a convolution, (b, m i, ...) of a transposed, to (b, m o, ...)."""
        weight = self.weight.flatten(0, 1)
        if not self.transposed:
            return functional.conv2d(x, weight, stride=2, padding=1)
        bias = cast(Tensor, self.bias).flatten()
        return functional.conv_transpose2d(
            x, weight, bias, stride=2, padding=1, groups=len(self.weight)
        )

    def one(self, x: Tensor, y: int) -> Tensor:
        """Map (b, i, ...) to (b, o, ...) by chart y's kernels."""
        if not self.transposed:
            return functional.conv2d(x, self.weight[y], stride=2, padding=1)
        bias = cast(Tensor, self.bias)[y]
        return functional.conv_transpose2d(x, self.weight[y], bias, stride=2, padding=1)


class ChartNorm(OfCharts):
    """Batch norm of each chart's channels: what nn.BatchNorm2d does to all of them."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, charts: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(charts, channels))
        self.bias = nn.Parameter(torch.zeros(charts, channels))
        self.register_buffer("running_mean", torch.zeros(charts, channels))
        self.register_buffer("running_var", torch.ones(charts, channels))

    def _norm(self, x: Tensor, pick: Callable[[Tensor], Tensor]) -> Tensor:
        return functional.batch_norm(
            x,
            pick(self.running_mean),
            pick(self.running_var),
            pick(self.weight),
            pick(self.bias),
            training=self.training,
        )

    def every(self, x: Tensor) -> Tensor:
        """Normalise (b, m c, ...)."""
        return self._norm(x, lambda value: value.view(-1))

    def one(self, x: Tensor, y: int) -> Tensor:
        """Normalise (b, c, ...) as chart y."""
        return self._norm(x, lambda value: value[y])


class ChartChoice(OfCharts):
    """The last layer of psi: (b, i) -> (b, m), a row of weights for each chart."""

    def __init__(self, inputs: int, charts: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(charts, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(charts).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return functional.linear(x, self.weight, self.bias)


def by_chart(
    function: Callable[[Tensor, int], Tensor], rows: Tensor, y: Tensor, charts: int
) -> Tensor:
    """Return ``function(its rows, chart)`` for each chart that occurs in y (b,), in y's order."""
    order = torch.argsort(y, stable=True)
    counts = torch.bincount(y, minlength=charts).tolist()
    parts = torch.split(rows[order], counts)
    made = torch.cat([function(part, i) for i, part in enumerate(parts) if len(part)])
    return made[torch.argsort(order)]
