"""What the measurements ran on: CPU, versions, commit, and how busy the machine was."""

from __future__ import annotations

import datetime
import importlib
import importlib.util
import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import gtn_fast
from gtn_fast.backends import native
from gtn_fast.system.cpus import cpu_name

ROOT = Path(__file__).absolute().parent.parent
BUSY_FROM = 0.05  # share of the machine's time that others may take before we warn


def describe() -> dict[str, Any]:
    """What stays the same during a run."""
    engine = native.module()
    versions = {"python": platform.python_version(), "gtn_fast": gtn_fast.__version__}
    for name in ("numpy", "torch", "faiss", "scipy"):
        if importlib.util.find_spec(name):
            versions[name] = str(importlib.import_module(name).__version__)
    return {
        "cpu": cpu_name(),
        "cpu_id": _cpu_id(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "simd": engine.simd_active(),
        "simd_levels": list(engine.simd_levels()),
        "system": f"{platform.system()} {platform.release()}",
        "openblas": {k: v for k, v in os.environ.items() if k.startswith("OPENBLAS_")},
        "versions": versions,
    }


def slug(description: dict[str, Any]) -> str:
    """The CPU as part of a file name."""
    text = f"{description['cpu']} {description['cpu_id']}".lower()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def moment() -> dict[str, Any]:
    """What may change between two measurements: time, commit, load."""
    busy = busy_share()
    return {
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "busy_share": None if busy is None else round(busy, 3),
    }


def busy_share(seconds: float = 1.0) -> float | None:
    """The share of all cores' time that others use while we sleep; None if not on Linux.

    The load average would count our own work of the minute before.
    """
    before = _cpu_times()
    time.sleep(seconds)
    after = _cpu_times()
    if before is None or after is None or sum(after) <= sum(before):
        return None
    spent = [b - a for a, b in zip(before, after, strict=True)]
    idle = spent[3] + spent[4]  # idle and waiting for a disk
    return 1 - idle / sum(spent)


def commit() -> str:
    """The commit that is checked out, with a + if files that count differ from it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "csrc", "gtn_fast") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _cpu_times() -> list[int] | None:
    """User, nice, system, idle, iowait, irq, softirq, steal of all cores, in ticks."""
    try:
        with Path("/proc/stat").open(encoding="utf-8") as lines:
            return [int(value) for value in next(lines).split()[1:9]]
    except OSError:
        return None


def _cpu_id() -> str:
    """Family and model: virtual machines may hide the rest of the name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = {
        key: match.group(1)
        for key in ("cpu family", "model")
        if (match := re.search(rf"^{key}\s*: (\d+)$", text, re.MULTILINE))
    }
    return f"family {found['cpu family']} model {found['model']}" if len(found) == 2 else ""
