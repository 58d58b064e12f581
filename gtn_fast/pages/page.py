"""One HTML file about one labeling: it needs no other file, no script and no network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast._version import __version__
from gtn_fast.outputs.files import write_text
from gtn_fast.pages.curves import by_turn, drawing
from gtn_fast.pages.frame import document, is_page, section, versions
from gtn_fast.pages.report import table
from gtn_fast.pages.rows import Row, rows_of
from gtn_fast.pages.texts import seconds_text
from gtn_fast.planning.memory import size_text

__all__ = ["is_page", "page_bytes", "page_of", "write_page"]

_MOST_FILES = 200


def page_of(labels: Any, *, verified: str | None = None, command: str | None = None) -> str:
    """Return the page of these labels; ``verified``: what a check found; ``command``: that ran."""
    report = labels.report
    parts = [
        table([*rows_of(report), *([("verified", verified)] if verified else [])]),
        *_cosines(labels),
        *_against_plan(report),
        *_quality(report),
        *_files(report),
        section("Versions", table(versions(command, str(report.get("version", __version__))))),
        _all_of(report),
    ]
    heading = f"{len(labels):,} y's matched with {labels.n_x:,} x's, d = {labels.d}"
    return document(f"gtn_fast: {len(labels):,} labels", heading, _lead(labels), parts)


def write_page(
    path: str | os.PathLike[str],
    labels: Any,
    *,
    verified: str | None = None,
    command: str | None = None,
) -> None:
    """Write the page, whole or not at all; FileError. What may be replaced is the caller's care."""
    write_text(Path(path), page_of(labels, verified=verified, command=command))


def page_bytes(files: int) -> int:
    """Return about how many bytes a page has at most, of an X in so many files."""
    return (1 << 16) + 512 * min(files, _MOST_FILES)


def _lead(labels: Any) -> str:
    none = len(labels.unmatched)
    if none == len(labels):
        return "No y found an x."
    mean = float(np.nanmean(labels.cosine, dtype=np.float64))
    text = f"Mean cosine {mean:.4f}."
    return f"{text} {none:,} y's stayed without an x." if none else text


def _cosines(labels: Any) -> list[str]:
    if not len(labels.order):
        return []
    picture = drawing(by_turn(labels.cosine, labels.order), len(labels.order))
    text = (
        "The y's chose in this order. The line is the median cosine, the dark band holds four"
        " fifths of the pairs, the light one all. Late y's choose among what is left."
    )
    figure = f"<figure>{picture}<figcaption>{text}</figcaption></figure>"
    return [section("Cosine by turn", figure)]


def _against_plan(report: Mapping[str, Any]) -> list[str]:
    seconds = report.get("seconds") or {}
    planned = report.get("predicted_seconds")
    if not planned or not seconds.get("total"):
        return []
    most = max(planned, seconds["total"])
    bars = [("planned", planned), ("took", seconds["total"])]
    text = "".join(
        f'<div>{name}: {seconds_text(value)}<div class="bar">'
        f'<div style="width:{value / most:.1%}"></div></div></div>'
        for name, value in bars
    )
    rows = [(name, seconds_text(value)) for name, value in seconds.items() if name != "total"]
    for name in ("predicted_bytes", "peak_memory_bytes"):
        if report.get(name):
            what = "memory planned" if name == "predicted_bytes" else "memory of the process"
            rows.append((what, size_text(report[name])))
    return [section("Time and memory against the plan", text + table(rows))]


def _quality(report: Mapping[str, Any]) -> list[str]:
    quality = report.get("quality")
    if not quality:
        return []
    rows = [(name.replace("_", " "), f"{value:,.6g}") for name, value in quality.items()]
    return [section("How good the choices are", table(rows))]


def _files(report: Mapping[str, Any]) -> list[str]:
    files: Sequence[Mapping[str, Any]] = report.get("x_files") or ()
    if not files:
        return []
    rows = [(f"{each['rows']:,} rows", str(each["file"])) for each in files[:_MOST_FILES]]
    if len(files) > _MOST_FILES:
        rows.append(("...", f"and {len(files) - _MOST_FILES:,} more files"))
    return [section("Files of X", table(rows))]


def _all_of(report: Mapping[str, Any]) -> str:
    rows: list[Row] = []
    for name, value in report.items():
        if name == "x_files":
            continue
        if isinstance(value, Mapping):
            rows += [(f"{name}: {part}", str(each)) for part, each in value.items()]
        else:
            rows.append((name, str(value)))
    return f"<details><summary>All of the report</summary>{table(rows)}</details>"
