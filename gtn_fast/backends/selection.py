"""Which backend runs a strategy, where, and with which options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gtn_fast.backends import registry
from gtn_fast.backends.interface import Match

# Where CUDA tensors go by default. Below 10^10 products (n = 10,000 at d = 100) the CPU takes
# less than a tenth of a second, about what it takes to set the GPU to work.
GPU_FROM_DIMENSION, GPU_FROM_PRODUCTS = 3, 10**10


def check_options(
    strategies: Iterable[str], given: Mapping[str, Any], device: str = "cpu"
) -> dict[str, Any]:
    """Return the options that were given (are not None); ValueError for one without a taker.

    ``given`` holds all arguments of ``label`` that go to single backends, by name; the
    strategies run on a ``device`` of that type.
    """
    options = {name: value for name, value in given.items() if value is not None}
    running = [registry.find(strategy, device) for strategy in strategies]
    for name in options:
        if all(name in backend.options for backend in running):
            continue
        takers = [m for b in registry.BACKENDS if name in b.options for m in b.strategies]
        named = " or ".join(map(repr, dict.fromkeys(takers)))
        raise ValueError(f"{name} goes with method {named} only")
    if options:
        for backend in running:
            options = backend.load().check(options)
    return options


def pick_device(asked: str | None, value: Any, method: str, n_x: int, n_y: int, d: int) -> str:
    """Return where to compute: as asked, or else where X (``value``) is, if that can be.

    A CUDA tensor is labeled on its device by "auto" and "screen", if the GPU backend runs
    here and the job is not small, from d = 3 on: below, the CPU's methods are linear in n.
    """
    if asked is not None:
        return asked
    where = str(getattr(value, "device", "cpu"))
    suits = method in ("auto", "screen") and d >= GPU_FROM_DIMENSION
    suits = suits and n_x * n_y * d >= GPU_FROM_PRODUCTS
    if where.startswith("cuda") and suits and registry.why_not("triton") is None:
        return where
    return "cpu"


def for_strategy(strategy: str, device: str = "cpu") -> Match:
    """Return the ``match`` of the backend that runs ``strategy`` on ``device``.

    Raises ImportError, with reason and remedy, if that backend cannot run here, and
    ValueError, with what is valid, if there is none.
    """
    module = registry.find(strategy, device).load()
    module.require()
    match: Match = module.match
    return match
