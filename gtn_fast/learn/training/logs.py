"""Where a training writes its numbers: a CSV or JSON file, and TensorBoard if asked."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.wording import a_path
from gtn_fast.learn.training.store import PathLike
from gtn_fast.outputs.files import check_output, write_text
from gtn_fast.outputs.kinds import check_ours, is_training_log
from gtn_fast.outputs.streams import warn

LogRows = Sequence[Mapping[str, float]]


@contextmanager
def writer(
    log: PathLike | None, tensorboard: PathLike | None
) -> Iterator[Callable[[LogRows], None]]:
    """Yield a function to call after each epoch with all epochs so far: it writes the logs.

    ``log`` ends in .csv (a column per value) or .json (a list of objects) and is replaced
    whole each time. ValueError for another ending or a folder that cannot be written,
    ImportError where TensorBoard is missing: both before any training. A log that cannot be
    written later is a warning: the training goes on.
    """
    check_logs(log, tensorboard)
    path = None if log is None else Path(log)
    board = None if tensorboard is None else _board(tensorboard)

    def write(rows: LogRows) -> None:
        if path is not None:
            try:
                write_text(path, _csv(rows) if path.suffix == ".csv" else _json(rows))
            except FileError as error:
                warn(f"not logged: {error}", RuntimeWarning, 2)
        if board is not None:
            last = rows[-1]
            for name in last:
                if name != "epoch":
                    board.add_scalar(name, last[name], int(last["epoch"]))

    try:
        yield write
    finally:
        if board is not None:
            board.close()


def check_files(
    log: PathLike | None, tensorboard: PathLike | None, checkpoint: PathLike | None
) -> None:
    """Check the files of a training before it, and touch none."""
    check_logs(log, tensorboard)
    if checkpoint is not None:
        check_output(Path(a_path(checkpoint, "checkpoint")))


def check_logs(log: PathLike | None, tensorboard: PathLike | None) -> None:
    """Raise what ``writer`` would, and touch nothing."""
    if log is not None:
        if Path(a_path(log, "log")).suffix not in (".csv", ".json"):
            raise ValueError(f"log must end in .csv or .json, got {str(log)!r}")
        check_output(Path(log))
        check_ours(
            Path(log), is_training_log, "a training's log", False, "give the log another name"
        )
    if tensorboard is not None:
        folder = Path(a_path(tensorboard, "tensorboard"))
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError("tensorboard= needs TensorBoard: pip install 'gtn-fast[tensorboard]'")
        _check_board(folder)


def _check_board(folder: Path) -> None:
    """Raise FileError unless the folder takes files, or the first one above it that is there."""
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder}: is a file, not a folder")
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    check_output(there / "events")


def _board(folder: PathLike) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def _csv(rows: LogRows) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(rows[-1]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _json(rows: LogRows) -> str:
    return json.dumps([dict(row) for row in rows], indent=1) + "\n"
