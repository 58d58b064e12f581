"""What is no matrix of numbers: what came, by its type, and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

_WANTED = "must be a numpy array or torch tensor of real numbers"


def refuse(value: Any, name: str) -> None:
    """Raise TypeError for a container that NumPy would wrap or misread; else do nothing."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill or drop the masked rows first")
    what = _way_out(value, name)
    if what is not None:
        raise TypeError(f"{name} {_WANTED}, got {type(value).__name__}{what}")


def refuse_dtype(array: NDArray[Any], name: str) -> NoReturn:
    """Raise TypeError for an array whose values are no real numbers."""
    kind, dtype = array.dtype.kind, array.dtype
    found = f"{name} must hold real numbers (float or integer dtype), got dtype {dtype}"
    if kind == "O":
        held = type(array.reshape(-1)[0]).__name__ if array.size else "nothing"
        raise TypeError(f"{found}: Python objects ({held}); {name}.astype(float) may read them")
    ways = {
        "b": f"; {name}.astype(float) makes 0 and 1 of it",
        "c": f"; np.hstack([{name}.real, {name}.imag]) is real",
        "U": f"; {name}.astype(float) reads numbers in texts",
        "S": f"; {name}.astype(float) reads numbers in texts",
    }
    way = ways.get(kind, "")
    if kind == "V" and dtype.names:
        way = "; numpy.lib.recfunctions.structured_to_unstructured makes a matrix of its fields"
    raise TypeError(found + way)


def refuse_shape(shape: tuple[int, ...], name: str) -> NoReturn:
    """Raise ValueError for what is no matrix, with the call that makes it one."""
    x = name.split(",")[0]  # "X, part-3.npy" is X where it is put into a call
    text = f"{name} must be a matrix of shape (rows, d), got shape {shape}"
    if len(shape) == 1:
        text += f"; {x}.reshape(-1, 1) has one number per row"
    if len(shape) > 2:
        text += f"; {x}.reshape({shape[0]}, -1), flatten=True or --flatten makes rows of it"
    raise ValueError(text)


def _way_out(value: Any, name: str) -> str | None:
    """Return what to do instead, for a type that is known to be no matrix; None for others."""
    if value is None:
        return ""
    module = type(value).__module__
    if module.startswith(("scipy.sparse", "sparse.")) and hasattr(value, "todense"):
        return f", which is sparse; {name}.toarray() is dense"
    if module.startswith("torch.utils.data"):
        if hasattr(value, "tensors"):
            return f"; {name}.tensors[0] is one"
        return "; torch.cat of its batches or rows is one"
    if isinstance(value, np.lib.npyio.NpzFile):
        return f" with several arrays; {name}['key'] is one"
    if isinstance(value, Mapping):
        return f"; {name}['key'] may be one"
    if hasattr(value, "read") and hasattr(value, "seek"):
        return "; give the file's path instead"
    if isinstance(value, Iterator):
        return f"; np.stack(list({name})) is one, if it gives rows"
    if isinstance(value, bytes):
        return f"; np.frombuffer({name}, dtype).reshape(rows, d) is one"
    if isinstance(value, (list, tuple)) and value and getattr(value[0], "ndim", 0) > 1:
        return f" of several; np.concatenate({name}) is one"
    if isinstance(value, (set, frozenset)) or (callable(value) and not _is_array_like(value)):
        return ""
    return None


def _is_array_like(value: Any) -> bool:
    return hasattr(value, "__array__") or hasattr(value, "__array_interface__")
