"""The Pythons of this machine that a wheel can be built for."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LOWEST, HIGHEST = (3, 10), (3, 14)

_PROBE = """
import json, os, sys, sysconfig
include = sysconfig.get_path("include")
multiarch = sysconfig.get_config_var("MULTIARCH") or "none"
split = os.path.join(os.path.dirname(include), multiarch, os.path.basename(include))
print(json.dumps({
    "version": sys.version_info[:2],
    "implementation": sys.implementation.name,
    "final": sys.version_info.releaselevel == "final",
    "threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "headers": os.path.isfile(os.path.join(include, "Python.h")),
    "split": split if os.path.isfile(os.path.join(split, "pyconfig.h")) else None,
}))
"""


class Python(NamedTuple):
    """An interpreter, the two numbers of its version, and where Debian keeps its pyconfig.h.

    Debian's headers include ``<MACHINE-linux-gnu/python3.X/pyconfig.h>``, which only the system's
    own compilers find. ``split`` is the folder of that file; None where there is no such file.
    """

    path: str
    version: tuple[int, int]
    split: str | None = None

    @property
    def tag(self) -> str:
        """As in the name of a wheel."""
        return f"cp{self.version[0]}{self.version[1]}"


class UnfitPythonError(Exception):
    """No wheel can be built for this interpreter; the message says why."""


def probe(path: str) -> Python:
    """Return the interpreter at ``path``; raise `UnfitPythonError` if it cannot build a wheel."""
    try:
        shown = subprocess.run(
            [path, "-c", _PROBE], capture_output=True, text=True, check=True, timeout=60
        )
        found = json.loads(shown.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        raise UnfitPythonError(f"{path} is no Python that runs") from None
    major, minor = found["version"]
    if found["implementation"] != "cpython" or found["threaded"]:
        raise UnfitPythonError(f"{path} is not CPython with its global lock")
    if not LOWEST <= (major, minor) <= HIGHEST or not found["final"]:
        raise UnfitPythonError(f"{path} is Python {major}.{minor}; wheels are for 3.10 to 3.14")
    if not found["headers"]:
        raise UnfitPythonError(f"{path} has no C headers (Debian: apt-get install python3-dev)")
    return Python(path, (major, minor), found["split"])


def found_here() -> list[Python]:
    """Return one interpreter per version, lowest version first: of PATH, then of pyenv."""
    return _distinct(_candidates())


def _candidates() -> Iterable[str]:
    minors = range(LOWEST[1], HIGHEST[1] + 1)
    yield from filter(None, (shutil.which(f"python3.{minor}") for minor in minors))
    for folder in sorted(Path.home().glob(".pyenv/versions/*")):
        yield str(folder / "bin" / "python")


def _distinct(paths: Iterable[str]) -> list[Python]:
    fit: dict[tuple[int, int], Python] = {}
    for path in paths:
        try:
            python = probe(path)
        except UnfitPythonError:
            continue
        fit.setdefault(python.version, python)
    return [fit[version] for version in sorted(fit)]
