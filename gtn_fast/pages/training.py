"""One HTML file about one training: samples, losses, how near they come, files, versions."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gtn_fast.outputs.files import write_text
from gtn_fast.pages.curves import losses
from gtn_fast.pages.frame import document, picture, section, versions
from gtn_fast.pages.report import table
from gtn_fast.pages.rows import Row

_COLOURS = "Blue: training. Red: validation, where there is any."


@dataclass
class Training:
    """What the page tells.

    Attributes
    ----------
    heading, verdict
        Text: what was trained on what; whether samples are nearer to the data than normals.
    summary
        Names and values: sizes, times, distances.
    distances
        Tables by title: how near samples come.
    pictures
        (title, .png file, caption).
    losses
        Rows of epochs by what was trained.
    files
        Written beside the page: name and what is in it.
    """

    heading: str
    verdict: str
    summary: Sequence[Row]
    distances: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    pictures: Sequence[tuple[str, Path, str]] = ()
    losses: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    files: Sequence[Row] = ()


def training_page(run: Training, command: str | None = None, **versions_of: str) -> str:
    """Return the page; ``versions_of``: packages beside those that every run uses."""
    parts = [
        table([*run.summary]),
        *(section(title, picture(file, title, text)) for title, file, text in run.pictures),
        *(section(title, table([*rows])) for title, rows in run.distances.items()),
        *(section(title, _curves(rows)) for title, rows in run.losses.items() if rows),
        section("Files", table([*run.files])),
        section("Versions", table(versions(command, **versions_of))),
    ]
    return document(f"gtn_fast: {run.heading}", run.heading, run.verdict, parts)


def write_training_page(
    path: Path, run: Training, command: str | None = None, **versions_of: str
) -> None:
    """Write the page, whole or not at all; FileError. What may be replaced is the caller's care."""
    write_text(path, training_page(run, command, **versions_of))


def _curves(epochs: Sequence[Mapping[str, Any]]) -> str:
    caption = f"<figcaption>{html.escape(_COLOURS)}</figcaption>"
    return f"<figure>{losses(epochs)}{caption}</figure>"
