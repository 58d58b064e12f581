"""Compiles every GPU kernel ahead of time and writes their table into docs/gpu.md.

    python tools/gpu_kernels.py [--check]

Registers, spills and shared memory are those of Triton's own compiler and ptxas; nothing
runs. ``--check`` compares and changes nothing.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from gtn_fast.backends._triton import ahead

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gpu.md"
START, END = "<!-- kernels:start -->", "<!-- kernels:end -->"


def table() -> str:
    """The kernels as a Markdown table."""
    import triton

    lines = [
        f"Triton {triton.__version__}, its own ptxas; registers a thread, bytes spilled, shared"
        " memory a block.",
        "",
        "| kernel | constants | warps | sm_80 | sm_90 |",
        "|---|---|---:|---|---|",
    ]
    for variant in itertools.chain(ahead.screening(), ahead.deciding()):
        cells = []
        for capability in ahead.ARCHITECTURES:
            made = ahead.compile_variant(variant, capability)
            cells.append(
                f"{made.registers} registers, {made.spilled_bytes} spilled,"
                f" {made.shared_bytes / 1024:.1f} KiB"
            )
        constants = ", ".join(f"{name} {value}" for name, value in variant.constants.items())
        types = [variant.types[name].strip("*") for name in ("x_ptr", "y_ptr")
                 if name in variant.types]  # fmt: skip
        lines.append(
            f"| `{variant.kernel}` {'/'.join(types)} | {constants} |"
            f" {variant.options['num_warps']} | {' | '.join(cells)} |"
        )
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def main() -> int:
    """Write the table, or with --check say whether it is that of the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    made = f"{before}{START}\n{table()}\n{END}{after}"
    if "--check" in sys.argv[1:]:
        return int(made != page)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
