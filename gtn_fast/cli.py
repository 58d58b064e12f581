"""The command line: ``gtn-fast label | verify | plan | bench | demo``.

It calls the public API only. Exit codes: 0 done; 1 ``verify`` found a wrong matching
(one line with the counter-example); 2 bad input (one line on stderr, no traceback);
130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import gtn_fast
from gtn_fast import _files

OK, WRONG, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
METHODS = ("auto", "ray", "circle", "tree", "screen", "reference", "rank")
_LABEL_BYTES = 20  # x_index, order, cosine: what a row of the output takes


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except gtn_fast.WrongMatching as error:
        return _fail(f"wrong matching: {error}", WRONG)
    except BrokenPipeError:  # `gtn-fast plan ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except ImportError as error:
        return _fail(_how_to_get(error), BAD_INPUT)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", BAD_INPUT)
    except (TypeError, ValueError, MemoryError) as error:
        return _fail(str(error) or "not enough memory", BAD_INPUT)


def _fail(message: str, code: int) -> int:
    """One line on stderr, whatever the message looked like."""
    kind = "" if code == INTERRUPTED else "error: "
    print(f"gtn-fast: {kind}{' '.join(message.split())}", file=sys.stderr)
    return code


def _how_to_get(error: ImportError) -> str:
    extra = {"matplotlib": "plots", "mlxtend": "demo"}.get((error.name or "").split(".")[0])
    if extra is None:
        return str(error)
    return f"{error.name} is not installed: pip install 'gtn-fast[{extra}]'"


# ------------------------------------------------------------------ commands


def _label(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out)
    if out.suffix.lower() != ".npz":
        raise _files.FileError(f"{out}: labels are written as .npz")
    _files.check_output(out)
    x = _files.load_matrix(arguments.x, arguments.key)
    y = None if arguments.y is None else _files.load_matrix(arguments.y)
    groups = _groups(arguments, drawn=y is None)
    _files.check_output(out, len(x if y is None else y) * _LABEL_BYTES)
    start = time.perf_counter()
    labels = gtn_fast.label(
        x,
        y,
        seed=arguments.seed,
        method=arguments.method,
        groups=groups,
        threads=arguments.threads,
        progress=False if arguments.quiet else None,
    )
    seconds = time.perf_counter() - start
    # Before the check: it reads X again, and the work shall not be lost if that fails.
    with _files.naming(out):
        labels.save(out)
    summary = _summary(labels, x, seconds, out)
    if arguments.verify:
        checked = gtn_fast.verify(x, y, labels, sample=arguments.verify, groups=groups)
        summary.append(("verified", _verified(checked)))
    if not arguments.quiet:
        _print_table(summary)
    return OK


def _groups(arguments: argparse.Namespace, drawn: bool) -> tuple[Any, Any] | None:
    if arguments.groups_x is None:
        if arguments.groups_y is not None:
            raise ValueError("--groups-y needs --groups-x")
        return None
    groups_x = _files.load_vector(arguments.groups_x)
    if arguments.groups_y is not None:
        return groups_x, _files.load_vector(arguments.groups_y)
    if not drawn:
        raise ValueError("--groups-x needs --groups-y, unless Y was drawn")
    return groups_x, groups_x  # a drawn y stands for the x of its row


def _summary(labels: Any, x: Any, seconds: float, out: Path) -> list[tuple[str, str]]:
    n_y, (n_x, d) = len(labels.x_index), x.shape
    pairs = n_y * n_x - n_y * (n_y - 1) // 2
    report = labels.report
    strategy = f"{report['strategy']}, {_count(report.get('threads', 1), 'thread')}"
    if report.get("simd"):
        strategy += f", {report['simd']}"
    return [
        ("labeled", f"{n_y:,} y's with {n_x:,} x's, d = {d}"),
        ("strategy", strategy),
        ("time", f"{seconds:.2f} s, {n_y / seconds:,.0f} y's/s, {pairs / seconds:.3g} pairs/s"),
        ("mean cosine", f"{float(labels.cosine.mean()):.6f}"),
        ("saved", f"{out} ({out.stat().st_size / 1e6:.1f} MB)"),
    ]


def _verified(report: gtn_fast.VerifyReport) -> str:
    every = "all " if report.complete else ""
    return f"{every}{report.checked:,} choices by brute force: exact"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_table(rows: Sequence[tuple[str, str]]) -> None:
    for name, value in rows:
        print(f"{name:<12} {value}")


def _verify(arguments: argparse.Namespace) -> int:
    x = _files.load_matrix(arguments.x, arguments.key)
    labels = gtn_fast.Labels.load(arguments.labels)
    y = None if arguments.y is None else _files.load_matrix(arguments.y)
    groups = _groups(arguments, drawn=labels.seed is not None)
    start = time.perf_counter()
    checked = gtn_fast.verify(
        x, y, labels, sample=arguments.sample, seed=arguments.seed, groups=groups
    )
    _print_table(
        [
            ("matching", f"{checked.n_y:,} y's with {checked.n_x:,} x's: one to one, in range"),
            ("verified", _verified(checked)),
            ("time", f"{time.perf_counter() - start:.2f} s"),
        ]
    )
    return OK


def _plan(arguments: argparse.Namespace) -> int:
    sizes = (arguments.n, arguments.d)
    if arguments.x is not None:
        if sizes != (None, None):
            raise ValueError("plan takes a file or --n and --d, not both")
        x = _files.load_matrix(arguments.x, arguments.key)
        made = gtn_fast.plan(x, arguments.n_y, method=arguments.method, threads=arguments.threads)
    elif None in sizes:
        raise ValueError("plan needs a file, or --n and --d")
    else:
        made = gtn_fast.plan(
            arguments.n,
            arguments.n if arguments.n_y is None else arguments.n_y,
            arguments.d,
            method=arguments.method,
            threads=arguments.threads,
        )
    print(made)
    return OK


def _bench(arguments: argparse.Namespace) -> int:
    from gtn_fast import bench

    out = _folder(arguments.out)
    note = bench.openblas_note()
    if note:
        print(f"gtn-fast: note: {note}", file=sys.stderr)
    rows = bench.run(quick=arguments.quick, threads=arguments.threads)
    table = bench.table(rows)
    print(f"\n{table}")
    caption = bench.machine()
    _files.write_text(out / "bench.md", f"{table}\n{caption}\n")
    try:
        from gtn_fast import plots

        plots.save(plots.bench_chart(rows, caption), out / "bench.png")
    except ImportError:
        print(f"gtn-fast: note: no picture without matplotlib; table in {out}", file=sys.stderr)
    else:
        print(f"wrote {out / 'bench.md'} and {out / 'bench.png'}")
    return OK


def _demo(arguments: argparse.Namespace) -> int:
    import matplotlib  # noqa: F401  (missing: say so before the work)
    import mlxtend  # noqa: F401

    from gtn_fast import demo

    out = _folder(arguments.out)
    demo.run(out, quick=arguments.quick, threads=arguments.threads)
    print(f"\n{(out / 'results.md').read_text(encoding='utf-8')}")
    return OK


def _folder(name: str) -> Path:
    """The output folder, made if its parent exists, and found writable before the work."""
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise _files.FileError(f"{folder}: is a file, not a folder")
    if not folder.exists():
        _files.check_output(folder)
        folder.mkdir()
    _files.check_output(folder / "results.md")
    return folder


# ------------------------------------------------------------------ arguments


class _Parser(argparse.ArgumentParser):
    """Errors in one line, like every other error of the command line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gtn-fast",
        description="Exact, fast labeling for Generative Topological Networks (Algorithm 1).",
        epilog="Exit codes: 0 done, 1 wrong matching, 2 bad input, 130 Ctrl-C.",
    )
    parser.add_argument("--version", action="version", version=f"gtn-fast {gtn_fast.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    data = (
        "matrix, one row a point: .npy, .npz, .pt or .safetensors;"
        " FILE:KEY picks an array of a file that holds several"
    )

    label = commands.add_parser("label", help="match every y with an x of its own")
    label.set_defaults(run=_label)
    label.add_argument("x", metavar="X", help=data)
    label.add_argument("--out", required=True, metavar="LABELS.npz", help="where the labels go")
    source = label.add_mutually_exclusive_group()
    source.add_argument("--y", metavar="Y", help="the source sample (default: drawn, N(0, I))")
    source.add_argument("--seed", type=int, default=0, help="draw Y from this seed (default 0)")
    label.add_argument("--method", choices=METHODS, default="auto", help="default: auto")
    label.add_argument("--verify", type=_natural, default=0, metavar="N",
                       help="then check N choices by brute force")  # fmt: skip
    label.add_argument("--quiet", action="store_true", help="no summary, no progress bar")

    verify = commands.add_parser("verify", help="check a matching by brute force on a sample")
    verify.set_defaults(run=_verify)
    verify.add_argument("x", metavar="X", help=data)
    verify.add_argument("labels", metavar="LABELS.npz", help="written by gtn-fast label")
    verify.add_argument("--y", metavar="Y", help="the source sample (default: as in the labels)")
    verify.add_argument("--sample", type=_natural, default=1000, help="y's checked (default 1000)")
    verify.add_argument("--seed", type=int, default=0, help="which y's are drawn (default 0)")

    plan = commands.add_parser("plan", help="predict strategy, time and memory")
    plan.set_defaults(run=_plan)
    plan.add_argument("x", metavar="X", nargs="?", help=data)
    plan.add_argument("--n", type=_natural, help="rows of X, instead of a file")
    plan.add_argument("--d", type=_natural, help="columns of X, instead of a file")
    plan.add_argument("--n-y", type=_natural, help="rows of Y (default: as many as X has)")
    plan.add_argument("--method", choices=METHODS, default="auto", help="default: auto")

    bench = commands.add_parser("bench", help="this machine against the installed peers")
    bench.set_defaults(run=_bench)
    bench.add_argument("--out", default="bench_output", metavar="DIR", help="default: bench_output")

    demo = commands.add_parser("demo", help="label digits and a million points; draw the result")
    demo.set_defaults(run=_demo)
    demo.add_argument("--out", default="demo_output", metavar="DIR", help="default: demo_output")

    for command in (label, verify):
        command.add_argument("--groups-x", metavar="GX",
                             help="integer labels of X's rows: match inside each")  # fmt: skip
        command.add_argument("--groups-y", metavar="GY",
                             help="labels of Y's rows (default for a drawn Y: GX)")  # fmt: skip
    for command in (label, verify, plan):
        command.add_argument("--key", help="the array of X's file, if it holds several")
    for command in (bench, demo):
        command.add_argument("--quick", action="store_true", help="smaller sizes")
    for command in (label, plan, bench, demo):
        command.add_argument("--threads", type=int, help="default: all cores of this process")
    return parser


def _natural(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, got {text!r}")
    return number
