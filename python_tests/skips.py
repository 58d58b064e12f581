"""In CI a test that is skipped unexpectedly fails the run: what nobody runs, nobody tests.

On where the environment variable CI is set, or with ``--no-unexpected-skips``. conftest.py
takes over the hooks below.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

import pytest

# Reasons, as regular expressions for the whole text: what a machine for tests need not have.
EXPECTED = (
    r"no GPU, or faiss is built without",
    r"this machine has a GPU",
    r"could not import '(ray|pyspark)': .*",
)
if sys.version_info < (3, 11):  # with tools/minimum_requirements.txt
    EXPECTED += (
        r"zarr needs Python 3\.11",
        r"could not import 'triton': .*",
        r"module 'triton' has __version__ .*",
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-unexpected-skips",
        action="store_true",
        help="fail if a test is skipped for a reason that python_tests/skips.py does not list",
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and any(unexpected(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = list(unexpected(config))
    if lines:
        terminalreporter.section("unexpected skips", red=True)
        for line in lines:
            terminalreporter.line(line)


def unexpected(config: pytest.Config) -> Iterator[str]:
    """A line for each skip that fails the run; nothing where skips are free."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")  # workers of xdist have none
    if reporter is None or not (config.getoption("no_unexpected_skips") or os.environ.get("CI")):
        return
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(re.fullmatch(each, reason) for each in EXPECTED):
            yield f"{report.nodeid}: {reason}"
