"""What does not survive a fork: the threads of OpenMP, which FAISS, torch and scikit-learn use.

A child of a fork has the calling thread alone. OpenMP (GNU's) remembers the team that its parent
had, and waits for it for ever. With one thread it needs no team.
"""

from __future__ import annotations

import os
import sys

_USERS = ("faiss", "torch", "sklearn")
_inherited: set[str] = set()


def inherited(module: str) -> bool:
    """Tell whether this process is a forked child whose parent had this module loaded.

    Whether the parent had started threads by then cannot be seen.
    """
    return module in _inherited


def _note() -> None:
    _inherited.update(name for name in _USERS if name in sys.modules)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)
# This module may be imported in a child of multiprocessing for the first time.
_process = sys.modules.get("multiprocessing.process")
_spawned = "--multiprocessing-fork" in sys.orig_argv
if _process is not None and _process.parent_process() is not None and not _spawned:
    _note()
