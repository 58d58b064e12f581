"""Checkpoints: what is settled so far, so that a run that was killed goes on from there.

Pairs of the answer can be left out on both sides and the rest stays the same (the answer
is the unique stable matching), so any set of final pairs will do as a state, whatever
strategy, thread count or number of processes found them or goes on from them.

A file is a line that names the format, a line of JSON (the version that wrote it, for
people, the fingerprint of data and parameters, the number of pairs, a checksum) and three
arrays: rows of Y and of X (int64; -1 for a y that takes none) and cosines (float64; distances
by metric "euclidean"), in the order in which they were settled. It is written under a temporary
name and renamed: a crash or a full disk leaves the one before.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gtn_fast._version import __version__
from gtn_fast.backends.interface import Pairs
from gtn_fast.inputs.files import FileError, check_regular
from gtn_fast.outputs.files import replacing
from gtn_fast.outputs.streams import warn
from gtn_fast.run.signals import ending_by_exit

_MAGIC = b"gtn_fast.checkpoint 1\n"
_LONGEST_HEADER = 1 << 16
_ROW_BYTES = 24
_PAIR_NUMBER = {"cosine": "cosine", "euclidean": "distance"}
_LARGEST = np.finfo(np.float64).max
_NO_COSINE = 1.001  # rounding goes less far beyond 1
_SUMMED_VALUES = 1 << 16  # at a time: they stay in the cache
_SHARE = 0.01  # of the time that saving may take, once a save was timed
CHECKPOINT_EVERY_S = 30.0
CHECKPOINT_BYTES_PER_ROW = 3 * _ROW_BYTES  # while pairs are joined and read


def saved_checkpoint_bytes(n_y: int) -> int:
    """Return the most bytes that the file takes."""
    return n_y * _ROW_BYTES + _LONGEST_HEADER


def no_pairs() -> Pairs:
    """Return no pairs."""
    return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def joined(parts: list[Pairs]) -> Pairs:
    """Put them one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def checksum(array: Any, first_row: int = 0) -> tuple[int, int]:
    """Return two sums, mod 2**64, over all values of a vector or matrix and their places.

    Of values, not of bytes: float32 and float64 of the same numbers have the same sums. Sums
    of parts (whose first rows are these) add up to that of the whole.
    """
    width = array.shape[1] if array.ndim == 2 else 1
    sums = [0, 0]
    step = max(1, _SUMMED_VALUES // width)
    for start in range(0, len(array), step):
        part = np.ascontiguousarray(array[start : start + step])
        wide = part if part.dtype == np.int64 else part.astype(np.float64) + 0.0
        place = np.arange(part.size, dtype=np.uint64) + np.uint64((first_row + start) * width)
        # Multiplications by odd numbers and shifts, as in splitmix64: each value counts
        # otherwise at each place.
        mixed = wide.reshape(-1).view(np.uint64) ^ (place * np.uint64(0x9E3779B97F4A7C15))
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        sums[0] += int(mixed.sum())
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        sums[1] += int(mixed.sum())
    return sums[0] % 2**64, sums[1] % 2**64


def sum_of_checksums(sums: Iterable[Sequence[int]]) -> tuple[int, int]:
    """Return the checksum of the whole from those of its parts."""
    first, second = zip(*sums, strict=True)
    return sum(first) % 2**64, sum(second) % 2**64


def fingerprint(
    n_x: int,
    n_y: int,
    d: int,
    x: Sequence[int],
    y: Sequence[int] | int,
    groups: Sequence[Sequence[int]] | None = None,
    min_cosine: float | None = None,
    metric: str = "cosine",
) -> str:
    """Digest what the answer depends on: checksums of X, of Y (or its seed) and of groups."""
    parts: dict[str, Any] = {"n_x": n_x, "n_y": n_y, "d": d, "x": x, "y": y, "groups": groups}
    if min_cosine is not None:
        parts["min_cosine"] = min_cosine
    if metric != "cosine":
        parts["metric"] = metric
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


@dataclass(frozen=True)
class Keep:
    """Where a run is kept: the file, whether to go on from it, seconds between saves."""

    path: Path
    resume: bool
    every: float

    @classmethod
    def of(cls, path: Any, resume: Any, every: Any) -> Keep | None:
        """Check arguments of ``label``: None without a path; TypeError or ValueError."""
        if not isinstance(resume, bool):
            raise TypeError(f"resume must be True or False, got {type(resume).__name__}")
        if isinstance(every, bool) or not isinstance(every, (int, float)):
            raise TypeError(f"checkpoint_every must be seconds, got {type(every).__name__}")
        if not 0 <= every < math.inf:
            raise ValueError(f"checkpoint_every must be seconds from 0, got {every}")
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"checkpoint must be a path, got {type(path).__name__}")
        if path is None and resume:
            raise ValueError("resume needs a checkpoint to go on from")
        return None if path is None else cls(Path(path), resume, float(every))


class Checkpoint:
    """A file that follows a run. ``pairs()`` is what is settled so far."""

    def __init__(
        self,
        path: Path,
        digest: str,
        every: float,
        before: Pairs,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.path, self.every, self._digest = path, every, digest
        self._check = check  # raises if the inputs are no longer what was read
        self._parts = [before]
        self._saved = len(before.y_rows)
        self._last = time.monotonic()
        self._lock = threading.Lock()  # groups are matched on several threads
        self._saving = threading.Lock()
        self.saves, self.seconds = 0, 0.0

    @classmethod
    def start(
        cls,
        keep: Keep,
        digest: str,
        n_x: int,
        n_y: int,
        check: Callable[[], None] = lambda: None,
        metric: str = "cosine",
    ) -> Checkpoint:
        """Begin a file, or go on from the one that is there (if ``resume``).

        ``n_x``, ``n_y``: rows of X and of Y, which its pairs are checked against. ``check`` is
        called before each save: what it raises ends the run, and nothing is saved.

        Raises FileExistsError for a file that is there without ``resume``, ValueError for
        one that is damaged or belongs to another run, OSError where it cannot be written.
        """
        if keep.path.exists():
            if not keep.resume:
                raise FileExistsError(
                    errno.EEXIST, "a checkpoint is there; resume it or remove it", str(keep.path)
                )
            before = load_checkpoint(keep.path, digest, n_x, n_y, metric)
            return cls(keep.path, digest, keep.every, before, check)
        fresh = cls(keep.path, digest, keep.every, no_pairs(), check)
        fresh._write()  # that it cannot be written is found now, not in half an hour
        return fresh

    def pairs(self) -> Pairs:
        """Return everything settled so far, saved or not."""
        with self._lock:
            self._parts = [joined(self._parts)]
            return self._parts[0]

    def add(
        self,
        y_rows: NDArray[np.int64],
        x_rows: NDArray[np.int64],
        cosine: NDArray[np.float64],
    ) -> None:
        """Take final pairs, and save if it is time."""
        with self._lock:
            self._parts.append(Pairs(y_rows, x_rows, cosine))
        pause = max(self.every, self._mean_seconds() / _SHARE)
        if time.monotonic() - self._last >= pause:
            self.save()

    def save(self) -> None:
        """Write what is not yet saved. That it cannot be is a warning: the run goes on."""
        with self._saving:
            if len(self.pairs().y_rows) == self._saved:
                return
            self._check()
            try:
                self._write()
                return
            except (OSError, FileError) as error:
                self._last = time.monotonic()
                why = getattr(error, "strerror", None) or error
            warn(
                f"{self.path}: not saved ({why});"
                f" the checkpoint before, of {self._saved} rows, is kept",
                RuntimeWarning,
                stacklevel=2,
            )

    def _mean_seconds(self) -> float:
        return self.seconds / self.saves if self.saves else 0.0

    def _write(self) -> None:
        started = time.monotonic()
        pairs = self.pairs()
        columns = [_bytes(column) for column in pairs]
        checksum = 0
        for column in columns:
            checksum = zlib.crc32(column, checksum)
        header = {
            "version": __version__,
            "fingerprint": self._digest,
            "rows": len(pairs.y_rows),
            "checksum": checksum,
        }
        try:
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                file.write(_MAGIC + json.dumps(header).encode() + b"\n")
                for column in columns:
                    file.write(column)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # in the name that the caller knows
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._saved = len(pairs.y_rows)
        self._last = time.monotonic()
        self.saves += 1
        self.seconds += self._last - started


def load_checkpoint(path: Path, digest: str, n_x: int, n_y: int, metric: str = "cosine") -> Pairs:
    """Read the pairs of a checkpoint of the run with this fingerprint, of so many rows.

    ValueError, in one line, for a file that is no checkpoint, damaged, truncated, of
    another format or of another run, or whose pairs cannot be right; OSError as ``open``.
    """
    check_regular(path)
    with path.open("rb") as file:
        header = _header(path, file)
        if header["fingerprint"] != digest:
            raise ValueError(
                f"{path} is a checkpoint of other data or parameters; remove it to start anew"
            )
        payload = file.read()
    rows = header["rows"]
    if len(payload) != rows * _ROW_BYTES or zlib.crc32(payload) != header["checksum"]:
        raise ValueError(f"{path} is damaged: {rows} rows announced, {len(payload)} bytes found")
    y_rows, x_rows = np.frombuffer(payload, np.int64, 2 * rows).reshape(2, rows)
    cosine = np.frombuffer(payload, np.float64, rows, 16 * rows)
    paired = (x_rows != -1) | ~np.isnan(cosine)
    for of, some, n in (("Y", y_rows, n_y), ("X", x_rows[paired], n_x)):
        seen = np.zeros(n, np.bool_)
        inside = (some >= 0) & (some < n)
        seen[some[inside]] = True
        if not inside.all() or np.count_nonzero(seen) < len(some):
            raise ValueError(f"{path} is damaged: a row of {of} is out of range, or comes twice")
    low, high = (-_NO_COSINE, _NO_COSINE) if metric == "cosine" else (0.0, _LARGEST)
    if not ((low <= cosine[paired]) & (cosine[paired] <= high)).all():
        raise ValueError(f"{path} is damaged: it has a {_PAIR_NUMBER[metric]} that is none")
    return Pairs(y_rows, x_rows, cosine)


def _header(path: Path, file: BinaryIO) -> dict[str, Any]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError(
            f"{path} is no checkpoint of gtn_fast, or of another format than"
            f" {_MAGIC.decode().strip()!r}; remove it to start anew"
        )
    try:
        header = json.loads(file.readline(_LONGEST_HEADER))
        types = {"version": str, "fingerprint": str, "rows": int, "checksum": int}
        if all(isinstance(header[name], wanted) for name, wanted in types.items()):
            return dict(header)
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path} is damaged: its header cannot be read")


@contextlib.contextmanager
def saved_on_exit(checkpoint: Checkpoint | None) -> Iterator[None]:
    """Save when the run ends, however it does: well, by an error, Ctrl-C or a signal.

    A signal of ``signals.ENDING`` that nobody handles raises SystemExit(128 + its number)
    meanwhile.
    """
    if checkpoint is None:
        yield
        return
    with ending_by_exit():
        try:
            yield
        finally:
            checkpoint.save()
