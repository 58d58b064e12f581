"""Class labels as the caller writes them: integers, strings or booleans; inside 0, 1, ..."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.groups import plain_labels
from gtn_fast.inputs.wording import listing

_NAMED = 8  # of the classes, in an error


@dataclass(frozen=True)
class Classes:
    """``names``: the distinct labels, ascending; a label's place among them is its number."""

    names: tuple[int, ...] | tuple[str, ...] | tuple[bool, ...]

    @classmethod
    def of(cls, labels: Any, rows: int) -> tuple[Classes, NDArray[np.int64]]:
        """Return the classes of labels (rows,), whatever ``label(groups=)`` takes, and numbers.

        Raises
        ------
        TypeError, ValueError
            Labels of another kind or length, or missing (None, NaN).
        """
        found, _ = plain_labels(labels, "classes", rows)
        names = tuple(sorted(set(_listed(found))))
        made = cls(names)
        return made, made.numbers(found, rows)

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        return listing([repr(name) for name in self.names], _NAMED)

    def numbers(self, labels: Any, rows: int, name: str = "classes") -> NDArray[np.int64]:
        """Return the number of each of the labels (rows,), or of the one that all have: (rows,).

        TypeError for labels of another kind than these, ValueError for unknown ones.
        """
        one = isinstance(labels, (str, bytes)) or np.ndim(labels) == 0
        if one:
            labels = [labels.item() if hasattr(labels, "item") else labels]
        elif not rows and not len(labels):
            return np.empty(0, np.int64)
        found, kind = plain_labels(labels, name, 1 if one else rows)
        if kind != self.kind:
            raise TypeError(f"{name} must hold {self.kind}, as those of fit, got {kind}")
        number = {label: i for i, label in enumerate(self.names)}
        numbers = np.fromiter((number.get(each, -1) for each in _listed(found)), np.int64)
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            row = int(unknown[0])
            where = "" if one else f" in row {row}"
            label = _listed(found)[row]
            raise ValueError(f"{name}: unknown class {label!r}{where}; there are {self}")
        return np.full(rows, numbers[0]) if one else numbers

    @property
    def kind(self) -> str:
        """Whether they are "integers", "strings" or "booleans"."""
        return {bool: "booleans", int: "integers", str: "strings"}[type(self.names[0])]

    def named(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels of these numbers, (n,)."""
        return np.asarray(self.names)[numbers]

    def parsed(self, text: str) -> int | str | bool:
        """Return the label that someone typed; ValueError if there is none."""
        for name in self.names:
            if str(name) == text:
                return name
        raise ValueError(f"unknown class {text!r}; there are {self}")


def _listed(labels: Any) -> list[Any]:
    listed: list[Any] = np.asarray(labels).tolist() if isinstance(labels, np.ndarray) else labels
    return listed
