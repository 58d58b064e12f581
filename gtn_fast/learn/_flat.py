"""The gradient of a small ĥ by hand, into one flat vector.

Layers 50 wide on batches of 128 take autograd and an optimiser of 30 tensors longer to
administer than to compute. Here the parameters of an ordinary HHat become views of one vector,
and the chain rule is written out with the operators that autograd itself would call, so the
values are the same. benchmarks/training.py measures both: autograd takes 1.5 to 1.9 times as long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gtn_fast.learn.hhat import HHat

# aten's operators, where torch has no function for them
_batch_norm_backward = torch.ops.aten.native_batch_norm_backward.default
_leaky_relu_backward = torch.ops.aten.leaky_relu_backward.grad_input
_ALL = [True, True, True]  # gradients of the input, the weight and the bias


class _Norm(NamedTuple):
    weight: Tensor
    bias: Tensor
    weight_grad: Tensor
    bias_grad: Tensor
    mean: Tensor
    var: Tensor
    momentum: float
    eps: float


class _Layer(NamedTuple):
    weight: Tensor
    bias: Tensor
    weight_grad: Tensor
    bias_grad: Tensor
    slope: float | None  # None: the output layer
    norm: _Norm | None


class FlatMSE:
    """``mse`` of a HHat and its gradient: call it with (y, x), each (b, d), on the CPU.

    From then on the parameters of ``model`` (and their gradients) are views of ``parameter``
    (and its gradient), which is what the optimiser gets. The model stays what it was to
    everybody else. A call returns the loss and overwrites the gradient; like a forward pass
    in training mode it moves the running statistics of batch norm.
    """

    def __init__(self, model: HHat) -> None:
        parameters = list(model.parameters())
        self.parameter = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
        self.parameter.grad = torch.zeros_like(self.parameter)
        sizes = [p.numel() for p in parameters]
        for p, value, grad in zip(
            parameters,
            torch.split(self.parameter.detach(), sizes),
            torch.split(self.parameter.grad, sizes),
            strict=True,
        ):
            p.data, p.grad = value.view_as(p), grad.view_as(p)
        self._layers = _layers(model.net)
        norms = [module for module in model.net if isinstance(module, nn.BatchNorm1d)]
        self._batches_seen = torch.zeros(len(norms), dtype=torch.int64)
        for norm, seen in zip(norms, self._batches_seen, strict=True):
            norm.num_batches_tracked = seen.copy_(norm.num_batches_tracked)

    @torch.no_grad()
    def __call__(self, *batch: Tensor) -> Tensor:
        """The loss, a scalar; its gradient is in ``parameter.grad``."""
        y, x = batch
        self._batches_seen.add_(1)
        tape = []
        out = y
        for layer in self._layers:
            given = out
            out = active = torch.addmm(layer.bias, given, layer.weight.t())
            saved: list[Tensor] = []
            if layer.slope is not None:
                nn.functional.leaky_relu_(active, layer.slope)
            if (norm := layer.norm) is not None:
                out, *saved = torch.native_batch_norm(
                    active,
                    norm.weight,
                    norm.bias,
                    norm.mean,
                    norm.var,
                    True,
                    norm.momentum,
                    norm.eps,
                )
            tape.append((layer, given, active, saved))
        loss = nn.functional.mse_loss(out, x)
        grad = out.sub_(x).mul_(2 / x.numel())
        for layer, given, active, saved in reversed(tape):
            if (norm := layer.norm) is not None:
                grad, weight_grad, bias_grad = _batch_norm_backward(
                    grad, active, norm.weight, None, None, *saved, True, norm.eps, _ALL
                )
                norm.weight_grad.copy_(weight_grad)
                norm.bias_grad.copy_(bias_grad)
            if layer.slope is not None:  # from the activation's result: it has its input's sign
                _leaky_relu_backward(grad, active, layer.slope, True, grad_input=grad)
            torch.mm(grad.t(), given, out=layer.weight_grad)
            torch.sum(grad, 0, out=layer.bias_grad)
            if given is not y:
                grad = torch.mm(grad, layer.weight)
        return loss


def _layers(net: nn.Sequential) -> list[_Layer]:
    """The network as plain tensors: looking attributes of modules up costs as much as adding."""
    layers: list[_Layer] = []
    module: Any  # nn.Module gives everything a type of its own
    for module in net:
        if isinstance(module, nn.LeakyReLU):
            layers[-1] = layers[-1]._replace(slope=module.negative_slope)
            continue
        own = module.weight.data, module.bias.data, module.weight.grad, module.bias.grad
        if isinstance(module, nn.Linear):
            layers.append(_Layer(*own, slope=None, norm=None))
        else:
            running = module.running_mean, module.running_var, module.momentum, module.eps
            layers[-1] = layers[-1]._replace(norm=_Norm(*own, *running))
    return layers
