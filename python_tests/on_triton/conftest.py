"""The Triton backend runs in a pytest run of its own, on the interpreter or on a GPU.

TRITON_INTERPRET decides, and triton reads it while it is imported: "1" runs the kernels in
triton's interpreter, on CPU tensors; "0" runs them on a GPU. `make test` sets it.
"""

from __future__ import annotations

import os

import pytest

if os.environ.get("TRITON_INTERPRET") not in ("0", "1"):
    raise pytest.UsageError(
        "python_tests/on_triton needs TRITON_INTERPRET=1 (or 0, with a GPU) and a run of its own"
    )

# Tensors are small here, and torch's other threads would only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def triton_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the kernels of csrc/cuda away, so that Triton does it all."""
    from gtn_fast.backends.cuda import loop

    monkeypatch.setattr(loop, "kernels_for", lambda device: None)


@pytest.fixture(params=["triton", "kernels"])
def either_way(request: pytest.FixtureRequest) -> str:
    """Run the test by Triton alone, and by the kernels of csrc/cuda."""
    if request.param == "triton":
        request.getfixturevalue("triton_alone")
    return str(request.param)
