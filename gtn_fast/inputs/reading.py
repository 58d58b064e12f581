"""Arrays in files, each by its kind.

.npy (memory-mapped), .npz, .pt / .pth (where torch is installed) and .safetensors (where
safetensors is installed). Nothing here unpickles: a file can be wrong, but it cannot run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import EXTENSIONS, FileError, check_file
from gtn_fast.inputs.npy import map_file, opened_archive, shape_text
from gtn_fast.inputs.patterns import split_key
from gtn_fast.inputs.wording import listing
from gtn_fast.planning.memory import check_room

_NO_ROOM_FOR_FILES = 24  # EMFILE


def load_matrix(spec: str, key: str | None = None) -> Any:
    """Read a 2-D array or tensor of the file ``spec`` (with its ``:key``, if it has one).

    A file that holds several arrays needs no key when exactly one is 2-D. Raises
    FileError for a file that is missing, damaged, of another kind or ambiguous.
    """
    path, key = split_key(spec, key)
    array = load_array(spec, key)
    if len(array.shape) != 2:
        raise FileError(f"{_name(path, key)}: wanted a 2-D array, got shape {_shape(array)}")
    return array


def load_vector(spec: str, key: str | None = None) -> NDArray[Any]:
    """Read a 1-D array of the file ``spec``, as NumPy; FileError as for load_matrix."""
    path, key = split_key(spec, key)
    vector = load_array(spec, key, ndim=1)
    if len(vector.shape) != 1:
        raise FileError(f"{_name(path, key)}: wanted a 1-D array, got shape {_shape(vector)}")
    return np.asarray(vector)


def load_array(spec: str, key: str | None = None, ndim: int = 2) -> Any:
    """Read an array or tensor of any shape; ``ndim``: of several, that of so many dimensions."""
    path, key = split_key(spec, key)
    suffix = path.suffix.lower()
    if path.is_dir():
        raise FileError(f"{path}: is a directory; '{path}/*.npy' takes the files in it")
    if suffix not in EXTENSIONS:
        raise FileError(f"{path}: unknown kind of file; wanted one of {', '.join(EXTENSIONS)}")
    check_file(path)
    read = {".npy": _read_npy, ".npz": _read_npz, ".safetensors": _read_safetensors}
    try:
        return read.get(suffix, _read_torch)(path, key, ndim)
    except (FileError, MemoryError):
        raise
    except ImportError as error:
        package = error.name or "a package"
        raise FileError(
            f"{path}: reading {suffix} files needs {package}: pip install 'gtn-fast[{package}]'"
        ) from None
    except OSError as error:
        if error.errno == _NO_ROOM_FOR_FILES:
            raise FileError(
                f"{path}: this process has too many files open to map one more;"
                " raise the limit (ulimit -n), or give fewer, larger files"
            ) from None
        raise FileError(f"{path}: {error.strerror or _first_line(error)}") from None
    except Exception as error:  # every reader has error types of its own
        raise FileError(f"{path}: not a readable {suffix} file: {_first_line(error)}") from None


def _read_npy(path: Path, key: str | None, _ndim: int) -> NDArray[Any]:
    if key is not None:
        raise FileError(f"{path}: a .npy file holds one array and has no key {key!r}")
    return map_file(path)


def _read_npz(path: Path, key: str | None, ndim: int) -> NDArray[Any]:
    with path.open("rb") as stream, opened_archive(stream, str(path)) as archive:
        if key is None or key not in archive:
            key = choose(path, key, archive.shapes(), ndim)
        return archive.read(key)


def _read_torch(path: Path, key: str | None, ndim: int) -> Any:
    import torch

    check_room(path.stat().st_size, f"reading {path}")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except RuntimeError as error:
        raise FileError(
            f"{path}: not a readable {path.suffix} file: {_first_line(error)}"
        ) from None
    except Exception as error:
        if "weights_only" not in str(error) and "Weights only" not in str(error):
            raise
        raise FileError(
            f"{path}: holds more than tensors, and unpickling could run code;"
            " save the tensor alone (torch.save(X, ...))"
        ) from None
    if isinstance(loaded, torch.Tensor):
        if key is not None:
            raise FileError(f"{path}: holds one tensor and has no key {key!r}")
        return loaded.detach()
    if not isinstance(loaded, Mapping):
        raise FileError(
            f"{path}: wanted a tensor or a dict of tensors, got {type(loaded).__name__}"
        )
    tensors = {
        str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)
    }
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    return tensors[choose(path, key, shapes, ndim)].detach()


def _read_safetensors(path: Path, key: str | None, ndim: int) -> Any:
    from safetensors import safe_open

    check_room(path.stat().st_size, f"reading {path}")
    with safe_open(path, framework="np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        chosen = choose(path, key, shapes, ndim)
        dtype = file.get_slice(chosen).get_dtype()
        if not dtype.startswith(("BF", "F8")):
            return file.get_tensor(chosen)
    import torch  # noqa: F401  (NumPy has no bfloat16)

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(chosen)


def choose(path: Path, key: str | None, shapes: Mapping[str, tuple[int, ...]], ndim: int) -> str:
    """Return the key to read: the one asked for, else the only array that fits.

    That is one of ``ndim`` dimensions, or for a matrix (2) with more, if there is no such.
    """
    held = listing(f"{name} {shape_text(shape)}" for name, shape in shapes.items())
    if key is not None:
        if key not in shapes:
            raise FileError(f"{path}: no key {key!r}; it holds: {held}")
        return key
    fitting = [name for name, shape in shapes.items() if len(shape) == ndim]
    if not fitting and ndim == 2:
        fitting = [name for name, shape in shapes.items() if len(shape) > ndim]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise FileError(
            f"{path}: several {ndim}-D arrays, so say which, as {path.name}:KEY; it holds: {held}"
        )
    raise FileError(f"{path}: no {ndim}-D array; it holds: {held}")


def _name(path: Path, key: str | None) -> str:
    return str(path) if key is None else f"{path}:{key}"


def _shape(array: Any) -> str:
    return shape_text(tuple(array.shape))


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
