"""safetensors: mapped where NumPy knows the type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast.inputs.formats.keys import choose
from gtn_fast.planning.memory import check_room

_DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2"},
    **{"I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"},
}


def read(path: Path, key: str | None, ndim: int) -> Any:
    """Map one tensor; bfloat16 and float8, which NumPy does not have, are read by torch."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:  # which checks the whole header
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        chosen = choose(path, key, shapes, ndim)
        dtype = file.get_slice(chosen).get_dtype()
        if dtype in _DTYPES:
            return _mapped(path, chosen, shapes[chosen], np.dtype(_DTYPES[dtype]))
        check_room(path.stat().st_size, f"reading {path}")
        if not dtype.startswith(("BF", "F8")):
            return file.get_tensor(chosen)
    import torch  # noqa: F401  (NumPy has no bfloat16)

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(chosen)


def _mapped(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        begin = 8 + length + json.loads(stream.read(length))[name]["data_offsets"][0]
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", begin, shape)
