"""Arrays in files, each by its kind (``formats/``): what goes wrong is one line with the name.

Nothing here unpickles: a file can be wrong, but it cannot run code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.files import FileError, check_file
from gtn_fast.inputs.formats.numpy_files import STDIN, read_stdin
from gtn_fast.inputs.formats.registry import EXTENSIONS, Format, format_of
from gtn_fast.inputs.patterns import split_key
from gtn_fast.inputs.wording import first_line, shape_text

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
    """Read an array or tensor of any shape; ``ndim``: of several, that of so many dimensions.

    What a library must unpack is a ``RowMatrix``, unpacked when its rows are asked for.
    """
    if spec == STDIN:
        return read_stdin(key)
    path, key = split_key(spec, key)
    kind = format_of(path)
    if path.is_dir() and not (kind and kind.folders):
        raise FileError(f"{path}: is a directory; '{path}/*.npy' takes the files in it")
    if kind is None:
        raise FileError(f"{path}: unknown kind of file; wanted one of {', '.join(EXTENSIONS)}")
    if not path.is_dir():
        check_file(path)
    return _read(kind, path, key, ndim)


def _read(kind: Format, path: Path, key: str | None, ndim: int) -> Any:
    """Read by the format's module; whatever it raises names the file, in one line."""
    suffix = path.suffix.lower()
    try:
        return kind.load().read(path, key, ndim)
    except (FileError, MemoryError):
        raise
    except ImportError as error:
        package = (error.name or "a package").split(".")[0]
        extra = kind.extra if package != "torch" else package
        raise FileError(
            f"{path}: reading {suffix} files needs {package}:"
            f" pip install 'gtn-fast[{extra or package}]'"
        ) from None
    except OSError as error:
        if error.errno == _NO_ROOM_FOR_FILES:
            raise FileError(
                f"{path}: this process has too many files open to map one more;"
                " raise the limit (ulimit -n), or give fewer, larger files"
            ) from None
        raise FileError(f"{path}: {error.strerror or first_line(error)}") from None
    except Exception as error:  # every reader has error types of its own
        raise FileError(f"{path}: not a readable {suffix} file: {first_line(error)}") from None


def _name(path: Path, key: str | None) -> str:
    return str(path) if key is None else f"{path}:{key}"


def _shape(array: Any) -> str:
    return shape_text(tuple(array.shape))
