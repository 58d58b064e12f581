"""Floating-point environments that a caller may have set, and data that feel them.

As a program (GTN_FAST_SIMD says with which instructions): every strategy in every environment.
"""

from __future__ import annotations

import ctypes
import platform
import sys

import numpy as np

_X86 = platform.machine() == "x86_64"
_C = ctypes.PyDLL(None)
_UP, _DOWN, _ZERO = (0x800, 0x400, 0xC00) if _X86 else (0x400000, 0x800000, 0xC00000)


def _fenv():
    """fenv_t of this thread as 32-bit words: MXCSR is the eighth of x86-64, FPCR the first."""
    words = (ctypes.c_uint32 * 32)()
    _C.fegetenv(words)
    return words


def _flush():
    words = _fenv()
    if _X86:
        words[7] |= 0x8040  # results and operands
    else:
        words[0] |= 1 << 24
    _C.fesetenv(words)


def _torch_flush():
    import torch

    assert torch.set_flush_denormal(True)


def _flush_upward():
    _flush()
    _C.fesetround(_UP)


ENVIRONMENTS = {
    "flush": _flush,
    "upward": lambda: _C.fesetround(_UP),
    "downward": lambda: _C.fesetround(_DOWN),
    "toward zero": lambda: _C.fesetround(_ZERO),
    "flush, upward": _flush_upward,
}
WITH_TORCH = {**ENVIRONMENTS, "torch": _torch_flush}


def state():
    """What the thread has set: without the flags that every operation raises."""
    words = _fenv()
    return (words[0] & 0xFFFF, words[7] & 0xFFC0) if _X86 else (words[0],)


DEFAULT = state()


def inside(name, function):
    """``function()`` in that environment, which must be there afterwards; what it raises too."""
    before = _fenv()
    WITH_TORCH[name]()
    own = state()
    try:
        return function()
    finally:
        after = state()
        _C.fesetenv(before)
        assert own != DEFAULT, f"{name} cannot be set"
        assert after == own, f"{name} is gone"
        assert state() == DEFAULT


def restored(function):
    """``function()``; the thread's environment afterwards is that of before, whatever it does."""
    before = _fenv()
    try:
        return function()
    finally:
        _C.fesetenv(before)


def rows_of_all_sizes(n, d, seed, dtype=np.float64):
    """Subnormal rows, rows around the least normal number, ordinary and huge ones, and ties."""
    rng = np.random.default_rng(seed)
    kind = np.finfo(dtype)
    rows = rng.standard_normal((n, d))
    sizes = np.array([kind.tiny / 100, kind.tiny, 1.0, kind.max / 100])
    rows *= sizes[np.arange(n) % 4, None]
    rows[::5] = np.round(2 * rng.standard_normal((len(rows[::5]), d))) * kind.smallest_subnormal
    rows[::7, 1:] *= 1e-300 if dtype == np.float64 else 1e-30  # cosines that differ by little
    return rows.astype(dtype)


# (strategy, dimensions)
STRATEGIES = [
    ("ray", 1),
    ("rank", 1),
    ("circle", 2),
    ("tree", 3),
    ("tree", 8),
    ("screen", 3),
    ("screen", 40),
    ("reference", 5),
]


def main():
    import gtn_fast
    from gtn_fast.backends import native
    from gtn_fast.reference import match

    for strategy, d in STRATEGIES:
        if strategy in ("rank", "reference"):
            continue
        for dtype in (np.float32, np.float64):
            x, y = (rows_of_all_sizes(300, d, seed, dtype) for seed in (1, 2))
            expected, cosine, _ = match(x, y)
            for name in ENVIRONMENTS:

                def label(x=x, y=y, strategy=strategy):
                    return gtn_fast.label(x, y, method=strategy, threads=2)

                got = inside(name, label)
                assert (got.x_index == expected).all(), (strategy, d, dtype, name)
                assert (got.cosine == cosine.astype(np.float32)).all(), (strategy, d, dtype, name)
    print(native.instructions())


if __name__ == "__main__":
    sys.exit(main())
