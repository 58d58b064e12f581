"""``gtn-fast doctor``: what is here, what works, and what to do about the rest."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from gtn_fast.cli.common import NO_ENGINE, OK, WRONG, Commands, count, print_table
from gtn_fast.planning.memory import size_text
from gtn_fast.tools.doctor import examine


def add(commands: Commands) -> None:
    """Put the command of this file into the parser."""
    doctor = commands.add_parser("doctor", help="what is installed, what works, a self-test")
    doctor.set_defaults(run=_doctor)
    doctor.add_argument("--json", action="store_true", help="print it as JSON, for programs")


def _doctor(arguments: argparse.Namespace) -> int:
    found = examine()
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found)
    if found["wrong"]:
        return WRONG
    return OK if found["ok"] else NO_ENGINE


def _print(found: dict[str, Any]) -> None:
    print_table(_machine(found))
    print()
    _print_columns([("backend", "exact", "devices", "methods", "state"),
                    *map(_backend, found["backends"])])  # fmt: skip
    print()
    _print_columns([("package", "version", "for"), *map(_package, found["packages"])])
    print()
    print_table(_self_test(found["self_test"]))


def _machine(found: dict[str, Any]) -> list[tuple[str, str]]:
    python, cpu, simd, memory = (found[name] for name in ("python", "cpu", "simd", "memory"))
    rows = [
        ("gtn_fast", found["gtn_fast"]),
        ("Python", f"{python['version']}, {python['executable']}"),
        ("platform", found["platform"]),
        ("CPU", f"{cpu['name']}, {count(cpu['cores'], 'core')} for this process"),
        ("SIMD", simd["problem"] or simd["active"]),
    ]
    if simd["compiled"]:
        rows.append(("  present", ", ".join(simd["present"])))
        rows.append(("  compiled", ", ".join(simd["compiled"])))
    forced = simd["GTN_FAST_SIMD"]
    rows.append(("  forced", f"GTN_FAST_SIMD={forced}" if forced else "no (GTN_FAST_SIMD)"))
    rows.append(("memory", f"{_size(memory['total'])}, {_size(memory['available'])} available"))
    return rows


def _size(size: int | None) -> str:
    return "unknown" if size is None else size_text(size)


def _backend(backend: dict[str, Any]) -> tuple[str, ...]:
    return (
        backend["name"],
        "yes" if backend["exact"] else "no",
        ", ".join(backend["devices"]),
        ", ".join(backend["strategies"]),
        backend["why_not"] or f"ready: {backend['description']}",
    )


def _package(package: dict[str, Any]) -> tuple[str, ...]:
    notes = (package["purpose"], package["detail"], package["problem"])
    return (
        package["name"],
        package["version"] or "-",
        "; ".join(note for note in notes if note),
    )


def _self_test(tested: dict[str, Any]) -> list[tuple[str, str]]:
    what = f"{tested['rows']:,} x {tested['d']} points: {', '.join(tested['ran']) or 'none ran'}"
    if tested["agree"]:
        what += " agree, bit for bit" if len(tested["ran"]) > 1 else ", with nothing to compare"
    return [("self-test", what), *(("  problem", problem) for problem in tested["problems"])]


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of one length, aligned; the last column as long as it likes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [f"{cell:<{width}}" for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        print("  ".join([*padded, row[-1]]))
