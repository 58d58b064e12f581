"""Runs of the command line for its tests."""

from __future__ import annotations

import json
import subprocess
import sys
import time

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


def header(path):
    """What the checkpoint says of itself."""
    return json.loads(path.read_bytes().split(b"\n", 2)[1])


ANNOUNCED = """
import sys
from gtn_fast import cli
from gtn_fast.backends import native, reference

def announced(backend):
    run = backend.match
    def match(*arguments, **options):
        if "settled" in options or backend is reference:  # with a checkpoint; not a trial
            print("begun", flush=True)
        return run(*arguments, **options)
    return match

for backend in (native, reference):
    backend.match = announced(backend)
sys.exit(cli.main(sys.argv[1:]))
"""


def start_matching(*arguments, **options):
    """The command line in a process of its own, once it has begun to match (with --checkpoint)."""
    process = subprocess.Popen(
        [sys.executable, "-c", ANNOUNCED, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    assert process.stdout.readline() == "begun\n", process.communicate()
    time.sleep(0.1)  # into the midst of it
    return process
