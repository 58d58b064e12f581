"""Tables of the documents that are read out of experiments' numbers, not out of their lines.

``experiments_page.py`` puts them between `<!-- NAME:start -->` and `<!-- NAME:end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Record = Mapping[str, Any]
Cell = Callable[[Record], str]

SETS = ("circle", "two-circles", "sphere", "torus", "klein", "rp2", "moebius")
_HEAD = (
    "| set | VAE | AE + Gaussian | AE + GTN | CAE's prior | Atlas GTN | Betti numbers |"
    " line, AE + GTN | geodesic, atlas | length |"
)


def replaced(page: str, name: str, lines: list[str]) -> str:
    """Return the page with these lines in its section ``name``; ValueError if it has none."""
    section = re.compile(rf"(<!-- {name}:start -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    if section.search(page) is None:
        raise ValueError(f"no section {name}")
    return section.sub(lambda match: f"{match[1]}" + "\n".join(lines) + f"\n{match[2]}", page)


def standing(page: str, name: str) -> list[str]:
    """Return the lines that now stand in the section ``name``."""
    found = re.search(rf"<!-- {name}:start -->\n(.*?)<!-- {name}:end -->", page, re.DOTALL)
    return [] if found is None else found[1].splitlines()


def couplings_by_step(record: Record) -> list[str]:
    """Return tables of energy distances by Euler steps, the least of each set in bold, and FID.

    The second table is of calibrated flows, on latents only: in the plane it says nothing new.
    """
    sets = record["numbers"]["sets"]
    lines = _by_step(sets, "energy", "energy distance after")
    on_latents = {name: found for name, found in sets.items() if "FID" in found}
    if on_latents:
        lines += ["", *_by_step(on_latents, "calibrated", "calibrated, after")]
        columns = list(next(iter(on_latents.values()))["FID"])
        lines += ["", f"| FID | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
        for name, found in on_latents.items():
            lines.append(
                f"| {name} | {' | '.join(f'{fid:.0f}' for fid in found['FID'].values())} |"
            )
    return lines


def _by_step(sets: Record, kind: str, title: str) -> list[str]:
    lines: list[str] = []
    for name, found in sets.items():
        flows = found["flows"]
        steps = list(next(iter(flows.values()))[kind])
        least = {k: min(round(flow[kind][k], 3) for flow in flows.values()) for k in steps}
        if not lines:
            lines += [f"| {title} | {' | '.join(steps)} steps | bend | seconds |",
                      "|---|" + "---:|" * (len(steps) + 2)]  # fmt: skip
        lines.append(
            f"| **{name}**, training rows: {found['floor']:.3f} |" + " |" * (len(steps) + 2)
        )
        for coupling, flow in flows.items():
            cells = [_bold(flow[kind][k], least[k]) for k in steps]
            seconds = f"{flow['seconds of an epoch']:.3f}"
            if flow["seconds of the first"] > 10 * flow["seconds of an epoch"] + 1:
                seconds += f" after {flow['seconds of the first']:.0f}"
            if kind == "energy" and "energy by seed" in flow:
                coupling += f", mean of {len(flow['energy by seed'][steps[0]])} seeds"
            lines.append(f"| {coupling} | {' | '.join(cells)} | {flow['bend']:.3f} | {seconds} |")
        if "energy of GTN" in found:
            lines.append(f"| a calibrated GTN | {found['energy of GTN']:.3f} |"
                         + " |" * (len(steps) + 1))  # fmt: skip
    return lines


def topology(records: Mapping[str, Record], before: list[str]) -> list[str]:
    """Return a row for each set that was measured; of others the row that stands in ``before``."""
    old = {line.split("|")[1].strip(): line for line in before if line.startswith("| ")}
    lines = [_HEAD, "|---|" + "---:|" * 5 + "---|" + "---:|" * 3]
    for name in SETS:
        if name in records:
            lines.append(_topology_row(name, records[name]))
        elif name in old:
            lines.append(old[name])
    return lines


def _topology_row(name: str, record: Record) -> str:
    rows = record["numbers"]["rows"]
    d = next(key for key in rows if key.startswith("VAE, d = ")).removeprefix("VAE, d = ")
    shares = [rows[key]["share_off"] for key in (
        f"VAE, d = {d}", f"AE + Gaussian, d = {d}", f"AE + GTN, d = {d}", "CAE, its own prior",
        "Atlas GTN on CAE")]  # fmt: skip
    ours = rows["Atlas GTN on CAE"]
    betti = f"{ours['betti']} ({'right' if ours['right'] else 'wrong'})"
    line, geodesic = (rows[key]["ways"].get(way) for key, way in (
        (f"AE + GTN, d = {d}", "line"), ("CAE, its own prior", "geodesic")))  # fmt: skip
    ways = ["" if way is None else f"{way[0]:.2f}" for way in (line, geodesic)]
    lengths = " / ".join("-" if way is None else f"{way[2]:.2f}" for way in (line, geodesic))
    cells = [*(f"{share:.3f}" for share in shares), betti, *ways, lengths]
    return f"| {name} | {' | '.join(cells)} |"


def _bold(value: float, least: float) -> str:
    return f"**{value:.3f}**" if round(value, 3) == least else f"{value:.3f}"
