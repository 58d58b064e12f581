"""The compiled kernels of csrc/cuda/, one file per family of GPUs.

They are compiled where nvcc is at hand when the package is built, and loaded by the driver:
no toolkit is needed to run them. Without them the GPU is served by Triton.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "cubins"
# Largest capability first: a cubin runs on GPUs of the same major number, and of no smaller minor
# one; one of an "a" architecture on that one alone.
ARCHITECTURES = {(10, 0): "sm_100", (9, 0): "sm_90a", (8, 0): "sm_80"}


@dataclass(frozen=True)
class Cubin:
    """A file of kernels; ``wgmma``: whether it has the screen that Hopper's own instructions do."""

    architecture: str
    code: bytes

    @property
    def wgmma(self) -> bool:
        """Whether the screen with wgmma is among the kernels."""
        return self.architecture == "sm_90a"


EMULATED = Cubin("", b"")


def find(capability: tuple[int, int]) -> Cubin | None:
    """Return the kernels for a GPU of that compute capability, None if there are none."""
    for (major, minor), architecture in ARCHITECTURES.items():
        fits = capability == (9, 0) if major == 9 else capability >= (major, minor)
        if capability[0] == major and fits:
            path = FOLDER / f"{architecture}.cubin"
            return Cubin(architecture, _read(path)) if path.is_file() else None
    return None


@functools.cache
def _read(path: Path) -> bytes:
    """Read a file once: every matching, plan and report asks for it."""
    return path.read_bytes()
