"""Options of single backends: each is declared once, with its type, its limits and its meaning.

A backend's options are the fields of a TypedDict, ``Annotated`` with a declaration of this
file. ``label``'s signature and docstring, the command line and the checks follow from it.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

import numpy as np

from gtn_fast.inputs.arguments import check_integer

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Choice:
    """One of a few names."""

    values: tuple[str, ...]
    help: str
    metavar: str = "NAME"
    parse: type = str

    def check(self, name: str, value: Any) -> str:
        """Return the value; TypeError or ValueError for another."""
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a string, got {type(value).__name__}")
        if value not in self.values:
            raise ValueError(f"unknown {name} {value!r}; valid: {', '.join(self.values)}")
        return value


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int
    help: str
    metavar: str = "N"
    parse: type = int

    def check(self, name: str, value: Any) -> int:
        """Return the value; TypeError or ValueError for another."""
        return check_integer(value, name, self.low, self.high)


@dataclass(frozen=True)
class Share:
    """A number above 0, at most 1."""

    help: str
    metavar: str = "R"
    parse: type = float

    def check(self, name: str, value: Any) -> float:
        """Return the value; TypeError or ValueError for another."""
        if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.number)):
            raise TypeError(f"{name} must be a number, got {type(value).__name__}")
        if not 0 < value <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1, got {value}")
        return float(value)


@dataclass(frozen=True)
class Handle:
    """An object of another library, which that library checks; not for the command line."""

    help: str
    metavar: str = ""
    parse: type = str

    def check(self, name: str, value: Any) -> Any:
        """Return the value as it is."""
        del name
        return value


Declaration = Choice | Whole | Share | Handle


@functools.cache
def declared(options: type) -> Mapping[str, Declaration]:
    """Return the declarations of a TypedDict of options by name, in their order."""
    hints = get_type_hints(options, include_extras=True)
    return MappingProxyType({name: hint.__metadata__[0] for name, hint in hints.items()})


def checked(options: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as plain numbers and strings; TypeError or ValueError, in one line."""
    known = declared(options)
    return {name: known[name].check(name, value) for name, value in given.items()}


def documented(options: type) -> Callable[[F], F]:
    """Put what the options mean in place of ``{options}`` in a function's docstring."""

    def fill(function: F) -> F:
        if function.__doc__:  # python -OO has none
            entries = (
                f"{name} : optional\n{textwrap.indent(textwrap.fill(each.help, 84), '    ')}"
                for name, each in declared(options).items()
            )
            text = textwrap.indent("\n".join(entries), "    ").lstrip()
            function.__doc__ = function.__doc__.replace("{options}", text)
        return function

    return fill
