"""Models and checkpoints on disk: one .safetensors file with JSON in its header. No pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gtn_fast._version import __version__
from gtn_fast.inputs.files import FileError, check_output, write_file
from gtn_fast.inputs.sources import check_regular
from gtn_fast.inputs.wording import a_path

_KEY = "gtn_fast"
_FORMAT = 1  # of the header; a file of a later one is refused

PathLike = str | os.PathLike[str]


def save_tensors(
    path: PathLike, kind: str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]
) -> None:
    """Write ``tensors`` and the JSON-able ``meta`` to ``path``, whole or not at all.

    ``kind`` names what the file is ("GTN", "autoencoder") and must be asked for again when
    it is read. Tensors of any device and layout are stored contiguous, each for itself.
    FileError (a ValueError) if the disk refuses; TypeError for a ``meta`` that is not JSON.
    """
    header = {"kind": kind, "format": _FORMAT, "version": __version__, "meta": dict(meta)}
    text = json.dumps(header)
    own = {name: _own(tensor) for name, tensor in tensors.items()}

    def writer(temporary: Path) -> None:
        try:
            save_file(own, temporary, metadata={_KEY: text})
        except SafetensorError as error:  # its own type, for a full disk too
            raise OSError(str(error)) from None

    target = Path(path)
    check_output(target)
    write_file(target, writer)


def load_tensors(path: PathLike, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read (tensors on the CPU, meta) of a file that ``save_tensors`` wrote as ``kind``.

    FileError (a ValueError) names the file and says whether it is missing, damaged,
    foreign, of a later format or of another kind.
    """
    source = Path(a_path(path, "path"))
    check_regular(source)
    try:
        with safe_open(source, framework="pt") as file:
            header = _header(source, file.metadata(), kind)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FileError(f"{source}: not a readable .safetensors file: {error}") from None
    return tensors, header["meta"]


@contextmanager
def whole(path: PathLike, complaint: str) -> Iterator[None]:
    """Turn what a file that is not whole does to its reader into one FileError that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(f"{Path(path)}: {complaint}: {reason}") from None


def _header(source: Path, metadata: dict[str, str] | None, kind: str) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads((metadata or {})[_KEY])
        found, format_, _ = str(header["kind"]), int(header["format"]), dict(header["meta"])
    except (KeyError, TypeError, ValueError):
        raise FileError(f"{source}: was not written by gtn_fast, wanted {_a(kind)}") from None
    if found != kind:
        raise FileError(f"{source}: is {_a(found)}, wanted {_a(kind)}")
    if format_ > _FORMAT:
        raise FileError(
            f"{source}: was written by gtn_fast {header.get('version')}, whose files"
            f" this version ({__version__}) cannot read"
        )
    return header


def _own(tensor: Tensor) -> Tensor:
    """Copy the values to memory of their own: safetensors refuses views and shared storage."""
    return tensor.detach().cpu().clone().contiguous()


def _a(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
