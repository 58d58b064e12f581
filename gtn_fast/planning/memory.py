"""How much memory is left, and how much this process has used at most."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gtn_fast.inputs.device import Device
from gtn_fast.system.cgroups import folders

# By version of control groups: limit, usage.
_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    2: ("memory.max", "memory.current"),
}
_REMEDY = "give memory= (X in files), fewer rows or threads, or raise the limit"

_ASKED_FROM = 1 << 26  # bytes


def available_bytes() -> int | None:
    """Return the bytes this process can still get: the least room of machine, cgroups, ulimit -v.

    None where the system does not say (not Linux).
    """
    rooms = [room for room, _ in _rooms()]
    return min(rooms) if rooms else None


def _rooms() -> list[tuple[int, str]]:
    """Return (bytes, whose limit it is) for every limit that there is."""
    found = (
        (_machine_room(), "this machine"),
        (_cgroup_room(), "this container"),
        (_address_room(), "ulimit -v"),
    )
    return [(room, name) for room, name in found if room is not None]


def total_bytes() -> int | None:
    """Return the bytes of this machine's memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX; a name it does not know
        return None


def peak_bytes() -> int:
    """Return the peak resident set of this process since it started."""
    try:
        import resource
    except ImportError:  # not POSIX
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def check_memory(needed: int, purpose: str) -> None:
    """Raise MemoryError, with both numbers, if ``needed`` bytes are not available."""
    available = available_bytes()
    if available is not None and needed > available:
        raise MemoryError(
            f"{purpose} needs about {size_text(needed)}, but only {size_text(available)} are"
            f" available ({_least_limit()}): {_REMEDY}"
        )


def check_room(needed: int, purpose: str) -> None:
    """As ``check_memory``, but for what is large alone: a small array costs less than to ask."""
    if needed >= _ASKED_FROM:
        check_memory(needed, purpose)


def _least_limit() -> str:
    rooms = _rooms()
    return f"the limit is that of {min(rooms)[1]}" if rooms else "by what the system says"


@contextmanager
def naming_limits(purpose: str) -> Iterator[None]:
    """Say in a MemoryError from inside, of whatever library, which limit was met and what helps."""
    try:
        yield
    except MemoryError as error:
        if _REMEDY in str(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else "no memory"
        room = available_bytes()
        left = "" if room is None else f", {size_text(room)} are left, {_least_limit()}"
        raise MemoryError(
            f"{purpose}: the system refused memory ({reason}{left}): {_REMEDY}"
        ) from error


def memory_limit(memory: object, device: Device) -> int | None:
    """Return ``memory=`` of label and plan in bytes, None for no limit; ValueError on a GPU."""
    if memory is None:
        return None
    if not device.is_cpu:
        raise ValueError(f"memory goes with device 'cpu', not {str(device)!r}")
    return parse_size(memory)


def parse_size(amount: object, name: str = "memory") -> int:
    """Return bytes of a number or of a text like "8GB", "500 MiB"; TypeError or ValueError."""
    if isinstance(amount, bool) or not isinstance(amount, (int, str)):
        raise TypeError(f"{name} must be bytes or a text like '8GB', got {type(amount).__name__}")
    if isinstance(amount, int):
        size = float(amount)
    else:
        found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", amount.lower())
        if found is None or (found[3] and not found[2]):
            raise ValueError(f"{name} must be bytes or a text like '8GB', got {amount!r}")
        unit = 1024 if found[3] else 1000
        size = float(found[1]) * unit ** " kmgt".index(found[2] or " ")
    if not 1 <= size < 2**62:
        raise ValueError(f"{name} must be positive and sensible, got {amount!r}")
    return int(size)


def size_text(count: float) -> str:
    """Write bytes for people: 1.5 GiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _machine_room() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _address_room() -> int | None:
    """Return what ``ulimit -v`` leaves of the address space."""
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most == resource.RLIM_INFINITY:
            return None
        taken = int(Path("/proc/self/statm").read_text().split()[0])
        return max(0, most - taken * resource.getpagesize())
    except (ImportError, AttributeError, OSError, ValueError, IndexError):
        return None


def _cgroup_room() -> int | None:
    """Return the smallest room among this process's cgroups and their ancestors."""
    rooms = [room for place in folders("memory") if (room := _room(*place)) is not None]
    return min(rooms) if rooms else None


def _room(folder: Path, version: int) -> int | None:
    limit, usage = _FILES[version]
    try:
        most = int((folder / limit).read_text())  # "max" is a ValueError: no limit here
        used = int((folder / usage).read_text())
    except (OSError, ValueError):
        return None
    # Inactive file pages count as free: the kernel drops them when memory is asked for.
    try:
        for line in (folder / "memory.stat").read_text().splitlines():
            key, _, value = line.partition(" ")
            if key in ("inactive_file", "total_inactive_file"):
                used -= int(value)
                break
    except (OSError, ValueError):
        pass
    return max(0, most - used)
