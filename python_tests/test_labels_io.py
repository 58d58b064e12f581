"""Labels.save and Labels.load: whole or not at all, and clear about what is wrong."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import gtn_fast
from gtn_fast import Labels
from gtn_fast import labels as labels_module


@pytest.fixture
def drawn(rng):
    return gtn_fast.label(rng.standard_normal((50, 3)), seed=2**64 - 1, method="reference")


@pytest.fixture
def given(rng):
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((40, 3))
    return gtn_fast.label(x, y, method="reference")


def equal(a, b):
    for name in ("x_index", "cosine", "order", "y"):
        first, second = getattr(a, name), getattr(b, name)
        assert first.dtype == second.dtype
        assert (first == second).all()
    assert (a.n_x, a.d, a.seed, a.report) == (b.n_x, b.d, b.seed, b.report)


@pytest.mark.parametrize("which", ["drawn", "given"])
@pytest.mark.parametrize("name", ["labels.npz", "no_suffix", "odd.name.bin"])
def test_round_trip(request, tmp_path, which, name):
    labels = request.getfixturevalue(which)
    labels.save(tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    equal(Labels.load(tmp_path / name), labels)
    equal(Labels.load(str(tmp_path / name)), labels)


def test_y_is_stored_only_if_given(tmp_path, drawn, given):
    drawn.save(tmp_path / "drawn")
    given.save(tmp_path / "given")
    assert "y" not in np.load(tmp_path / "drawn").files
    assert "y" in np.load(tmp_path / "given").files
    loaded = Labels.load(tmp_path / "drawn")
    assert loaded._drawn_y is None
    assert (loaded.y == drawn.y).all()
    assert loaded.y is loaded.y


def test_replaces_an_older_file(tmp_path, drawn, given):
    drawn.save(tmp_path / "labels")
    given.save(tmp_path / "labels")
    equal(Labels.load(tmp_path / "labels"), given)


def test_failure_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch, drawn, given):
    drawn.save(tmp_path / "labels")

    def full_disk(file, arrays):
        file.write(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(labels_module, "write_npz", full_disk)
    with pytest.raises(OSError, match="No space left"):
        given.save(tmp_path / "labels")
    assert [file.name for file in tmp_path.iterdir()] == ["labels"]
    equal(Labels.load(tmp_path / "labels"), drawn)


def test_missing_file_and_folder(tmp_path, drawn):
    with pytest.raises(FileNotFoundError):
        Labels.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        drawn.save(tmp_path / "no folder" / "labels")


@pytest.mark.parametrize("cut", [0, 1, 100, 0.3, 0.7, 0.99, -1])
def test_truncated(tmp_path, given, cut):
    path = tmp_path / "labels"
    given.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    with pytest.raises(ValueError, match="is not a readable labels file"):
        Labels.load(path)


def test_damaged_bytes_are_noticed_or_harmless(tmp_path, given, rng):
    """A flipped byte is an error, or it hit bytes that carry nothing: never another matching."""
    path = tmp_path / "labels"
    given.save(path)
    data = path.read_bytes()
    for at in rng.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            loaded = Labels.load(path)
        except ValueError as error:
            assert "is not a readable labels file" in str(error)  # noqa: PT017
        else:
            equal(loaded, given)


def test_files_from_before_there_were_digests_stay_readable(tmp_path, given, drawn):
    for labels in (given, drawn):
        path = tmp_path / "labels"
        labels.save(path)
        rewrite(path, digest=None)
        equal(Labels.load(path), labels)


def rewrite(path: Path, **changes):
    arrays = dict(np.load(path))
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = np.asarray(value)
    with path.open("wb") as file:
        np.savez(file, **arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "not written by Labels.save"),
        ({"format": "something else"}, "not written by Labels.save"),
        ({"format_version": 2}, "format version 2, this is 1"),
        ({"order": None}, "order is missing"),
        ({"x_index": np.arange(40, dtype=np.int32)}, "x_index must be 1-D int64"),
        ({"cosine": np.zeros((40, 1), np.float32)}, "cosine must be 1-D float32"),
        ({"x_index": np.arange(39)}, "sizes of its arrays do not agree"),
        ({"x_shape": np.array([39, 3])}, "x_index is out of range"),
        ({"x_shape": np.array([50])}, "not enough values"),
        ({"x_index": np.arange(11, 51)}, "x_index is out of range"),
        ({"order": np.zeros(40, np.int64)}, "order is no permutation"),
        ({"y": np.zeros((40, 4))}, r"y must have shape \(40, 3\)"),
        ({"y": np.zeros((40, 3), int)}, "y must be float32 or float64"),
        ({"y": None}, "neither y nor a seed"),
        ({"report": "not json"}, "Expecting value"),
        ({"report": "[]"}, "report is no dictionary"),
        ({"x_index": np.arange(40) % 39}, "x_index has a row of X twice"),
        ({"cosine": np.full(40, np.nan, np.float32)}, "cosine holds NaN or infinity"),
        ({"cosine": np.full(40, np.inf, np.float32)}, "cosine holds NaN or infinity"),
        ({"y": np.full((40, 3), np.nan)}, "y holds NaN or infinity"),
        ({"x_index": np.arange(40)[::-1].copy()}, "it does not hold what was written"),
        ({"cosine": np.zeros(40, np.float32)}, "it does not hold what was written"),
        ({"x_shape": np.array([51, 3])}, "it does not hold what was written"),
        ({"report": "{}"}, "it does not hold what was written"),
        ({"more": 1}, "it does not hold what was written"),
        ({"digest": "0"}, "it does not hold what was written"),
    ],
)
def test_foreign_or_inconsistent(tmp_path, given, changes, message):
    path = tmp_path / "labels"
    given.save(path)
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=rf"not a readable labels file: .*{message}"):
        Labels.load(path)


def test_other_files(tmp_path, rng):
    np.save(tmp_path / "array.npy", rng.standard_normal((5, 2)))
    np.savez(tmp_path / "other.npz", x=np.arange(3))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("format.npy", "hello")
    for file in tmp_path.iterdir():
        with pytest.raises(ValueError, match="is not a readable labels file"):
            Labels.load(file)
    with pytest.raises(OSError, match="directory"):
        Labels.load(tmp_path)


def test_report_survives(tmp_path, drawn):
    drawn.save(tmp_path / "labels")
    assert json.dumps(Labels.load(tmp_path / "labels").report) == json.dumps(drawn.report)
