"""The file of a checkpoint: what it is known by, when it is written, what is refused."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import threading
import zlib
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from cli_runs import header

import gtn_fast
from gtn_fast.reference import directions_and_norms, ordered_dot
from gtn_fast.run import checkpoint
from gtn_fast.run.checkpoint import (
    Checkpoint,
    Keep,
    checksum,
    load_checkpoint,
    no_pairs,
    saved_on_exit,
    sum_of_checksums,
)


@pytest.fixture
def saved(native, tmp_path):
    x = np.random.default_rng(1).standard_normal((500, 6))
    path = tmp_path / "c"
    gtn_fast.label(x, checkpoint=path)
    return x, path


# ------------------------------------------------------------------ what a run is known by


@pytest.mark.parametrize("summed", [1, 10, 1 << 16])
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "vector"])
def test_checksums_of_parts_add_up(kind, summed, monkeypatch):
    monkeypatch.setattr(checkpoint, "_SUMMED_VALUES", summed)
    whole = np.random.default_rng(2).standard_normal((500, 7)) * 1000
    whole = whole[:, 0].copy() if kind == "vector" else whole.astype(kind)
    expected = checksum(whole)
    for cuts in ((), (0,), (1,), (499,), (7, 200, 201)):
        bounds = [0, *cuts, len(whole)]
        parts = [checksum(whole[a:b], a) for a, b in itertools.pairwise(bounds)]
        assert sum_of_checksums(parts) == expected
    monkeypatch.undo()
    assert checksum(whole) == expected
    assert checksum(np.asfortranarray(whole)) == expected


def test_a_checksum_sees_every_value_and_every_place():
    """By each of its two sums: what one misses, the other should not."""
    a = np.random.default_rng(2).standard_normal((40, 3))

    def differs(b):
        return all(one != other for one, other in zip(checksum(b), checksum(a), strict=True))

    for row, column in ((0, 0), (17, 1), (39, 2)):
        changed = a.copy()
        changed[row, column] = np.nextafter(a[row, column], 9)
        assert differs(changed)
    for here, there in (((0, 0), (0, 1)), ((3, 2), (30, 2)), ((0, 0), (39, 2))):
        swapped = a.copy()
        swapped[here], swapped[there] = a[there], a[here]
        assert differs(swapped)
    assert differs(a[::-1])
    assert differs(a[:-1])
    numbers = np.array([2**60, 2**60 + 1])  # one float64
    assert checksum(numbers) != checksum(numbers[::-1].copy())
    assert checksum(a.astype(np.float32)) == checksum(a.astype(np.float32).astype(np.float64))
    assert checksum(np.zeros((2, 2))) == checksum(-np.zeros((2, 2)))


def test_files_of_this_format_stay_readable(native, tmp_path):
    """Written by an earlier version: the fingerprint of these data is part of the format."""
    x = np.arange(-9, 12).reshape(7, 3) / 4
    groups = [0, 1, 0, 1, 0, 1, 1]
    kept = {
        "393c4a2591a70a2277ba9364afbc8da5bd99ac4a02274cb7e361a21581142300": {},
        "d4a8ec62f827fdc4fd6112d088692474012a139bcdb79bdb2ce74d3055f1d24c": {"Y": x[::-1].copy()},
        "198094cfdda467d4f7b0bb31f48cf6dd8ec88fa99d931b44c990dfa1423cdbe1": {
            "groups": (groups, groups),
            "seed": 3,
        },
    }
    for fingerprint, arguments in kept.items():
        expected = gtn_fast.label(x, **arguments)
        (rows, columns) = expected.order[2:5], expected.x_index[expected.order[2:5]]
        payload = rows.tobytes() + columns.tobytes() + cosines(x, expected, rows).tobytes()
        header = {"version": "0", "fingerprint": fingerprint, "rows": 3}
        header["checksum"] = zlib.crc32(payload)
        path = tmp_path / "c"
        path.write_bytes(b"gtn_fast.checkpoint 1\n" + json.dumps(header).encode() + b"\n" + payload)
        resumed = gtn_fast.label(x, checkpoint=path, resume=True, **arguments)
        assert resumed.report["resumed_rows"] == 3
        assert (resumed.x_index == expected.x_index).all()


def cosines(x, labels, rows):
    v, u = (directions_and_norms(part)[0] for part in (labels.y, x))
    return np.array([ordered_dot(u[[labels.x_index[row]]], v[row])[0] for row in rows])


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"fingerprint": None},
        {"rows": "500"},
        {"rows": 499},
        {"checksum": 1.5},
        {"checksum": 0},
        {"version": "x" * (1 << 17)},
    ],
)
def test_a_header_that_is_wrong(saved, change):
    x, path = saved
    magic, line, payload = path.read_bytes().split(b"\n", 2)
    right = json.loads(line)
    lacking = {name: value for name, value in right.items() if name not in change}
    for changed in (right | change, lacking):
        path.write_bytes(b"\n".join((magic, json.dumps(changed).encode(), payload)))
        with pytest.raises(ValueError, match="is damaged"):
            gtn_fast.label(x, checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("column", "at", "value", "message"),
    [
        (0, 7, -1, "a row of Y is out of range, or comes twice"),
        (0, 7, 500, "a row of Y is out of range, or comes twice"),
        (0, 7, None, "a row of Y is out of range, or comes twice"),
        (1, 499, -1, "a row of X is out of range, or comes twice"),
        (1, 0, 500, "a row of X is out of range, or comes twice"),
        (1, 7, None, "a row of X is out of range, or comes twice"),
        (2, 0, np.nan, "a cosine that is none"),
        (2, 499, -np.inf, "a cosine that is none"),
        (2, 3, 1.5, "a cosine that is none"),
    ],
)
def test_pairs_that_cannot_be_right(saved, column, at, value, message):
    """Of a file whose checksum fits: somebody wrote it so. None: the value of another row."""
    x, path = saved
    magic, line, payload = path.read_bytes().split(b"\n", 2)
    rows = [np.frombuffer(payload, np.int64, 500, 0), np.frombuffer(payload, np.int64, 500, 4000)]
    columns = [each.copy() for each in (*rows, np.frombuffer(payload, np.float64, 500, 8000))]
    columns[column][at] = columns[column][at - 1] if value is None else value
    payload = b"".join(each.tobytes() for each in columns)
    header = json.loads(line) | {"checksum": zlib.crc32(payload)}
    path.write_bytes(b"\n".join((magic, json.dumps(header).encode(), payload)))
    with pytest.raises(ValueError, match=f"is damaged: .*{message}"):
        gtn_fast.label(x, checkpoint=path, resume=True)


def test_a_pair_of_two_groups_cannot_be_right(native, tmp_path):
    x, groups = np.random.default_rng(1).standard_normal((40, 3)), np.arange(40) % 2
    path = tmp_path / "c"
    gtn_fast.label(x, groups=(groups, groups), checkpoint=path)
    magic, line, payload = path.read_bytes().split(b"\n", 2)
    x_rows = np.frombuffer(payload, np.int64, 40, 320)[::-1]  # group 1 first
    payload = payload[:320] + x_rows.tobytes() + payload[640:]
    header = json.loads(line) | {"checksum": zlib.crc32(payload)}
    path.write_bytes(b"\n".join((magic, json.dumps(header).encode(), payload)))
    with pytest.raises(ValueError, match="is damaged: it has a pair of two groups"):
        gtn_fast.label(x, groups=(groups, groups), checkpoint=path, resume=True)


def test_what_was_asked_for_does_not_change():
    keep = Keep.of("c", True, 3)
    assert keep == Keep(Path("c"), resume=True, every=3.0)
    with pytest.raises(FrozenInstanceError):
        keep.resume = False
    assert Keep.of(None, False, 0) is None


# ------------------------------------------------------------------ when it is written


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when the test says so: ``clock[0]`` in seconds."""
    now = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    return now


def some(point, n=1):
    rows = len(point.pairs().y_rows) + np.arange(n)
    point.add(rows, rows, np.zeros(n))


def test_saves_when_it_is_time_and_there_is_something_new(tmp_path, clock):
    point = Checkpoint(tmp_path / "c", "d", 8.0, no_pairs())
    point.save()
    assert not (tmp_path / "c").exists()
    clock[0] += 7
    some(point)
    assert point.saves == 0
    clock[0] += 1
    some(point)
    assert point.saves == 1
    assert header(tmp_path / "c")["rows"] == 2
    clock[0] += 100
    point.save()
    assert point.saves == 1
    some(point, 3)
    assert (point.saves, header(tmp_path / "c")["rows"]) == (2, 5)
    again = Checkpoint(tmp_path / "c", "d", 0.0, load_checkpoint(tmp_path / "c", "d", 9, 9))
    again.save()
    assert again.saves == 0  # all of it is in the file
    assert len(again.pairs().y_rows) == 5


def test_a_file_that_cannot_be_written_is_tried_again_when_it_is_time(tmp_path, clock, monkeypatch):
    tried = []

    def full(_file):
        tried.append(clock[0])
        raise OSError(errno.ENOSPC, "No space left on device")

    point = Checkpoint.start(Keep(tmp_path / "c", resume=False, every=10.0), "d", 9, 9)
    some(point, 2)
    clock[0] += 10
    some(point)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        for _ in range(15):
            clock[0] += 3
            if clock[0] in (122.0, 134.0, 146.0):
                with pytest.warns(
                    RuntimeWarning, match="the checkpoint before, of 3 rows, is kept"
                ):
                    some(point)
            else:
                some(point)
    assert tried == [122.0, 134.0, 146.0]
    assert header(tmp_path / "c")["rows"] == 3
    point.save()
    assert header(tmp_path / "c")["rows"] == 18


def test_all_of_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "c", []
    sync = os.fsync

    def spy(file):
        synced.append((os.fstat(file).st_size, path.exists()))
        sync(file)

    monkeypatch.setattr(os, "fsync", spy)
    point = Checkpoint(path, "d", 1e9, no_pairs())
    some(point, 5)
    point.save()
    assert synced == [(path.stat().st_size, False)]


def test_the_time_of_saving_is_counted(tmp_path, clock, monkeypatch):
    def slow(_file):
        clock[0] += 0.5

    monkeypatch.setattr(os, "fsync", slow)
    point = Checkpoint(tmp_path / "c", "d", 0.0, no_pairs())
    for _ in range(3):
        clock[0] += 1000
        some(point)
    assert (point.saves, point.seconds) == (3, 1.5)


def test_the_name_in_an_error_is_the_callers(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        Checkpoint.start(Keep(tmp_path / "no folder" / "c", resume=True, every=1.0), "d", 9, 9)
    assert caught.value.filename == str(tmp_path / "no folder" / "c")
    assert caught.value.errno == errno.ENOENT


def test_sigterm_is_as_it_was(tmp_path):
    point = Checkpoint(tmp_path / "c", "d", 1e9, no_pairs())
    some(point)

    def own(_number, _frame):
        pass

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as caught, saved_on_exit(point):
            os.kill(os.getpid(), signal.SIGTERM)
        assert caught.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert header(tmp_path / "c")["rows"] == 1
        with saved_on_exit(None):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.signal(signal.SIGTERM, own)
        with saved_on_exit(point):
            assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_leaves_signals_alone(tmp_path):
    point = Checkpoint(tmp_path / "c", "d", 1e9, no_pairs())
    some(point)
    failed = []

    def work():
        try:
            with saved_on_exit(point):
                assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        except Exception as error:
            failed.append(error)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not failed
    assert header(tmp_path / "c")["rows"] == 1
