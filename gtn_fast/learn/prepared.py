"""What a fit is given, checked and standardised: points, and their clusters or classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.arrays import Described, convert, describe, is_tensor, unchanged
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.labeling import nearest
from gtn_fast.learn.mixture import Mixture
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training.seeds import derive


@dataclass(frozen=True, eq=False)
class Prepared:
    """Standardised points ``x`` (n, d) and ``val`` (m, d), by the scaling of x.

    ``component`` (n,) and ``val_component`` (m,): the cluster or class of each row; None where
    there are neither, as then ``mixture`` is. ``learned`` and ``val_learned``: what ĥ learns, which
    is x and val, or with classes each row centred and scaled by its class.
    """

    scaling: Scaling
    x: NDArray[np.float32]
    val: NDArray[np.float32] | None
    classes: Classes | None = None
    mixture: Mixture | None = None
    component: NDArray[np.int64] | None = None
    val_component: NDArray[np.int64] | None = None

    @cached_property
    def learned(self) -> NDArray[np.float32]:
        """As the class says."""
        return self._local(self.x, self.component)

    @cached_property
    def val_learned(self) -> NDArray[np.float32] | None:
        """As the class says."""
        return None if self.val is None else self._local(self.val, self.val_component)

    def _local(self, x: NDArray[np.float32], of: NDArray[np.int64] | None) -> NDArray[np.float32]:
        if self.classes is None or self.mixture is None:
            return x
        return self.mixture.to_local(x, of)


def prepare(
    d: int,
    X: Any,
    val: Any,
    classes: Any,
    val_classes: Any,
    *,
    components: int,
    seed: int,
    flatten: bool,
) -> Prepared:
    """Check and standardise what ``GTN.fit`` is given; TypeError or ValueError as it says."""
    _check_classes(val, classes, val_classes, components)
    x_in = described(X, "X", d, flatten)
    val_in = None if val is None else described(val, "val", d, flatten)
    known, of, of_val = None, None, None
    if classes is not None:
        known, of = Classes.of(classes, x_in.rows)
        if val_in is not None:
            of_val = known.numbers(val_classes, val_in.rows, "val_classes")
    scaling, x, val_x = standardised(x_in, val_in)
    mixture = None
    if known is not None and of is not None:
        mixture = Mixture.of(x, of, [f"class {name!r}" for name in known.names])
    elif components > 1:
        mixture, of = Mixture.fit(x, components, derive(seed, "components"))
        of_val = None if val_x is None else nearest(mixture, val_x)
    return Prepared(scaling, x, val_x, known, mixture, of, of_val)


def described(value: Any, name: str, d: int, flatten: bool = False) -> Described:
    """Describe a matrix; ValueError unless it has d columns."""
    found = describe(value, name, flatten=flatten)
    if found.cols != d:
        raise ValueError(f"{name} must have {d} columns, got {found.cols}")
    return found


def standardised(
    x_in: Described, val_in: Described | None
) -> tuple[Scaling, NDArray[np.float32], NDArray[np.float32] | None]:
    """Return X's scaling, and X and val (or None) standardised by it."""
    with unchanged(x_in, val_in):
        x, val = convert(x_in), None if val_in is None else convert(val_in)
        scaling = Scaling.of(x)
        return scaling, scaling.apply(x), None if val is None else scaling.apply(val)


def points(value: Any, name: str, d: int) -> NDArray[Any]:
    """Return a checked matrix (n, d), float32 or float64."""
    with unchanged(found := described(value, name, d)):
        return np.asarray(convert(found))


def line(y0: Any, y1: Any, count: int, d: int) -> NDArray[np.float64]:
    """Return the straight line from y0 (d,) to y1 (d,): (count, d), ends included."""
    ends = [
        points(y.reshape(1, -1) if is_tensor(y) else np.reshape(y, (1, -1)), name, d)
        for name, y in (("y0", y0), ("y1", y1))
    ]
    part = np.linspace(0, 1, count)[:, None]
    return np.asarray((1 - part) * ends[0] + part * ends[1])


def _check_classes(val: Any, classes: Any, val_classes: Any, components: int) -> None:
    if classes is None:
        if val_classes is not None:
            raise ValueError("val_classes= goes with classes=: the rows of X have none")
        return
    if components > 1:
        raise ValueError(
            f"classes= are the components: make the GTN without components={components}"
        )
    if (val is None) != (val_classes is None):
        given, missing = ("val", "val_classes") if val_classes is None else ("val_classes", "val")
        raise ValueError(f"with classes= {given}= needs {missing}=, one label per row of val")
