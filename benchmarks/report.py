"""Rows of results: held against limits, written as JSON and into docs/benchmarks.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gtn_fast.plots.texts import ratio_text, seconds_text

START, END = "<!-- bench:start -->", "<!-- bench:end -->"

# What a row's value is, with the words for it.
FASTER = "faster"  # the peer's seconds / ours: "12x faster"
SHARE = "of its time"  # our seconds / the peer's: "0.31x of its time"
SECONDS = "seconds"
MEMORY = "of X and Y"  # bytes beyond the inputs / bytes of the inputs in float32


@dataclass
class Row:
    """One measurement. ``value`` is of the kind ``measure``; ``limit`` None: there is no limit.

    A value of kind FASTER must be ``limit`` or more, all others ``limit`` or less.
    """

    comparison: str
    workload: str
    strategy: str
    seconds: float
    value: float
    measure: str
    limit: float | None
    against: str = "-"
    against_seconds: float | None = None
    predicted_seconds: float | None = None
    verified: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool | None:
        """Whether the value keeps to the limit; None if there is none."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.measure == FASTER else self.value <= self.limit

    def text(self) -> str:
        """The row as a line for the screen."""
        cells = cells_of(self)
        peer = "" if self.against_seconds is None else f", {self.against}: {cells[3]}"
        judged = f" (limit {cells[5]}: {cells[6]})" if self.limit is not None else ""
        return (
            f"{self.comparison}  {cells[0]}: {self.strategy} {cells[1]}{peer}; {cells[4]}{judged}"
        )


def cells_of(row: Row) -> list[str]:
    """The row's cells of the table, its limit and the verdict."""
    return [
        row.workload,
        seconds_text(row.seconds),
        row.against,
        "-" if row.against_seconds is None else seconds_text(row.against_seconds),
        _value_text(row.value, row.measure),
        "-" if row.limit is None else _limit_text(row.limit, row.measure),
        {True: "PASS", False: "FAIL", None: "-"}[row.passed],
    ]


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| workload | gtn_fast | compared with | time of the other | result |",
        "|---|---:|---|---:|---:|",
    ]
    lines += [f"| {' | '.join(cells_of(row)[:5])} |" for row in rows]
    return "\n".join(lines) + "\n"


def plan_summary(rows: Iterable[Row]) -> str | None:
    """How far predictions were off, in a sentence; None if nothing was predicted."""
    ratios = [row.predicted_seconds / row.seconds for row in rows if row.predicted_seconds]
    if not ratios:
        return None
    return (
        f"`plan` had predicted {min(ratios):.2f} to {max(ratios):.2f} times the seconds that the"
        f" {len(ratios)} workloads then took."
    )


def _value_text(value: float, measure: str) -> str:
    if measure == SECONDS:
        return seconds_text(value)
    if measure == FASTER:
        return f"{ratio_text(value)} faster"
    return f"{value:.2f}x {measure}"


def _limit_text(limit: float, measure: str) -> str:
    if measure == SECONDS:
        return f"<= {seconds_text(limit)}"
    if measure == FASTER:
        return f">= {limit:,g}x"
    return f"<= {limit:g}x"


# ------------------------------------------------------------------ files


def section(moment: dict[str, Any], rows: list[Row]) -> dict[str, Any]:
    """One comparison as JSON."""
    return {**moment, "rows": [{**asdict(row), "passed": row.passed} for row in rows]}


def rows_of(results: dict[str, Any]) -> list[Row]:
    """All rows of a results file, by comparison."""
    rows = []
    for each in results["comparisons"].values():
        for values in each["rows"]:
            rows.append(Row(**{k: v for k, v in values.items() if k != "passed"}))
    return rows


def write_json(path: Path, results: dict[str, Any]) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)  # noqa: PTH105


def markdown(results: dict[str, Any]) -> str:
    """What stands between the marks of docs/benchmarks.md."""
    rows = rows_of(results)
    machine, moments = results["machine"], results["comparisons"].values()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    commits = sorted({each["commit"] for each in moments})
    days = sorted({each["at"][:10] for each in moments})
    paragraphs = [
        f"On {machine['cpu']} ({machine['cpu_id']}), {machine['cores']} cores, {machine['simd']},"
        f" {machine['memory_bytes'] / 2**30:.0f} GiB; {versions};"
        f" commit {', '.join(commits)}, {days[0] if len(set(days)) == 1 else ' to '.join(days)}."
        f" {results['threads']} threads on both sides, interleaved repetitions, medians; a time"
        " counts only after the answer was checked. Details:"
        " [latest.json](../benchmarks/results/latest.json).",
        table(rows).strip(),
        *([summary] if (summary := plan_summary(rows)) else []),
        "FAISS and cKDTree find the nearest x of every y *with* replacement, an easier job. The"
        " authors' loop is timed in slices, each on the x's free then, and integrated where it"
        ' would take over 20 s. "n^2 d flop of sgemm" is the time of so many operations at the'
        " rate of torch's float32 product of 4096-cubes.",
    ]
    return "\n\n".join(paragraphs)


def put_between_marks(text: str, inner: str) -> str:
    """The page with ``inner`` between its marks. Raises ValueError where they are not."""
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f"the page needs {START} and {END}, once each and in this order")
    head, rest = text.split(START)
    return f"{head}{START}\n{inner}\n{END}{rest.split(END)[1]}"
