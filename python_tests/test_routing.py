"""Which path ran: asked of the backend that was called and of the report."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import gtn_fast
from gtn_fast.backends import native as native_backend
from gtn_fast.backends import reference as reference_backend
from gtn_fast.backends.selection import for_strategy
from gtn_fast.planning import costs


@pytest.fixture
def calls(monkeypatch):
    """(backend, strategy, threads) of every call of a backend."""
    seen = []

    def spy(name, run):
        def call(x, y, **keywords):
            seen.append((name, keywords["strategy"], keywords["threads"]))
            return run(x, y, **keywords)

        return call

    monkeypatch.setattr(native_backend, "match", spy("native", native_backend.match))
    monkeypatch.setattr(reference_backend, "match", spy("reference", reference_backend.match))
    return seen


def test_reference_and_rank_never_touch_the_engine(calls, monkeypatch):
    monkeypatch.setattr(native_backend, "module", lambda: pytest.fail("engine used"))
    monkeypatch.setattr(native_backend, "available", lambda: False)
    x, y = cases.make("gaussian", 30, 20, 1)
    for method in ("reference", "rank"):
        report = gtn_fast.label(x, y, method=method, threads=2).report
        assert (report["strategy"], report["backend"]) == (method, "reference")
        assert report["simd"] == "numpy"
    assert calls == [("reference", "reference", 2), ("reference", "rank", 2)]


@pytest.mark.parametrize("d", [1, 2, 3, 16, 17, 64])
def test_a_forced_strategy_runs(native, calls, d):
    x, y = cases.make("gaussian", 200, 150, d)
    for strategy in cases.strategies(d):
        labels = gtn_fast.label(x, y, method=strategy, threads=2)
        assert calls.pop() == ("native", strategy, 2)
        assert labels.report["strategy"] == strategy
        assert labels.report["why"] == "asked for"
        assert labels.report["simd"] == native.simd_active()
        assert labels.report["engine"]
    assert not calls


def test_each_strategy_reports_counters_of_its_own(native):
    """The engine itself ran four different strategies, not one under four names."""
    x, y = cases.make("gaussian", 500, 500, 2)
    names = {
        strategy: frozenset(gtn_fast.label(x, y, method=strategy).report["engine"])
        for strategy in cases.strategies(2)
    }
    assert len(set(names.values())) == len(names), names


@pytest.mark.parametrize(
    ("n", "d", "strategy"), [(100, 1, "ray"), (100, 2, "circle"), (100, 40, "screen")]
)
def test_auto(native, calls, n, d, strategy):
    gtn_fast.label(*cases.make("gaussian", n, n, d), threads=1)
    assert calls == [("native", strategy, 1)]


def test_the_engine_refuses_what_python_would_not_pass(native):
    """The binding does not trust its caller blindly either."""
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match="fast"):
        native.match(x, x, strategy="fast", threads=1)


def test_groups_use_one_thread_each_when_small(native, calls):
    x, y = cases.make("gaussian", 400, 400, 3)
    g = np.arange(400) // 2
    report = gtn_fast.label(x, y, groups=(g, g), threads=2).report
    assert len(calls) == 200
    assert {threads for _, _, threads in calls} == {1}
    assert report["groups"] == 200


def test_unknown_strategy_is_not_swallowed(native):
    with pytest.raises(ValueError, match="annoy"):
        for_strategy("annoy")(np.eye(3), np.eye(3), strategy="annoy", threads=1)


def test_layouts_reach_the_engine_without_a_copy(native, monkeypatch):
    seen = []
    run = native_backend.match

    def call(x, y, **keywords):
        seen.append((x, y))
        return run(x, y, **keywords)

    monkeypatch.setattr(native_backend, "match", call)
    x, y = cases.make("gaussian", 100, 80, 3)
    gtn_fast.label(x[::2], y[:40])
    assert np.shares_memory(seen[0][0], x)
    assert np.shares_memory(seen[0][1], y)


def test_little_work_is_done_by_one_thread_unless_some_are_asked_for(native, calls, monkeypatch):
    monkeypatch.setenv("GTN_FAST_THREADS", "2")
    x, y = cases.make("gaussian", 300, 200, 8)
    report = gtn_fast.label(x, y).report
    assert (calls.pop()[2], report["threads"]) == (1, 1)
    report = gtn_fast.label(x, y, threads=2).report
    assert (calls.pop()[2], report["threads"]) == (2, 2)
    monkeypatch.setattr(costs, "_ALONE_S", 0.0)
    report = gtn_fast.label(x, y).report
    assert (calls.pop()[2], report["threads"]) == (2, 2)
