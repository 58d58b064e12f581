"""``gtn-fast label | verify | plan``: the matching itself."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np

import gtn_fast
from gtn_fast.backends.faiss.options import FaissOptions
from gtn_fast.backends.options import declared
from gtn_fast.backends.registry import METHODS, METRICS
from gtn_fast.check.quality import quality_text
from gtn_fast.cli import sharded
from gtn_fast.cli.common import (
    MATRIX,
    OK,
    THREADS,
    Commands,
    count,
    natural,
    open_x,
    open_y,
    positive,
    print_table,
    save_labels,
)
from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.reading import load_vector
from gtn_fast.labels import saved_bytes
from gtn_fast.outputs.files import remove
from gtn_fast.outputs.kinds import is_labels
from gtn_fast.outputs.tables import is_table, table_bytes
from gtn_fast.outputs.tables import require as require_tables
from gtn_fast.outputs.targets import Sources, Target, check_targets
from gtn_fast.pages.page import is_page, page_bytes, write_page
from gtn_fast.run.checkpoint import CHECKPOINT_EVERY_S, saved_checkpoint_bytes


def add(commands: Commands) -> None:
    """Put the commands of this file into the parser."""
    label = commands.add_parser("label", help="match every y with an x of its own")
    label.set_defaults(run=_label)
    label.add_argument("x", metavar="X", help=MATRIX)
    _add_files(label)
    source = label.add_mutually_exclusive_group()
    source.add_argument("--y", metavar="Y", help="the source sample (default: drawn, N(0, I))")
    source.add_argument("--seed", type=int, default=0, help="draw Y from this seed (default 0)")
    label.add_argument("--method", choices=METHODS, default="auto",
                       help="the strategy; auto (default) picks an exact one")  # fmt: skip
    label.add_argument("--verify", type=natural, default=0, metavar="N",
                       help="afterwards, check N choices by brute force")  # fmt: skip
    label.add_argument("--scratch", metavar="DIR",
                       help="folder for files that take what has no room in --memory")  # fmt: skip
    label.add_argument("--checkpoint", metavar="FILE",
                       help="save settled pairs there; removed at the end")  # fmt: skip
    label.add_argument("--checkpoint-every", type=positive, default=CHECKPOINT_EVERY_S, metavar="S",
                       help=f"seconds between saves (default {CHECKPOINT_EVERY_S:g})")  # fmt: skip
    label.add_argument("--resume", action="store_true",
                       help="go on from --checkpoint FILE, if it is there")  # fmt: skip
    label.add_argument("--force", action="store_true",
                       help="replace a file that is there and holds no labels")  # fmt: skip
    label.add_argument("--quiet", action="store_true", help="no summary, no progress bar")
    _add_approximate(label)

    verify, plan = _add_verify(commands), _add_plan(commands)
    label.add_argument("--partial", action="store_true",
                       help="more y's than x's (as a whole or in a group) are no error:"
                       " who finds no x left stays unmatched")  # fmt: skip
    label.add_argument("--min-cosine", type=float, metavar="C",
                       help="a y whose best free x has a smaller cosine takes none")  # fmt: skip
    for command in (label, verify):
        command.add_argument("--groups-x", metavar="GX",
                             help="labels of X's rows (integers, strings or booleans):"
                             " match inside each")  # fmt: skip
        command.add_argument("--groups-y", metavar="GY",
                             help="labels of Y's rows (default for a drawn Y: GX)")  # fmt: skip
    for command in (label, verify, plan):
        command.add_argument("--key", metavar="KEY",
                             help="the column or array to take from X's files")  # fmt: skip
        command.add_argument("--flatten", action="store_true",
                             help="take an array (n, c, h, w) as n rows")  # fmt: skip
    for command in (label, plan):
        command.add_argument("--metric", choices=METRICS, default="cosine",
                             help="what y's choose by (default: cosine)")  # fmt: skip
        command.add_argument("--memory", metavar="8GB",
                             help="the most memory to take beyond X and Y")  # fmt: skip
        command.add_argument("--threads", type=int, help=THREADS)
        command.add_argument("--device", help="cpu (default), cuda or cuda:N")


def _add_files(label: argparse.ArgumentParser) -> None:
    """Add what is written, and what names the rows that are read."""
    label.add_argument("--out", required=True, metavar="LABELS.npz",
                       help="where the labels go; .parquet: as a table for joins")  # fmt: skip
    label.add_argument("--report", metavar="RUN.html",
                       help="write a page about the run: plan, time, cosines, checks")  # fmt: skip
    label.add_argument("--ids", metavar="KEY",
                       help="what names the rows of X in X's files: a column or array")  # fmt: skip


def _add_verify(commands: Commands) -> argparse.ArgumentParser:
    verify = commands.add_parser("verify", help="check a matching by brute force on a sample")
    verify.set_defaults(run=_verify)
    verify.add_argument("x", metavar="X", help=MATRIX)
    verify.add_argument("labels", metavar="LABELS.npz", help="written by gtn-fast label")
    verify.add_argument("--y", metavar="Y", help="the source sample (default: as in the labels)")
    verify.add_argument(
        "--sample", type=natural, default=1000, help="how many y's are checked (default 1000)"
    )
    verify.add_argument("--seed", type=int, default=0, help="seed that picks those y's (default 0)")
    return verify


def _add_plan(commands: Commands) -> argparse.ArgumentParser:
    plan = commands.add_parser("plan", help="predict strategy, time and memory")
    plan.set_defaults(run=_plan)
    plan.add_argument("x", metavar="X", nargs="?", help=MATRIX)
    plan.add_argument("--n", type=natural, help="rows of X, instead of a file")
    plan.add_argument("--d", type=natural, help="columns of X, instead of a file")
    plan.add_argument("--n-y", type=natural, help="rows of Y (default: as many as X has)")
    plan.add_argument("--method", choices=METHODS, default="auto",
                      help="plan for this strategy (default: the one auto picks)")  # fmt: skip
    return plan


def _add_approximate(label: argparse.ArgumentParser) -> None:
    """Add the options of method "faiss"; label() checks their values."""
    group = label.add_argument_group("approximate", "with --method faiss")
    for name, option in declared(FaissOptions).items():
        flag = f"--{name.replace('_', '-')}"
        group.add_argument(flag, type=option.parse, metavar=option.metavar, help=option.help)


def _label(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out)
    if out.suffix.lower() not in (".npz", ".parquet"):
        raise FileError(f"{out}: labels are written as .npz or .parquet")
    if out.suffix.lower() == ".parquet":
        require_tables()
    if sharded.under_torchrun():
        with sharded.world() as group:
            return _label_sharded(arguments, out, group)
    _check_outputs(arguments, out)
    x, y = open_x(arguments), open_y(arguments)
    groups = _groups(arguments, drawn=y is None)
    _check_outputs(arguments, out, x, y)
    start = time.perf_counter()
    labels = gtn_fast.label(
        x,
        y,
        seed=arguments.seed,
        method=arguments.method,
        metric=arguments.metric,
        groups=groups,
        partial=arguments.partial,
        min_cosine=arguments.min_cosine,
        threads=arguments.threads,
        progress=False if arguments.quiet else None,
        memory=arguments.memory,
        scratch=arguments.scratch,
        checkpoint=arguments.checkpoint,
        resume=arguments.resume,
        checkpoint_every=arguments.checkpoint_every,
        **{name: getattr(arguments, name) for name in declared(FaissOptions)},
        device=arguments.device,
    )
    seconds = time.perf_counter() - start
    # Before the check: it reads X again, and the work shall not be lost if that fails.
    save_labels(labels, out, force=arguments.force)
    if arguments.checkpoint is not None:
        remove(Path(arguments.checkpoint))
    verified = None
    if arguments.verify:
        checked = gtn_fast.verify(x, y, labels, sample=arguments.verify, groups=groups)
        verified = _verified(checked)
    _finish(arguments, labels, _summary(labels, x, seconds, out), verified)
    return OK


def _finish(
    arguments: argparse.Namespace,
    labels: gtn_fast.Labels,
    summary: list[tuple[str, str]],
    verified: str | None,
) -> None:
    """Write the page about the run, if one is wanted, and print the summary."""
    if verified is not None:
        summary.append(("verified", verified))
    if arguments.report is not None:
        command = shlex.join(["gtn-fast", *arguments.argv])
        write_page(arguments.report, labels, verified=verified, command=command)
        summary.append(("report", arguments.report))
    if not arguments.quiet:
        print_table(summary)


def _check_outputs(arguments: argparse.Namespace, out: Path, x: Any = None, y: Any = None) -> None:
    """Raise FileError for outputs that would destroy something, or have no room (X being known)."""
    labels_bytes = checkpoint_bytes = report_bytes = 0
    as_table = out.suffix.lower() == ".parquet"
    if x is not None:
        n_y, d = len(x if y is None else y), x.shape[1]
        labels_bytes = saved_bytes(n_y, d, None if y is None else y.dtype, arguments.metric)
        labels_bytes = table_bytes(n_y) if as_table else labels_bytes
        checkpoint_bytes = saved_checkpoint_bytes(n_y)
        report_bytes = page_bytes(len(x.files))
    targets = [Target(out, labels_bytes, is_table if as_table else is_labels)]
    if arguments.report is not None:
        targets.append(Target(Path(arguments.report), report_bytes, is_page))
    if arguments.checkpoint is not None:
        # Whether the run may go on from what is there is seen when it begins.
        targets.append(Target(Path(arguments.checkpoint), checkpoint_bytes, lambda _: True))
    names = (arguments.x, arguments.y, arguments.groups_x, arguments.groups_y)
    sources = Sources([name for name in names if name is not None])
    check_targets(targets, sources, force=arguments.force)


def _label_sharded(arguments: argparse.Namespace, out: Path, group: Any) -> int:
    """Label as one of several ranks, each with its own rows of X; rank 0 writes and prints."""
    start = time.perf_counter()
    labels, x, y = sharded.label(arguments, out, group, _check_outputs)
    seconds = time.perf_counter() - start
    if labels.report["rank"] > 0:
        return OK
    verified = None
    if arguments.verify:
        verified = _verified(gtn_fast.verify(x, y, labels, sample=arguments.verify))
    _finish(arguments, labels, _summary(labels, x, seconds, out), verified)
    return OK


def _groups(arguments: argparse.Namespace, drawn: bool) -> tuple[Any, Any] | None:
    if arguments.groups_x is None:
        if arguments.groups_y is not None:
            raise ValueError("--groups-y needs --groups-x")
        return None
    groups_x = load_vector(arguments.groups_x)
    if arguments.groups_y is not None:
        return groups_x, load_vector(arguments.groups_y)
    if not drawn:
        raise ValueError("--groups-x needs --groups-y, unless Y was drawn")
    return groups_x, groups_x  # a drawn y stands for the x of its row


def _summary(labels: Any, x: Any, seconds: float, out: Path) -> list[tuple[str, str]]:
    n_y, (n_x, d) = len(labels.x_index), x.shape
    pairs = n_y * n_x - n_y * (n_y - 1) // 2
    report = labels.report
    strategy = f"{report['strategy']}, {count(report.get('threads', 1), 'thread')}"
    if "ranks" in report:
        strategy += f" each of {count(report['ranks'], 'rank')}"
    if report.get("simd"):
        strategy += f", {report['simd']}"
    parts = report.get("x_files") or []
    files = []
    if len(parts) > 1:
        first, last = (Path(parts[i]["file"]).name for i in (0, -1))
        files = [("files", f"{len(parts):,}, in the order of rows: {first} to {last}")]
    quality = []
    if report.get("quality"):
        served = int(report["engine"].get("exact_rows", 0))
        quality = [
            ("approximate", quality_text(report["quality"])),
            ("exact engine", f"served {served:,} of the y's"),
        ]
    unmatched = len(labels.unmatched)
    mean = "none" if unmatched == n_y else f"{float(np.nanmean(labels.cosine)):.6f}"
    distance = []
    if labels.distance is not None and unmatched < n_y:
        distance = [("mean distance", f"{float(np.nanmean(labels.distance)):.6g}")]
    return [
        ("labeled", f"{n_y:,} y's with {n_x:,} x's, d = {d}"),
        *([("unmatched", f"{unmatched:,} of the y's")] if unmatched else []),
        ("strategy", strategy),
        ("time", f"{seconds:.2f} s, {n_y / seconds:,.0f} y's/s, {pairs / seconds:.3g} pairs/s"),
        ("mean cosine", mean),
        *distance,
        *files,
        *quality,
        ("saved", f"{out} ({out.stat().st_size / 1e6:.1f} MB)"),
    ]


def _verified(report: gtn_fast.VerifyReport) -> str:
    every = "all " if report.complete else ""
    choices = f"{every}{report.checked:,} choices by brute force"
    if report.quality is not None:
        return f"{choices}: approximate, {quality_text(report.quality)}"
    return f"{choices}: exact"


def _verify(arguments: argparse.Namespace) -> int:
    x, y = open_x(arguments), open_y(arguments)
    labels = gtn_fast.Labels.load(arguments.labels)
    groups = _groups(arguments, drawn=labels.seed is not None)
    start = time.perf_counter()
    checked = gtn_fast.verify(
        x, y, labels, sample=arguments.sample, seed=arguments.seed, groups=groups
    )
    print_table(
        [
            ("matching", f"{checked.n_y:,} y's with {checked.n_x:,} x's: one to one, in range"),
            *([("unmatched", f"{checked.unmatched:,} of the y's")] if checked.unmatched else []),
            ("verified", _verified(checked)),
            ("time", f"{time.perf_counter() - start:.2f} s"),
        ]
    )
    return OK


def _plan(arguments: argparse.Namespace) -> int:
    sizes = (arguments.n, arguments.d)
    names = ("method", "metric", "threads", "memory", "device")
    how = {name: getattr(arguments, name) for name in names}
    if arguments.x is not None:
        if sizes != (None, None):
            raise ValueError("plan takes a file or --n and --d, not both")
        made = gtn_fast.plan(open_x(arguments), arguments.n_y, **how)
    elif None in sizes:
        raise ValueError("plan needs a file, or --n and --d")
    else:
        made = gtn_fast.plan(
            arguments.n,
            arguments.n if arguments.n_y is None else arguments.n_y,
            arguments.d,
            **how,
        )
    print(made)
    return OK
