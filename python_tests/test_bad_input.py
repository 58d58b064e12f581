"""Bad input, message by message; and that it is found before anything is allocated."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast.backends.methods import check_method
from gtn_fast.inputs import arrays
from gtn_fast.inputs.arguments import MAX_THREADS, check_integer, check_seed, check_threads
from gtn_fast.inputs.device import check_device
from gtn_fast.planning import memory
from gtn_fast.planning.memory import available_bytes, peak_bytes, size_text
from gtn_fast.run import local
from gtn_fast.system import cgroups, cpus

X = np.random.default_rng(0).standard_normal((10, 3))
Y = np.random.default_rng(1).standard_normal((8, 3))


def label(x=X, y=Y, **keywords):
    return gtn_fast.label(x, y, **({"method": "reference"} | keywords))


def spoiled(a, row, col, value):
    a = a.copy()
    a[row, col] = value
    return a


TYPE_ERRORS = {
    "object": (X.astype(object), r"X must hold real numbers .* got dtype object"),
    "complex": (X.astype(complex), r"X must hold real numbers .* got dtype complex128"),
    "string": (X.astype(str), r"X must hold real numbers .* got dtype <U"),
    "bytes": (X.astype("S8"), r"X must hold real numbers .* got dtype \|S8"),
    "bool": (X > 0, r"X must hold real numbers .* got dtype bool"),
    "datetime": (np.zeros((10, 3), "M8[s]"), r"X must hold real numbers .* got dtype datetime64"),
    "structured": (np.zeros((10, 3), [("a", "f4")]), r"X must hold real numbers .* got dtype \["),
    "masked": (np.ma.masked_less(X, 0), "X is a masked array"),
    "ragged list": ([[1.0, 2.0], [3.0]], "X must be a numpy array or torch tensor .* got list"),
    "torch complex": (torch.zeros(10, 3, dtype=torch.complex64), r"got dtype torch.complex64"),
    "torch bool": (torch.zeros(10, 3, dtype=torch.bool), r"got dtype torch.bool"),
    "torch sparse": (torch.eye(10, 3).to_sparse(), "X must be a dense tensor, got layout"),
    "None": (None, "X must be a numpy array or torch tensor of real numbers, got NoneType"),
}


@pytest.mark.parametrize("case", sorted(TYPE_ERRORS))
def test_dtype(case):
    value, message = TYPE_ERRORS[case]
    with pytest.raises(TypeError, match=message):
        label(value, None)
    if value is not None:  # as Y, None means: draw it
        with pytest.raises(TypeError, match=message.replace("X ", "Y ")):
            label(X, value)


VALUE_ERRORS = {
    "scalar": ((np.float64(1), Y), r"X must be a matrix of shape \(rows, d\), got shape \(\)"),
    "1-D": ((X[:, 0], Y), r"X must be a matrix of shape \(rows, d\), got shape \(10,\)"),
    "3-D": ((X[None], Y), r"X must be a matrix .* got shape \(1, 10, 3\)"),
    "torch 1-D": ((torch.zeros(10), Y), r"X must be a matrix .* got shape \(10,\)"),
    "no rows": ((X[:0], None), r"X is empty: shape \(0, 3\)"),
    "no columns": ((X[:, :0], None), r"X is empty: shape \(10, 0\)"),
    "torch no rows": ((torch.zeros(0, 3), None), r"X is empty: shape \(0, 3\)"),
    "Y 1-D": ((X, Y[0]), r"Y must be a matrix .* got shape \(3,\)"),
    "Y no rows": ((X, Y[:0]), r"Y is empty: shape \(0, 3\)"),
    "d differs": ((X, Y[:, :2]), "X and Y must have the same number of columns: X has 3, Y has 2"),
    "more y": ((Y, X), "Y has 10 rows, X only 8"),
    "nan": ((spoiled(X, 4, 1, np.nan), Y), r"X must be finite: row 4, column 1 is nan"),
    "inf": ((spoiled(X, 9, 2, np.inf), Y), r"X must be finite: row 9, column 2 is inf"),
    "-inf": ((X, spoiled(Y, 0, 0, -np.inf)), r"Y must be finite: row 0, column 0 is -inf"),
    "float16 inf": (
        (spoiled(X.astype(np.float16), 2, 0, np.inf), Y),
        r"X must be finite: row 2, column 0 is inf \(as float32\)",
    ),
    "longdouble too large": (
        (spoiled(X.astype(np.longdouble), 2, 0, np.longdouble("1e4000")), Y),
        r"X must be finite: row 2, column 0 is inf \(as float64\)",
    ),
    "torch nan": ((torch.tensor(spoiled(X, 3, 0, np.nan)), Y), "X must be finite: row 3"),
    "bfloat16 nan": (
        (torch.tensor(spoiled(X, 3, 0, np.nan)).bfloat16(), Y),
        "X must be finite: row 3",
    ),
}


@pytest.mark.parametrize("case", sorted(VALUE_ERRORS))
def test_value(case):
    arguments, message = VALUE_ERRORS[case]
    with pytest.raises(ValueError, match=message):
        label(*arguments)


def test_the_first_bad_row_of_many(monkeypatch):
    a = np.zeros((1000, 3), np.float32)
    a[[700, 300, 999], [0, 2, 1]] = np.nan
    for chunk in (1, 7, 10**6):
        monkeypatch.setattr(arrays, "_FINITE_CHUNK", chunk)
        with pytest.raises(ValueError, match="row 300, column 2"):
            label(a, None)


KEYWORDS = {
    "method": [
        (
            "fast",
            ValueError,
            "unknown method 'fast'; valid: auto, ray, circle, tree, screen, reference, rank",
        ),
        (None, TypeError, "method must be a string, got NoneType"),
        ("ray", ValueError, "method 'ray' needs d = 1, the data have d = 3"),
        ("circle", ValueError, "method 'circle' needs d = 2, the data have d = 3"),
        ("rank", ValueError, "'rank' needs d = 1, .*; valid: auto, tree, screen, reference, "),
    ],
    "threads": [
        (0, ValueError, "threads must be from 1 to 4096, got 0"),
        (-3, ValueError, "threads must be from 1 to 4096, got -3"),
        (4097, ValueError, "threads must be from 1 to 4096, got 4097"),
        (2.0, TypeError, "threads must be an integer, got float"),
        ("2", TypeError, "threads must be an integer, got str"),
        (True, TypeError, "threads must be an integer, got bool"),
    ],
    "seed": [
        (-1, ValueError, "seed must be from 0 to 18446744073709551615, got -1"),
        (
            2**64,
            ValueError,
            "seed must be from 0 to 18446744073709551615, got 18446744073709551616",
        ),
        (0.5, TypeError, "seed must be an integer, got float"),
        (None, TypeError, "seed must be an integer, got NoneType"),
    ],
    "progress": [("yes", TypeError, "progress must be None, True, False or a callable")],
    "block": [
        (-1, ValueError, "block must be from 0"),
        (2**31, ValueError, "block must be from 0 to 2147483647, got 2147483648"),
        (1.5, TypeError, "block must be an int"),
    ],
    "list_length": [
        (-1, ValueError, "list_length must be from 0"),
        (2**31, ValueError, "list_length must be from 0 to 2147483647"),
    ],
}


@pytest.mark.parametrize(
    ("keyword", "value", "error", "message"),
    [(keyword, *case) for keyword, cases in KEYWORDS.items() for case in cases],
)
def test_keyword(keyword, value, error, message):
    with pytest.raises(error, match=message):
        label(**{keyword: value})


@pytest.mark.parametrize(("d", "valid"), [(1, False), (2, True), (16, True), (17, False)])
def test_tree_dimensions(d, valid):
    if valid:
        assert check_method("tree", d) == "tree"
    else:
        with pytest.raises(ValueError, match=f"needs d from 2 to 16, the data have d = {d}"):
            label(np.ones((4, d)), None, method="tree")


def test_more_rows_than_the_engine_counts():
    x = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (2**32, 1), (0, 0))
    with pytest.raises(ValueError, match="X has 4294967296 rows; the engine takes at most"):
        label(x, None)


def test_numpy_integers_are_integers():
    labels = label(threads=np.int64(2), seed=np.uint64(2**64 - 1))
    assert labels.report["threads"] == 2


def test_y_is_checked_before_x_is_converted(monkeypatch):
    monkeypatch.setattr(local, "convert", lambda described: pytest.fail("converted"))
    with pytest.raises(ValueError, match="same number of columns"):
        label(X, Y[:, :2])


# ------------------------------------------------------------------- memory


def test_too_little_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 5000)
    monkeypatch.setattr(local, "convert", lambda described: pytest.fail("converted"))
    monkeypatch.setattr(local, "normal", lambda *a, **k: pytest.fail("drawn"))
    x = np.zeros((1000, 10), np.float32)
    with pytest.raises(MemoryError) as caught:
        label(x, None)
    message = str(caught.value)
    assert "labeling 1000 x 1000 rows of dimension 10 needs about" in message
    number, unit = re.search(r"about ([\d.]+) (KiB|MiB)", message).groups()
    needed = float(number) * {"KiB": 1024, "MiB": 1024**2}[unit]
    assert needed > 4 * 1000 * 10  # Y alone
    assert "but only 4.9 KiB are available" in message
    assert "give memory= (X in files), fewer rows or threads, or raise the limit" in message


def test_copies_count(monkeypatch):
    """A Fortran matrix is copied: room for the labeling alone is not enough."""
    x = np.zeros((1000, 10))
    needed = gtn_fast.label(x, x, method="reference").report["predicted_bytes"]
    monkeypatch.setattr(memory, "available_bytes", lambda: needed)
    label(x, x)
    with pytest.raises(MemoryError, match="labeling 1000 x 1000"):
        label(np.asfortranarray(x), x)


def test_unknown_memory_is_no_obstacle(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    label()


def test_available_memory_is_plausible():
    available = available_bytes()
    assert available is None or 10**7 < available < 10**15
    assert 10**7 < peak_bytes() < 10**13


def test_cgroup_limits(monkeypatch, tmp_path):
    """The least room of a group and its ancestors; reclaimable pages do not count as used."""
    for folder, limit, usage, inactive in [
        (tmp_path / "a", "1000", "700", "100"),
        (tmp_path / "a/b", "max", "500", "0"),
    ]:
        folder.mkdir()
        (folder / "memory.max").write_text(limit + "\n")
        (folder / "memory.current").write_text(usage + "\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")
    assert memory._room(tmp_path / "a", 2) == 400
    assert memory._room(tmp_path / "a/b", 2) is None
    assert memory._room(tmp_path / "nothing", 2) is None
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    monkeypatch.setattr(cgroups, "SELF", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    assert memory._cgroup_room() == 400


@pytest.mark.parametrize(
    ("count", "text"),
    [(5, "5 bytes"), (2048, "2.0 KiB"), (3 * 2**30, "3.0 GiB"), (2**50, "1024.0 TiB")],
)
def test_bytes_in_words(count, text):
    assert size_text(count) == text


# --------------------------------------------------------------- other calls


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1, 0, 1, 1), ValueError, "seed must be from 0"),
        ((0, -1, 1, 1), ValueError, "first_row must be from 0"),
        ((0, 0, -1, 1), ValueError, "rows must be from 0"),
        ((0, 0, 1, 0), ValueError, "d must be from 1"),
        ((0, 0, 1.0, 1), TypeError, "rows must be an integer"),
    ],
)
def test_normal(arguments, error, message):
    with pytest.raises(error, match=message):
        gtn_fast.normal(*arguments)


def test_same_errors_with_the_engine(native):
    """Validation comes first, whatever runs afterwards."""
    for arguments, message in VALUE_ERRORS.values():
        with pytest.raises(ValueError, match=message):
            gtn_fast.label(*arguments)


# ------------------------------------------------------------------ numbers and devices


def test_limits_belong_to_the_range():
    assert [check_threads(n) for n in (1, MAX_THREADS)] == [1, MAX_THREADS]
    assert [check_seed(n) for n in (0, 2**64 - 1)] == [0, 2**64 - 1]
    label(block=2**31 - 1, list_length=2**31 - 1)
    assert check_integer(np.int8(3), "n", 3, 3) == 3
    assert type(check_integer(np.int8(3), "n", 3, 3)) is int
    for value, error in ((2, ValueError), (4, ValueError), (np.True_, TypeError), (3.0, TypeError)):
        with pytest.raises(error, match="n must be"):
            check_integer(value, "n", 3, 3)


def test_as_many_threads_as_cpus_of_this_process(monkeypatch):
    for name in (cpus.OWN, cpus.COMMON):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpus, "_quota", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", {0: {3, 5, 8}}.__getitem__)
    assert check_threads(None) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(10**6))
    assert check_threads(None) == MAX_THREADS
    for none in (set(), {7}):
        monkeypatch.setattr(os, "sched_getaffinity", {0: none}.__getitem__)
        assert check_threads(None) == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    for counted, threads in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda counted=counted: counted)
        assert check_threads(None) == threads


@pytest.mark.parametrize(
    ("text", "kind", "index", "is_cpu"),
    [("cpu", "cpu", None, True), ("cuda", "cuda", None, False), ("cuda:12", "cuda", 12, False)],
)
def test_devices(text, kind, index, is_cpu):
    device = check_device(text)
    assert (device.kind, device.index, device.is_cpu, str(device)) == (kind, index, is_cpu, text)
    assert check_device(torch.device(text)) == device
