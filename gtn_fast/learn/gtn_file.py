"""A fitted GTN as one file: ``GTN.save`` and ``GTN.load``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.inputs.arguments import check_seed
from gtn_fast.learn.calibration import Calibration
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.hhat import HHat
from gtn_fast.learn.mixture import Mixture
from gtn_fast.learn.presets import Preset, preset
from gtn_fast.learn.residuals import Residuals
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.sizes import rebuilt
from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.store import PathLike, load_tensors, save_tensors, whole
from gtn_fast.learn.verdict import Verdict

_KIND = "GTN"
NOT_WHOLE = "is not a whole GTN"
_MIXTURE = ("means", "stds", "weights")
_CALIBRATION = ("matrix", "source", "target")


@dataclass(frozen=True)
class SavedGTN:
    """All that a fitted GTN needs to sample and interpolate, by the names of its attributes."""

    d: int
    preset: Preset
    components: int
    weights: Mapping[str, Tensor]
    scaling: Scaling
    mixture: Mixture | None
    component: NDArray[np.int64] | None
    x_index: NDArray[np.int64]
    label_seed: int
    label_seconds: float
    history: History | None
    calibration: Calibration | None
    verdict: Verdict | None
    classes: Classes | None
    residuals: Residuals | None
    rows: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, gtn: Any) -> SavedGTN:
        """Take them from a fitted ``learn.gtn.GTN``."""
        names = [field.name for field in fields(cls) if field.name != "weights"]
        return cls(**{name: getattr(gtn, name) for name in names}, weights=gtn.model.state_dict())

    def give(self, gtn: Any) -> None:
        """Give them to a new ``learn.gtn.GTN``; ValueError where the weights fit no network."""
        count = len(self.classes or ())
        model = rebuilt(lambda: HHat.of(self.d, self.preset, 0, count), self.weights)
        gtn.model = model.to(gtn.device).eval()
        for field in fields(self):
            if field.name != "weights":
                setattr(gtn, field.name, getattr(self, field.name))


def save(gtn: SavedGTN, path: PathLike, *, force: bool = False) -> None:
    """Write weights, scaling, mixture and where the labels' y's come from; FileError if not."""
    save_tensors(path, _KIND, *to_tensors(gtn), force=force)


def to_tensors(gtn: SavedGTN) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what a file holds of it: tensors by name, and what is JSON-able."""
    arrays = {
        "scaling/mean": gtn.scaling.mean,
        "scaling/std": gtn.scaling.std,
        "labels/x_index": gtn.x_index,
    }
    if gtn.mixture is not None and gtn.component is not None:
        arrays |= mixture_arrays(gtn.mixture)
        arrays["mixture/component"] = gtn.component
    if gtn.calibration is not None:
        arrays |= maps_of(gtn.calibration, "calibration")
    if gtn.residuals is not None:
        arrays |= {f"residuals/{name}": getattr(gtn.residuals, name) for name in ("y", "values")}
        if gtn.residuals.component is not None:
            arrays["residuals/component"] = gtn.residuals.component
        if gtn.residuals.calibration is not None:
            arrays |= maps_of(gtn.residuals.calibration, "residuals")
    if gtn.rows is not None:
        arrays["labels/rows"] = gtn.rows
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    tensors |= {f"model/{name}": value for name, value in gtn.weights.items()}
    meta = {
        "d": gtn.d,
        "preset": asdict(gtn.preset),
        "components": gtn.components,
        "classes": None if gtn.classes is None else list(gtn.classes.names),
        "label_seed": gtn.label_seed,
        "label_seconds": gtn.label_seconds,
        "history": None if gtn.history is None else asdict(gtn.history),
        "verdict": None if gtn.verdict is None else asdict(gtn.verdict),
    }
    return tensors, meta


def load(path: PathLike) -> SavedGTN:
    """Read a GTN. FileError (a ValueError) for a foreign, damaged or inconsistent file."""
    tensors, meta = load_tensors(path, _KIND)
    with whole(path, NOT_WHOLE):
        return from_tensors(tensors, meta)


def from_tensors(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> SavedGTN:
    """Return the GTN that ``to_tensors`` took apart; an error of some kind for anything else."""
    d, classes = meta["d"], classes_of(meta.get("classes"))
    k = meta["components"] if classes is None else len(classes)
    arrays = {name: t.numpy() for name, t in tensors.items() if not name.startswith("model/")}
    index = arrays["labels/x_index"]
    if index.dtype != np.int64 or not np.array_equal(np.sort(index), np.arange(len(index))):
        raise ValueError("labels/x_index is no permutation")
    mixture, component = None, None
    if k > 1 or classes is not None:
        mixture = mixture_of(arrays, k, d)
        component = _numbers(arrays["mixture/component"], len(index), k)
    return SavedGTN(
        d=d,
        preset=preset(Preset(**meta["preset"])),
        components=meta["components"],
        weights={name[6:]: t for name, t in tensors.items() if name.startswith("model/")},
        scaling=Scaling.stored(arrays["scaling/mean"], arrays["scaling/std"], d),
        mixture=mixture,
        component=component,
        x_index=index,
        label_seed=check_seed(meta["label_seed"]),
        label_seconds=float(meta["label_seconds"]),
        history=None if meta["history"] is None else History(**meta["history"]),
        calibration=calibration_of(arrays, "calibration", k, d),
        classes=classes,
        residuals=_residuals(arrays, d, k, mixture is not None),
        verdict=_verdict(meta.get("verdict")),
        rows=_ascending(arrays["labels/rows"], len(index)) if "labels/rows" in arrays else None,
    )


def _verdict(stored: Mapping[str, Any] | None) -> Verdict | None:
    """Return the verdict; None for one of before there were normals with the full covariance."""
    return None if stored is None or "full_normals" not in stored else Verdict(**stored)


def classes_of(names: Any) -> Classes | None:
    """Return the classes that a file names; ValueError for names that are none."""
    if names is None:  # files from before there were classes do not mention them
        return None
    kinds = {type(name) for name in names}
    if len(kinds) != 1 or not kinds <= {int, str, bool} or names != sorted(set(names)):
        raise ValueError("classes are no labels of one kind, ascending")
    return Classes(tuple(names))


def maps_of(calibration: Calibration, place: str) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of a calibration by the names that a file gives them."""
    return {f"{place}/{name}": getattr(calibration, name) for name in _CALIBRATION}


def calibration_of(
    arrays: Mapping[str, NDArray[Any]], place: str, k: int, d: int
) -> Calibration | None:
    """Return what ``maps_of`` took apart, of k maps in d dimensions; None if it is not there."""
    if f"{place}/matrix" not in arrays:  # not calibrated; files from before it have none
        return None
    return Calibration(
        matrix=shaped(arrays[f"{place}/matrix"], (k, d, d)),
        source=shaped(arrays[f"{place}/source"], (k, d)),
        target=shaped(arrays[f"{place}/target"], (k, d)),
    )


def _residuals(arrays: Mapping[str, NDArray[Any]], d: int, k: int, parts: bool) -> Residuals | None:
    if "residuals/y" not in arrays:  # files from before there were residuals
        return None
    n = len(arrays["residuals/y"])
    component = arrays.get("residuals/component")
    if (component is None) == parts or not n:
        raise ValueError("its residuals are those of another source")
    return Residuals(
        y=shaped(arrays["residuals/y"], (n, d)),
        values=shaped(arrays["residuals/values"], (n, d)),
        component=None if component is None else _numbers(component, n, k),
        calibration=calibration_of(arrays, "residuals", k, d),
    )


def _numbers(component: NDArray[Any], n: int, k: int) -> NDArray[np.int64]:
    of: NDArray[np.int64] = shaped(component, (n,))
    if of.dtype != np.int64 or not ((of >= 0) & (of < k)).all():
        raise ValueError(f"components must be numbers from 0 to {k - 1}")
    return of


def mixture_arrays(mixture: Mixture) -> dict[str, NDArray[np.float64]]:
    """Return what a file holds of a mixture, by name."""
    return {f"mixture/{name}": getattr(mixture, name) for name in _MIXTURE}


def mixture_of(arrays: Mapping[str, NDArray[Any]], k: int, d: int) -> Mixture:
    """Return the mixture of k parts that ``mixture_arrays`` took apart; ValueError if none."""
    mixture = Mixture(
        means=shaped(arrays["mixture/means"], (k, d)),
        stds=shaped(arrays["mixture/stds"], (k, d)),
        weights=shaped(arrays["mixture/weights"], (k,)),
    )
    if not (mixture.weights >= 0).all() or abs(mixture.weights.sum() - 1) > 1e-6:
        raise ValueError("mixture/weights are no shares of one")
    if not (mixture.stds > 0).all():
        raise ValueError("mixture/stds must be above 0")
    return mixture


def _ascending(rows: NDArray[Any], n: int) -> NDArray[Any]:
    if rows.shape != (n,) or rows.dtype != np.int64 or (np.diff(rows, prepend=-1) <= 0).any():
        raise ValueError("labels/rows are no rows of X")
    return rows


def shaped(array: Any, shape: tuple[int, ...]) -> Any:
    """Return the array; ValueError if it has another shape."""
    if array.shape != shape:
        raise ValueError(f"an array has shape {array.shape}, wanted {shape}")
    return array
