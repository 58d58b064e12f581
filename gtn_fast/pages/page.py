"""One HTML file about one labeling: it needs no other file, no script and no network."""

from __future__ import annotations

import html
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast._version import __version__
from gtn_fast.outputs.files import write_text
from gtn_fast.pages.curves import by_turn, drawing
from gtn_fast.pages.report import table
from gtn_fast.pages.rows import Row, rows_of
from gtn_fast.pages.texts import seconds_text
from gtn_fast.planning.memory import size_text
from gtn_fast.system.cpus import cpu_name

_MARK = '<meta name="generator" content="gtn_fast report">'
_MOST_FILES = 200
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5c6b7a; --paper: #fff;
  --line: #d8dee5; --wide: #d5e6f5; --most: #8fbde2; --median: #14609f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #9aa8b5; --paper: #14191f;
  --line: #333d47; --wide: #1d3345; --most: #2b5c85; --median: #8cc8f5; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; max-width: 46rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.25; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.lead, .note, figcaption { color: var(--soft); } figure { margin: 0; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; min-width: 6rem; } td { font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 14px; }
@media (max-width: 40rem) { svg text { font-size: 19px; } }
.grid { stroke: var(--line); } .range { fill: var(--wide); } .most { fill: var(--most); }
.median { fill: none; stroke: var(--median); stroke-width: 2; }
.bar { background: var(--wide); height: .8rem; margin: .2rem 0; }
.bar div { background: var(--median); height: 100%; } code { font-size: .9em; }
"""


def page_of(labels: Any, *, verified: str | None = None, command: str | None = None) -> str:
    """Return the page of these labels; ``verified``: what a check found; ``command``: that ran."""
    report = labels.report
    parts = [
        f"<h1>{len(labels):,} y's matched with {labels.n_x:,} x's, d = {labels.d}</h1>",
        f'<p class="lead">{html.escape(_lead(labels))}</p>',
        table([*rows_of(report), *([("verified", verified)] if verified else [])]),
        *_cosines(labels),
        *_against_plan(report),
        *_quality(report),
        *_files(report),
        _section("Versions", table(_versions(report, command))),
        _all_of(report),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{_MARK}'
        f"<title>gtn_fast: {len(labels):,} labels</title><style>{_STYLE}</style></head>\n<body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


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


def is_page(path: Path) -> bool:
    """Tell whether ``write_page`` wrote it."""
    try:
        with path.open("rb") as file:
            return _MARK.encode() in file.read(1 << 10)
    except OSError:
        return False


def _lead(labels: Any) -> str:
    none = len(labels.unmatched)
    if none == len(labels):
        return "No y found an x."
    mean = float(np.nanmean(labels.cosine, dtype=np.float64))
    text = f"Mean cosine {mean:.4f}."
    return f"{text} {none:,} y's stayed without an x." if none else text


def _section(title: str, inside: str) -> str:
    return f"<h2>{html.escape(title)}</h2>\n{inside}"


def _cosines(labels: Any) -> list[str]:
    if not len(labels.order):
        return []
    picture = drawing(by_turn(labels.cosine, labels.order), len(labels.order))
    text = (
        "The y's chose in this order. The line is the median cosine, the dark band holds four"
        " fifths of the pairs, the light one all. Late y's choose among what is left."
    )
    figure = f"<figure>{picture}<figcaption>{text}</figcaption></figure>"
    return [_section("Cosine by turn", figure)]


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
    return [_section("Time and memory against the plan", text + table(rows))]


def _quality(report: Mapping[str, Any]) -> list[str]:
    quality = report.get("quality")
    if not quality:
        return []
    rows = [(name.replace("_", " "), f"{value:,.6g}") for name, value in quality.items()]
    return [_section("How good the choices are", table(rows))]


def _files(report: Mapping[str, Any]) -> list[str]:
    files: Sequence[Mapping[str, Any]] = report.get("x_files") or ()
    if not files:
        return []
    rows = [(f"{each['rows']:,} rows", str(each["file"])) for each in files[:_MOST_FILES]]
    if len(files) > _MOST_FILES:
        rows.append(("...", f"and {len(files) - _MOST_FILES:,} more files"))
    return [_section("Files of X", table(rows))]


def _versions(report: Mapping[str, Any], command: str | None) -> list[Row]:
    return [
        *([("command", command)] if command else []),
        ("gtn_fast", str(report.get("version", __version__))),
        ("Python", platform.python_version()),
        ("NumPy", np.__version__),
        ("system", platform.platform()),
        ("processor", cpu_name()),
    ]


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
