"""What a job is predicted to take, what runs it, and what the report says of it."""

from __future__ import annotations

import errno
import time
import types
from dataclasses import FrozenInstanceError, replace

import cases
import numpy as np
import pytest
from jobs import arguments, scheduled

import gtn_fast
from gtn_fast.backends import native as native_backend
from gtn_fast.backends import registry
from gtn_fast.backends.options import Choice, Handle, Share, Whole
from gtn_fast.inputs.device import Device
from gtn_fast.inputs.matrices import Stacked
from gtn_fast.planning.planner import Plan
from gtn_fast.run import local
from gtn_fast.run import report as report_module
from gtn_fast.run import schedule as schedule_module
from gtn_fast.run.job import Arguments, Job
from gtn_fast.run.report import Times
from gtn_fast.run.schedule import Schedule

X = np.random.default_rng(0).standard_normal((400, 5)).astype(np.float32)
Y = np.random.default_rng(1).standard_normal((300, 5)).astype(np.float32)


# ------------------------------------------------------------------ bytes


def test_what_is_allocated_is_counted(native, tmp_path):
    """Each array beside the caller's, by its size; and nothing twice."""
    needed = scheduled(X, Y=Y).needed_bytes()
    assert needed == gtn_fast.plan(X, len(Y), threads=1).bytes
    turned = np.asfortranarray
    assert scheduled(turned(X), Y=Y).needed_bytes() - needed == X.nbytes
    assert scheduled(X, Y=turned(Y)).needed_bytes() - needed == Y.nbytes
    given, drawn = scheduled(X, Y=X), scheduled(X)
    assert drawn.needed_bytes() - given.needed_bytes() == X.nbytes
    made_row_by_row = scheduled(X, memory="1GB").needed_bytes()
    assert made_row_by_row == given.needed_bytes()
    kept = scheduled(X, Y=Y, checkpoint=tmp_path / "c").needed_bytes() - needed
    gtn_fast.label(X, Y, checkpoint=tmp_path / "c")
    pairs = (tmp_path / "c").read_bytes().split(b"\n", 2)[2]
    assert kept % len(pairs) == 0
    assert kept // len(pairs) > 1  # while it is written, it is there more than once


def test_groups_are_gathered_one_by_one(native):
    sizes = [10, 60, 30]
    g = np.repeat([0, 1, 2], sizes)
    x = X[:100].astype(np.float64)
    needed = scheduled(x, Y=x, groups=(g, g)).needed_bytes()
    largest = gtn_fast.plan(60, 60, 5, threads=1).bytes
    rows = 2 * 60 * 5 * 8  # of the largest
    results = 2 * 8 * len(x)  # row numbers of both sides
    assert largest + rows + results <= needed < largest + rows + 5 * results
    more = np.repeat([0, 1, 2, 3], [10, 60, 30, 60])
    x = np.concatenate([x, x[10:70]])
    again = scheduled(x, Y=x, groups=(more, more)).needed_bytes()
    assert 0 < again - needed < 60 * 100  # results alone: the groups are not there all at once
    halved = scheduled(x, Y=x[:80], groups=(more, more[:80])).needed_bytes()
    assert halved < again


def test_seconds_of_all_groups(native):
    x, g = X[:120], np.repeat([0, 1, 2, 3], [30, 30, 30, 30])
    one = scheduled(x[:30], Y=x[:30])
    assert scheduled(x, Y=x, groups=(g, g)).seconds == pytest.approx(4 * one.seconds)
    assert [count for count, _ in scheduled(x, Y=x, groups=(g, g)).plans] == [4]


def test_only_a_whole_is_looked_at(native, monkeypatch):
    """A look at all of X says nothing of one of its groups."""
    looked = []

    def make_plan(n_x, n_y, d, method, threads, *, data, device, metric):
        looked.append((n_x, n_y, data is not None))
        return Plan("screen", 1.0, 0, "", n_x, n_y, d, threads)

    monkeypatch.setattr(schedule_module, "make_plan", make_plan)
    scheduled(X, Y=Y)
    scheduled(X, Y=Y, groups=(np.zeros(400, int), np.zeros(300, int)))
    g = np.arange(300) % 2
    scheduled(X[:300], Y=Y, groups=(g, g))
    assert looked == [(400, 300, True), (400, 300, True), (150, 150, False)]


# ------------------------------------------------------------------ what runs


@pytest.fixture
def by_size(monkeypatch):
    """Auto takes the tree below 50 rows, the screen from there on."""

    def make_plan(n_x, n_y, d, method, threads, *, data, device, metric):
        name = "tree" if n_x < 50 else "screen"
        return Plan(name, n_x / 8, 10 * n_x, f"of {n_x}", n_x, n_y, d, threads)

    monkeypatch.setattr(schedule_module, "make_plan", make_plan)


def test_groups_of_different_sizes(native, by_size, monkeypatch):
    ran = []
    run = native_backend.match

    def spy(x, y, **named):
        ran.append((named["strategy"], len(x)))
        return run(x, y, **named)

    monkeypatch.setattr(native_backend, "match", spy)
    g = np.repeat([0, 1, 2, 3], [60, 20, 20, 30])
    labels = gtn_fast.label(X[:130], X[130:260], groups=(g, g), threads=1)
    assert sorted(ran) == [("screen", 60), ("tree", 20), ("tree", 20), ("tree", 30)]
    report = labels.report
    assert report["strategy"] == "mixed"
    assert report["why"] == "by the size of each group"
    assert report["strategy_groups"] == {"screen": 1, "tree": 3}
    assert report["predicted_seconds"] == 130 / 8
    assert (report["backend"], report["exact"], report["device"]) == ("native", True, "cpu")
    expected = gtn_fast.label(X[:130], X[130:260], groups=(g, g), method="reference")
    assert (labels.x_index == expected.x_index).all()


def test_groups_of_one_strategy(native, by_size):
    g = np.repeat([0, 1], [20, 30])
    report = gtn_fast.label(X[:50], X[50:100], groups=(g, g)).report
    assert (report["strategy"], report["why"]) == ("tree", "of 20")
    assert "strategy_groups" not in report


def test_out_of_core_is_an_x_larger_than_the_memory_allowed(native):
    def storage(memory):
        made = Job.of(arguments(X, Y=Y, memory=memory))
        return Schedule(made, [(1, Plan("screen", 1.0, 0, "", 400, 300, 5, 1))], {}).storage()

    assert storage(None) == {}
    assert storage(X.nbytes) == {"out_of_core": False}
    assert storage(X.nbytes - 1) == {"out_of_core": True}
    assert gtn_fast.label(X, Y, memory="1GB").report["out_of_core"] is False


def test_a_limit_is_for_auto_to_keep_and_for_a_method_to_meet(native):
    tree = gtn_fast.plan(10**5, 10**5, 4, threads=1)
    assert tree.strategy == "tree"
    x = np.broadcast_to(X[:1, :4], (10**5, 4))
    limit = tree.bytes - 1
    assert scheduled(x, Y=x, memory=limit).strategies == ["screen"]
    with pytest.raises(MemoryError, match="method 'tree' needs about"):
        scheduled(x, Y=x, method="tree", memory=limit)


def test_a_limit_is_for_the_hosts_memory():
    with pytest.raises(ValueError, match="memory goes with device 'cpu', not 'cuda:1'"):
        gtn_fast.label(X, Y, memory="1GB", device="cuda:1")


def test_a_scratch_file_needs_room_only_if_there_is_one(native, monkeypatch, tmp_path):
    asked = []

    def usage(folder):
        asked.append(folder)
        return shutil_usage(tmp_path)

    shutil_usage = schedule_module.shutil.disk_usage
    monkeypatch.setattr(schedule_module.shutil, "disk_usage", usage)
    gtn_fast.label(X, Y, memory="1GB", scratch=tmp_path)
    assert asked == []


def test_tensors_stay_where_they_are_if_the_backend_takes_them_all(tmp_path):
    """Groups and checkpoints need rows on the host; so does a backend that takes arrays."""

    def stay(method, device, **job):
        made = Job.of(arguments(X, Y=Y, method=method, **job))
        plan = Plan(method, 1.0, 0, "", 400, 300, 5, 1)
        made = schedule_module.Job(**(vars(made) | {"device": device}))
        return Schedule(made, [(1, plan)], {}).leaves_tensors

    cuda = Device("cuda")
    assert stay("screen", cuda)
    assert not stay("screen", Device())
    assert not stay("screen", cuda, groups=(np.zeros(400, int), np.zeros(300, int)))
    assert not stay("screen", cuda, checkpoint=tmp_path / "c")
    assert not stay("faiss", cuda)
    assert registry.find("screen", "cuda").takes_device_tensors


def test_a_device_is_handed_to_its_backend(monkeypatch):
    handed = []
    monkeypatch.setattr(
        schedule_module, "for_strategy", lambda *_: lambda *_, **k: handed.append(k)
    )
    made = Job.of(arguments(X, Y=Y, method="screen"))
    for device in (Device(), Device("cuda", 1)):
        at = schedule_module.Job(**(vars(made) | {"device": device, "block": 7, "list_length": 3}))
        plan = Plan("screen", 1.0, 0, "", 400, 300, 5, 1)
        run = Schedule(at, [(1, plan)], {"quality": "fast"}).runner()
        run(schedule_module.Part(X, Y, None, None), 1, None, None)
    assert "device" not in handed[0]
    assert handed[1]["device"] == Device("cuda", 1)
    assert [(k["block"], k["list_length"], k["quality"]) for k in handed] == [(7, 3, "fast")] * 2
    assert not any({"settled", "x_rows"} & set(k) for k in handed)


# ------------------------------------------------------------------ the job


def test_a_drawn_sample_is_stored_unless_memory_is_limited(native):
    g = np.zeros(400, int)
    assert not Job.of(arguments(X)).draws_as_needed
    assert Job.of(arguments(X, memory="1GB")).draws_as_needed
    assert not Job.of(arguments(X, memory="1GB", groups=(g, g))).draws_as_needed
    assert not Job.of(arguments(X, Y=Y, memory="1GB")).draws_as_needed
    assert Job.of(arguments(X, seed=5)).drawn_seed == 5
    assert Job.of(arguments(X, Y=Y, seed=5)).drawn_seed is None
    limited = gtn_fast.label(X, seed=5, memory="1GB")
    assert (limited.y == gtn_fast.normal(5, 0, 400, 5)).all()


def test_options_that_are_none_were_not_given():
    assert Arguments(
        **vars(arguments(X)) | {"options": {"quality": None, "nprobe": 0}}
    ).options == {"nprobe": 0}
    assert not arguments(X, options={"group": None}).sharded
    assert arguments(X, options={"group": 1}).sharded
    assert not arguments(X, method="screen", options={"group": 1}).sharded
    assert arguments(X, method="distributed").sharded


# ------------------------------------------------------------------ times


def test_phases_add_up(monkeypatch):
    now = [5.0]
    monkeypatch.setattr(report_module.time, "perf_counter", lambda: now[0])
    times = Times(3.0)
    times.end("prepare")
    now[0] = 9.0
    times.end("match")
    now[0] = 10.0
    times.end("match")
    assert times.seconds == {"prepare": 2.0, "draw_y": 0.0, "match": 5.0, "total": 7.0}


def test_the_report_times_each_phase(native):
    began = time.perf_counter()
    drawn = gtn_fast.label(X).report["seconds"]
    lasted = time.perf_counter() - began
    parts = [drawn[name] for name in ("prepare", "draw_y", "match")]
    assert all(seconds > 0 for seconds in parts)
    assert sum(parts) == pytest.approx(drawn["total"])
    assert drawn["total"] <= lasted
    given = gtn_fast.label(X, Y).report["seconds"]
    assert given["draw_y"] == 0
    assert min(given["prepare"], given["match"]) > 0
    approximate = gtn_fast.label(X, Y, method="faiss").report["seconds"]
    assert approximate["quality"] > 0


def test_what_the_report_says_of_the_call(native):
    x, y = cases.make("gaussian", 60, 50, 3)
    g = (np.arange(60) % 2, np.arange(50) % 2)
    report = gtn_fast.label(x, y.astype(np.float64), seed=4, groups=g, threads=2).report
    assert report["seed"] is None
    assert report["groups"] == 2
    assert (report["x_dtype"], report["y_dtype"]) == ("float32", "float64")
    assert report["resumed_rows"] == 0
    assert report["memory"] is None


def test_descriptions_are_frozen(native):
    """Made once, handed down: nobody below may change them."""
    job = Job.of(arguments(X))
    made = scheduled(X)
    for each in (
        arguments(X),
        job,
        made,
        made.plans[0][1],
        job.device,
        job.x,
        Share(""),
        Handle(""),
        Choice((), ""),
        Whole(0, 1, ""),
    ):
        name = next(iter(vars(each)))
        with pytest.raises(FrozenInstanceError):
            setattr(each, name, None)


# ------------------------------------------------------------------ what is read, drawn, kept


def test_what_cannot_run_is_found_before_any_work(monkeypatch):
    def require():
        raise ImportError("not today")

    monkeypatch.setattr(native_backend, "require", require)
    with pytest.raises(ImportError, match="not today"):
        scheduled(X, Y=Y)


def test_gathered_rows_are_counted_by_their_width(native):
    def beside(d):
        x = np.random.default_rng(d).standard_normal((100, d))
        g = np.repeat([0, 1, 2], [10, 60, 30])
        plan = gtn_fast.plan(60, 60, d, threads=1, method="screen")
        needed = scheduled(x, Y=x, groups=(g, g), method="screen").needed_bytes()
        return needed - plan.bytes

    assert beside(50) - beside(5) == 2 * 60 * (50 - 5) * 8


def test_tensors_that_stay_are_not_counted(monkeypatch):
    monkeypatch.setattr(schedule_module, "uncopied", lambda each: replace(each, copy_bytes=0))

    def needed(kind, **given):
        made = replace(Job.of(arguments(np.asfortranarray(X), **given)), device=Device(kind))
        return Schedule(made, [(1, Plan("screen", 1.0, 0, "", 400, 300, 5, 1))], {}).needed_bytes()

    assert needed("cuda", Y=np.asfortranarray(Y)) == 0
    assert needed("cuda") == X.nbytes  # the sample, drawn on the host
    assert needed("cpu", Y=np.asfortranarray(Y)) == X.nbytes + Y.nbytes


def test_a_scratch_file_that_just_fits(native, monkeypatch, tmp_path):
    usage = schedule_module.shutil.disk_usage(tmp_path)
    made = Job.of(arguments(X, Y=Y, memory="1GB", scratch=tmp_path))
    plan = Plan("screen", 1.0, 0, "", 400, 300, 5, 1, scratch_bytes=1000)
    for free, fits in ((1000, True), (999, False)):
        now = usage._replace(free=free)
        monkeypatch.setattr(schedule_module.shutil, "disk_usage", lambda _, now=now: now)
        if fits:
            found = Schedule(made, [(1, plan)], {}).storage()
            assert found == {"out_of_core": False, "scratch": str(tmp_path)}
        else:
            with pytest.raises(OSError, match="does not fit: 999 bytes free") as caught:
                Schedule(made, [(1, plan)], {}).storage()
            assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))


def test_who_reads_tensors_where_they_are(monkeypatch):
    monkeypatch.setattr(local, "hold_or_convert", lambda each: ("held", each.name))
    monkeypatch.setattr(local, "convert", lambda each: ("read", each.name))
    job = Job.of(arguments(X, Y=Y))
    for stays, how in ((True, "held"), (False, "read")):
        schedule = types.SimpleNamespace(leaves_tensors=stays)
        assert local._read_x(job, schedule) == (how, "X")
        assert local._read_y(job, schedule, Times(0.0)) == (how, "Y")


def test_several_files_are_one_array_for_a_gpu():
    parts = Stacked([X[:100], X[100:]])
    job = Job.of(arguments(parts, Y=Y))
    schedule = types.SimpleNamespace(leaves_tensors=False)
    assert local._read_x(job, schedule) is parts
    whole = local._read_x(replace(job, device=Device("cuda")), schedule)
    assert isinstance(whole, np.ndarray)
    assert (whole == X).all()


def test_a_drawn_sample_is_made_once(native, monkeypatch):
    """And kept with the labels; under a limit, rows are made as they are needed."""
    labels = gtn_fast.label(X, seed=5)
    limited = gtn_fast.label(X, seed=5, memory="1GB")
    expected = gtn_fast.normal(5, 0, 400, 5)
    monkeypatch.setattr("gtn_fast.labels.normal", lambda *_, **__: pytest.fail("drawn again"))
    assert (labels.y == expected).all()
    with pytest.raises(pytest.fail.Exception, match="drawn again"):
        _ = limited.y
    monkeypatch.undo()
    assert (limited.y == expected).all()
    monkeypatch.setattr(local, "normal", lambda *_, **__: pytest.fail("stored"))
    assert (gtn_fast.label(X, seed=5, memory="1GB").x_index == labels.x_index).all()


def test_an_approximate_run_says_with_which_options(native):
    report = gtn_fast.label(X, Y, method="faiss", nprobe=3).report
    assert report["options"]["nprobe"] == 3
    assert 0 < report["quality"]["agreement"] <= 1
    assert "options" not in gtn_fast.label(X, Y).report
