"""The gradient of a small ĥ by the engine, into one flat vector.

Layers 50 wide on batches of 128 take autograd and an optimiser of 30 tensors longer to
administer than to compute. Here the parameters of an ordinary HHat become views of one vector,
and csrc/training/ computes loss and gradient of a batch in one call. The values are autograd's
up to rounding; benchmarks/training.py measures both.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gtn_fast.backends import native
from gtn_fast.learn._guards import is_small
from gtn_fast.learn.hhat import HHat


class FlatMSE:
    """``mse`` of a HHat and its gradient: call it with (y, x), float32 (b, d) each, on the CPU.

    From then on the parameters of ``model`` (and their gradients) are views of ``parameter``
    (and its gradient), which is what the optimiser gets; the running statistics of batch norm
    are views of matrices. The model stays what it was to everybody else. A call returns the
    loss and overwrites the gradient; like a forward pass in training mode it moves the running
    statistics. ImportError if the engine is not built.
    """

    def __init__(self, model: HHat) -> None:
        step = native.module().HHatGradient
        self.parameter = _flattened(list(model.parameters()))
        norms = [module for module in model.net if isinstance(module, nn.BatchNorm1d)]
        linear = [module for module in model.net if isinstance(module, nn.Linear)]
        like = norms[0] if norms else nn.BatchNorm1d(1)
        self._mean, self._var, self._seen = (
            _stacked(norms, name) for name in ("running_mean", "running_var", "num_batches_tracked")
        )
        self._step = step(
            d=model.d,
            layers=len(linear) - 1,
            width=linear[0].out_features,
            norms=len(norms),
            slope=next(m.negative_slope for m in model.net if isinstance(m, nn.LeakyReLU)),
            eps=like.eps,
            momentum=like.momentum,
        )
        assert self.parameter.grad is not None
        self._arrays = tuple(
            each.numpy()
            for each in (self.parameter.detach(), self.parameter.grad, self._mean, self._var)
        )

    def __call__(self, *batch: Tensor) -> Tensor:
        """The loss, a scalar; its gradient is in ``parameter.grad``."""
        y, x = batch
        loss = self._step(*self._arrays, np.ascontiguousarray(y), np.ascontiguousarray(x))
        self._seen += 1
        return torch.tensor(loss)


def gradient_for(model: HHat, batch_size: int) -> FlatMSE | None:
    """A ``FlatMSE`` where it is of use: a small network on the CPU, the engine built."""
    on_cpu = next(model.parameters()).device.type == "cpu"
    use = on_cpu and is_small(model, batch_size) and native.available()
    return FlatMSE(model) if use else None


def _flattened(parameters: list[nn.Parameter]) -> nn.Parameter:
    """One vector, of which they and their gradients are views from now on."""
    flat = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    sizes = [p.numel() for p in parameters]
    parts = torch.split(flat.detach(), sizes), torch.split(flat.grad, sizes)
    for p, value, grad in zip(parameters, *parts, strict=True):
        p.data, p.grad = value.view_as(p), grad.view_as(p)
    return flat


def _stacked(norms: list[nn.BatchNorm1d], name: str) -> Tensor:
    """The statistics of that name, one row a norm, of which they are views from now on."""
    if not norms:
        return torch.zeros(0)
    matrix = torch.stack([getattr(norm, name) for norm in norms])
    for norm, row in zip(norms, matrix, strict=True):
        setattr(norm, name, row)
    return matrix
