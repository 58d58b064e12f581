"""Where the limits of this process's control groups stand: version 2, then version 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SELF = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


def folders(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield (folder, version) of this process's groups for ``controller`` and their ancestors."""
    try:
        lines = SELF.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, version = ROOT, 2
        elif controller in controllers.split(","):
            root, version = ROOT / controller, 1
        else:
            continue
        folder = root / path.lstrip("/")
        while True:
            yield folder, version
            if folder == root or root not in folder.parents:
                break
            folder = folder.parent


def cpu_quota() -> float | None:
    """Return how many CPUs' time the groups of this process may take; None: no limit."""
    quotas = [quota for place in folders("cpu") if (quota := _quota(*place)) is not None]
    return min(quotas) if quotas else None


def _quota(folder: Path, version: int) -> float | None:
    try:
        if version == 2:
            most, period = (folder / "cpu.max").read_text().split()
        else:
            most = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        quota = int(most) / int(period)  # "max" is a ValueError: no limit here
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return quota if quota > 0 else None  # -1 in version 1: no limit
