"""The command line: commands, exit codes, one line an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import N, header, one_line, prepare, run, start_matching

import gtn_fast
from gtn_fast import cli


@pytest.fixture
def data(tmp_path, monkeypatch):
    return prepare(tmp_path, monkeypatch)


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
    assert run("label", "X.npy", "--out", "o.npz", "--quiet") == 0
    before = Path("o.npz").read_bytes()
    np.save("bad.npy", np.array([[1.0, np.nan]]))
    assert run("label", "bad.npy", "--out", "o.npz") == 2
    one_line(capsys, "X", "row 0")
    assert Path("o.npz").read_bytes() == before
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
        timeout=300,
        check=False,
    )
    os.close(writer)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""


# ------------------------------------------------------------------ Ctrl-C


@pytest.mark.parametrize(("method", "n", "d"), [("screen", 250_000, 64), ("reference", 20_000, 8)])
def test_ctrl_c_ends_a_long_run_in_its_midst(native, tmp_path, method, n, d):
    np.save(tmp_path / "X.npy", np.random.default_rng(0).random((n, d), dtype=np.float32))
    process = start_matching(
        *("label", "X.npy", "--out", "o.npz", "--method", method),
        *("--checkpoint", "c", "--checkpoint-every", "1e9"),
        cwd=tmp_path,
    )
    process.send_signal(signal.SIGINT)
    try:
        out, errors = process.communicate(timeout=300)  # a guard against a hang
    finally:
        process.kill()
    assert process.returncode == 130
    assert (out, errors) == ("", "gtn-fast: interrupted\n")
    assert header(tmp_path / "c")["rows"] < n
    assert sorted(path.name for path in tmp_path.iterdir()) == ["X.npy", "c"]
