"""What is installed: one version, types, and no import of what is not needed."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gtn_fast

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "faiss", "matplotlib", "scipy", "tqdm", "triton", "safetensors")


def test_the_version_has_one_place():
    version = gtn_fast.__version__
    assert importlib.metadata.version("gtn-fast") == version
    assert f'"{version}"' in (ROOT / "gtn_fast" / "_version.py").read_text()
    for name in ("pyproject.toml", "setup.py", "CMakeLists.txt"):
        assert version not in (ROOT / name).read_text().split(), name
        assert not re.search(rf"\b{re.escape(version)}\b", (ROOT / name).read_text()), name


def test_the_package_is_typed():
    assert (Path(gtn_fast.__file__).parent / "py.typed").is_file()
    assert (Path(gtn_fast.__file__).parent / "_native.pyi").is_file()


@pytest.mark.parametrize("statement", ["import gtn_fast", "import gtn_fast.cli"])
def test_importing_is_light(statement):
    code = f"import sys; {statement}; print([m for m in {HEAVY} if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert shown.stdout.strip() == "[]"


def test_importing_the_package_loads_nothing_of_it():
    code = (
        "import sys, gtn_fast\n"
        "loaded = {name for name in sys.modules if name.startswith(('gtn_fast', 'numpy'))}\n"
        "print(sorted(loaded), gtn_fast.label.__module__, gtn_fast.reference.__name__)\n"
        "from gtn_fast import *\n"
        "assert plan is gtn_fast.plan and set(gtn_fast.__all__) <= set(dir(gtn_fast))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = "['gtn_fast', 'gtn_fast._version'] gtn_fast.api gtn_fast.reference"
    assert done.stdout.strip() == names


def test_labeling_arrays_does_not_import_torch():
    code = (
        "import sys, numpy as np, gtn_fast;"
        "x = np.random.default_rng(0).normal(size=(50, 3));"
        "gtn_fast.verify(x, None, gtn_fast.label(x));"
        "print('torch' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert shown.stdout.strip() == "False"


def test_run_time_needs_numpy_and_tqdm_alone():
    requires = importlib.metadata.requires("gtn-fast") or []
    plain = {re.split(r"[<>=!~; \[]", line)[0] for line in requires if "extra ==" not in line}
    assert plain == {"numpy", "tqdm"}


def test_no_extra_brings_both_faiss_packages():
    requires = importlib.metadata.requires("gtn-fast") or []
    faiss = [line for line in requires if line.startswith("faiss")]
    assert len(faiss) == 2
    for line in faiss:
        package = re.split(r"[<>=; ]", line)[0]
        assert re.search(rf"extra == ['\"]{package}['\"]", line)


def test_the_command_is_installed():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="gtn-fast")
    assert entry.value == "gtn_fast.cli:main"


def test_constraints_pin_exactly():
    pins = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", pin) for pin in pins)
    assert any(re.fullmatch(r"torch==[0-9.]+", pin) for pin in pins)  # no build of its own
    assert not any(pin.startswith("torchvision") for pin in pins)
