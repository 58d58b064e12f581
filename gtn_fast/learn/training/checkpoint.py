"""The state of a training in one file, so that a killed run ends with the same weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.wording import in_short
from gtn_fast.learn.training.store import (
    PathLike,
    as_bytes,
    load_tensors,
    save_tensors,
    whole,
)

_KIND = "training checkpoint"
_PROBED_ROWS = 1024
_PIECE_BYTES = 1 << 26


class Identity(NamedTuple):
    """What must be the same for a run to go on: settings, architecture, all rows of the data.

    JSON-able. ``earlier``: as files from before 2026-12 have it, with a probe of the rows.
    """

    now: dict[str, Any]
    earlier: dict[str, Any]


def run_identity(
    model: nn.Module, data: Sequence[Tensor], val: Sequence[Tensor], settings: Mapping[str, Any]
) -> Identity:
    """Return the identity of the run with these settings."""
    known = {
        **settings,
        "model": _digest(f"{type(model).__name__} {[(k, *v.shape) for k, v in _state(model)]}"),
    }
    return Identity(
        {**known, "data": [_whole(t) for t in data], "val": [_whole(t) for t in val]},
        {**known, "data": [_probe(t) for t in data], "val": [_probe(t) for t in val]},
    )


def save_state(
    path: PathLike,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, Tensor] | None,
    others: Mapping[str, Tensor],
    meta: Mapping[str, Any],
) -> None:
    """Write everything that the rest of the run depends on. FileError if the disk refuses."""
    tensors = {f"model/{name}": value for name, value in _state(model)}
    tensors.update({f"best/{name}": value for name, value in (best or {}).items()})
    for index, values in optimizer.state_dict()["state"].items():
        tensors.update({f"adam/{index}/{name}": value for name, value in values.items()})
    tensors.update({f"other/{name}": value for name, value in others.items()})
    save_tensors(path, _KIND, tensors, meta)


class State(NamedTuple):
    """What a checkpoint has beside the model's and the optimiser's own state."""

    best: dict[str, Tensor] | None
    losses: Tensor
    noise: dict[str, Tensor]
    meta: dict[str, Any]


def load_state(
    path: PathLike,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    wanted: Identity,
) -> State:
    """Put model and optimiser where ``save`` found them; return the rest.

    FileError (a ValueError) for a file that is no checkpoint or not a whole one, or one of a run
    whose ``identity`` (meta["identity"]) is not ``wanted``; then nothing was changed.
    """
    tensors, meta = load_tensors(path, _KIND, may_be_infinite="adam/")
    with whole(path, f"is not a whole {_KIND}"):
        _check_meta(meta)
    found = meta["identity"]
    for name in sorted({*wanted.now, *found}):
        value = wanted.now.get(name)
        if found.get(name) != value and found != wanted.earlier:
            raise FileError(
                f"{Path(path)}: is the checkpoint of another run: its {name} is"
                f" {in_short(found.get(name), 80)}, this run's is {in_short(value, 80)};"
                " give another path or remove it"
            )
    with whole(path, f"is not a whole {_KIND}"):
        parts = _parts(tensors, model, meta["step"])
        groups = optimizer.state_dict()["param_groups"]
        adam = _of_adam(
            parts["adam"], [p for group in optimizer.param_groups for p in group["params"]]
        )
    model.load_state_dict(parts["model"])
    optimizer.load_state_dict({"state": adam, "param_groups": groups})
    others = parts["other"]
    return State(parts["best"] or None, others.pop("losses"), others, meta)


def _check_meta(meta: Mapping[str, Any]) -> None:
    """Raise what ``whole`` turns into a FileError unless the run can go on from these numbers."""
    epoch, history = check_integer(meta["epoch"], "epoch", 1, 2**31), meta["history"]
    check_integer(meta["step"], "step", 0, 2**31)
    best = meta["best_score"]
    for number in (meta["epoch_seconds"], history["seconds"], 0.0 if best is None else best):
        if not isinstance(number, (int, float)) or not math.isfinite(number):
            raise ValueError(f"a number is {number}")
    check_integer(history["best_epoch"], "best_epoch", 0, epoch - 1)
    if len(history["epochs"]) != epoch - 1:
        raise ValueError(f"{len(history['epochs'])} epochs, wanted {epoch - 1}")
    for line in history["epochs"]:
        if not all(isinstance(number, (int, float)) for number in dict(line).values()):
            raise TypeError("an epoch is no numbers")
    if not isinstance(meta["identity"], dict):
        raise TypeError("it does not say of which run")


def _parts(
    tensors: Mapping[str, Tensor], model: nn.Module, steps: int
) -> dict[str, dict[str, Tensor]]:
    """Sort the tensors by what they belong to, and check their shapes."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "adam": {}, "other": {}}
    for full_name, tensor in tensors.items():
        part, name = full_name.split("/", 1)
        parts[part][name] = tensor
    weights = {name: (value.shape, value.dtype) for name, value in _state(model)}
    for part in ("model", "best"):
        found = {name: (value.shape, value.dtype) for name, value in parts[part].items()}
        if found != weights and (part == "model" or found):
            raise ValueError(f"its {part} weights are those of another model")
    losses = parts["other"]["losses"]
    if losses.shape != (steps,) or not losses.is_floating_point():
        raise ValueError(f"{tuple(losses.shape)} losses after {steps} steps")
    return parts


def _of_adam(
    tensors: Mapping[str, Tensor], parameters: Sequence[Tensor]
) -> dict[int, dict[str, Tensor]]:
    """Return the optimiser's state by number of the parameter; of one without a gradient, none."""
    state: dict[int, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        index, name = full_name.split("/", 1)
        state.setdefault(int(index), {})[name] = tensor
    for number, averages in state.items():
        shape = parameters[number].shape
        wanted = {"step": torch.Size(), "exp_avg": shape, "exp_avg_sq": shape}
        found = {name: value.shape for name, value in averages.items()}
        if found != wanted or not all(v.is_floating_point() for v in averages.values()):
            raise ValueError("Adam's averages are those of another model")
    return state


def _state(model: nn.Module) -> list[tuple[str, Tensor]]:
    return list(model.state_dict().items())


def _whole(tensor: Tensor) -> str:
    """Return shape, dtype and a digest of all rows."""
    digest = hashlib.blake2b(digest_size=16)
    row_bytes = max(1, tensor[:1].numel() * tensor.element_size())
    for rows in torch.split(tensor.detach(), max(1, _PIECE_BYTES // row_bytes)):
        digest.update(as_bytes(rows.contiguous().cpu()))
    return f"{tuple(tensor.shape)} {tensor.dtype} {digest.hexdigest()}"


def _probe(tensor: Tensor) -> str:
    """Return shape, dtype and a digest of about a thousand rows spread over the tensor."""
    rows = tensor[:: max(1, len(tensor) // _PROBED_ROWS)].contiguous().cpu()
    return f"{tuple(tensor.shape)} {tensor.dtype} {_digest(bytes(as_bytes(rows)))}"


def _digest(value: str | bytes) -> str:
    raw = value.encode() if isinstance(value, str) else value
    return hashlib.blake2b(raw, digest_size=8).hexdigest()
