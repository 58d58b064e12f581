"""What names several files: a folder of a Hugging Face dataset, the index of safetensors shards."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gtn_fast.inputs.files import FileError, check_file
from gtn_fast.inputs.wording import first_line, listing

INDEX_SUFFIX = ".safetensors.index.json"
_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"


def names_shards(path: Path) -> bool:
    """Tell whether a name leads to several files, to be read as one matrix."""
    if path.name.lower().endswith(INDEX_SUFFIX):
        return True
    return any((path / name).is_file() for name in (_STATE, _INFO, _SPLITS))


def shards_of(path: Path, key: str | None, order: Any) -> list[str]:
    """Return the files, each with its key if there is one; FileError for an index that is wrong.

    ``order``: what sorts names as people count.
    """
    if path.name.lower().endswith(INDEX_SUFFIX):
        return _of_index(path, key, order)
    found = _of_dataset(path, order)
    return [str(each) if key is None else f"{each}:{key}" for each in found]


def _of_dataset(folder: Path, order: Any) -> Sequence[Path]:
    """Return the Arrow files of a dataset that ``save_to_disk`` wrote, or of its cache."""
    if (folder / _SPLITS).is_file():
        splits = _json(folder / _SPLITS).get("splits", [])
        raise FileError(
            f"{folder}: holds several splits, so say which, as {folder}/SPLIT; it holds:"
            f" {listing(splits)}"
        )
    if (folder / _STATE).is_file():
        state = _json(folder / _STATE)
        if state.get("_indices_files"):
            raise FileError(
                f"{folder}: its rows were selected or shuffled without being written;"
                " save it anew: dataset.flatten_indices().save_to_disk(...)"
            )
        names = [each.get("filename") for each in state.get("_data_files") or []]
        if not names or not all(map(_is_file_name, names)):
            raise FileError(f"{folder / _STATE}: names no data files of its folder")
        return [folder / name for name in names]
    found = sorted(folder.glob("*.arrow"), key=lambda each: order(str(each)))
    if not found:
        raise FileError(f"{folder}: is a folder of a dataset without an .arrow file")
    return found


def _of_index(path: Path, key: str | None, order: Any) -> list[str]:
    """Return the tensors that ``key`` names, * standing for any text; without one, all alike.

    Tensors are alike if their names differ in numbers alone: ``latents.0``, ``latents.1``.
    """
    check_file(path)
    places = _json(path).get("weight_map")
    if not isinstance(places, dict) or not all(map(_is_file_name, places.values())):
        raise FileError(f"{path}: is no index of safetensors: no weight_map to files of its folder")
    if not all(map(str.isprintable, places)):
        raise FileError(f"{path}: is no index of safetensors: it names what cannot be printed")
    kinds = sorted({re.sub(r"\d+", "*", name) for name in places})
    if key is None:
        if len(kinds) != 1:
            raise FileError(
                f"{path}: several arrays, so say which, as {path.name}:KEY; it holds:"
                f" {listing(kinds)}"
            )
        key = kinds[0]
    names = [name for name in places if name == key] or fnmatch.filter(places, key)
    if not names:
        raise FileError(f"{path}: no key {key!r}; it holds: {listing(kinds)}")
    return [f"{path.parent / places[name]}:{name}" for name in sorted(names, key=order)]


def _is_file_name(value: Any) -> bool:
    """Tell whether it names a file of the same folder, and can stand in a message."""
    plain = isinstance(value, str) and value.isprintable()
    return plain and value != "" and Path(value).name == value


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{path}: not a readable .json file: {first_line(error)}") from None
    if not isinstance(found, dict):
        raise FileError(f"{path}: wanted a JSON object, got {type(found).__name__}")
    return found
