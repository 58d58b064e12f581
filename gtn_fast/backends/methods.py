"""What ``label(method=..., metric=...)`` takes, and which data each method takes."""

from __future__ import annotations

from gtn_fast.backends.registry import BACKENDS, METHODS, METRICS
from gtn_fast.inputs.device import Device

TREE_DIMENSIONS = (2, 16)
# The dimensions a method takes, both ends included; one that is not here takes any.
_DIMENSIONS = {"ray": (1, 1), "circle": (2, 2), "rank": (1, 1), "tree": TREE_DIMENSIONS}
_BY_DISTANCE = {"tree": (1, TREE_DIMENSIONS[1])}


def check_metric(metric: object) -> str:
    """Return ``metric`` if it exists; ValueError or TypeError if not."""
    if not isinstance(metric, str):
        raise TypeError(f"metric must be a string, got {type(metric).__name__}")
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; valid: {', '.join(METRICS)}")
    return metric


def check_metric_on(metric: str, device: Device) -> None:
    """Raise ValueError if no backend on this device serves the metric."""
    if metric != "cosine" and not device.is_cpu:
        raise ValueError(f"metric {metric!r} runs on device 'cpu', not {str(device)!r}")


def check_method(method: object, d: int, metric: str = "cosine") -> str:
    """Return ``method`` if it exists and handles dimension d and the metric.

    ValueError or TypeError if not.
    """
    if not isinstance(method, str):
        raise TypeError(f"method must be a string, got {type(method).__name__}")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; valid: {', '.join(METHODS)}")
    fitting = ", ".join(
        each for each in METHODS if takes_metric(each, metric) and takes_dimension(each, d, metric)
    )
    if not takes_metric(method, metric):
        raise ValueError(f"method {method!r} does not serve metric {metric!r}; valid: {fitting}")
    if not takes_dimension(method, d, metric):
        low, high = _dimensions(method, metric, d)
        wanted = f"d = {low}" if low == high else f"d from {low} to {high}"
        raise ValueError(
            f"method {method!r} needs {wanted}, the data have d = {d}; valid: {fitting}"
        )
    return method


def takes_metric(method: str, metric: str) -> bool:
    """Tell whether a method serves a metric."""
    return metric == "cosine" or method in ("auto", *(m for b in BACKENDS for m in b.euclidean))


def takes_dimension(method: str, d: int, metric: str = "cosine") -> bool:
    """Tell whether a method takes data of dimension d, by a metric that it serves."""
    low, high = _dimensions(method, metric, d)
    return low <= d <= high


def _dimensions(method: str, metric: str, d: int) -> tuple[int, int]:
    if metric == "euclidean" and method in _BY_DISTANCE:
        return _BY_DISTANCE[method]
    return _DIMENSIONS.get(method, (1, d))
