"""Instructions of a pair in the kernels for ARM, counted by qemu in place of time.

    make bench-arm

An emulator's time says nothing of a CPU's, but the number of instructions is the CPU's own: a
kernel is called once, and three times, and the difference counts. No pair is a hit. Printed as a
Markdown table. What a CPU makes of so many instructions is another matter: it was not measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

LEVELS = ("scalar", "neon", "neondot", "neoni8mm")
CASES = (("screen", 16), ("screen", 32), ("screen", 64), ("screen", 128), ("dot", 64))
FEW, MANY = 1, 3


def run(command: list[str], level: str, kernel: str, d: int, calls: int) -> tuple[int, int]:
    """Return the instructions of a whole process, and the pairs of one of its calls."""
    # Blocks of one instruction that are not chained: the log has a line for each executed.
    emulator, program = command[:-1], command[-1]
    options = subprocess.run([emulator[0], "--help"], capture_output=True, text=True, check=False)
    newer = "-one-insn-per-tb" in options.stdout
    log = ["-one-insn-per-tb" if newer else "-singlestep", "-d", "exec,nochain"]
    task = [program, level, kernel, str(d), str(calls)]
    with subprocess.Popen(
        [*emulator, *log, *task], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        instructions = sum(line.startswith(b"Trace ") for line in process.stderr)
        pairs = process.stdout.read()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(task)} failed under {emulator[0]}")
    return instructions, int(pairs)


def per_pair(command: list[str], level: str, kernel: str, d: int) -> float:
    """Return the instructions of one pair."""
    few, pairs = run(command, level, kernel, d, FEW)
    many, _ = run(command, level, kernel, d, MANY)
    return (many - few) / ((MANY - FEW) * pairs)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arm_instructions")
    parser.add_argument(
        "command", nargs="+", help="the emulator with its options, gtn_kernel_calls"
    )
    command = parser.parse_args(argv).command
    titles = [f"{'screening' if kernel == 'screen' else 'exact'}, d = {d}" for kernel, d in CASES]
    print(f"| level | {' | '.join(titles)} |")
    print(f"|---|{'---:|' * len(CASES)}", flush=True)
    for level in LEVELS:
        cells = [f"{per_pair(command, level, kernel, d):.2f}" for kernel, d in CASES]
        print(f"| `{level}` | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
