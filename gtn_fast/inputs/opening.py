"""Paths as a caller gives them, to the arrays that lie there and the files they come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.formats.numpy_files import STDIN
from gtn_fast.inputs.patterns import matching_files, split_key
from gtn_fast.inputs.reading import load_array, load_vector
from gtn_fast.inputs.sources import Source, State
from gtn_fast.inputs.wording import a_path


def paths_in(value: Any, name: str, key: str | None = None) -> list[str] | None:
    """Return the paths of a path, a pattern or a list of both; None for anything else."""
    if isinstance(value, (str, os.PathLike)):
        return matching_files(a_path(value, name), key)
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if not all(isinstance(each, (str, os.PathLike)) for each in value):
        return None
    return [path for each in value for path in matching_files(a_path(each, name), key)]


class Opened(NamedTuple):
    """One file: its name as the caller gave it, the file itself, its array or tensor.

    ``file`` None: it came from standard input. ``ids``: of its rows, if they were asked for.
    """

    spec: str
    file: Source | None
    array: Any
    ids: NDArray[Any] | None = None


def open_files(
    paths: Sequence[str], key: str | None = None, ids: str | None = None
) -> list[Opened]:
    """Open each file; its array may have any shape. ``ids``: the key of what names its rows.

    FileError for one that cannot be read, or that changes while it is read.
    """
    return [_open(path, key, ids) for path in paths]


def _open(spec: str, key: str | None, ids: str | None) -> Opened:
    if spec == STDIN:
        if ids is not None:
            raise FileError(f"{spec}: standard input has one array, and no {ids!r} beside it")
        return Opened(spec, None, load_array(spec, key))
    path, key = split_key(spec, key)
    try:
        before = State.of(str(path))
    except OSError:
        load_array(spec, key)  # says what is wrong
        raise
    array = load_array(spec, key)
    names = None if ids is None else load_vector(str(path), ids)
    rows = int(array.shape[0]) if len(array.shape) else 0
    source = Source(str(path.absolute()), rows, before)
    change = source.change()
    if change is not None:
        raise FileError(f"{path}: {change} while it was read")
    if names is not None and len(names) != rows:
        raise FileError(f"{path}: has {rows} rows, but {len(names)} ids in {ids!r}")
    return Opened(spec, source, array, names)


def file_of_row(files: Sequence[dict[str, Any]], row: int) -> tuple[Path, int]:
    """Return the file that a row of the whole comes from, and its row there."""
    for each in files:
        if row < each["rows"]:
            return Path(each["file"]), row
        row -= each["rows"]
    raise IndexError("the files have fewer rows")
