"""``gtn-fast sample --out DIR``: every image a .png file of its own, in a folder."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from gtn_fast.cli import stages
from gtn_fast.cli.common import Array
from gtn_fast.inputs.files import FileError
from gtn_fast.outputs.files import write_file
from gtn_fast.outputs.targets import Sources, Target, check_targets

_OURS = re.compile(r"sample-\d+\.png")
_OVERHEAD = 512  # bytes of a .png beside its pixels


def is_folder(name: str) -> bool:
    """Tell whether ``--out`` names a folder: one that is there, or a name without a suffix."""
    return name.endswith("/") or Path(name).is_dir() or not Path(name).suffix


def check(out: Path, n: int, pixels: int, sources: Sources, *, force: bool) -> None:
    """Raise FileError unless n pictures of so many bytes can be written there, and harm nothing."""
    names = _names(n)
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    others = sorted(name for name in there - set(names) if _OURS.fullmatch(name))
    if others:
        raise FileError(
            f"{out}: holds {others[0]} of a larger sample, which would be taken for one of these;"
            " give another folder"
        )
    kept = [name for name in names[1:] if name in there]
    needed = n * (pixels + _OVERHEAD)
    targets = [Target(out / names[0], needed), *(Target(out / name) for name in kept)]
    check_targets(targets, sources, folder=out, force=force)


def write(out: Path, images: Array) -> str:
    """Write images, uint8 (n, c, h, w) of one or three channels; return what was written."""
    from PIL import Image

    names = _names(len(images))
    with stages.making(out):
        for name, image in zip(names, images, strict=True):
            shown = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
            write_file(out / name, partial(shown.save, format="PNG"))
    return str(out / names[0]) if len(names) == 1 else f"{out}: {names[0]} to {names[-1]}"


def _names(n: int) -> list[str]:
    width = max(4, len(str(n - 1)))
    return [f"sample-{i:0{width}}.png" for i in range(n)]
