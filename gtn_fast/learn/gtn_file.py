"""A fitted GTN as one file: ``GTN.save`` and ``GTN.load``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gtn_fast._files import FileError
from gtn_fast.learn._store import PathLike, load_tensors, save_tensors
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training import History

if TYPE_CHECKING:
    from gtn_fast.learn.gtn import GTN

_KIND = "GTN"
_MIXTURE = ("means", "stds", "weights")


def save(gtn: GTN, path: PathLike) -> None:
    """Weights, scaling, mixture and where the labels' y's come from; FileError if it cannot."""
    assert gtn.scaling is not None
    assert gtn.x_index is not None
    arrays = {
        "scaling/mean": gtn.scaling.mean,
        "scaling/std": gtn.scaling.std,
        "labels/x_index": gtn.x_index,
    }
    if gtn.mixture is not None and gtn.component is not None:
        arrays |= {f"mixture/{name}": getattr(gtn.mixture, name) for name in _MIXTURE}
        arrays["mixture/component"] = gtn.component
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    tensors |= {f"model/{name}": value for name, value in gtn.model.state_dict().items()}
    meta = {
        "d": gtn.d,
        "preset": asdict(gtn.preset),
        "components": gtn.components,
        "label_seed": gtn.label_seed,
        "label_seconds": gtn.label_seconds,
        "history": None if gtn.history is None else asdict(gtn.history),
    }
    save_tensors(path, _KIND, tensors, meta)


def load(path: PathLike, device: torch.device | str | None) -> GTN:
    """Rebuild a GTN. FileError (a ValueError) for a foreign, damaged or inconsistent file."""
    tensors, meta = load_tensors(path, _KIND)
    try:
        return _rebuild(tensors, meta, device)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(f"{Path(path)}: is not a whole GTN: {reason}") from None


def _rebuild(
    tensors: dict[str, Tensor], meta: dict[str, Any], device: torch.device | str | None
) -> GTN:
    from gtn_fast.learn.gtn import GTN

    gtn = GTN(meta["d"], Preset(**meta["preset"]), components=meta["components"], device=device)
    arrays = {name: t.numpy() for name, t in tensors.items() if not name.startswith("model/")}
    weights = {name[6:]: t for name, t in tensors.items() if name.startswith("model/")}
    gtn.model.load_state_dict(weights)
    gtn.scaling = Scaling(
        _shaped(arrays["scaling/mean"], (gtn.d,)), _shaped(arrays["scaling/std"], (gtn.d,))
    )
    index = arrays["labels/x_index"]
    if not np.array_equal(np.sort(index), np.arange(len(index))):
        raise ValueError("labels/x_index is no permutation")
    gtn.x_index, gtn.label_seed = index, int(meta["label_seed"])
    gtn.label_seconds = float(meta["label_seconds"])
    if gtn.components > 1:
        from gtn_fast.learn.mixture import Mixture

        k = gtn.components
        gtn.mixture = Mixture(
            means=_shaped(arrays["mixture/means"], (k, gtn.d)),
            stds=_shaped(arrays["mixture/stds"], (k, gtn.d)),
            weights=_shaped(arrays["mixture/weights"], (k,)),
        )
        gtn.component = _shaped(arrays["mixture/component"], index.shape)
    if meta["history"] is not None:
        gtn.history = History(**meta["history"])
    return gtn


def _shaped(array: Any, shape: tuple[int, ...]) -> Any:
    if array.shape != shape:
        raise ValueError(f"an array has shape {array.shape}, wanted {shape}")
    return array
