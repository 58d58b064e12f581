"""Flush-to-zero and rounding modes of the caller: the same bits, and the caller keeps them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import environments
import numpy as np
import pytest
import torch
from environments import ENVIRONMENTS, STRATEGIES, WITH_TORCH, inside, rows_of_all_sizes

import gtn_fast
from gtn_fast import environment, reference
from gtn_fast.backends import native as native_backend
from gtn_fast.backends.lists.blocks import NO_RANK
from gtn_fast.check.quality import estimate_quality

HERE = Path(__file__).parent
everywhere = pytest.mark.parametrize("name", WITH_TORCH)


def same(got, expected):
    """Equal by ``==``, arrays and what is made of them; NaN equals NaN."""
    if isinstance(expected, (tuple, list)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            same(one, other)
    elif isinstance(expected, dict):
        assert got.keys() == expected.keys()
        same(list(got.values()), list(expected.values()))
    elif isinstance(expected, torch.Tensor):
        same(got.numpy(), expected.numpy())
    elif isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
        assert np.array_equal(got, expected, equal_nan=expected.dtype.kind == "f")
    else:
        assert got == expected


def answer(labels):
    return labels.x_index, labels.cosine, labels.order


def probes():
    """What sums and subnormal numbers come to here: a number for each environment."""
    one, little, least = np.float64([1.0, 2.0**-60, 2.0**-1022])
    return int(one + little > 1) + 2 * int(one - little < 1) + 4 * int(least * 0.5 == 0)


# ------------------------------------------------------------------ the environments themselves


def test_the_environments_are_felt():
    found = {name: inside(name, probes) for name in WITH_TORCH}
    assert found == {
        "flush": 4,
        "upward": 1,
        "downward": 2,
        "toward zero": 2,
        "flush, upward": 5,
        "torch": 4,
    }
    assert probes() == 0


@everywhere
def test_a_thread_has_the_default_inside_and_its_own_afterwards(name):
    @environment.in_default_environment
    def fails():
        assert probes() == 0
        raise KeyError(environments.state() == environments.DEFAULT)

    def run():
        assert not environment.is_default()
        with environment.DefaultEnvironment():
            assert environment.is_default()
            with environment.DefaultEnvironment():
                assert probes() == 0
            assert probes() == 0
        assert not environment.is_default()
        with pytest.raises(KeyError, match="True"):
            fails()

    assert environment.is_default()
    inside(name, run)


def test_where_it_cannot_be_changed_it_is_an_error(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "mips")
    environment._functions.cache_clear()
    words = np.arange(4, dtype=np.uint64)
    reference.words_to_normal(words)  # nothing to change
    with pytest.raises(RuntimeError, match="linux mips: set the default"):
        inside("flush", lambda: reference.words_to_normal(words))
    environment._functions.cache_clear()


# ------------------------------------------------------------------ labeling


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("strategy", "d"), STRATEGIES)
def test_every_strategy(native, strategy, d, dtype):
    x, y = (rows_of_all_sizes(240, d, seed, dtype) for seed in (1, 2))
    y = y[:220]
    definition = reference.rank if strategy == "rank" else reference.match
    x_index, cosine, order = definition(x, y)
    for threads in (1, 2):
        for name in WITH_TORCH:
            labels = inside(
                name, lambda t=threads: gtn_fast.label(x, y, method=strategy, threads=t)
            )
            same(answer(labels), (x_index, cosine.astype(np.float32), order))


def test_the_data_feel_the_environments():
    """Arithmetic in the caller's environment would give other directions, in each of them."""
    x = rows_of_all_sizes(240, 8, 1)
    directions = reference.directions_and_norms
    unguarded = directions.__wrapped__
    for name in ENVIRONMENTS:
        assert (inside(name, lambda: unguarded(x)[0]) != directions(x)[0]).any()


@pytest.mark.parametrize("level", native_backend.module().simd_levels())
def test_every_instruction_set(native, level):
    done = subprocess.run(
        [sys.executable, HERE / "environments.py"],
        capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"GTN_FAST_SIMD": level},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, level), done.stderr[-2000:]


@everywhere
def test_a_drawn_y_and_groups(native, name):
    x = rows_of_all_sizes(600, 4, 3, np.float32)
    groups = (np.arange(600) % 150, np.arange(600) % 150)  # small ones: a pool of threads

    def run():
        drawn = gtn_fast.label(x, seed=5)
        by_group = gtn_fast.label(x, seed=5, groups=groups, threads=2)
        kept = gtn_fast.label(x, seed=5, memory="1GB")
        return [(*answer(each), each.y) for each in (drawn, by_group, kept)]

    same(inside(name, run), run())


@everywhere
def test_several_processes_and_resuming(native, name, tmp_path):
    x, y = (rows_of_all_sizes(500, 6, seed, np.float32) for seed in (1, 2))
    expected = answer(gtn_fast.label(x, y, method="screen"))

    def label(**options):
        return answer(gtn_fast.label(x, y, threads=2, **options))

    same(inside(name, lambda: label(method="distributed", block=64)), expected)
    # The checksum of X is that of the same X.
    path = tmp_path / "run"
    same(label(method="screen", checkpoint=path), expected)
    same(inside(name, lambda: label(method="tree", checkpoint=path, resume=True)), expected)
    path.unlink()
    same(inside(name, lambda: label(method="screen", checkpoint=path)), expected)
    same(label(method="tree", checkpoint=path, resume=True), expected)


@everywhere
def test_data_that_are_converted(native, name):
    rng = np.random.default_rng(0)
    large = rng.integers(-(2**62), 2**62, (300, 3))
    y = rng.standard_normal((300, 3))
    kinds = [
        large,
        torch.from_numpy(large),
        torch.from_numpy(y).to(torch.bfloat16) * 2.0**-130,
        torch.from_numpy(y).to(torch.float16) * 2.0**-16,
        (y * 1e-310).astype(np.longdouble) * np.longdouble(1.1),
        np.asfortranarray(y * 1e-310),
    ]

    def run():
        return [answer(gtn_fast.label(x, y)) for x in kinds]

    same(inside(name, run), run())


@everywhere
def test_the_drop_in(native, name):
    s, t = (torch.from_numpy(rows_of_all_sizes(200, 3, seed, np.float64)) for seed in (1, 2))
    small = t * 1e-40
    same(inside(name, lambda: gtn_fast.create_labels(s, small)), gtn_fast.create_labels(s, small))


@everywhere
def test_plans(native, name):
    x = rows_of_all_sizes(6000, 40, 1)  # so many that the planner looks at them
    expected = gtn_fast.plan(x)
    assert inside(name, lambda: gtn_fast.plan(x)) == expected


# ------------------------------------------------------------------ approximate


@everywhere
def test_faiss(native, name):
    pytest.importorskip("faiss")
    x, y = (rows_of_all_sizes(1500, 16, seed, np.float32) for seed in (1, 2))

    def run():
        labels = gtn_fast.label(x, y, method="faiss", threads=1, exact_below=0)
        return *answer(labels), labels.report["quality"]

    same(inside(name, run), run())


@everywhere
def test_quality(native, name):
    x, y = (rows_of_all_sizes(300, 5, seed) for seed in (1, 2))
    x_index = np.random.default_rng(0).permutation(300)
    same(inside(name, lambda: estimate_quality(x, y, x_index)), estimate_quality(x, y, x_index))


# ------------------------------------------------------------------ the checker


@everywhere
def test_verify(native, name):
    x, y = (rows_of_all_sizes(300, 5, seed) for seed in (1, 2))
    labels = gtn_fast.label(x, y)
    report = inside(name, lambda: gtn_fast.verify(x, y, labels))
    assert report == gtn_fast.verify(x, y, labels)
    assert report.complete
    ranked = gtn_fast.label(x[:, :1], y[:, :1], method="rank")
    assert inside(name, lambda: gtn_fast.verify(x[:, :1], y[:, :1], ranked)).checked == 300


@everywhere
def test_verify_finds_what_is_wrong(native, name):
    x, y = (rows_of_all_sizes(300, 5, seed) for seed in (1, 2))
    x_index = gtn_fast.label(x, y).x_index
    # Two subnormal rows of Y, of which one took what the other wanted.
    order = reference.match(x, y)[2]
    x_index[order[[3, 4]]] = x_index[order[[4, 3]]]

    def counter_example():
        with pytest.raises(gtn_fast.WrongMatching) as caught:
            gtn_fast.verify(x, y, x_index)
        return str(caught.value)

    assert inside(name, counter_example) == counter_example()


# ------------------------------------------------------------------ the pieces


@everywhere
def test_the_reference(name):
    x, y = (rows_of_all_sizes(120, 5, seed) for seed in (1, 2))
    words = np.random.default_rng(0).integers(0, 2**64, 1000, np.uint64)
    uniform = np.linspace(1e-9, 1, 500)

    directions, norms = reference.directions_and_norms(x)
    little = directions[::-1] * 1e-308

    def run():
        return [
            reference.match(x, y),
            reference.rank(x[:, :1], y[:, :1]),
            reference.directions_and_norms(x),
            reference.norm_order(norms),
            reference.ordered_dot(directions, little),
            reference.normal(3, 7, 500, 5),
            reference.words_to_normal(words),
            reference.log_fixed(uniform),
        ]

    same(inside(name, run), run())


@everywhere
def test_the_engines_functions(native, name):
    x, y = (rows_of_all_sizes(200, 5, seed) for seed in (1, 2))
    rows = np.arange(200)
    lists = np.random.default_rng(0).integers(0, 200, (200, 6))
    rank = np.arange(200, dtype=np.uint32)
    shard_rank = np.empty(200, np.uint32)
    shard_rank[native.norm_order(x, 1)] = rank
    little = native.evaluate_lists(x, y, rows, lists, threads=1) * 1e-308

    def run():
        found = []
        for threads in (1, 2):
            cosine = native.evaluate_lists(x, y, rows, lists, threads=threads)
            chosen, chosen_cosine = np.full(200, -1), np.zeros(200)
            taken = np.zeros(200, np.uint8)
            ended = native.resolve_lists(
                lists, little, np.full(200, -np.inf), np.full(200, NO_RANK),
                rank, taken, 0, chosen, chosen_cosine,
            )  # fmt: skip
            screener = native.Screener(x, shard_rank, threads=threads)
            found += [
                cosine, ended, chosen, chosen_cosine, taken,
                native.norm_order(x, threads), native.row_norms(x, threads),
                native.order_of_norms(native.row_norms(x, threads), threads),
                native.normal(3, 7, 500, 5, threads),
                native.normal_rows(3, rows, 5, threads),
                screener.search(y, wanted=3, places=8),
            ]  # fmt: skip
        return found

    same(inside(name, run), run())


@everywhere
def test_the_source_sample(native, name):
    expected = gtn_fast.normal(11, 5, 2000, 7)
    same(inside(name, lambda: gtn_fast.normal(11, 5, 2000, 7, threads=2)), expected)
    same(reference.normal(11, 5, 2000, 7), expected)


# ------------------------------------------------------------------ whose environment it is


@everywhere
def test_threads_of_the_caller(native, name):
    """A thread has the environment of the one that started it."""
    x, y = (rows_of_all_sizes(300, 4, seed) for seed in (1, 2))
    found = []

    def run():
        before = environments.state()
        found.append(answer(gtn_fast.label(x, y, threads=2)))
        gtn_fast.verify(x, y, found[-1][0])
        assert environments.state() == before != environments.DEFAULT
        found.append("done")

    def start():
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    inside(name, start)
    same(found, [answer(gtn_fast.label(x, y)), "done"])


@pytest.mark.parametrize("method", ["screen", "reference", "faiss", "distributed"])
@everywhere
def test_callbacks_have_the_callers_own(native, name, method):
    x, y = (rows_of_all_sizes(1200, 6, seed) for seed in (1, 2))
    seen = []

    def progress(_done, _total):
        seen.append(environments.state())

    def run():
        gtn_fast.label(x, y, method=method, threads=1, progress=progress)
        return environments.state()

    own = inside(name, run)
    assert set(seen) == {own}
    assert own != environments.DEFAULT


@pytest.mark.parametrize("method", ["screen", "reference", "faiss", "distributed"])
def test_what_a_callback_sets_stays_and_changes_nothing(native, method):
    """Also where there was nothing to change before."""
    x, y = (rows_of_all_sizes(1200, 6, seed) for seed in (1, 2))
    expected = answer(gtn_fast.label(x, y, method=method, threads=1))

    def flush(_done, _total):
        ENVIRONMENTS["flush"]()

    def label():
        labels = gtn_fast.label(x, y, method=method, threads=1, progress=flush)
        return answer(labels), probes()

    found, after = environments.restored(label)
    same(found, expected)
    assert after == 4
    found, after = inside("upward", lambda: environments.restored(label))
    same(found, expected)
    assert after == 5


@everywhere
def test_errors_leave_the_callers_own(native, name):
    x, y = (rows_of_all_sizes(300, 4, seed) for seed in (1, 2))

    class StopNowError(Exception):
        pass

    def stop(_done, _total):
        raise StopNowError

    def run():
        own = environments.state()
        for call in (
            lambda: gtn_fast.label(x, y, method="tree", progress=stop),
            lambda: gtn_fast.label(x, y, method="reference", progress=stop),
            lambda: reference.match(x, y, stop),
        ):
            with pytest.raises(StopNowError):
                call()
            assert environments.state() == own
        for call in (
            lambda: gtn_fast.label(x, y[:, :2]),
            lambda: gtn_fast.verify(x, y, np.zeros(300, np.int64)),
            lambda: gtn_fast.normal(-1, 0, 1, 1),
        ):
            with pytest.raises(ValueError, match=r"."):
                call()
            assert environments.state() == own

    inside(name, run)


IMPORTED = """
import hashlib, sys
sys.path.insert(0, {tests!r})
import environments
def run():
    import gtn_fast
    from gtn_fast import reference
    return reference.normal(3, 0, 20000, 3)
print(hashlib.sha256(environments.inside({name!r}, run).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("name", ["upward", "downward"])
def test_imported_and_compiled_in_another_environment(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(tests=str(HERE), name=name)],
        capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path)},  # nothing is compiled yet
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    expected = hashlib.sha256(reference.normal(3, 0, 20000, 3).tobytes())
    assert done.stdout.strip() == expected.hexdigest()
