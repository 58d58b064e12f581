"""What ``label(method=...)`` takes, and the dimensions of data that each method takes."""

from __future__ import annotations

from gtn_fast.backends.registry import METHODS

TREE_DIMENSIONS = (2, 16)
# The dimensions a method takes, both ends included; one that is not here takes any.
_DIMENSIONS = {"ray": (1, 1), "circle": (2, 2), "rank": (1, 1), "tree": TREE_DIMENSIONS}


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
