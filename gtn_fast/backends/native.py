"""The C++ engine (gtn_fast._native): strategies ray, circle, tree and screen."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from gtn_fast.backends import Matched, Progress

STRATEGIES = ("ray", "circle", "tree", "screen")


def module() -> ModuleType:
    """Return the compiled module; ImportError says how to get it."""
    try:
        return importlib.import_module("gtn_fast._native")
    except ModuleNotFoundError as error:
        if error.name != "gtn_fast._native":
            raise
        raise ImportError(
            "the compiled engine gtn_fast._native is not built: run `pip install .` in the"
            " repository, or use method='reference' (slow, the same answer)"
        ) from error


def available() -> bool:
    """Tell whether the compiled engine is there. One that is there but broken raises."""
    try:
        module()
    except ImportError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            return False
        raise
    return True


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
) -> Matched:
    """Run ``strategy`` in the engine. Ctrl-C raises KeyboardInterrupt."""
    result = module().match(
        x,
        y,
        strategy=strategy,
        threads=threads,
        block=block,
        list_length=list_length,
        progress=progress,
    )
    return Matched(*result)
