"""Cones change nothing: with them wherever they can be, the engine gives the reference's answer."""

from __future__ import annotations

import cases
import pytest

import gtn_fast
from gtn_fast.backends import native as engine
from gtn_fast.backends.interface import Matched
from gtn_fast.inputs.matrices import for_engine
from gtn_fast.reference import match
from gtn_fast.run.report import _cones_left


def with_cones(x, y, **keywords):
    matrices = for_engine(x), for_engine(y)
    return Matched(*engine.module().match(*matrices, strategy="screen", cones=True, **keywords))


@pytest.mark.parametrize("d", [9, 12, 16, 24])
@pytest.mark.parametrize("name", sorted(cases.FRIENDLY) + sorted(cases.HOSTILE))
def test_the_answer_is_the_reference(native, name, d):
    x, y = cases.make(name, 600, 550, d)
    x_index, cosine, order = match(x, y)
    for threads, block in ((1, 0), (3, 40)):
        got = with_cones(x, y, threads=threads, block=block)
        assert (got.x_index == x_index).all()
        assert (got.cosine == cosine).all()
        assert (got.order == order).all()
        assert got.report["cones"] == 1.0


def test_the_report_says_what_cones_left(native):
    x, y = cases.make("gaussian", 3000, 3000, 9)
    counts = with_cones(x, y, threads=1).report
    assert 0 < _cones_left(counts) < 1
    assert _cones_left({"cones": 1.0, "pairs_screened": 1.0, "pairs_skipped": 3.0}) == 0.25
    for method in ("screen", "tree"):  # too few rows for cones; none at all
        assert gtn_fast.label(x, y, method=method).report["cones_left"] is None
