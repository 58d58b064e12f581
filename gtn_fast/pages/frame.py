"""What every page is made of: one HTML file that needs no other, no script and no network."""

from __future__ import annotations

import base64
import html
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gtn_fast._version import __version__
from gtn_fast.pages.rows import Row
from gtn_fast.system.cpus import cpu_name

_MARK = '<meta name="generator" content="gtn_fast report">'
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5c6b7a; --paper: #fff;
  --line: #d8dee5; --wide: #d5e6f5; --most: #8fbde2; --median: #14609f; --other: #b3334a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #9aa8b5; --paper: #14191f;
  --line: #333d47; --wide: #1d3345; --most: #2b5c85; --median: #8cc8f5; --other: #f28b9d; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; max-width: 46rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.25; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.lead, .note, figcaption { color: var(--soft); } figure { margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; min-width: 6rem; overflow-wrap: break-word; }
td { font-variant-numeric: tabular-nums; min-width: 3.5rem; }
img { max-width: 100%; height: auto; background: #fff; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 14px; }
@media (max-width: 40rem) { svg text { font-size: 19px; } }
.grid { stroke: var(--line); } .range { fill: var(--wide); } .most { fill: var(--most); }
.median, .other { fill: none; stroke: var(--median); stroke-width: 2; }
.other { stroke: var(--other); }
.bar { background: var(--wide); height: .8rem; margin: .2rem 0; }
.bar div { background: var(--median); height: 100%; } code { font-size: .9em; }
"""


def document(title: str, heading: str, lead: str, parts: Sequence[str]) -> str:
    """Return the page; ``parts`` are HTML, what else is given is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{_MARK}'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>"
        f"<h1>{html.escape(heading)}</h1>\n"
        f'<p class="lead">{html.escape(lead)}</p>\n' + "\n".join(parts) + "</body></html>\n"
    )


def is_page(path: Path) -> bool:
    """Tell whether it is one of these pages."""
    try:
        with path.open("rb") as file:
            return _MARK.encode() in file.read(1 << 10)
    except OSError:
        return False


def section(title: str, inside: str) -> str:
    """Return a heading and what is below it, HTML."""
    return f"<h2>{html.escape(title)}</h2>\n{inside}"


def picture(file: Path, title: str, caption: str = "") -> str:
    """Return a .png file as a part of the page itself."""
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    image = f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}"/>'
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{image}{below}</figure>"


def versions(command: str | None, written_by: str = __version__, **more: str) -> list[Row]:
    """Return what ran, and on what."""
    return [
        *([("command", command)] if command else []),
        ("gtn_fast", written_by),
        ("Python", platform.python_version()),
        ("NumPy", np.__version__),
        *more.items(),
        ("system", platform.platform()),
        ("processor", cpu_name()),
    ]
