"""What a file that is there holds: whether it is ours to replace."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gtn_fast.inputs.files import FileError
from gtn_fast.outputs.files import destination

_LABELS = "gtn_fast.labels"
_LOG_LOOK = 64
_MOST_JSON = 1 << 24
_LONGEST_HEADER = 1 << 26


def check_ours(
    path: Path,
    ours: Callable[[Path], bool],
    what: str,
    force: bool,
    remedy: str = "force=True replaces it",
) -> None:
    """Raise FileError unless ``path`` may be replaced: empty, not there, ``ours``, or ``force``."""
    real = destination(path)
    if holds_something(real) and not force and not ours(real):
        raise FileError(f"{path}: is there already, and is not {what}; {remedy}")


def holds_something(real: Path) -> bool:
    """Tell whether there is anything to lose: a name that ``mktemp`` made is empty."""
    try:
        return real.stat().st_size > 0
    except (OSError, ValueError):
        return False


def is_labels(path: Path) -> bool:
    """Tell whether ``Labels.save`` wrote it, by the name of its format."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("format.npy") as member:
            text = member.read(1 << 12)
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, EOFError):
        return False
    return any(_LABELS.encode(order) in text for order in ("utf-32-le", "utf-32-be"))


def is_metrics(path: Path) -> bool:
    """Tell whether ``gtn-fast evaluate`` wrote it."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_JSON:
            return False
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"real", "generated"} <= found.keys()


def tensors_kind(path: Path) -> str | None:
    """Return what ``save_tensors`` wrote there, None for any other file; without safetensors."""
    try:
        return str(json.loads(_tensors_header(path)["__metadata__"]["gtn_fast"])["kind"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def holds_anothers_tensors(path: Path) -> bool:
    """Tell whether it is a .safetensors file of somebody else's, and not a damaged one."""
    return bool(_tensors_header(path)) and tensors_kind(path) is None


def is_training_checkpoint(path: Path) -> bool:
    """Tell whether a training left it to go on from."""
    return tensors_kind(path) == "training checkpoint"


def is_training_log(path: Path) -> bool:
    """Tell whether a training wrote it: a table of epochs and losses, as CSV or JSON."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_LOG_LOOK)
    return start.startswith(b"epoch,loss,") or start.split()[:3] == [b"[", b"{", b'"epoch":']


def _tensors_header(path: Path) -> dict[str, Any]:
    """Return the header of a .safetensors file, empty for anything else."""
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= _LONGEST_HEADER else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}
