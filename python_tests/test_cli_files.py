"""What the command line reads and writes: every format, damaged files, full disks."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import N, one_line, prepare, run

import gtn_fast
from gtn_fast.inputs.reading import load_matrix
from gtn_fast.outputs import files
from gtn_fast.outputs.files import write_file, write_text


@pytest.fixture
def data(tmp_path, monkeypatch):
    return prepare(tmp_path, monkeypatch)


# ------------------------------------------------------------------ input files


def test_npy_is_mapped_not_read(data):
    assert isinstance(load_matrix("X.npy"), np.memmap)


def test_npz_picks_the_only_matrix_or_asks(data, capsys):
    x = np.load("X.npy")
    np.savez("one.npz", x=x, names=np.arange(N))
    np.savez("two.npz", train=x, test=x[:10])
    assert np.array_equal(load_matrix("one.npz"), x)
    assert np.array_equal(load_matrix("two.npz:test"), x[:10])
    assert np.array_equal(load_matrix("two.npz", "train"), x)
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
        assert torch.equal(load_matrix(spec), x.detach())
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


def test_elements_that_are_arrays_are_refused(capsys):
    """np.save writes no such header, and np.load does not read one."""
    header = b"{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (3,)}\n"
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    Path("x.npy").write_bytes(magic + header + bytes(24))
    assert run("label", "x.npy", "--out", "o.npz") == 2
    one_line(capsys, "x.npy", "its elements are arrays themselves")


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def test_safetensors_files(data):
    numpy_files = pytest.importorskip("safetensors.numpy")
    x = np.load("X.npy")
    numpy_files.save_file({"x": x, "ids": np.arange(N)}, "x.safetensors")
    assert np.array_equal(load_matrix("x.safetensors"), x)
    torch = pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    half = torch.randn(6, 3).to(torch.bfloat16)
    torch_files.save_file({"x": half}, "half.safetensors")
    assert torch.equal(load_matrix("half.safetensors:x"), half)


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
        (
            "vector.npy",
            "X, vector.npy must be a matrix of shape (rows, d), got shape (3,); X.reshape(-1, 1)",
        ),
        ("cube.npy", "--flatten"),
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

    monkeypatch.setattr(np, "memmap", refuse)
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

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))
    assert run("label", "X.npy", "--out", "o.npz") == 2
    one_line(capsys, "cannot write", "Permission denied")


def test_too_little_room_is_said_before_the_work(data, capsys, monkeypatch):
    usage = files.shutil.disk_usage(".")._replace(free=100)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))
    assert run("label", "X.npy", "--out", "o.npz") == 2
    one_line(capsys, "100 left")


def test_a_disk_that_fills_up_leaves_nothing_behind(data):
    process = subprocess.run(
        [sys.executable, "-m", "gtn_fast", "label", "X.npy", "--out", "o.npz"],
        capture_output=True,
        text=True,
        timeout=300,  # a guard against a hang
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    errors = process.stderr
    assert process.returncode == 2, errors
    assert errors.count("\n") == 1
    assert errors.startswith("gtn-fast: error: o.npz: ")
    assert sorted(path.name for path in data.iterdir()) == ["X.npy", "Y.npy"]


def test_writing_is_all_or_nothing(tmp_path):
    target = tmp_path / "t.md"
    write_text(target, "old")

    def half(path):
        path.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(target, half)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
