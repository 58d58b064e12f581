"""What the commands share: exit codes, the parser, an output folder, the summary."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.arrays import Described, describe
from gtn_fast.inputs.files import FileError, check_output, write_file, write_text

Array = NDArray[Any]

OK, WRONG, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
MATRIX = (
    "matrix, one row per data point: .npy, .npz, .pt or .safetensors; 'part-*.npy' or"
    " 'data/**/*.npy' takes several as one; FILE:KEY picks an array of a file that holds several"
)

THREADS = "-1: all CPUs (default: GTN_FAST_THREADS, else OMP_NUM_THREADS, else all CPUs)"


class Parser(argparse.ArgumentParser):
    """Errors in one line, like every other error of the command line."""

    def error(self, message: str) -> NoReturn:
        """Raise it: ``main`` writes it in one line."""
        raise ValueError(message)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def positive(text: str) -> float:
    """Parse an argument that is a positive number."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"wanted a positive number, got {text!r}")
    return number


def natural(text: str) -> int:
    """Parse an argument that counts something: a whole number from 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, got {text!r}")
    return number


def open_x(arguments: argparse.Namespace) -> Described:
    """Open X: one file, or all that a pattern matches, one below the other."""
    return describe(arguments.x, "X", flatten=arguments.flatten, key=arguments.key)


def open_y(arguments: argparse.Namespace) -> Described | None:
    """Open Y, if one is given."""
    if arguments.y is None:
        return None
    return describe(arguments.y, "Y", flatten=arguments.flatten)


def check_folder(name: str) -> Path:
    """Return the output folder, found writable but not made: it is made for a result."""
    made = Path(name)
    if made.exists() and not made.is_dir():
        raise FileError(f"{made}: is a file, not a folder")
    check_output(made / "results" if made.exists() else made)
    return made


def folder(name: str) -> Path:
    """Make the output folder if its parent exists, and find it writable before the work."""
    made = check_folder(name)
    made.mkdir(exist_ok=True)
    return made


def write_array(path: Path, array: Array) -> None:
    """Write ``array`` as .npy, whole or not at all."""
    write_file(path, lambda temporary: np.save(temporary, array))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values`` as JSON, whole or not at all; a number that is not finite becomes null."""
    text = json.dumps(_plain(values), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def count(number: int, noun: str) -> str:
    """Write a number of things: ``1 thread``, ``2 threads``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print the summary of a run: names and values, aligned."""
    width = max(12, *(len(name) for name, _ in rows))
    for name, value in rows:
        print(f"{name:<{width}} {value}")
