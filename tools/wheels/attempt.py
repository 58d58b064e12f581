"""What a wheel must do in an empty environment: run there as ``python attempt.py SOURCES``.

SOURCES is the folder whose gtn_fast must not be what is imported. Nothing but the wheel and what it
requires is there: no torch, no compiler. Labels are compared with the reference by ``==``.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from pathlib import Path

import numpy as np

import gtn_fast
from gtn_fast.backends import native

COMPILERS = ("c++", "g++", "clang++", "cc", "gcc", "clang", "cmake", "make", "zig", "nvcc")
# (strategy, rows, dimensions)
CASES = [("ray", 500, 1), ("circle", 500, 2), ("tree", 500, 3), ("tree", 300, 8)]
CASES += [("screen", 500, 5), ("screen", 300, 100)]


def main(sources: str) -> int:
    """Label by every strategy and compare; return the exit code."""
    module = Path(native.module().__file__).resolve()
    assert not module.is_relative_to(Path(sources).resolve() / "gtn_fast"), module
    assert module.is_relative_to(Path(sys.prefix).resolve()) or platform.machine() == "aarch64"
    there = [name for name in COMPILERS if shutil.which(name)]
    assert not there, f"a compiler is on PATH: {there}"
    for package in ("torch", "faiss", "scipy"):
        assert importlib.util.find_spec(package) is None, f"{package} is there"
    for strategy, n, d in CASES:
        x, y = gtn_fast.normal(1, 0, n, d), gtn_fast.normal(2, 0, n, d)
        labels = gtn_fast.label(x, y, method=strategy)
        expected, cosine, _ = gtn_fast.reference.match(x, y)
        assert (labels.x_index == expected).all(), (strategy, n, d)
        assert (labels.cosine == cosine.astype(np.float32)).all(), (strategy, n, d)
        assert gtn_fast.verify(x, y, labels, sample=100).checked == 100
    print(
        f"gtn_fast {gtn_fast.__version__}, CPython {platform.python_version()}, "
        f"{platform.machine()} by {native.instructions()}, NumPy {np.__version__}: "
        f"{len(CASES)} labelings as the reference"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
