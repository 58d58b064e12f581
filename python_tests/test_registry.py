"""The list of backends: what it says is so, and what cannot run says why."""

from __future__ import annotations

import importlib
import inspect
import sys
import types

import cases
import numpy as np
import pytest

import gtn_fast
from gtn_fast import cli
from gtn_fast.backends import methods, registry
from gtn_fast.backends import native as native_backend
from gtn_fast.backends.interface import Match, Matched
from gtn_fast.backends.methods import takes_dimension
from gtn_fast.backends.options import Choice, Share, declared
from gtn_fast.backends.registry import METHODS
from gtn_fast.backends.selection import check_options, for_strategy, pick_device
from gtn_fast.inputs.device import CUDA, Device
from gtn_fast.packages import Absent, load_package
from gtn_fast.reference import match

ENGINE = "gtn_fast._native"
BUILD = r"run `pip install \.` in the repository \(it needs a C\+\+20 compiler\)"


class Raises:
    """A finder that makes ``import name`` raise ``error``."""

    def __init__(self, name, error):
        self.name, self.error = name, error

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            raise self.error


@pytest.fixture
def breaks(monkeypatch):
    """``breaks(module, error)``: importing it raises that error."""

    def break_module(name, error):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(sys, "meta_path", [Raises(name, error), *sys.meta_path])

    return break_module


def pretend(name="pretend", *, missing=None, devices=("cpu",), strategies=("pretend",)):
    """A backend (entry, module) that answers by the oracle."""

    def require():
        if missing:
            raise ImportError(f"{missing} is not installed:\n  pip install {missing}")

    module = types.ModuleType(f"a_module_of_{name}")
    module.match = lambda x, y, **_: Matched(*match(x, y), {"asked": 1.0})
    module.require = require
    module.instructions = lambda: "make-believe"
    module.predict = lambda n_x, n_y, d, threads: (0.25, 1000)
    entry = registry.Backend(name, module.__name__, True, devices, strategies, (), "for a test")
    return entry, module


@pytest.fixture
def enlist(monkeypatch):
    """Puts a pretend backend into the list, as an entry and a module would be."""

    def add(entry, module):
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(registry, "BACKENDS", (*registry.BACKENDS, entry))
        monkeypatch.setattr(methods, "METHODS", (*METHODS, *entry.strategies))

    return add


# ------------------------------------------------------------------ the list


def test_names_come_from_the_list(capsys):
    """Whoever takes a method answers an unknown one with what the list holds."""
    strategies = dict.fromkeys(name for each in registry.BACKENDS for name in each.strategies)
    with pytest.raises(ValueError, match=f"valid: auto, {', '.join(strategies)}$"):
        gtn_fast.label(np.eye(3), method="best")
    assert cli.main(["label", "x.npy", "--out", "o.npz", "--method", "best"]) == 2
    message = capsys.readouterr().err.replace("'", "")
    assert f"(choose from auto, {', '.join(strategies)})" in message


def test_no_two_backends_run_one_strategy_on_one_device():
    names = [backend.name for backend in registry.BACKENDS]
    assert len(set(names)) == len(names)
    seats = [(s, device) for b in registry.BACKENDS for s in b.strategies for device in b.devices]
    assert len(set(seats)) == len(seats)


SUBSETS = ("x_rows", "y_rows", "out_of_core", "scratch")
STREAMS = ("settled", "settled_every")
METRIC = ("metric",)
ELSEWHERE = ("device",)  # of a backend that does not compute on the CPU


@pytest.mark.parametrize("backend", registry.BACKENDS, ids=lambda backend: backend.name)
def test_a_module_has_what_the_interface_lists(backend):
    module = backend.load()
    given = inspect.signature(module.match).parameters
    wanted = dict(inspect.signature(Match.__call__).parameters)
    del wanted["self"]
    parts = (*backend.takes_row_subsets * SUBSETS, *backend.streams_pairs * STREAMS)
    parts += ELSEWHERE * ("cpu" not in backend.devices)
    assert set(backend.euclidean) <= set(backend.strategies)
    parts += METRIC * bool(backend.euclidean)
    own = {name: given[name] for name in parts}
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in own.values())
    if "options" not in given:  # those it has are spelled out
        del wanted["options"]
        own |= {name: given[name] for name in backend.option_names}
    assert [(p.name, p.kind, p.default) for p in given.values() if p.name not in own] == [
        (p.name, p.kind, p.default) for p in wanted.values()
    ]
    assert isinstance(module.instructions(), str)
    if "cpu" in backend.devices:  # the others: test_triton.py
        assert module.require() is None


@pytest.mark.parametrize("backend", registry.BACKENDS, ids=lambda backend: backend.name)
def test_every_strategy_of_the_list_runs(native, backend):
    """The names of the list are those that the backend knows, and lead to it."""
    for strategy in backend.strategies:
        assert registry.find(strategy, backend.devices[0]) is backend
        if "cpu" not in backend.devices:  # runs in test_triton.py
            continue
        d = next(d for d in (1, 2) if takes_dimension(strategy, d))
        x, y = cases.make("gaussian", 40, 30, d)
        report = gtn_fast.label(x, y, method=strategy, threads=1).report
        assert (report["strategy"], report["backend"]) == (strategy, backend.name)


def test_unknown_names_are_answered_with_the_valid_ones():
    with pytest.raises(ValueError, match="unknown backend 'cuda'; valid: native, reference"):
        registry.get("cuda")
    with pytest.raises(ValueError, match="unknown backend 'cuda'"):
        registry.why_not("cuda")
    with pytest.raises(ValueError, match=r"unknown strategy 'auto'; valid: ray, .*, rank"):
        registry.find("auto")
    with pytest.raises(ValueError, match="'tree' does not run on 'cuda'; valid: cpu"):
        for_strategy("tree", CUDA)


def test_one_strategy_on_two_devices(enlist):
    entry, module = pretend(devices=("mill",), strategies=("screen",))
    enlist(entry, module)
    assert registry.find("screen", "mill") is entry
    assert registry.find("screen").name == "native"
    assert for_strategy("screen", Device("mill")) is module.match


# ------------------------------------------------------------------ what cannot run


def test_what_can_run_has_no_reason(native):
    assert registry.why_not("native") is None
    assert registry.why_not("reference") is None


def test_an_engine_that_is_not_built(monkeypatch):
    monkeypatch.setitem(sys.modules, ENGINE, None)
    reason = registry.why_not("native")
    assert reason.startswith(f"the compiled engine {ENGINE} is not built: run `pip install .`")
    assert "C++20" in reason
    assert "\n" not in reason
    assert registry.why_not("reference") is None
    assert not native_backend.available()
    for strategy in registry.get("native").strategies:
        with pytest.raises(ImportError, match=f"not built: {BUILD}"):
            for_strategy(strategy)
        d = 1 if strategy == "ray" else 2
        with pytest.raises(ImportError, match=f"not built: {BUILD}"):
            gtn_fast.label(np.eye(4)[:, :d], method=strategy)


def test_an_engine_that_does_not_load(breaks):
    """There, but linked with something else: no silent fall-back, and reference still works."""
    breaks(ENGINE, OSError("libstdc++.so.6: version\n `GLIBCXX_9' not found"))
    reason = registry.why_not("native")
    assert reason.startswith(
        f"the compiled engine {ENGINE} does not load"
        " (OSError: libstdc++.so.6: version `GLIBCXX_9' not found): run `pip install .`"
    )
    with pytest.raises(ImportError, match="does not load"):
        native_backend.available()
    for method in ("auto", "screen"):
        with pytest.raises(ImportError, match=rf"does not load \(OSError: .*\): {BUILD}"):
            gtn_fast.label(np.eye(4), method=method)
    assert gtn_fast.label(np.eye(4), method="reference").report["simd"] == "numpy"


def test_a_forced_backend_that_cannot_run_raises_before_any_work(enlist):
    entry, module = pretend(missing="unobtainium")
    module.match = lambda *_, **__: pytest.fail("it ran")
    enlist(entry, module)
    remedy = "unobtainium is not installed: pip install unobtainium"
    assert registry.why_not("pretend") == remedy
    with pytest.raises(ImportError, match="pip install unobtainium"):
        gtn_fast.label(np.eye(3), method="pretend")


def test_a_backend_is_an_entry_and_a_module(enlist):
    """Nothing else has to know of it: methods, plan, label and report follow."""
    enlist(*pretend())
    x, y = cases.make("gaussian", 60, 50, 3)
    planned = gtn_fast.plan(x, 50, method="pretend")
    assert (planned.strategy, planned.seconds, planned.bytes) == ("pretend", 0.25, 1000)
    labels = gtn_fast.label(x, y, method="pretend")
    assert (labels.x_index == gtn_fast.label(x, y, method="reference").x_index).all()
    shown = {name: labels.report[name] for name in ("strategy", "backend", "simd", "engine")}
    assert shown == {
        "strategy": "pretend",
        "backend": "pretend",
        "simd": "make-believe",
        "engine": {"asked": 1.0},
    }


# ------------------------------------------------------------------ packages


def test_absent_and_broken_are_told_apart(breaks):
    with pytest.raises(Absent, match=r"^X is not installed: get it$"):
        load_package("no_such_package_of_ours", "X", "get it")
    with pytest.raises(Absent, match=r"^X is not built: get it$"):
        load_package("no_such_package_of_ours.part", "X", "get it", absent="is not built")
    # A package that is there, but lacks one that it needs.
    breaks("colorsys", ModuleNotFoundError("No module named 'hues'", name="hues"))
    with pytest.raises(ImportError, match=r"^X does not load \(.*'hues'\): get it$") as caught:
        load_package("colorsys", "X", "get it")
    assert not isinstance(caught.value, Absent)


def test_a_long_reason_is_cut(breaks):
    breaks("colorsys", RuntimeError("one two three\n" * 200))
    with pytest.raises(ImportError) as caught:
        load_package("colorsys", "X", "get it")
    assert len(str(caught.value)) < 260
    assert str(caught.value).endswith(" ...): get it")


def test_what_is_fine_is_imported():
    assert load_package("colorsys", "X", "get it") is importlib.import_module("colorsys")


# ------------------------------------------------------------------ options


def test_an_argument_that_nobody_has():
    with pytest.raises(TypeError, match=r"label\(\) has no argument 'speed'; options of .* group"):
        gtn_fast.label(np.eye(3), quality="fast", speed=3)


def test_every_option_needs_its_taker():
    """Also behind one that has."""
    with pytest.raises(ValueError, match="group goes with method 'distributed' only"):
        check_options(["faiss"], {"nprobe": 3, "group": 1})
    with pytest.raises(ValueError, match="nprobe goes with method 'faiss' only"):
        check_options(["screen", "tree"], {"nprobe": 3})
    assert check_options(["faiss"], {"nprobe": np.int64(3)}) == {"nprobe": 3}
    with pytest.raises(ValueError, match="nprobe must be from 1"):
        check_options(["faiss"], {"nprobe": 0})


def test_a_share_is_above_0_and_at_most_1():
    share = Share("of what there is")
    for value in (1, 1.0, 1e-9, 0.5, np.float32(0.25)):
        assert share.check("part", value) == value
        assert type(share.check("part", value)) is float
    for value in (0, -0.5, 1.0000001, np.nan):
        with pytest.raises(ValueError, match="part must be above 0 and at most 1"):
            share.check("part", value)
    for value in (True, "1", None, [1]):
        with pytest.raises(TypeError, match="part must be a number"):
            share.check("part", value)


def test_options_are_documented_where_they_are_declared():
    text = gtn_fast.label.__doc__
    assert "{options}" not in text
    told = " ".join(text.split())
    for backend in registry.BACKENDS:
        for name, declaration in declared(backend.options).items():
            assert f"{name} : optional {' '.join(declaration.help.split())}" in told
    assert max(map(len, text.splitlines())) <= 100


def test_where_a_tensor_on_a_gpu_is_labeled(monkeypatch):
    """At the limits that the documentation names: d >= 3, n_x * n_y * d >= 10**10."""
    monkeypatch.setattr(registry, "why_not", lambda name: None if name == "triton" else "no")
    there = types.SimpleNamespace(device="cuda:1")

    def pick(n_x, n_y, d, method="auto", value=there):
        return str(pick_device(None, value, method, n_x, n_y, d))

    assert pick(10**5, 10**3, 100) == "cuda:1"
    assert pick(10**5, 10**3, 99) == "cpu"
    assert pick(10**6, 10**6, 3) == "cuda:1"
    assert pick(10**6, 10**6, 2) == "cpu"
    assert pick(10**6, 10**6, 3, "screen") == "cuda:1"
    assert pick(10**6, 10**6, 3, "reference") == "cpu"
    assert pick(10**6, 10**6, 3, value=types.SimpleNamespace(device="mps")) == "cpu"
    assert pick(10**6, 10**6, 3, value=np.eye(3)) == "cpu"
    monkeypatch.setattr(registry, "why_not", lambda name: "no")
    assert pick(10**6, 10**6, 3) == "cpu"


def test_a_choice_is_one_of_its_names():
    choice = Choice(("plain", "fancy"), "how")
    assert choice.check("style", "fancy") == "fancy"
    with pytest.raises(ValueError, match="unknown style 'f'; valid: plain, fancy"):
        choice.check("style", "f")
    for value in (1, None, ("plain",)):
        with pytest.raises(TypeError, match="style must be a string, got "):
            choice.check("style", value)
