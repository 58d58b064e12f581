"""Labels as a table: of pandas, or of Arrow, in memory or as Parquet; what a join needs, no Y.

The columns of Arrow:

y, x     row numbers; x is missing where a y has none
y_id     the index of Y, if it has one
x_id     what names the row of X, if something does (``label(..., ids=)``, a DataFrame's index)
file, file_row   where the row of X lies, if X came from files
cosine, turn     of the pair; when the y chose, from 0
distance         of the pair, by metric "euclidean"

The metadata ``gtn_fast`` is JSON: format, format_version, n_x, d, seed, report.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.outputs.files import write_file
from gtn_fast.outputs.kinds import check_ours
from gtn_fast.packages import load_package

FORMAT, FORMAT_VERSION = "gtn_fast.labels_table", 1
_METADATA = b"gtn_fast"
_ROW_BYTES = 64  # of all columns, with ids of usual length, before compression
_REMEDY = "pip install 'gtn-fast[parquet]'"


def require() -> None:
    """Raise ImportError, with the remedy, if tables cannot be made here."""
    load_package("pyarrow", "pyarrow", _REMEDY)


def table_bytes(n_y: int) -> int:
    """Return about how many bytes ``write_parquet`` writes at most."""
    return _ROW_BYTES * n_y + (1 << 16)


def table_of(labels: Any) -> Any:
    """Return a pyarrow.Table, one row per row of Y."""
    pa = load_package("pyarrow", "pyarrow", _REMEDY)
    none = labels.x_index < 0
    turn = np.empty(len(labels), np.int64)
    turn[labels.order] = np.arange(len(labels))

    def of_x(values: NDArray[Any]) -> Any:
        return pa.array(_plain(values[np.where(none, 0, labels.x_index)]), mask=none)

    columns: dict[str, Any] = {"y": pa.array(np.arange(len(labels)))}
    if labels.y_ids is not None:
        columns["y_id"] = pa.array(_plain(labels.y_ids))
    columns["x"] = pa.array(labels.x_index, mask=none)
    if labels.x_ids is not None:
        columns["x_id"] = of_x(labels.x_ids)
    files = labels.report.get("x_files")
    if files:
        starts = np.cumsum([0, *(each["rows"] for each in files)])
        place = np.searchsorted(starts, np.where(none, 0, labels.x_index), side="right") - 1
        names = pa.array([each["file"] for each in files])
        place_or_none = pa.array(place.astype(np.int32), mask=none)
        columns["file"] = pa.DictionaryArray.from_arrays(place_or_none, names)
        columns["file_row"] = pa.array(labels.x_index - starts[place], mask=none)
    columns["cosine"] = pa.array(labels.cosine, mask=none)
    if labels.distance is not None:
        columns["distance"] = pa.array(labels.distance, mask=none)
    columns["turn"] = pa.array(turn)
    about = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "n_x": labels.n_x,
        "d": labels.d,
        "seed": labels.seed,
        "report": labels.report,
    }
    return pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(about)})


def frame_of(labels: Any) -> Any:
    """Return a pandas.DataFrame, one row per row of Y; see ``Labels.to_frame``."""
    pandas = load_package("pandas", "pandas", "pip install pandas")
    turn = np.empty(len(labels), np.int64)
    turn[labels.order] = np.arange(len(labels))
    ids = np.arange(labels.n_x) if labels.x_ids is None else labels.x_ids
    x = pandas.Series(ids[labels.x_index])  # of -1: anything, removed below
    if len(labels.unmatched):
        x = x.astype("Int64" if ids.dtype.kind in "iu" else object)
        x[labels.unmatched] = pandas.NA if ids.dtype.kind in "iu" else None
    y_ids = labels.y_ids
    index = pandas.RangeIndex(len(labels)) if y_ids is None else pandas.Index(y_ids)
    columns = {"x": x.array, "cosine": labels.cosine, "turn": turn}
    if labels.distance is not None:
        columns["distance"] = labels.distance
    return pandas.DataFrame(columns, index=index)


def write_parquet(labels: Any, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write the table to exactly ``path``, whole or not at all.

    FileError for what is there and no such table, unless ``force``; ImportError without pyarrow.
    """
    table = table_of(labels)
    parquet = load_package("pyarrow.parquet", "pyarrow", _REMEDY)
    check_ours(Path(path), is_table, "a table of labels", force)

    def write(temporary: Path) -> None:
        parquet.write_table(table, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())

    write_file(Path(path), write)


def is_table(path: Path) -> bool:
    """Tell whether ``write_parquet`` wrote it, by the name of its format."""
    parquet = load_package("pyarrow.parquet", "pyarrow", _REMEDY)
    try:
        about = json.loads((parquet.read_schema(path).metadata or {})[_METADATA])
    except Exception:  # no Parquet file, or a damaged one; no such metadata
        return False
    return isinstance(about, dict) and about.get("format") == FORMAT


def _plain(values: NDArray[Any]) -> Any:
    """Return values as Arrow takes them: what is neither number nor date becomes text."""
    return values if values.dtype.kind in "iufbMm" else [str(each) for each in values.tolist()]
