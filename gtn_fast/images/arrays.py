"""Images in .npz and .npy files, in any of the usual layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.images.image_set import CHANNELS, ImageSet, label_array
from gtn_fast.inputs.files import FileError, check_file
from gtn_fast.inputs.npy import Archive, map_file, opened_archive
from gtn_fast.inputs.wording import listing


def read(path: Path, split: str, key: str | None, limit: int | None) -> ImageSet:
    """Read the images of ``path``: ``key``, else x_SPLIT, else x, else the only 3-D or 4-D array.

    Labels: the array named like the images with y for x (labels for images), if there.
    Axes are (n, h, w), (n, h, w, c) or (n, c, h, w). Raises FileError for a file that
    is damaged, ambiguous or without the split, TypeError unless the images are uint8.
    """
    check_file(path)
    try:
        if path.suffix.lower() == ".npy":
            return _read_npy(path, split, key, limit)
        with path.open("rb") as stream, opened_archive(stream, str(path)) as archive:
            return _read_npz(path, archive, split, key)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from None


def _read_npy(path: Path, split: str, key: str | None, limit: int | None) -> ImageSet:
    if key is not None or split != "train":
        asked = f"key {key!r}" if key is not None else f"split {split!r}"
        raise FileError(f"{path}: a .npy file holds one array and has no {asked}")
    mapped = map_file(path)
    # Only the rows asked for leave the disk.
    return ImageSet(channels_first(mapped[:limit], str(path)), None, str(path))


def _read_npz(path: Path, archive: Archive, split: str, key: str | None) -> ImageSet:
    chosen = _images_key(path, archive, split, key)
    images = channels_first(archive.read(chosen), f"{path}:{chosen}")
    labels_key = _labels_key(chosen)
    labels = None
    if labels_key in archive:
        labels = label_array(archive.read(labels_key), f"{path}:{labels_key}")
    classes = archive.read("classes") if "classes" in archive else ()
    return ImageSet(images, labels, str(path), tuple(map(str, classes)))


def channels_first(images: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return uint8 (n, c, h, w), contiguous, from (n, h, w), (n, h, w, c) or (n, c, h, w)."""
    if images.dtype != np.uint8:
        raise TypeError(
            f"{name}: images must be uint8 (0 to 255), got {images.dtype}; scale and convert them"
        )
    if images.ndim == 3:
        return np.array(images[:, None])
    if images.ndim != 4:
        raise ValueError(f"{name}: wanted images (n, h, w) or with channels, got {images.shape}")
    first, last = images.shape[1] in CHANNELS, images.shape[3] in CHANNELS
    if first and last and images.shape[1] != images.shape[3]:
        raise ValueError(f"{name}: shape {images.shape} may be channels first or last")
    if not (first or last):
        raise ValueError(f"{name}: shape {images.shape} has no axis of 1 or 3 channels")
    return np.array(images if first else images.transpose(0, 3, 1, 2), order="C")


def _images_key(path: Path, archive: Archive, split: str, key: str | None) -> str:
    names = archive.names
    if key is not None:
        if key not in names:
            raise FileError(f"{path}: no key {key!r}; it holds: {listing(names)}")
        return key
    if f"x_{split}" in names:
        return f"x_{split}"
    if split != "train" or "x_test" in names:
        raise FileError(f"{path}: no x_{split}; it holds: {listing(names)}")
    for name in ("x", "X", "images"):
        if name in names:
            return name
    fitting = [name for name, shape in archive.shapes().items() if len(shape) in (3, 4)]
    if len(fitting) != 1:
        found = f"several ({listing(fitting)})" if fitting else "none"
        raise FileError(f"{path}: wanted one 3-D or 4-D array, or key=; it holds {found}")
    return fitting[0]


def _labels_key(images_key: str) -> str:
    if images_key == "images":
        return "labels"
    if images_key[:1] in ("x", "X"):
        return "y" + images_key[1:]
    return ""
