"""Matrices in .npy and .npz, down to the bytes of their headers."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import gtn_fast
from gtn_fast import reference
from tools.fuzz.choices import RAW, Choices
from tools.fuzz.rules import check_message, held

_DESCRIPTIONS = (
    *("'<f4'", "'<f8'", "'>f4'", "'<f2'", "'|u1'", "'<i8'", "'|b1'", "'<c8'", "'|O'", "'<U4'"),
    *("'<V2'", "'<f16'", "[('a', '<f4')]", "'f'", "7", "''", "'<M8[s]'", "('<f4', (2,))"),
)
_SIZES = (0, 1, 2, 3, 5, 8, 17, 1 << 16, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 63, 10**30, -1)
_ENDS = ("", " ", "\n", ", 'more': 1", "}", "\0", " " * 70)
_READ = (ValueError, TypeError)  # TypeError: numbers that cannot be matched


class Arrays:
    """``label`` of a file."""

    needs: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        self.whole = []
        for dtype in (np.float32, np.float64, np.float16, np.uint8):
            file = io.BytesIO()
            np.save(file, (100 * rng.random((11, 3))).astype(dtype))
            self.whole.append(file.getvalue())

    def seeds(self) -> list[bytes]:
        """Return whole files, and what begins with pieces."""
        raw = [bytes([RAW, 0]) + content for content in self.whole]
        pieces = [bytes([kind, zipped, *range(60)]) for kind in (1, 2) for zipped in (0, 1, 2)]
        return [*raw, *pieces]

    def check(self, data: bytes) -> None:
        """Label what the bytes say; the labels are the definition's."""
        choices = Choices(data)
        kind, container = choices.below(3), choices.below(4)
        content = choices.content(
            kind, lambda: choices.pick(self.whole), lambda: self._built(choices)
        )
        path = self.folder / ("x.npz" if container else "x.npy")
        path.write_bytes(content if container in (0, 3) else self._zipped(content, container))
        try:
            got = gtn_fast.label(path, seed=3, threads=1)
        except _READ as error:  # of numbers, not of the file: of X
            check_message(str(error), "X" if str(error).startswith("X") else path.name)
            return
        x = self._by_numpy(path)
        held(x.shape == (got.n_x, got.d), f"shape {x.shape} read as {(got.n_x, got.d)}")
        if x.size > 1 << 12:
            return
        if x.dtype.kind == "V":  # bfloat16, as NumPy reads it back
            x = (x.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        wide = x.astype(np.float64) if x.dtype != np.float32 else x
        index, cosine, _ = reference.match(wide, got.y)
        held(np.array_equal(got.x_index, index), "other labels")
        held(np.array_equal(got.cosine, cosine.astype(np.float32)), "other cosines")

    def _by_numpy(self, path: Path) -> Any:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return loaded[loaded.files[0]]

    def _zipped(self, content: bytes, container: int) -> bytes:
        file = io.BytesIO()
        how = zipfile.ZIP_DEFLATED if container == 1 else zipfile.ZIP_STORED
        with zipfile.ZipFile(file, "w", how) as archive:
            archive.writestr("x.npy", content)
        return file.getvalue()

    def _built(self, choices: Choices) -> bytes:
        shape = ", ".join(str(choices.pick(_SIZES)) for _ in range(choices.below(4)))
        descr = choices.pick(_DESCRIPTIONS)
        fortran = choices.pick(["False", "True", "None", "0", "'x'"])
        text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': ({shape},), "
        text += "}" + choices.pick(_ENDS)
        if choices.one_in(6):
            text = choices.bytes(choices.below(200)).decode("latin-1")
        header = text.encode("utf-8")
        version = choices.pick([1, 1, 1, 2, 3, 0, 9, 255])
        width = 2 if version == 1 else 4
        length = choices.pick([len(header)] * 5 + [0, 1, 65535, len(header) + 1])
        start = b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(width, "little")
        return start + header + choices.bytes(choices.below(600))
