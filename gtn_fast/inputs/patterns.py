"""What a user writes for files: ``file.npz:key``, ``part-*.npy``, ``data/**/*.npy``."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from pathlib import Path

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.formats.registry import EXTENSIONS
from gtn_fast.inputs.shards import names_shards, shards_of

HOW_PATTERNS_WORK = "* stands for any text, ** for folders of any depth, [ab] for a or b"


def split_key(spec: str, key: str | None = None) -> tuple[Path, str | None]:
    """Split ``file.npz:name`` into (file.npz, name); FileError if ``key`` is another name.

    ``key`` may be a pattern of names, if ``spec`` has one of them.
    """
    path, colon, tail = spec.rpartition(":")
    if not colon or Path(spec).exists() or not _may_hold_keys(Path(path)):
        return Path(spec), key
    if key is not None and key != tail and not fnmatch.fnmatchcase(tail, key):
        raise FileError(f"{spec}: the key is given twice, as {tail!r} and as {key!r}")
    return Path(path), tail


def matching_files(spec: str, key: str | None = None) -> list[str]:
    """Return the files of a pattern in natural order; of anything else, ``spec`` itself.

    A key (``part-*.npz:x``) goes to each file. A file that several links lead to comes once.
    A name that exists is no pattern, whatever is in it. What names several files (``shards``)
    gives those, with ``key`` or its own. FileError for a pattern that no file matches: it says
    how patterns work.
    """
    path, own = split_key(spec, key)
    text = str(path)
    if names_shards(path):
        return shards_of(path, own, natural_order)
    if not _is_pattern(text) or os.path.lexists(text):
        return [spec]
    path, key = split_key(spec)
    found = _files(text)
    if not found:
        raise FileError(f"{spec}: no file matches; {HOW_PATTERNS_WORK}{_about_brackets(text)}")
    return found if key is None else [f"{each}:{key}" for each in found]


def _may_hold_keys(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS or names_shards(path)


def natural_order(path: str) -> tuple[object, ...]:
    """Return what sorts ``part-2`` before ``part-10``, folder by folder."""
    # Texts and numbers alternate, so that like is compared with like.
    parts = [
        [int(piece) if i % 2 else piece for i, piece in enumerate(re.split(r"(\d+)", name))]
        for name in Path(path).parts
    ]
    return parts, path


def _files(pattern: str) -> list[str]:
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207  (with folders, relative or not)
    by_place: dict[str, str] = {}
    for name in sorted((each for each in found if not Path(each).is_dir()), key=natural_order):
        by_place.setdefault(os.path.realpath(name), name)
    return list(by_place.values())


def _is_pattern(text: str) -> bool:
    return any(c in text for c in "*?[")


def _about_brackets(text: str) -> str:
    if "[" not in text:
        return ""
    meant = text.replace("[", "[[]")
    return f"; [[] is the bracket itself: {meant!r}" if _files(meant) else "; [[] is a bracket"
