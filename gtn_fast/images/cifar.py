"""CIFAR-10 and CIFAR-100 as their authors publish them: Python pickles.

A pickle is a program. This one may build dicts, lists, numbers, strings and uint8
arrays and nothing else: every name it asks for is answered from the table below by
a stand-in, so that not even NumPy's own functions are called by the file.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.images.image_set import ImageSet, label_array
from gtn_fast.inputs.files import FileError, check_file
from gtn_fast.inputs.wording import in_short, listing

_FOLDERS = ("cifar-10-batches-py", "cifar-100-python")
_SHAPE = (3, 32, 32)


def read(path: Path, split: str) -> ImageSet:
    """Read a folder of batches (or the folder that holds it), or one batch file.

    uint8 (n, 3, 32, 32); labels are CIFAR-10's, or CIFAR-100's fine ones. FileError for
    a batch that is missing, damaged, of another shape, or that asks for more than data.
    """
    files = _batches(path, split) if path.is_dir() else [path]
    parts = [_read_batch(file) for file in files]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    return ImageSet(images.reshape(-1, *_SHAPE), labels, str(path))


def is_folder(path: Path) -> bool:
    """Tell whether ``path`` holds batches, or the folder of them."""
    inner = any((path / name).is_dir() for name in _FOLDERS)
    return inner or path.name in _FOLDERS or any(path.glob("data_batch_*"))


def _batches(path: Path, split: str) -> list[Path]:
    folder = next((path / name for name in _FOLDERS if (path / name).is_dir()), path)
    found = sorted(folder.glob("data_batch_*" if split == "train" else "test_batch"))
    if not found and (folder / split).is_file():  # CIFAR-100
        found = [folder / split]
    if not found:
        wanted = "data_batch_1 to 5" if split == "train" else "test_batch"
        raise FileError(f"{folder}: no {wanted} (CIFAR-10) and no file {split} (CIFAR-100)")
    return found


def _read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = _load(path)
    if not isinstance(batch, dict):
        raise FileError(f"{path}: wanted a dict, got {type(batch).__name__}")
    batch = {_text(key): value for key, value in batch.items()}
    labels = batch.get("labels", batch.get("fine_labels"))
    data = _unwrap(batch.get("data"))
    labels = _unwrap(labels)
    if not isinstance(data, np.ndarray) or not isinstance(labels, (list, np.ndarray)):
        raise FileError(
            f"{path}: wanted data and labels or fine_labels; it holds: {listing(batch)}"
        )
    if data.ndim != 2 or data.shape[1] != math.prod(_SHAPE):
        raise FileError(f"{path}: wanted rows of {math.prod(_SHAPE)} bytes, got shape {data.shape}")
    if len(labels) != len(data):
        raise FileError(f"{path}: {len(data)} images but {len(labels)} labels")
    return data, label_array(labels, str(path))


def _load(path: Path) -> Any:
    check_file(path)
    try:
        with path.open("rb") as stream:
            # The published files were written by Python 2: its strings come as bytes.
            return _Unpickler(stream, encoding="bytes").load()
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise FileError(f"{path}: not a readable CIFAR batch: {in_short(error)}") from None


class _Array:
    """Stands in for numpy.ndarray and what rebuilds it."""

    __slots__ = ("value",)

    def __init__(self, *_ignored: Any) -> None:
        self.value: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or fortran:
            raise pickle.UnpicklingError("wanted an array of bytes in C order")
        self.value = np.frombuffer(data, np.uint8).reshape(shape)


class _Dtype:
    """Stands in for numpy.dtype; knows uint8 only."""

    __slots__ = ()

    def __init__(self, name: Any, *_ignored: Any) -> None:
        if _text(name) != "u1":
            raise pickle.UnpicklingError(f"wanted an array of uint8, got {_text(name)!r}")

    def __setstate__(self, state: Any) -> None:
        """Do nothing: byte order and alignment mean nothing for single bytes."""


def _latin1(text: Any, encoding: Any) -> bytes:
    """Stand in for _codecs.encode, by which Python 3 writes bytes in old protocols."""
    if not isinstance(text, str) or _text(encoding) != "latin1":
        raise pickle.UnpicklingError("wanted bytes written as latin1")
    return text.encode("latin1")


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[np.uint8]:
    """Stand in for numpy's _frombuffer, by which protocol 5 writes arrays."""
    if not isinstance(dtype, _Dtype) or order != "C":
        raise pickle.UnpicklingError("wanted an array of bytes in C order")
    return np.frombuffer(data, np.uint8).reshape(shape)


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}; only arrays and plain containers are read"
            ) from None


def _unwrap(value: Any) -> Any:
    return value.value if isinstance(value, _Array) else value


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
