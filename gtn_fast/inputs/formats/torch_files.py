"""What ``torch.save`` wrote: a tensor, or tensors in nested dicts and lists, by their path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.formats.keys import choose
from gtn_fast.inputs.wording import first_line
from gtn_fast.planning.memory import check_room

_DEEPEST = 32


def read(path: Path, key: str | None, ndim: int) -> Any:
    """Return a tensor on the CPU; ``key`` of a nested one is its path, ``train.latents``."""
    check_room(path.stat().st_size, f"reading {path}")
    loaded = load_tensors(path, path, path.suffix)
    import torch

    if isinstance(loaded, torch.Tensor):
        if key is not None:
            raise FileError(f"{path}: holds one tensor and has no key {key!r}")
        return loaded.detach()
    if not isinstance(loaded, (Mapping, list, tuple)):
        raise FileError(
            f"{path}: wanted a tensor or a dict of tensors, got {type(loaded).__name__}"
        )
    tensors = dict(_tensors(loaded, "", torch.Tensor))
    if not tensors and not isinstance(loaded, Mapping):
        raise FileError(f"{path}: wanted a tensor or a dict of tensors, got a list without one")
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    return tensors[choose(path, key, shapes, ndim)].detach()


def load_tensors(source: Any, name: object, suffix: str) -> Any:
    """Load what ``torch.save`` wrote (a path or a stream), weights only; FileError."""
    import torch

    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except RuntimeError as error:
        raise FileError(f"{name}: not a readable {suffix} file: {first_line(error)}") from None
    except Exception as error:
        if "weights_only" not in str(error) and "Weights only" not in str(error):
            raise
        raise FileError(
            f"{name}: holds more than tensors, and unpickling could run code;"
            " save the tensor alone (torch.save(X, ...))"
        ) from None


def _tensors(value: Any, path: str, tensor: type, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (path, tensor) of whatever is nested; a path goes by names and positions."""
    if isinstance(value, tensor):
        yield path, value
    elif depth < _DEEPEST and isinstance(value, (Mapping, list, tuple)):
        inside = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, each in inside:
            yield from _tensors(each, f"{path}.{name}" if path else str(name), tensor, depth + 1)
