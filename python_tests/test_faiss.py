"""Method "faiss": every y matched, no x twice, whatever the data; what it claims is so."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time

import cases
import faiss
import numpy as np
import pytest
from cli_runs import one_line, prepare, run

import gtn_fast
from gtn_fast.backends import registry
from gtn_fast.backends.faiss import backend as faiss_backend
from gtn_fast.backends.faiss import centres as faiss_centres
from gtn_fast.backends.faiss import cost as faiss_cost
from gtn_fast.backends.faiss.options import KINDS, QUALITIES
from gtn_fast.check.quality import cosine_ratio, estimate_quality
from gtn_fast.planning.planner import make_plan
from gtn_fast.reference import directions_and_norms, match, ordered_dot


def label(x, y, **options):
    """By lists as far as they go: small sets are otherwise the exact engine's."""
    return gtn_fast.label(x, y, **{"method": "faiss", "threads": 1, "exact_below": 0, **options})


def by_brute_force(x, y, labels):
    """The numbers of report["quality"] over all y's, one y at a time, from the definition."""
    u, x_norm = directions_and_norms(x)
    v, y_norm = directions_and_norms(y)
    free = np.ones(len(x), bool)
    own, best, before = [], [], []
    for y_row in np.argsort(y_norm, kind="stable"):
        cosine = ordered_dot(u, v[y_row])
        chosen = labels.x_index[y_row]
        rows = np.flatnonzero(free)
        order = rows[np.lexsort((rows, x_norm[rows], -cosine[rows]))]
        own.append(cosine[chosen])
        best.append(cosine[order[0]])
        before.append(int(np.flatnonzero(order == chosen)[0]))
        free[chosen] = False
    own, best, before = np.array(own), np.array(best), np.array(before)
    return {
        "sample": len(y),
        "agreement": (before == 0).mean(),
        "mean_cosine": own.mean(),
        "mean_best_cosine": best.mean(),
        "mean_cosine_lost": (best - own).mean(),
        "cosine_ratio": cosine_ratio(own.mean(), best.mean()),
        "rank_regret_mean": before.mean(),
        "rank_regret_median": np.median(before),
    }


# ------------------------------------------------------------------ always a matching


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize(("n_x", "n_y", "d"), [(300, 300, 3), (400, 250, 20), (200, 200, 1)])
def test_every_y_is_matched_and_no_x_twice(native, capfd, name, n_x, n_y, d):
    x, y = cases.make(name, n_x, n_y, d)
    labels = label(x, y, quality="fast")
    assert len(set(labels.x_index.tolist())) == n_y
    assert labels.x_index.min() >= 0
    assert labels.x_index.max() < n_x
    assert (labels.order == match(x, y)[2]).all()
    u, v = (directions_and_norms(part)[0] for part in (x[labels.x_index], y))
    assert (labels.cosine == ordered_dot(u, v).astype(np.float32)).all()
    assert labels.report["engine"]["builds"] > 0 or name == "zero_rows"
    assert gtn_fast.verify(x, y, labels).complete
    assert capfd.readouterr() == ("", "")  # FAISS warns on stderr about small training sets


@pytest.mark.parametrize("d", [1, 2, 7, 33, 600])
def test_dimensions(native, capfd, d):
    x, y = cases.make("gaussian", 400, 400, d)
    labels = label(x, y)
    assert gtn_fast.verify(x, y, labels).quality["cosine_ratio"] > 0.85
    assert labels.report["engine"]["exact_rows"] < 100
    for kind in KINDS:
        assert (label(x, y, index=kind).x_index == labels.x_index).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("n", [1, 2, 17, 63])
def test_few_rows_are_the_exact_engines(native, n):
    x, y = cases.make("gaussian", n, n, 6)
    labels = label(x, y)
    assert (labels.x_index == match(x, y)[0]).all()
    assert labels.report["engine"]["exact_rows"] == n
    assert labels.report["quality"]["agreement"] == 1
    assert labels.report["exact"] is False  # what the method promises, not what came out


def test_where_the_exact_engine_is_cheaper_it_does_all(native):
    x, y = cases.make("gaussian", 3000, 3000, 8)
    labels = label(x, y, exact_below=None)
    assert (labels.x_index == gtn_fast.label(x, y).x_index).all()
    assert labels.report["engine"]["builds"] == 0


def test_the_last_stretch_is_exact(native):
    """From where the index stops, the answer is Algorithm 1's on what it left."""
    x, y = cases.make("gaussian", 1500, 1400, 8)
    labels = label(x, y, exact_below=700, quality="fast")
    served = int(labels.report["engine"]["exact_rows"])
    assert 1400 - served == 1500 - 699
    last = np.sort(labels.order[-served:])
    left = np.setdiff1d(np.arange(1500), labels.x_index[labels.order[:-served]])
    expected = left[match(x[left], y[last])[0]]
    assert (labels.x_index[last] == expected).all()


def test_zero_rows_of_y_take_the_smallest(native):
    x, y = cases.make("gaussian", 500, 500, 6)
    x[[3, 77]] = 0
    y[[5, 200, 499]] = 0
    labels = label(x, y)
    expected = gtn_fast.label(x, y, method="screen").x_index
    assert (labels.x_index[[5, 200, 499]] == expected[[5, 200, 499]]).all()
    assert (labels.cosine[[5, 200, 499]] == 0).all()
    nothing = label(np.zeros((100, 4)), np.zeros((90, 4)))
    assert (nothing.x_index == np.arange(90)).all()


def test_data_that_lists_do_not_part_are_the_exact_engines(native, monkeypatch):
    """One list has nearly all x's and is near to nearly all y's: a look at a sample tells."""
    x, y = cases.make("gaussian", 4000, 4000, 16)
    s = faiss_centres.Settings(nprobe=1, nlist=40)
    few, many = (
        faiss_cost.listed_seconds(s, 4000, 4000, 4000, 16, 1, share=share) for share in (None, 0.9)
    )
    assert few < many
    monkeypatch.setattr(faiss_cost, "exact_seconds", lambda *_: (few + many) / 2)
    by_lists = label(x, y, nprobe=1, nlist=40, exact_below=None).report["engine"]
    assert (by_lists["gave_up"], by_lists["builds"] > 0) == (0, True)
    for each in (x, y):
        each[:3900] = 1 + 1e-9 * each[:3900]
    labels = label(x, y, nprobe=1, nlist=40, exact_below=None)
    assert labels.report["engine"]["gave_up"] == 1
    assert labels.report["engine"]["exact_rows"] == 4000
    assert (labels.x_index == gtn_fast.label(x, y).x_index).all()


def test_groups(native):
    x, y = cases.make("gaussian", 1500, 1500, 8)
    groups = np.arange(1500) % 3
    labels = label(x, y, groups=(groups, groups))
    assert (groups[labels.x_index] == groups).all()
    assert labels.report["quality"]["sample"] == 1000
    checked = gtn_fast.verify(x, y, labels, groups=(groups, groups), sample=10**6)
    assert checked.quality["agreement"] > 0.5


# ------------------------------------------------------------------ how good


@pytest.mark.parametrize("name", ["gaussian", "integers", "zero_rows", "opposite", "few_rays"])
def test_quality_is_what_brute_force_says(native, name):
    x, y = cases.make(name, 500, 450, 5)
    labels = label(x, y, nlist=40, nprobe=1)
    found, expected = labels.report["quality"], by_brute_force(x, y, labels)
    assert found["agreement"] < 1 or name == "few_rays"
    assert found == pytest.approx(expected, abs=1e-12)
    assert all(type(value) in (int, float) for value in found.values())
    assert gtn_fast.verify(x, y, labels).quality == found


def test_quality_of_exact_labels_is_perfect(native):
    for name in sorted(cases.ALL):
        x, y = cases.make(name, 150, 120, 4)
        found = estimate_quality(x, y, gtn_fast.label(x, y).x_index)
        assert found["agreement"] == found["cosine_ratio"] == 1
        assert found["mean_cosine_lost"] == found["rank_regret_mean"] == 0


def test_ratio_of_cosines_of_any_sign():
    assert cosine_ratio(0.45, 0.5) == pytest.approx(0.9)
    assert cosine_ratio(-0.6, -0.5) == pytest.approx(0.8)
    assert cosine_ratio(-0.5, 0.0) == 0
    assert cosine_ratio(0.0, 0.0) == cosine_ratio(-0.3, -0.3) == 1


def test_more_effort_is_better(native):
    x, y = cases.make("gaussian", 4000, 4000, 64)
    ratio = [
        label(x, y, quality=quality, exact_below=1000).report["quality"]["cosine_ratio"]
        for quality in QUALITIES
    ]
    assert ratio[0] < ratio[1] < ratio[2] <= 1
    assert ratio[0] > 0.8


def test_knobs_override_the_quality(native):
    x, y = cases.make("gaussian", 2000, 2000, 8)
    few, some = (label(x, y, nlist=20, nprobe=p, exact_below=1000) for p in (1, 3))
    assert few.report["quality"]["mean_cosine"] < some.report["quality"]["mean_cosine"]
    assert few.report["engine"]["pairs_screened"] < some.report["engine"]["pairs_screened"]
    assert (label(x, y, nlist=20, nprobe=3, refine=1, exact_below=1000).x_index
            == some.x_index).all()  # fmt: skip
    everything = label(x, y, nlist=4, nprobe=4, exact_below=1000)
    assert (everything.x_index == gtn_fast.label(x, y).x_index).all()
    assert everything.report["options"]["nprobe"] == 4


def test_the_effort_rises_to_the_wanted_ratio(native):
    x, y = cases.make("gaussian", 5000, 5000, 24)
    plain = label(x, y, quality="fast", exact_below=1000).report
    raised = label(x, y, quality="fast", exact_below=1000, min_cosine_ratio=0.99).report
    assert plain["quality"]["cosine_ratio"] < 0.98
    assert raised["quality"]["cosine_ratio"] > 0.985
    assert raised["engine"]["pairs_screened"] > plain["engine"]["pairs_screened"]
    best = label(x, y, quality="fast", exact_below=4000, min_cosine_ratio=1.0).report
    assert best["quality"]["cosine_ratio"] > 0.9999


def test_a_ratio_that_costs_more_than_the_exact_engine(native, monkeypatch):
    x, y = cases.make("gaussian", 3000, 3000, 24)
    fast = faiss_centres.settings({"quality": "fast"})
    bar = faiss_cost.listed_seconds(fast, 3000, 3000, 3000, 24, 1) * 1.05
    monkeypatch.setattr(faiss_cost, "exact_seconds", lambda *_: bar)
    with pytest.raises(ValueError, match=r"^min_cosine_ratio=0.999 takes nprobe=\d+, predicted "
                       r".* s; method='auto' is exact and predicted cheaper: .* s$"):  # fmt: skip
        label(x, y, quality="fast", min_cosine_ratio=0.999, exact_below=None)


def test_a_ratio_that_costs_too_much_later(native, monkeypatch):
    """What was served stays; the exact engine, which meets any ratio, does the rest."""
    x, y = cases.make("gaussian", 2000, 2000, 8)
    calls = iter([False] * 6 + [True])
    monkeypatch.setattr(faiss_backend._Run, "exact_is_cheaper", lambda *_, **__: next(calls))
    labels = label(x, y, min_cosine_ratio=0.5, exact_below=None)
    assert labels.report["engine"]["builds"] == 2
    assert labels.report["engine"]["exact_rows"] == 2000 // faiss_cost.REBUILD
    assert sorted(labels.x_index) == list(range(2000))


# ------------------------------------------------------------------ the definition


def nearest_first(u, centres):
    """For every row the lists, best first: by exact cosine, then by norm and row of the centre."""
    c, norm = directions_and_norms(centres)
    order = np.argsort(norm, kind="stable")
    cosines = np.array([ordered_dot(c[order], row) for row in u])
    return order[np.argsort(-cosines, axis=1, kind="stable")]


def by_definition(x, y, centres, probed, stops):
    """Each y in turn: the best free x of its ``probed`` nearest lists, counted from each stop."""
    u, x_norm = directions_and_norms(x)
    v, y_norm = directions_and_norms(y)
    list_of = nearest_first(u, centres)[:, 0]
    lists = nearest_first(v, centres)
    turns = np.argsort(y_norm, kind="stable")
    free = np.ones(len(x), bool)
    chosen = []
    for first, stop in zip([0, *stops], [*stops, len(y)], strict=True):
        alive = np.isin(np.arange(len(centres)), list_of[free])
        for row in turns[first:stop]:
            near = lists[row][alive[lists[row]]]
            wanted = probed
            while not (inside := free & np.isin(list_of, near[:wanted])).any():
                wanted *= 2
            rows = np.flatnonzero(inside)
            cosine = ordered_dot(u[rows], v[row])
            chosen.append(rows[np.lexsort((rows, x_norm[rows], -cosine))[0]])
            free[chosen[-1]] = False
    return np.array(chosen)


@pytest.mark.parametrize(
    "name", ["gaussian", "clustered", "near_ties", "half_duplicates", "integers"]
)
@pytest.mark.parametrize(("probed", "threads"), [(1, 1), (3, 2)])
def test_choices_are_the_best_of_the_probed_lists(native, name, probed, threads):
    x, y = cases.make(name, 400, 380, 7)
    centres = np.random.default_rng(1).standard_normal((24, 7)).astype(np.float32)
    stops = [60, 200, 330]
    matcher = native.ListMatcher(x, y, threads=threads)
    matcher.set_lists(centres)
    for stop in [*stops, len(y)]:
        matcher.match_until(stop, probed=probed)
    turns, x_rows, cosine = matcher.pairs()
    assert (x_rows == by_definition(x, y, centres, probed, stops)).all()
    u, v = directions_and_norms(x)[0], directions_and_norms(y)[0]
    assert (cosine == ordered_dot(u[x_rows], v[turns])).all()
    assert (matcher.done, matcher.free) == (380, 20)


def test_bad_arguments_of_the_matcher(native):
    x, y = cases.make("gaussian", 30, 30, 4)
    with pytest.raises(ValueError, match="Y has more rows than X"):
        native.ListMatcher(x[:20], y, threads=1)
    matcher = native.ListMatcher(x, y, threads=1)
    for bad in (np.zeros((0, 4)), np.zeros((3, 5)), np.zeros(4)):
        with pytest.raises(ValueError, match="centres"):
            matcher.set_lists(bad)
    with pytest.raises(ValueError, match="at least one list must be probed"):
        matcher.match_until(30, probed=0)
    with pytest.raises(ValueError, match="turns: out of range"):
        matcher.try_turns(np.array([30], np.uint32), probed=1)
    matcher.match_until(30, probed=1)
    assert (matcher.pairs()[1] == match(x, y)[0][matcher.pairs()[0]]).all()


# ------------------------------------------------------------------ verify and approximate labels


def test_verify_forgives_worse_choices_but_nothing_else(native):
    x, y = cases.make("gaussian", 600, 600, 8)
    labels = label(x, y, quality="fast")
    report = gtn_fast.verify(x, y, labels, sample=200)
    assert report.checked == 200
    assert 0 < report.quality["agreement"] < 1
    assert report.quality["sample"] == 200
    with pytest.raises(gtn_fast.WrongMatching, match="comes first"):
        gtn_fast.verify(x, y, labels.x_index)  # an index alone makes no such reservation
    twice = labels.x_index.copy()
    twice[1] = twice[0]
    labels.x_index = twice
    with pytest.raises(gtn_fast.WrongMatching, match="given twice"):
        gtn_fast.verify(x, y, labels)
    twice[1] = 600
    with pytest.raises(gtn_fast.WrongMatching, match="has rows 0 to 599"):
        gtn_fast.verify(x, y, labels)


def test_verify_checks_cosines_and_order_of_approximate_labels(native):
    x, y = cases.make("gaussian", 300, 300, 8)
    labels = label(x, y)
    labels.cosine[7] += 0.1
    with pytest.raises(gtn_fast.WrongMatching, match="row 7 of Y: cosine is given"):
        gtn_fast.verify(x, y, labels)
    labels = label(x, y)
    labels.order = labels.order[::-1]
    with pytest.raises(gtn_fast.WrongMatching, match="order is wrong"):
        gtn_fast.verify(x, y, labels)


def test_exact_labels_have_no_quality(native):
    x, y = cases.make("gaussian", 100, 100, 8)
    labels = gtn_fast.label(x, y)
    assert labels.report["exact"] is True
    assert "quality" not in labels.report
    assert gtn_fast.verify(x, y, labels).quality is None


def test_saved_labels_are_still_approximate(native, tmp_path):
    x, y = cases.make("gaussian", 300, 300, 8)
    labels = label(x, y, quality="fast")
    labels.save(tmp_path / "l.npz")
    loaded = gtn_fast.Labels.load(tmp_path / "l.npz")
    assert loaded.report["quality"] == labels.report["quality"]
    assert gtn_fast.verify(x, y, loaded).quality is not None


# ------------------------------------------------------------------ options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quality": "best"}, ValueError, "unknown quality 'best'; valid: fast, balanced, careful"),
        ({"quality": 3}, TypeError, "quality must be a string, got int"),
        ({"index": "hnsw"}, ValueError, "unknown index 'hnsw'; valid: ivf-pq, ivf-flat, ivf-sq8"),
        ({"nlist": 0}, ValueError, "nlist must be from 1 to"),
        ({"nprobe": 2.5}, TypeError, "nprobe must be an integer, got float"),
        ({"refine": 513}, ValueError, "refine must be from 1 to 512, got 513"),
        ({"exact_below": -1}, ValueError, "exact_below must be from 0"),
        ({"min_cosine_ratio": 0}, ValueError, "must be above 0 and at most 1, got 0"),
        ({"min_cosine_ratio": 1.01}, ValueError, "must be above 0 and at most 1, got 1.01"),
        ({"min_cosine_ratio": float("nan")}, ValueError, "at most 1, got nan"),
        ({"min_cosine_ratio": "1"}, TypeError, "min_cosine_ratio must be a number, got str"),
    ],
)
def test_bad_options(native, options, error, message):
    with pytest.raises(error, match=message) as caught:
        label(np.eye(4), None, **options)
    assert "\n" not in str(caught.value)


def test_options_become_plain_values(native, tmp_path):
    x, y = cases.make("gaussian", 300, 300, 8)
    labels = label(x, y, nprobe=np.int64(3), min_cosine_ratio=np.float32(0.5))
    assert labels.report["options"] == {"nprobe": 3, "min_cosine_ratio": 0.5, "exact_below": 0}
    labels.save(tmp_path / "l.npz")
    assert gtn_fast.Labels.load(tmp_path / "l.npz").report == labels.report


@pytest.mark.parametrize("name", registry.get("faiss").option_names)
def test_options_go_with_no_other_method(native, name):
    with pytest.raises(ValueError, match=f"^{name} goes with method 'faiss' only$"):
        gtn_fast.label(np.eye(4), **{name: 1})


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"needs the package faiss, which is not installed:"
                       r" pip install 'gtn-fast\[faiss-cpu\]', or use method='auto'"):  # fmt: skip
        gtn_fast.label(np.eye(4), method="faiss")
    assert "not installed" in registry.why_not("faiss")
    assert gtn_fast.label(np.eye(4)).report["exact"]


def test_the_package_is_imported_only_when_asked_for():
    script = "import sys, gtn_fast; assert 'faiss' not in sys.modules; import numpy as np;" \
        "gtn_fast.label(np.eye(4)); assert 'faiss' not in sys.modules"  # fmt: skip
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


# ------------------------------------------------------------------ how it runs


def test_the_number_of_threads_does_not_matter(native):
    x, y = cases.make("clustered", 2500, 2500, 12)
    expected = label(x, y).x_index
    for threads in (1, 2, 3):
        assert (label(x, y, threads=threads).x_index == expected).all()
    assert (label(x, y, threads=2, block=77, list_length=2).x_index == expected).all()


def test_types_and_layouts_give_the_same_answer(native):
    x, y = cases.make("gaussian", 800, 800, 8)
    y = y.astype(np.float32)
    expected = label(x, y).x_index
    assert (label(np.repeat(x, 2, axis=0)[::2], y).x_index == expected).all()
    wide = np.zeros((800, 20), np.float32)
    wide[:, 3:11] = y
    assert (label(x, wide[:, 3:11]).x_index == expected).all()


def test_faiss_gets_its_threads_back(native):
    x, y = cases.make("gaussian", 300, 300, 8)
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(2)
        label(x, y, threads=1)
        assert faiss.omp_get_max_threads() == 2

        def stop(done, total):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            label(x, y, threads=1, progress=stop)
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)


def test_progress_rises_to_the_end(native):
    x, y = cases.make("gaussian", 4000, 4000, 8)
    calls = []
    label(x, y, exact_below=500, progress=lambda *done: calls.append(done), quality="fast")
    done = [each for each, _ in calls]
    assert done == sorted(done)
    assert len(set(done)) > 3
    assert calls[-1] == (4000, 4000)
    label(np.eye(9), np.zeros((9, 9)), progress=lambda *done: calls.append(done))
    assert calls[-1] == (9, 9)


INTERRUPTED = """
import faiss, numpy as np, gtn_fast
from gtn_fast.backends.faiss import backend
run = backend._Run.{step}
def announced(*arguments):
    print("begun", flush=True)
    return run(*arguments)
backend._Run.{step} = announced
x = np.random.default_rng(0).standard_normal((300_000, 32), dtype=np.float32)
gtn_fast.label(x, method="faiss", quality="careful", exact_below=0, threads=1)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("step", ["_train", "_set_lists", "_serve"])
def test_ctrl_c_is_heard(native, step):
    """While the centroids are trained, and later; the whole takes minutes."""
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(step=step)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.1)  # into the midst of it
        process.send_signal(signal.SIGINT)
        try:
            out, errors = process.communicate(timeout=300)  # a guard against a hang
        finally:
            process.kill()
    assert "KeyboardInterrupt" in errors
    assert process.returncode != 0
    assert out.count("begun") <= 1  # not one block after the other


def test_plan_and_report(native):
    planned = gtn_fast.plan(10**6, d=64, method="faiss")
    assert planned.strategy == "faiss"
    assert planned.why.startswith("asked for; exact labels take about ")
    small = gtn_fast.plan(5000, d=64, method="faiss")
    assert small.why.startswith("asked for; exact all the same, which is quicker: ")
    exact = make_plan(10**6, 10**6, 64, "auto", planned.threads, calibrate_from=math.inf)
    assert 0 < planned.seconds < exact.seconds
    assert gtn_fast.plan(10**6, d=64).strategy == "screen"  # never by itself
    more = gtn_fast.plan(2 * 10**6, d=64, method="faiss")
    assert more.seconds > planned.seconds
    assert more.bytes > planned.bytes
    x, y = cases.make("gaussian", 300, 300, 8)
    report = label(x, y, quality="fast").report
    assert (report["strategy"], report["backend"]) == ("faiss", "faiss")
    assert report["simd"].startswith(f"faiss {faiss.__version__}")
    assert report["options"] == {"quality": "fast", "exact_below": 0}
    assert report["seconds"]["quality"] > 0


@pytest.mark.parametrize("d", [4, 64, 300])
def test_predicted_costs_grow_with_the_work(d):
    costs = [
        faiss_cost.listed_seconds(faiss_centres.settings({"quality": quality}), n, n, n, d, 1)
        for n in (10**5, 10**7)
        for quality in QUALITIES
    ]
    assert costs == sorted(costs)
    s = faiss_centres.settings({})
    one, two = (faiss_cost.rest_seconds(s, 10**6, 10**6, 10**6, d, t) for t in (1, 2))
    assert two <= one
    more = faiss_cost.listed_seconds(s, 10**6, 10**6, 10**6, d, 1, share=0.9)
    assert more > faiss_cost.listed_seconds(s, 10**6, 10**6, 10**6, d, 1)


# ------------------------------------------------------------------ directions, command line


def test_directions_of_any_magnitude():
    for dtype, low, high in ((np.float32, 1e-44, 3e38), (np.float64, 5e-324, 1.7e308)):
        x = np.array([[low, 0, low], [high, -high, 0], [0, 0, 0], [1, high, low]], dtype)
        found = faiss_centres.unit_rows(x)
        expected = directions_and_norms(x)[0]
        assert found.dtype == np.float32
        assert found == pytest.approx(expected, abs=1e-6)


def test_command_line(native, tmp_path, monkeypatch, capsys):
    prepare(tmp_path, monkeypatch)
    options = ("--quality", "fast", "--exact-below", 100, "--nprobe", 2, "--threads", 1)
    assert run("label", "X.npy", "--out", "o.npz", "--method", "faiss", "--verify", 50,
               *options) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "of the exact choices" in out
    assert "of the best cosine" in out
    assert "exact engine served 99 of the y's" in out
    assert "verified     50 choices by brute force: approximate," in out
    options = gtn_fast.Labels.load("o.npz").report["options"]
    assert options == {"quality": "fast", "nprobe": 2, "exact_below": 100}
    assert run("verify", "X.npy", "o.npz") == 0
    assert "one to one, in range" in capsys.readouterr().out
    assert run("label", "X.npy", "--out", "p.npz", "--quality", "fast") == 2
    one_line(capsys, "quality goes with method 'faiss' only")
    assert (
        run("label", "X.npy", "--out", "p.npz", "--method", "faiss", "--min-cosine-ratio", 2) == 2
    )
    one_line(capsys, "min_cosine_ratio must be above 0")
