"""Models and checkpoints on disk: one .safetensors file with JSON in its header. No pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gtn_fast._version import __version__
from gtn_fast.inputs.files import FileError, check_file
from gtn_fast.inputs.wording import a_path, in_short
from gtn_fast.outputs.files import check_output, write_file
from gtn_fast.outputs.kinds import check_ours, tensors_kind

_KEY = "gtn_fast"
_MEMBERS = {"kind", "format", "version", "meta"}  # of the header, and a digest since 2026-11
_FORMAT = 1  # of the header; a file of a later one is refused

PathLike = str | os.PathLike[str]


def save_tensors(
    path: PathLike,
    kind: str,
    tensors: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    *,
    force: bool = False,
) -> None:
    """Write ``tensors`` and the JSON-able ``meta`` to ``path``, whole or not at all.

    ``kind`` names what the file is ("GTN", "autoencoder") and must be asked for again when
    it is read. Tensors of any device and layout are stored contiguous, each for itself.
    A file of the same kind is replaced, any other only with ``force``. FileError (a ValueError)
    for that, and if the disk refuses; TypeError for a ``meta`` that is not JSON.
    """
    header = {"kind": kind, "format": _FORMAT, "version": __version__, "meta": dict(meta)}
    own = {name: _own(tensor) for name, tensor in tensors.items()}
    text = json.dumps({**header, "digest": _digest(header, own)})

    def writer(temporary: Path) -> None:
        try:
            save_file(own, temporary, metadata={_KEY: text})
        except SafetensorError as error:  # its own type, for a full disk too
            raise OSError(str(error)) from None

    target = Path(path)
    check_ours(target, lambda place: tensors_kind(place) == kind, _a(kind), force)
    check_output(target, len(text) + sum(each.nbytes for each in own.values()))
    write_file(target, writer)


def load_tensors(
    path: PathLike, kind: str, *, may_be_infinite: str | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read (tensors on the CPU, meta) of a file that ``save_tensors`` wrote as ``kind``.

    FileError (a ValueError) names the file and says whether it is missing, damaged,
    foreign, of a later format or of another kind, or holds NaN or infinity (but in tensors
    whose names begin with ``may_be_infinite``). Files from before there were digests are read.
    """
    source = Path(a_path(path, "path"))
    check_file(source)
    try:
        with safe_open(source, framework="pt") as file:
            header = _header(source, file.metadata(), kind)
            # Copies: by older safetensors a tensor is the file itself, which may be overwritten.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FileError(f"{source}: not a readable .safetensors file: {in_short(error)}") from None
    digest = header.pop("digest", None)
    if header.keys() != _MEMBERS or digest not in (None, _digest(header, tensors)):
        raise FileError(f"{source}: is damaged: it does not hold what was written")
    for name, tensor in tensors.items():
        excepted = may_be_infinite is not None and name.startswith(may_be_infinite)
        if tensor.is_floating_point() and not excepted and not bool(tensor.isfinite().all()):
            raise FileError(f"{source}: holds NaN or infinity, in {in_short(name, 80)}")
    return tensors, header["meta"]


@contextmanager
def whole(path: PathLike, complaint: str) -> Iterator[None]:
    """Turn what a file that is not whole does to its reader into one FileError that names it."""
    try:
        yield
    except (
        ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError
    ) as error:  # fmt: skip
        reason = in_short(error) or type(error).__name__
        raise FileError(f"{Path(path)}: {complaint}: {reason}") from None


def _header(source: Path, metadata: dict[str, str] | None, kind: str) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads((metadata or {})[_KEY])
        found, format_, meta = str(header["kind"]), int(header["format"]), header["meta"]
        if not isinstance(meta, dict):
            raise TypeError
    except (KeyError, TypeError, ValueError, OverflowError):
        raise FileError(f"{source}: was not written by gtn_fast, wanted {_a(kind)}") from None
    if found != kind:
        raise FileError(f"{source}: is {_a(in_short(found, 40))}, wanted {_a(kind)}")
    if format_ > _FORMAT:
        raise FileError(
            f"{source}: was written by gtn_fast {in_short(header.get('version'), 40)}, whose files"
            f" this version ({__version__}) cannot read"
        )
    return header


def _digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Digest all that is read: the header's members, and of each tensor what it is and holds."""
    members = [header.get(name) for name in ("kind", "format", "version", "meta")]
    digest = hashlib.blake2b(json.dumps(members).encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(as_bytes(tensor))
    return digest.hexdigest()


def as_bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor on the CPU, uncopied."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _own(tensor: Tensor) -> Tensor:
    """Copy the values to memory of their own: safetensors refuses views and shared storage."""
    return tensor.detach().cpu().clone().contiguous()


def _a(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
