"""``gtn-fast doctor``: what is here is named, what is broken is told, and nothing crashes it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gtn_fast
from gtn_fast import cli, packages
from gtn_fast.backends import native as native_backend
from gtn_fast.backends import reference as reference_backend
from gtn_fast.backends import registry
from gtn_fast.packages import PACKAGES, Package, probe_package
from gtn_fast.planning.memory import total_bytes
from gtn_fast.reference import match
from gtn_fast.tools import doctor as doctor_module
from gtn_fast.tools.doctor import self_test


def package(module, **values):
    values = {"name": module, "distributions": (module,), "purpose": "a test"} | values
    return Package(module=module, install=module, **values)


@pytest.fixture
def light(monkeypatch):
    """NumPy alone among the packages, and a self-test of a moment."""
    monkeypatch.setattr(doctor_module, "PACKAGES", PACKAGES[:1])
    monkeypatch.setattr(doctor_module, "SELF_TEST_SHAPE", (60, 8))


def doctor(capsys, *arguments):
    """(exit code, what was printed)."""
    code = cli.main(["doctor", *arguments])
    captured = capsys.readouterr()
    assert captured.err == ""
    return code, captured.out


def examined(capsys):
    code, out = doctor(capsys, "--json")
    return code, json.loads(out)


def line(out, start):
    (found,) = (row for row in out.splitlines() if row.strip().startswith(start))
    return found


# ------------------------------------------------------------------ a sound installation


def in_a_process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "gtn_fast", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
        check=False,
    )


def test_the_whole_report(native):
    """Everything, as a user runs it: stdout holds the JSON and nothing else."""
    done = in_a_process("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] is True
    assert found["gtn_fast"] == gtn_fast.__version__
    assert found["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu"]["cores"] == len(os.sched_getaffinity(0))
    assert found["simd"]["present"] == native.simd_levels()
    assert found["simd"]["compiled"] == native.simd_compiled()
    assert found["simd"]["active"] in found["simd"]["present"]
    assert 0 < found["memory"]["available"] <= found["memory"]["total"]
    assert [each["name"] for each in found["packages"]] == [each.name for each in PACKAGES]
    for each in found["packages"]:
        assert each["purpose"]
        if each["problem"] is None:
            assert each["version"]
        else:
            assert "pip install" in each["problem"]
    by_name = {each["name"]: each for each in found["packages"]}
    for name in ("numpy", "torch"):
        assert by_name[name]["version"] == importlib.metadata.version(name)
    assert "CUDA" in by_name["torch"]["detail"]
    tested = found["self_test"]
    assert (tested["rows"], tested["d"], tested["problems"]) == (2000, 8, [])
    assert tested["ran"][:3] == ["reference/reference", "native/tree", "native/screen"]
    assert "distributed/distributed" in tested["ran"]


def test_backends_are_those_of_the_list(native, light, capsys):
    code, found = examined(capsys)
    assert code == 0
    assert [each["name"] for each in found["backends"]] == [b.name for b in registry.BACKENDS]
    for each, backend in zip(found["backends"], registry.BACKENDS, strict=True):
        assert each["strategies"] == list(backend.strategies)
        assert each["devices"] == list(backend.devices)
        assert each["exact"] is backend.exact
        if "cpu" in each["devices"]:
            assert (each["available"], each["why_not"]) == (True, None)
        elif not each["available"]:
            # An approximate method promises no same answer from another index.
            remedy = "device='cpu'" + " (the same answer)" * backend.exact
            assert remedy in each["why_not"]


def test_text_says_the_same_and_is_aligned(native, light, capsys):
    code, out = doctor(capsys)
    assert code == 0
    assert line(out, "gtn_fast").split() == ["gtn_fast", gtn_fast.__version__]
    assert native.simd_active() in line(out, "SIMD")
    for level in native.simd_compiled():
        assert level in line(out, "compiled")
    assert "available" in line(out, "memory")
    agreed = line(out, "self-test")
    assert "60 x 8 points: reference/reference, native/tree, native/screen, " in agreed
    assert agreed.endswith("distributed/distributed agree, bit for bit")
    header, *rows = out.splitlines()[out.splitlines().index("") + 1 :][: 1 + len(registry.BACKENDS)]
    for column in ("exact", "devices", "methods", "state"):
        at = header.index(column)
        assert all(row[at - 2 : at] == "  " and row[at] != " " for row in rows), column
    assert "ready" in line(out, "native")


def test_instruction_set_of_the_environment(native):
    done = in_a_process(GTN_FAST_SIMD="scalar")
    assert done.returncode == 0, done.stderr
    assert line(done.stdout, "SIMD").split() == ["SIMD", "scalar"]
    assert "GTN_FAST_SIMD=scalar" in done.stdout


# ------------------------------------------------------------------ what is missing or broken


def test_a_forced_instruction_set_that_is_not_here(native):
    done = in_a_process("--json", GTN_FAST_SIMD="mmx")
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert found["simd"]["active"] is None
    assert "GTN_FAST_SIMD=mmx: no such level" in found["simd"]["problem"]
    assert found["simd"]["present"] == native.simd_levels()
    assert found["ok"] is False
    assert all("GTN_FAST_SIMD=mmx" in each for each in found["self_test"]["problems"])


def test_without_the_engine(monkeypatch, light, capsys):
    monkeypatch.setitem(sys.modules, "gtn_fast._native", None)
    code, found = examined(capsys)
    assert (code, found["ok"], found["wrong"]) == (3, False, False)
    engine, oracle, *_ = found["backends"]
    assert engine["available"] is False
    assert "is not built: run `pip install .`" in engine["why_not"]
    assert oracle["available"] is True
    assert found["simd"]["compiled"] == []
    assert found["self_test"]["ran"] == ["reference/reference"]
    code, out = doctor(capsys)
    assert code == 3
    assert "C++20 compiler" in line(out, "native")
    assert "nothing to compare" in line(out, "self-test")


def test_a_backend_of_the_list_that_cannot_run(native, monkeypatch, light, capsys):
    """Reported with its reason; a sound engine is still a sound engine."""

    def require():
        raise ImportError("no such luck: try again")

    monkeypatch.setattr(reference_backend, "require", require)
    code, found = examined(capsys)
    assert code == 0
    assert found["backends"][1]["why_not"] == "no such luck: try again"
    assert found["self_test"]["ran"][:2] == ["native/tree", "native/screen"]
    assert line(doctor(capsys)[1], "reference").endswith("  no such luck: try again")


@pytest.mark.parametrize("name", ["x_index", "cosine", "order"])
def test_a_wrong_backend_is_found(native, monkeypatch, light, capsys, name):
    """One value off by the least possible is a difference."""
    run = native_backend.match

    def wrong(x, y, **keywords):
        matched = run(x, y, **keywords)
        values = getattr(matched, name).copy()
        values[7] = np.nextafter(values[7], 2) if values.dtype.kind == "f" else values[7] + 1
        return matched._replace(**{name: values})

    monkeypatch.setattr(native_backend, "match", wrong)
    code, found = examined(capsys)
    assert (code, found["ok"], found["wrong"]) == (1, False, True)
    assert found["self_test"]["problems"] == [
        f"native/{strategy} differs from reference/reference: {name} in 1 of 60 rows"
        for strategy in ("tree", "screen")
    ]
    code, out = doctor(capsys)
    assert code == 1
    assert "differs" in out
    assert "agree" not in out


def test_a_backend_that_fails_does_not_stop_the_report(native, monkeypatch, light, capsys):
    def fail(x, y, **keywords):
        raise RuntimeError("out of\norder")

    monkeypatch.setattr(native_backend, "match", fail)
    code, found = examined(capsys)
    assert code == 3  # 1 says that a matching is wrong
    assert "native/tree failed (RuntimeError: out of order)" in found["self_test"]["problems"]


def test_the_oracle_is_what_the_others_are_compared_with(native, monkeypatch, light):
    seen = []
    run = match
    monkeypatch.setattr(
        "gtn_fast.reference.match", lambda *a, **k: seen.append(a[0].shape) or run(*a, **k)
    )
    assert self_test()["ran"][0] == "reference/reference"
    assert seen == [(60, 8)]


# ------------------------------------------------------------------ packages


@pytest.mark.parametrize("error", ["OSError('libcuda.so.1: cannot open')", "ImportError('ABI 7')",
                                   "AttributeError('gone')"])  # fmt: skip
def test_a_package_whose_import_raises(native, monkeypatch, light, capsys, tmp_path, error):
    (tmp_path / "broken_thing_of_ours.py").write_text(f"print('noise')\nraise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor_module, "PACKAGES", (package("broken_thing_of_ours"),))
    assert cli.main(["doctor", "--json"]) == 0  # a broken extra is no broken engine
    (found,) = json.loads(capsys.readouterr().out)["packages"]
    kind, text = error.rstrip("')").split("('")
    assert found["problem"] == (
        f"broken_thing_of_ours does not load ({kind}: {text}): pip install broken_thing_of_ours"
    )
    assert found["version"] is None


def test_a_package_that_is_not_there(monkeypatch):
    found = probe_package(package("no_such_package_of_ours", name="Nope"))
    assert found.version is None
    assert found.problem == "Nope is not installed: pip install no_such_package_of_ours"


def test_a_package_that_cannot_say_its_devices():
    """As torch with a driver that is too old."""

    def detail(module):
        raise RuntimeError("the driver is too old")

    found = probe_package(package("numpy", detail=detail))
    assert found.version == np.__version__
    assert found.problem == (
        "numpy does not work (RuntimeError: the driver is too old): pip install numpy"
    )


def test_the_first_distribution_that_is_installed_gives_the_version():
    names = ("no-such-distribution-of-ours", "numpy")
    assert probe_package(package("numpy", distributions=names)).version == np.__version__


def test_a_package_without_a_distribution(monkeypatch, tmp_path):
    (tmp_path / "loose_thing_of_ours.py").write_text("__version__ = '7.1'\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = probe_package(package("loose_thing_of_ours"))
    assert (found.version, found.problem) == ("7.1", None)


def test_devices_of_torch():
    class Cuda:
        names: tuple[str, ...] = ()

        def is_available(self):
            return bool(self.names)

        def device_count(self):
            return len(self.names)

        def get_device_name(self, i):
            return self.names[i]

    class Torch:
        class version:
            cuda = None

        cuda = Cuda()

    torch = Torch()
    assert packages._torch_devices(torch) == "built without CUDA"
    torch.version.cuda = "12.8"
    assert packages._torch_devices(torch) == "CUDA 12.8, no device"
    torch.cuda.names = ("H100", "H100")
    assert packages._torch_devices(torch) == "CUDA 12.8: H100, H100"


def test_memory_of_this_machine():
    total = total_bytes()
    for row in Path("/proc/meminfo").read_text().splitlines():
        if row.startswith("MemTotal:"):
            assert total == int(row.split()[1]) * 1024
