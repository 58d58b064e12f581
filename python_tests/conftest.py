"""Shared fixtures. The compiled engine is required: its absence fails, it never skips."""

from __future__ import annotations

import os
import signal

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # Threads of torch and FAISS that wait for each other spin: no more of them than CPUs.
    share = len(os.sched_getaffinity(0)) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run that was started in the background ignores Ctrl-C, and would hand that down.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from skips import (  # noqa: F401  (pytest finds hooks by their names)
    pytest_addoption,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

import gtn_fast.backends.native as native_backend

settings.register_profile(
    "shared_machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=60,
)
settings.load_profile("shared_machine")


@pytest.fixture(scope="session")
def native():
    """The compiled module. GTN_FAST_TEST_WITHOUT_NATIVE=1 skips what needs it, in so many words."""
    if native_backend.available():
        return native_backend.module()
    if os.environ.get("GTN_FAST_TEST_WITHOUT_NATIVE") == "1":
        pytest.skip("GTN_FAST_TEST_WITHOUT_NATIVE=1 and the engine is not built")
    pytest.fail("gtn_fast._native is not built: run `make build`")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def one_torch_thread():
    """On a busy machine torch's threads wait for each other most of the time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
