"""Seconds and ratios in words, for tables and pictures."""

from __future__ import annotations


def ratio_text(ratio: float) -> str:
    """Write a ratio for people: 2.3x, 3,080x."""
    return f"{ratio:,.0f}x" if ratio >= 20 else f"{ratio:.1f}x"


def seconds_text(seconds: float) -> str:
    """Write seconds for people: 12.3 ms, 4.56 s, 7.8 min, 9.1 h."""
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 120:
        return f"{seconds:.2f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
