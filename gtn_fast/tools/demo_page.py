"""The page that `gtn-fast demo` ends with: its pictures and numbers, in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gtn_fast.outputs.files import write_text
from gtn_fast.pages.frame import document, picture, section, versions
from gtn_fast.pages.report import table
from gtn_fast.pages.texts import seconds_text
from gtn_fast.tools.demo_generation import COLUMNS, Cells

# (title, file beside the page, caption): those of the labels, then those of what was learned.
_LABELS = (
    ("Pairs in a square", "uniform_square.png",
     "Y in colours of its own, and every x in the colour of the y that took it. Uncentred, three"
     " quarters of the y's point where no x is: centre your data."),
    ("Nine pairs", "small_example.png", "Numbered by turn: the y's of small norm choose first."),
    ("Cosines by turn", "cosine_by_rank.png", "Late y's choose among what is left."),
    ("Digits by norm", "mnist_by_norm.png",
     "By their own norm, and by the norm of the y that took them."),
)  # fmt: skip
_LEARNED = (
    ("A square from a ball", "generated_square.png", "New points beside the data."),
    ("New digits", "generated_digits.png", "By way of 5 numbers each."),
    ("Between two digits", "digit_interpolations.png", "Straight lines between normal points."),
)


def write(path: Path, runs: list[Any], generated: list[Cells]) -> None:
    """Write the page; the pictures lie beside it."""
    rows = [(run.name, _labeled(run)) for run in runs]
    learned = [
        (name, ", ".join(f"{of} {cell}" for of, cell in zip(COLUMNS[1:], cells, strict=True)))
        for name, *cells in generated
    ]
    parts = [
        table(rows),
        *_pictures(path.parent, _LABELS),
        section("What a network learned from labels", table(learned)),
        *_pictures(path.parent, _LEARNED),
        section("Versions", table(versions("gtn-fast demo"))),
    ]
    lead = (
        "Every matching is exact: choices of each were checked by brute force. How much faster than"
        " the authors' loop is measured where that takes seconds, else extrapolated."
    )
    write_text(path, document("gtn_fast: demo", "What gtn-fast demo made", lead, parts))


def _pictures(folder: Path, told: Sequence[tuple[str, str, str]]) -> list[str]:
    return [section(title, picture(folder / file, title, text)) for title, file, text in told]


def _labeled(run: Any) -> str:
    n, d = run.x.shape
    return (
        f"{n:,} points, d = {d}: {seconds_text(run.seconds)} ({run.labels.report['strategy']}),"
        f" {run.loop_seconds / run.seconds:,.0f} times as fast as the authors' loop;"
        f" {run.verified:,} choices verified"
    )
