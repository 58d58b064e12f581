"""The floating-point environment of a labeling: rounding to nearest, subnormal numbers kept.

A thread may have another one: ``torch.set_flush_denormal(True)`` and libraries built with
-ffast-math set the first bits, ``fesetround`` the others. The engine owns its environment
(csrc/include/gtn_fast/environment.h); here is the same for what Python and NumPy compute.

Only this thread's is changed, and only where it is not the default: where it is, four operations
tell so, and nothing is done. NumPy computes on the thread that calls it, but for products of
matrices; where one is used, its rounding is within a tolerance, and what is within the tolerance
is decided by other means. Threads of torch and FAISS that run already keep what they have.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import struct
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

_Call = TypeVar("_Call", bound=Callable[..., Any])
_MACHINES = ("x86_64", "aarch64")  # there FE_DFL_ENV is the address -1, with glibc and musl
_DEFAULT = ctypes.c_void_p(-1)
_Kept = ctypes.c_uint64 * 16  # fenv_t has 8 to 32 bytes there


def _float(bits: int) -> float:
    """Make a number of its bits: this file may be compiled in any environment, literals suffer."""
    value: float = struct.unpack("=d", struct.pack("=Q", bits))[0]
    return value


_ONE, _HALF, _LITTLE = _float(1023 << 52), _float(1022 << 52), _float((1023 - 60) << 52)
_LEAST_NORMAL = _float(1 << 52)


def is_default() -> bool:
    """Tell whether this thread rounds to nearest and keeps subnormal numbers."""
    return _ONE + _LITTLE == _ONE == _ONE - _LITTLE and _LEAST_NORMAL * _HALF != 0.0


@functools.cache
def _functions() -> tuple[Callable[..., int], Callable[..., int]]:
    """``fegetenv`` and ``fesetenv`` of the C library; RuntimeError where they cannot be had."""
    machine = platform.machine()
    if not (sys.platform == "linux" and machine in _MACHINES):
        raise RuntimeError(
            f"this thread rounds otherwise than to nearest, or flushes subnormal numbers to zero,"
            f" which cannot be changed from Python on {sys.platform} {machine}: set the default"
            " (torch.set_flush_denormal(False)) first"
        )
    library = ctypes.PyDLL(None)
    if not hasattr(library, "fesetenv"):
        library = ctypes.PyDLL("libm.so.6")
    return library.fegetenv, library.fesetenv


class DefaultEnvironment:
    """``with DefaultEnvironment():`` computes in the default environment, in this thread.

    Afterwards, also after an exception, the thread has its own again.
    """

    def __init__(self) -> None:
        self._kept: Any = None

    def __enter__(self) -> DefaultEnvironment:
        self._own()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def calling_back(self, callback: Any) -> Any:
        """Return a callback of the caller's, called in the caller's environment.

        What it changes there stays: it is what the caller has afterwards. Anything that
        cannot be called is returned as it is.
        """
        if not callable(callback):
            return callback

        def call(*args: Any) -> Any:
            self._give_back()
            try:
                return callback(*args)
            finally:
                self._own()

        return call

    def _own(self) -> None:
        kept = None
        if not is_default():
            get, set_to = _functions()
            kept = _Kept()
            get(kept)
            set_to(_DEFAULT)
        self._kept = kept

    def _give_back(self) -> None:
        if self._kept is not None:
            _functions()[1](self._kept)


def in_default_environment(function: _Call) -> _Call:
    """Decorate what computes in the default environment, whatever its caller has."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if is_default():
            return function(*args, **kwargs)
        with DefaultEnvironment():
            return function(*args, **kwargs)

    return call  # type: ignore[return-value]
