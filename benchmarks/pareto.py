"""Time against cosine lost: method "faiss" at its qualities, the exact engine as a point.

    python -m benchmarks.pareto [--n 1000000] [--workloads gaussian mnist fashion]
                                [--d 16 64 128] [--missing]
    python -m benchmarks.pareto --one 10000000 64 balanced [--workloads gaussian]

Every run is a process of its own. Results are written after each one, to
benchmarks/results/pareto_N.json, .md and .png, where those of earlier calls are kept until
they are measured again; --missing leaves out what is there. --one runs a single
configuration (an n, a d, and a quality or "exact") and writes pareto_one_N.json and .md.

Seconds are those of the call, its quality estimate (report["seconds"]["quality"]) left
out. "Lost" is what a sample of y's lost against the best x that was free at their turn.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import fresh, machine, report
from gtn_fast.backends.faiss.options import QUALITIES
from gtn_fast.planning.memory import size_text
from gtn_fast.plots import base
from gtn_fast.plots.texts import seconds_text

RESULTS = Path(__file__).absolute().parent / "results"
FULL_N = 1_000_000
WORKLOADS = ("gaussian", "mnist", "fashion")
DIMENSIONS = (16, 64, 128)
EXACT = "exact"
SETTINGS = (EXACT, *QUALITIES)
SAMPLE = 200  # y's of the independent check

COLUMNS = (
    "| workload | n | d | method | time | exact / this | mean cosine | lost at its turn |"
    " cosine ratio | agreement | rank regret, mean (median) | by the exact engine |"
    " memory beyond X and Y | peak |",
    "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def measure(
    workload: str, n: int, d: int, setting: str, parsed: argparse.Namespace
) -> dict[str, Any]:
    """One run; its row. ``seconds`` None: it took longer than ``--limit``."""
    exact = setting == EXACT
    options = {"quality": setting, "exact_below": parsed.exact_below}
    run = fresh.measure(
        workload,
        n,
        d,
        threads=parsed.threads,
        sample=SAMPLE,
        method="auto" if exact else "faiss",
        options={} if exact else options,
        limit=parsed.limit,
    )
    row = {"workload": workload, "n": n, "d": d, "setting": setting, "seconds": None}
    row |= {"at": machine.moment()}
    if run is None:
        return row
    made = run["report"]
    row["seconds"] = run["seconds"] - made["seconds"].get("quality", 0.0)
    row["quality"] = made.get("quality")
    keys = ("source", "strategy", "predicted_seconds", "verified", "mean_cosine", "peak_bytes",
            "peak_total_bytes")  # fmt: skip
    return row | {key: run[key] for key in keys} | {"engine": made["engine"]}


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["workload"], row["n"], row["d"], row["setting"]


# ------------------------------------------------------------------ table and picture


def cells(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[str]:
    """The row's cells of the table."""
    head = [row["workload"], f"{row['n']:,}", str(row["d"]), row["setting"]]
    if row["seconds"] is None:
        return [*head, "over the limit", *["-"] * 9]
    against = seconds_of(rows, (*key_of(row)[:3], EXACT))
    quality = row["quality"]
    if quality:
        shown = [
            f"{quality['mean_cosine_lost']:.4f}",
            f"{quality['cosine_ratio']:.4f}",
            f"{quality['agreement']:.1%}",
            f"{quality['rank_regret_mean']:.1f} ({quality['rank_regret_median']:g})",
            f"{row['engine']['exact_rows'] / row['n']:.0%}",
        ]
    else:
        shown = ["0", "1", "100%", "0 (0)", "100%"]
    return [
        *head,
        seconds_text(row["seconds"]),
        "-" if against is None else f"{against / row['seconds']:.2f}",
        f"{row['mean_cosine']:.4f}",
        *shown,
        size_text(row["peak_bytes"]),
        size_text(row["peak_total_bytes"]),
    ]


def seconds_of(rows: Sequence[dict[str, Any]], key: tuple[Any, ...]) -> float | None:
    """The seconds of that run, None where it was not measured."""
    found = next((row["seconds"] for row in rows if key_of(row) == key), None)
    return None if found is None else float(found)


def markdown(results: dict[str, Any]) -> str:
    """The table, and what it was measured on."""
    about, rows = results["machine"], results["rows"]
    lines = [
        f"Measured on {about['cpu']} ({about['cpu_id']}), {about['cores']} cores,"
        f" {about['simd']}, {results['threads']} threads.",
        "",
        *COLUMNS,
        *(f"| {' | '.join(cells(row, rows))} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def picture(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel for each workload and dimension: seconds to the right, cosine lost upwards."""
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = [row for row in rows if row["seconds"] is not None]
    names = [name for name in WORKLOADS if any(row["workload"] == name for row in rows)]
    dims = sorted({row["d"] for row in rows})
    if not rows or not names:
        return
    figure = base.new_figure(4.2 * len(dims), 3.2 * len(names))
    grid = figure.subplots(len(names), len(dims), squeeze=False)
    for i, name in enumerate(names):
        for j, d in enumerate(dims):
            axes = grid[i][j]
            here = [row for row in rows if (row["workload"], row["d"]) == (name, d)]
            approximate = sorted(
                (row for row in here if row["quality"]), key=lambda r: r["seconds"]
            )
            times = [row["seconds"] for row in approximate]
            lost = [row["quality"]["mean_cosine_lost"] for row in approximate]
            axes.plot(times, lost, "o-", color=base.SOURCE, label='method "faiss"')
            for row, x, y in zip(approximate, times, lost, strict=True):
                axes.annotate(row["setting"], (x, y), (5, 5), textcoords="offset points",
                              fontsize=8, color=base.INK)  # fmt: skip
            exact = [row["seconds"] for row in here if row["setting"] == EXACT]
            axes.plot(exact, [0] * len(exact), "s", color=base.DATA, label="exact engine")
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.margins(x=0.25, y=0.15)
            axes.axhline(0, color=base.FAINT, linewidth=0.7)
            axes.set_title(f"{name}, d = {d}", fontsize=10, color=base.INK)
            base.bare(axes)
    grid[-1][0].set_xlabel("seconds (logarithmic)", color=base.INK, fontsize=9)
    grid[0][0].set_ylabel("mean cosine lost at a y's turn", color=base.INK, fontsize=9)
    grid[0][0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"n = {rows[0]['n']:,}", fontsize=11, color=base.INK)
    base.save(figure, path)


# ------------------------------------------------------------------ runs


def load(path: Path, threads: int) -> dict[str, Any]:
    """Earlier results of this file, or a new one."""
    rows = []
    if path.is_file():
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {"machine": machine.describe(), "threads": threads, "rows": rows}


def keep(results: dict[str, Any], row: dict[str, Any], path: Path, *, draw: bool) -> None:
    """Put the row in its place and write everything."""
    rows = [each for each in results["rows"] if key_of(each) != key_of(row)]
    order = [(w, d, s) for w in WORKLOADS for d in sorted({r["d"] for r in [*rows, row]})
             for s in SETTINGS]  # fmt: skip
    rows.append(row)
    rows.sort(key=lambda r: (r["n"], order.index((r["workload"], r["d"], r["setting"]))))
    results["rows"] = rows
    report.write_json(path, results)
    path.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    if draw:
        picture(rows, path.with_suffix(".png"))


def plan_runs(arguments: argparse.Namespace) -> Iterator[tuple[str, int, int, str]]:
    if arguments.one:
        n, d, setting = arguments.one
        for workload in arguments.workloads[:1]:
            yield workload, int(n), int(d), setting
        return
    for workload in arguments.workloads:
        for d in arguments.d:
            for setting in SETTINGS:
                yield workload, arguments.n, d, setting


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=FULL_N)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument("--d", nargs="+", type=int, default=DIMENSIONS)
    parser.add_argument("--one", nargs=3, metavar=("N", "D", "QUALITY"))
    parser.add_argument("--missing", action="store_true", help="leave out what is there")
    parser.add_argument("--exact-below", type=int, metavar="N",
                        help="as in label; 0: the index alone (default: as predicted)")  # fmt: skip
    parser.add_argument("--limit", type=float, help="seconds after which a run is ended")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parsed = parser.parse_args(arguments)
    if parsed.one:
        n, d, setting = parsed.one
        if not (n.isdecimal() and d.isdecimal() and setting in SETTINGS):
            parser.error(f"--one takes an n, a d and one of {', '.join(SETTINGS)}")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = parse(arguments)
    n = int(parsed.one[0]) if parsed.one else parsed.n
    path = parsed.out / f"pareto_{'one_' if parsed.one else ''}{n}.json"
    results = load(path, parsed.threads)
    there = {key_of(row) for row in results["rows"] if row["seconds"] is not None}
    print(*COLUMNS, sep="\n", flush=True)
    for workload, size, d, setting in plan_runs(parsed):
        if parsed.missing and (workload, size, d, setting) in there:
            continue
        row = measure(workload, size, d, setting, parsed)
        keep(results, row, path, draw=not parsed.one)
        print(f"| {' | '.join(cells(row, results['rows']))} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
