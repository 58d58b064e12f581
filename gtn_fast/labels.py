"""What a labeling returns: the permutation, its cosines, and where it came from."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.inputs.arrays import describe, is_tensor, unchanged
from gtn_fast.inputs.files import check_regular
from gtn_fast.inputs.matrices import Held
from gtn_fast.inputs.npy import opened_archive
from gtn_fast.inputs.opening import file_of_row
from gtn_fast.inputs.wording import a_path, in_short, listing
from gtn_fast.outputs.files import check_apart, replacing, write_npz
from gtn_fast.outputs.kinds import check_ours, is_labels
from gtn_fast.outputs.tables import frame_of, table_of, write_parquet
from gtn_fast.pages.report import Report
from gtn_fast.sample import Drawn, normal
from gtn_fast.system.openmp import torch_in_a_fork

_FORMAT = "gtn_fast.labels"
_FORMAT_VERSION = 1
_MEMBERS = (
    *("format", "format_version", "x_index", "cosine", "order", "x_shape", "report", "y", "seed"),
    *("x_ids", "y_ids", "distance"),
    "digest",
)
_ROW_BYTES = 20  # x_index, order, cosine
_DISTANCE_BYTES = 8
_OTHER_BYTES = 1 << 16  # report and headers, generously


def saved_bytes(n_y: int, d: int, y_dtype: np.dtype[Any] | None, metric: str = "cosine") -> int:
    """Return about how many bytes ``Labels.save`` writes; ``y_dtype`` None: Y is a seed."""
    row = _ROW_BYTES + (0 if metric == "cosine" else _DISTANCE_BYTES)
    return n_y * (row + (0 if y_dtype is None else d * y_dtype.itemsize)) + _OTHER_BYTES


@dataclass(eq=False)
class Labels:
    """A matching of every row of Y with a row of X of its own.

    ``len(labels)`` is n_y. What ``partial`` or ``min_cosine`` left without an x is counted too.

    Attributes
    ----------
    x_index : int64 (n_y,)
        The row of X for every row of Y, in Y's row order; -1 for none.
    cosine : float32 (n_y,)
        The cosine of each pair, rounded once from float64; NaN for none. It is what was chosen
        by, but by metric "euclidean".
    order : int64 (n_y,)
        Y's rows in the order in which they chose: by norm (with groups: the groups
        by label ascending, by norm inside each; method "rank": by value).
    n_x : int
        Rows of X.
    report : dict
        What ran: strategy, why, threads, simd, sizes, seconds by phase, the engine's
        counters, memory, predictions, version. Plain numbers and strings; it prints as a
        short table.
    given_y : array or None
        Y as the engine read it (float32 or float64), or None if it was drawn. A tensor on
        a GPU, labeled there, stays there until ``y`` is asked for.
    seed : int or None
        The seed that Y was drawn from, or None if it was given.
    x_ids, y_ids : array or None
        The index of X and of Y, where that was a DataFrame with an index of its own; the ``ids``
        of X's files.
    distance : float64 (n_y,) or None
        By metric "euclidean": the distance of each pair; NaN for none.

    Examples
    --------
    >>> import gtn_fast
    >>> X = gtn_fast.normal(1, 0, 100, 3)
    >>> labels = gtn_fast.label(X, seed=7)
    >>> Y, T = labels.pairs(X)  # row by row what belongs together
    >>> bool((T == X[labels.x_index]).all() and (Y == labels.y).all())
    True
    >>> bool((labels.y_index[labels.x_index] == range(100)).all())  # the inverse
    True
    >>> labels.save("labels.npz")
    >>> gtn_fast.Labels.load("labels.npz").seed
    7
    >>> labels.to_arrow().column_names
    ['y', 'x', 'cosine', 'turn']
    """

    x_index: NDArray[np.int64]
    cosine: NDArray[np.float32]
    order: NDArray[np.int64]
    n_x: int
    d: int
    report: dict[str, Any] = field(default_factory=dict)
    given_y: NDArray[Any] | Held | None = field(default=None, repr=False)
    seed: int | None = None
    _drawn_y: NDArray[np.float32] | None = field(default=None, repr=False)
    x_ids: NDArray[Any] | None = field(default=None, repr=False)
    y_ids: NDArray[Any] | None = field(default=None, repr=False)
    distance: NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.report = Report(self.report)  # which prints as a table

    def __len__(self) -> int:
        return len(self.x_index)

    def __repr__(self) -> str:
        parts = [f"n_y={len(self)}, n_x={self.n_x}, d={self.d}"]
        if len(self.unmatched):
            parts.append(f"unmatched={len(self.unmatched)}")
        if len(self.unmatched) < len(self):
            parts.append(f"mean cosine {float(np.nanmean(self.cosine, dtype=np.float64)):.4f}")
            if self.distance is not None:
                parts.append(f"mean distance {float(np.nanmean(self.distance)):.4g}")
        if "strategy" in self.report:
            parts.append(f"strategy {self.report['strategy']!r}")
        if self.report.get("exact") is False:
            parts.append("approximate")
        if "seconds" in self.report:
            parts.append(f"{self.report['seconds']['total']:.3g} s")
        return f"Labels({', '.join(parts)})"

    @property
    def metric(self) -> str:
        """What the y's chose by: "cosine" or "euclidean"."""
        return "cosine" if self.distance is None else "euclidean"

    @property
    def unmatched(self) -> NDArray[np.int64]:
        """The rows of Y that have no x, ascending."""
        return np.flatnonzero(self.x_index < 0)

    @property
    def y_index(self) -> NDArray[np.int64]:
        """The inverse: for every row of X (n_x,) the row of Y that took it; -1 for none."""
        inverse = np.full(self.n_x, -1, np.int64)
        matched = np.flatnonzero(self.x_index >= 0)
        inverse[self.x_index[matched]] = matched
        return inverse

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, one row per row of Y, with Y's index: x, cosine, turn, ....

        ``x``: the index of the row of X, or its number where X has no index of its own (missing
        for none); ``cosine``; ``turn``: when the y chose, from 0; ``distance``, if there is one.
        ImportError without pandas.
        """
        return frame_of(self)

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table, one row per row of Y: what a join with X's files needs.

        ``y``, ``x``: row numbers (x missing for none); ``y_id``, ``x_id``: their ids, if there
        are any; ``file``, ``file_row``: where the row of X lies, if X came from files; ``cosine``;
        ``turn``: when the y chose, from 0. ImportError without pyarrow.
        """
        return table_of(self)

    def to_parquet(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write ``to_arrow()`` to exactly ``path``, whole or not at all; Y is not in it.

        A table of labels that is there is replaced, anything else only with ``force``: FileError
        (a ValueError). ImportError without pyarrow.
        """
        write_parquet(self, a_path(path, "path"), force=force)

    @property
    def y(self) -> NDArray[Any]:
        """Y (n_y, d): as it was given, or drawn again from the seed when first asked for."""
        if self.given_y is not None:
            if isinstance(self.given_y, Held):
                self.given_y = np.asarray(self.given_y)
            return self.given_y
        if self._drawn_y is None:
            if self.seed is None:
                raise ValueError("these labels carry neither Y nor a seed")
            self._drawn_y = normal(self.seed, 0, len(self.x_index), self.d)
        return self._drawn_y

    @property
    def y_source(self) -> Any:
        """Y as it is at hand: an array, or rows that are drawn when asked for (not stored)."""
        if self.given_y is None and self._drawn_y is None and self.seed is not None:
            return Drawn(self.seed, len(self.x_index), self.d)
        return self.y

    def pairs(self, X: Any, *, flatten: bool = False, column: str | None = None) -> tuple[Any, Any]:
        """Return (Y, X[x_index]), both (n_y, d), row by row what belongs together.

        Rows of Y without an x are left out. X, flatten and column as for ``label``. The labels
        have X's type and dtype (several files, or what a library unpacks: the dtype that they
        were read as); Y is a tensor on X's device if X is a tensor. ValueError if X has not the
        shape of the X that was labeled.
        """
        described = describe(X, "X", flatten=flatten, key=column)
        if (described.rows, described.cols) != (self.n_x, self.d):
            raise ValueError(
                f"the labels are for X of shape {(self.n_x, self.d)},"
                f" got {(described.rows, described.cols)}"
            )
        x, matched = described.value, self._matched()
        with unchanged(described):
            if not is_tensor(x):
                return self.y[matched], x[self.x_index[matched]]
        import torch

        index = torch.from_numpy(self.x_index[matched]).to(x.device)
        with torch_in_a_fork():
            chosen = x[index]
        if isinstance(self.given_y, Held):
            return self.given_y.rows(matched).to(x.device), chosen
        return torch.from_numpy(np.array(self.y[matched])).to(x.device), chosen

    def _matched(self) -> Any:
        """Return what selects the rows of Y that have an x: a slice if all have."""
        return np.flatnonzero(self.x_index >= 0) if len(self.unmatched) else slice(None)

    def source(self, x_row: int) -> tuple[Path, int]:
        """Return the file that a row of X came from, and its row there.

        ValueError if X did not come from files, or for a row that X has not.
        """
        files = self.report.get("x_files")
        if not files:
            raise ValueError("X was no file: the report lists none")
        return file_of_row(files, check_integer(x_row, "x_row", 0, self.n_x - 1))

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write an .npz file to exactly ``path``, whole or not at all.

        It is written under a temporary name in the same folder and renamed. Labels that were
        there are replaced, anything else only with ``force``. Y is stored only if it was given;
        a drawn Y is stored as its seed. Of an index, what is neither number, date nor text is
        stored as text. FileError (a ValueError) for the file that Y is mapped from, for what is
        no labels file, a folder, a pipe or a device.
        """
        arrays: dict[str, Any] = {
            "format": np.array(_FORMAT),
            "format_version": np.array(_FORMAT_VERSION),
            "x_index": self.x_index,
            "cosine": self.cosine,
            "order": self.order,
            "x_shape": np.array([self.n_x, self.d], dtype=np.int64),
            "report": np.array(json.dumps(self.report)),
        }
        if self.distance is not None:
            arrays["distance"] = self.distance
        if self.given_y is not None:
            arrays["y"] = self.y
        elif self.seed is not None:
            arrays["seed"] = np.array(self.seed, dtype=np.uint64)
        for name, ids in (("x_ids", self.x_ids), ("y_ids", self.y_ids)):
            if ids is not None:
                plain = ids.dtype.kind in "iufbUMm"
                arrays[name] = ids if plain else np.array([str(each) for each in ids])
        kept = [] if self.given_y is None else [describe(self.given_y, "Y")]
        check_apart(Path(path), self.given_y)
        check_ours(Path(path), is_labels, "a labels file", force)
        with replacing(Path(path)) as temporary, unchanged(*kept), temporary.open("wb") as file:
            arrays["digest"] = np.array(_digest(arrays))
            write_npz(file, arrays)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Labels:
        """Read what ``save`` wrote.

        Raises
        ------
        FileNotFoundError, PermissionError
            As ``open`` does.
        ValueError
            The file is damaged, truncated, no labels file, of another version, or
            inconsistent in itself.
        """
        source = Path(a_path(path, "path"))
        check_regular(source)
        with source.open("rb") as file:
            try:
                arrays = _read(file, str(source))
                digest = arrays.pop("digest", None)  # there is none in files from before 2026-12
                labels = _from_arrays(arrays)
                if digest is not None and str(digest) != _digest(arrays):
                    raise ValueError("it does not hold what was written")
                return labels
            except _UNREADABLE as error:
                reason = in_short(str(error).removeprefix(f"{source}: "))
                raise ValueError(f"{source} is not a readable labels file: {reason}") from error


_UNREADABLE = (
    ValueError,  # json.JSONDecodeError and UnicodeDecodeError are ValueErrors
    KeyError,
    TypeError,
    EOFError,
    OSError,
    NotImplementedError,  # a damaged header asks zipfile for an unknown compression
    RuntimeError,  # or for a password
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,
    MemoryError,  # a damaged array header asks for absurd sizes
)


def _read(file: Any, name: str) -> dict[str, NDArray[Any]]:
    """Read what a labels file has; an archive with more in it is refused before that is read."""
    with opened_archive(file, name) as archive:
        if "format" not in archive or str(archive.read("format")) != _FORMAT:
            raise ValueError("it was not written by Labels.save")
        version = int(archive.read("format_version"))
        if version != _FORMAT_VERSION:
            raise ValueError(f"it has format version {version}, this is {_FORMAT_VERSION}")
        others = [name for name in archive.names if name not in _MEMBERS]
        if others:
            raise ValueError(f"it does not hold what was written, but also {listing(others)}")
        return {name: archive.read(name) for name in archive.names}


def _digest(arrays: dict[str, Any]) -> str:
    """Digest names, dtypes, shapes and values; what is no member of a labels file counts, too."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"\n{name} {array.shape} {array.dtype.str}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _from_arrays(a: dict[str, NDArray[Any]]) -> Labels:
    wanted = {"x_index": np.int64, "cosine": np.float32, "order": np.int64, "x_shape": np.int64}
    for name, dtype in wanted.items():
        if name not in a:
            raise ValueError(f"{name} is missing")
        if a[name].dtype != dtype or a[name].ndim != 1:
            raise ValueError(f"{name} must be 1-D {np.dtype(dtype)}, is {a[name].dtype}")
    n_x, d = (int(size) for size in a["x_shape"])
    n_y = len(a["x_index"])
    if not (len(a["cosine"]) == len(a["order"]) == n_y and n_y >= 1 and n_x >= 1 and d >= 1):
        raise ValueError("the sizes of its arrays do not agree")
    if not np.array_equal(np.sort(a["order"]), np.arange(n_y)):
        raise ValueError("order is no permutation of Y's rows")
    if a["x_index"].min() < -1 or a["x_index"].max() >= n_x:
        raise ValueError("x_index is out of range")
    matched = a["x_index"] >= 0
    taken = np.zeros(n_x, np.bool_)
    taken[a["x_index"][matched]] = True
    if np.count_nonzero(taken) < np.count_nonzero(matched):
        raise ValueError("x_index has a row of X twice")
    if not np.isfinite(a["cosine"][matched]).all():
        raise ValueError("cosine holds NaN or infinity")
    if not np.isnan(a["cosine"][~matched]).all():
        raise ValueError("a row of Y without a row of X has a cosine")
    distance = a.get("distance")
    if distance is not None:
        _check_distance(distance, matched)
    for name, rows in (("x_ids", n_x), ("y_ids", n_y)):
        if name in a and a[name].shape != (rows,):
            raise ValueError(f"{name} must have shape ({rows},), has {a[name].shape}")
    given_y = a.get("y")
    if given_y is not None:
        if given_y.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(f"y must be float32 or float64, is {given_y.dtype}")
        if given_y.shape != (n_y, d):
            raise ValueError(f"y must have shape {(n_y, d)}, has {given_y.shape}")
        if not np.isfinite(given_y).all():
            raise ValueError("y holds NaN or infinity")
    elif "seed" not in a:
        raise ValueError("it holds neither y nor a seed")
    report = json.loads(str(a["report"]))
    if not isinstance(report, dict):
        raise ValueError("its report is no dictionary")
    if (report.get("metric") == "euclidean") != (distance is not None):
        raise ValueError("its report and its distances do not agree")
    return Labels(
        x_index=a["x_index"],
        cosine=a["cosine"],
        order=a["order"],
        n_x=n_x,
        d=d,
        report=report,
        given_y=given_y,
        seed=None if given_y is not None else int(a["seed"]),
        x_ids=a.get("x_ids"),
        y_ids=a.get("y_ids"),
        distance=distance,
    )


def _check_distance(distance: NDArray[Any], matched: NDArray[np.bool_]) -> None:
    if distance.dtype != np.float64 or distance.shape != matched.shape:
        raise ValueError(f"distance must be float64 {matched.shape}, is {distance.dtype}")
    own = distance[matched]
    if not (np.isfinite(own) & (own >= 0)).all():
        raise ValueError("distance holds what is no distance")
    if not np.isnan(distance[~matched]).all():
        raise ValueError("a row of Y without a row of X has a distance")
