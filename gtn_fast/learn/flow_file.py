"""A fitted flow as one file: ``Flow.save`` and ``Flow.load``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.learn import gtn_file
from gtn_fast.learn import presets as _presets
from gtn_fast.learn.calibration import Moments
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.couplings import COUPLINGS, name_of
from gtn_fast.learn.following import Calibrations
from gtn_fast.learn.mixture import Mixture
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.sizes import rebuilt
from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.store import PathLike, load_tensors, save_tensors, whole
from gtn_fast.learn.velocity import Velocity
from gtn_fast.learn.verdict import Verdict

KIND = "flow"
NOT_WHOLE = "is not a whole flow"
_MOMENTS = ("mean", "covariance", "rows")
FIELDS = ("layers", "width", "lr", "batch_size", "epochs", "patience", "min_steps")  # of a preset


def preset_for(d: int, **overrides: Any) -> Preset:
    """Return network and training of a flow in d dimensions, with some fields replaced.

    ValueError or TypeError for a field that a flow does not have, or a value that makes no
    network.
    """
    unknown = [name for name in overrides if name not in FIELDS]
    if unknown:
        raise ValueError(f"a flow has no field {unknown[0]!r}; valid: {', '.join(FIELDS)}")
    width = max(128, min(512, 8 * d))
    base = Preset("flow", 4, width, 0, 1e-3, 256, epochs=30, patience=None)
    return _presets.preset(base, **overrides)


@dataclass(frozen=True)
class SavedFlow:
    """All that a fitted flow needs to sample and interpolate, by the names of its attributes."""

    weights: Mapping[str, Tensor]
    scaling: Scaling
    mixture: Mixture | None
    classes: Classes | None
    label_seconds: float
    history: History | None
    verdict: Verdict | None
    calibrations: Calibrations | None

    def give(self, flow: Any) -> None:
        """Give them to a new ``learn.flow.Flow``; ValueError where the weights fit no network."""
        d, preset, count = flow.d, flow.preset, len(self.classes or ())
        made = rebuilt(lambda: Velocity.of(d, preset.layers, preset.width, 0, count), self.weights)
        flow.model = made.to(flow.device).eval()
        for field in fields(self):
            if field.name != "weights":
                setattr(flow, field.name, getattr(self, field.name))


def save(flow: Any, path: PathLike, *, force: bool = False) -> None:
    """Write a fitted ``learn.flow.Flow``; FileError if the disk refuses."""
    arrays = {f"scaling/{name}": getattr(flow.scaling, name) for name in ("mean", "std")}
    if flow.mixture is not None:
        arrays |= gtn_file.mixture_arrays(flow.mixture)
    way = flow.steps, flow.solver
    if flow.calibrations is not None:
        arrays |= {f"moments/{name}": getattr(flow.calibrations.data, name) for name in _MOMENTS}
        if way in flow.calibrations.maps:  # others are measured anew where they are asked for
            arrays |= gtn_file.maps_of(flow.calibrations.maps[way], "calibration")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    tensors |= {f"model/{name}": value for name, value in flow.model.state_dict().items()}
    meta = {
        "d": flow.d,
        "preset": {name: getattr(flow.preset, name) for name in FIELDS},
        "steps": flow.steps,
        "solver": flow.solver,
        "coupling": name_of(flow.coupling),
        "classes": None if flow.classes is None else list(flow.classes.names),
        "label_seconds": flow.label_seconds,
        "history": None if flow.history is None else asdict(flow.history),
        "verdict": None if flow.verdict is None else asdict(flow.verdict),
    }
    save_tensors(path, KIND, tensors, meta, force=force)


def load(path: PathLike) -> tuple[int, dict[str, Any], SavedFlow]:
    """Read a flow: its d, what else ``Flow`` is made with, and what a fit left.

    FileError (a ValueError) for a foreign, damaged or inconsistent file.
    """
    tensors, meta = load_tensors(path, KIND)
    with whole(path, NOT_WHOLE):
        d, classes = meta["d"], gtn_file.classes_of(meta.get("classes"))
        arrays = {name: t.numpy() for name, t in tensors.items() if not name.startswith("model/")}
        # One of the caller's own is not in the file: what it was called is no coupling.
        known = meta["coupling"] if meta["coupling"] in COUPLINGS else "labels"
        options = {"coupling": known, "steps": meta["steps"], "solver": meta["solver"]}
        saved = SavedFlow(
            weights={name[6:]: t for name, t in tensors.items() if name.startswith("model/")},
            scaling=Scaling.stored(arrays["scaling/mean"], arrays["scaling/std"], d),
            mixture=None if classes is None else gtn_file.mixture_of(arrays, len(classes), d),
            classes=classes,
            label_seconds=float(meta["label_seconds"]),
            history=None if meta["history"] is None else History(**meta["history"]),
            verdict=None if meta["verdict"] is None else Verdict(**meta["verdict"]),
            calibrations=_calibrations(
                arrays, d, len(classes or ()), meta["steps"], meta["solver"]
            ),
        )
        preset_for(d, **meta["preset"])
    return d, {**options, **meta["preset"]}, saved


def _calibrations(
    arrays: Mapping[str, NDArray[Any]], d: int, classes: int, steps: int, solver: str
) -> Calibrations | None:
    if "moments/mean" not in arrays:  # not calibrated; files from before it have none
        return None
    p = 1 + classes if classes > 1 else 1
    shapes = {"mean": (p, d), "covariance": (p, d, d), "rows": (p,)}
    moments = {name: gtn_file.shaped(arrays[f"moments/{name}"], shapes[name]) for name in _MOMENTS}
    known = gtn_file.calibration_of(arrays, "calibration", max(1, classes), d)
    return Calibrations(Moments(**moments), {} if known is None else {(steps, solver): known})
