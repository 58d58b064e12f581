"""The fuzzer's targets on a few inputs, and what it found."""

from __future__ import annotations

import pickle
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import gtn_fast
from gtn_fast.images import load_images
from gtn_fast.inputs.files import FileError

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools.fuzz import __main__ as fuzz
from tools.fuzz.choices import Choices
from tools.fuzz.rules import Wrong, check_message, refused
from tools.fuzz.targets import TARGETS, made


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_wrong_with_a_few_inputs(native, tmp_path, name):
    for package in ("torch", "safetensors", "PIL", "pyarrow", "h5py"):
        pytest.importorskip(package)
    target = made(name, tmp_path)
    seeds = target.seeds()
    rng = random.Random(name)
    more = [rng.choice(seeds)[:3] + rng.randbytes(rng.randrange(4, 300)) for _ in range(25)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in [*seeds, *more]:
            target.check(data)


def test_the_same_bytes_are_the_same_decisions():
    def decided(data):
        choices = Choices(data)
        return [choices.below(1000), choices.pick("abc"), choices.edited({"a": [1, {"b": 2}]}),
                choices.flipped(bytes(20)), choices.rest()]  # fmt: skip

    data = random.Random(1).randbytes(60)
    assert decided(data) == decided(data)
    assert decided(b"") == [0, "a", {"a": [None, {"b": 2}]}, b"", b""]
    assert {Choices(bytes([n])).below(3) for n in range(256)} == {0, 1, 2}


@pytest.mark.parametrize("text", ["", " ", "two\nlines x", "x" * 401, "another file"])
def test_a_message_that_helps_nobody_is_a_find(text, tmp_path):
    def read():
        raise ValueError(text)

    with pytest.raises(Wrong):
        refused(read, tmp_path / "x")
    check_message("x cannot be read", "x")
    with pytest.raises(KeyError):
        refused(lambda: {}["x"], tmp_path / "x")


def test_labels_that_are_not_those_that_were_saved_are_a_find(native, tmp_path, monkeypatch):
    target = made("labels", tmp_path)
    other = gtn_fast.label(np.eye(9, 3), seed=1)
    monkeypatch.setattr(gtn_fast.Labels, "load", lambda path: other)
    with pytest.raises(Wrong):
        target.check(bytes([1, 0, 7, 1]))


def program(folder, text):
    path = folder / "program"
    path.write_text(f"#!{sys.executable}\nimport sys\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "runs", "wrong"),
    [
        ("print('Done 812 runs in 1 second(s)', file=sys.stderr)", 812, False),
        ("print('#40 NEW'); sys.exit(77)", 40, True),
        ("pass", 0, True),  # it did nothing
    ],
)
def test_what_a_target_ended_with(tmp_path, monkeypatch, text, runs, wrong):
    monkeypatch.setattr(fuzz, "BUILD", tmp_path)
    monkeypatch.setattr(fuzz, "ROOT", tmp_path)
    monkeypatch.setattr(fuzz, "FOUND", tmp_path)
    outcome = fuzz._fuzz("match", 1, 0, program(tmp_path, text))
    assert outcome.runs == runs
    assert bool(outcome.error) == wrong
    assert (tmp_path / "match.log").exists() == wrong


def test_what_is_missing_is_said_in_a_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz", "--only", "labels"])
    monkeypatch.setattr(fuzz, "find_spec", lambda name: None)
    assert fuzz.main() == 1
    assert capsys.readouterr().out.count("\n") == 1


# ------------------------------------------------------------------ what it found


def test_what_a_labels_file_holds_is_quoted_in_short(native, tmp_path):
    """zipfile quotes as many bytes of a damaged archive as its header says."""
    path = tmp_path / "labels.npz"
    gtn_fast.label(np.eye(9, 3), seed=1).save(path)
    damaged = bytearray(path.read_bytes())
    damaged[26:28] = (9000).to_bytes(2, "little")  # the length of the first member's name
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"labels\.npz") as caught:
        gtn_fast.Labels.load(path)
    check_message(str(caught.value), "labels.npz")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_of_any_length_is_refused_in_a_line(native, sign):
    with pytest.raises(ValueError, match=r"seed must be from 0 to .* bits$"):
        gtn_fast.label(np.eye(3), seed=sign * 10**5000)


def test_what_an_unpickler_says_is_one_line(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(b"P1\n.")  # a persistent id, which nothing here has
    with pytest.raises(FileError, match="data_batch_1: not a readable CIFAR batch") as caught:
        load_images(tmp_path)
    check_message(str(caught.value))


def test_names_that_a_file_holds_are_quoted_in_one_line(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"a\n\rb": 1, "c" * 300: 2}))
    with pytest.raises(FileError, match="data_batch_1: wanted data and labels") as caught:
        load_images(tmp_path)
    check_message(str(caught.value), r"a\n\rb", "ccc...")


def test_text_that_is_none_is_refused(native, tmp_path):
    """NumPy holds any 32 bits as a character, and fails when it has to show them."""
    path = tmp_path / "labels.npz"
    gtn_fast.label(np.eye(9, 3), seed=1).save(path)
    with np.load(path) as stored:
        parts = dict(stored)
    for wrong in (np.array([2**31], np.uint32).view("U1"), np.zeros(2, [("a", "U1")])):
        np.savez(path, **(parts | {"format": wrong}))
        with pytest.raises(ValueError, match=r"labels\.npz") as caught:
            gtn_fast.Labels.load(path)
        check_message(str(caught.value), "labels.npz")


@pytest.mark.parametrize("version", [0, 9, 255])
def test_an_array_of_another_format_version_is_refused(native, tmp_path, version):
    path = tmp_path / "x.npy"
    np.save(path, np.eye(3))
    damaged = bytearray(path.read_bytes())
    header = damaged[10 : 10 + int.from_bytes(damaged[8:10], "little")]
    path.write_bytes(
        damaged[:6]
        + bytes([version, 0])
        + len(header).to_bytes(4, "little")
        + header
        + damaged[-72:]
    )
    with pytest.raises(ValueError, match=r"x\.npy: not a readable .npy file: .*version"):
        gtn_fast.label(path)


def test_a_slope_may_be_an_integer_of_any_length():
    torch = pytest.importorskip("torch")
    from gtn_fast.learn.hhat import HHat

    slope = HHat(2, layers=1, width=3, negative_slope=10**29)
    assert torch.isfinite(slope(torch.ones(2, 2))).all()
