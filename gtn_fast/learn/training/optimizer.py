"""The optimiser of a training: Adam with groups of parameters, and learning rates by epoch.

A schedule is a function of the epoch alone, so that a resumed run needs no state of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer

BETAS = (0.9, 0.999)

Groups = Sequence[tuple[Iterable[Tensor], float]]
"""(parameters, lr) each; together they are all parameters of the model, none twice."""


class Schedule(Protocol):
    """What the learning rates of an epoch, from 1, are multiplied by."""

    def __call__(self, epoch: int, /) -> float:
        """Return the factor, 0 or more."""


@dataclass(frozen=True)
class _Named:
    """A schedule that a checkpoint can tell from another."""

    identity: str
    factor: Callable[[int], float]

    def __call__(self, epoch: int, /) -> float:
        return self.factor(epoch)


def halving(after: Sequence[int]) -> Schedule:
    """Halve the rates after each of these epochs."""
    ends = [check_integer(each, "an epoch to halve after", 1, 2**31 - 1) for each in after]
    return _Named(f"halving {ends}", lambda epoch: 0.5 ** sum(end < epoch for end in ends))


def cosine(epochs: int, floor: float = 0.02) -> Schedule:
    """Go down a half cosine from 1 in epoch 1 to ``floor`` in the last epoch, and stay there."""
    epochs = check_integer(epochs, "epochs", 1, 2**31 - 1)
    if not 0 <= floor <= 1:
        raise ValueError(f"floor must be a number from 0 to 1, got {floor}")

    def factor(epoch: int) -> float:
        done = min(1.0, (epoch - 1) / max(1, epochs - 1))
        return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2

    return _Named(f"cosine {epochs} {floor}", factor)


def adam(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    groups: Groups | None,
    betas: tuple[float, float],
) -> torch.optim.Optimizer:
    """Make Adam over all parameters of the model; each group keeps its lr as "initial_lr".

    ValueError for groups that are not all parameters, each once, and for numbers that make no
    Adam.
    """
    parameters = list(model.parameters())
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers from 0 to 1, 1 excluded, got {betas}")
    made = [(list(some), rate) for some, rate in ([(parameters, lr)] if groups is None else groups)]
    for name, number, allowed in (
        *(("lr", rate, rate > 0) for _, rate in made),
        ("weight_decay", weight_decay, weight_decay >= 0),
    ):
        if not (allowed and math.isfinite(number)):
            raise ValueError(f"{name} must be a finite number above 0, got {number}")
    named = [id(each) for some, _ in made for each in some]
    if sorted(named) != sorted(map(id, parameters)) or not all(some for some, _ in made):
        raise ValueError(
            f"groups must hold every parameter of the model once: {len(named)} are named"
            f" ({len(set(named))} different ones), the model has {len(parameters)}"
        )
    where = parameters[0].device.type
    return torch.optim.Adam(
        [{"params": some, "lr": rate, "initial_lr": rate} for some, rate in made],
        lr=lr,
        betas=betas,
        weight_decay=weight_decay,
        fused=where in ("cpu", "cuda") and all(p.is_floating_point() for p in parameters),
    )


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every group ``factor`` times its own rate."""
    if not 0 <= factor < math.inf:
        raise ValueError(f"schedule must give a finite number, 0 or more, gave {factor}")
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def identity(
    groups: Groups | None, betas: tuple[float, float], schedule: Schedule | None
) -> dict[str, Any]:
    """Return what a checkpoint must agree with; nothing for what every run was before."""
    made: dict[str, Any] = {}
    if groups is not None:
        made["groups"] = [[sum(p.numel() for p in some), rate] for some, rate in groups]
    if tuple(betas) != BETAS:
        made["betas"] = list(betas)
    if schedule is not None:
        made["schedule"] = str(getattr(schedule, "identity", "unnamed"))
    return made
