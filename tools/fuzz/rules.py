"""What must hold whatever was read: it is refused in one line that names the file, or right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

LONGEST = 400  # characters of a message, the name of the file among them


class Wrong(AssertionError):
    """A find."""


def held(condition: Any, what: str) -> None:
    """Raise ``Wrong`` unless it holds."""
    if not condition:
        raise Wrong(what)


def refused(
    read: Callable[[], T], path: Path, kinds: tuple[type[Exception], ...] = (ValueError,)
) -> T | None:
    """Return what ``read`` returns, None if it was refused as it should; all else is raised."""
    try:
        return read()
    except kinds as error:
        check_message(str(error), path.name)
    return None


def check_message(text: str, *words: str) -> None:
    """Check that it is one line of words, not too long, with these among them."""
    held(text.strip(), "a message without words")
    held("\n" not in text and "\r" not in text, f"a message of several lines: {text!r}")
    held(len(text) <= LONGEST, f"a message of {len(text)} characters: {text[:300]!r}")
    for word in words:
        held(word in text, f"a message without {word!r}: {text!r}")
