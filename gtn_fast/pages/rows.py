"""A report as names and values, for people. What a report does not have has no row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gtn_fast.check.quality import quality_text
from gtn_fast.pages.texts import seconds_text
from gtn_fast.planning.memory import size_text

Row = tuple[str, str]


def rows_of(report: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a short table; ``report`` may have been read from a file."""
    found = []
    for name, text in _ROWS.items():
        try:
            value = text(report)
        except (KeyError, TypeError, ValueError, AttributeError):  # not there, or another's
            continue
        if value:
            found.append((name, value))
    return found


def _matched(r: Mapping[str, Any]) -> str:
    return f"{r['n_y']:,} y's with {r['n_x']:,} x's, d = {r['d']}"


def _unmatched(r: Mapping[str, Any]) -> str:
    return f"{r['unmatched']:,} of the y's" if r["unmatched"] else ""


def _strategy(r: Mapping[str, Any]) -> str:
    return f"{r['strategy']}: {r['why']}" if r.get("why") else str(r["strategy"])


def _exact(r: Mapping[str, Any]) -> str:
    if r["exact"]:
        return "exact"
    return f"approximate: {quality_text(r['quality'])}" if r.get("quality") else "approximate"


def _ran_on(r: Mapping[str, Any]) -> str:
    parts = [f"{r['device']}, {r['threads']} thread{'' if r['threads'] == 1 else 's'}"]
    if "ranks" in r:
        parts.append(f"on each of {r['ranks']} ranks")
    if r.get("simd"):
        parts.append(str(r["simd"]))
    return ", ".join(parts)


def _time(r: Mapping[str, Any]) -> str:
    text = seconds_text(r["seconds"]["total"])
    planned = r.get("predicted_seconds")
    return f"{text} (planned: {seconds_text(planned)})" if planned else text


def _memory(r: Mapping[str, Any]) -> str:
    peak, planned = r["peak_memory_bytes"], r.get("predicted_bytes")
    text = f"{size_text(peak)} at most in this process"
    return f"{text} (planned beyond X and a given Y: {size_text(planned)})" if planned else text


def _source(r: Mapping[str, Any]) -> str:
    return "given" if r["seed"] is None else f"drawn from seed {r['seed']}"


def _files(r: Mapping[str, Any]) -> str:
    names = [Path(each["file"]).name for each in r["x_files"]]
    return names[0] if len(names) == 1 else f"{len(names):,}, {names[0]} to {names[-1]}"


_ROWS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "matched": _matched,
    "unmatched": _unmatched,
    "answer": _exact,
    "strategy": _strategy,
    "ran on": _ran_on,
    "Y": _source,
    "files of X": _files,
    "resumed": lambda r: f"{r['resumed_rows']:,} y's were settled" if r["resumed_rows"] else "",
    "groups": lambda r: f"{r['groups']:,}" if r["groups"] else "",
    "time": _time,
    "memory": _memory,
    "gtn_fast": lambda r: str(r["version"]),
}
