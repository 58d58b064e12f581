"""Which array of a file that holds several: the one asked for, or the only one that fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.wording import listing, shape_text


def choose(
    path: Path,
    key: str | None,
    shapes: Mapping[str, tuple[int, ...]],
    ndim: int,
    what: str = "key",
) -> str:
    """Return the key to read: the one asked for, else the only array that fits.

    That is one of ``ndim`` dimensions, or for a matrix (2) with more, if there is no such.
    ``what``: how the format calls a key. FileError lists what there is.
    """
    held = listing(f"{name} {shape_text(shape)}" for name, shape in shapes.items())
    if key is not None:
        if key not in shapes:
            raise FileError(f"{path}: no {what} {key!r}; it holds: {held}")
        return key
    fitting = [name for name, shape in shapes.items() if len(shape) == ndim]
    if not fitting and ndim == 2:
        fitting = [name for name, shape in shapes.items() if len(shape) > ndim]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise FileError(
            f"{path}: several {ndim}-D arrays, so say which, as {path.name}:KEY; it holds: {held}"
        )
    raise FileError(f"{path}: no {ndim}-D array; it holds: {held}")
