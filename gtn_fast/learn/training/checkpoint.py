"""The state of a training in one file, so that a killed run ends with the same weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gtn_fast.inputs.files import FileError
from gtn_fast.learn.training.store import PathLike, as_bytes, load_tensors, save_tensors

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


def load_state(
    path: PathLike,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    wanted: Identity,
) -> tuple[dict[str, Tensor] | None, dict[str, Tensor], dict[str, Any]]:
    """Put model and optimiser where ``save`` found them; returns (best, others, meta).

    FileError (a ValueError) for a file that is no checkpoint, or one of a run whose
    ``identity`` (meta["identity"]) is not ``wanted``; then nothing was changed.
    """
    tensors, meta = load_tensors(path, _KIND, may_be_infinite="adam/")
    found = meta.get("identity", {})
    for name, value in wanted.now.items():
        if found.get(name) != value and found != wanted.earlier:
            raise FileError(
                f"{Path(path)}: is the checkpoint of another run: its {name} is"
                f" {found.get(name)}, this run's is {value}; give another path or remove it"
            )
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "adam": {}, "other": {}}
    for full_name, tensor in tensors.items():
        part, name = full_name.split("/", 1)
        parts[part][name] = tensor
    model.load_state_dict(parts["model"])
    state: dict[int, dict[str, Tensor]] = {}
    for full_name, tensor in parts["adam"].items():
        index, name = full_name.split("/", 1)
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return parts["best"] or None, parts["other"], meta


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
