"""Commands in processes of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable


@dataclass
class Verdict:
    """What a part of the soak saw: what was done how often, and what is wrong."""

    name: str
    seen: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return it for people."""
        lines = [f"{self.name}: {line}" for line in self.seen]
        return [*lines, *(f"{self.name}: WRONG: {line}" for line in self.wrong)]


def environment(**more: str) -> Mapping[str, str]:
    """Return the environment of a command: this package, one thread of torch for each process."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        **more,
    }
