"""What the ranks of a group agree on, and what one says of its part; asked in one process.

Matchings by several processes are in test_distributed.py.
"""

from __future__ import annotations

import cases
import numpy as np
import pytest
from jobs import arguments

import gtn_fast
from gtn_fast.backends.distributed.ranks import Ranks
from gtn_fast.inputs.arrays import MAX_ROWS
from gtn_fast.run import sharded
from gtn_fast.run.job import Job

X = np.random.default_rng(0).standard_normal((40, 3))


def shape(**others):
    """What a rank tells of its job."""
    return {
        "rows": 10, "d": 3, "rows of Y": 15, "seed": None, "block": 0, "list_length": 0,
        "partial": False, "min_cosine": None, "checkpoint": False, "cpus": "here [0, 1]",
    } | others  # fmt: skip


# ------------------------------------------------------------------ sizes of the whole


def test_sizes_of_the_whole():
    assert sharded._agreed([shape(), shape(rows=0), shape(rows=7)]) == (17, 15)
    drawn = {"rows of Y": None, "seed": 4}
    assert sharded._agreed([shape(**drawn), shape(rows=9, **drawn)]) == (19, 19)
    assert sharded._agreed([shape(rows=15)]) == (15, 15)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([{}, {}, {"d": 4}], "columns: rank 0 has 3, rank 2 has 4"),
        ([{}, {"rows of Y": 14}], "rank 0 has 15 rows, rank 1 14"),
        ([{}, {}, {"rows of Y": None}], "rank 0 gives one, rank 2 does not"),
        ([{"rows of Y": None}, {}], "rank 1 gives one, rank 0 does not"),
        ([{}, {"seed": 1}], "seed must be the same on all ranks: rank 0 has None, rank 1 has 1"),
        ([{}, {"block": 1}], "block must be the same on all ranks: rank 0 has 0, rank 1 has 1"),
        ([{}, {"list_length": 2}], "list_length must be the same"),
        ([{}, {"checkpoint": True}], "checkpoint must be the same"),
        ([{}, {"partial": True}], "partial must be the same"),
        ([{"min_cosine": 0.5}, {}], "min_cosine must be the same"),
        ([{"rows": 0, "rows of Y": None}] * 2, "X is empty on all ranks"),
        ([{"rows": 7}] * 2, "Y has 15 rows, the shards of X only 14 in all"),
        ([{"rows": MAX_ROWS}, {"rows": 1}], f"X has {MAX_ROWS + 1} rows in all"),
    ],
)
def test_what_does_not_fit_together(shapes, message):
    with pytest.raises(ValueError, match=message):
        sharded._agreed([shape(**each) for each in shapes])


def test_the_most_rows():
    assert sharded._agreed([shape(rows=MAX_ROWS - 1), shape(rows=1)]) == (MAX_ROWS, 15)


def test_ranks_on_the_same_cpus_share_them(monkeypatch):
    for name in ("OMP_NUM_THREADS", "GTN_FAST_THREADS"):
        monkeypatch.delenv(name, raising=False)  # they would decide
    own = sharded._cpus()
    there = shape(cpus="elsewhere [0]")
    here = shape(cpus=own)

    def threads(asked, *shapes):
        given = arguments(X, method="distributed", threads=asked)
        job = sharded.replace(Job.of_shard(given), threads=asked or 12)
        return sharded._agreed_job(job, given, shapes).threads

    assert threads(None, here, there, there) == 12
    assert threads(None, here, there, here, here) == 4
    assert threads(5, here, here, here) == 5
    assert threads(None, *[here] * 30) == 1


# ------------------------------------------------------------------ what one rank refuses


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"memory": "1GB"}, "memory does not go with method 'distributed'"),
        ({"options": {"quality": "fast"}}, "quality does not go with method 'distributed'"),
        ({"device": "cuda"}, "device does not go with method 'distributed'"),
        ({"groups": ([0] * 40, [0] * 40)}, "groups does not go with method 'distributed'"),
        ({"Y": np.ones((5, 4))}, "X has 3, Y has 4"),
    ],
)
def test_what_does_not_go_with_shards(others, message):
    with pytest.raises(ValueError, match=message):
        Job.of_shard(arguments(X, method="distributed", **others))


@pytest.mark.parametrize("empty", [X[:, :0], X[:0, :0], X[:0, 0]])
def test_a_shard_without_columns(empty):
    with pytest.raises(ValueError, match=r"X is empty|X must be a matrix"):
        Job.of_shard(arguments(empty, method="distributed"))


def test_a_shard_may_have_no_rows_and_fewer_than_y():
    job = Job.of_shard(arguments(X[:0], method="distributed", device="cpu"))
    assert (job.x.rows, job.n_x, job.d) == (0, 0, 3)
    assert Job.of_shard(arguments(X[:2], Y=X, method="distributed")).n_y == 40


# ------------------------------------------------------------------ what is told


def test_a_y_is_known_by_its_values_and_dtype(monkeypatch):
    digest = sharded._digest(X)
    assert sharded._digest(np.asfortranarray(X)) == digest
    monkeypatch.setattr(sharded, "_HASH_ROWS", 7)
    assert sharded._digest(X) == digest
    changed = X.copy()
    changed[39, 2] += 1
    others = [changed, X[::-1], X[:39], X.astype(np.float32), X.astype(">f8")[:, ::-1]]
    assert digest not in map(sharded._digest, others)


def test_one_process_is_one_rank(native, tmp_path):
    x, y = cases.make("gaussian", 200, 150, 6)
    expected = gtn_fast.label(x, y)
    labels = gtn_fast.label(x, y, method="distributed", threads=2)
    assert (labels.x_index == expected.x_index).all()
    report = labels.report
    told = {"strategy": "distributed", "backend": "distributed", "why": "X in 1 shard",
            "device": "cpu", "exact": True, "rank": 0, "ranks": 1, "shard_rows": 200,
            "resumed_rows": 0, "threads": 2, "n_x": 200, "n_y": 150, "d": 6, "seed": None,
            "simd": native.simd_active()}  # fmt: skip
    assert {name: report[name] for name in told} == told
    parts = report["seconds"]
    assert parts["prepare"] > 0
    assert parts["match"] > 0
    assert parts["prepare"] + parts["match"] == pytest.approx(parts["total"])
    drawn = gtn_fast.label(x, method="distributed", seed=3)
    assert drawn.report["seed"] == 3
    assert (drawn.x_index == gtn_fast.label(x, seed=3).x_index).all()
    assert (drawn.y == gtn_fast.normal(3, 0, 200, 6)).all()


def test_bytes_of_one_rank(native, tmp_path):
    x, y = cases.make("gaussian", 200, 150, 6)

    def needed(x, y, **others):
        labels = gtn_fast.label(x, y, method="distributed", **others)
        return labels.report["predicted_bytes"]

    plain = needed(x, y)
    assert needed(np.asfortranarray(x), y) - plain == x.nbytes
    assert needed(x, np.asfortranarray(y)) - plain == y.nbytes
    kept = needed(x, y, checkpoint=tmp_path / "c") - plain
    alone = gtn_fast.label(x, y, checkpoint=tmp_path / "d").report["predicted_bytes"]
    assert kept == alone - gtn_fast.label(x, y).report["predicted_bytes"]


def test_checkpoints_of_one_rank(native, tmp_path):
    x, y = cases.make("gaussian", 200, 150, 6)
    expected = gtn_fast.label(x, y, checkpoint=tmp_path / "c")
    again = gtn_fast.label(x, y, method="distributed", checkpoint=tmp_path / "c", resume=True)
    assert again.report["resumed_rows"] == 150
    assert (again.x_index == expected.x_index).all()
    with pytest.raises(ValueError, match="other data or parameters"):
        gtn_fast.label(x, y[::-1], method="distributed", checkpoint=tmp_path / "c", resume=True)


def test_too_little_memory_on_a_rank(native, monkeypatch):
    monkeypatch.setattr(sharded, "convert", lambda described: pytest.fail("converted"))
    monkeypatch.setattr("gtn_fast.planning.memory.available_bytes", lambda: 1000)
    with pytest.raises(MemoryError, match="this rank's part of labeling 40 x 40 rows"):
        gtn_fast.label(X, method="distributed")


def test_one_bar_for_all(native, monkeypatch):
    """Rank 0 shows it; a callable is called on every rank."""
    shown = []
    reporter = sharded.progress_reporter

    def spy(progress, total, seconds):
        shown.append(progress)
        return reporter(None, total, seconds)

    monkeypatch.setattr(sharded, "progress_reporter", spy)

    def called(done, total):
        pass

    for rank in (0, 1):
        monkeypatch.setattr(Ranks, "rank", rank)
        for progress in (None, False, called):
            gtn_fast.label(X, X, method="distributed", progress=progress, block=100)
    assert [each if each in (None, False) else "called" for each in shown] == [
        *(None, False, "called"),
        *(False, False, "called"),
    ]


def test_an_empty_shard_does_not_widen_the_others():
    """Rows travel as float64 if any rank has them: one that has none must not ask for it."""
    job = Job.of_shard(arguments(X[:0], method="distributed"))
    x, _ = sharded._read(Ranks(), job, 0, 0)
    assert (x.shape, x.dtype) == ((0, 3), np.float32)


def test_one_process_has_an_x_without_a_number(native):
    bad = X.copy()
    bad[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"^X must be finite: row 1, column 2 is nan"):
        gtn_fast.label(bad, method="distributed")
