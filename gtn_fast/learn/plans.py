"""Pairs for those who train flows elsewhere: batch by batch, or of the whole set.

    PlanSampler   goes where torchcfm's ``OTPlanSampler`` goes: pairs inside a batch
    NoisePairs    a Dataset of (noise, data) pairs of the whole set, of any shape
    PairSampler   its sampler: torch's DistributedSampler, with labels drawn anew for each epoch

Pairs of a whole set are nearer to each other than pairs of its batches, and cost less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from gtn_fast.inputs.arguments import check_flag, check_integer, check_seed
from gtn_fast.inputs.arrays import convert, describe
from gtn_fast.inputs.groups import group_pair
from gtn_fast.learn.couplings import Coupling, How, Labels, Rows, check_coupling, rows_of
from gtn_fast.learn.training.seeds import derive
from gtn_fast.sample import normal, normal_rows


class PlanSampler:
    """Takes the place of torchcfm's ``OTPlanSampler``: a plan is a matching by ``coupling``.

    >>> matcher = torchcfm.ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)
    >>> matcher.ot_sampler = PlanSampler()

    Parameters
    ----------
    coupling : str or Coupling
        A name of ``couplings.COUPLINGS``, or a callable of its kind.
    centre : bool
        Match what is left of both batches without their means: directions are from the origin.
        What is returned is what was given.
    seed : int
        Of a coupling that draws. Batch k of this object draws from (seed, k).
    threads
        As for ``label``.
    """

    def __init__(
        self,
        coupling: str | Coupling = "labels",
        *,
        centre: bool = True,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        check_coupling(coupling, 2)
        self.coupling, self.threads = coupling, threads
        self.centre, self.seed = check_flag(centre, "centre"), check_seed(seed)
        self.batches = 0

    def rows(self, x0: Tensor, x1: Tensor) -> Tensor:
        """Return, for each row of x0 (m, *dim), its row of x1 (n, *dim): int64 (m,), m <= n.

        Raises
        ------
        TypeError, ValueError
            No tensors of one shape behind the first dimension, more rows of x0 than of x1,
            NaN or infinity.
        """
        found = matched(
            x1, x0, self.coupling, How(derive(self.seed, f"batch {self.batches}"), self.threads,
                                       progress=False), self.centre, ("x1", "x0"),
        )  # fmt: skip
        self.batches += 1
        return torch.from_numpy(found).to(x1.device)

    def get_map(self, x0: Tensor, x1: Tensor) -> NDArray[np.float64]:
        """Return the plan, (m, n): 1 / m where a pair is, else 0."""
        plan = np.zeros((len(x0), len(x1)))
        rows = self.rows(x0, x1).cpu().numpy()
        plan[np.arange(len(x0)), rows] = 1 / len(x0)
        return plan

    def sample_plan(self, x0: Tensor, x1: Tensor, replace: bool = True) -> tuple[Tensor, Tensor]:
        """Return x0 and the rows of x1 that belong to it, (m, *dim) each.

        ``replace`` is there for torchcfm's callers: a matching has every row of x0 once, and that
        is what is returned; nothing is drawn.
        """
        return self.sample_plan_with_labels(x0, x1, replace=replace)[:2]

    def sample_plan_with_labels(
        self,
        x0: Tensor,
        x1: Tensor,
        y0: Tensor | None = None,
        y1: Tensor | None = None,
        replace: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Return what ``sample_plan`` does, and y0 (m,) and y1 (n,) in the order of the pairs."""
        del replace
        for name, labels, count in (("y0", y0, len(x0)), ("y1", y1, len(x1))):
            if labels is not None and len(labels) != count:
                raise ValueError(f"{name} must have a label per row, {count}, got {len(labels)}")
        rows = self.rows(x0, x1)
        return x0, x1[rows], y0, None if y1 is None else y1[rows.to(y1.device)]


def matched(
    x: Any,
    y: Any,
    coupling: str | Coupling,
    how: How,
    centre: bool,
    names: tuple[str, str],
    groups: tuple[Rows, Rows] | None = None,
) -> Rows:
    """Return the row of x (n, *dim) of every y (m, *dim), with both flattened and centred.

    Tensors on a GPU stay there for labels; the others get arrays.
    """
    for value, name in ((x, names[0]), (y, names[1])):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if x.shape[1:] != y.shape[1:] or not x.ndim:
        raise ValueError(
            f"{names[1]} and {names[0]} must have rows of one shape, got"
            f" {tuple(y.shape[1:])} and {tuple(x.shape[1:])}"
        )
    if x.device != y.device:
        raise ValueError(f"{names[1]} is on {y.device}, {names[0]} on {x.device}: wanted one")
    if len(y) > len(x):
        raise ValueError(
            f"every row of {names[1]} needs a row of {names[0]} of its own: {names[1]} has"
            f" {len(y)} rows, {names[0]} only {len(x)}"
        )
    flat = [_flat(value) for value in (x, y)]
    chosen = check_coupling(coupling, math.prod(x.shape[1:]))
    if flat[0].is_cuda and chosen == Labels():
        if centre:
            flat = [value.float() - value.mean(dim=0, dtype=torch.float32) for value in flat]
        return rows_of(chosen, flat[0], flat[1], how, groups)  # type: ignore[arg-type]
    arrays = [convert(describe(v, name)) for v, name in zip(flat, names, strict=True)]
    if centre:
        arrays = [a - a.mean(axis=0, dtype=np.float64).astype(a.dtype) for a in arrays]
    return rows_of(chosen, arrays[0], arrays[1], how, groups)


def _flat(x: Tensor) -> Tensor:
    """Return (n, *dim) as (n, d), a view where it can be one; no rows, or no rank, as they are."""
    return x.detach().reshape(len(x), math.prod(x.shape[1:])) if x.ndim else x


class Pair(NamedTuple):
    """What ``PairSampler`` asks ``NoisePairs`` for: a row of an epoch's noise, and its data row."""

    epoch: int
    noise: int
    data: int


class NoisePairs(Dataset[tuple[Tensor, ...]]):
    """Pairs of the whole set: row i of a fresh noise and the row of X that belongs to it.

    ``pairs[i]`` is (noise, x), or (noise, x, class) with classes; noise is N(0, I), float32, of
    x's shape and on its device, and is made when it is asked for: only X is stored, as it was
    given. A list of indices gives tensors with a first dimension (``BatchSampler`` in a
    DataLoader with batch_size=None). Labels are drawn for epoch 0, and for each other that
    ``PairSampler`` or ``rows`` asks for; they are a function of (X, classes, seed, epoch), the
    same on every rank.

    Parameters
    ----------
    X : tensor (n, *dim)
        The data, on any device.
    classes : (n,) integers, strings or booleans, optional
        Conditions: labels stay inside a class, and noise i has the class of row i.
    seed : int
        Of the noise, and of a coupling that draws.
    coupling, centre, threads, progress
        As for ``PlanSampler`` and ``label``.

    Raises
    ------
    TypeError, ValueError
        X that is no tensor of numbers, empty, NaN; classes of another length.
    """

    def __init__(
        self,
        X: Tensor,
        *,
        classes: Any = None,
        seed: int = 0,
        coupling: str | Coupling = "labels",
        centre: bool = True,
        threads: int | None = None,
        progress: Any = None,
    ) -> None:
        if not isinstance(X, Tensor):
            raise TypeError(f"X must be a torch tensor, got {type(X).__name__}")
        describe(_flat(X), "X")
        self.X, self.seed = X, check_seed(seed)
        self.d = math.prod(X.shape[1:])
        self.coupling = check_coupling(coupling, self.d)
        self.centre, self.threads = check_flag(centre, "centre"), threads
        self.progress = progress
        self.classes: Tensor | None = None
        self._groups: tuple[Rows, Rows] | None = None
        if classes is not None:
            codes = group_pair((classes, classes), len(X), len(X))[0]
            self._groups = codes, codes
            self.classes = torch.from_numpy(codes).to(X.device)
        self._drawn: tuple[int, Rows] | None = None  # of the last epoch

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.X.shape[1:]))
        return f"NoisePairs(n={len(self):,}, {shape}, on {self.X.device})"

    def rows(self, epoch: int) -> Rows:
        """Return the data row of each noise row in this epoch, int64 (n,); kept for the last."""
        epoch = check_integer(epoch, "epoch", 0, 2**48)
        if self._drawn is None or self._drawn[0] != epoch:
            noise = normal(self._noise_seed(epoch), 0, len(self), self.d)
            y = torch.from_numpy(noise).to(self.X.device).reshape(self.X.shape)
            how = How(derive(self.seed, f"rows {epoch}"), self.threads, self.progress)
            names, groups = ("X", "the noise"), self._groups
            found = matched(self.X, y, self.coupling, how, self.centre, names, groups)
            self._drawn = epoch, found
        return self._drawn[1]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """Return the pair of a number, or of a ``Pair``; a list gives tensors of pairs."""
        if isinstance(index, list):
            return self._pairs(index)
        return tuple(each[0] for each in self._pairs([index]))

    def __getitems__(self, indices: Sequence[Any]) -> list[tuple[Tensor, ...]]:
        """Return a list of pairs: what a DataLoader fetches for a batch."""
        return list(zip(*self._pairs(list(indices)), strict=True))

    def _pairs(self, indices: list[Any]) -> tuple[Tensor, ...]:
        asked = [each if isinstance(each, Pair) else self._pair(each) for each in indices]
        epoch, noise, data = (np.array(each, np.int64) for each in zip(*asked, strict=True))
        made = np.empty((len(asked), self.d), np.float32)
        for each in np.unique(epoch).tolist():
            made[epoch == each] = normal_rows(self._noise_seed(each), noise[epoch == each], self.d)
        y = torch.from_numpy(made).to(self.X.device).reshape(-1, *self.X.shape[1:])
        rows = torch.from_numpy(data).to(self.X.device)
        found = (y, self.X.index_select(0, rows))
        return found if self.classes is None else (*found, self.classes.index_select(0, rows))

    def _pair(self, index: Any) -> Pair:
        """Return pair ``index`` of epoch 0."""
        row = check_integer(index, "index", -len(self), 2**48)
        if row >= len(self):
            raise IndexError(f"pair {row} of {len(self)}")  # what ends a loop over the pairs
        row %= len(self)
        return Pair(0, row, int(self.rows(0)[row]))

    def _noise_seed(self, epoch: int) -> int:
        return derive(self.seed, f"noise {epoch}")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a DataLoader worker is sent: no callable of the caller's."""
        return {**self.__dict__, "progress": None}


class PairSampler(DistributedSampler[Any]):
    """Torch's DistributedSampler over ``NoisePairs``, with labels drawn anew for each epoch.

    Arguments and conventions are those of ``DistributedSampler``: call ``set_epoch`` before each
    epoch. Without ``torch.distributed`` there is one rank. Every rank labels the whole set, which
    takes no message: the answer is the same to the last bit.
    """

    def __init__(
        self,
        pairs: NoisePairs,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if not isinstance(pairs, NoisePairs):
            raise TypeError(f"pairs must be NoisePairs, got {type(pairs).__name__}")
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        if alone:
            num_replicas = 1 if num_replicas is None else num_replicas
            rank = 0 if rank is None else rank
        super().__init__(pairs, num_replicas, rank, shuffle, seed, drop_last)

    def __iter__(self) -> Iterator[Pair]:
        """Yield the pairs of this rank in this epoch."""
        rows = self.dataset.rows(self.epoch)  # type: ignore[attr-defined]
        for number in super().__iter__():
            yield Pair(self.epoch, int(number), int(rows[number]))
