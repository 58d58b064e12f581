"""What X and Y may be: paths, patterns, parts of any kind; one place opens them for everybody."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import cases
import numpy as np
import pytest
import torch
from cli_runs import one_line, run

import gtn_fast
from gtn_fast import metrics, reference
from gtn_fast.inputs.arrays import convert, describe
from gtn_fast.inputs.patterns import matching_files, natural_order
from gtn_fast.inputs.wording import listing

X, Y = (a.astype(np.float64) / 3 for a in cases.make("gaussian", 120, 100, 4))
X32 = X.astype(np.float32)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts(*arrays, name="part-{}.npy"):
    for i, array in enumerate(arrays):
        np.save(name.format(i), array)
    return name.format("*")


def expected(x, y=Y):
    return reference.match(np.asarray(x, np.float64), y)[0]


# ------------------------------------------------------------------ patterns


def test_two_stars_take_all_levels():
    for i, folder in enumerate((".", "a", "a/b", "a/b/c", "b")):
        Path("data", folder).mkdir(parents=True, exist_ok=True)
        np.save(Path("data", folder, f"x-{i}.npy"), X32[24 * i : 24 * i + 24])
    found = matching_files("data/**/*.npy")
    assert sorted(found) == sorted(map(str, Path("data").rglob("*.npy")))
    whole = np.concatenate([np.load(each) for each in found])
    assert (gtn_fast.label("data/**/*.npy", Y).x_index == expected(whole)).all()
    assert matching_files("data/*/*.npy") == ["data/a/x-1.npy", "data/b/x-4.npy"]


def test_parts_come_in_natural_order():
    names = [f"part-{i}.npy" for i in (1, 2, 9, 10, 11, 100)]
    for name in sorted(names):
        np.save(name, X32)
    assert matching_files("part-*.npy") == names
    assert sorted(["b2/a", "b10/a", "b10", "a", "b2"], key=natural_order) == (
        ["a", "b2", "b2/a", "b10", "b10/a"]
    )
    # Equal but for zeros: an order all the same.
    assert sorted(["x1", "x01", "x001"], key=natural_order) == ["x001", "x01", "x1"]


def test_a_file_that_two_names_lead_to_comes_once():
    np.save("a.npy", X32)
    Path("b.npy").symlink_to("a.npy")
    Path("folder").mkdir()
    Path("folder/up").symlink_to("..")
    assert matching_files("*.npy") == ["a.npy"]
    assert matching_files("**/*.npy") == ["a.npy"]
    assert describe(["a.npy", "b.npy"], "X").rows == 240  # who names both gets both


def test_names_with_brackets():
    np.save("x[1].npy", X32)
    np.save("y1.npy", X32)
    np.savez("z[1].npz", k=X32)
    assert gtn_fast.plan("x[1].npy").n_x == gtn_fast.plan("y[1].npy").n_x == 120
    assert gtn_fast.plan("z[1].npz:k").n_x == gtn_fast.plan("z*.npz:k").n_x == 120
    Path("run[1]").mkdir()
    np.save("run[1]/a.npy", X32)
    with pytest.raises(ValueError, match=r"'run\[\[\]1\]/\*.npy'"):
        gtn_fast.plan("run[1]/*.npy")
    assert gtn_fast.plan("run[[]1]/*.npy").n_x == 120


@pytest.mark.parametrize("pattern", ["none-*.npy", "[ab].npy", "**/none.npy", "?.npz:key"])
def test_a_pattern_without_a_file_says_how_patterns_work(pattern, capsys):
    assert run("plan", pattern) == 2
    one_line(capsys, f"{pattern}: no file matches", "**", "[ab]")


def test_keys_of_several_files():
    np.savez("a.npz", x=X32[:50], other=X32)
    np.savez("b.npz", x=X32[50:], other=X32)
    for given in ("*.npz:x", ["a.npz:x", "b.npz:x"]):
        assert (gtn_fast.label(given, Y).x_index == expected(X32)).all()
    assert run("plan", "*.npz", "--key", "x") == 0


# ------------------------------------------------------------------ the list of files


def test_rows_are_traced_to_their_files(native):
    pattern = parts(X32[:50], np.zeros((0, 4), np.float32), X32[50:])
    labels = gtn_fast.label(pattern, Y)
    files = [str(Path(f"part-{i}.npy").absolute()) for i in range(3)]
    listed = [{"file": f, "rows": n} for f, n in zip(files, (50, 0, 70), strict=True)]
    assert labels.report["x_files"] == listed
    labels.save("labels.npz")
    for found in (labels, gtn_fast.Labels.load("labels.npz")):
        for row in (0, 49, 50, 119):
            file, inside = found.source(row)
            assert (np.load(file)[inside] == X32[row]).all()
    for row in (-1, 120):
        with pytest.raises(ValueError, match="x_row must be from 0 to 119"):
            labels.source(row)
    with pytest.raises(ValueError, match="no file"):
        gtn_fast.label(X32, Y).source(0)


def test_the_command_line_lists_the_files(capsys):
    assert run("label", parts(X32[:50], X32[50:]), "--out", "o.npz") == 0
    assert "2, in the order of rows: part-0.npy to part-1.npy" in capsys.readouterr().out
    files = gtn_fast.Labels.load("o.npz").report["x_files"]
    assert [(Path(f["file"]).name, f["rows"]) for f in files] == [
        ("part-0.npy", 50),
        ("part-1.npy", 70),
    ]


# ------------------------------------------------------------------ whatever takes X


def spellings():
    """The same X in all ways, and Y as it was drawn."""
    np.save("x.npy", X32)
    np.savez("x.npz", key=X32)
    torch.save({"key": torch.from_numpy(X32)}, "x.pt")
    from safetensors.numpy import save_file

    save_file({"key": X32}, "x.safetensors")
    parts(X32[:50], X32[50:], name="p-{}.npy")
    return ["x.npy", Path("x.npy"), "x.npz:key", "x.pt", "x.pt:key", "x.safetensors", "p-*.npy",
            ["p-0.npy", Path("p-1.npy")], ("p-0.npy", "p-1.npy"), ["p-*.npy"]]  # fmt: skip


def test_whatever_label_takes_everything_takes(native):
    labels = gtn_fast.label(X32, seed=3)
    pairs = gtn_fast.LabeledPairs(X32, seed=3)
    gtn = gtn_fast.GTN(4, layers=1, width=4)
    gtn.fit(X32, X32[:50], epochs=1, seed=3, progress=False)
    sample = gtn.transform(labels.y)
    for i, given in enumerate(spellings()):
        assert (gtn_fast.label(given, seed=3).x_index == labels.x_index).all()
        y, x = labels.pairs(given)
        assert (np.asarray(y) == labels.y).all()
        assert (np.asarray(x) == X32[labels.x_index]).all()
        assert isinstance(x, torch.Tensor) == str(given).startswith("x.pt")
        assert gtn_fast.verify(given, None, labels).complete
        assert gtn_fast.plan(given).n_x == 120
        made = gtn_fast.LabeledPairs(given, seed=3, cache=f"cache{i}.npz")
        assert torch.equal(made.x, pairs.x)
        assert gtn_fast.Labels.load(f"cache{i}.npz").report["x_files"] is not None
        other = gtn_fast.GTN(4, layers=1, width=4)
        other.fit(given, given, epochs=1, seed=3, progress=False)
        gtn.fit(X32, X32, epochs=1, seed=3, progress=False)
        assert (other.sample(9) == gtn.sample(9)).all()
        assert (gtn.transform(given) == gtn.transform(X32)).all()
        assert metrics.energy_distance(given, X32) == 0
    assert len(sample) == 120


def test_the_command_line_takes_what_label_takes(native, capsys):
    for given in spellings():
        if not isinstance(given, str):
            continue
        assert run("label", given, "--out", "o.npz", "--quiet", "--seed", "3") == 0
        assert (gtn_fast.Labels.load("o.npz").x_index == gtn_fast.label(X32, seed=3).x_index).all()
        assert run("verify", given, "o.npz") == 0
        assert run("plan", given) == 0
        capsys.readouterr()


def test_method_rank_of_several_files():
    x = X32[:, :1]
    pattern = parts(x[:50], x[50:])
    labels = gtn_fast.label(pattern, Y[:, :1], method="rank")
    assert gtn_fast.verify(pattern, Y[:, :1], labels).complete


# ------------------------------------------------------------------ parts of any kind

KINDS = {
    "float16": lambda x: x.astype(np.float16),
    "float32": lambda x: x.astype(np.float32),
    "float64": lambda x: x,
    "longdouble": lambda x: x.astype(np.longdouble),
    "uint8": lambda x: (np.abs(x) * 40).astype(np.uint8),
    "int64": lambda x: (x * 1000).astype(np.int64),
    "Fortran": np.asfortranarray,
    "Fortran float16": lambda x: np.asfortranarray(x.astype(np.float16)),
    "big-endian": lambda x: x.astype(">f4"),
}


@pytest.mark.parametrize("first", sorted(KINDS))
@pytest.mark.parametrize("second", sorted(KINDS))
def test_parts_of_any_kind(native, first, second):
    a, b = KINDS[first](X[:50]), KINDS[second](X[50:])
    pattern = parts(a, b)
    whole = np.concatenate([a.astype(np.float64), b.astype(np.float64)])
    described = describe(pattern, "X")
    narrow = {"float16", "float32", "Fortran float16", "big-endian"}
    assert described.dtype == (np.float32 if {first, second} <= narrow else np.float64)
    assert (np.asarray(convert(described)) == whole).all()
    labels = gtn_fast.label(pattern, Y)
    assert (labels.x_index == expected(whole)).all()
    assert (np.asarray(labels.pairs(pattern)[1]) == whole[labels.x_index]).all()


def test_only_parts_that_do_not_fit_are_copied():
    pattern = parts(X32[:50], X32[50:90].astype(np.float16), X32[90:])
    described = describe(pattern, "X")
    assert described.copy_bytes == 40 * 4 * 4
    made = convert(described)
    assert [
        np.shares_memory(a, b) for a, b in zip(made.parts, described.value.parts, strict=True)
    ] == ([True, False, True])
    assert described.copy_bytes == sum(made.parts[i].nbytes for i in (1,))


def test_rows_of_parts_before_they_are_converted():
    pattern = parts(X[:50].astype(np.float16), X32[50:])
    lazy = describe(pattern, "X").value
    whole = np.concatenate([X[:50].astype(np.float16).astype(np.float32), X32[50:]])
    for rows in (slice(40, 60), slice(None, None, 7), slice(9, 3), [119, 0, 50], -1, 49):
        assert (lazy[rows] == whole[rows]).all()
    assert (lazy[[3, 80], 1] == whole[[3, 80], 1]).all()
    assert lazy[-1].shape == (4,)
    for bad in (120, -121, [0, 120]):
        with pytest.raises(IndexError, match="120 rows"):
            lazy[bad]
    with pytest.raises(TypeError, match="rows are asked for"):
        lazy[0.5]


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("empty", [np.zeros((0, 4)), np.zeros(0), np.zeros((0, 4), np.float16)])
def test_an_empty_part(native, where, empty):
    arrays = [X32[:50], X32[50:]]
    arrays.insert(where, empty)
    pattern = parts(*arrays)
    assert describe(pattern, "X").dtype == np.float32
    assert (gtn_fast.label(pattern, Y).x_index == expected(X32)).all()


def test_nothing_but_empty_parts():
    with pytest.raises(ValueError, match="X is empty: none of its 2 files has a row"):
        gtn_fast.label(parts(np.zeros((0, 4)), np.zeros((0, 4))), Y)


def test_parts_of_several_formats(native):
    np.save("a.npy", X32[:40])
    np.savez("b.npz", X32[40:80].astype(np.float16))
    torch.save(torch.from_numpy(X32[80:]).bfloat16(), "c.pt")
    whole = np.concatenate(
        [X32[:40], X32[40:80].astype(np.float16), torch.from_numpy(X32[80:]).bfloat16().float()]
    )
    assert (gtn_fast.label(["a.npy", "b.npz", "c.pt"], Y).x_index == expected(whole)).all()


# ------------------------------------------------------------------ more than two dimensions


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, torch.from_numpy])
def test_latents_with_more_dimensions(native, layout):
    cube = X32.reshape(120, 2, 1, 2)
    given = layout(cube)
    with pytest.raises(ValueError, match=r"X.reshape\(120, -1\), flatten=True or --flatten"):
        gtn_fast.label(given)
    labels = gtn_fast.label(given, Y.reshape(100, 2, 2), flatten=True)
    assert (labels.x_index == expected(X32)).all()
    assert gtn_fast.verify(given, Y, labels, flatten=True).complete
    assert gtn_fast.plan(given, flatten=True).d == 4
    assert (np.asarray(labels.pairs(given, flatten=True)[1]) == X32[labels.x_index]).all()
    pairs = gtn_fast.LabeledPairs(given, flatten=True)
    assert pairs.x.shape == (120, 4)
    gtn = gtn_fast.GTN(4, layers=1, width=4)
    gtn.fit(given, epochs=1, flatten=True, progress=False)
    assert gtn.scaling.mean == pytest.approx(X32.mean(axis=0))
    with pytest.raises(TypeError, match="flatten must be True or False, got int"):
        gtn_fast.label(given, flatten=1)


@pytest.mark.parametrize("order", ["C", "F"])
def test_files_with_more_dimensions(native, capsys, order):
    cube = X32.astype(np.float16).reshape(120, 2, 1, 2)
    pattern = parts(np.array(cube[:50], order=order), np.array(cube[50:], order=order))
    assert run("label", pattern, "--out", "o.npz") == 2
    one_line(capsys, "(50, 2, 1, 2)", "--flatten")
    assert run("label", pattern, "--flatten", "--out", "o.npz", "--quiet") == 0
    labels = gtn_fast.Labels.load("o.npz")
    whole = X32.astype(np.float16).astype(np.float32)
    assert (labels.x_index == gtn_fast.label(whole).x_index).all()
    assert run("verify", pattern, "o.npz", "--flatten") == 0
    assert run("plan", pattern, "--flatten") == 0
    np.savez("one.npz", ids=np.arange(3), x=cube)
    assert run("plan", "one.npz", "--flatten") == 0


# ------------------------------------------------------------------ bfloat16 without torch


def bare_bfloat16(x):
    """What np.save makes of ml_dtypes' bfloat16: two bytes without a name."""
    return (np.ascontiguousarray(x, np.float32).view(np.uint32) >> 16).astype("<u2").view("V2")


def test_bfloat16_in_files_of_numpy(native):
    whole = (X32.view(np.uint32) >> 16 << 16).view(np.float32)
    np.save("one.npy", bare_bfloat16(X32))
    np.savez("one.npz", x=bare_bfloat16(X32))
    pattern = parts(bare_bfloat16(X32[:50]), X32[50:])
    for given in ("one.npy", "one.npz", np.load("one.npy")):
        labels = gtn_fast.label(given, Y)
        assert labels.report["x_dtype"] == "float32"
        assert (labels.x_index == expected(whole)).all()
        assert (labels.pairs(given)[1] == whole[labels.x_index]).all()
    mixed = np.concatenate([whole[:50], X32[50:]])
    assert (gtn_fast.label(pattern, Y).x_index == expected(mixed)).all()


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"])
def test_types_of_ml_dtypes(native, kind):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = (X32 * 2).astype(getattr(ml_dtypes, kind))
    whole = x.astype(np.float64)
    labels = gtn_fast.label(x, Y)
    assert labels.report["x_dtype"] == ("float64" if kind == "int4" else "float32")
    assert (labels.x_index == expected(whole)).all()
    assert (gtn_fast.label(x, x).x_index == expected(whole, whole)).all()
    if kind == "bfloat16":
        np.save("b.npy", x)
        assert (gtn_fast.label("b.npy", Y).x_index == expected(whole)).all()


# ------------------------------------------------------------------ sizes that files only claim


def npy(shape, descr="<f4", body=b"", order="False"):
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            npy("(10, 3)", body=bytes(100)),
            ("not whole", "10x3 of float32", "120 bytes", "holds 100"),
        ),
        (npy("(9999999999, 9999999999)"), ("not whole", "399,999,999,920,000,000,004")),
        (npy("(-1, 3)", body=bytes(12)), ("a shape that no array has",)),
        (npy("(" + "1," * 40 + ")", body=bytes(4)), ("a shape that no array has",)),
        (npy("(2, 2)", descr="|O"), ("Python objects",)),
        (npy("(1, 1)", descr="<f4" + " " * 20000), ("its header is too long",)),
    ],
)
def test_headers_that_promise_more_than_the_file_holds(capsys, content, words):
    Path("bad.npy").write_bytes(content)
    with zipfile.ZipFile("bad.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    for name in ("bad.npy", "bad.npz"):
        assert run("plan", name) == 2
        one_line(capsys, name, *words)


def test_an_archive_that_does_not_fit_into_memory(monkeypatch, capsys):
    from gtn_fast.planning import memory

    np.savez("x.npz", x=np.zeros((1000, 10)), big=np.zeros(10**6))
    monkeypatch.setattr(memory, "available_bytes", lambda: 70_000)
    monkeypatch.setattr(memory, "_ASKED_FROM", 1)
    assert run("plan", "x.npz:x") == 2
    one_line(capsys, "reading x.npz:x needs about 78.1 KiB, but only 68.4 KiB are")


def test_what_nobody_asked_for_stays_packed(native, monkeypatch):
    from gtn_fast.inputs.npy import Archive

    labels = gtn_fast.label(X32, Y)
    labels.save("labels.npz")
    with zipfile.ZipFile("labels.npz", "a") as archive:
        archive.writestr("bomb.npy", npy("(10, 3)", body=bytes(120)))
    read, whole = [], Archive.read
    monkeypatch.setattr(Archive, "read", lambda self, key: (read.append(key), whole(self, key))[1])
    with pytest.raises(ValueError, match="but also bomb"):
        gtn_fast.Labels.load("labels.npz")
    assert "format" in read
    assert "bomb" not in read
    np.savez("x.npz", x=X32, y=Y)
    read.clear()
    assert gtn_fast.plan("x.npz:x").n_x == 120
    assert read == ["x"]


# ------------------------------------------------------------------ no regular files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_pipes_and_devices_are_refused(native, capsys):
    os.mkfifo("pipe.npy")
    os.mkfifo("pipe.npz")
    np.save("x.npy", X32)
    assert run("label", "x.npy", "--out", "o.npz", "--quiet") == 0
    capsys.readouterr()
    for words in (
        ("plan", "pipe.npy"),
        ("plan", "*pipe*.npz"),
        ("label", "x.npy", "--y", "pipe.npy", "--out", "p.npz"),
        ("verify", "x.npy", "pipe.npz"),
        ("verify", "pipe.npz", "o.npz"),
        ("train", "pipe.npy", "--out", "run"),
    ):
        assert run(*words) == 2
        one_line(capsys, "is no regular file but a pipe")
    Path("zero.npy").symlink_to("/dev/zero")
    assert run("plan", "zero.npy") == 2
    one_line(capsys, "zero.npy: is no regular file but a device")
    with pytest.raises(ValueError, match="but a pipe"):
        gtn_fast.LabeledPairs(X32, cache="pipe.npz")


# ------------------------------------------------------------------ lists in messages


def test_long_lists_are_cut(capsys):
    assert listing([]) == "nothing"
    assert listing("abcde") == "a, b, c, d, e"
    assert listing(range(1995)) == "0, 1, 2, 3, 4, ... and 1,990 more"
    np.savez("many.npz", **{f"array_{i}": X32 for i in range(300)})
    for spec in ("many.npz", "many.npz:none"):
        assert run("plan", spec) == 2
        one_line(capsys, "array_0 120x4", "... and 295 more")


def test_a_folder_says_how_to_take_its_files(capsys):
    Path("folder").mkdir()
    assert run("plan", "folder") == 2
    one_line(capsys, "folder: is a directory; 'folder/*.npy' takes the files in it")
