"""``groups=(gx, gy)``: labels of the rows of X and Y, and the rows of each group.

Labels are integers, strings or booleans: arrays, tensors, lists, pandas columns, categoricals.
"""

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


class Groups(NamedTuple):
    """The group of every row of X and of Y, and each group's rows (``Group``).

    ``names``: what the caller calls the groups 0, 1, ..., None where labels are integers.
    """

    of_x: NDArray[np.int64]
    of_y: NDArray[np.int64]
    parts: list[Group]
    names: list[str] | None = None

    @classmethod
    def of(cls, groups: Any, n_x: int, n_y: int, *, partial: bool = False) -> Groups:
        """Check ``groups=(gx, gy)``; TypeError or ValueError.

        ``partial``: a group may have more y's than x's.
        """
        gx, gy, names = _coded(groups, n_x, n_y)
        return cls(gx, gy, list(_split(gx, gy, names, partial)), names)

    def name(self, label: int) -> str:
        """Return a group's label as the caller wrote it."""
        return _name(label, self.names)


def group_pair(groups: Any, n_x: int, n_y: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ``groups=(gx, gy)`` as two int64 arrays of lengths n_x and n_y."""
    return _coded(groups, n_x, n_y)[:2]


def _coded(
    groups: Any, n_x: int, n_y: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str] | None]:
    """Return both sides as integers; texts and booleans are numbered in their order."""
    if not isinstance(groups, (tuple, list)) or len(groups) != 2:
        raise TypeError(
            "groups must be a pair (gx, gy): the group of every row of X and of every row of Y"
        )
    x, of_x = plain_labels(groups[0], "groups[0]", n_x)
    y, of_y = plain_labels(groups[1], "groups[1]", n_y)
    if of_x != of_y:
        raise TypeError(
            f"both sides of groups must hold the same: groups[0] has {of_x}, groups[1] {of_y}"
        )
    if of_x == "integers":
        return np.asarray(x, np.int64), np.asarray(y, np.int64), None
    number = {label: i for i, label in enumerate(sorted({*x, *y}))}
    gx, gy = (np.array([number[label] for label in side], np.int64) for side in (x, y))
    return gx, gy, [repr(label) for label in number]


def plain_labels(value: Any, name: str, rows: int) -> tuple[Any, str]:
    """Return labels, one per row, and what they are: "integers", "strings" or "booleans"."""
    if is_tensor(value):
        value = value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)):  # NumPy would make texts of numbers beside texts
        value = np.array(value, object)
    array = numpy_array(value, name)
    if array.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one label per row, got {array.shape}")
    if array.dtype.kind in "iu":
        return integers(array, name), "integers"
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    labels = array.tolist()
    if array.dtype.kind == "O":  # of lists, pandas columns, categoricals
        missing = [i for i, label in enumerate(labels) if _is_missing(label)]
        if missing:
            raise ValueError(f"{name} has no label in row {missing[0]} ({labels[missing[0]]!r})")
    for kind, noun in ((str, "strings"), (bool, "booleans"), (int, "integers")):
        if all(type(label) is kind or isinstance(label, _NUMPY[kind]) for label in labels):
            if kind is int:
                return integers(np.array([int(label) for label in labels]), name), noun
            return [kind(label) for label in labels], noun
    if array.dtype.kind != "O":
        found = f"dtype {array.dtype}"
    else:
        found = " and ".join(sorted({type(label).__name__ for label in labels})[:4])
    raise TypeError(f"{name} must hold integers, strings or booleans, got {found}")


_NUMPY: dict[type, Any] = {str: np.str_, bool: np.bool_, int: np.integer}


def _is_missing(label: Any) -> bool:
    """Tell whether it is None, NaN, or a pandas NA or NaT."""
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(label, float) and label != label


def _name(label: int, names: list[str] | None) -> str:
    return str(label) if names is None else names[label]


def split_groups(
    gx: NDArray[np.int64], gy: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (label, rows of X, rows of Y) of every group with y's, labels and rows ascending.

    One sort of each side; every group is checked before the first is yielded.
    ValueError names the first group with more y's than x's.
    """
    return _split(gx, gy, None, partial=False)


def _split(
    gx: NDArray[np.int64], gy: NDArray[np.int64], names: list[str] | None, partial: bool
) -> Iterator[Group]:
    x_rows, x_labels, x_start = _runs(gx)
    y_rows, y_labels, y_start = _runs(gy)
    at = np.searchsorted(x_labels, y_labels)
    found = at < len(x_labels)
    found[found] = x_labels[at[found]] == y_labels[found]
    x_size = np.where(found, np.diff(x_start)[np.minimum(at, len(x_labels) - 1)], 0)
    short = np.flatnonzero(np.diff(y_start) > x_size)
    if len(short) and not partial:
        g = int(short[0])
        raise ValueError(
            f"group {_name(int(y_labels[g]), names)} has {int(y_start[g + 1] - y_start[g])} rows"
            f" of Y but only {int(x_size[g])} rows of X; partial=True leaves the rest unmatched"
        )
    return (
        (
            int(label),
            x_rows[x_start[i] : x_start[i] + size] if size else x_rows[:0],
            y_rows[y_start[g] : y_start[g + 1]],
        )
        for g, (label, i, size) in enumerate(
            zip(y_labels.tolist(), at.tolist(), x_size.tolist(), strict=True)
        )
    )


def _runs(
    labels: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return rows sorted by label (stable), the distinct labels, and where their rows start."""
    rows = np.argsort(labels, kind="stable").astype(np.int64)
    ordered = labels[rows]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return rows, ordered[first], np.append(first, len(rows)).astype(np.int64)
