"""Numbers among the arguments: each is checked once, with a message that says what was wanted."""

from __future__ import annotations

import operator
import os
from typing import Any

import numpy as np

MAX_THREADS = 4096


def check_integer(value: Any, name: str, low: int, high: int) -> int:
    """Return ``value`` as an int within [low, high]; TypeError or ValueError otherwise."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if not low <= number <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {number}")
    return number


def check_min_cosine(value: Any) -> float | None:
    """Return the least cosine of a pair, from -1 to 1; None: any."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"min_cosine must be a number, got {type(value).__name__}")
    number = float(value)
    if not -1.0 <= number <= 1.0:
        raise ValueError(f"min_cosine must be from -1 to 1, got {number}")
    return number


def check_flag(value: Any, name: str) -> bool:
    """Return ``value``; TypeError unless it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__}")
    return bool(value)


def check_threads(threads: Any) -> int:
    """Return the number of threads; None means the CPUs this process may use."""
    if threads is None:
        return min(available_cpus(), MAX_THREADS)
    return check_integer(threads, "threads", 1, MAX_THREADS)


def check_seed(seed: Any) -> int:
    """Return a seed of the counter-based generator: 0 <= seed < 2**64."""
    return check_integer(seed, "seed", 0, 2**64 - 1)


def available_cpus() -> int:
    """Count the CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
