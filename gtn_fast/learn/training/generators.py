"""Random numbers of our own: torch's global generator belongs to the program, and to its threads.

Whatever draws from the global one gives other numbers when another thread draws, too, and
seeding it for a while gives that thread ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

T = TypeVar("T")

_METHODS = (
    *("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_"),
    *("bernoulli", "multinomial", "uniform_"),
)
_FUNCTIONS = ("bernoulli", "multinomial", "normal", "rand", "randint", "randn", "randperm")
_INITIALISERS = (
    *("kaiming_normal_", "kaiming_uniform_", "normal_", "orthogonal_", "sparse_"),
    *("trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_"),
)
_DRAWING = {
    *(getattr(torch.Tensor, name) for name in _METHODS),
    *(getattr(torch, name) for name in _FUNCTIONS),
    *(getattr(nn.init, name) for name in _INITIALISERS),
}


class DrawingFrom(TorchFunctionMode):
    """Inside, in this thread, what torch draws comes from ``generator`` unless another is named.

    Dropout, and what is drawn inside other functions of torch, takes none and stays as it is.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self._generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``func``, with the generator where it draws."""
        named = dict(kwargs or {})
        if func in _DRAWING and named.get("generator") is None:
            named["generator"] = self._generator
        return func(*args, **named)


def seeded(build: Callable[[], T], seed: int) -> T:
    """Call ``build()`` on the CPU, with all that it draws from ``seed``."""
    generator = torch.Generator()
    generator.manual_seed(seed)
    with DrawingFrom(generator):
        return build()


class Noise:
    """What a loss draws from: a generator of its own, torch's global ones (None), or nothing.

    ``arguments`` go to the loss. ``seed`` and the states of a checkpoint are for all of them.
    """

    def __init__(self, draws: bool | None, where: torch.device) -> None:
        self._global, self._where = draws is None, where
        self._own = torch.Generator(where) if draws else None
        self.arguments = {} if self._own is None else {"generator": self._own}

    def kept_apart(self) -> AbstractContextManager[None]:
        """Give torch's global generators back as they were, if the loss draws from them."""
        return _forked(self._where) if self._global else nullcontext()

    def seed(self, seed: int) -> None:
        """Begin a stream of numbers."""
        if self._own is not None:
            self._own.manual_seed(seed)
        elif self._global:
            torch.default_generator.manual_seed(seed)
            if self._where.type == "cuda":
                with torch.cuda.device(self._where):
                    torch.cuda.manual_seed(seed)

    def state(self) -> dict[str, Tensor]:
        """Return where the streams are, by kind of device."""
        if self._own is not None:
            return {self._where.type: self._own.get_state()}
        if not self._global:
            return {}
        states = {"cpu": torch.get_rng_state()}
        if self._where.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self._where)
        return states

    def go_on(self, states: Mapping[str, Tensor]) -> None:
        """Put the streams where ``state`` found them; those of another kind of device stay."""
        if self._own is not None:
            if self._where.type in states:
                self._own.set_state(states[self._where.type])
        elif self._global:
            torch.set_rng_state(states["cpu"])
            if "cuda" in states and self._where.type == "cuda":
                torch.cuda.set_rng_state(states["cuda"], self._where)


@contextmanager
def _forked(where: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        yield
