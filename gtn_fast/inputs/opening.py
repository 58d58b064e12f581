"""Paths as a caller gives them, to the arrays that lie there and the files they come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.patterns import matching_files, split_key
from gtn_fast.inputs.reading import load_array
from gtn_fast.inputs.sources import Source, State
from gtn_fast.inputs.wording import a_path


def paths_in(value: Any, name: str) -> list[str] | None:
    """Return the paths of a path, a pattern or a list of both; None for anything else."""
    if isinstance(value, (str, os.PathLike)):
        return matching_files(a_path(value, name))
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if not all(isinstance(each, (str, os.PathLike)) for each in value):
        return None
    return [path for each in value for path in matching_files(a_path(each, name))]


class Opened(NamedTuple):
    """One file: its name as the caller gave it, the file itself, its array or tensor."""

    spec: str
    file: Source
    array: Any


def open_files(paths: Sequence[str], key: str | None = None) -> list[Opened]:
    """Open each file; its array may have any shape.

    FileError for one that cannot be read, or that changes while it is read.
    """
    return [_open(path, key) for path in paths]


def _open(spec: str, key: str | None) -> Opened:
    path, _ = split_key(spec, key)
    try:
        before = State.of(str(path))
    except OSError:
        load_array(spec, key)  # says what is wrong
        raise
    array = load_array(spec, key)
    rows = int(array.shape[0]) if len(array.shape) else 0
    source = Source(str(path.absolute()), rows, before)
    change = source.change()
    if change is not None:
        raise FileError(f"{path}: {change} while it was read")
    return Opened(spec, source, array)


def file_of_row(files: Sequence[dict[str, Any]], row: int) -> tuple[Path, int]:
    """Return the file that a row of the whole comes from, and its row there."""
    for each in files:
        if row < each["rows"]:
            return Path(each["file"]), row
        row -= each["rows"]
    raise IndexError("the files have fewer rows")
