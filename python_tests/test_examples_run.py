"""Every example in a docstring or in a page of the site runs, and shows what it says."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import matplotlib
import pytest

import gtn_fast

ROOT = Path(__file__).resolve().parents[1]
# Whose docstrings have examples that run as they stand.
MODULES = ("api", "labels", "sample", "compat", "planning.planner", "check.verification")
PAGES = sorted(
    page for page in (ROOT / "docs").rglob("*.md") if "```pycon" in page.read_text(encoding="utf-8")
)
REFERENCE = ROOT / "docs" / "site" / "reference"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")


def run_all(tests):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    output = []
    for test in tests:
        runner.run(test, out=output.append)
    assert runner.failures == 0, "".join(output)
    return runner.tries


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(native, name):
    module = importlib.import_module(f"gtn_fast.{name}")
    assert run_all(doctest.DocTestFinder(exclude_empty=True).find(module)) > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_examples_of_pages(native, page):
    """All blocks of a page, one after the other."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    assert run_all([test]) > 0


def test_a_wrong_example_is_found():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    with pytest.raises(AssertionError, match="Expected"):
        run_all([test])


def test_every_public_name_has_an_example_and_a_place():
    """In the docstring or on the page of the reference that shows it."""
    page = (REFERENCE / "gtn_fast.md").read_text(encoding="utf-8")
    learn = (REFERENCE / "learn.md").read_text(encoding="utf-8")
    learned = {"GTN", "Autoencoder", "HHat", "LabeledPairs"}
    for name in set(gtn_fast.__all__) - {"__version__"}:
        if name in learned:
            assert re.search(rf"\b{name}\b", learn), name
            continue
        assert re.search(rf"^\.\. auto\w+:: {name}$", page, re.MULTILINE), name
    for name in ("label", "Labels", "verify", "plan", "normal", "create_labels"):
        assert ">>> " in (getattr(gtn_fast, name).__doc__ or ""), name


@pytest.mark.parametrize("name", ["learn", "images", "metrics", "plots", "reference"])
def test_every_module_has_a_page(name):
    module = importlib.import_module(f"gtn_fast.{name}")
    assert module.__all__
    assert f".. automodule:: gtn_fast.{name}\n" in (REFERENCE / f"{name}.md").read_text()


def test_every_page_is_in_the_menu_of_the_site():
    start = ROOT / "docs" / "index.md"
    menus = re.findall(r"^```{toctree}\n(.*?)^```$", start.read_text("utf-8"), re.DOTALL | re.M)
    listed = {line.rpartition("<")[2].rstrip(">") for menu in menus for line in menu.splitlines()}
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert sorted(pages - listed) == []
