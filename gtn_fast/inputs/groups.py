"""``groups=(gx, gy)``: integer labels of the rows of X and Y, and the rows of each group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.arrays import is_tensor, numpy_array

Rows = NDArray[np.int64]
Group = tuple[int, Rows, Rows]  # label, rows of X, rows of Y


def integers(value: Any, name: str) -> NDArray[np.int64]:
    """Return an integer array or tensor as int64; TypeError or ValueError otherwise."""
    if is_tensor(value):
        value = value.detach().cpu().numpy()
    array = numpy_array(value, name)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{name} holds numbers above the int64 range")
    return array.astype(np.int64)


def group_labels(value: Any, name: str, rows: int) -> NDArray[np.int64]:
    """Return integer group labels, one per row, int64 (rows,); TypeError or ValueError."""
    labels = integers(value, name)
    if labels.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one label per row, got {labels.shape}")
    return labels


def group_pair(groups: Any, n_x: int, n_y: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ``groups=(gx, gy)`` as two int64 arrays of lengths n_x and n_y."""
    if not isinstance(groups, (tuple, list)) or len(groups) != 2:
        raise TypeError(
            "groups must be a pair (gx, gy): the group of every row of X and of every row of Y"
        )
    return group_labels(groups[0], "groups[0]", n_x), group_labels(groups[1], "groups[1]", n_y)


class Groups(NamedTuple):
    """The group of every row of X and of Y, and each group's rows (``Group``)."""

    of_x: NDArray[np.int64]
    of_y: NDArray[np.int64]
    parts: list[Group]

    @classmethod
    def of(cls, groups: Any, n_x: int, n_y: int) -> Groups:
        """Check ``groups=(gx, gy)``; TypeError or ValueError."""
        gx, gy = group_pair(groups, n_x, n_y)
        return cls(gx, gy, list(split_groups(gx, gy)))


def split_groups(
    gx: NDArray[np.int64], gy: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (label, rows of X, rows of Y) of every group with y's, labels and rows ascending.

    One sort of each side; every group is checked before the first is yielded.
    ValueError names the first group with more y's than x's.
    """
    x_rows, x_labels, x_start = _runs(gx)
    y_rows, y_labels, y_start = _runs(gy)
    at = np.searchsorted(x_labels, y_labels)
    found = at < len(x_labels)
    found[found] = x_labels[at[found]] == y_labels[found]
    x_size = np.where(found, np.diff(x_start)[np.minimum(at, len(x_labels) - 1)], 0)
    short = np.flatnonzero(np.diff(y_start) > x_size)
    if len(short):
        g = int(short[0])
        raise ValueError(
            f"group {int(y_labels[g])} has {int(y_start[g + 1] - y_start[g])} rows of Y"
            f" but only {int(x_size[g])} rows of X"
        )
    return (
        (
            int(label),
            x_rows[x_start[i] : x_start[i + 1]],
            y_rows[y_start[g] : y_start[g + 1]],
        )
        for g, (label, i) in enumerate(zip(y_labels.tolist(), at.tolist(), strict=True))
    )


def _runs(
    labels: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return rows sorted by label (stable), the distinct labels, and where their rows start."""
    rows = np.argsort(labels, kind="stable").astype(np.int64)
    ordered = labels[rows]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return rows, ordered[first], np.append(first, len(rows)).astype(np.int64)
