"""What people read about a labeling, and labels as a table: text, HTML, Arrow, Parquet."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import cases
import numpy as np
import pyarrow.parquet as pq
import pytest
from cli_runs import one_line, prepare, run
from html_pages import Page

import gtn_fast
from gtn_fast.pages.curves import by_turn, drawing
from gtn_fast.pages.page import page_of
from gtn_fast.pages.report import Report

X, Y = (a.astype(np.float32) / 3 for a in cases.make("gaussian", 120, 100, 4))


@pytest.fixture
def data(tmp_path, monkeypatch):
    return prepare(tmp_path, monkeypatch)


# ------------------------------------------------------------------ the table


def test_a_report_prints_as_a_short_table(native):
    labels = gtn_fast.label(X, Y, method="tree")
    text = str(labels.report)
    assert "matched   100 y's with 120 x's, d = 4" in text.replace("matched     ", "matched   ")
    assert re.search(r"^strategy +tree", text, re.MULTILINE)
    assert re.search(r"^answer +exact$", text, re.MULTILINE)
    assert re.search(r"^Y +given$", text, re.MULTILINE)
    assert len(text.splitlines()) <= 12
    assert "drawn from seed 7" in str(gtn_fast.label(X, seed=7).report)
    assert "20 of the y's" in str(gtn_fast.label(X[:80], Y, partial=True).report)


def test_a_report_is_a_dictionary_all_the_same(tmp_path):
    labels = gtn_fast.label(X, Y)
    plain = dict(labels.report)
    assert labels.report == plain
    assert json.loads(json.dumps(labels.report)) == json.loads(json.dumps(plain))
    assert repr(labels.report) == repr(plain)
    labels.save(tmp_path / "l.npz")
    loaded = gtn_fast.Labels.load(tmp_path / "l.npz").report
    assert str(loaded) == str(labels.report)


def test_a_report_in_a_notebook():
    report = Report(gtn_fast.label(X, Y).report, why="a < b & c")
    page = Page(report._repr_html_())
    assert page.open == []
    assert "a < b & c" in page.text
    assert page.tags.count("tr") == len(str(report).splitlines())
    shown = []
    printer = type("P", (), {"text": lambda self, text: shown.append(text)})()
    report._repr_pretty_(printer, cycle=False)
    assert shown == [str(report)]


@pytest.mark.parametrize("report", [{}, {"strategy": "tree"}, {"seconds": None, "x_files": 3}])
def test_a_report_of_anybody_prints(report):
    assert str(Report(report))
    assert Report(report)._repr_html_().startswith("<table>")


# ------------------------------------------------------------------ the page


def test_the_page_of_a_run(data, capsys):
    arguments = ("label", "X.npy", "--out", "o.npz", "--verify", "20", "--report", "run.html")
    assert run(*arguments) == 0
    assert "run.html" in capsys.readouterr().out
    page = Page(Path("run.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.loaded == []  # it needs nothing beside it
    assert "script" not in page.tags
    assert "viewport" in Path("run.html").read_text(encoding="utf-8")
    labels = gtn_fast.Labels.load("o.npz")
    for word in (
        "300 y's matched with 300 x's, d = 5",
        f"Mean cosine {labels.cosine.mean():.4f}",
        labels.report["strategy"],
        labels.report["why"],
        "20 choices by brute force: exact",
        "planned",
        "Cosine by turn",
        "X.npy",
        gtn_fast.__version__,
        np.__version__,
        "gtn-fast label X.npy --out o.npz --verify 20 --report run.html",
    ):
        assert " ".join(str(word).split()) in page.text
    assert page.tags.count("svg") == 1


def test_a_report_replaces_a_report_and_nothing_else(data, capsys):
    Path("mine.html").write_text("<p>mine")
    assert run("label", "X.npy", "--out", "o.npz", "--report", "mine.html") == 2
    one_line(capsys, "mine.html: is there already")
    assert Path("mine.html").read_text() == "<p>mine"
    assert not Path("o.npz").exists()
    for _ in range(2):
        assert run("label", "X.npy", "--out", "o.npz", "--report", "run.html", "--quiet") == 0
    assert run("label", "X.npy", "--out", "o.npz", "--report", "X.npy", "--force") == 2
    one_line(capsys, "X.npy: is the input")
    assert run("label", "X.npy", "--out", "o.npz", "--report", "o.npz") == 2
    one_line(capsys, "would be written twice")


def test_the_page_of_odd_labels():
    few = gtn_fast.label(X[:50], Y, partial=True)
    assert "50 y's stayed without an x" in Page(page_of(few)).text
    none = gtn_fast.label(np.abs(X), -np.abs(Y), min_cosine=0.9)
    assert "No y found an x." in Page(page_of(none)).text
    one = gtn_fast.label(X[:1], Y[:1])
    assert Page(page_of(one)).open == []
    evil = gtn_fast.label(X, Y)
    evil.report["why"] = "<script>alert(1)</script>"
    assert "<script>" not in page_of(evil, command="a <b> & 'c'", verified="<i>")
    many = gtn_fast.label(X, Y)
    many.report["x_files"] = [{"file": f"/f/{i}.npy", "rows": 1} for i in range(1000)]
    assert "and 800 more files" in Page(page_of(many)).text


def test_the_page_of_an_approximate_run(data):
    pytest.importorskip("faiss")
    assert run("label", "X.npy", "--out", "o.npz", "--method", "faiss", "--exact-below", "10",
               "--report", "r.html", "--quiet") == 0  # fmt: skip
    text = Page(Path("r.html").read_text(encoding="utf-8")).text
    assert "How good the choices are" in text
    assert "approximate: " in text


def test_percentiles_by_turn():
    cosine = np.linspace(1, 0, 1000).astype(np.float32)
    order = np.random.default_rng(0).permutation(1000)
    found = by_turn(cosine[np.argsort(order)], order)
    assert found.shape == (100, 5)
    assert (np.diff(found[:, 2]) < 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[0, 4] == 1
    assert found[-1, 0] == 0
    assert found[3, 2] == pytest.approx(np.median(cosine[30:40]))
    gaps = cosine.copy()
    gaps[500:510] = np.nan
    found = by_turn(gaps, np.arange(1000))
    assert np.isnan(found[50]).all()
    assert not np.isnan(np.delete(found, 50, axis=0)).any()


def test_the_drawing_stays_in_its_frame():
    for cosine in (np.linspace(-1, 1, 500), np.full(7, 0.5), np.full(3, np.nan)):
        root = ET.fromstring(drawing(by_turn(cosine, np.arange(len(cosine))), len(cosine)))
        _, _, width, height = map(float, root.get("viewBox").split())
        for each in root.iter():
            for pair in (each.get("points") or "").split():
                x, y = map(float, pair.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


# ------------------------------------------------------------------ the table of Arrow


def test_labels_as_a_table():
    labels = gtn_fast.label(X[:80], Y, partial=True)
    table = labels.to_arrow()
    assert table.column_names == ["y", "x", "cosine", "turn"]
    x = table.column("x").to_pylist()
    assert [-1 if each is None else each for each in x] == labels.x_index.tolist()
    cosine = table.column("cosine").to_pylist()
    assert [each is None for each in cosine] == (labels.x_index < 0).tolist()
    assert np.array(table.column("turn"))[labels.order].tolist() == list(range(100))
    about = json.loads(table.schema.metadata[b"gtn_fast"])
    assert (about["n_x"], about["d"], about["seed"]) == (80, 4, None)
    assert about["report"]["n_y"] == 100


def test_a_join_brings_labels_back_to_their_latents(tmp_path):
    """By the ids of both sides, as pandas' frame does it."""
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(X, index=[f"x{i}" for i in range(120)])
    y = pandas.DataFrame(Y, index=pandas.date_range("2026-01-01", periods=100))
    labels = gtn_fast.label(x, y)
    labels.to_parquet(tmp_path / "l.parquet")
    found = pandas.read_parquet(tmp_path / "l.parquet")
    frame = labels.to_frame()
    assert found["x_id"].tolist() == frame["x"].tolist()
    assert found["y_id"].tolist() == frame.index.tolist()
    assert (found["turn"].to_numpy() == frame["turn"].to_numpy()).all()
    joined = found.join(x, on="x_id")
    assert (joined[list(range(4))].to_numpy() == X[labels.x_index]).all()


def test_labels_of_files_as_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", X[:50])
    np.save("b.npy", X[50:])
    labels = gtn_fast.label(["a.npy", "b.npy"], Y)
    table = labels.to_arrow()
    for y in (0, 57, 99):
        file, row = labels.source(labels.x_index[y])
        assert table.column("file")[y].as_py() == str(file)
        assert table.column("file_row")[y].as_py() == row


def test_the_command_line_writes_parquet(data, capsys):
    assert run("label", "X.npy", "--out", "o.parquet", "--verify", "10") == 0
    assert "o.parquet" in capsys.readouterr().out
    table = pq.read_table("o.parquet")
    labels = gtn_fast.label("X.npy")
    assert table.column("x").to_pylist() == labels.x_index.tolist()
    assert np.array_equal(table.column("cosine").to_numpy(), labels.cosine)
    assert run("label", "X.npy", "--out", "o.parquet", "--quiet") == 0  # ours
    pq.write_table(table.replace_schema_metadata(None), "theirs.parquet")
    Path("odd.parquet").write_text("no table")
    for name in ("theirs.parquet", "odd.parquet"):
        assert run("label", "X.npy", "--out", name) == 2
        one_line(capsys, f"{name}: is there already")
        with pytest.raises(ValueError, match="is not a table of labels"):
            labels.to_parquet(name)
        assert run("label", "X.npy", "--out", name, "--force", "--quiet") == 0
    assert run("verify", "X.npy", "o.parquet") == 2
    one_line(capsys, "o.parquet is not a readable labels file")


def test_parquet_without_pyarrow_is_said_before_the_work(data, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(gtn_fast, "label", lambda *_, **__: pytest.fail("worked first"))
    assert run("label", "X.npy", "--out", "o.parquet") == 2
    one_line(capsys, "pyarrow is not installed", "gtn-fast[parquet]")
