"""Soaking in short, and that it notices."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

import gtn_fast

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools.soak import calls, disk, kills
from tools.soak.__main__ import main


def test_calls_leave_nothing_behind(native):
    verdict = calls.soak(40, 0)
    assert verdict.wrong == []
    assert verdict.seen[0].startswith("40 calls")


def test_a_descriptor_that_stays_open_is_noticed(native, monkeypatch):
    label = gtn_fast.label
    left = []

    def leaking(*arguments, **options):
        left.append(os.open(os.devnull, os.O_RDONLY))
        return label(*arguments, **options)

    monkeypatch.setattr(gtn_fast, "label", leaking)
    try:
        verdict = calls.soak(20, 0)
    finally:
        for each in left:
            os.close(each)
    assert any("descriptors grew" in line for line in verdict.wrong)


def test_another_answer_is_noticed(native, monkeypatch):
    some = calls.Calls(0)
    some.one(3)
    label = gtn_fast.label

    def wrong(*arguments, **options):
        labels = label(*arguments, **options)
        labels.x_index[:2] = labels.x_index[1::-1].copy()
        return labels

    monkeypatch.setattr(gtn_fast, "label", wrong)
    with pytest.raises(AssertionError, match="call 3 gave other labels"):
        some.one(3)


def test_a_labeling_that_is_killed(native, tmp_path):
    job = kills.jobs(tmp_path, 30_000, 1)[0]
    verdict = kills.soak_job(job, tmp_path, 2, random.Random(1))
    assert verdict.wrong == []
    assert verdict.seen[0].startswith("2 kills")


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2], ids=["train", "torchrun"])
def test_others_that_are_killed(native, tmp_path, number):
    for package in ("torch", "safetensors", "matplotlib"):
        pytest.importorskip(package)
    job = kills.jobs(tmp_path, 30_000, 100)[number]
    verdict = kills.soak_job(job, tmp_path, 2, random.Random(1))
    assert verdict.wrong == []


def test_another_result_after_a_kill_is_noticed(native, tmp_path):
    job = kills.jobs(tmp_path, 3000, 1)[0]
    job.same = lambda one, other: False
    verdict = kills.soak_job(job, tmp_path, 1, random.Random(1))
    assert any("another result" in line for line in verdict.wrong)


@pytest.mark.parametrize("mounted", [True, False])
def test_labels_on_a_full_disk(native, tmp_path, monkeypatch, mounted):
    if not mounted:
        monkeypatch.setattr(disk.Path, "is_mount", lambda self: False)
        monkeypatch.setattr(disk.subprocess, "run", unmounted(disk.subprocess.run))
    verdict = disk.soak(tmp_path, "label --y", (0.5,))
    assert verdict.wrong == []
    assert verdict.seen[0].startswith("1 writers, 2 runs")
    saved = 1 if "on a tmpfs" in verdict.seen[0] else 0  # a limit holds everywhere
    assert f"{2 - saved} refused in one line, {saved} saved elsewhere" in verdict.seen[0]


def unmounted(run):
    return lambda command, **options: None if command[0] == "mount" else run(command, **options)


def test_half_a_file_is_noticed(native, tmp_path, monkeypatch):
    code = """
import sys
from pathlib import Path
try:
    Path("disk/o.npz").write_bytes(Path("l.npz").read_bytes())
except OSError as error:
    sys.exit(f"gtn-fast: error: {error}")
"""
    monkeypatch.setattr(disk, "writers", lambda: [disk.Writer("half", code=code)])
    verdict = disk.soak(tmp_path, shares=(0.5,))
    assert len(verdict.wrong) == 2
    assert all("o.npz is half-written" in line for line in verdict.wrong)


@pytest.mark.slow
def test_all_writers_on_a_full_disk(native):
    for package in ("torch", "safetensors", "matplotlib", "scipy"):
        pytest.importorskip(package)
    assert main(["--only", "disk", "--shares", "0.5"]) == 0


@pytest.mark.parametrize(
    ("name", "content", "whole"),
    [
        ("a.json", b'{"a": 1}', True),
        ("a.json", b'{"a"', False),
        ("a.csv", b"a,b\n1,2\n", True),
        ("a.csv", b"a,b\n1,", False),
        ("a.npz", b"PK", False),
        ("c", b"gtn_fast.checkpoint 1\n{}", True),
        ("c", b"gtn_", False),
    ],
)
def test_what_is_whole(tmp_path, name, content, whole):
    assert disk.whole(name, content, tmp_path) == whole


def test_arrays_are_whole_if_numpy_reads_them(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((9, 9)))
    content = (tmp_path / "a.npy").read_bytes()
    assert disk.whole("b.npy", content, tmp_path)
    assert not disk.whole("b.npy", content[:-1], tmp_path)


def test_parts_have_names(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "memory"])
    assert "calls, kills, disk" in capsys.readouterr().err
