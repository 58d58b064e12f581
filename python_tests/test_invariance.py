"""One answer: whatever strategy, thread count, block size, instruction set or row layout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gtn_fast
from gtn_fast.reference import match

DIMENSIONS = [1, 2, 3, 5, 8, 16, 17, 33, 100]


def check(x, y, expected=None, **keywords):
    """Every strategy that handles the dimension gives the reference's answer, bit for bit."""
    x_index, cosine, order = match(x, y) if expected is None else expected
    for strategy in cases.strategies(x.shape[1]):
        labels = gtn_fast.label(x, y, method=strategy, **keywords)
        assert (labels.order == order).all(), strategy
        assert (labels.x_index == x_index).all(), strategy
        assert (labels.cosine == cosine.astype(np.float32)).all(), strategy


@pytest.mark.parametrize("part", ["x_index", "order", "cosine"])
def test_the_comparator_notices_one_wrong_element(native, monkeypatch, part):
    x, y = cases.make("gaussian", 50, 40, 3)
    run = gtn_fast.label

    def wrong(*arguments, **keywords):
        labels = run(*arguments, **keywords)
        values = getattr(labels, part)
        values[[5, 6]] = values[[6, 5]]
        return labels

    check(x, y)
    monkeypatch.setattr(gtn_fast, "label", wrong)
    with pytest.raises(AssertionError, match="tree"):
        check(x, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("name", sorted(cases.FRIENDLY))
def test_strategies(native, name, d, dtype):
    x, y = (part.astype(dtype) for part in cases.make(name, 700, 600, d))
    check(x, y)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("name", ["clustered", "integers", "half_duplicates"])
def test_threads_and_blocks(native, name, d):
    x, y = cases.make(name, 900, 700, d)
    expected = match(x, y)
    for threads in (1, 2, 3):
        for block, list_length in [(0, 0), (1, 1), (7, 2), (64, 16), (700, 1), (5000, 64)]:
            check(x, y, expected, threads=threads, block=block, list_length=list_length)


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 63, 64, 65, 255, 256, 257])
@pytest.mark.parametrize("d", [1, 2, 3, 7, 8, 9, 32])
def test_sizes_on_the_boundaries(native, n, d):
    check(*cases.make("gaussian", n, n, d))
    check(*cases.make("integers", n + 1, n, d))


@pytest.mark.parametrize(
    "d", [31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 784, 1024]
)
def test_dimensions_on_the_boundaries(native, d):
    check(*cases.make("gaussian", 120, 100, d))
    check(*cases.make("decaying_spectrum", 120, 100, d))


def test_many_threads_for_little_work(native):
    for d in (1, 2, 3, 20):
        check(*cases.make("gaussian", 5, 4, d), threads=64)


def test_permuted_columns_of_exact_data(native):
    """Integer data whose dots are exact: the order of coordinates cannot matter either."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (300, 16))
    y = rng.choice([-1.0, 1.0], (250, 16))
    expected = gtn_fast.label(x, y, method="screen")
    p = rng.permutation(16)
    assert (gtn_fast.label(x[:, p], y[:, p], method="screen").x_index == expected.x_index).all()


def test_repeated_calls(native):
    x, y = cases.make("clustered", 2000, 2000, 6)
    for strategy in cases.strategies(6):
        first = gtn_fast.label(x, y, method=strategy, threads=2).x_index
        for _ in range(5):
            again = gtn_fast.label(x, y, method=strategy, threads=2).x_index
            assert (again == first).all()


# ------------------------------------------------------------------ properties

VALUES = {
    "ties": st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]),
    "signs": st.sampled_from([-1.0, 1.0]),
    "magnitudes": st.sampled_from([0.0, 1e-300, -1e-30, 1.0, -1.0, 3.0, 1e30, -1e300, 5e-324]),
    "neighbours": st.sampled_from([1.0, np.nextafter(1.0, 2), np.nextafter(1.0, 0), -1.0]),
    "any": st.floats(allow_nan=False, allow_infinity=False, width=64),
    "any32": st.floats(allow_nan=False, allow_infinity=False, width=32),
}


@st.composite
def problems(draw):
    d = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 9, 17]))
    n_x = draw(st.integers(1, 24))
    n_y = draw(st.integers(1, n_x))
    values = VALUES[draw(st.sampled_from(sorted(VALUES)))]
    x = draw(hnp.arrays(np.float64, (n_x, d), elements=values))
    y = draw(hnp.arrays(np.float64, (n_y, d), elements=values))
    if draw(st.booleans()):  # repeat rows of X, so that equal directions and norms occur
        x = x[draw(hnp.arrays(np.int64, n_x, elements=st.integers(0, n_x - 1)))]
    return x, y


@given(problems(), st.integers(1, 3), st.sampled_from([0, 1, 2, 5]), st.sampled_from([0, 1, 2, 3]))
def test_property(native, xy, threads, block, list_length):
    check(*xy, threads=threads, block=block, list_length=list_length)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(cases.ALL)), st.sampled_from(DIMENSIONS))
def test_property_of_workloads(native, seed, name, d):
    n_x, n_y = sorted(np.random.default_rng(seed).integers(1, 400, 2))[::-1]
    check(
        *cases.make(name, int(n_x), int(n_y), d, seed),
        threads=1 + seed % 3,
        block=seed % 7 * 10,
        list_length=seed % 5,
    )


# ------------------------------------------------------------ instruction sets

ALL_WORKLOADS = """
import hashlib, sys
import cases, gtn_fast
from gtn_fast import _native

for name in sorted(cases.ALL):
    for d in (1, 2, 3, 7, 16, 17, 31, 32, 33, 64, 100):
        x, y = cases.make(name, 300, 260, d)
        for strategy in cases.strategies(d):
            labels = gtn_fast.label(x, y, method=strategy, threads=2)
            assert labels.report["simd"] == _native.simd_active()
            digest = hashlib.sha256(labels.x_index.tobytes() + labels.cosine.tobytes())
            print(name, d, digest.hexdigest(), strategy)
print("active", _native.simd_active())
"""


def run_with(level, code=ALL_WORKLOADS):
    environment = os.environ | {"GTN_FAST_SIMD": level, "PYTHONPATH": str(Path(__file__).parent)}
    if not level:
        del environment["GTN_FAST_SIMD"]
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(gtn_fast.__file__).parents[1],
        check=False,
    )


def test_instruction_sets(native):
    """Every level this machine has, forced, gives one answer for every workload and strategy."""
    levels = native.simd_levels()
    assert "scalar" in levels
    assert native.simd_active() in levels
    outputs = {}
    for level in levels:
        done = run_with(level)
        assert done.returncode == 0, done.stderr
        *lines, active = done.stdout.splitlines()
        assert active == f"active {level}"
        outputs[level] = lines
    scalar = outputs["scalar"]
    assert len(scalar) > 300
    for lines in outputs.values():
        assert lines == scalar
    by_problem = {}
    for line in scalar:
        name, d, digest, _ = line.split()
        assert by_problem.setdefault((name, d), digest) == digest


def test_a_level_this_machine_lacks(native):
    lacking = sorted(set(native.simd_compiled()) - set(native.simd_levels()))
    code = "import numpy as np, gtn_fast; gtn_fast.label(np.eye(20), method='screen')"
    for level in [*lacking, "sse9", "AVX2 "]:
        done = run_with(level, code)
        assert done.returncode == 1, (level, done.returncode)
        assert "Error" in done.stderr
        for usable in native.simd_levels():
            assert usable in done.stderr


def test_best_level_is_the_default(native):
    done = run_with(
        "",
        "import json; from gtn_fast import _native as n; print(json.dumps("
        "[n.simd_active(), n.simd_levels(), n.simd_compiled()]))",
    )
    active, levels, compiled = json.loads(done.stdout)
    assert active == levels[0]
    assert set(levels) <= set(compiled)
