"""Compiles every GPU kernel ahead of time; writes their table and the floors into docs/gpu.md.

    python tools/gpu_kernels.py [--check]

Registers, spills and shared memory are those of Triton's own compiler and ptxas; nothing
runs. ``--check`` compares and changes nothing.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gtn_fast.backends.cuda import cubins
from gtn_fast.backends.triton import ahead

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gpu.md"
# fp16 products with float32 sums per second (half of the data sheet's dense operations), and
# scores per second that the epilogue can do: one minimum or maximum each, 64 per clock and SM.
PEAKS = {"A100": (312e12 / 2, 108 * 64 * 1.41e9), "H100": (989.4e12 / 2, 132 * 64 * 1.83e9)}


def floors() -> str:
    """Return the least seconds of screening all pairs, as a Markdown table."""
    lines = [
        "| n | d | pairs | A100: products | + epilogue | H100: products | + epilogue |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for n, d in itertools.product((10**6, 10**7), (32, 128, 512)):
        pairs = n * n / 2
        cells = [f"{n:,}", str(d), f"{pairs:.0e}"]
        for products, scores in PEAKS.values():
            least = pairs * d / products
            cells += [f"{least:.3g} s", f"{least + pairs / scores:.3g} s"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table() -> str:
    """Return the kernels as a Markdown table."""
    import triton

    lines = [
        f"Triton {triton.__version__}, its own ptxas; registers per thread, bytes spilled, shared"
        " memory per block.",
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


def own_table() -> str:
    """Return the kernels of csrc/cuda as a Markdown table; nvcc compiles them."""
    root = PAGE.parents[1]
    found: dict[str, dict[str, str]] = {}
    said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    version = said.split("release ")[1].split(",")[0]
    for architecture in cubins.ARCHITECTURES.values():
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                ["nvcc", "-std=c++20", "--fmad=false", "-cubin", f"-arch={architecture}",
                 *(["-DGTN_WGMMA"] if architecture == "sm_90a" else []), "-Xptxas", "-v",
                 f"-I{root / 'csrc'}", str(root / "csrc" / "cuda" / "kernels.cu"),
                 "-o", str(Path(folder) / "kernels.cubin")],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        for kernel, spilled, registers in re.findall(
            r"entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers",
            done.stderr,
            flags=re.DOTALL,
        ):
            text = f"{registers} registers, {spilled} spilled"
            found.setdefault(kernel, {})[architecture] = text
    lines = [
        f"nvcc {version}; registers per thread, bytes spilled.",
        "",
        f"| kernel | {' | '.join(cubins.ARCHITECTURES.values())} |",
        f"|---|{'---|' * len(cubins.ARCHITECTURES)}",
    ]
    for kernel, cells in sorted(found.items()):
        row = " | ".join(cells.get(each, "") for each in cubins.ARCHITECTURES.values())
        lines.append(f"| `{kernel}` | {row} |")
    return "\n".join(lines)


def filled(page: str, name: str, text: str) -> str:
    """Return the page with ``text`` between the marks of that name."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n{text}\n{end}{after}"


def main() -> int:
    """Write the tables, or with --check say whether they are those of the page."""
    page = PAGE.read_text(encoding="utf-8")
    made = filled(filled(page, "floors", floors()), "kernels", table())
    if shutil.which("nvcc"):  # else that table stays as it is
        made = filled(made, "own", own_table())
    if "--check" in sys.argv[1:]:
        return int(made != page)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
