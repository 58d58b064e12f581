"""Rows of X of one and the same direction: one column for all of them.

Their cosines with anything are equal to the last bit, so they are taken in norm order, and
only the first that is free can be chosen. Without this a tie of a million rows would be a
million candidates for every y.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast.backends.triton import bounds
from gtn_fast.backends.triton.rows import StoredRows

_HASH_SEED = 20240611


class Classes:
    """Classes of rows with their free members, in norm order.

    ``members`` (n_x,) holds the rows class by class; class c has those from ``next[c]`` to
    ``end[c]`` left. ``of_row`` (n_x,) is the class of a row. ``single``: no class ever had
    two, a class is its row, and nothing is kept on the host.
    """

    def __init__(self, of_row: NDArray[np.int64] | None, rank: NDArray[np.uint32]) -> None:
        self.single = of_row is None
        self._count = len(rank)
        if of_row is None:
            return
        size = np.bincount(of_row)
        self._count = len(size)
        self.of_row = of_row
        self.end = np.cumsum(size)
        self.next = self.end - size
        self.members = np.lexsort((rank, of_row)).astype(np.int64)

    def __len__(self) -> int:
        return self._count

    def heads(self, classes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first free row of each of these classes, which must have one."""
        if self.single:
            return classes
        found: NDArray[np.int64] = self.members[self.next[classes]]
        return found

    def left(self, classes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many rows of each class are free."""
        return self.end[classes] - self.next[classes]

    def take(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Take note that these rows, the first free ones of their classes, are taken.

        Returns the classes that have no free row now, those that have, and the latter's heads.
        """
        if self.single:
            return rows, rows[:0], rows[:0]
        touched, count = np.unique(self.of_row[rows], return_counts=True)
        self.next[touched] += count
        more = self.left(touched) > 0
        return touched[~more], touched[more], self.heads(touched[more])


def find(get: StoredRows) -> NDArray[np.int64] | None:
    """Return the class of every row, int64 (n,), or None if no two rows have one direction.

    Rows are put together by a hash of x / max |x_i| and then compared value by value; a row
    that only shares the hash gets a class of its own.
    """
    chunks = get.chunks()
    n, step = chunks[-1].stop, chunks[0].stop
    hashes = torch.cat([_hashes(get(part)) for part in chunks])
    distinct, inverse = torch.unique(hashes, return_inverse=True)
    if len(distinct) == n:
        return None
    of_row: NDArray[np.int64] = inverse.cpu().numpy().astype(np.int64)
    first = np.full(n, n, np.int64)
    np.minimum.at(first, of_row, np.arange(n))
    others = np.flatnonzero(first[of_row] != np.arange(n))
    different = [
        rows[(bounds.scaled(get(rows)) != bounds.scaled(get(first[of_row[rows]])))
             .any(dim=1).cpu().numpy()]
        for rows in (others[i : i + step] for i in range(0, len(others), step))
    ]  # fmt: skip
    alone = np.concatenate(different)
    of_row[alone] = of_row.max() + 1 + np.arange(len(alone))
    return of_row


def _hashes(rows: torch.Tensor) -> torch.Tensor:
    """Return a 64-bit hash of each row's x / max |x_i|; equal rows have equal hashes."""
    bits = (bounds.scaled(rows) + 0.0).view(torch.int64)  # + 0.0: no -0.0
    random = np.random.default_rng(_HASH_SEED).integers(-(2**62), 2**62, rows.shape[1])
    multiplier = torch.from_numpy(2 * random + 1).to(rows.device)
    mixed = (bits ^ (bits >> 32)) * multiplier
    mixed = (mixed ^ (mixed >> 29)) * multiplier
    return (mixed ^ (mixed >> 32)).sum(dim=1)
