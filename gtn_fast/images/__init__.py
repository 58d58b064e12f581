"""Reading image data sets: NumPy and Pillow, no torch.

load_images        one call for every kind; ImageSet is what it gives
image_set.py       ImageSet: uint8 images, labels, names of classes
folder.py          folders of png, jpg, ...; CelebA and HaP with the paper's crop and resize
idx.py             MNIST's format
cifar.py           CIFAR's python batches, without trusting them
arrays.py          .npz and .npy
transform.py       crop, resize, to array
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gtn_fast.images import arrays, cifar, idx
from gtn_fast.images.image_set import ImageSet
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.inputs.files import FileError, check_regular
from gtn_fast.run.progress import check_progress

__all__ = ["KINDS", "SPLITS", "ImageSet", "load_images"]

KINDS = ("auto", "folder", "npz", "idx", "cifar", "celeba", "hap")
SPLITS = ("train", "test")


def load_images(
    path: str | os.PathLike[str],
    *,
    kind: str = "auto",
    split: str = "train",
    key: str | None = None,
    side: int | None = None,
    limit: int | None = None,
    progress: Any = None,
    skip_damaged: bool = False,
) -> ImageSet:
    """Read the images at ``path`` into memory: uint8 (n, c, h, w), with labels where known.

    Parameters
    ----------
    path
        A file or a folder.
    kind
        "folder" (png, jpg, ...; subfolders are classes), "npz" (also .npy), "idx" (MNIST's
        files or the folder of them, gzipped or not), "cifar" (python batches), "celeba"
        (img_align_celeba: centre 148 x 148, then 64 x 64), "hap" (Hands: 64 x 64), or
        "auto", which decides by the names found there.
    split
        "train" or "test"; data without splits are all "train".
    key
        Which array of an .npz.
    side
        Resize to side x side (centre square first; HaP is squeezed, as in the paper).
    limit
        At most that many: the first, or evenly spread over a folder of classes.
    skip_damaged
        Leave out pictures that cannot be read; ``left_out`` says which and why.

    Pictures are read as viewers show them: turned as EXIF says, on white where transparent.

    Raises FileError (a ValueError) naming the file that is missing, damaged, odd in size
    or without the split; ValueError and TypeError for bad arguments or arrays.
    """
    _check(kind, split, key, side, limit, progress)
    path = Path(path)
    if not path.exists():
        raise FileError(f"{path}: no such file or folder")
    check_regular(path)
    kind = _kind(path) if kind == "auto" else kind
    if key is not None and kind != "npz":
        raise ValueError(f"key= names an array of an .npz file, but {path} is read as {kind}")
    if kind in ("folder", "celeba", "hap"):
        if not path.is_dir():
            raise FileError(f"{path}: wanted a folder of images")
        return _read_pictures(path, kind, split, side, limit, progress, skip_damaged)
    if skip_damaged:
        raise ValueError(f"skip_damaged is about folders of pictures, {path} is read as {kind}")
    if kind == "npz" and path.is_dir():
        raise FileError(f"{path}: is a folder, wanted an .npz or .npy file")
    found = _read_arrays(path, kind, split, key, limit).first(limit)
    if side is None:
        return found
    from gtn_fast.images.transform import resize_images

    return ImageSet(resize_images(found.images, side), found.labels, found.name, found.classes)


def is_picture_folder(path: Path, kind: str | None = None) -> bool:
    """Tell whether ``load_images`` would read every picture in that folder."""
    if not path.is_dir():
        return False
    found = _kind(path) if kind in (None, "auto") else kind
    return found in ("folder", "celeba", "hap")


def _read_pictures(
    path: Path,
    kind: str,
    split: str,
    side: int | None,
    limit: int | None,
    progress: Any,
    skip_damaged: bool,
) -> ImageSet:
    try:
        from gtn_fast.images import folder
    except ImportError as error:
        if error.name != "PIL":
            raise
        raise ImportError(
            "reading image files needs Pillow: pip install 'gtn-fast[train]'"
        ) from None
    if kind == "celeba":
        return folder.read_celeba(path, split, side, limit, progress, skip_damaged)
    read = folder.read_hap if kind == "hap" else folder.read_folder
    return read(path, split, side, limit, progress, skip_damaged)


def _read_arrays(path: Path, kind: str, split: str, key: str | None, limit: int | None) -> ImageSet:
    if kind == "npz":
        return arrays.read(path, split, key, limit)
    return idx.read(path, split) if kind == "idx" else cifar.read(path, split)


def _check(
    kind: str, split: str, key: str | None, side: int | None, limit: int | None, progress: Any
) -> None:
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; valid: {', '.join(KINDS)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; valid: {', '.join(SPLITS)}")
    if key is not None and not isinstance(key, str):
        raise TypeError(f"key must be a string, got {type(key).__name__}")
    if side is not None:
        check_integer(side, "side", 1, 1 << 14)
    if limit is not None:
        check_integer(limit, "limit", 1, 1 << 40)
    check_progress(progress)


def _kind(path: Path) -> str:
    """Tell the kind of ``path``, by names alone."""
    if not path.is_dir():
        if path.suffix.lower() in (".npz", ".npy"):
            return "npz"
        if "idx" in path.name or "ubyte" in path.name:
            return "idx"
        if path.name.startswith(("data_batch", "test_batch")):
            return "cifar"
        raise FileError(
            f"{path}: cannot tell what kind of file this is; say kind=, one of {', '.join(KINDS)}"
        )
    if path.name == "img_align_celeba" or (path / "img_align_celeba").is_dir():
        return "celeba"
    if path.name == "Hands" or [p.name for p in path.iterdir() if p.is_dir()] == ["Hands"]:
        return "hap"
    if any(path.glob("*-ubyte*")):
        return "idx"
    return "cifar" if cifar.is_folder(path) else "folder"
