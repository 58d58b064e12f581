"""Matrices in files: .npy (memory-mapped), .npz, .pt / .pth and .safetensors.

The last two where torch and safetensors are installed. Nothing here unpickles: a file can be
wrong, but it cannot run code. Nothing but regular files is read: a pipe may never end.
"""

from __future__ import annotations

import glob
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

EXTENSIONS = (".npy", ".npz", ".pt", ".pth", ".safetensors")


class FileError(ValueError):
    """A file that cannot be read or written; the message names it and says why."""


def split_key(spec: str, key: str | None = None) -> tuple[Path, str | None]:
    """Split ``file.npz:name`` into (file.npz, name); FileError if ``key`` is another name."""
    path, colon, tail = spec.rpartition(":")
    if not colon or Path(spec).exists() or Path(path).suffix.lower() not in EXTENSIONS:
        return Path(spec), key
    if key is not None and key != tail:
        raise FileError(f"{spec}: the key is given twice, as {tail!r} and as {key!r}")
    return Path(path), tail


def matching_files(spec: str) -> list[str]:
    """Return the files of a pattern (``part-*.npy``) by name; of anything else, ``spec`` itself.

    FileError for a pattern that no file matches.
    """
    if not any(c in spec for c in "*?[") or Path(spec).exists():
        return [spec]
    found = sorted(glob.glob(spec))  # noqa: PTH207  (a pattern with folders, relative or not)
    if not found:
        raise FileError(f"{spec}: no file matches")
    return found


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise FileError for a pipe, a device or a socket; whoever opens the rest says what is wrong.

    Opening a pipe may wait for ever, and a device may never end.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  (any path, as the caller wrote it)
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileError(f"{os.fspath(path)}: is no regular file but a pipe, a device or a socket")


def load_matrix(spec: str, key: str | None = None) -> Any:
    """Read a 2-D array or tensor of the file ``spec`` (with its ``:key``, if it has one).

    A file that holds several arrays needs no key when exactly one is 2-D. Raises
    FileError for a file that is missing, damaged, of another kind or ambiguous.
    """
    return _load(spec, key, ndim=2)


def load_vector(spec: str, key: str | None = None) -> NDArray[Any]:
    """Read a 1-D array of the file ``spec``, as NumPy; FileError as for load_matrix."""
    vector = _load(spec, key, ndim=1)
    return np.asarray(vector)


def _load(spec: str, key: str | None, ndim: int) -> Any:
    path, key = split_key(spec, key)
    suffix = path.suffix.lower()
    if suffix not in EXTENSIONS:
        raise FileError(f"{path}: unknown kind of file; wanted one of {', '.join(EXTENSIONS)}")
    if path.is_dir():
        raise FileError(f"{path}: is a directory")
    if not path.exists():
        raise FileError(f"{path}: no such file")
    check_regular(path)
    read = {".npy": _read_npy, ".npz": _read_npz, ".safetensors": _read_safetensors}
    try:
        array = read.get(suffix, _read_torch)(path, key, ndim)
    except FileError:
        raise
    except ImportError as error:
        package = error.name or "a package"
        raise FileError(
            f"{path}: reading {suffix} files needs {package}: pip install 'gtn-fast[{package}]'"
        ) from None
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or _first_line(error)}") from None
    except MemoryError:
        raise
    except Exception as error:  # every reader has error types of its own
        raise FileError(f"{path}: not a readable {suffix} file: {_first_line(error)}") from None
    if len(array.shape) != ndim:
        raise FileError(f"{_name(path, key)}: wanted a {ndim}-D array, got shape {_shape(array)}")
    return array


def _read_npy(path: Path, key: str | None, _ndim: int) -> NDArray[Any]:
    if key is not None:
        raise FileError(f"{path}: a .npy file holds one array and has no key {key!r}")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except ValueError as error:
        if "mmap" not in str(error) and "Array" not in str(error):
            raise
        # An empty array cannot be mapped; an object array is refused here too.
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]


def _read_npz(path: Path, key: str | None, ndim: int) -> NDArray[Any]:
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        shapes = {name[: -len(".npy")]: _npy_shape(archive, name) for name in members}
    chosen = _choose(path, key, shapes, ndim)
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[chosen]  # type: ignore[no-any-return]


def _npy_shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Return the shape of one member, from its header alone."""
    with archive.open(name) as stream:
        version = npy_format.read_magic(stream)
        header = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        return header(stream)[0]


def _read_torch(path: Path, key: str | None, ndim: int) -> Any:
    import torch

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
    return tensors[_choose(path, key, shapes, ndim)].detach()


def _read_safetensors(path: Path, key: str | None, ndim: int) -> Any:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        chosen = _choose(path, key, shapes, ndim)
        dtype = file.get_slice(chosen).get_dtype()
        if not dtype.startswith(("BF", "F8")):
            return file.get_tensor(chosen)
    import torch  # noqa: F401  (NumPy has no bfloat16)

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(chosen)


def _choose(path: Path, key: str | None, shapes: Mapping[str, tuple[int, ...]], ndim: int) -> str:
    """Return the key to read: the one asked for, else the only array of the wanted rank."""
    listing = ", ".join(f"{name} {_shape_text(shape)}" for name, shape in shapes.items())
    if key is not None:
        if key not in shapes:
            raise FileError(f"{path}: no key {key!r}; it holds: {listing or 'nothing'}")
        return key
    fitting = [name for name, shape in shapes.items() if len(shape) == ndim]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise FileError(
            f"{path}: several {ndim}-D arrays, so say which, as {path.name}:KEY;"
            f" it holds: {listing}"
        )
    raise FileError(f"{path}: no {ndim}-D array; it holds: {listing or 'nothing'}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an OSError (a full disk, say) into a FileError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or _first_line(error)}") from None


def _name(path: Path, key: str | None) -> str:
    return str(path) if key is None else f"{path}:{key}"


def _shape(array: Any) -> str:
    return _shape_text(tuple(array.shape))


def _shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) if shape else "scalar"


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
