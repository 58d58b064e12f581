"""Several processes with a shard of X each, against the oracle; what goes wrong on one rank."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cases
import distributed_worker as worker
import numpy as np
import pytest

import gtn_fast
from gtn_fast.backends import registry
from gtn_fast.backends.distributed import pulse
from gtn_fast.backends.distributed.pulse import Pulse
from gtn_fast.reference import directions_and_norms, match

HERE = Path(__file__).parent
KILLED = -signal.SIGKILL


def start(scenario, size, folder):
    """The ranks of a scenario, as processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return [
        subprocess.Popen(
            [
                sys.executable,
                HERE / "distributed_worker.py",
                scenario,
                str(rank),
                str(size),
                folder,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(size)
    ]


def finish(processes, timeout=300):
    """What each rank printed, and its exit code; none outlives the test."""
    try:
        ended = [each.communicate(timeout=timeout) for each in processes]
    finally:
        for each in processes:
            each.kill()
            each.wait()
            each.stdout.close()
            each.stderr.close()
    return [(out, err, p.returncode) for (out, err), p in zip(ended, processes, strict=True)]


def finish_off(process):
    process.kill()
    process.communicate()


def run(scenario, size, folder):
    done = finish(start(scenario, size, folder))
    for _, err, code in done:
        assert code == 0, err
    return [out for out, _, _ in done]


def kept(folder, name, rank):
    with np.load(folder / f"{name} {rank}.npz") as file:
        return {key: file[key] for key in file.files}


def expect(got, x, y, **how):
    x_index, cosine, order = match(x, y, **how)
    assert (got["x_index"] == x_index).all()
    assert np.array_equal(got["cosine"], cosine.astype(np.float32), equal_nan=True)
    assert (got["order"] == order).all()


@pytest.fixture(scope="module")
def exact(native, tmp_path_factory):
    """All cases on 1, 2 and 3 ranks, once: starting processes that import torch takes seconds."""
    folders = {size: tmp_path_factory.mktemp(f"ranks{size}") for size in (1, 2, 3)}
    running = {size: start("exact", size, folder) for size, folder in folders.items()}
    ended = [each for size in folders for each in finish(running[size])]
    for _, err, code in ended:
        assert code == 0, err
    return folders


@pytest.mark.parametrize("name", sorted(cases.ALL))
def test_equals_the_reference(exact, name):
    """Every rank of every number of ranks; hostile data, rounds and the end together."""
    for k, (n_x, n_y, d, _, _) in enumerate(worker.SHAPES):
        x, y = cases.make(name, n_x, n_y, d)
        for size, folder in exact.items():
            for rank in range(size):
                expect(kept(folder, f"{name} {k}", rank), x, y)


@pytest.mark.parametrize("size", [1, 3])
def test_some_stay_unmatched(native, tmp_path, size):
    out = run("unmatched", size, tmp_path)
    assert all("interrupted" in each for each in out)
    for rank in range(size):
        for name in worker.UNMATCHED:
            for k, (n_y, n_x, d, _, _) in enumerate(worker.SHAPES[:4]):
                y, x = cases.make(name, n_y, n_x - k * 7, d)
                for bound in worker.BOUNDS:
                    low = -np.inf if bound is None else bound
                    expect(kept(tmp_path, f"{name} {k} {bound}", rank), x, y, min_cosine=low)
        x, y = cases.make("gaussian", 200, 160, 4)
        expect(kept(tmp_path, "resumed", rank), x, y, min_cosine=0.8)


@pytest.mark.parametrize("size", [2, 3])
def test_drawn_y_mixed_dtypes_and_subgroups(native, tmp_path, size):
    out = run("drawn", size, tmp_path)
    x, _ = cases.make("gaussian", 150, 150, 7)
    y = gtn_fast.normal(3, 0, 150, 7)
    for rank in range(size):
        expect(kept(tmp_path, "drawn", rank), x, y)
        own = worker.shard(x, rank, size)
        if len(own):
            alone = kept(tmp_path, "alone", rank)
            expect(alone, own, gtn_fast.normal(3, 0, len(own), 7))
    for rank in (0, size - 1):
        expect(kept(tmp_path, "pair", rank), x, y)
    if size == 3:
        assert "group must be a torch.distributed process group" in out[1]


@pytest.mark.parametrize("size", [2, 3])
def test_goes_on_from_a_checkpoint(native, tmp_path, size):
    """Of any pairs, of another number of ranks; what ranks leave, one process ends."""
    assert run("resumes", size, tmp_path) == ["interrupted\n" * len(worker.RESUMED)] * size
    for name in worker.RESUMED:
        x, y = cases.make(name, 200, 160, 4)
        expect(kept(tmp_path, f"{name} alone", 0), x, y)
        for rank in range(size):
            for kind in ("first", "some", "all"):
                for block in (0, 25):
                    expect(kept(tmp_path, f"{name} {kind} {block}", rank), x, y)


def test_what_is_wrong_on_one_rank_is_raised_on_all(native, tmp_path):
    first, second = run("errors", 2, tmp_path)
    assert first == second
    told = dict(line.split(": ", 1) for line in first.splitlines())
    assert told == {
        "no folder": f"OSError: rank 0: {tmp_path / 'none' / 'c'}: No such file or directory",
        "checkpoint": "ValueError: checkpoint must be the same on all ranks:"
        " rank 0 has True, rank 1 has False",
        "memory": "ValueError: rank 0: memory does not go with method 'distributed'",
        "nan": "ValueError: rank 1: X[13:] must be finite: row 1, column 2 is nan (as float32)",
        "d": "ValueError: all shards of X must have the same number of columns:"
        " rank 0 has 6, rank 1 has 5",
        "d of y": "ValueError: rank 1: X and Y must have the same number of columns:"
        " X has 6, Y has 5",
        "too many": "ValueError: every row of Y needs a row of X of its own:"
        " Y has 40 rows, the shards of X only 6 in all; partial=True leaves the rest unmatched",
        "y": "ValueError: Y must be the same on all ranks: rank 1 has other values"
        " or another dtype than rank 0",
        "y dtype": "ValueError: Y must be the same on all ranks: rank 1 has other values"
        " or another dtype than rank 0",
        "rows of y": "ValueError: Y must be the same on all ranks: rank 0 has 40 rows, rank 1 39",
        "no y": "ValueError: Y must be the same on all ranks: rank 0 gives one, rank 1 does not",
        "seed": "ValueError: seed must be the same on all ranks: rank 0 has 0, rank 1 has 1",
        "block": "ValueError: block must be the same on all ranks: rank 0 has 0, rank 1 has 9",
        "threads": "ValueError: rank 1: threads must be from 1 to 4096, got 0 (-1 takes all CPUs)",
        "kind": "TypeError: rank 1: X must hold real numbers (float or integer dtype),"
        " got dtype complex128; np.hstack([X.real, X.imag]) is real",
        "groups": "ValueError: rank 1: groups does not go with method 'distributed':"
        " label each group of rows by itself",
        "empty": "ValueError: X is empty on all ranks: need at least one row",
        "method": "ValueError: group goes with method 'distributed' only",
        "group": "TypeError: group must be a torch.distributed process group that this process"
        " belongs to (torch.distributed.group.WORLD, say), got str",
    }
    for rank in range(2):  # and the group still works
        expect(kept(tmp_path, "after", rank), *cases.make("gaussian", 40, 40, 6))


def test_a_rank_that_is_killed_ends_the_others(native, tmp_path):
    *others, last = finish(start("dies", 3, tmp_path))
    assert last[2] == KILLED
    for rank, (out, err, code) in enumerate(others):
        assert code == 0, err
        assert out.startswith(f"rank {rank} of 3 lost the connection to rank 2:")
        assert len(out.splitlines()) == 1


def test_a_rank_that_falls_silent_ends_the_others(native, tmp_path):
    first, last = start("stops", 2, tmp_path)
    ((out, err, code),) = finish([first])
    finish_off(last)
    assert code == 0, err
    assert out.startswith("rank 0 of 2 lost the connection to rank 1:")


def test_a_rank_may_take_its_time(native, tmp_path):
    for out, err, code in finish(start("slow", 2, tmp_path)):
        assert (out, code) == ("", 0), err
    for rank in range(2):
        expect(kept(tmp_path, "slow", rank), *cases.make("gaussian", 300, 300, 5))


class OneStore:
    """A store of a torch process group, as far as it is used; ``hangs``: for good."""

    def __init__(self):
        self.kept, self.hangs = {}, threading.Event()
        self.asked, self.goes_on = threading.Event(), threading.Event()

    def set(self, key, value):
        if self.hangs.is_set():
            self.asked.set()
            self.goes_on.wait()
        self.kept[key] = value.encode()

    def multi_get(self, keys):
        return [self.kept[key] for key in keys]


class Clock:
    """Time that passes when the test says so: for what waits, and a little at each look."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(pulse, "time", self)

    def monotonic(self):
        self.now += 1e-6
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        time.sleep(0.001)  # the others' threads go on


def until(holds):
    """Wait for other threads; 300 s guard against a hang, they measure nothing."""
    stop = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < stop, "it never came"
        time.sleep(0.005)


def test_signs_of_life(monkeypatch):
    monkeypatch.setattr(pulse, "_BEAT_S", 0.02)
    clock = Clock(monkeypatch)
    store = OneStore()
    for rank in range(3):
        Pulse.first_sign(store, rank)
    one, two = Pulse(store, 0, 3), Pulse(store, 1, 3)
    assert one.silent() == two.silent() == []
    clock.now += pulse._SILENCE_S + 1
    until(lambda: one.silent() == two.silent() == [2])  # which never beats
    assert not one.someone_gave_up()
    two.end(gave_up=True)
    until(one.someone_gave_up)
    assert one.give_up() == [2]
    one.end(gave_up=False)


def test_a_store_that_no_longer_answers(monkeypatch):
    """It went with the rank that is gone: nobody waits for it, neither to notice nor to end."""
    monkeypatch.setattr(pulse, "_BEAT_S", 0.02)
    clock = Clock(monkeypatch)
    store = OneStore()
    for rank in range(2):
        Pulse.first_sign(store, rank)
    one = Pulse(store, 1, 2)
    assert one.silent() == []
    store.hangs.set()
    until(store.asked.is_set)  # the thread of signs waits for the store now
    clock.now += pulse._SILENCE_S + 1
    assert one.silent() == [0]
    assert one.give_up() is None
    ending = threading.Thread(target=one.end, kwargs={"gave_up": True})
    ending.start()
    ending.join(300)  # a guard: a rank that waits for the store would never end
    assert not ending.is_alive()
    store.goes_on.set()


@pytest.mark.parametrize("interrupted", [[0], [0, 1]])
def test_ctrl_c_while_waiting(native, tmp_path, interrupted):
    """Rank 0 waits for a message, rank 1 is busy; whoever else is interrupted."""
    processes = start("waits", 2, tmp_path)
    for each in processes:
        assert each.stdout.readline() == "now\n"
    for rank in interrupted:
        processes[rank].send_signal(signal.SIGINT)
    for rank in interrupted:
        while (line := processes[rank].stdout.readline()) != "interrupted\n":
            assert line == "now\n"  # "" if the worker's guard ended it instead
    for each in processes:
        finish_off(each)


# ------------------------------------------------------------------ the command line


def torchrun(folder, *arguments, ranks=2):
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}",
         "--master-addr=127.0.0.1", f"--master-port={free_port()}", "-m", "gtn_fast", "label",
         *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_torchrun(native, tmp_path):
    """Rank 0 alone writes and prints; the file is that of one process."""
    x, _ = cases.make("half_duplicates", 301, 301, 6)
    np.save(tmp_path / "x.npy", x)
    done = torchrun(tmp_path, "x.npy", "--out", "labels.npz", "--seed", "5", "--verify", "50")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("labeled") == 1
    assert "301 y's with 301 x's" in done.stdout
    assert "2 ranks" in done.stdout
    assert "50 choices by brute force: exact" in done.stdout
    labels = gtn_fast.Labels.load(tmp_path / "labels.npz")
    expected = gtn_fast.label(x, seed=5, method="reference")
    assert (labels.x_index == expected.x_index).all()
    assert (labels.cosine == expected.cosine).all()
    assert (labels.order == expected.order).all()
    assert labels.report["ranks"] == 2


def test_torchrun_bad_input(native, tmp_path):
    x, _ = cases.make("gaussian", 60, 60, 4)
    x[45, 1] = np.inf
    np.save(tmp_path / "x.npy", x)
    done = torchrun(tmp_path, "x.npy", "--out", "labels.npz")
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if "gtn-fast" in line]
    assert lines
    assert set(lines) == {
        "gtn-fast: error: rank 1: X[30:] must be finite: row 15, column 1 is inf (as float32)"
    }
    assert "exitcode  : 2" in done.stderr
    assert not (tmp_path / "labels.npz").exists()


# ------------------------------------------------------------------ the screener of a shard


def test_the_registry_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert registry.why_not("distributed") == (
        "torch is not installed: pip install 'gtn-fast[torch]'"
    )
    with pytest.raises(ImportError, match=r"pip install 'gtn-fast\[torch\]'"):
        gtn_fast.label(np.eye(3), method="distributed")


def test_group_and_groups_exclude_each_other():
    with pytest.raises(ValueError, match="groups does not go with method 'distributed'"):
        gtn_fast.label(np.eye(3), method="distributed", groups=([0, 0, 1], [0, 0, 1]))


@pytest.mark.parametrize("name", sorted(cases.ALL))
def test_lists_are_complete_down_to_their_level(native, name):
    """Single x's, though the engine works on classes; after some were taken, too."""
    n, d = 150, 4
    x, y = cases.make(name, n, 40, d)
    order = native.norm_order(x, 1)
    rank = np.empty(n, np.uint32)
    rank[order] = 3 * np.arange(n, dtype=np.uint32) + 5  # places in a longer order
    free = np.arange(n) % 7 != 3
    screener = native.Screener(
        x, rank, first_row=1000, threads=2, rows=np.flatnonzero(free).astype(np.uint32)
    )
    every = np.broadcast_to(np.arange(n), (len(y), n)).copy()
    cosine = native.evaluate_lists(x, y, np.arange(len(y)), every, threads=1)
    for wanted, places, again in [(1, 1, False), (3, 6, False), (3, 4, True), (20, 40, False)]:
        rows, found, level, level_rank, deep = screener.search(
            y, wanted=wanted, places=places, again=again
        )
        for i in range(len(y)):
            listed = rows[i][rows[i] != 0xFFFFFFFF].astype(np.int64) - 1000
            assert len(set(listed)) == len(listed)
            assert free[listed].all()
            assert (found[i, : len(listed)] == cosine[i, listed]).all()
            assert (found[i, len(listed) :] == -np.inf).all()
            better = (cosine[i] > level[i]) | ((cosine[i] == level[i]) & (rank <= level_rank[i]))
            assert set(np.flatnonzero(better & free)) <= set(listed)
            keys = list(zip(-found[i, : len(listed)], rank[listed], strict=True))
            assert keys == sorted(keys)
            if again:
                assert len(listed) >= min(wanted, places, int(free.sum()), 1)
        if not again:
            screener.learn(deep)
        taken = order[free[order]][:20]  # by norm: of a class the smallest first
        screener.take((taken + 1000).astype(np.uint32))
        free[taken] = False


def test_a_screener_refuses_what_makes_no_sense(native):
    x, y = cases.make("half_duplicates", 40, 5, 3)
    rank = np.empty(40, np.uint32)
    rank[native.norm_order(x, 1)] = np.arange(40, dtype=np.uint32)
    with pytest.raises(ValueError, match="ranks must ascend"):
        native.Screener(x, rank[::-1].copy())
    with pytest.raises(ValueError, match="one per row"):
        native.Screener(x, rank[:-1])
    for rows, message in [([3, 2], "ascend"), ([40], "in range"), ([], "no row")]:
        with pytest.raises(ValueError, match=message):
            native.Screener(x, rank, rows=np.array(rows, np.uint32))
    screener = native.Screener(x, rank, first_row=7)
    screener.search(y, wanted=2, places=4)
    with pytest.raises(ValueError, match="as many levels"):
        screener.learn(np.zeros(4))
    with pytest.raises(ValueError, match="not of the shard"):
        screener.take(np.array([6], np.uint32))
    with pytest.raises(ValueError, match="before an equal one"):
        screener.take(np.array([7 + 20], np.uint32))  # a copy of row 0
    screener.take(np.array([7, 27], np.uint32))
    with pytest.raises(ValueError, match="taken twice"):
        screener.take(np.array([7], np.uint32))
    with pytest.raises(ValueError, match="columns differ"):
        screener.search(y[:, :2], wanted=2, places=4)


def test_norms_and_rows_of_the_sample(native):
    x, _ = cases.make("zero_rows", 300, 10, 9)
    norms = native.row_norms(x, 2)
    assert (norms == directions_and_norms(x)[1]).all()
    assert (native.order_of_norms(norms, 2) == native.norm_order(x, 1)).all()
    for bad in (-1.0, -0.0, np.nan):
        with pytest.raises(ValueError, match="numbers from 0"):
            native.order_of_norms(np.array([1.0, bad]), 1)
    rows = np.array([7, 0, 7, 2**40])
    for d in (1, 3, 4, 255, 256, 257, 1000):
        made = native.normal_rows(9, rows, d, 2)
        assert (made[:3] == native.normal(9, 0, 8, d, 1)[[7, 0, 7]]).all()
        assert (made[3] == native.normal(9, 2**40, 1, d, 1)[0]).all()
    with pytest.raises(ValueError, match="count from 0"):
        native.normal_rows(9, np.array([-1]), 3, 1)
