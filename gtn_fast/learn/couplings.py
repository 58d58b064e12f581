"""Which noise belongs to which data: couplings, to compare and to exchange.

    labels         Algorithm 1: every y takes the free x of highest cosine
    euclidean      the same by distance: every y takes the free x that is nearest
    rays           Algorithm 1 along lines through the origin, in the plane (rays.py)
    minibatch      optimal transport inside random batches (Pooladian et al., Tong et al., 2023)
    semidiscrete   optimal transport to all of the data, by potentials (Genevay et al., 2016)
    independent    at random

``pair(x, y, coupling)`` is the way in. The cost of a transport is the squared Euclidean distance.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gtn_fast.api import label
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.inputs.arrays import check_columns, convert, describe, unchanged
from gtn_fast.inputs.groups import group_pair, split_groups
from gtn_fast.learn.rays import on_rays
from gtn_fast.learn.training.seeds import derive
from gtn_fast.sample import normal

Array = NDArray[Any]
Rows = NDArray[np.int64]

_RAYS = 100  # of a sample in the plane, as in the preset "uniform"
_SCORES = 1 << 22  # that are held together
_STEP = 0.3  # in deviations of a score; measured: 0.1 to 1 end alike at d = 8, 32 and 64


@dataclass(frozen=True)
class How:
    """What every coupling is told: its seed, its threads (None: all), and whom it tells.

    ``progress`` is what ``label`` takes; a callable is called now and then with (done, total),
    and may raise to stop the work. ``groups`` (the group of every row of x, and of y) are told to
    ``Labels`` alone: others get the rows of one group at a time.
    """

    seed: int = 0
    threads: int | None = None
    progress: Any = None
    groups: tuple[Rows, Rows] | None = None

    def tell(self, done: int, total: int) -> None:
        """Call ``progress``, if it is a callable."""
        if callable(self.progress):
            self.progress(done, total)


class Coupling(Protocol):
    """``coupling(x, y, how)``: the row of x (n, d) of every y (m, d), m <= n: int64 (m,).

    A function of its arguments and of ``how.seed``.
    """

    def __call__(self, x: Array, y: Array, how: How) -> Rows:
        """Return the rows."""


@dataclass(frozen=True)
class Labels:
    """Algorithm 1: ``gtn_fast.label`` by ``metric``. ``rays``: along so many lines, in the plane.

    It draws nothing, so that the seed says nothing. No row is taken twice.
    """

    rays: int | None = None
    metric: str = "cosine"

    def __call__(self, x: Array, y: Array, how: How) -> Rows:
        """Return ``label(x, y).x_index``."""
        if self.rays is not None:
            x, y = on_rays(x, self.rays), on_rays(y, self.rays)
        options = {"threads": how.threads, "progress": how.progress, "groups": how.groups}
        return label(x, y, metric=self.metric, **options).x_index


@dataclass(frozen=True)
class Independent:
    """Every y a row of its own, at random."""

    def __call__(self, x: Array, y: Array, how: How) -> Rows:
        """Return the first rows of a permutation."""
        rows = np.random.default_rng(derive(how.seed, "independent")).permutation(len(x))
        return rows[: len(y)].astype(np.int64)


@dataclass(frozen=True)
class Minibatch:
    """The best assignment (SciPy's, exact) inside batches of ``batch`` y's and random x's.

    No row is taken twice. The y's of a batch are neighbours in y: draw them, or shuffle.
    """

    batch: int = 500

    def __post_init__(self) -> None:
        check_integer(self.batch, "batch", 1, 1 << 16)

    def __call__(self, x: Array, y: Array, how: How) -> Rows:
        """Return the rows, batch after batch."""
        from scipy.optimize import linear_sum_assignment

        chosen = Independent()(x, y, how)
        rows = np.empty(len(y), np.int64)
        for start in range(0, len(y), self.batch):
            part = slice(start, start + self.batch)
            some = chosen[part]
            # -|y - x|² / 2 but for terms of one row, or of one column.
            score = y[part].astype(np.float64) @ x[some].astype(np.float64).T
            rows[part] = some[linear_sum_assignment(score, maximize=True)[1]]
            how.tell(min(start + self.batch, len(y)), len(y))
        return rows


@dataclass(eq=False)
class Semidiscrete:
    """Optimal transport from the law of y to the n rows of x: y goes to argmax y.x + b of x.

    The bias b (one number per row) is learned once for an x, by averaged stochastic gradient on
    ``rounds`` batches of ``batch`` normals: it falls where more than 1/n of them arrive. It is
    kept and used for every later y, which costs one search. A row may be taken twice, or never.
    ``source(seed, first_row, rows, d)`` draws y's of another law, as ``gtn_fast.normal`` does.
    """

    rounds: int = 1000
    batch: int = 2048
    seed: int = 0
    source: Callable[..., Array] = field(default=normal, repr=False)
    _learned: dict[str, Array] = field(default_factory=dict, repr=False)  # of x: its bias

    def __post_init__(self) -> None:
        check_integer(self.rounds, "rounds", 1, 1 << 24)
        check_integer(self.batch, "batch", 1, 1 << 20)
        check_seed(self.seed)

    def __call__(self, x: Array, y: Array, how: How) -> Rows:
        """Return the best row of every y."""
        x = np.ascontiguousarray(x, np.float32)
        key = f"{x.shape} {hashlib.blake2b(x.data, digest_size=16).hexdigest()}"
        if key not in self._learned:
            self._learned[key] = self._bias(x, how)
        return self._search(x, self._learned[key], y)

    def _bias(self, x: Array, how: How) -> Array:
        n, d = x.shape
        squared = np.square(x, dtype=np.float64).sum(axis=1)
        bias = -0.5 * squared
        step = _STEP * float(np.sqrt(squared.mean()))
        mean = np.zeros(n)
        seed, expected = derive(self.seed, "semidiscrete"), self.batch / n
        for k in range(self.rounds):
            y = self.source(seed, k * self.batch, self.batch, d)
            count = np.bincount(self._search(x, bias, y), minlength=n)
            bias += step / np.sqrt(1 + k) * (expected - count) / max(1.0, expected)
            if 2 * k + 1 >= self.rounds:
                mean += bias
            how.tell(k + 1, self.rounds)
        return mean / (self.rounds - self.rounds // 2)

    def _search(self, x: Array, bias: Array, y: Array) -> Rows:
        found = np.empty(len(y), np.int64)
        rows = max(1, _SCORES // len(x))
        columns, added = x.T.astype(np.float32), bias.astype(np.float32)
        for start in range(0, len(y), rows):
            part = slice(start, start + rows)
            score = y[part].astype(np.float32) @ columns
            score += added
            found[part] = score.argmax(axis=1)
        return found


COUPLINGS: dict[str, Callable[[], Coupling]] = {
    "labels": Labels,
    "euclidean": lambda: Labels(metric="euclidean"),
    "rays": lambda: Labels(rays=_RAYS),
    "minibatch": Minibatch,
    "semidiscrete": Semidiscrete,
    "independent": Independent,
}


def check_coupling(coupling: Any, d: int) -> Coupling:
    """Return the coupling of that name, or the given one; ValueError or TypeError if it is none.

    So it is where it does not serve d dimensions.
    """
    if isinstance(coupling, str):
        if coupling not in COUPLINGS:
            raise ValueError(f"unknown coupling {coupling!r}; valid: {', '.join(COUPLINGS)}")
        coupling = COUPLINGS[coupling]()
    if not callable(coupling) or isinstance(coupling, type):
        found = coupling.__name__ if isinstance(coupling, type) else type(coupling).__name__
        raise TypeError(f"coupling must be a name or a Coupling, got {found}")
    if isinstance(coupling, Labels) and coupling.rays is not None and d != 2:
        raise ValueError(f"coupling rays is for d = 2: its lines are in the plane; got d = {d}")
    made: Coupling = coupling
    return made


def name_of(coupling: Any) -> str:
    """Return the name of a coupling; of another its settings, or what its function is called."""
    for name, make in COUPLINGS.items():
        if repr(make()) == repr(coupling):
            return name
    if dataclasses.is_dataclass(coupling):
        return repr(coupling)
    return str(getattr(coupling, "__qualname__", type(coupling).__qualname__))


def rows_of(
    coupling: Coupling, x: Array, y: Array, how: How, groups: tuple[Rows, Rows] | None = None
) -> Rows:
    """Return the rows of checked matrices, inside groups; ValueError for an answer that is none.

    ValueError, too, for a group with more y's than x's.
    """
    if groups is None or isinstance(coupling, Labels):
        return _checked(coupling, coupling(x, y, replace(how, groups=groups)), len(x), len(y))
    rows = np.empty(len(y), np.int64)
    for group, x_rows, y_rows in split_groups(*groups):
        own = replace(how, seed=derive(how.seed, f"group {group}"))
        found = coupling(x[x_rows], y[y_rows], own)
        rows[y_rows] = x_rows[_checked(coupling, found, len(x_rows), len(y_rows))]
    return rows


def _checked(coupling: Coupling, answer: Any, n: int, m: int) -> Rows:
    found = np.asarray(answer)
    if found.shape != (m,) or found.dtype.kind not in "iu":
        raise ValueError(
            f"the coupling {name_of(coupling)} must answer with {m} rows of x, got"
            f" {found.dtype} of shape {found.shape}"
        )
    if m and not 0 <= found.min() <= found.max() < n:
        raise ValueError(f"the coupling {name_of(coupling)} names rows that x does not have")
    return found.astype(np.int64, copy=False)


def pair(
    X: Any,
    Y: Any = None,
    coupling: str | Coupling = "labels",
    *,
    seed: int = 0,
    groups: Any = None,
    threads: int | None = None,
    progress: Any = None,
    flatten: bool = False,
) -> tuple[Array, Rows]:
    """Return y (m, d) and, for each, the row of X (n, d) that it is coupled with: int64 (m,).

    X and Y are whatever ``label`` takes, m <= n; without Y it is N(0, I), float32, of X's shape,
    drawn from ``seed``. ``groups`` as for ``label``. Standardise X, or centre both: the directions
    of labels are from the origin.

    Raises
    ------
    TypeError, ValueError
        Matrices that do not go together, more y's than x's, an unknown coupling.
    """
    seed = check_seed(seed)
    x_in = describe(X, "X", flatten=flatten)
    y_in = None if Y is None else describe(Y, "Y", flatten=flatten)
    if y_in is not None:
        check_columns(x_in, y_in)
        if y_in.rows > x_in.rows:
            raise ValueError(
                f"a coupling needs as many rows of X as of Y: Y has {y_in.rows} rows, X only"
                f" {x_in.rows}"
            )
    chosen = check_coupling(coupling, x_in.cols)
    with unchanged(x_in, y_in):
        x = np.asarray(convert(x_in))
        if y_in is None:
            y: Array = normal(seed, 0, *x.shape, threads=threads)
        else:
            y = np.asarray(convert(y_in))
    pair_of_groups = None if groups is None else group_pair(groups, len(x), len(y))
    how = How(derive(seed, "coupling"), threads, progress)
    return y, rows_of(chosen, x, y, how, pair_of_groups)
