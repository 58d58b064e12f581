"""What the commands share: exit codes, the parser, output files, the summary."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

import gtn_fast
from gtn_fast.inputs.arrays import Described, describe
from gtn_fast.outputs.files import deliver, write_file, write_npz, write_text
from gtn_fast.outputs.targets import Sources, Target, check_targets

Array = NDArray[Any]

PICTURE_BYTES = 1 << 22  # of a picture, at most
OK, WRONG, BAD_INPUT, NO_ENGINE = 0, 1, 2, 3
UNEXPECTED, INTERRUPTED = 70, 130
MATRIX = (
    "matrix, one row per data point: .npy, .npz, .pt, .safetensors, Parquet, Arrow, HDF5, Zarr,"
    " .tar (WebDataset), .fvecs, .fbin, or - for a .npy file on standard input; 'part-*.npy' or"
    " 'data/**/*.npy' takes several as one, and so do the folder of a Hugging Face dataset and the"
    " index of safetensors shards; FILE:KEY picks a column or array of a file that holds several"
)

THREADS = "threads; -1: all CPUs (default: GTN_FAST_THREADS, else OMP_NUM_THREADS, else all CPUs)"


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
    ids = getattr(arguments, "ids", None)
    return describe(arguments.x, "X", flatten=arguments.flatten, key=arguments.key, ids=ids)


def open_y(arguments: argparse.Namespace) -> Described | None:
    """Open Y, if one is given."""
    if arguments.y is None:
        return None
    return describe(arguments.y, "Y", flatten=arguments.flatten)


def add_force(command: argparse._ActionsContainer) -> None:
    """Add --force."""
    command.add_argument("--force", action="store_true", help="replace files that are there")


def folder_for(arguments: argparse.Namespace, *names: str, sources: Sources | None = None) -> Path:
    """Return the output folder, in which these files may be written; nothing is made yet."""
    out = Path(arguments.out)
    targets = [Target(out / name) for name in names]
    check_targets(targets, sources, folder=out, force=arguments.force)
    return out


def write_array(path: Path, array: Array) -> None:
    """Write ``array`` as .npy, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # by its name, NumPy would add .npy to .NPY
            np.save(file, array)

    write_file(path, write)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as a compressed .npz, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # by its name, NumPy would add .npz to .NPZ
            write_npz(file, arrays, compress=True)

    write_file(path, write)


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


def save_labels(labels: gtn_fast.Labels, out: Path, *, force: bool) -> None:
    """Save labels as the suffix says; where that fails, under another name, which is told."""
    save = labels.to_parquet if out.suffix.lower() == ".parquet" else labels.save
    deliver(out, lambda path: save(path, force=force))


def count(number: int, noun: str) -> str:
    """Write a number of things: ``1 thread``, ``2 threads``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print the summary of a run: names and values, aligned."""
    width = max(12, *(len(name) for name, _ in rows))
    for name, value in rows:
        print(f"{name:<{width}} {value}")
