"""Table 2 of the paper as data: what ĥ looks like for each data set, and how it is trained."""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import Any

from gtn_fast.backends.registry import METHODS
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.sizes import MAX_LAYERS, MAX_WIDTH
from gtn_fast.outputs.streams import warn

MAX_RAYS = 1 << 20
_MOST_TIMES = 20
MIN_STEPS = 2_000  # batches: what small sets still gain by (docs/training.md)


@dataclass(frozen=True)
class Preset:
    """One row of table 2, with what the table leaves open.

    ``layers`` hidden layers of ``width``, LeakyReLU(``negative_slope``), batch norm after the
    activation of the first ``batch_norm_layers`` of them (0: none); Adam with ``lr``, no weight
    decay. ``epochs`` is our own cap. ``patience`` counts epochs without a better validation
    loss (or metric, if one is given); None trains to the end. ``min_steps``: a small set has few
    batches per epoch, so that epochs and patience grow until there are so many of them; where
    ``epochs`` is given it counts alone. ``method`` labels: "rank" is
    section 2.1's for d = 1, "auto" is Algorithm 1. ``rays``: for d = 2, along so many lines
    (rays.py says why the plane needs them); None decides exactly.
    """

    name: str
    layers: int
    width: int
    batch_norm_layers: int
    lr: float
    batch_size: int
    epochs: int
    patience: int | None
    method: str = "auto"
    negative_slope: float = 0.5
    rays: int | None = None
    min_steps: int = MIN_STEPS


# Batch norm on the first 20 of 26 layers and the patiences are the authors' code's and text's.
PRESETS: dict[str, Preset] = {
    each.name: each
    for each in (
        Preset("swiss-roll", 4, 6, 0, 1e-3, 250, epochs=100, patience=None, method="rank"),
        Preset("uniform", 6, 6, 0, 1e-3, 250, epochs=100, patience=None, rays=100),
        Preset("mnist", 7, 50, 7, 1e-3, 128, epochs=100, patience=3),
        Preset("celeba", 26, 1200, 20, 5e-5, 200, epochs=1000, patience=300),
        Preset("hap", 26, 3000, 20, 5e-5, 200, epochs=1000, patience=300),
        Preset("cifar10", 26, 1500, 20, 5e-5, 200, epochs=1000, patience=300),
    )
}


def width_for(d: int) -> int:
    """Return the width of a network for d dimensions where no preset is named."""
    return max(50, min(512, 8 * d), d)


def for_dimension(d: int, named: str | Preset | None, **overrides: Any) -> Preset:
    """Return ``preset(named, ...)``; where none is named, mnist's, as wide as d needs."""
    if named is None:
        return preset("mnist", **{"width": width_for(d)} | overrides)
    return preset(named, **overrides)


def preset(name_or_preset: str | Preset, **overrides: Any) -> Preset:
    """Return the preset of that name (or the given one) with some fields replaced.

    ValueError or TypeError for an unknown name or field (naming the valid ones) or a value
    that makes no network.
    """
    if isinstance(name_or_preset, str):
        if name_or_preset not in PRESETS:
            raise ValueError(f"unknown preset {name_or_preset!r}; valid: {', '.join(PRESETS)}")
        base = PRESETS[name_or_preset]
    elif isinstance(name_or_preset, Preset):
        base = name_or_preset
    else:
        raise TypeError(f"preset must be a name or a Preset, got {type(name_or_preset).__name__}")
    fields = [field.name for field in dataclasses.fields(Preset)]
    unknown = [name for name in overrides if name not in fields]
    if unknown:
        raise ValueError(f"a preset has no field {unknown[0]!r}; valid: {', '.join(fields)}")
    if overrides.get("layers") is not None and "batch_norm_layers" not in overrides:
        # Fewer layers keep batch norm on those that are left.
        layers = overrides["layers"]
        if isinstance(layers, int) and base.batch_norm_layers > layers:
            overrides["batch_norm_layers"] = layers
    if "epochs" in overrides:
        overrides.setdefault("min_steps", 0)
    return _checked(dataclasses.replace(base, **overrides))


def for_fit(
    base: Preset, d: int, epochs: int | None, patience: int | None, *, watched: bool
) -> Preset:
    """Return the preset of one fit in d dimensions, with its epochs and patience.

    ``watched``: there is a score for patience to wait for; ValueError if there is none. Warns
    if the network is narrower than the data.
    """
    if epochs is not None:
        base = preset(base, epochs=epochs)
    if patience is not None:
        base = preset(base, patience=patience)
        if not watched:
            raise ValueError("patience needs val or metric: there is nothing to watch")
    if base.width < d:
        warn(
            f"the network is {base.width} wide and the data have {d} dimensions: ĥ's points lie in"
            f" {base.width} of them at most; take width={d} or more",
            stacklevel=3,
        )
    return base


def for_rows(base: Preset, rows: int, *, patient: bool) -> Preset:
    """Return the preset with epochs enough for its ``min_steps`` of this many rows.

    That is 20 times its own epochs at most. Its patience, unless it was given (``patient``, or
    another than table 2's), grows in proportion.
    """
    epochs = min(-(-base.min_steps // -(-rows // base.batch_size)), _MOST_TIMES * base.epochs)
    if epochs <= base.epochs:
        return base
    patience = base.patience
    own = base.name in PRESETS and PRESETS[base.name].patience == patience
    if patience is not None and own and not patient:
        patience = round(patience * epochs / base.epochs)
    return dataclasses.replace(base, epochs=epochs, patience=patience)


def more_epochs(base: Preset, chosen: Preset, rows: int) -> str | None:
    """Say that ``for_rows`` chose more epochs than the preset's, if it did."""
    if chosen.epochs == base.epochs:
        return None
    batches = -(-rows // base.batch_size)
    return (
        f"up to {chosen.epochs:,} epochs, not {base.epochs}: {rows:,} rows are"
        f" {batches} batch{'' if batches == 1 else 'es'} per epoch, {base.min_steps:,} are wanted"
    )


def identity(made: Preset, **others: Any) -> dict[str, Any]:
    """Return what makes one training another one; how long it goes on does not."""
    named = dataclasses.asdict(dataclasses.replace(made, epochs=1, patience=None))
    del named["min_steps"]
    return {"preset": named, **others}


def warn_of_idle(relabel_every: int, epochs: int) -> None:
    """Warn of labels that would be drawn anew after the last epoch."""
    if relabel_every >= epochs:
        warn(f"relabel_every={relabel_every} has no effect in {epochs} epochs", UserWarning, 3)


def _checked(made: Preset) -> Preset:
    check_integer(made.layers, "layers", 1, MAX_LAYERS)
    check_integer(made.width, "width", 1, MAX_WIDTH)
    for name in ("batch_size", "epochs"):
        check_integer(getattr(made, name), name, 1, 2**31 - 1)
    check_integer(made.batch_norm_layers, "batch_norm_layers", 0, made.layers)
    check_integer(made.min_steps, "min_steps", 0, 2**31 - 1)
    if made.patience is not None:
        check_integer(made.patience, "patience", 1, 2**31 - 1)
    if made.rays is not None:
        check_integer(made.rays, "rays", 1, MAX_RAYS)
    if made.method not in METHODS:
        raise ValueError(f"unknown method {made.method!r}; valid: {', '.join(METHODS)}")
    if not is_number(made.lr) or not 0 < made.lr < math.inf:
        raise ValueError(f"lr must be a positive number, got {made.lr!r}")
    check_slope(made.negative_slope)
    return made


def check_slope(value: Any) -> None:
    """Raise ValueError unless it is a slope that float32 holds, with room to spare."""
    if not is_number(value) or not 0 <= value <= 1e30:
        raise ValueError(f"negative_slope must be a number from 0 to 1e30, got {value!r}")


def is_number(value: object) -> bool:
    """Tell whether it is a real number, which True is not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
