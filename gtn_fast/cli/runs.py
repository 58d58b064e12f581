"""``gtn-fast bench | demo``: runs that show what this machine does."""

from __future__ import annotations

import argparse
import sys

from gtn_fast import plots
from gtn_fast.cli.common import OK, THREADS, Commands, add_force, folder_for
from gtn_fast.outputs.files import write_text
from gtn_fast.tools import bench, bench_gpu, demo


def add(commands: Commands) -> None:
    """Put the commands of this file into the parser."""
    bench = commands.add_parser("bench", help="this machine against the installed peers")
    bench.set_defaults(run=_bench)
    bench.add_argument("--out", default="bench_output", metavar="DIR",
                       help="folder for the results (default: bench_output)")  # fmt: skip
    bench.add_argument("--device", help="cuda or cuda:N: measure the GPU, beside brute force on it")

    demo = commands.add_parser("demo", help="label a million points; make new digits; draw it")
    demo.set_defaults(run=_demo)
    demo.add_argument("--out", default="demo_output", metavar="DIR",
                      help="folder for the results (default: demo_output)")  # fmt: skip

    for command in (bench, demo):
        command.add_argument("--quick", action="store_true", help="smaller sizes")
        add_force(command)
        command.add_argument("--threads", type=int, help=THREADS)


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.device not in (None, "cpu"):
        return _bench_gpu(arguments)
    out = folder_for(arguments, "bench.md", "bench.png")
    out.mkdir(exist_ok=True)
    note = bench.openblas_note()
    if note:
        print(f"gtn-fast: note: {note}", file=sys.stderr)
    rows = bench.run(quick=arguments.quick, threads=arguments.threads)
    table = bench.table(rows)
    print(f"\n{table}")
    caption = bench.machine()
    write_text(out / "bench.md", f"{table}\n{caption}\n")
    try:
        plots.save(plots.bench_chart(rows, caption), out / "bench.png")
    except ImportError:
        print(f"gtn-fast: note: no picture without matplotlib; table in {out}", file=sys.stderr)
    else:
        print(f"wrote {out / 'bench.md'} and {out / 'bench.png'}")
    return OK


def _bench_gpu(arguments: argparse.Namespace) -> int:
    bench_gpu.require(arguments.device)
    out = folder_for(arguments, "bench_gpu.md")
    out.mkdir(exist_ok=True)
    rows = bench_gpu.run(arguments.device, quick=arguments.quick, threads=arguments.threads)
    table = bench_gpu.table(rows)
    caption = bench_gpu.machine(arguments.device)
    write_text(out / "bench_gpu.md", f"{table}\n{caption}\n")
    print(f"\n{table}\nwrote {out / 'bench_gpu.md'}")
    return OK


def _demo(arguments: argparse.Namespace) -> int:
    import matplotlib  # noqa: F401  (missing: say so before the work)
    import mlxtend  # noqa: F401
    import safetensors  # noqa: F401
    import torch  # noqa: F401

    out = folder_for(arguments, *demo.FILES)
    out.mkdir(exist_ok=True)
    demo.run(out, quick=arguments.quick, threads=arguments.threads)
    print(f"\n{(out / 'results.md').read_text(encoding='utf-8')}")
    print(f"All of it, with the pictures, on one page: {(out / demo.PAGE).resolve()}")
    return OK
