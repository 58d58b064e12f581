"""What ``gtn-fast doctor`` reports: this machine, the engine, backends, packages, a self-test.

Everything is plain data (str, int, bool, None, lists, dicts). What is broken is reported
in words; nothing here raises because of it.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast._version import __version__
from gtn_fast.backends import native, registry
from gtn_fast.backends.interface import Matched
from gtn_fast.backends.methods import takes_dimension
from gtn_fast.inputs.arguments import MAX_THREADS
from gtn_fast.packages import PACKAGES, Package, failure_reason, probe_package
from gtn_fast.planning.memory import available_bytes, total_bytes
from gtn_fast.system.cpus import available_cpus, cpu_name

SELF_TEST_SHAPE = (2000, 8)
_DIFFERS = " differs from "


def examine() -> dict[str, Any]:
    """Return the whole report. ``ok``: the engine is there and the self-test agrees.

    ``wrong``: a matching of the self-test is not the right one.
    """
    tested = self_test()
    return {
        "gtn_fast": __version__,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "platform": platform.platform(),
        "cpu": {"name": cpu_name(), "cores": available_cpus()},
        "simd": simd(),
        "memory": {"total": total_bytes(), "available": available_bytes()},
        "backends": [describe(backend) for backend in registry.BACKENDS],
        "packages": [describe_package(package) for package in PACKAGES],
        "self_test": tested,
        "wrong": any(_DIFFERS in problem for problem in tested["problems"]),
        "ok": registry.why_not("native") is None and bool(tested["agree"]),
    }


def simd() -> dict[str, Any]:
    """Return the engine's instruction sets, best first; ``problem`` if none is active."""
    found: dict[str, Any] = {
        "active": None,
        "present": [],
        "compiled": [],
        "GTN_FAST_SIMD": os.environ.get("GTN_FAST_SIMD"),
        "problem": None,
    }
    try:
        engine = native.module()
        found["present"] = list(engine.simd_levels())
        found["compiled"] = list(engine.simd_compiled())
        found["active"] = str(engine.simd_active())
    except (ImportError, ValueError) as error:  # not there; GTN_FAST_SIMD names no usable level
        found["problem"] = str(error)
    return found


def describe(backend: registry.Backend) -> dict[str, Any]:
    """Return what the registry says of a backend, whether it runs here, and why not."""
    why_not = registry.why_not(backend.name)
    return {
        "name": backend.name,
        "description": backend.description,
        "exact": backend.exact,
        "devices": list(backend.devices),
        "strategies": list(backend.strategies),
        "needs": list(backend.needs),
        "available": why_not is None,
        "why_not": why_not,
    }


def describe_package(package: Package) -> dict[str, Any]:
    """Return a package's version and detail, or its problem, and what it is for."""
    found = probe_package(package)
    return {
        "name": package.name,
        "version": found.version,
        "detail": found.detail,
        "purpose": package.purpose,
        "problem": found.problem,
    }


def self_test() -> dict[str, Any]:
    """Label one small problem with everything exact that runs here; compare by equality.

    ``ran``: the first is what the others are compared with; ``problems``: one line for
    each that failed or differed; ``agree``: there are none.
    """
    rows, d = SELF_TEST_SHAPE
    x, y = np.random.default_rng(0).standard_normal((2, rows, d))
    answers: dict[str, Matched] = {}
    problems: list[str] = []
    for backend, strategy in _contestants(d):
        name = f"{backend.name}/{strategy}"
        try:
            answers[name] = _match(backend, strategy, x, y)
        except Exception as error:  # a broken backend is what this test is for
            problems.append(f"{name} failed ({failure_reason(error)})")
    names = list(answers)
    for name in names[1:]:
        difference = _difference(answers[names[0]], answers[name])
        if difference:
            problems.append(f"{name}{_DIFFERS}{names[0]}: {difference}")
    return {
        "rows": rows,
        "d": d,
        "ran": names,
        "problems": problems,
        "agree": bool(names) and not problems,
    }


def _contestants(d: int) -> list[tuple[registry.Backend, str]]:
    """Return what labels data of dimension d exactly on this machine; the oracle first."""
    found = [
        (backend, strategy)
        for backend in registry.BACKENDS
        if backend.exact and registry.why_not(backend.name) is None
        for strategy in backend.strategies
        if takes_dimension(strategy, d)
    ]
    return sorted(found, key=lambda each: each[0].name != "reference")


def _match(backend: registry.Backend, strategy: str, x: NDArray[Any], y: NDArray[Any]) -> Matched:
    threads = min(available_cpus(), MAX_THREADS)
    matched: Matched = backend.load().match(x, y, strategy=strategy, threads=threads)
    return matched


def _difference(expected: Matched, given: Matched) -> str | None:
    """Name the first array that is not the same bit for bit, and in how many rows."""
    for name in ("x_index", "cosine", "order"):
        one, other = getattr(expected, name), getattr(given, name)
        wrong = int(np.count_nonzero(one != other)) if one.shape == other.shape else len(one)
        if wrong:
            return f"{name} in {wrong} of {len(one)} rows"
    return None
