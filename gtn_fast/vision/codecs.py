"""Anything that turns images into latents and back; whole sets in batches.

Codec            what is wanted of it: an Autoencoder's or VAE's .codec(), or
callables_codec  two functions of your own (a pretrained encoder)
encode_images, decode_latents
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import torch
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.training.store import PathLike
from gtn_fast.outputs.files import check_apart, check_output, check_room, write_file
from gtn_fast.outputs.streams import warn
from gtn_fast.run.progress import progress_bar
from gtn_fast.system.openmp import computes_by_torch
from gtn_fast.vision.tensors import as_images, batches, device_of, to_bytes, to_unit

_COLLAPSED = 0.9  # of the images' variance is left as error


class Codec(Protocol):
    """Two callables between images and latents, whatever is behind them."""

    def encode(self, images: Tensor) -> Tensor:
        """Map uint8 (b, c, h, w) to float (b, d)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Map float32 (b, d) to uint8 (b, c, h, w)."""


class HasCodec(Protocol):
    """An Autoencoder or a VAE."""

    def codec(self) -> Codec:
        """Return the model as a Codec."""


AnyCodec: TypeAlias = Codec | HasCodec


@dataclass(frozen=True)
class _Callables:
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


def callables_codec(
    encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]
) -> Codec:
    """Make a Codec of two functions of your own, as Codec describes them."""
    for name, function in (("encode", encode), ("decode", decode)):
        if not callable(function):
            raise TypeError(f"{name} must be callable, got {type(function).__name__}")
    return cast(Codec, _Callables(encode, decode))


def network_codec(model: Any) -> Codec:
    """Make the Codec of a network with ``encode`` and ``decode`` on [-1, 1], on its device."""

    def encode(images: Tensor) -> Tensor:
        latents: Tensor = model.encode(to_unit(images.to(device_of(model))))
        return latents

    def decode(latents: Tensor) -> Tensor:
        return to_bytes(model.decode(latents.to(device_of(model))))

    return callables_codec(encode, decode)


def as_codec(codec: Any) -> Codec:
    """Return a Codec, given one or a model that has one; TypeError for anything else."""
    if hasattr(codec, "codec"):
        codec = codec.codec()
    if not (callable(getattr(codec, "encode", None)) and callable(getattr(codec, "decode", None))):
        raise TypeError(
            "codec must have encode and decode (callables_codec(encode, decode) makes one),"
            f" got {type(codec).__name__}"
        )
    return cast(Codec, codec)


@computes_by_torch
def encode_images(
    codec: AnyCodec,
    images: Any,
    *,
    batch_size: int = 512,
    out: PathLike | None = None,
    progress: Any = None,
) -> NDArray[np.float32]:
    """Encode uint8 images (n, c, h, w): latents, float32 (n, d), rows in order.

    With ``out`` they go to that .npy batch by batch (temporary name, then renamed) and
    come back as its memory map. ValueError if the codec gives another shape or NaN
    (naming the first row); FileError if the disk refuses; then ``out`` is as it was.
    """
    checked = as_images(images)
    check_integer(batch_size, "batch_size", 1, 1 << 31)
    encoded = _encoded(as_codec(codec), checked, batch_size, progress)
    if out is None:
        return np.concatenate(list(encoded))
    path = Path(out)
    if path.suffix != ".npy":
        raise ValueError(f"out must be a .npy file, got {path}")
    check_apart(path, images)
    check_output(path)

    def write(temporary: Path) -> None:
        _write_rows(temporary, encoded, len(checked), path)

    write_file(path, write)
    return cast(NDArray[np.float32], np.load(path, mmap_mode="r"))


@computes_by_torch
@torch.no_grad()
def decode_latents(codec: AnyCodec, z: Any, batch_size: int = 512) -> NDArray[np.uint8]:
    """Decode latents (n, d): images, uint8 (n, c, h, w); ValueError for another shape or NaN."""
    latents = torch.as_tensor(z).to(torch.float32)
    if latents.ndim != 2 or not len(latents):
        raise ValueError(f"latents must have shape (n, d), n > 0, got {tuple(latents.shape)}")
    check_integer(batch_size, "batch_size", 1, 1 << 31)
    _check_finite(latents, "latents", 0)
    decode = as_codec(codec).decode
    parts = []
    for batch in batches(latents, batch_size):
        shown = decode(batch)
        as_images(shown, "what decode gives")
        if len(shown) != len(batch):
            raise ValueError(f"decode gave {len(shown)} images for {len(batch)} latents")
        parts.append(shown.cpu().numpy())
    return np.concatenate(parts)


@torch.no_grad()
def _encoded(
    codec: Codec, images: Tensor, batch_size: int, progress: Any
) -> Iterator[NDArray[np.float32]]:
    done, d = 0, None
    with progress_bar(len(images), "encode", "images", progress) as bar:
        for batch in batches(images, batch_size):
            z = codec.encode(batch)
            if z.ndim != 2 or len(z) != len(batch) or z.shape[1] != (d or z.shape[1]):
                raise ValueError(
                    f"encode must give (b, d) latents for {len(batch)} images, with one d"
                    f" throughout; got shape {tuple(z.shape)} for rows {done} on"
                )
            d = z.shape[1]
            z = z.to(device="cpu", dtype=torch.float32)
            _check_finite(z, "what encode gives", done)
            yield z.numpy()
            done += len(batch)
            bar.update(len(batch))


def warn_of_collapse(images: Any, decoded: Any) -> None:
    """Warn of reconstructions that say no more of each image than the mean of all would.

    Both uint8 (n, c, h, w), row by row what belongs together.
    """
    real, made = (np.asarray(each, np.float32) for each in (images, decoded))
    error = float(np.square(real - made).mean())
    spread = float(np.square(real - real.mean(axis=0)).mean())
    if error > _COLLAPSED * spread:
        warn(
            "the autoencoder has collapsed: its reconstructions are no nearer to the images than"
            " their mean is; more epochs, another lr or a larger d may help"
        )


def _write_rows(path: Path, parts: Iterator[NDArray[np.float32]], n: int, told: Path) -> None:
    """Write an array of ``n`` rows; FileError that names ``told`` where there is no room for it."""
    # Written, not mapped: a full disk is an OSError here and a crash (SIGBUS) there.
    with path.open("wb") as stream:
        for i, batch in enumerate(parts):
            if not i:
                check_room(told, n * batch.shape[1] * 4)
                header = {"descr": "<f4", "fortran_order": False, "shape": (n, batch.shape[1])}
                npy_format.write_array_header_1_0(stream, header)
            stream.write(np.ascontiguousarray(batch, "<f4").data)


def _check_finite(rows: Tensor, name: str, first: int) -> None:
    bad = ~rows.isfinite().all(dim=1)
    if bad.any():
        raise ValueError(f"{name} must be finite: row {first + int(bad.nonzero()[0, 0])} is not")
