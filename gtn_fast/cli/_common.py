"""What the commands share: exit codes, the parser, an output folder, the summary."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

from gtn_fast import _files

OK, WRONG, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
MATRIX = (
    "matrix, one row a point: .npy, .npz, .pt or .safetensors;"
    " FILE:KEY picks an array of a file that holds several"
)


class Parser(argparse.ArgumentParser):
    """Errors in one line, like every other error of the command line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def natural(text: str) -> int:
    """An argument that counts something: a whole number from 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, got {text!r}")
    return number


def folder(name: str) -> Path:
    """The output folder, made if its parent exists, and found writable before the work."""
    made = Path(name)
    if made.exists() and not made.is_dir():
        raise _files.FileError(f"{made}: is a file, not a folder")
    if not made.exists():
        _files.check_output(made)
        made.mkdir()
    _files.check_output(made / "results.md")
    return made


def count(number: int, noun: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_table(rows: Sequence[tuple[str, str]]) -> None:
    """The summary of a run: names and values, aligned."""
    for name, value in rows:
        print(f"{name:<12} {value}")
