"""How things stand in a message: lists, what a file holds, paths; each in short."""

from __future__ import annotations

import os
from collections.abc import Iterable

SHOWN = 5
_LONGEST = 40  # characters of one item


def listing(items: Iterable[object], shown: int = SHOWN) -> str:
    """Write the first few items and ``... and 1,990 more``; 'nothing' for none."""
    texts = [printable(str(item)) for item in items]
    if not texts:
        return "nothing"
    few = ", ".join(_cut(text) for text in texts[:shown])
    more = len(texts) - shown
    return few if more <= 0 else f"{few}, ... and {more:,} more"


def shape_text(shape: tuple[int, ...]) -> str:
    """Write a shape: ``300x5``; ``300x?`` where a size (-1) is not known yet."""
    return "x".join("?" if n < 0 else str(n) for n in shape) if shape else "scalar"


def a_path(value: object, name: str) -> str:
    """Return a path as text; TypeError that says what came instead."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, got {type(value).__name__}")
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a path as text, got {type(text).__name__}")
    if not text or "\0" in text:
        raise ValueError(f"{name} must be a path, got {text!r}")
    return text


def in_short(value: object, most: int = 200) -> str:
    """Write what came (from a file, say) in one line of at most so many characters.

    Of a long integer its size: Python writes no more than 4,300 digits.
    """
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length():,} bits"
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shortened(text: str, most: int = 200) -> str:
    """Write one line of at most so many characters: of a longer one both ends.

    The beginning says where (an argument, a file), the end says what is wrong.
    """
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    first = most // 3
    return f"{text[:first]} ... {text[len(text) - (most - first - 5) :]}"


def printable(text: str) -> str:
    """Write line breaks, and all else that has no sign of its own, as Python's escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def first_line(error: BaseException) -> str:
    """Write what another library raised in one line."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
