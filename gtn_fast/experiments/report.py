"""What an experiment leaves behind: figures, numbers, and lines beside the paper's.

An experiment is a function that takes ``Notes`` and fills them; ``run`` looks it up, times
it and writes ``metrics.json`` and ``summary.md`` beside its figures.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtn_fast import plots
from gtn_fast._version import __version__
from gtn_fast.experiments.registry import EXPERIMENTS
from gtn_fast.inputs.arguments import check_integer, check_seed, check_threads
from gtn_fast.inputs.files import FileError, naming
from gtn_fast.outputs.files import check_output, write_text
from gtn_fast.system.openmp import torch_threads
from gtn_fast.tools import bench

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Line:
    """One comparison: what was measured, our value, the paper's, the target and whether met."""

    what: str
    ours: float | str
    paper: str
    target: str | None = None
    ok: bool | None = None


@dataclass
class Result:
    """An experiment that ran: its figures' paths and everything it found out."""

    name: str
    title: str
    lines: list[Line]
    figures: list[str]
    seconds: float
    cpu_seconds: float
    numbers: dict[str, Any]


@dataclass
class Notes:
    """What an experiment is given, and where it writes down what it sees.

    ``data``: the user's data set, if any. ``quick``: seconds instead of minutes, for tests
    and the demo; the numbers are then worth nothing. ``options``: what the experiment lets
    the user change (epochs, d, ...), by name. ``full``: the larger preset, whose options are in
    ``options``. ``device``: where torch trains; None: the CPU.
    """

    folder: Path
    quick: bool
    seed: int
    threads: int | None
    data: str | None
    say: Callable[[str], None]
    options: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    full: bool = False
    device: str | None = None

    def line(
        self,
        what: str,
        ours: float | str,
        paper: str,
        target: str | None = None,
        ok: bool | None = None,
    ) -> None:
        """Write down a comparison, and say it; ``ok`` only where a target is stated."""
        made = Line(what, ours, paper, target, None if ok is None else bool(ok))
        self.lines.append(made)
        self.say(
            f"  {what}: {text(ours)}" + {True: "  (ok)", False: "  (NOT MET)", None: ""}[made.ok]
        )

    def draw(self, figure: Figure, name: str) -> None:
        """Write ``figure`` into the folder as ``name``.png."""
        path = self.folder / f"{name}.png"
        plots.save(figure, path)
        self.figures.append(str(path))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of a stage to the numbers, and say them."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.numbers.setdefault("seconds", {})[stage] = round(seconds, 2)
        self.say(f"  {stage}: {seconds:.1f} s")


def run(
    name: str,
    out: str | Path,
    *,
    data: str | Path | None = None,
    quick: bool = False,
    full: bool = False,
    seed: int = 0,
    threads: int | None = None,
    device: str | None = None,
    say: Callable[[str], None] = print,
    **options: Any,
) -> Result:
    """Run one experiment and write ``out/name/``: its figures, metrics.json, summary.md.

    ``options`` are the experiment's own (``EXPERIMENTS[name].options``); None leaves one at
    its default, which with ``full`` is ``EXPERIMENTS[name].full``'s: hours on a CPU, meant for a
    GPU, which ``device`` names ("cuda"). The result is a function of data, seed and options on one
    machine.

    Raises
    ------
    ValueError
        An unknown name or option, or one that makes no sense; ``full`` or ``device`` of an
        experiment that has no larger preset; data that is wanted and missing; a file or folder
        that cannot be read or written (FileError).
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}; valid: {', '.join(EXPERIMENTS)}")
    entry = EXPERIMENTS[name]
    given = {key: value for key, value in options.items() if value is not None}
    unknown = [key for key in given if key not in entry.options]
    if unknown:
        valid = ", ".join(entry.options) or "none"
        raise ValueError(f"{name} has no option {unknown[0]!r}; valid: {valid}")
    for key, value in given.items():
        check_integer(value, key, 1, 2**31 - 1)
    if full or device is not None:
        device = _check_full(name, quick, device)
    if full:
        given = {**entry.full, **given}
    seed = check_seed(seed)
    if data is None and entry.data is not None:
        raise ValueError(f"{name} needs its data set: --data PATH ({entry.data})")
    if data is not None and not Path(data).exists():
        raise FileError(f"{data}: no such file or folder")
    folder = Path(out) / name
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    check_output(folder / "metrics.json")

    source = None if data is None else str(data)
    notes = Notes(folder, bool(quick), seed, threads, source, say, given, full=full, device=device)
    function = getattr(importlib.import_module(entry.module), entry.function)
    say(f"{name}: {entry.title}")
    start, used = time.perf_counter(), time.process_time()
    with torch_threads(None if threads is None else check_threads(threads)):
        function(notes, **entry.fixed)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    result = Result(name, entry.title, notes.lines, notes.figures, seconds, used, notes.numbers)
    _write(result, notes)
    took = f"{seconds:.0f} s in all, {used:.0f} s of CPU"
    say(f"  {took}; wrote {len(result.figures)} figures and summary.md to {folder}")
    return result


def _check_full(name: str, quick: bool, device: str | None) -> str | None:
    """Return the device, checked; ValueError for what has no larger preset, and with quick."""
    if not EXPERIMENTS[name].full:
        valid = ", ".join(other for other, entry in EXPERIMENTS.items() if entry.full)
        raise ValueError(f"{name} has no larger preset, and no device; those that have: {valid}")
    if quick:
        raise ValueError("quick is for seconds on a CPU: without full and device")
    if device is None:
        return None
    from gtn_fast.learn.devices import check_torch_device

    return str(check_torch_device(device))


# ------------------------------------------------------------------ files


def _write(result: Result, notes: Notes) -> None:
    record = {
        "name": result.name,
        "title": result.title,
        "quick": notes.quick,
        "full": notes.full,
        "device": notes.device,
        "seed": notes.seed,
        "options": notes.options,
        "data": notes.data,
        "seconds": round(result.seconds, 2),
        "cpu_seconds": round(result.cpu_seconds, 2),
        "machine": bench.machine(),
        "version": __version__,
        "lines": [dataclasses.asdict(line) for line in result.lines],
        "numbers": result.numbers,
        "figures": [Path(figure).name for figure in result.figures],
    }
    encoded = json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(notes.folder / "metrics.json", encoded + "\n")
    write_text(notes.folder / "summary.md", summary(result, notes.quick))


def summary(result: Result, quick: bool = False) -> str:
    """Return the result as a Markdown page: a table of the lines, then the figures."""
    head = f"{result.seconds:.0f} s on {bench.machine()}."
    if quick:
        head += " A quick run: its numbers say nothing about the method."
    rows = [f"# {result.title}", "", head, "", *lines_table(result.lines)]
    rows += ["", *(f"![{Path(name).stem}]({Path(name).name})\n" for name in result.figures)]
    return "\n".join(rows)


def lines_table(lines: Sequence[Line]) -> list[str]:
    """Return the lines as rows of a Markdown table, head first."""
    rows = ["| | ours | the paper | target | met |", "|---|---:|---|---|---|"]
    for line in lines:
        met = {True: "yes", False: "**no**", None: ""}[line.ok]
        cells = [line.what, text(line.ours), line.paper, line.target or "", met]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def text(value: float | str) -> str:
    """Write a number with four significant digits, a text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it; NaN and infinities become null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
