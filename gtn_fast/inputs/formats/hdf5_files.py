"""HDF5: mapped where the numbers lie in one piece, else unpacked by the rows of a chunk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast.inputs.formats.keys import choose
from gtn_fast.inputs.formats.packed import Sliced


def read(path: Path, key: str | None, ndim: int) -> Any:
    """Return a data set; ``key`` is its path in the file, ``group/latents``."""
    with _file(path) as file:
        shapes = _shapes(file)
        name = choose(path, key if key in shapes else key and key.strip("/"), shapes, ndim)
        found = file[name]
        if ndim == 1:
            return _vector(found)
        mapped = _mapped(path, found)
        if mapped is not None:
            return mapped
        chunk = found.chunks[0] if found.chunks else 1
        shape, dtype = tuple(found.shape), found.dtype

    @contextmanager
    def opened() -> Iterator[Any]:
        with _file(path) as file:
            yield file[name]

    return Sliced(path, opened, shape, dtype, chunk) if shape else np.empty(())


@contextmanager
def _file(path: Path) -> Iterator[Any]:
    import h5py

    with h5py.File(path, "r", locking="best-effort") as file:
        yield file


def _shapes(file: Any) -> dict[str, tuple[int, ...]]:
    import h5py

    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, each: Any) -> None:
        if isinstance(each, h5py.Dataset) and each.shape is not None:
            found[name] = tuple(each.shape)

    file.visititems(note)
    return found


def _vector(found: Any) -> Any:
    import h5py

    if h5py.check_string_dtype(found.dtype) is not None:
        return np.array(found.asstr()[()].tolist())
    return found[()]


def _mapped(path: Path, found: Any) -> Any:
    """Return the numbers where they lie in the file; None if they lie in pieces or packed."""
    plain = found.chunks is None and not found.external and not found.is_virtual
    offset = found.id.get_offset() if plain else None
    if offset is None or not found.size or found.dtype.kind not in "fiu":
        return None
    if offset + found.size * found.dtype.itemsize > path.stat().st_size:
        return None  # whoever reads it says what is missing
    return np.memmap(path, found.dtype, "r", offset, tuple(found.shape))
