"""What is promised and what is built say the same: Pythons, machines, lowest versions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.wheels import __main__ as builder  # noqa: E402
from tools.wheels import pythons  # noqa: E402

serves = builder.serves

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSIONS = [(3, minor) for minor in range(pythons.LOWEST[1], pythons.HIGHEST[1] + 1)]

# Extras whose lowest versions cannot be in one environment with the others, or serve no user.
NOT_TESTED = {
    "faiss-gpu": "excludes faiss-cpu",
    "gpu": "triton 3.6 belongs to a newer torch than the lowest",
    "zarr": "needs Python 3.11",
    "docs": "makes the site",
    "ray": "its test runs where the package is",
    "spark": "needs Java, too",
    "lint": "reads the sources",
}


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(package): Version(version) for package, version in found}


def promises():
    """Every requirement of users and builders with its lowest version."""
    project = PROJECT["project"]
    texts = PROJECT["build-system"]["requires"] + project["dependencies"]
    for extra, requirements in project["optional-dependencies"].items():
        if extra not in NOT_TESTED:
            texts += requirements
    for text in texts:
        requirement = Requirement(text)
        if requirement.name != project["name"]:
            (bound,) = requirement.specifier
            assert bound.operator == ">=", text
            yield canonicalize_name(requirement.name), Version(bound.version)


def test_the_lowest_versions_are_those_that_are_tested():
    tested = pins("tools/minimum_requirements.txt")
    for package, lowest in promises():
        assert tested[package] == lowest, package


def test_what_is_not_tested_is_an_extra():
    assert set(NOT_TESTED) < set(PROJECT["project"]["optional-dependencies"])


@pytest.mark.parametrize("name", ["minimum", "wheels", "release"])
def test_environments_are_pinned(name):
    lines = (ROOT / "tools" / f"{name}_requirements.txt").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert packages
    for line in packages:
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def test_wheels_are_built_by_what_builds_here():
    """The sdist of a wheel is made by the versions that `make build` has."""
    here = pins("constraints.txt")
    for package, version in pins("tools/wheels_requirements.txt").items():
        if package in ("build", "cmake", "pybind11", "setuptools"):
            assert here[package] == version


def test_all_say_the_same_pythons():
    lowest = SpecifierSet(PROJECT["project"]["requires-python"])
    assert f"{pythons.LOWEST[0]}.{pythons.LOWEST[1]}" in lowest
    assert f"{pythons.LOWEST[0]}.{pythons.LOWEST[1] - 1}" not in lowest
    named = re.findall(
        r"Python :: (\d+)\.(\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.M
    )
    assert [tuple(map(int, pair)) for pair in named] == VERSIONS
    built = PROJECT["tool"]["cibuildwheel"]["build"]
    assert built == [f"cp{major}{minor}-*" for major, minor in VERSIONS]


def test_wheels_are_built_for_every_machine():
    linux = PROJECT["tool"]["cibuildwheel"]["linux"]
    for machine in ("x86_64", "aarch64"):
        assert linux[f"manylinux-{machine}-image"] == "manylinux_2_28"
    workflow = yaml.safe_load((ROOT / ".github/workflows/wheels.yml").read_text(encoding="utf-8"))
    runners = workflow["jobs"]["wheel"]["strategy"]["matrix"]["runner"]
    assert runners == ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15"]
    assert PROJECT["tool"]["cibuildwheel"]["macos"]["archs"] == ["arm64"]


def test_the_attempt_at_a_wheel_is_there():
    command = PROJECT["tool"]["cibuildwheel"]["test-command"]
    (script,) = re.findall(r"\{project\}/(\S+\.py)", command)
    assert (ROOT / script).is_file()


def fake_python(folder, answer):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


ANSWER = (
    '{"version": [3, 12], "implementation": "cpython", "final": true, '
    '"threaded": false, "headers": true, "split": null}'
)


def test_a_fit_python_is_taken(tmp_path):
    found = pythons.probe(fake_python(tmp_path, ANSWER))
    assert found.version == (3, 12)
    assert found.tag == "cp312"
    assert found.split is None


def test_headers_that_debian_keeps_apart_are_found(tmp_path, monkeypatch):
    """For the other machine too, of which no header is installed."""
    apart = tmp_path / "include" / "x86_64-linux-gnu" / "python3.12"
    apart.mkdir(parents=True)
    (apart / "pyconfig.h").write_text("here\n", encoding="utf-8")
    answer = ANSWER.replace("null", f'"{apart}"')
    python = pythons.probe(fake_python(tmp_path, answer))
    monkeypatch.setattr(builder, "WORK", tmp_path / "work")
    for machine in builder.MACHINES:
        for _ in range(2):  # the folder of an earlier build may be there
            folder = builder._split_headers(python, machine)
        seen = folder / f"{machine}-linux-gnu" / "python3.12" / "pyconfig.h"
        assert seen.read_text(encoding="utf-8") == "here\n"


@pytest.mark.parametrize("there", [True, False])
def test_a_python_says_where_its_own_headers_are_apart(tmp_path, there):
    """What runs in an interpreter, run in this one with the folders of Debian."""
    include = tmp_path / "python3.12"
    apart = tmp_path / "x86_64-linux-gnu" / "python3.12"
    for folder in (include, *([apart] if there else [])):
        folder.mkdir(parents=True)
        (folder / "pyconfig.h").touch()
    (include / "Python.h").touch()
    folders = "import sysconfig\n"
    folders += f"sysconfig.get_path = lambda name: {str(include)!r}\n"
    folders += "known = sysconfig.get_config_var\n"
    folders += "sysconfig.get_config_var = "
    folders += "lambda name: 'x86_64-linux-gnu' if name == 'MULTIARCH' else known(name)\n"
    shown = subprocess.run(
        [sys.executable, "-c", folders + pythons._PROBE], capture_output=True, text=True, check=True
    )
    found = json.loads(shown.stdout)
    assert found["headers"]
    assert found["split"] == (str(apart) if there else None)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[3, 12]", "[3, 9]", "is Python 3.9; wheels are for 3.10 to 3.14"),
        ("[3, 12]", "[3, 15]", "is Python 3.15; wheels are for 3.10 to 3.14"),
        ('"final": true', '"final": false', "is Python 3.12; wheels are for"),
        ("cpython", "pypy", "is not CPython"),
        ('"threaded": false', '"threaded": true', "is not CPython with its global lock"),
        ('"headers": true', '"headers": false', "has no C headers"),
        ("{", "?", "is no Python that runs"),
    ],
)
def test_an_unfit_python_is_refused_and_passed_over(tmp_path, old, new, why):
    path = fake_python(tmp_path, ANSWER.replace(old, new))
    with pytest.raises(pythons.UnfitPythonError, match=why):
        pythons.probe(path)
    assert pythons._distinct([path, str(tmp_path / "none")]) == []


def test_one_python_per_version(tmp_path):
    paths = []
    for name, minor in (("a", 12), ("b", 11), ("c", 12)):
        (tmp_path / name).mkdir()
        paths.append(fake_python(tmp_path / name, ANSWER.replace("12", str(minor))))
    assert pythons._distinct(paths) == [
        pythons.Python(paths[1], (3, 11)),
        pythons.Python(paths[0], (3, 12)),
    ]


@pytest.mark.parametrize(
    ("platform", "fit"),
    [
        ("manylinux_2_28_x86_64", True),
        ("manylinux_2_24_x86_64", True),
        ("manylinux_2_31_x86_64", False),
        ("manylinux_3_1_x86_64", False),
        ("manylinux_2_28_aarch64", False),
        ("linux_x86_64", False),
    ],
)
def test_what_an_audited_wheel_serves(platform, fit):
    assert serves(f"gtn_fast-1.0-cp312-cp312-{platform}.whl", "x86_64") == fit


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md"])
def test_installing_with_the_training_layer_compiles_once(page):
    """And a CPU build of torch comes first: pip would not replace that of CUDA afterwards."""
    text = (ROOT / page).read_text(encoding="utf-8").split("## Install")[1].split("\n#")[0]
    (block,) = (b for b in re.findall(r"(?:^    \S.*\n)+", text, re.MULTILINE) if "[train]" in b)
    first, second = (line.split("#")[0].strip() for line in block.splitlines())
    assert first.startswith("pip install torch --index-url")
    assert second == "pip install '.[train]'"
