"""All files that a command will write, checked together before the work.

An input is never overwritten, whatever was asked for. Another file that is there is replaced if
it is what this very output writes (``ours``), or on request (``force``).
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.patterns import matching_files, split_key
from gtn_fast.outputs.files import check_output, check_room, destination
from gtn_fast.outputs.kinds import holds_something

_PICTURES = (".png",)  # of ours: what a folder of images must not be given


def no_file(_path: Path) -> bool:
    """Say that no file may be replaced unasked."""
    return False


@dataclass(frozen=True)
class Target:
    """A file that will be written: about so many bytes, and which older file it may replace."""

    path: Path
    needed_bytes: int = 0
    ours: Callable[[Path], bool] = no_file


@dataclass(frozen=True)
class Sources:
    """What a command reads: files, patterns and ``FILE:KEY`` as they were given; folders.

    ``picture_folders``: those whose pictures are read, with all folders in them.
    """

    specs: Sequence[str] = ()
    picture_folders: Sequence[Path] = field(default=())

    def files(self) -> Iterator[Path]:
        """Yield the files that are there; FileError for a pattern that no file matches."""
        for spec in self.specs:
            for name in matching_files(spec):
                yield split_key(name)[0]

    def patterns(self) -> Iterator[str]:
        """Yield what stands for several files."""
        for spec in self.specs:
            if matching_files(spec) != [spec]:
                yield str(split_key(spec)[0])


def check_folder(name: str | os.PathLike[str]) -> Path:
    """Return the output folder, found writable but not made: it is made for a result."""
    folder = Path(name)
    if folder.exists():
        if not folder.is_dir():
            raise FileError(f"{folder}: is a file, not a folder")
        check_output(folder / "results")
    else:
        if folder.is_symlink():
            raise FileError(f"{folder}: is a link that leads nowhere")
        check_output(folder)
    return folder


def check_targets(
    targets: Sequence[Target],
    sources: Sources | None = None,
    *,
    folder: Path | None = None,
    force: bool = False,
) -> None:
    """Raise FileError, before the work, for whatever a target would destroy or cannot be.

    ``folder``: one that need not be there yet, for targets in it. Room is checked for all targets
    of a file system together.
    """
    if folder is not None:
        check_folder(folder)
    read = sources or Sources()
    inputs = [(path, stat) for path in read.files() if (stat := _stat(path)) is not None]
    patterns = list(read.patterns())
    places: dict[Path, Path] = {}
    room: dict[int, int] = {}
    for target in targets:
        path, real = target.path, destination(target.path)
        if real in places:
            raise FileError(f"{path}: would be written twice, as {places[real]} too")
        places[real] = path
        _check_apart(path, real, inputs, patterns, read.picture_folders)
        # In a folder that will be made: room is that of the folder around it.
        new = path.parent == folder and not folder.exists()
        check_output(path.parent if new else path, target.needed_bytes)
        if holds_something(real) and not force and not target.ours(real):
            raise FileError(f"{path}: is there already; --force replaces it")
        around = real.parent.parent if new else real.parent
        device = around.stat().st_dev
        room[device] = room.get(device, 0) + target.needed_bytes
        check_room(path.parent if new else path, room[device], in_one_file=False)


def _check_apart(
    path: Path,
    real: Path,
    inputs: Sequence[tuple[Path, os.stat_result]],
    patterns: Sequence[str],
    picture_folders: Sequence[Path],
) -> None:
    """Raise FileError for an output that is an input, or that a next run would take for one."""
    mine = _stat(real)
    for source, theirs in inputs:
        same = mine is not None and os.path.samestat(mine, theirs)
        if same or real == source.resolve():
            raise FileError(f"{path}: is the input {source}; give the output another name")
    for pattern in patterns:
        if _matches(real, pattern):
            raise FileError(
                f"{path}: would be an input the next time, since {pattern} matches it;"
                " give the output another name"
            )
    if real.suffix.lower() not in _PICTURES:
        return
    for folder in picture_folders:
        if any(above.exists() and above.samefile(folder) for above in real.parents):
            raise FileError(
                f"{path}: lies in {folder}, whose pictures are read: the next run would"
                " take it for one of them; give the output another folder"
            )


def _matches(real: Path, pattern: str) -> bool:
    """Tell whether the pattern finds this file: part by part, ``**`` being any number of them."""
    return _parts_match(real.parts, Path(pattern).absolute().parts)


def _parts_match(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_parts_match(parts[i:], patterns[1:]) for i in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatch.fnmatch(parts[0], patterns[0])
        and _parts_match(parts[1:], patterns[1:])
    )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None
