"""Image data of all kinds."""

from __future__ import annotations

import gzip
import io
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from gtn_fast.images import load_images
from tools.fuzz.choices import Choices
from tools.fuzz.rules import held, refused

# The name says what it is read as.
_NAMES = (
    *("a.png", "a.jpg", "a.gif", "a.bmp", "a.webp", "a.tif", "a.jfif"),
    *("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "data_batch_1", "x.npz", "x.npy"),
)
# An array of another type than uint8 is a TypeError, from a file as from a call.
_REFUSALS = (ValueError, TypeError)


class Pictures:
    """``load_images``."""

    needs = ("PIL",)

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pictures"
        self.whole = {name: self._file(name) for name in _NAMES}

    def _file(self, name: str) -> bytes:
        pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8), dtype=np.uint8)
        file = io.BytesIO()
        if name.endswith((".npz", ".npy")):
            if name.endswith("z"):
                np.savez(file, x=pixels, labels=np.arange(2))
            else:
                np.save(file, pixels)
        elif name.startswith("train"):
            content = struct.pack(">IIII", 2051, 2, 8, 8) + pixels.tobytes()
            file.write(gzip.compress(content, mtime=0) if name.endswith("gz") else content)
        elif name.startswith("data"):
            rows = np.zeros((2, 3072), np.uint8)
            file.write(pickle.dumps({b"data": rows, b"labels": [1, 2]}, protocol=2))
        else:
            endings = {"jpg": "jpeg", "jfif": "jpeg", "tif": "tiff"}
            ending = name.partition(".")[2]
            Image.fromarray(pixels[0]).save(file, endings.get(ending, ending))
        return file.getvalue()

    def seeds(self) -> list[bytes]:
        """Return a whole file of each kind, once as it is and once to be damaged."""
        return [
            start
            for at, name in enumerate(_NAMES)
            for start in (bytes([at, 0]) + self.whole[name][:4000], bytes([at, 1, *range(40)]))
        ]

    def check(self, data: bytes) -> None:
        """Read the images that the bytes say."""
        choices = Choices(data)
        name = choices.pick(_NAMES)
        whole = self.whole[name]
        content = choices.rest() if choices.below(2) == 0 else choices.flipped(whole)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        (self.folder / name).write_bytes(content)
        place = self.folder / name if name.endswith((".npz", ".npy")) else self.folder
        read = refused(lambda: load_images(place, progress=False), place, _REFUSALS)
        if read is None:
            return
        held(read.images.dtype == np.uint8 and read.images.ndim == 4, "no images")
        held(read.images.shape[1] in (1, 3) and read.images.size > 0, f"{read.images.shape}")
        held(read.labels is None or len(read.labels) == len(read.images), "labels")
