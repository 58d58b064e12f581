"""Labels files, and checkpoints of a labeling."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gtn_fast
from gtn_fast import labels as labels_module
from gtn_fast.run import checkpoint as checkpoint_module
from tools.fuzz.choices import FLIPPED, ODD, PIECES, RAW, Choices
from tools.fuzz.rules import held, refused

_DTYPES = ("<i8", "<f4", "<f8", ">i8", "<u8", "|b1", "<U3", "|S2", "<f2", "<c16", "<M8[s]", "|V4")


def damaged_array(array: NDArray[Any], choices: Choices) -> NDArray[Any]:
    """Return the array with values, type or shape changed."""
    how = choices.below(5)
    if how == 0:
        raw = bytearray(np.ascontiguousarray(array).tobytes())
        for _ in range(1 + choices.below(3)):
            if raw:
                raw[choices.below(len(raw))] ^= 1 + choices.below(255)
        return np.frombuffer(bytes(raw), array.dtype).reshape(array.shape)
    if how == 1:
        width = choices.below(4) * 8
        dtype = np.dtype(choices.pick(_DTYPES))
        raw = choices.bytes(width * 2).ljust(max(width, 32), b"\0")
        return np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype)
    if how == 2:
        return array.reshape(choices.pick([(1, -1), (-1, 1), (-1,)]))
    if how == 3:
        return array[: choices.below(len(array) + 1)] if array.ndim else array[None]
    return np.array(str(choices.pick(ODD)))


class LabelsFile:
    """``Labels.load``."""

    needs: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.path, self.again = folder / "labels.npz", folder / "again.npz"
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(9, 3)), rng.normal(size=(7, 3))
        self.whole = []
        self.report = {"strategy": "screen", "seconds": {"order": 0.1}, "x_files": [["x.npy", 9]]}
        for labels in (gtn_fast.label(x, y), gtn_fast.label(x, seed=4)):
            labels.save(self.path)
            self.whole.append((self.path.read_bytes(), labels))

    def seeds(self) -> list[bytes]:
        """Return whole files, and what begins with pieces."""
        raw = [bytes([RAW]) + content for content, _ in self.whole]
        return [*raw, *PIECES]

    def check(self, data: bytes) -> None:
        """Read the file that the bytes say."""
        choices = Choices(data)
        kind = choices.below(3)
        content, original = self.whole[0]
        if kind == RAW:
            content = choices.rest()
        elif kind == FLIPPED:
            content, original = self.whole[choices.below(2)]
            content = choices.flipped(content)
        else:
            content = self._built(choices)
        self.path.write_bytes(content)
        read = refused(lambda: gtn_fast.Labels.load(self.path), self.path)
        if read is None:
            return
        n_y = len(read.x_index)
        held(np.array_equal(np.sort(read.order), np.arange(n_y)), "order")
        held(len(np.unique(read.x_index)) == n_y <= read.n_x, "x_index")
        held(read.x_index.min() >= 0 and read.x_index.max() < read.n_x, "x_index out of range")
        held(np.isfinite(read.cosine).all(), "cosine")
        if kind == FLIPPED:
            self._equal(read, original)
        if n_y * read.d < 1 << 16:
            held(read.y.shape == (n_y, read.d) and np.isfinite(read.y).all(), "y")
            read.save(self.again)
            self._equal(gtn_fast.Labels.load(self.again), read)

    def _equal(self, one: gtn_fast.Labels, other: gtn_fast.Labels) -> None:
        for name in ("x_index", "order", "cosine", "y"):
            held(np.array_equal(getattr(one, name), getattr(other, name)), f"other {name}")
        held((one.n_x, one.d, one.seed) == (other.n_x, other.d, other.seed), "other sizes")

    def _built(self, choices: Choices) -> bytes:
        with np.load(io.BytesIO(self.whole[choices.below(2)][0])) as archive:
            arrays = {name: archive[name] for name in archive.files}
        arrays.pop("digest")
        for _ in range(choices.below(4)):
            name = choices.pick([*sorted(arrays), "seed", "y", "more"])
            if choices.one_in(5):
                arrays.pop(name, None)
            elif name == "report" and choices.one_in(2):
                arrays[name] = np.array(json.dumps(choices.edited(self.report)))
            else:
                arrays[name] = damaged_array(arrays.get(name, np.array(1)), choices)
        if not choices.one_in(4):  # there is none in files from before there were digests
            arrays["digest"] = np.array(labels_module._digest(arrays))
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()


class LabelCheckpoint:
    """``label(checkpoint=, resume=True)``."""

    needs: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.path = folder / "checkpoint"
        rng = np.random.default_rng(0)
        self.x, self.y = rng.normal(size=(9, 3)), rng.normal(size=(7, 3))
        self.right = gtn_fast.label(self.x, self.y, checkpoint=self.path)
        content = self.path.read_bytes()
        point = checkpoint_module.load_checkpoint(
            self.path, json.loads(content.split(b"\n", 2)[1])["fingerprint"], 9, 7
        )
        self.pairs = [np.asarray(column)[:4] for column in point]
        self.header = json.loads(content.split(b"\n", 2)[1])
        self.whole = self._file(self.header, self.pairs)

    def _file(self, header: Any, columns: list[NDArray[Any]]) -> bytes:
        payload = b"".join(np.ascontiguousarray(column).tobytes() for column in columns)
        if isinstance(header, dict) and header.get("rows") == self.header["rows"]:
            header = {**header, "rows": len(payload) // 24, "checksum": zlib.crc32(payload)}
        return checkpoint_module._MAGIC + json.dumps(header).encode() + b"\n" + payload

    def _built(self, choices: Choices) -> bytes:
        header = choices.edited(self.header) if choices.one_in(2) else self.header
        columns = list(self.pairs)
        if choices.one_in(2):
            at = choices.below(3)
            columns[at] = damaged_array(columns[at], choices)
        return self._file(header, columns)

    def seeds(self) -> list[bytes]:
        """Return a whole file, and what begins with pieces."""
        return [bytes([RAW]) + self.whole, *PIECES]

    def check(self, data: bytes) -> None:
        """Go on from the file that the bytes say."""
        choices = Choices(data)
        kind = choices.below(3)
        content = choices.content(kind, lambda: self.whole, lambda: self._built(choices))
        self.path.write_bytes(content)
        got = refused(
            lambda: gtn_fast.label(self.x, self.y, checkpoint=self.path, resume=True, threads=1),
            self.path,
        )
        if got is None:
            held(self.path.read_bytes() == content, "a refused checkpoint was changed")
            return
        held(len(np.unique(got.x_index)) == len(got.x_index) == 7, "x_index")
        held(np.array_equal(np.sort(got.order), np.arange(7)), "order")
        if kind == FLIPPED:
            held(np.array_equal(got.x_index, self.right.x_index), "other labels")
            held(np.array_equal(got.cosine, self.right.cosine), "other cosines")
