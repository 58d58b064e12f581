"""Standard output and error: they may be missing, closed, full, or of another kind.

A service, a notebook and a web back end have a stderr of their own, or None. Work that was done
stays done: no write here raises.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Forgiving:
    """A text stream that goes on as if nothing were, where ``stream`` (or None) takes no more.

    ``failure``: why it takes no more, once it does not. Characters that the stream's encoding
    does not have are written as escapes.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        """Write ``text``, or forget it."""
        if self.stream is not None and self.failure is None:
            try:
                self.stream.write(text)
            except UnicodeEncodeError as error:
                self.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
            except (OSError, ValueError, AttributeError) as error:
                self.failure = error
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, if there is anything to flush."""
        if self.stream is not None and self.failure is None:
            try:
                getattr(self.stream, "flush", lambda: None)()
            except (OSError, ValueError) as error:
                self.failure = error

    def isatty(self) -> bool:
        """Tell whether a person reads it."""
        return self.failure is None and is_terminal(self.stream)

    def close_down(self) -> None:
        """Flush, and see to it that Python's own flush at its end does not fail either."""
        self.flush()
        if self.failure is None or self.stream is None:
            return
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def is_terminal(stream: Any) -> bool:
    """Tell whether ``stream`` is an open terminal; it may be anything, None included."""
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError, TypeError):  # none; closed
        return False


@contextmanager
def forgiving() -> Iterator[None]:
    """Let nothing that is printed inside raise; say at the end, on stderr, if output was lost.

    Warnings are one line each. A reader that has gone (``| head``) wanted no more: nothing is said.
    Nor is what the libraries write on descriptor 2 by themselves, but with GTN_FAST_TRACEBACK=1.
    """
    _open_standard_files()
    before = sys.stdout, sys.stderr
    shown = warnings.showwarning
    with _libraries_silent(before[1]) as own:
        out, err = Forgiving(before[0]), Forgiving(own)
        sys.stdout, sys.stderr = out, err
        warnings.showwarning = _one_line
        try:
            yield
        finally:
            warnings.showwarning = shown
            out.close_down()
            lost = out.failure
            if isinstance(lost, OSError) and lost.errno not in (errno.EPIPE, errno.EBADF):
                err.write(f"gtn-fast: note: the output could not be written: {lost.strerror}\n")
            err.close_down()
            sys.stdout, sys.stderr = before


@contextmanager
def _libraries_silent(stream: Any) -> Iterator[Any]:
    """Give a stream of our own to where descriptor 2 leads, and lead that one nowhere.

    A decoder of images writes there, and nobody who reads one line for an error wants its second.
    ``stream`` is given back as it is where it is not descriptor 2.
    """
    try:
        ours = stream.fileno() == 2 and not os.environ.get("GTN_FAST_TRACEBACK")
        nowhere = os.open(os.devnull, os.O_WRONLY) if ours else -1
    except (AttributeError, OSError, ValueError):  # None, closed, of another kind
        nowhere = -1
    if nowhere < 0:
        yield stream
        return
    with suppress(OSError, ValueError):
        stream.flush()
    copy = os.dup(2)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    own = open(  # noqa: SIM115 - closed below, whatever its flush meets
        copy, "w", buffering=1, encoding=stream.encoding, errors=stream.errors, closefd=False
    )
    try:
        yield own
    finally:
        with suppress(OSError, ValueError):
            own.close()
        os.dup2(copy, 2)
        os.close(copy)


def _one_line(message: Warning | str, *_where: Any, **_more: Any) -> None:
    """Show a warning without its line of source, which is of no use to whoever types a command."""
    note(f"warning: {message}")


def _open_standard_files() -> None:
    """Open what the caller closed of descriptors 0 to 2: else the next file opened is one of them.

    A library's message on stderr would then go into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def note(text: str) -> None:
    """Write one line on stderr, in one piece: ranks of a torchrun share it."""
    err = Forgiving(sys.stderr)
    err.write(f"gtn-fast: {' '.join(text.split())}\n")
    err.flush()


def warn(message: str, category: type[Warning] = UserWarning, stacklevel: int = 1) -> None:
    """Warn as ``warnings.warn`` does, but not fail where stderr is closed."""
    with suppress(ValueError, AttributeError):
        warnings.warn(message, category, stacklevel + 1)
