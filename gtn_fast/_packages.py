"""Packages that may or may not be there: importing one, and saying why it cannot be used."""

from __future__ import annotations

import importlib
import textwrap
from types import ModuleType

_LONGEST_REASON = 200  # characters of another package's error that fit one line of ours


class Absent(ImportError):
    """The module is not installed, as opposed to installed and broken."""


def load(module: str, name: str, remedy: str, absent: str = "is not installed") -> ModuleType:
    """Import ``module``, called ``name`` in messages; its failure in one line with ``remedy``.

    Raises Absent where it is not there, and ImportError where importing it raised
    whatever else: a library it was linked with, a package of its own that is missing.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and _is_part(error.name or "", module):
            raise Absent(f"{name} {absent}: {remedy}") from error
        raise ImportError(f"{name} does not load ({reason(error)}): {remedy}") from error


def reason(error: BaseException) -> str:
    """What another package raised, as part of one line of ours."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", _LONGEST_REASON, placeholder=" ...")


def _is_part(missing: str, module: str) -> bool:
    return missing == module or module.startswith(f"{missing}.")
