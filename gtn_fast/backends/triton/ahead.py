"""Compile the kernels for a GPU that is not here: registers, shared memory, spills, PTX.

For tests and tools/gpu_kernels.py. Needs triton, no driver; not in a process with
TRITON_INTERPRET=1.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gtn_fast.backends.triton import launch

ARCHITECTURES = {80: "sm_80", 90: "sm_90a"}  # A100, H100


@dataclass(frozen=True)
class Variant:
    """A kernel as the launcher may call it: types by argument, constants, options."""

    kernel: str
    types: dict[str, str]
    constants: dict[str, Any]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """A short and unique name."""
        shown = "-".join(f"{key}{value}" for key, value in self.constants.items())
        floats = "-".join(t for n, t in self.types.items() if n in ("x_ptr", "y_ptr"))
        return f"{self.kernel}-{floats}-{shown}"


@dataclass(frozen=True)
class Compiled:
    """A compiled variant: what it takes on a GPU, and its PTX."""

    variant: Variant
    capability: int
    registers: int
    spilled_bytes: int
    shared_bytes: int
    ptx: str


def screening() -> Iterator[Variant]:
    """Yield every variant of the two screening kernels that ``launch`` can choose."""
    pointers = {"y_ptr": "*fp16", "x_ptr": "*fp16", "offset_ptr": "*fp32"}
    found = {
        "threshold_ptr": "*fp32",
        "start_ptr": "*i64",
        "row_ptr": "*i64",
        "count_ptr": "*i32",
        "col_ptr": "*i32",
        "value_ptr": "*fp32",
    }
    for chosen in launch.CONFIGURATIONS:
        for group in launch.GROUPS:
            counts = ("n_tiles", "tiles", "steps", "stride", "n_rows")
            yield Variant(
                "group_maxima",
                {**pointers, "out_ptr": "*fp32", **dict.fromkeys(counts, "i32")},
                launch.meta(chosen, chosen.maxima, group),
                launch.options(chosen.maxima),
            )
            counts = ("n_tiles", "steps", "stride", "capacity", "first_col")
            yield Variant(
                "survivors",
                {**pointers, **found, **dict.fromkeys(counts, "i32")},
                launch.meta(chosen, chosen.survivors, group),
                launch.options(chosen.survivors),
            )


def deciding() -> Iterator[Variant]:
    """Yield the float64 kernels, for rows stored in either type."""
    options = dict(launch.EXACT_OPTIONS)
    for x in ("*fp32", "*fp64"):
        scales = {"x_ptr": x, "max_ptr": "*fp64", "inner_ptr": "*fp64"}
        yield Variant(
            "row_scales",
            {**scales, "n": "i32", "d": "i32", "stride": "i32"},
            {"ROWS": launch.EXACT_ROWS},
            options,
        )
        for y in ("*fp32", "*fp64"):
            names = ("x_max_ptr", "x_inner_ptr", "y_max_ptr", "y_inner_ptr", "out_ptr")
            yield Variant(
                "exact_cosines",
                {
                    "x_ptr": x,
                    "y_ptr": y,
                    **dict.fromkeys(names, "*fp64"),
                    "list_ptr": "*i64",
                    **dict.fromkeys(("n_pairs", "places", "d", "x_stride", "y_stride"), "i32"),
                },
                {"PAIRS": launch.EXACT_ROWS},
                options,
            )


def compile_variant(variant: Variant, capability: int) -> Compiled:
    """Compile a variant for ``capability``, a key of ``ARCHITECTURES``."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = getattr(launch.kernels(), variant.kernel)
    names = list(kernel.arg_names)
    kinds = {**variant.types, **dict.fromkeys(variant.constants, "constexpr")}
    if set(kinds) != set(names):
        raise ValueError(f"{variant.kernel} takes {names}, not {sorted(kinds)}")
    signature = {name: kinds[name] for name in names}
    # The launcher specialises on what is a multiple of 16: torch's buffers, padded strides.
    aligned = [i for i, n in enumerate(names) if signature[n].startswith("*") or n == "stride"]
    if variant.kernel in ("row_scales", "exact_cosines"):
        aligned = [i for i in aligned if names[i] != "stride"]
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs=variant.constants,
        attrs={(i,): [["tt.divisibility", 16]] for i in aligned},
    )
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=variant.options)
    ptx = str(made.asm["ptx"])
    registers, spilled = _assemble(ptx, capability, variant.options)
    return Compiled(variant, capability, registers, spilled, int(made.metadata.shared), ptx)


def _assemble(ptx: str, capability: int, options: dict[str, Any]) -> tuple[int, int]:
    """Return registers per thread and bytes spilled, as ptxas reports them."""
    from triton.backends.nvidia.compiler import get_ptxas

    found = get_ptxas(capability)
    path = found.path if hasattr(found, "path") else found[0]
    fused = [] if options.get("enable_fp_fusion", True) else ["--fmad=false"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        done = subprocess.run(
            [path, "-v", *fused, "--gpu-name", ARCHITECTURES[capability], str(source),
             "-o", str(Path(folder) / "kernel.cubin")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    registers = re.search(r"Used (\d+) registers", done.stderr)
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", done.stderr)
    if registers is None or not spills:
        raise RuntimeError(f"ptxas says nothing of registers: {done.stderr}")
    return int(registers[1]), sum(map(int, spills))
