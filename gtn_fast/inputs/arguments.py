"""Numbers among the arguments: each is checked once, with a message that says what was wanted."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from gtn_fast.inputs.wording import in_short
from gtn_fast.system.cpus import available_cpus, threads_by_environment

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
        raise ValueError(f"{name} must be from {low} to {high}, got {in_short(number)}")
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


def check_threads(threads: Any, *, shared: bool = False) -> int:
    """Return the number of threads: -1 means all CPUs this process may use.

    None means what the environment says (``threads_by_environment``, where ``shared`` is
    explained), else all CPUs, too.
    """
    if threads is None:
        threads = threads_by_environment(shared=shared)
        return min(available_cpus() if threads is None else threads, MAX_THREADS)
    try:
        number = check_integer(threads, "threads", -1, MAX_THREADS)
    except ValueError:
        number = 0
    if number == 0:
        raise ValueError(
            f"threads must be from 1 to {MAX_THREADS}, got {int(threads)} (-1 takes all CPUs)"
        )
    return number if number > 0 else min(available_cpus(), MAX_THREADS)


def check_seed(seed: Any) -> int:
    """Return a seed of the counter-based generator: 0 <= seed < 2**64."""
    return check_integer(seed, "seed", 0, 2**64 - 1)
