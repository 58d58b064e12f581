"""How many CPUs this process may use, and how many threads it takes if nobody says."""

from __future__ import annotations

import functools
import math
import os
import platform
import re
import sys

from gtn_fast.system.cgroups import cpu_quota

OWN, COMMON = "GTN_FAST_THREADS", "OMP_NUM_THREADS"


def available_cpus() -> int:
    """Count the CPUs this process may use: those it may run on, and its containers' quota.

    A quota of 1.5 CPUs is two.
    """
    asked = hasattr(os, "sched_getaffinity")
    cpus = len(os.sched_getaffinity(0)) if asked else os.cpu_count() or 1
    quota = _quota()
    return max(1, cpus if quota is None else min(cpus, math.ceil(quota)))


def threads_by_environment(*, shared: bool = False) -> int | None:
    """Return the threads that the environment asks for, None if it does not.

    GTN_FAST_THREADS (-1: all CPUs) comes before OMP_NUM_THREADS, which joblib sets for its
    workers; a worker of torch's DataLoader has what torch has there. ``shared``: one of several
    ranks, where OMP_NUM_THREADS=1 is what torchrun sets for want of anything better. ValueError
    for a GTN_FAST_THREADS that is no number of threads.
    """
    own = os.environ.get(OWN, "").strip()
    if own:
        if not re.fullmatch(r"-1|0*[1-9]\d{0,8}", own):
            raise ValueError(f"{OWN} must be a number of threads, or -1 for all CPUs, got {own!r}")
        return available_cpus() if own == "-1" else int(own)
    common = os.environ.get(COMMON, "").split(",")[0].strip()  # the first level of several
    if re.fullmatch(r"0*[1-9]\d{0,8}", common):
        by_torchrun = shared and int(common) == 1 and "TORCHELASTIC_RUN_ID" in os.environ
        return None if by_torchrun else int(common)
    data = sys.modules.get("torch.utils.data")
    if data is not None and data.get_worker_info() is not None:
        return int(sys.modules["torch"].get_num_threads())
    return None


@functools.cache
def _quota() -> float | None:
    return cpu_quota()


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
