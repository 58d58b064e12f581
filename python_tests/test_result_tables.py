"""The tables that tools/result_tables.py reads out of experiments' numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"


@pytest.fixture(scope="module")
def tables():
    sys.path.insert(0, str(TOOLS))
    try:
        import result_tables

        yield result_tables
    finally:
        sys.path.remove(str(TOOLS))


def test_a_section_is_replaced_and_nothing_else(tables):
    page = "a\n<!-- x:start -->\nold\n<!-- x:end -->\nb\n<!-- y:start -->\n<!-- y:end -->\n"
    made = tables.replaced(page, "x", ["| new \\1 |"])
    assert made == page.replace("old", "| new \\1 |")
    assert tables.standing(made, "x") == ["| new \\1 |"]
    assert tables.standing(made, "y") == []
    with pytest.raises(ValueError, match="no section z"):
        tables.replaced(page, "z", [])


def flow(first, last, seconds=0.5, potentials=0.5):
    return {"energy": {"1": first, "8": last}, "calibrated": {"1": last, "8": last}, "bend": 0.25,
            "seconds of an epoch": seconds, "seconds of the first": potentials}  # fmt: skip


def test_the_least_distance_of_a_column_is_bold(tables):
    flows = {"independent": flow(1.0, 0.2), "labels": flow(0.30004, 0.1, potentials=20),
             "minibatch": flow(0.3, 0.15)}  # fmt: skip
    found = {"floor": 0.05, "flows": flows, "energy of GTN": 0.4, "FID": {"labels": 10.2}}
    lines = tables.couplings_by_step({"numbers": {"sets": {"S": found}}})
    assert lines == [
        "| energy distance after | 1 | 8 steps | bend | seconds |",
        "|---|---:|---:|---:|---:|",
        "| **S**, training rows: 0.050 | | | | |",
        "| independent | 1.000 | 0.200 | 0.250 | 0.500 |",
        "| labels | **0.300** | **0.100** | 0.250 | 0.500 after 20 |",
        "| minibatch | **0.300** | 0.150 | 0.250 | 0.500 |",
        "| a calibrated GTN | 0.400 | | | |",
        "",
        "| calibrated, after | 1 | 8 steps | bend | seconds |",
        "|---|---:|---:|---:|---:|",
        "| **S**, training rows: 0.050 | | | | |",
        "| independent | 0.200 | 0.200 | 0.250 | 0.500 |",
        "| labels | **0.100** | **0.100** | 0.250 | 0.500 after 20 |",
        "| minibatch | 0.150 | 0.150 | 0.250 | 0.500 |",
        "| a calibrated GTN | 0.400 | | | |",
        "",
        "| FID | labels |",
        "|---|---:|",
        "| S | 10 |",
    ]


def test_a_mean_over_seeds_is_called_one(tables):
    flows = {"labels": {**flow(0.3, 0.1), "energy by seed": {"1": [0.2, 0.4], "8": [0.1, 0.1]}}}
    found = {"floor": 0.05, "flows": flows, "FID": {"labels": 10.2}}
    lines = tables.couplings_by_step({"numbers": {"sets": {"S": found}}})
    assert [each.split("|")[1].strip() for each in lines if "labels" in each] == [
        "labels, mean of 2 seeds", "labels", "FID",
    ]  # fmt: skip


def topology(share, right):
    row = {"share_off": 0.5, "betti": "1 0 0", "right": False, "ways": {}}
    return {"numbers": {"rows": {
        "VAE, d = 2": row,
        "AE + Gaussian, d = 2": row,
        "AE + GTN, d = 2": {**row, "ways": {"line": [0.9, 0.2, 1.3], "geodesic": [0.8, 0.2, 1.2]}},
        "CAE, its own prior": {**row, "ways": {"geodesic": [0.05, 0.1, 1.01]}},
        "Atlas GTN on CAE": {**row, "share_off": share, "betti": "1 2 1", "right": right},
    }}}  # fmt: skip


def test_sets_that_were_not_measured_keep_their_row(tables):
    before = tables.topology({"klein": topology(0.25, False)}, [])
    after = tables.topology({"torus": topology(0.01, True)}, before)
    head, _, torus, klein = after
    cells = "0.500 | 0.500 | 0.500 | 0.500"
    ways = "0.90 | 0.05 | 1.30 / 1.01"
    assert torus == f"| torus | {cells} | 0.010 | 1 2 1 (right) | {ways} |"
    assert klein == f"| klein | {cells} | 0.250 | 1 2 1 (wrong) | {ways} |"
    assert head.count("|") == torus.count("|") == klein.count("|")


def test_a_way_that_was_not_found_is_left_empty(tables):
    record = topology(0.01, True)
    record["numbers"]["rows"]["CAE, its own prior"]["ways"] = {}
    assert tables.topology({"two-circles": record}, [])[2].endswith("| 0.90 |  | 1.30 / - |")
