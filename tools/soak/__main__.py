"""All parts; exit code 1 if anything was lost."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tools.soak import calls, disk, kills
from tools.soak.running import Verdict

PARTS = ("calls", "kills", "disk")


def main(argv: list[str] | None = None) -> int:
    """Soak; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=50, help="of each of the three commands")
    parser.add_argument("--rows", type=int, default=120_000, help="labeled while they are killed")
    parser.add_argument("--epochs", type=int, default=300, help="of the training that is killed")
    parser.add_argument("--writers", default="", help="on the full disk: names that hold this")
    parser.add_argument("--shares", default=",".join(map(str, disk.SHARES)), help="of the room")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by commas")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    parts = given.only.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--only takes {', '.join(PARTS)}, got {given.only}")
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for part in parts:
            folder = Path(name) / part
            folder.mkdir()
            if part == "calls":
                verdicts: Iterable[Verdict] = [calls.soak(given.calls, given.seed)]
            elif part == "kills":
                verdicts = kills.soak(folder, given.kills, given.seed, given.rows, given.epochs)
            else:
                shares = tuple(map(float, given.shares.split(",")))
                verdicts = [disk.soak(folder, given.writers, shares)]
            for verdict in verdicts:
                print("\n".join(verdict.lines()), flush=True)
                wrong += len(verdict.wrong)
    print("soak: nothing was lost" if not wrong else f"soak: {wrong} things are WRONG")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
