"""The one list of formats: suffixes, the module that reads them, what that needs.

A new format is an entry of ``FORMATS`` and the module it names.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Format:
    """A kind of file. ``extra`` brings the package it needs; ``folders``: it may be a folder."""

    name: str
    suffixes: tuple[str, ...]
    module: str
    extra: str | None = None
    folders: bool = False

    def load(self) -> ModuleType:
        """Import the module. Light: what it needs is imported when a file is read."""
        return importlib.import_module(f"gtn_fast.inputs.formats.{self.module}")


FORMATS = (
    Format("NumPy", (".npy", ".npz"), "numpy_files"),
    Format("PyTorch", (".pt", ".pth"), "torch_files", "torch"),
    Format("safetensors", (".safetensors",), "safetensors_files", "safetensors"),
    Format("Parquet", (".parquet", ".pq"), "tables", "parquet"),
    Format("Arrow", (".arrow", ".feather"), "tables", "parquet"),
    Format("HDF5", (".h5", ".hdf5"), "hdf5_files", "hdf5"),
    Format("Zarr", (".zarr",), "zarr_files", "zarr", folders=True),
    Format("WebDataset", (".tar",), "tars"),
    Format("vectors", (".fvecs", ".bvecs", ".fbin", ".u8bin", ".i8bin"), "vectors"),
)

EXTENSIONS = tuple(suffix for each in FORMATS for suffix in each.suffixes)


def format_of(path: Path) -> Format | None:
    """Return the format of a file by its name; None for one that nobody reads."""
    suffix = path.suffix.lower()
    return next((each for each in FORMATS if suffix in each.suffixes), None)
