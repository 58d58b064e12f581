"""Arguments that are no arrays: each is checked once, with a message that says what was wanted."""

from __future__ import annotations

import operator
import os
import re
import sys
from typing import Any

import numpy as np

from gtn_fast.backends import registry

METHODS = registry.METHODS
TREE_DIMENSIONS = (2, 16)
# The dimensions a method takes, both ends included; one that is not here takes any.
_DIMENSIONS = {"ray": (1, 1), "circle": (2, 2), "rank": (1, 1), "tree": TREE_DIMENSIONS}
MAX_THREADS = 4096


def check_method(method: object, d: int) -> str:
    """Return ``method`` if it exists and handles dimension d; ValueError or TypeError if not."""
    if not isinstance(method, str):
        raise TypeError(f"method must be a string, got {type(method).__name__}")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; valid: {', '.join(METHODS)}")
    if not takes_dimension(method, d):
        low, high = _DIMENSIONS[method]
        wanted = f"d = {low}" if low == high else f"d from {low} to {high}"
        fitting = [each for each in METHODS if takes_dimension(each, d)]
        raise ValueError(
            f"method {method!r} needs {wanted}, the data have d = {d}; valid: {', '.join(fitting)}"
        )
    return method


def takes_dimension(method: str, d: int) -> bool:
    """Tell whether a method takes data of dimension d."""
    low, high = _DIMENSIONS.get(method, (1, d))
    return low <= d <= high


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


def check_threads(threads: Any) -> int:
    """Return the number of threads; None means the CPUs this process may use."""
    if threads is None:
        return min(available_cpus(), MAX_THREADS)
    return check_integer(threads, "threads", 1, MAX_THREADS)


def check_device(device: Any) -> str | None:
    """Return "cpu", "cuda", "cuda:N" or None as they are; ValueError or TypeError otherwise."""
    if device is None:
        return None
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(device, torch.device):
        device = str(device)
    if not isinstance(device, str):
        raise TypeError(f"device must be a string, got {type(device).__name__}")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(f"unknown device {device!r}; valid: 'cpu', 'cuda' or 'cuda:N'")
    return device


def check_seed(seed: Any) -> int:
    """Return a seed of the counter-based generator: 0 <= seed < 2**64."""
    return check_integer(seed, "seed", 0, 2**64 - 1)


def available_cpus() -> int:
    """Count the CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
