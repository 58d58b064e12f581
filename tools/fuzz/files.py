"""Matrices in the files of other tools, damaged: Arrow, Parquet, HDF5, tars, vectors, shards."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast.inputs.arrays import convert, describe
from tools.fuzz.choices import FLIPPED, RAW, Choices
from tools.fuzz.rules import check_message, held

_ROWS, _COLS = 11, 3


class OtherFiles:
    """``describe`` and ``convert`` of a file: refused in a line, or a finite matrix."""

    needs: tuple[str, ...] = ("pyarrow", "h5py", "safetensors")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        x = rng.random((_ROWS, _COLS)).astype(np.float32)
        self.whole: list[tuple[str, bytes]] = [
            *_of_arrow(folder, x),
            *_of_hdf5(folder, x),
            ("x.tar", _tar(x)),
            ("x.fvecs", _fvecs(x)),
            ("x.fbin", np.array(x.shape, np.uint32).tobytes() + x.tobytes()),
            ("x.safetensors", _safetensors(folder, x)),
            ("x.safetensors.index.json", _index()),
        ]

    def seeds(self) -> list[bytes]:
        """Return each file as it is, and damaged."""
        raw = [bytes([i, RAW]) + content for i, (_, content) in enumerate(self.whole)]
        return raw + [bytes([i, FLIPPED, *range(40)]) for i in range(len(self.whole))]

    def check(self, data: bytes) -> None:
        """Read what the bytes say, in the name of some format."""
        choices = Choices(data)
        name, whole = choices.pick(self.whole)
        path = self.folder / name
        kind = choices.below(2)
        path.write_bytes(choices.content(kind, lambda: whole, bytes))
        try:
            found = describe(path, "X")
            if found.rows * found.cols > 1 << 20:
                return  # a header may promise much where rows are unpacked later
            x = np.asarray(convert(found))
        except (ValueError, TypeError, MemoryError) as error:
            check_message(str(error))
            return
        finally:
            path.unlink()
            if name == "x.safetensors":  # the index leads to it
                path.write_bytes(whole)
        held(x.shape == found.shape, f"shape {x.shape}, promised was {found.shape}")
        held(np.isfinite(x).all(), "numbers that are not finite")


def _of_arrow(folder: Path, x: Any) -> list[tuple[str, bytes]]:
    import pyarrow as pa
    import pyarrow.feather as feather
    import pyarrow.parquet as parquet

    fixed = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), _COLS)
    lists = pa.array(x.tolist(), pa.list_(pa.float32()))
    found = []
    for column in (fixed, lists):
        table = pa.table({"x": column, "id": list(map(str, range(_ROWS)))})
        path = folder / "made"
        for compression in ("zstd", "uncompressed"):
            feather.write_feather(table, path, compression=compression, chunksize=4)
            found.append(("x.feather", path.read_bytes()))
            parquet.write_table(
                table, path, compression=compression.replace("uncompressed", "none")
            )
            found.append(("x.parquet", path.read_bytes()))
        stream = io.BytesIO()
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
        found.append(("x.arrow", stream.getvalue()))
        path.unlink()
    return found


def _of_hdf5(folder: Path, x: Any) -> list[tuple[str, bytes]]:
    import h5py

    found = []
    for how in ({}, {"chunks": (4, _COLS), "compression": "gzip"}):
        path = folder / "made.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=x, **how)
        found.append(("x.h5", path.read_bytes()))
        path.unlink()
    return found


def _tar(x: Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for i, row in enumerate(x):
            content = io.BytesIO()
            np.save(content, row)
            member = tarfile.TarInfo(f"{i:04}.x.npy")
            member.size = content.tell()
            content.seek(0)
            tar.addfile(member, content)
    return stream.getvalue()


def _fvecs(x: Any) -> bytes:
    lengths = np.full((_ROWS, 1), _COLS, np.int32).view(np.float32)
    return bytes(np.hstack([lengths, x]).tobytes())


def _safetensors(folder: Path, x: Any) -> bytes:
    from safetensors.numpy import save_file

    save_file({"x.0": x}, folder / "x.safetensors")
    return (folder / "x.safetensors").read_bytes()


def _index() -> bytes:
    return json.dumps({"weight_map": {"x.0": "x.safetensors"}}).encode()
