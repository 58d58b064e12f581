"""The network of a flow, and the solvers that follow it from noise to data.

Flow matching (Lipman et al. 2023, Liu et al. 2023, Tong et al. 2024): for pairs (y, x) and a time
t in [0, 1] the network sees (1 - t) y + t x and learns the velocity x - y. Where pairs cross, it
learns the mean of theirs; the paths that it then draws do not cross, and are the straighter the
shorter the pairs are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.sizes import MAX_LAYERS, MAX_WIDTH, check_weights
from gtn_fast.learn.training.generators import seeded


class Velocity(nn.Module):
    """v(x, t): (b, d) points and (b,) times -> (b, d) velocities, float32.

    ``layers`` times Linear -> SiLU, all ``width`` wide, then a linear output. The time is one
    more input, and so is the class of a point, one of ``classes``, one-hot. ValueError or
    TypeError for sizes that make no network.
    """

    def __init__(self, d: int, *, layers: int, width: int, classes: int = 0) -> None:
        super().__init__()
        self.d = check_integer(d, "d", 1, 2**31 - 1)
        layers = check_integer(layers, "layers", 1, MAX_LAYERS)
        width = check_integer(width, "width", 1, MAX_WIDTH)
        self.classes = check_integer(classes, "classes", 0, MAX_WIDTH)
        inputs = self.d + 1 + self.classes
        weights = (inputs + self.d + (layers - 1) * width) * width
        check_weights(weights, f"a network of {layers} layers of width {width} for d = {self.d}")
        stack: list[nn.Module] = []
        for layer in range(layers):
            stack += [nn.Linear(inputs if layer == 0 else width, width), nn.SiLU()]
        self.net = nn.Sequential(*stack, nn.Linear(width, self.d))

    @classmethod
    def of(cls, d: int, layers: int, width: int, seed: int, classes: int = 0) -> Velocity:
        """Make the network, weights drawn from ``seed``, not from torch's generator."""
        return seeded(lambda: cls(d, layers=layers, width=width, classes=classes), seed)

    def forward(self, x: Tensor, t: Tensor, of: Tensor | None = None) -> Tensor:
        """Map (b, d) and (b,) to (b, d); ``of`` (b,), where there are classes: each row's."""
        inputs = [x, t[:, None]]
        if of is not None:
            inputs.append(nn.functional.one_hot(of, self.classes).to(x.dtype))
        v: Tensor = self.net(torch.cat(inputs, dim=1))
        return v


def matching_loss(
    model: nn.Module, y: Tensor, x: Tensor, *of: Tensor, generator: torch.Generator
) -> Tensor:
    """Return the mean of |v((1 - t) y + t x, t) - (x - y)|², t uniform in [0, 1], one per row.

    ``of``: where there are classes, those of the rows, (b,).
    """
    t = torch.rand(len(y), generator=generator, device=y.device)
    between = torch.lerp(y, x, t[:, None])
    return nn.functional.mse_loss(model(between, t, *of), x - y)


Field = Callable[[Tensor, Tensor], Tensor]


def _euler(v: Field, x: Tensor, t: float, h: float) -> Tensor:
    return x + h * v(x, _time(x, t))


def _heun(v: Field, x: Tensor, t: float, h: float) -> Tensor:
    first = v(x, _time(x, t))
    second = v(x + h * first, _time(x, t + h))
    return x + 0.5 * h * (first + second)


SOLVERS: dict[str, Callable[[Field, Tensor, float, float], Tensor]] = {
    "euler": _euler,
    "heun": _heun,
}


def check_solver(solver: Any) -> str:
    """Return the name of a solver; TypeError or ValueError, naming the valid ones."""
    if not isinstance(solver, str):
        raise TypeError(f"solver must be a string, got {type(solver).__name__}")
    if solver not in SOLVERS:
        raise ValueError(f"unknown solver {solver!r}; valid: {', '.join(SOLVERS)}")
    return solver


def integrate(
    v: Field, x: Tensor, steps: int, solver: str = "euler", *, backwards: bool = False
) -> Tensor:
    """Follow v from t = 0 to 1 (or back) in ``steps`` equal steps: (b, d) -> (b, d).

    A step of "euler" asks the network once, one of "heun" twice.
    """
    step = SOLVERS[solver]
    for number in range(steps):
        t, h = number / steps, 1 / steps
        x = step(v, x, 1 - t, -h) if backwards else step(v, x, t, h)
    return x


def _time(x: Tensor, t: float) -> Tensor:
    return torch.full((len(x),), t, dtype=x.dtype, device=x.device)
