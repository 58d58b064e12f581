"""The idx format of MNIST, Fashion-MNIST and their relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.images.image_set import ImageSet, label_array
from gtn_fast.inputs.files import FileError, check_file, naming
from gtn_fast.inputs.wording import in_short
from gtn_fast.planning.memory import check_room

_UBYTE = 0x08
_DEFLATES = 1032  # bytes at most that gzip makes one of
_PREFIX = {"train": "train", "test": "t10k"}


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Return the uint8 array of one idx file, with ``ndim`` dimensions (3: images, 1: labels).

    Big-endian header: two zero bytes, the type (8: uint8), the number of dimensions,
    then each dimension in 4 bytes. Raises FileError for anything else, for a file that
    is too short or too long, and for damaged gzip.
    """
    check_file(path)
    with naming(path), _open(path) as stream:
        try:
            shape, data = _content(stream, path, ndim)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileError(f"{path}: damaged gzip: {in_short(error)}") from None
    expected = math.prod(shape)
    if len(data) != expected:
        held = len(data) if len(data) < expected else f"more than {expected}"
        raise FileError(_too_short(path, shape, held))
    return np.frombuffer(data, np.uint8).reshape(shape)


def _too_short(path: Path, shape: tuple[int, ...], held: object) -> str:
    said = "x".join(map(str, shape))
    return f"{path}: its header says {said} = {math.prod(shape)} bytes, but it holds {held}"


def _content(stream: Any, path: Path, ndim: int) -> tuple[tuple[int, ...], bytes]:
    """Return the header's shape and the bytes after it: one more than the shape says, if there."""
    header = stream.read(4)
    wanted = bytes((0, 0, _UBYTE, ndim))
    if header != wanted:
        raise FileError(
            f"{path}: not an idx file of {ndim}-D bytes: begins with"
            f" {header.hex() or 'nothing'}, wanted {wanted.hex()}"
        )
    sizes = stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise FileError(f"{path}: ends inside its header")
    shape = struct.unpack(f">{ndim}I", sizes)
    promised = math.prod(shape)
    size = path.stat().st_size
    if isinstance(stream, gzip.GzipFile):
        if promised > _DEFLATES * size:
            raise FileError(_too_short(path, shape, f"at most {_DEFLATES * size}"))
    elif promised > size - 4 - 4 * ndim:
        raise FileError(_too_short(path, shape, size - 4 - 4 * ndim))
    check_room(promised, f"reading {path}")
    return shape, stream.read(math.prod(shape) + 1)


def read(path: Path, split: str) -> ImageSet:
    """Read MNIST files: a folder, or one images file (labels from its neighbour, if there)."""
    images_path = _images_file(path, split) if path.is_dir() else path
    images = read_idx(images_path, 3)
    labels_path = _labels_file(images_path)
    labels = None if labels_path is None else label_array(read_idx(labels_path, 1), "labels")
    return ImageSet(images[:, None], labels, str(path))


def _open(path: Path) -> Any:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _images_file(folder: Path, split: str) -> Path:
    # Both spellings are in circulation: train-images-idx3-ubyte, train-images.idx3-ubyte.
    found = sorted(folder.glob(f"*{_PREFIX[split]}-images?idx3-ubyte*"))
    if not found:
        raise FileError(f"{folder}: no {_PREFIX[split]}-images-idx3-ubyte (or .gz) for {split!r}")
    return found[0]


def _labels_file(images: Path) -> Path | None:
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    stem = name.removesuffix(".gz")
    candidates = [images.with_name(each) for each in (name, stem, stem + ".gz")]
    return next((p for p in candidates if p != images and p.is_file()), None)
