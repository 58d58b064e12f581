"""Runs tests again and again for mutants_python.py, each time in a fork of this process.

Reads lines of JSON, {"tests": [arguments of pytest], "limit": seconds}; answers each with the
exit code of pytest, or "none" if the tests did not end. What is slow to import is imported once,
here; gtn_fast is imported by each fork anew, from the working directory.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy  # noqa: F401
import pytest
import torch  # noqa: F401

_LOOK_S = 0.02


def main() -> int:
    """Answer until the input ends."""
    found = importlib.util.find_spec("gtn_fast")
    if found is None or found.origin != str(Path.cwd() / "gtn_fast" / "__init__.py"):
        raise SystemExit("gtn_fast is not that of the working directory")
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_run(asked["tests"], asked["limit"])), flush=True)
    return 0


def _run(tests: list[str], limit: float) -> int | None:
    """Return pytest's exit code, None if it took longer; nothing it started is left."""
    child = os.fork()
    if child == 0:
        os.setsid()
        with Path("judge.log").open("wb") as log, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        code = 3
        try:
            own = ["-x", "-q", "-p", "no:cacheprovider", "--basetemp=judge.tmp"]
            code = int(pytest.main([*own, *tests]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    ended, status = 0, 0
    for _ in range(int(limit / _LOOK_S)):  # not by the clock: who is stopped for a while loses none
        time.sleep(_LOOK_S)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
        return None
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
