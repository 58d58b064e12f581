"""X in files larger than memory: several files as one matrix, a limit, a scratch file."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import cases
import numpy as np
import pytest
from cli_runs import one_line, run

import gtn_fast
from gtn_fast import reference
from gtn_fast.backends import native as native_backend
from gtn_fast.inputs.matrices import Stacked
from gtn_fast.planning.memory import parse_size
from gtn_fast.planning.planner import make_plan
from gtn_fast.run import schedule
from gtn_fast.sample import Drawn


def write_parts(folder, x, sizes):
    ends = np.cumsum(sizes)
    assert ends[-1] == len(x)
    for i, end in enumerate(ends):
        np.save(folder / f"part-{i}.npy", x[end - sizes[i] : end])
    return str(folder / "part-*.npy")


# ------------------------------------------------------------------ several files


@pytest.mark.parametrize("name", ["gaussian", "few_rays", "zero_rows", "magnitudes"])
@pytest.mark.parametrize("d", [1, 2, 3, 20])
def test_several_files_are_one_matrix(native, tmp_path, name, d):
    x, y = cases.make(name, 301, 260, d)
    expected = gtn_fast.label(x, y, method="reference")
    pattern = write_parts(tmp_path, x, [1, 200, 97, 3])
    paths = sorted(tmp_path.iterdir())
    for given in (pattern, paths, [str(path) for path in paths], tuple(paths)):
        for method in ("auto", "reference", "screen"):
            labels = gtn_fast.label(given, y, method=method, threads=2)
            assert (labels.x_index == expected.x_index).all()
            assert (labels.cosine == expected.cosine).all()
    assert gtn_fast.verify(pattern, y, labels).complete
    assert (labels.pairs(pattern)[1] == x[expected.x_index]).all()
    assert gtn_fast.plan(pattern).n_x == 301


def test_one_path(native, tmp_path):
    x, _ = cases.make("gaussian", 300, 1, 6)
    np.save(tmp_path / "X.npy", x)
    expected = gtn_fast.label(x).x_index
    for given in (tmp_path / "X.npy", str(tmp_path / "X.npy"), [tmp_path / "X.npy"]):
        assert (gtn_fast.label(given).x_index == expected).all()


def test_groups_and_checkpoints_of_several_files(native, tmp_path):
    x, y = cases.make("gaussian", 300, 300, 5)
    g = np.arange(300) % 7
    pattern = write_parts(tmp_path, x, [100, 200])
    expected = gtn_fast.label(x, y, groups=(g, g))
    assert (gtn_fast.label(pattern, y, groups=(g, g)).x_index == expected.x_index).all()
    point = tmp_path / "c"
    whole = gtn_fast.label(pattern, y, checkpoint=point)
    again = gtn_fast.label(x, y, checkpoint=point, resume=True)  # the same data in one array
    assert again.report["resumed_rows"] == 300
    assert (again.x_index == whole.x_index).all()


def test_files_that_do_not_fit_together(native, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good, bad = np.ones((5, 3), np.float32), np.ones((5, 3), np.float32)
    bad[4, 1] = np.nan
    np.save("a.npy", good)
    np.save("nan.npy", bad)
    np.save("wide.npy", np.ones((5, 4), np.float32))
    for second, error, message in (
        ("wide.npy", ValueError, r"X, wide.npy has 4 columns, X, a.npy has 3"),
        ("nan.npy", ValueError, r"X must be finite: row 9, column 1 is nan"),
        ("none.npy", ValueError, r"none.npy: no such file"),
    ):
        with pytest.raises(error, match=message):
            gtn_fast.label(["a.npy", second])
    with pytest.raises(ValueError, match=r"b-\*.npy: no file matches"):
        gtn_fast.label("b-*.npy")


def test_rows_of_several_arrays():
    x = np.arange(40.0).reshape(10, 4)
    stacked = Stacked([x[:3], x[3:4], x[4:]])
    assert len(stacked) == 10
    for rows in (slice(2, 9), slice(None, None, 3), slice(8, 2), [9, 0, 3, 3], x[:, 0] > 15):
        assert (stacked[rows] == x[rows]).all()
    assert (np.asarray(stacked) == x).all()


def test_rows_that_are_drawn(native):
    whole = gtn_fast.normal(5, 0, 50, 7)
    drawn = Drawn(5, 50, 7)
    for rows in (slice(3, 20), slice(None, None, 9), [49, 0, 7, 7]):
        assert (drawn[rows] == whole[rows]).all()
    assert (np.asarray(drawn) == whole).all()


@pytest.mark.parametrize("d", [1, 2, 3, 9, 130])
def test_a_drawn_sample_is_matched_without_being_stored(native, d):
    x, _ = cases.make("gaussian", 300, 1, d)
    y = gtn_fast.normal(8, 0, 290, d)
    for strategy in cases.strategies(d):
        found = native_backend.match(x, Drawn(8, 290, d), strategy=strategy, threads=2)
        assert (found.x_index == reference.match(x, y)[0]).all()


def test_the_approximate_path_reads_files_and_draws_rows_too(native, tmp_path):
    x, _ = cases.make("gaussian", 2000, 1, 12)
    how = {"method": "faiss", "exact_below": 0, "seed": 4}
    expected = gtn_fast.label(x, **how)
    found = gtn_fast.label(write_parts(tmp_path, x, [500, 1500]), memory="1GB", **how)
    assert (found.x_index == expected.x_index).all()
    assert found.report["quality"] == expected.report["quality"]


# ------------------------------------------------------------------ a limit


def test_within_a_limit_another_strategy_or_a_scratch_file(native):
    tree = gtn_fast.plan(10**6, 10**6, 5, method="auto")
    assert (tree.strategy, tree.scratch_bytes) == ("tree", 0)
    less = gtn_fast.plan(10**6, 10**6, 5, memory=tree.bytes - 1)
    assert less.strategy == "screen"
    assert less.bytes < tree.bytes
    wide = gtn_fast.plan(10**6, 10**6, 500)
    tight = gtn_fast.plan(10**6, 10**6, 500, memory="300MB")
    assert tight.bytes <= 300 * 10**6 < wide.bytes
    assert tight.scratch_bytes == 500 * 10**6
    assert "in a file" in str(tight)
    with pytest.raises(MemoryError, match=r"need at least .*, memory allows 95.4 MiB"):
        gtn_fast.plan(10**6, 10**6, 500, memory="100MB")
    with pytest.raises(ValueError, match=r"memory goes with device 'cpu', not 'cuda'"):
        gtn_fast.plan(10**6, 10**6, 5, device="cuda", memory="1GB")
    with pytest.raises(MemoryError, match=r"method 'tree' needs about"):
        gtn_fast.plan(10**6, 10**6, 5, method="tree", memory="1MB")


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize("d", [3, 20])
def test_the_same_answer_from_a_scratch_file(native, name, d, tmp_path):
    x, y = cases.make(name, 3000, 400, d)
    expected = gtn_fast.label(x, y).x_index
    for threads in (1, 2):
        found = native_backend.match(
            x, y, strategy="screen", threads=threads, out_of_core=True, scratch=str(tmp_path)
        )
        assert (found.x_index == expected).all()
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_folder_without_room_or_that_is_none(native, tmp_path, monkeypatch):
    x, y = cases.make("gaussian", 3000, 400, 500)
    limit = make_plan(3000, 400, 500, "screen", 1).bytes - 1
    (tmp_path / "file").touch()
    for folder, error in ((tmp_path / "none", FileNotFoundError), (tmp_path / "file", OSError)):
        with pytest.raises((error, RuntimeError), match=r"No such file|Not a directory"):
            gtn_fast.label(x, y, memory=limit, threads=1, scratch=folder)
    labels = gtn_fast.label(x, y, memory=limit, threads=1, scratch=tmp_path)
    assert labels.report["scratch"] == str(tmp_path)
    usage = schedule.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(schedule.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"a scratch file of .* does not fit: 1000 bytes free"):
        gtn_fast.label(x, y, memory=limit, threads=1, scratch=tmp_path)


def test_a_disk_that_fills_up_under_a_scratch_file(native, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    x, y = cases.make("gaussian", 3000, 400, 500)
    limit = make_plan(3000, 400, 500, "screen", 1).bytes - 1
    usage = schedule.shutil.disk_usage(tmp_path)._replace(free=1 << 60)
    monkeypatch.setattr(schedule.shutil, "disk_usage", lambda _: usage)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"scratch file in .*: File too large"):
            gtn_fast.label(x, y, memory=limit, threads=1, scratch=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


LIMITED = """
    import resource, sys
    import numpy as np
    import gtn_fast

    def used():
        for line in open("/proc/self/status"):
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024

    pattern, limit = sys.argv[1], int(sys.argv[2])
    gtn_fast.label(np.ones((100, 600), np.float32))  # all that is loaded and started once
    y = np.load(sys.argv[3])
    threads = 24 << 20  # stacks
    resource.setrlimit(resource.RLIMIT_DATA, (used() + limit + threads,) * 2)
    try:
        np.ones(limit + 2 * threads, np.uint8)
    except MemoryError:
        pass
    else:
        sys.exit("the limit does not hold")
    labels = gtn_fast.label(pattern, y, memory=limit, threads=2, scratch=sys.argv[4])
    assert labels.report["out_of_core"], labels.report
    assert ("scratch" in labels.report) == bool(int(sys.argv[5])), labels.report
    np.save(sys.argv[6], labels.x_index)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA is Linux's")
@pytest.mark.parametrize(("limit", "scratch"), [(210 << 20, 0), (70 << 20, 1)])
def test_x_larger_than_the_memory_allowed(native, tmp_path, limit, scratch):
    """600 bytes of codes, 2,400 bytes of X a row: under a limit that the system enforces."""
    n, d = 100_000, 600
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d), dtype=np.float32)
    y = rng.standard_normal((300, d), dtype=np.float32)
    pattern = write_parts(tmp_path, x, [n // 4, n // 2, n // 4])
    np.save(tmp_path / "y.npy", y)
    arguments = [pattern, limit, tmp_path / "y.npy", tmp_path, scratch, tmp_path / "out.npy"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert (np.load(tmp_path / "out.npy") == gtn_fast.label(x, y).x_index).all()
    assert x.nbytes > limit


@pytest.mark.parametrize(
    ("amount", "size"),
    [
        (1000, 1000),
        ("8GB", 8 * 10**9),
        ("1.5 GiB", 3 << 29),
        ("500m", 5 * 10**8),
        ("12", 12),
        ("2kib", 2048),
        ("1T", 10**12),
    ],
)
def test_amounts_of_memory(amount, size):
    assert parse_size(amount) == size


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        ("8 pigs", ValueError),
        ("", ValueError),
        ("-1GB", ValueError),
        ("1ib", ValueError),
        (0, ValueError),
        (-5, ValueError),
        ("9e9", ValueError),
        ("99999999999GB", ValueError),
        (1.5, TypeError),
        (True, TypeError),
    ],
)
def test_amounts_that_are_none(native, amount, error):
    with pytest.raises(error, match="memory must be"):
        gtn_fast.label(np.ones((5, 3)), memory=amount)


def test_command_line(native, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, _ = cases.make("gaussian", 400, 1, 300)
    write_parts(tmp_path, x, [100, 300])
    expected = gtn_fast.label(x).x_index
    limit = make_plan(400, 400, 300, "screen", 1).bytes - 1
    common = ("label", "part-*.npy", "--out", "o.npz", "--threads", 1)
    assert run(*common, "--memory", limit, "--scratch", ".", "--verify", 50) == 0
    assert (gtn_fast.Labels.load("o.npz").x_index == expected).all()
    assert run("verify", "part-*.npy", "o.npz") == 0
    assert run("plan", "part-*.npy", "--threads", 1, "--memory", limit) == 0
    assert "scratch" in capsys.readouterr().out
    assert run(*common, "--memory", "lots") == 2
    one_line(capsys, "memory must be bytes or a text like '8GB', got 'lots'")
    assert run("label", "q*.npy", "--out", "o.npz") == 2
    one_line(capsys, "q*.npy: no file matches")
