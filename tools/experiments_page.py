"""Puts measured experiments into the documents: tables, figures, nothing by hand.

    python tools/experiments_page.py RESULTS    RESULTS: the --out of `gtn-fast experiment`

Between `<!-- NAME:start -->` and `<!-- NAME:end -->` the page gets the lines of
RESULTS/NAME/metrics.json and links to its figures, which are copied to docs/figures in a
size for reading. docs/flow-matching.md and docs/atlas.md get tables of their own
(result_tables.py). Sections whose experiment is not in RESULTS stay as they are. What stands
between the sections is written by people.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import result_tables
from PIL import Image

from gtn_fast.experiments import Line
from gtn_fast.experiments.report import lines_table

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "experiments.md"
FIGURES = DOCS / "figures"
WIDTH, COLORS = 900, 64  # of a figure: all of them together stay small
# Experiments of many sets show some of their figures; the others stay with the results.
SOME = {"topology-": ("where.png", "paths.png"), "atlas-invariants": ("torus.png",)}
SECTION = re.compile(r"(<!-- (?P<name>[\w-]+):start -->\n).*?(<!-- (?P=name):end -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Rewrite the page; say which sections it filled."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    results = Path(arguments[0])
    FIGURES.mkdir(exist_ok=True)

    def filled(match: re.Match[str]) -> str:
        name = match["name"]
        folder = results / name
        if not (folder / "metrics.json").is_file():
            print(f"{name}: no metrics.json in {folder}, left as it is")
            return match[0]
        record = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        if record["quick"]:
            raise SystemExit(f"{name}: a quick run, whose numbers say nothing")
        print(f"{name}: {len(record['lines'])} lines, {len(record['figures'])} figures")
        return f"{match[1]}{_section(record, folder)}\n{match[3]}"

    PAGE.write_text(SECTION.sub(filled, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    _other_pages(results)
    size = sum(path.stat().st_size for path in FIGURES.iterdir())
    print(f"docs/figures: {size / 1e6:.2f} MB")
    return 0


def _other_pages(results: Path) -> None:
    """Fill the tables of the pages that explain what the experiments measure."""
    measured = {}
    for name in ("couplings", *(f"topology-{each}" for each in result_tables.SETS)):
        file = results / name / "metrics.json"
        if file.is_file():
            measured[name] = json.loads(file.read_text(encoding="utf-8"))
    if "couplings" in measured:
        lines = result_tables.couplings_by_step(measured["couplings"])
        _put("flow-matching.md", "couplings-by-step", lines)
    sets = {name.removeprefix("topology-"): record for name, record in measured.items()
            if name != "couplings"}  # fmt: skip
    if sets:
        page = (DOCS / "atlas.md").read_text(encoding="utf-8")
        before = result_tables.standing(page, "topology-results")
        _put("atlas.md", "topology-results", result_tables.topology(sets, before))


def _put(page: str, name: str, lines: list[str]) -> None:
    path = DOCS / page
    text = result_tables.replaced(path.read_text(encoding="utf-8"), name, lines)
    path.write_text(text, encoding="utf-8")
    print(f"{page}, {name}: {len(lines)} lines")


def _section(record: dict[str, Any], folder: Path) -> str:
    took = _duration(record["seconds"])
    if "cpu_seconds" in record:
        took += f" ({_duration(record['cpu_seconds'])} of CPU time)"
    text = [f"{took} on {record['machine']}; seed {record['seed']}.", ""]
    text += lines_table([Line(**line) for line in record["lines"]])
    text.append("")
    some = next((shown for name, shown in SOME.items() if record["name"].startswith(name)), None)
    for figure in record["figures"] if some is None else some:
        name = f"{record['name']}-{figure}"
        _shrink(folder / figure, FIGURES / name)
        text.append(f"![{record['name']}, {Path(figure).stem}](figures/{name})")
    return "\n".join(text)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _shrink(source: Path, target: Path) -> None:
    with Image.open(source) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
        small.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
