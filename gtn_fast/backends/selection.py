"""Which backend runs a strategy, where, and with which options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gtn_fast.backends import registry
from gtn_fast.backends.interface import Match
from gtn_fast.backends.methods import check_metric_on
from gtn_fast.inputs.device import CPU, Device, check_device

# Where CUDA tensors go by default. Below 10^10 products (n = 10,000 at d = 100) the CPU takes
# less than a tenth of a second, about what it takes to set the GPU to work.
GPU_FROM_DIMENSION, GPU_FROM_PRODUCTS = 3, 10**10


def check_names(options: Iterable[str]) -> None:
    """Raise TypeError for the first name that is no backend's option."""
    known = list(dict.fromkeys(name for each in registry.BACKENDS for name in each.option_names))
    for name in options:
        if name not in known:
            raise TypeError(
                f"label() has no argument {name!r}; options of single backends: {', '.join(known)}"
            )


def check_options(
    strategies: Iterable[str], options: Mapping[str, Any], device: Device = CPU
) -> dict[str, Any]:
    """Return options as plain values; ValueError for one that no strategy of these takes."""
    running = [registry.find(strategy, device.kind) for strategy in strategies]
    for name in options:
        if all(name in backend.option_names for backend in running):
            continue
        takers = [m for b in registry.BACKENDS if name in b.option_names for m in b.strategies]
        named = " or ".join(map(repr, dict.fromkeys(takers)))
        raise ValueError(f"{name} goes with method {named} only")
    plain = dict(options)
    if plain:
        for backend in running:
            plain = backend.load().check(plain)
    return plain


def pick_device(
    asked: Device | None,
    value: Any,
    method: str,
    n_x: int,
    n_y: int,
    d: int,
    metric: str = "cosine",
) -> Device:
    """Return where to compute: as asked, or else where X (``value``) is, if that can be.

    A CUDA tensor is labeled on its device by "auto" and "screen", if the GPU backend runs
    here and the job is not small, from d = 3 on: below, the CPU's methods are linear in n.
    ValueError for a device that the metric does not run on.
    """
    if asked is not None:
        check_metric_on(metric, asked)
        return asked
    where = str(getattr(value, "device", "cpu"))
    suits = method in ("auto", "screen") and metric == "cosine" and d >= GPU_FROM_DIMENSION
    suits = suits and n_x * n_y * d >= GPU_FROM_PRODUCTS
    if where.startswith("cuda") and suits and registry.why_not("triton") is None:
        return check_device(where) or CPU
    return CPU


def for_strategy(strategy: str, device: Device = CPU) -> Match:
    """Return the ``match`` of the backend that runs ``strategy`` on ``device``.

    Raises ImportError, with reason and remedy, if that backend cannot run here, and
    ValueError, with what is valid, if there is none.
    """
    module = registry.find(strategy, device.kind).load()
    module.require()
    match: Match = module.match
    return match
