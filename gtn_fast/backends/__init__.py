"""What can run a matching. One signature, the same answer from each exact one, bit for bit.

    registry.py   the list: names, strategies, devices, needs; why one cannot run here
    native.py     the C++ engine: ray, circle, tree, screen
    reference.py  NumPy: the oracle (method "reference") and the 1-D rank labeling
    faiss.py      candidates from an index of FAISS: approximate; faiss_gpu.py: on a GPU
    triton.py     a GPU: screen
    distributed.py  X in shards on several processes: screen; _ranks.py, _shards.py
    _blocks.py    blocks, lists and turns, for those who find candidates outside the engine
    _rest.py      the engine for the last stretch of what another has begun

A backend is an entry of ``registry.BACKENDS`` and a module with

    match(x, y, *, strategy, threads, block, list_length, progress, **options) -> Matched
                    options: those that its entry in the registry names, if they were given
                    and, if the entry says ``hands_over``, settled and settled_every
                    (seconds); if it says ``in_place``, x_rows, y_rows (the rows that take
                    part, int64, ascending), out_of_core (x is in files larger than memory)
                    and scratch (a folder for what does not fit beside it); if it computes
                    elsewhere than on the CPU, device ("cuda:1"); if it ``holds``, x and y
                    may be _matrices.Held, rows that lie on a device
    require()       ImportError with reason and remedy, in one line, if it cannot run here
    instructions()  what it computes with, for the report
    predict(n_x, n_y, d, threads) -> (seconds, bytes beyond X and Y)
                    only for strategies of which planner.py has no formula
    check(options) -> options
                    as plain values; TypeError or ValueError for those that make no sense;
                    only where the entry names options

The arrays have been through gtn_fast._validate; a backend checks nothing again.
``for_strategy`` gives the ``match`` that runs a strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import registry

Progress = Callable[[int, int], None]
# (rows of Y, rows of X, cosines): pairs that became final since the last call
Settled = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], None]
# Where CUDA tensors go by default. Below 10^10 products (n = 10,000 at d = 100) the CPU takes
# less than a tenth of a second, about what it takes to set the GPU to work.
GPU_FROM_DIMENSION, GPU_FROM_PRODUCTS = 3, 10**10


class Matched(NamedTuple):
    """A matching and the backend's counters.

    ``x_index`` (n_y,) int64 and ``cosine`` (n_y,) float64 are in Y's row order;
    ``order`` (n_y,) int64 holds the rows of Y as they chose.
    """

    x_index: NDArray[np.int64]
    cosine: NDArray[np.float64]
    order: NDArray[np.int64]
    report: dict[str, float]


class Match(Protocol):
    """The one signature."""

    def __call__(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        *,
        strategy: str,
        threads: int,
        block: int = 0,
        list_length: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Matched:
        """Match every row of y with a row of x."""
        ...


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
