"""Two players in one loss, for the one training loop.

A generator's loss sees the adversary as it is and leaves it alone; the adversary's loss sees
what the generator made and leaves that alone. Their sum then has, for either player, the
gradient of its own loss and no other: one backward, one Adam with a group for each, both moving
at once. Tolstikhin et al. and most GANs let them move in turns; here a step is one step of both,
from the same weights. Running averages of batch norm in the adversary move with both calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.func import functional_call


def frozen(module: nn.Module) -> Callable[..., Any]:
    """Return ``module`` as a function whose gradients reach its inputs, not its parameters."""

    def call(*inputs: Any, **named: Any) -> Any:
        weights = {name: value.detach() for name, value in module.named_parameters()}
        return functional_call(module, weights, inputs, named)

    return call
