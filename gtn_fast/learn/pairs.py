"""(y, x_y) pairs as a torch Dataset, for those who bring their own training loop."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gtn_fast.api import label
from gtn_fast.backends.methods import check_method
from gtn_fast.inputs.arguments import check_seed
from gtn_fast.inputs.arrays import convert, describe, unchanged
from gtn_fast.inputs.files import FileError, check_file
from gtn_fast.inputs.groups import group_pair
from gtn_fast.inputs.sources import listed
from gtn_fast.inputs.wording import a_path
from gtn_fast.labels import Labels, saved_bytes
from gtn_fast.outputs.files import check_output, deliver

_KEY = "labeled_pairs"  # where the fingerprint stands in the report of the cached labels
_HASH_BYTES = 1 << 24


class LabeledPairs(Dataset[tuple[Tensor, Tensor]]):
    """The n pairs (y, x_y) of Algorithm 1: y ~ N(0, I) and the row of X that it is to be sent to.

    Parameters
    ----------
    X : (n, d) array or tensor, path, or paths
        The data, whatever ``label`` takes; nothing is standardised here. NaN or infinity:
        ValueError.
    seed, method, groups, threads, progress, flatten
        As in ``gtn_fast.label``.
    cache : path ending in .npz, optional
        A labels file (``Labels.load`` reads it). It is used if it was made here from the
        same data (shape, dtype, SHA-256), seed, method and groups.
        Otherwise, or if it is damaged, X is labeled and the file replaced, whole or not
        at all. ValueError for a file that is no such cache: it is left alone.

    Attributes
    ----------
    y, x : float32 tensors (n, d) on the CPU
        Row by row what belongs together; y in the order of ``gtn_fast.normal(seed, ...)``.
    labels : Labels
    """

    def __init__(
        self,
        X: Any,
        *,
        seed: int = 0,
        cache: str | os.PathLike[str] | None = None,
        method: str = "auto",
        groups: Any = None,
        threads: int | None = None,
        progress: Any = None,
        flatten: bool = False,
    ) -> None:
        described = describe(X, "X", flatten=flatten)
        wanted = {
            "seed": seed,
            "method": method,
            "groups": groups,
            "threads": threads,
            "progress": progress,
        }
        with unchanged(described):
            data = convert(described)
            if cache is None:
                self.labels = label(data, **wanted)
                self.labels.report["x_files"] = listed(described.files)
            else:
                path = Path(a_path(cache, "cache"))
                self.labels = _cached(data, path, wanted, listed(described.files))
            self.labels.x_ids = described.ids
            self.x = torch.from_numpy(data[self.labels.x_index].astype(np.float32, copy=False))
        self.y = torch.from_numpy(self.labels.y)

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"LabeledPairs(n={len(self)}, d={self.x.shape[1]}, {self.labels!r})"

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return (y, x_y), each float32 (d,)."""
        return self.y[index], self.x[index]

    def __getstate__(self) -> dict[str, Any]:
        """Return what a DataLoader worker is sent: Y once, as ``y``, and not inside the labels."""
        return {**self.__dict__, "labels": dataclasses.replace(self.labels, _drawn_y=None)}


def _cached(data: NDArray[Any], path: Path, wanted: dict[str, Any], files: Any) -> Labels:
    """Read the labels of ``data`` from ``path``, or make them and write them there."""
    if path.suffix.lower() != ".npz":
        raise ValueError(f"cache must be a path ending in .npz, got {path}")
    if path.exists():
        check_file(path)
    fingerprint = _fingerprint(data, wanted)
    found = _read(path)
    if found is not None and _fits(found, data, fingerprint):
        found.report["x_files"] = files
        return found
    # Labeling may take long: better to know now.
    check_output(path, saved_bytes(len(data), data.shape[1], None))
    labels = label(data, **wanted)
    labels.report[_KEY] = fingerprint
    labels.report["x_files"] = files
    deliver(path, lambda place: labels.save(place, force=True))  # one of ours, or damaged
    return labels


def _fingerprint(data: NDArray[Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return all that the labels are a function of."""
    groups = wanted["groups"]
    if groups is not None:
        groups = [_sha256(part) for part in group_pair(groups, len(data), len(data))]
    return {
        "shape": list(data.shape),
        "dtype": data.dtype.name,
        "sha256": _sha256(data),
        "seed": check_seed(wanted["seed"]),
        "method": check_method(wanted["method"], data.shape[1]),
        "groups": groups,
    }


def _sha256(array: NDArray[Any]) -> str:
    """Digest the values, row by row: whatever the strides, and without a copy of the whole."""
    digest = hashlib.sha256()
    step = max(1, _HASH_BYTES // array[:1].nbytes)
    for start in range(0, len(array), step):
        digest.update(np.ascontiguousarray(array[start : start + step]).data)
    return digest.hexdigest()


def _read(path: Path) -> Labels | None:
    """Read the labels in ``path``; None if absent or damaged, ValueError for another file."""
    try:
        labels = Labels.load(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    except ValueError:
        if _is_another_archive(path):
            raise FileError(f"{path}: is no labels file; it will not be replaced") from None
        return None
    if _KEY not in labels.report:
        raise FileError(
            f"{path}: holds labels that LabeledPairs did not write; they will not be replaced"
        )
    return labels


def _is_another_archive(path: Path) -> bool:
    """Tell a healthy file of somebody else's from a cache that was damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return "format" not in archive.files
    except Exception:  # whatever a damaged archive makes NumPy raise
        return False


def _fits(labels: Labels, data: NDArray[Any], fingerprint: dict[str, Any]) -> bool:
    n, d = data.shape
    return (
        labels.report[_KEY] == fingerprint
        and (labels.n_x, labels.d, labels.seed) == (n, d, fingerprint["seed"])
        and np.array_equal(np.sort(labels.x_index), np.arange(n))
    )
