"""The strategies tried on a few of the very rows: what no formula over sizes can know.

How long a tree or a screen takes depends on how the rows lie: ties, steps and clusters make
either of them several times slower. A small match of rows of the data, and one of as many
normals, show how many times. How the time grows with n is left to the formulas: from small
matches it is known less well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.planning.calibration import best_time
from gtn_fast.planning.look import finite_rows

_ROWS = 1000  # of X and of Y
_FEWEST = 500  # a sample of fewer rows says little


class Slower(NamedTuple):
    """How many times longer a strategy takes than for normals, at least 1."""

    tree: float = 1.0
    screen: float = 1.0


AS_NORMALS = Slower()


def rehearse(X: Any, metric: str = "cosine") -> Slower:
    """Match rows of X, (n, d), with normals; 1 and 1 without the engine or enough rows."""
    if not native.available():
        return AS_NORMALS
    x = finite_rows(X, _ROWS)
    x = x[np.abs(x).max(axis=1, initial=0.0) > 0]
    if len(x) < _FEWEST:
        return AS_NORMALS
    x, y = _as_data(x, metric)
    try:
        taken = [best_time(x, y, strategy, metric) for strategy in Slower._fields]
    except ValueError:  # what the engine refuses, it will refuse when it is asked in earnest
        return AS_NORMALS
    of_normals = [_of_normals(*x.shape, strategy, metric) for strategy in Slower._fields]
    return Slower(*(max(1.0, t / u) for t, u in zip(taken, of_normals, strict=True)))


@lru_cache(maxsize=64)
def _of_normals(n: int, d: int, strategy: str, metric: str) -> float:
    x, y = np.random.default_rng(0).standard_normal((2, n, d), dtype=np.float32)
    return best_time(x, y, strategy, metric)


def _as_data(x: NDArray[np.float64], metric: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return x's and y's as a match gets them.

    x in float32 where that holds it, as nearly all data are; y normals, by distance where the
    x's are.
    """
    y = np.random.default_rng(0).standard_normal(x.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        if metric == "euclidean":
            y = y * x.std(axis=0) + x.mean(axis=0)
        narrow = x.astype(np.float32)
        fits = np.isfinite(narrow).all() and np.isfinite(y.astype(np.float32)).all()
    if fits and (narrow != 0).any(axis=1).all():
        return narrow, y.astype(np.float32)
    return x, y
