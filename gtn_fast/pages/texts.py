"""Seconds in words."""

from __future__ import annotations


def seconds_text(seconds: float) -> str:
    """Write seconds for people: 12.3 ms, 4.56 s, 7.8 min, 9.1 h."""
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 120:
        return f"{seconds:.2f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
