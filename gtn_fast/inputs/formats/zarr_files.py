"""Zarr: unpacked by the rows of a chunk, or several chunks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.formats.keys import choose
from gtn_fast.inputs.formats.packed import Sliced
from gtn_fast.inputs.wording import first_line


def read(path: Path, key: str | None, ndim: int) -> Any:
    """Return an array; ``key`` is its path in a group, ``train/latents``."""
    import zarr

    try:
        node: Any = zarr.open(str(path), mode="r")
    except FileNotFoundError as error:
        raise FileError(f"{path}: holds no Zarr array or group: {first_line(error)}") from None
    if isinstance(node, zarr.Group):
        arrays = {name: each for name, each in node.members(max_depth=None)
                  if isinstance(each, zarr.Array)}  # fmt: skip
        shapes = {name: tuple(each.shape) for name, each in arrays.items()}
        found = arrays[choose(path, key and key.strip("/"), shapes, ndim)]
    elif key is not None:
        raise FileError(f"{path}: is one array and has no key {key!r}")
    else:
        found = node
    if ndim == 1 or not found.shape:
        values = np.asarray(found[...])
        return np.array(values.tolist()) if values.dtype.kind in "OT" else values

    @contextmanager
    def opened() -> Iterator[Any]:
        yield found

    return Sliced(path, opened, tuple(found.shape), np.dtype(found.dtype), found.chunks[0])
