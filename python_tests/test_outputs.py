"""Outputs destroy nothing, fit, follow links, and survive a last step that fails."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import D, N, one_line, prepare, run

import gtn_fast
from gtn_fast.cli import labeling
from gtn_fast.inputs.files import FileError, check_regular
from gtn_fast.inputs.reading import load_matrix
from gtn_fast.labels import saved_bytes
from gtn_fast.outputs import files, kinds
from gtn_fast.outputs.files import check_output, deliver, remove, write_text
from gtn_fast.outputs.targets import Sources, Target, check_targets


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = prepare(tmp_path, monkeypatch)
    np.savez("x.npz", x=np.load("X.npy"))
    np.savez("g.npz", g=np.zeros(N, dtype=np.int64))
    return folder


@pytest.fixture
def idle(monkeypatch):
    """Whoever begins to work fails."""
    monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))


def contents():
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


# ------------------------------------------------------------------ inputs stay


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    "command",
    [
        "label x.npz --out x.npz",
        "label x.npz:x --out x.npz",
        "label x.npz --out sub/../x.npz",
        "label x.npz --out hard.npz",
        "label x.npz --out soft.npz",
        "label soft.npz --out x.npz",
        "label X.npy --y x.npz --out x.npz",
        "label X.npy --groups-x g.npz --out g.npz",
        "label X.npy --y X.npy --groups-x g.npz --groups-y g.npz --out g.npz",
        "label X.npy --out o.npz --checkpoint X.npy",
        "label X.npy --y Y.npy --out o.npz --checkpoint Y.npy --resume",
        "label X.npy --out o.npz --checkpoint o.npz",
        "label [x].npz --out x.npz",
        "label sub/p*.npz --out sub/pairs.npz",
        "label sub/**/p-1.npz --out sub/more/p-1.npz",
    ],
)
def test_label_leaves_its_inputs_alone(data, capsys, idle, command, force):
    Path("sub").mkdir()
    shutil.copy("x.npz", "sub/p-1.npz")
    Path("hard.npz").hardlink_to("x.npz")
    Path("soft.npz").symlink_to("x.npz")
    before = contents()
    assert run(*command.split(), *force) == 2
    one_line(capsys)
    assert contents() == before
    assert Path("soft.npz").is_symlink()


def test_a_pattern_is_no_obstacle_elsewhere(data):
    Path("sub").mkdir()
    sources = Sources(["x*.npz", "X.npy"])
    for out in ("labels.npz", "sub/x1.npz", "o.npz"):
        check_targets([Target(Path(out))], sources)
    np.save("sub/x-1.npy", np.ones((3, 2)))
    sources = Sources(["sub/**/x-*.npy"])
    for out in ("x-2.npy", "sub/ax-2.npy", "sub/x-2.npz"):
        check_targets([Target(Path(out))], sources)
    with pytest.raises(FileError, match="would be an input the next time"):
        check_targets([Target(Path("sub/x-2.npy"))], sources)


def test_pictures_never_go_where_pictures_are_read(tmp_path):
    images = tmp_path / "images"
    (images / "run").mkdir(parents=True)
    (tmp_path / "link").symlink_to(images)
    sources = Sources([str(images)], [images])
    for folder in (images, images / "run", tmp_path / "link", tmp_path / "link" / "run"):
        with pytest.raises(FileError, match="whose pictures are read"):
            check_targets([Target(folder / "loss.png")], sources, force=True)
        check_targets([Target(folder / "metrics.json")], sources)  # nobody reads that
    check_targets([Target(tmp_path / "loss.png")], sources)


def test_python_too_leaves_a_mapped_input_alone(data):
    y = np.load("Y.npy", mmap_mode="r")
    labels = gtn_fast.label("X.npy", y)
    before = Path("Y.npy").read_bytes()
    with pytest.raises(FileError, match=r"Y\.npy: is the file of an input"):
        labels.save("Y.npy")
    assert Path("Y.npy").read_bytes() == before
    labels.save("other.npz")
    np.save("Y-2.npy", y[:10])
    labels = gtn_fast.label("X.npy", ["Y.npy", "Y-2.npy"], memory="1GB")
    with pytest.raises(FileError, match=r"Y-2\.npy: is the file of an input"):
        labels.save("Y-2.npy", force=True)


@pytest.mark.parametrize("content", [b"mine", b"PK\x03\x04mine", None])
def test_python_too_replaces_what_is_ours_alone(tmp_path, content):
    labels = gtn_fast.label(np.random.default_rng(0).normal(size=(50, 3)))
    path = tmp_path / "x.npz"
    if content is None:
        np.savez(path, x=np.ones(3))
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(FileError, match="is not a labels file; force=True replaces it"):
        labels.save(path)
    assert path.read_bytes() == before
    labels.save(path, force=True)
    labels.save(path)
    assert gtn_fast.Labels.load(path).n_x == 50


def test_models_replace_their_kind_alone(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from gtn_fast.learn.training.store import load_tensors, save_tensors
    from gtn_fast.vision.pipeline import fit_images

    foreign, own = tmp_path / "autoencoder.safetensors", tmp_path / "own.safetensors"
    save_file({"w": torch.ones(3)}, foreign)
    save_tensors(own, "GTN", {"a": torch.ones(2)}, {})
    for path in (foreign, own):
        before = path.read_bytes()
        with pytest.raises(FileError, match="is not a classifier; force=True replaces it"):
            save_tensors(path, "classifier", {}, {})
        assert path.read_bytes() == before
    images = np.zeros((20, 1, 8, 8), np.uint8)
    with pytest.raises(FileError, match=r"autoencoder\.safetensors: is there already"):
        fit_images(images, 2, out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {foreign.name, own.name}
    save_tensors(own, "GTN", {"a": torch.zeros(2)}, {})
    save_tensors(foreign, "classifier", {}, {}, force=True)
    assert load_tensors(own, "GTN")[0]["a"].sum() == 0


def test_what_came_meanwhile_is_not_replaced_either(data, capsys, monkeypatch):
    """And the labels survive."""
    label = gtn_fast.label

    def label_and_meet(*arguments, **options):
        np.savez("o.npz", precious=np.ones(3))
        return label(*arguments, **options)

    monkeypatch.setattr(gtn_fast, "label", label_and_meet)
    assert run("label", "X.npy", "--out", "o.npz") == 2
    one_line(capsys, "o.npz: is there already", "the result was saved as o-")
    assert np.load("o.npz").files == ["precious"]
    (saved,) = Path().glob("o-*.npz")
    assert gtn_fast.Labels.load(saved).n_x == N


# ------------------------------------------------------------------ older files


def test_labels_replace_labels_and_nothing_else_unasked(data, capsys, monkeypatch):
    command = ("label", "X.npy", "--out", "o.npz", "--quiet")
    Path("o.npz").touch()  # as mktemp leaves it
    assert run(*command) == 0
    assert run(*command, "--seed", 1) == 0
    assert gtn_fast.Labels.load("o.npz").seed == 1
    np.savez("other.npz", format=np.array("something else"), x=np.ones(3))
    Path("broken.npz").write_bytes(Path("o.npz").read_bytes()[:300])
    for name in ("x.npz", "other.npz", "broken.npz"):
        before = Path(name).read_bytes()
        monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))
        assert run("label", "X.npy", "--out", name) == 2
        one_line(capsys, name, "is there already", "--force")
        assert Path(name).read_bytes() == before
        monkeypatch.undo()
        monkeypatch.chdir(data)
        assert run("label", "X.npy", "--out", name, "--force", "--quiet") == 0
        assert gtn_fast.Labels.load(name).n_x == N


@pytest.mark.parametrize(
    ("content", "ours"),
    [
        ('{"real": "a", "generated": "b", "FID": 1}', True),
        ('{"real": "a"}', False),
        ("[1, 2]", False),
        ("no json", False),
    ],
)
def test_metrics_of_evaluate_are_known(tmp_path, content, ours):
    path = tmp_path / "m.json"
    path.write_text(content)
    assert kinds.is_metrics(path) is ours


def test_a_write_protected_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "o.npz"
    path.write_bytes(b"x")
    path.chmod(0o444)
    # Root may write anywhere.
    monkeypatch.setattr(files.os, "access", lambda p, mode: bool(Path(p).stat().st_mode & 0o200))
    with pytest.raises(FileError, match="write-protected"):
        check_output(path)
    path.chmod(0o644)
    check_output(path)


def test_anothers_file_in_a_shared_folder_is_not_replaced(tmp_path, monkeypatch):
    folder = tmp_path / "shared"
    folder.mkdir()
    path = folder / "o.npz"
    path.write_bytes(b"x")
    monkeypatch.setattr(files.os, "geteuid", lambda: path.stat().st_uid + 1)
    check_output(path)
    folder.chmod(0o1777)
    with pytest.raises(FileError, match="belongs to another user"):
        check_output(path)
    check_output(folder / "new.npz")


# ------------------------------------------------------------------ what is no file


@pytest.fixture
def odd(tmp_path):
    """A pipe, a socket, a device, and links to them."""
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "to_pipe.npz").symlink_to("pipe.npz")
    (tmp_path / "device.npz").symlink_to("/dev/full")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket must be short
        server.bind("socket.npz")
        os.chdir(before)
        yield tmp_path


@pytest.mark.parametrize("name", ["pipe.npz", "to_pipe.npz", "device.npz", "socket.npz"])
def test_only_regular_files_are_read_or_written(data, odd, capsys, idle, name):
    for use in (check_output, check_regular, gtn_fast.Labels.load):
        with pytest.raises(FileError, match="is no regular file"):
            use(odd / name)
    with pytest.raises(FileError, match="is no regular file"):
        load_matrix(str(odd / name))
    with pytest.raises(FileError, match="is no regular file"):
        write_text(odd / name, "x")
    for command in (f"label X.npy --out {name}", f"label {name} --out o.npz",
                    f"verify X.npy {name}", f"label X.npy --y {name} --out o.npz"):  # fmt: skip
        assert run(*command.split()) == 2
        one_line(capsys, name, "is no regular file")


def test_a_checkpoint_is_a_regular_file(data, odd, capsys):
    for options in ((), ("--resume",)):
        command = ("label", "X.npy", "--out", "o.npz", "--checkpoint", "pipe.npz", *options)
        assert run(*command) == 2
        one_line(capsys, "pipe.npz", "is no regular file")


def test_links_are_followed_and_stay(data, capsys):
    Path("elsewhere").mkdir()
    Path("o.npz").symlink_to("elsewhere/labels.npz")  # leads to nothing yet
    Path("c").symlink_to("elsewhere/checkpoint")
    for seed in (3, 4):
        command = ("label", "X.npy", "--out", "o.npz", "--checkpoint", "c", "--quiet")
        assert run(*command, "--seed", seed) == 0
        assert Path("o.npz").is_symlink()
        assert gtn_fast.Labels.load("elsewhere/labels.npz").seed == seed
        assert [path.name for path in Path("elsewhere").iterdir()] == ["labels.npz"]
    Path("loop.npz").symlink_to("loop.npz")
    assert run("label", "X.npy", "--out", "loop.npz") == 2
    one_line(capsys, "loop.npz", "symbolic links")
    remove(Path("o.npz"))
    assert Path("o.npz").is_symlink()
    assert not Path("elsewhere/labels.npz").exists()


@pytest.mark.parametrize("length", [255, 256])
def test_any_name_that_the_system_takes(data, capsys, idle, monkeypatch, length):
    name = "n" * (length - 4) + ".npz"
    if length > os.pathconf(".", "PC_NAME_MAX"):
        assert run("label", "X.npy", "--out", name) == 2
        one_line(capsys, "name too long")
    else:
        write_text(Path(name), "x")
        assert Path(name).read_text() == "x"


@pytest.mark.parametrize("name", ["a\0b.npz", "a\ud800b.npz"])
def test_names_that_no_file_has(data, capsys, idle, name):
    assert run("label", "X.npy", "--out", name) == 2
    one_line(capsys)


# ------------------------------------------------------------------ room


def room(monkeypatch, free):
    usage = shutil.disk_usage(".")._replace(free=free)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)


@pytest.mark.parametrize("given", [True, False])
def test_room_is_that_of_what_is_written(data, capsys, monkeypatch, given):
    source = ("--y", "Y.npy") if given else ()
    command = ("label", "X.npy", "--out", "o.npz", "--quiet", *source)
    assert run(*command) == 0
    real = Path("o.npz").stat().st_size
    n_y = N - 50 if given else N
    predicted = saved_bytes(n_y, D, np.dtype(np.float64) if given else None)
    assert real <= predicted < real + (1 << 16)
    room(monkeypatch, predicted)
    assert run(*command) == 0
    room(monkeypatch, predicted - 1)
    monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))
    assert run(*command) == 2
    one_line(capsys, "o.npz", f"{predicted:,} bytes", "left")


def test_the_checkpoint_takes_room_too(data, capsys, monkeypatch, idle):
    both = saved_bytes(N, D, None) + labeling.saved_checkpoint_bytes(N)
    room(monkeypatch, both - 1)
    assert run("label", "X.npy", "--out", "o.npz", "--checkpoint", "c") == 2
    one_line(capsys, f"{both:,} bytes with the other files")


def test_a_cache_of_pairs_asks_for_its_room(data, monkeypatch):
    pytest.importorskip("torch")
    from gtn_fast.learn import pairs

    room(monkeypatch, saved_bytes(N, D, None) - 1)
    monkeypatch.setattr(pairs, "label", lambda *_, **__: pytest.fail("worked first"))
    with pytest.raises(FileError, match="bytes"):
        gtn_fast.LabeledPairs(np.load("X.npy"), cache="cache.npz")


# ------------------------------------------------------------------ the last step


def test_a_result_survives_where_its_folder_has_gone(data, capsys, monkeypatch, tmp_path):
    refuge = tmp_path / "temporary"
    for folder in ("out", refuge):
        Path(folder).mkdir()
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(refuge))
    label = gtn_fast.label

    def label_and_lose(*arguments, **options):
        shutil.rmtree("out")
        labels = label(*arguments, **options)
        monkeypatch.setattr(files.Path, "cwd", staticmethod(lambda: Path("out")))
        return labels

    monkeypatch.setattr(gtn_fast, "label", label_and_lose)
    assert run("label", "X.npy", "--out", "out/o.npz") == 2
    (saved,) = refuge.iterdir()
    one_line(capsys, "out/o.npz: No such file or directory", f"saved as {saved}")
    expected = label("X.npy")
    assert np.array_equal(gtn_fast.Labels.load(saved).x_index, expected.x_index)


def test_a_result_that_cannot_take_its_place_survives_beside_it(tmp_path, monkeypatch):
    target = tmp_path / "o.txt"
    rename = Path.replace

    def refuse(self, other):
        if Path(other) == target:
            raise PermissionError(1, "Operation not permitted")
        return rename(self, other)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(FileError, match="Operation not permitted; the result was saved as"):
        deliver(target, lambda path: write_text(path, "work"))
    (saved,) = tmp_path.iterdir()
    assert saved.read_text() == "work"


def test_it_is_said_where_nothing_could_be_saved(tmp_path, monkeypatch):
    def full(_path):
        raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match="No space left on device; nor could"):
        deliver(tmp_path / "o.txt", full)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ streams of the process


CLOSED = ["", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full",
          ">/dev/full 2>/dev/full"]  # fmt: skip


@pytest.mark.parametrize("streams", CLOSED)
def test_streams_never_change_the_exit_code(data, streams):
    assert run("label", "X.npy", "--out", "o.npz", "--quiet") == 0
    swapped = gtn_fast.Labels.load("o.npz")
    swapped.x_index[[0, 1]] = swapped.x_index[[1, 0]]
    swapped.save("wrong.npz")
    for command, code in (
        ("verify X.npy o.npz", 0),
        ("verify X.npy wrong.npz", 1),
        ("label missing.npy --out n.npz", 2),
        ("label X.npy --out n.npz --verify 10", 0),
    ):
        line = f"'{sys.executable}' -m gtn_fast {command} {streams}"
        assert subprocess.run(line, shell=True, check=False, timeout=300,
                              capture_output=True).returncode == code, line  # fmt: skip
    assert np.array_equal(
        gtn_fast.Labels.load("n.npz").x_index, gtn_fast.Labels.load("o.npz").x_index
    )


def test_lost_output_is_said(data):
    line = f"'{sys.executable}' -m gtn_fast plan X.npy >/dev/full"
    done = subprocess.run(
        line, shell=True, check=False, timeout=300, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == (
        "gtn-fast: note: the output could not be written: No space left on device\n"
    )


def test_what_nobody_expected_has_a_code_of_its_own(data, capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(gtn_fast, "label", fail)
    assert run("label", "X.npy", "--out", "o.npz") == 70
    one_line(capsys, "unexpected RuntimeError: two lines", "test_outputs.py, line")
    monkeypatch.setenv("GTN_FAST_TRACEBACK", "1")
    assert run("label", "X.npy", "--out", "o.npz") == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "evaluate --real pipe.npy --generated X.npy --out m.json",
        "evaluate --real pipe.npz --generated X.npy --out m.json",
        "evaluate --real X.npy --generated pipe.npy --out m.json",
        "autoencode pipe.npz --out o",
        "autoencode pipe-idx3-ubyte --out o",
        "autoencode data_batch_1 --out o",
        "train pipe.npy --out o",
        "train X.npy --out o --val pipe.npy",
        "train X.npy --out o --autoencoder pipe.safetensors",
        "train X.npy --out pipes",
        "sample pipe.safetensors --out s.npy",
        "label X.npy --groups-x pipe.npy --out o.npz",
    ],
)
def test_no_command_waits_for_a_pipe(data, capsys, command):
    for package in ("torch", "matplotlib", "safetensors", "PIL"):
        pytest.importorskip(package)
    Path("pipes").mkdir()
    for name in ("pipe.npy", "pipe.npz", "pipe-idx3-ubyte", "data_batch_1", "pipe.safetensors",
                 "pipes/checkpoint.safetensors"):  # fmt: skip
        os.mkfifo(name)
    assert run(*command.split()) == 2
    one_line(capsys, "is no regular file")


def test_a_cache_of_pairs_is_no_pipe(data):
    pytest.importorskip("torch")
    os.mkfifo("pipe.npz")
    with pytest.raises(FileError, match="is no regular file"):
        gtn_fast.LabeledPairs(np.load("X.npy"), cache="pipe.npz")
