"""plan: the choice, the prediction, its words."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tracemalloc
import warnings
from typing import ClassVar

import cases
import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast.planning import calibration, choice, constants, planner, rehearsal
from gtn_fast.planning.calibration import SAME, by_dimension, speeds
from gtn_fast.planning.costs import cone_share, duration_text, seconds_of
from gtn_fast.planning.look import Spread, look
from gtn_fast.planning.planner import make_plan

BIG = 10**6


@pytest.mark.parametrize(
    ("n", "d", "strategy"),
    [(BIG, 1, "ray"), (BIG, 2, "circle"), (BIG, 3, "tree"), (BIG, 100, "screen"), (5, 1, "ray")],
)
def test_choice(n, d, strategy):
    plan = gtn_fast.plan(n, d=d)
    assert plan.strategy == strategy
    assert (plan.n_x, plan.n_y, plan.d) == (n, n, d)
    assert plan.why


@pytest.mark.parametrize("d", [1, 2, 3, 6, 10, 16, 17, 300])
@pytest.mark.parametrize("n", [1, 100, 10**4, BIG, 10**8])
def test_auto_is_exact_and_fits(n, d):
    plan = gtn_fast.plan(n, d=d)
    assert plan.strategy in cases.strategies(d)
    assert plan.seconds > 0
    assert plan.bytes > 0


@pytest.mark.parametrize("method", ["ray", "circle", "tree", "screen", "reference", "rank"])
def test_forced(method):
    d = {"circle": 2, "tree": 4}.get(method, 1)
    plan = gtn_fast.plan(1000, d=d, method=method)
    assert (plan.strategy, plan.why) == (method, "asked for")
    assert plan.seconds > 0


def test_more_work_costs_more():
    for method, d in [("tree", 4), ("screen", 50), ("reference", 50)]:
        costs = [gtn_fast.plan(n, d=d, method=method) for n in (10**3, 10**4, 10**5)]
        assert costs[0].seconds < costs[1].seconds < costs[2].seconds
        assert costs[0].bytes < costs[1].bytes < costs[2].bytes
    assert gtn_fast.plan(10**6, 10**3, 50).seconds < gtn_fast.plan(10**6, 10**6, 50).seconds


def test_memory_stays_within_the_promise():
    """At most 2.5 times X and Y in float32 beyond the inputs, at n = 10**6, d = 100."""
    assert gtn_fast.plan(BIG, d=100).bytes < 2.5 * 2 * BIG * 100 * 4


@pytest.mark.parametrize("container", [np.asarray, torch.tensor, np.asfortranarray])
def test_of_data(container):
    x = container(cases.make("gaussian", 300, 1, 5)[0])
    plan = gtn_fast.plan(x)
    assert (plan.n_x, plan.n_y, plan.d) == (300, 300, 5)
    assert gtn_fast.plan(x, 100).n_y == 100


def test_label_follows_the_plan(native):
    for d in (1, 2, 3, 8, 40):
        x, y = cases.make("gaussian", 400, 300, d)
        plan = gtn_fast.plan(x, 300, threads=2)
        report = gtn_fast.label(x, y, threads=2).report
        assert (report["strategy"], report["why"]) == (plan.strategy, plan.why)
        assert report["predicted_seconds"] == plan.seconds


def test_a_look_at_directions():
    n = 3000
    for d in (5, 20, 100):
        isotropic = look(cases.make("gaussian", n, 1, d)[0])
        assert 1 <= isotropic.crowding < 1.25
        assert 1 <= isotropic.decay < 1.25
    cone = look(cases.make("narrow_cone", n, 1, 50)[0])
    assert cone.crowding > 45  # one direction, and nothing decays around it
    assert cone.decay < 1.5
    decaying = look(cases.make("decaying_spectrum", n, 1, 50)[0])
    assert 4 < decaying.crowding < 50
    assert 4 < decaying.decay < 50
    line = np.outer(np.linspace(-1, 1, 100), np.ones(7))
    assert look(line).crowding == pytest.approx(7)
    assert look(torch.ones(100, 3, dtype=torch.bfloat16)).crowding == pytest.approx(3)


def test_a_look_at_hardly_anything():
    for empty in (np.zeros((10, 3)), np.full((10, 3), np.nan), np.ones((1, 3))):
        assert look(empty) == Spread(3, 1)
    assert look(np.ones((10, 3))).decay == 1


def test_a_look_at_the_data_changes_the_prediction(monkeypatch):
    """By the measured exponents; whatever they are, isotropic data do not care."""
    monkeypatch.setattr(planner, "_PLAN_CALIBRATES_FROM_S", 1e9)
    constants = planner.t
    for name, which, method, d in [
        ("one_orthant", "TREE_CROWDING", "tree", 8),
        ("decaying_spectrum", "SCREEN_DECAY", "screen", 64),
    ]:
        x = cases.make(name, 20_000, 1, d)[0]
        y = cases.make("gaussian", 20_000, 1, d)[0]
        predicted = []
        for exponent in (0.0, 0.5):
            monkeypatch.setattr(constants, which, exponent)
            predicted.append([gtn_fast.plan(data, method=method).seconds for data in (x, y)])
        (flat, isotropic), (grown, isotropic_again) = predicted
        assert grown > 1.3 * flat
        assert isotropic_again == pytest.approx(isotropic, rel=0.1)


def test_cones_leave_less_the_more_rows_there_are():
    for d in (9, 10, 12, 16):
        shares = [cone_share(n, n, d) for n in (60_000, 10**6, 4 * 10**6, 10**7)]
        assert shares[0] == 1
        assert shares[0] > shares[1] > shares[2] > shares[3] > 0
    million = [cone_share(BIG, BIG, d) for d in (8, 9, 10, 12, 16, 24, 25)]
    assert million[0] == million[-1] == 1
    assert million[1:5] == sorted(million[1:5])
    # With the last y's few x's are free, and cones pay no more.
    assert cone_share(BIG, BIG // 10, 10) < million[2]
    # A spectrum that decays is as good as fewer dimensions.
    assert cone_share(BIG, BIG, 16, Spread(1.6, 1.6)) == pytest.approx(million[2])


def test_the_cost_of_sifting_is_the_engines(native):
    """Of every instruction set that this processor has; the table's is that of its machine."""
    told = {}
    for level in native.simd_levels():
        code = "from gtn_fast import _native; print(_native.sift_cost())"
        environment = {**os.environ, "GTN_FAST_SIMD": level}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        told[level] = float(done.stdout)
    assert told["scalar"] == 1.0
    assert all(cost >= 1.0 for cost in told.values())
    assert told.get("avx512vnni", constants.SIFT_COST) == constants.SIFT_COST
    found = calibration.speeds("screen", 10).sift
    assert found == told[native.simd_active()] / constants.SIFT_COST


def test_predictions_know_of_cones():
    quick = seconds_of("screen", BIG, BIG, 10, 1)
    even = seconds_of("screen", BIG, BIG, 10, 1, cones=False)
    assert quick < 0.6 * even
    assert seconds_of("screen", BIG, BIG, 25, 1) == seconds_of(
        "screen", BIG, BIG, 25, 1, cones=False
    )
    assert seconds_of("tree", BIG, BIG, 10, 1) == seconds_of("tree", BIG, BIG, 10, 1, cones=False)
    # Where to sift is slow, as in plain loops, cones do not pay.
    slow = seconds_of("screen", BIG, BIG, 10, 1, machine=SAME._replace(sift=20.0))
    assert slow == even


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_plans_know_where_cones_are_not(machine, metric):
    by_size = {"metric": metric, "threads": 1, "method": "screen"}
    here = gtn_fast.plan(BIG, d=12, **by_size).seconds
    machine.cost = 20.0  # cones never pay
    without = gtn_fast.plan(BIG, d=12, **by_size)
    machine.cost = constants.SIFT_COST
    assert (here < 0.7 * without.seconds) is (metric == "cosine")
    scratch = gtn_fast.plan(BIG, d=12, memory=without.bytes - 2 * 10**7, **by_size)
    assert scratch.scratch_bytes > 0
    assert scratch.seconds > 0.7 * without.seconds


def test_every_thread_of_a_screen_has_buffers():
    alone, many = (gtn_fast.plan(BIG, d=1000, threads=n).bytes for n in (1, 65))
    assert many - alone > 64 * 4096 * 1000 * 8  # a frame's directions, in double
    assert gtn_fast.plan(40, d=1000, threads=64).bytes < 10**8
    # Fewer frames than threads: most have none.
    few, fewer = (gtn_fast.plan(8192, d=1000, threads=n).bytes for n in (64, 2))
    assert few == fewer


def test_tables_by_dimension():
    table = {2: 1.0, 8: 4.0}
    seconds = [by_dimension(table, d) for d in (1, 2, 8, 16)]
    assert seconds == pytest.approx([1, 1, 4, 8])
    assert by_dimension(table, 4) == pytest.approx(2)  # log-log


@pytest.fixture
def machine(monkeypatch):
    """A machine whose speeds the test sets; it counts how often each was measured."""

    class Machine:
        pairs_per_s = 1e9
        cost = constants.SIFT_COST
        trial_s: ClassVar = {"ray": 0.01, "circle": 0.01, "tree": 0.01, "screen": 0.01}
        measured: ClassVar = []

        @classmethod
        def screening_rate(cls, d):
            cls.measured.append(("kernel", d))
            return cls.pairs_per_s

        @classmethod
        def sift_cost(cls):
            return cls.cost

        @classmethod
        def trial(cls, strategy, d):
            cls.measured.append((strategy, d))
            return cls.trial_s[strategy]

    Machine.measured.clear()
    monkeypatch.setattr(calibration.native, "available", lambda: True)
    monkeypatch.setattr(calibration.native, "module", lambda: Machine)
    monkeypatch.setattr(calibration, "trial", Machine.trial)
    calibration.forget()
    yield Machine
    calibration.forget()


def test_calibration_scales_predictions(machine):
    """A machine half as fast needs twice as long."""
    first = gtn_fast.plan(BIG, d=100).seconds
    assert gtn_fast.plan(BIG, d=100).seconds == first
    # Once, and at the dimensions of the table beside it, then remembered; the kernel at whole
    # vectors, a remainder is a matter of luck.
    assert machine.measured == [*(("screen", d) for d in (100, 64, 128)),
                                *(("kernel", d) for d in (104, 64, 128))]  # fmt: skip
    gtn_fast.plan(100, d=77)
    assert len(machine.measured) == 6  # small problems are not worth it
    calibration.forget()
    machine.pairs_per_s /= 2
    machine.trial_s = {name: 2 * seconds for name, seconds in machine.trial_s.items()}
    assert gtn_fast.plan(BIG, d=100).seconds == pytest.approx(2 * first, rel=0.01)


def test_one_disturbed_measurement_does_not_count_in_full(machine, monkeypatch):
    """A trial that took four times as long moves the speed of its dimension by half of that."""
    quiet = speeds("screen", 32).rest
    calibration.forget()
    trial = machine.trial
    monkeypatch.setattr(
        calibration, "trial", lambda strategy, d: trial(strategy, d) * (4 if d == 32 else 1)
    )
    assert speeds("screen", 32).rest == pytest.approx(quiet / 2)
    assert speeds("screen", 64).rest < 4 * speeds("screen", 32).rest


def test_kernel_and_rest_count_apart(machine):
    """A kernel without end of speed leaves what lies beside it."""
    first = gtn_fast.plan(BIG, d=100).seconds
    calibration.forget()
    machine.pairs_per_s = 1e30
    beside = gtn_fast.plan(BIG, d=100).seconds
    assert 0 < beside < first
    calibration.forget()
    machine.trial_s = {**machine.trial_s, "screen": 0.02}
    assert gtn_fast.plan(BIG, d=100).seconds == pytest.approx(2 * beside, rel=0.01)


@pytest.mark.parametrize(("method", "d"), [("ray", 1), ("circle", 2), ("tree", 5)])
def test_each_strategy_is_measured_by_itself(machine, method, d):
    first = gtn_fast.plan(BIG, d=d, method=method).seconds
    assert {strategy for strategy, _ in machine.measured} == {method}
    assert machine.measured[0] == (method, d)
    calibration.forget()
    machine.trial_s = {method: machine.trial_s[method] / 2}
    assert gtn_fast.plan(BIG, d=d, method=method).seconds == pytest.approx(first / 2, rel=0.02)


def test_the_choice_is_this_machines(machine):
    """Where a tree and a screen both fit, what is fast here decides."""
    machine.trial_s = {**machine.trial_s, "tree": 1e-9}
    assert gtn_fast.plan(BIG, d=10).strategy == "tree"
    calibration.forget()
    machine.trial_s = {**machine.trial_s, "tree": 1e9}
    assert gtn_fast.plan(BIG, d=10).strategy == "screen"
    assert gtn_fast.plan(BIG, d=10, method="tree").strategy == "tree"
    # Not for a match that would not measure.
    small = gtn_fast.plan(20_000, d=5)
    assert small.strategy == make_plan(20_000, 20_000, 5, "auto", small.threads).strategy


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_what_the_data_do_to_a_strategy_counts(native, monkeypatch, metric):
    """Rows that a screen is slow on go to the tree, whatever sizes alone would say."""
    normals = cases.make("gaussian", 20_000, 1, 8)[0]
    data = normals.astype(np.float32) + 5
    of_data, tried = {}, []

    def best_time(x, y, strategy, metric):
        own = abs(float(x.mean())) > 1
        tried.append((own, strategy, metric, x.dtype, x.shape, y.dtype, y.shape))
        return of_data.get(strategy, 1.0) if own else 1.0

    monkeypatch.setattr(rehearsal, "best_time", best_time)
    monkeypatch.setattr(planner, "_REHEARSES_FROM_S", 1e-9)
    rehearsal._of_normals.cache_clear()
    first = gtn_fast.plan(data, metric=metric)
    narrow = (np.float32, (1000, 8)) * 2
    assert [each for each in tried if each[0]] == [
        (True, strategy, metric, *narrow) for strategy in ("tree", "screen")
    ]
    other = {"tree": "screen", "screen": "tree"}[first.strategy]
    of_data[first.strategy] = 100.0
    assert gtn_fast.plan(data, metric=metric).strategy == other
    of_data[other] = 100.0
    both = gtn_fast.plan(data, metric=metric)
    assert both.strategy == first.strategy
    assert both.seconds == pytest.approx(100 * first.seconds, rel=0.5)
    of_data.clear()
    of_data[first.strategy] = 0.01  # a small match that is quicker says nothing of a large one
    assert gtn_fast.plan(data, metric=metric) == first
    rehearsal._of_normals.cache_clear()


def test_a_rehearsal_takes_what_comes(native):
    """Wide numbers, zeros, rows that are not finite, too few: at least 1, and no warning."""
    x = cases.make("gaussian", 3000, 1, 4)[0].astype(np.float64)
    hostile = x.copy()
    hostile[::2] = 0
    hostile[1::4] = np.nan
    for data in (x, 1e300 * x, 1e-300 * x, hostile, x[:10], np.zeros((2000, 4)), torch.tensor(x)):
        for metric in ("cosine", "euclidean"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                slower = rehearsal.rehearse(data, metric)
            assert all(1 <= times < math.inf for times in slower)
    assert rehearsal.rehearse(x[:10]) == (1, 1)


def test_a_match_waits_for_no_measurement_that_it_cannot_repay(machine):
    make_plan(20_000, 20_000, 3, "auto", 1)
    assert machine.measured == []
    make_plan(BIG, BIG, 100, "auto", 1, calibrate_from=math.inf)
    assert machine.measured == []
    make_plan(BIG, BIG, 100, "auto", 1)
    assert machine.measured != []


def test_without_the_engine_the_table_stands(monkeypatch):
    monkeypatch.setattr(calibration.native, "available", lambda: False)
    calibration.forget()
    assert speeds("screen", 100) == SAME
    calibration.forget()


def test_measuring_takes_any_dimension(native):
    """The trial is of a few rows, and of few columns where X would be huge."""
    calibration.forget()
    for strategy, d in [("ray", 1), ("circle", 2), ("tree", 16), ("screen", 9), ("screen", 2**31)]:
        tracemalloc.start()
        kernel, rest, _ = speeds(strategy, d)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**25
        assert 0 < kernel < math.inf
        assert 0 < rest < math.inf
    assert native.screening_rate(3) > 1e5


def test_words():
    text = str(gtn_fast.plan(BIG, 10**5, 100, threads=1))
    assert "100000 rows of Y, 1000000 rows of X, d = 100, threads = 1" in text
    assert "strategy   screen: d = 100" in text
    assert re.search(r"time       about \S+ \S+ \(\S+ \S+ to \S+ \S+\)\n", text)
    assert "memory     about" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12.3 ms"), (5, "5 s"), (119, "119 s"), (600, "10 min"), (7200, "2 h")],
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        ((10,), {}, TypeError, "needs d"),
        ((10, 20, 3), {}, ValueError, "Y has 20 rows, X only 10"),
        ((0, None, 3), {}, ValueError, "n_x must be from 1"),
        ((10, 0, 3), {}, ValueError, "n_y must be from 1"),
        ((10, 5, 0), {}, ValueError, "d must be from 1"),
        ((10.0, 5, 3), {}, TypeError, "n_x must be an integer, got float"),
        ((np.zeros((4, 3)), None, 3), {}, TypeError, "X itself says it"),
        ((np.zeros(4),), {}, ValueError, "X must be a matrix"),
        ((10, 5, 3), {"method": "circle"}, ValueError, "needs d = 2"),
        ((10, 5, 3), {"method": "best"}, ValueError, "unknown method"),
        ((10, 5, 3), {"threads": 0}, ValueError, "threads must be from 1"),
    ],
)
def test_bad_input(arguments, keywords, error, message):
    with pytest.raises(error, match=message):
        gtn_fast.plan(*arguments, **keywords)


MEASURE_BYTES = """
import sys
import numpy as np
import gtn_fast, gtn_fast._native


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


method, n, d = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
x = gtn_fast.normal(0, 0, n, d)
y = gtn_fast.normal(1, 0, n, d)
before = peak()
report = gtn_fast.label(x, y, method=method, threads=2).report
print(peak() - before, report["predicted_bytes"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("method", "n", "d"),
    [
        ("ray", 300_000, 1),
        ("rank", 300_000, 1),
        ("circle", 300_000, 2),
        ("tree", 200_000, 3),
        ("tree", 100_000, 8),
        ("screen", 20_000, 32),
        ("screen", 20_000, 128),
        pytest.param("screen", 200_000, 100, marks=pytest.mark.slow),
        ("reference", 3000, 64),
    ],
)
def test_predicted_bytes_within_a_factor_of_two(native, method, n, d):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE_BYTES, method, str(n), str(d)],
        capture_output=True,
        text=True,
        check=True,
    )
    used, predicted = (int(value) for value in done.stdout.split())
    slack = 8e6 if n < 200_000 else 0  # pages of Python and of threads' stacks
    assert predicted >= (used - slack) / 2
    assert predicted <= 2 * (used + slack)


def test_auto_takes_what_is_predicted_to_be_quicker(monkeypatch):
    seconds = {}
    monkeypatch.setattr(choice, "seconds_of", lambda strategy, *_, **__: seconds[strategy])
    for tree, screen, expected in ((1.0, 2.0, "tree"), (2.0, 1.0, "screen"), (1.0, 1.0, "tree")):
        seconds |= {"tree": tree, "screen": screen}
        for d in (3, 16):
            strategy, why = choice.choose(1000, 1000, d)
            assert strategy == expected
            assert why.startswith(f"d = {d}: a {expected} takes about")
    seconds |= {"tree": 1.0, "screen": 2.0}
    assert choice.choose(1000, 1000, 17)[0] == "screen"
    assert choice.choose(1000, 1000, 1)[0] == "ray"
    assert choice.choose(1000, 1000, 2)[0] == "circle"
