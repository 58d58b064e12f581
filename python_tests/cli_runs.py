"""Runs of the command line for its tests."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from gtn_fast import cli

N, D = 300, 5


def prepare(folder, monkeypatch):
    """X.npy and Y.npy in the folder, made the current one."""
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(1)
    np.save("X.npy", rng.normal(size=(N, D)).astype(np.float32))
    np.save("Y.npy", rng.normal(size=(N - 50, D)))
    return folder


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
