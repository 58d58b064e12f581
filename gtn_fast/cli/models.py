"""Trained models and data that commands read, and what fits them."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast.cli import stages
from gtn_fast.cli.common import Array
from gtn_fast.inputs.arrays import convert, describe, unchanged
from gtn_fast.inputs.files import FileError, check_regular
from gtn_fast.inputs.formats.registry import EXTENSIONS
from gtn_fast.inputs.patterns import matching_files, split_key
from gtn_fast.inputs.reading import load_vector
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.presets import Preset
from gtn_fast.outputs.kinds import tensors_kind

_EITHER = ("gtn.safetensors", "flow.safetensors")
_GENERATORS = (*_EITHER, "atlas.safetensors")  # of a run's folder, the first that is there
_IMAGE_KEYS = ("x_train", "x", "X", "images")  # of an .npz


def load_points(name: str, key: str | None = None, *, flatten: bool = False) -> Array:
    """Load a matrix of finite numbers, a row for each data point; an error names the file."""
    described = describe(name, name, key=key, flatten=flatten)
    with unchanged(described):
        return np.asarray(convert(described))


def holds_images(name: str) -> bool:
    """Tell whether it holds images: a folder, an image format, an array of 3 dimensions or more."""
    path, _ = split_key(matching_files(name)[0])
    if not path.exists():
        raise FileError(f"{path}: no such file or folder")
    check_regular(path)
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in EXTENSIONS:
        return True
    try:
        if suffix == ".npy":
            return bool(np.load(path, mmap_mode="r", allow_pickle=False).ndim > 2)
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return any(name in archive.files for name in _IMAGE_KEYS)
    except (OSError, ValueError, zipfile.BadZipFile):
        pass  # whoever reads it says what is wrong
    return False


def find_run(arguments: argparse.Namespace) -> None:
    """Take the generator, and the autoencoder unless one is named, from the folder of a run.

    ``arguments.gtn`` may name a file, and then stays. FileError for a folder without either, or
    with a GTN and a flow.
    """
    folder = Path(arguments.gtn)
    if not folder.is_dir():
        return
    there = [name for name in _GENERATORS if (folder / name).exists()]
    if not there:
        raise FileError(f"{folder}: holds none of {', '.join(_GENERATORS)}")
    if set(_EITHER) <= set(there):
        raise FileError(f"{folder}: holds {' and '.join(_EITHER)}; name one of them")
    arguments.gtn = str(folder / there[0])
    beside = folder / stages.AUTOENCODER
    if arguments.autoencoder is None and beside.exists() and not is_atlas(arguments.gtn):
        arguments.autoencoder = str(beside)


def load_autoencoder(path: str, device: Any = None) -> Any:
    """Load an autoencoder or a VAE: both encode and decode; FileError for anything else."""
    from gtn_fast.vision.autoencoder import Autoencoder
    from gtn_fast.vision.vae import VAE

    try:
        return Autoencoder.load(path, device)
    except ValueError as error:
        try:
            return VAE.load(path, device)
        except ValueError:
            raise error from None


def is_atlas(path: str) -> bool:
    """Tell whether the file is an atlas, with or without GTNs on its charts, or a DDPM."""
    from gtn_fast.atlas.files import KINDS

    return tensors_kind(Path(path)) in KINDS


def is_ddpm(path: str) -> bool:
    """Tell whether the file is a diffusion model of images."""
    from gtn_fast.atlas.ddpm import KIND

    return tensors_kind(Path(path)) == KIND


def load_atlas(path: str, device: Any = None) -> Any:
    """Load an atlas of any kind; FileError for anything else."""
    from gtn_fast.atlas.files import load_atlas

    return load_atlas(path, device)


def decode(autoencoder: Any, latents: Array) -> Array:
    """Decode latents (n, d) to images, uint8 (n, c, h, w)."""
    from gtn_fast.vision.codecs import decode_latents

    images: Array = decode_latents(autoencoder, np.asarray(latents))
    return images


def check_width(autoencoder: Any, d: int, data: str, name: str) -> None:
    """Raise FileError unless the autoencoder ``name`` decodes ``d``, the width of ``data``."""
    if autoencoder.d != d:
        raise FileError(f"{data}: has d = {d}, but {name} decodes d = {autoencoder.d}")


def check_images(autoencoder: Any, images: Array, name: str) -> None:
    """Raise FileError unless the autoencoder ``name`` is for images like these."""
    wanted = (autoencoder.channels, autoencoder.side, autoencoder.side)
    if images.shape[1:] != wanted:
        shape, fits = ("x".join(map(str, each)) for each in (images.shape[1:], wanted))
        raise FileError(f"{name}: is for images of {fits}, these are {shape}")


def load_classes(
    arguments: argparse.Namespace, n: int, m: int, own: tuple[Any, Any] | None = None
) -> tuple[Any, Any]:
    """Load the labels of --classes (n,) and --val-classes (m,), or check those of the images.

    ``m`` counts the rows of a file that --val names. None each where there are none to load.
    """
    if arguments.classes is None:
        return None, None
    if arguments.components > 1:
        raise ValueError("--classes are the components: leave out --components")
    if arguments.val_classes and (own is not None or not m):
        raise ValueError("--val-classes is about the rows of --val FILE: there are none to label")
    labels, of_val = own or (load_vector(arguments.classes), None)
    known, _ = Classes.of(labels, n)
    if m and own is None:
        if not arguments.val_classes:
            raise ValueError("--classes with --val FILE needs --val-classes, a label for each row")
        of_val = load_vector(arguments.val_classes)
    if m:
        known.numbers(of_val, m, "--val-classes")
    return labels, of_val


def gtn_bytes(chosen: Preset, n: int, d: int, parts: int) -> tuple[int, int]:
    """Return the sizes of a GTN's file and of the checkpoint of its training.

    ``parts``: components or classes, each with a calibration.
    """
    from gtn_fast.learn.residuals import most_pairs

    wide = chosen.width
    weights = (2 * d + parts) * wide + (chosen.layers - 1) * wide**2 + 6 * chosen.layers * wide
    model, checkpoint = stages.model_bytes(weights)
    rows = 16 * n + 8 * d * min(n, most_pairs(d))  # the row and part of every y, and residuals
    return model + 16 * parts * d * (d + 2) + rows, checkpoint
