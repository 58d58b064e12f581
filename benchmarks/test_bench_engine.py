"""pytest-benchmark cases at modest sizes: `pytest benchmarks` (never part of make test).

To compare two commits: `pytest benchmarks --benchmark-save=before`, then
`pytest benchmarks --benchmark-compare`. Every answer is verified outside the timing.
"""

from __future__ import annotations

import pytest

import gtn_fast
from benchmarks import workloads
from gtn_fast.backends import native

N = 10_000
STRATEGIES = [
    ("ray", 1),
    ("circle", 2),
    ("tree", 2),
    ("tree", 3),
    ("tree", 8),
    ("screen", 8),
    ("screen", 32),
    ("screen", 100),
]


@pytest.mark.parametrize("d", [3, 32, 100, 512])
def test_kernels(benchmark, d):
    """The rate that the planner goes by; measuring it takes a fixed time."""
    rate = benchmark.pedantic(native.module().screening_rate, args=(d,), rounds=3)
    benchmark.extra_info["pairs_per_s"] = rate


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("method", "d"), STRATEGIES)
def test_strategy(benchmark, method, d, threads):
    work = workloads.make("gaussian", N, N, d)
    labels = benchmark(gtn_fast.label, work.x, work.y, method=method, threads=threads)
    gtn_fast.verify(work.x, work.y, labels, sample=200)


@pytest.mark.parametrize(("name", "d"), [("gaussian", 100), ("mnist", 64), ("rays", 32)])
def test_label(benchmark, name, d):
    """End to end, Y drawn from a seed."""
    work = workloads.make(name, N, N, d)
    labels = benchmark(gtn_fast.label, work.x)
    gtn_fast.verify(work.x, labels.y, labels, sample=200)


@pytest.mark.parametrize("d", [2, 100])
def test_verify(benchmark, d):
    work = workloads.make("gaussian", N, N, d)
    labels = gtn_fast.label(work.x, work.y)
    report = benchmark(gtn_fast.verify, work.x, work.y, labels, sample=200)
    assert report.checked == 200
