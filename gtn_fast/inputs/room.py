"""Where the copy of a matrix goes that the engine cannot read where it is: memory, or a file.

A file of the scratch folder is used where memory was limited (``label(..., memory=)``), or has no
room left (``verify``). It has no name: it is gone when nobody uses it any more.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.planning.memory import available_bytes, size_text


@dataclass(frozen=True)
class Room:
    """Makes arrays: above ``limit`` bytes in a file of ``folder`` (None: that for temporary)."""

    limit: int
    folder: str | None = None

    @classmethod
    def left(cls) -> Room:
        """Return the room that this process has left, with a margin."""
        room = available_bytes()
        return cls(1 << 62 if room is None else room // 2)

    def __call__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array to be filled; OSError if the folder has no room for it."""
        needed = shape[0] * shape[1] * dtype.itemsize
        if needed <= self.limit:
            return np.empty(shape, dtype)
        folder = tempfile.gettempdir() if self.folder is None else self.folder
        with tempfile.TemporaryFile(dir=folder) as file:
            try:
                # All of it now: a write to a mapped file that finds the disk full ends a process.
                os.posix_fallocate(file.fileno(), 0, needed)
            except OSError as error:
                text = f"a scratch file of {size_text(needed)} does not fit: {error.strerror}"
                raise OSError(error.errno, text, folder) from None
            return np.memmap(file, dtype, "r+", 0, shape)
