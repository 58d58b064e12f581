"""The run of the tests itself: what is skipped without being expected fails it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("reason", {reasons!r})
def test_skipped(reason):
    pytest.skip(reason)

def test_passes():
    pass
"""
EXPECTED = ["no GPU, or faiss is built without", "this machine has a GPU"]
NOT_THERE = "import pytest\npytest.importorskip('no_such_package')\n"


def outcome(folder, *options, ci=None):
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    if ci is not None:
        environment["CI"] = ci
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "skips", "-p", "no:cacheprovider", *options, folder],
        capture_output=True, text=True, timeout=300, check=False, cwd=folder, env=environment,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("workers", "options", "ci"),
    [("0", ("--no-unexpected-skips",), None), ("0", (), "true"), ("2", (), "true")],
)
def test_an_unexpected_skip_fails_the_run(tmp_path, workers, options, ci):
    (tmp_path / "test_some.py").write_text(TESTS.format(reasons=[*EXPECTED, "no time today"]))
    (tmp_path / "test_none.py").write_text(NOT_THERE)
    code, lines = outcome(tmp_path, "-n", workers, *options, ci=ci)
    assert code == 1
    (title,) = (row for row, line in enumerate(lines) if " unexpected skips " in line)
    assert sorted(line.split(": ", 1)[1] for line in lines[title + 1 : title + 3]) == [
        "could not import 'no_such_package': No module named 'no_such_package'",
        "no time today",
    ]
    assert "1 passed, 4 skipped" in lines[-1]


def test_expected_skips_do_not(tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS.format(reasons=EXPECTED))
    code, lines = outcome(tmp_path, "--no-unexpected-skips")
    assert code == 0
    assert not any("unexpected skips" in line for line in lines)


def test_elsewhere_skips_are_free(tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS.format(reasons=["no time today"]))
    assert outcome(tmp_path)[0] == 0
