"""Seconds and ratios in words, for tables and pictures."""

from __future__ import annotations

from gtn_fast.pages.texts import seconds_text

__all__ = ["ratio_text", "seconds_text"]


def ratio_text(ratio: float) -> str:
    """Write a ratio for people: 2.3x, 3,080x."""
    return f"{ratio:,.0f}x" if ratio >= 20 else f"{ratio:.1f}x"
