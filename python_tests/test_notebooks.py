"""The notebooks of examples/: no outputs in the repository, and every cell runs.

Each runs here in this process, with the small sizes below. ``make docs`` runs them in a kernel, as
they stand, and shows what they show.
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

import matplotlib
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SMALL = {
    "flow_on_labels": {"ROWS": 300, "EPOCHS": 2},
    "images_to_samples": {"IMAGES": 150, "HELD_OUT": 40, "AE_EPOCHS": 1, "EPOCHS": 2},
    "own_loop": {"ROWS": 600, "D": 3, "EPOCHS": 2},
}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kept_outputs(notebook):
    return [cell.id for cell in code(notebook) if cell.outputs or cell.execution_count is not None]


def test_each_notebook_has_small_sizes():
    assert {path.stem for path in NOTEBOOKS} == SMALL.keys()


@each_notebook
def test_outputs_are_stripped(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert kept_outputs(notebook) == []
    # What an editor leaves behind: versions, folded cells, times of execution.
    assert notebook.metadata.keys() <= {"kernelspec", "language_info"}
    assert all(cell.metadata.keys() <= {"tags"} for cell in notebook.cells)


def test_an_output_is_found():
    notebook = read(NOTEBOOKS[0])
    code(notebook)[1].execution_count = 1
    code(notebook)[2].outputs = [nbformat.v4.new_output("stream", text="hello")]
    assert kept_outputs(notebook) == [cell.id for cell in code(notebook)[1:3]]


@each_notebook
def test_notebook_runs(path, native, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    notebook, names, shown = read(path), {}, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about trainings as short as these
        for cell in code(notebook):
            parts = ast.parse(cell.source)
            last = parts.body.pop() if isinstance(parts.body[-1], ast.Expr) else None
            exec(compile(parts, path.name, "exec"), names)
            if cell.metadata.get("tags") == ["parameters"]:
                assert SMALL[path.stem].keys() <= names.keys()
                names.update(SMALL[path.stem])
            if last is not None:
                shown.append(eval(compile(ast.Expression(last.value), path.name, "eval"), names))
    pictures = [each._repr_png_() for each in shown if hasattr(each, "_repr_png_")]
    assert len(pictures) >= 2
    assert all(each.startswith(b"\x89PNG") for each in pictures)
    assert list(tmp_path.iterdir()) == []


@each_notebook
def test_links_of_a_notebook_lead_somewhere(path):
    for cell in read(path).cells:
        for link in re.findall(r"\]\(([^)\s#]+)", cell.source):
            assert (path.parent / link).exists(), link
