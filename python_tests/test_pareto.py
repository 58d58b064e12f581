"""The benchmark of method "faiss": what it runs, keeps and shows."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import fresh, machine, measure_faiss, pareto
from gtn_fast.backends.faiss import centres as faiss_centres

QUALITY = {
    "sample": 200,
    "agreement": 0.5,
    "mean_cosine": 0.4,
    "mean_best_cosine": 0.41,
    "mean_cosine_lost": 0.01,
    "cosine_ratio": 0.975,
    "rank_regret_mean": 1.25,
    "rank_regret_median": 1.0,
}


@pytest.fixture
def runs(monkeypatch):
    """Calls of fresh.measure, which answers at once; d = 3 takes too long."""
    calls = []

    def measured(name, n_x, d, *, method, options, **_):
        calls.append((name, n_x, d, method, options.get("quality")))
        if d == 3:
            return None
        quality = QUALITY if method == "faiss" else None
        report = {"engine": {"exact_rows": n_x / 4}, "seconds": {"quality": 0.5}}
        if quality:
            report["quality"] = quality
        seconds = 2.5 if quality else 8.0
        keys = ("source", "strategy", "predicted_seconds", "verified", "mean_cosine")
        sizes = {"peak_bytes": 2**20, "peak_total_bytes": 2**30}
        return {**dict.fromkeys(keys, 0.25), **sizes, "seconds": seconds, "report": report}

    monkeypatch.setattr(fresh, "measure", measured)
    monkeypatch.setattr(machine, "busy_share", lambda: 0.0)
    return calls


def test_rows_are_kept_and_missing_ones_added(native, runs, tmp_path, capsys):
    arguments = ["--n", "1000", "--out", str(tmp_path), "--workloads", "mnist", "--threads", "1"]
    assert pareto.main([*arguments, "--d", "16"]) == 0
    assert runs[0] == ("mnist", 1000, 16, "auto", None)
    assert [run[-1] for run in runs[1:]] == ["fast", "balanced", "careful"]
    out = capsys.readouterr().out
    line = ("| mnist | 1,000 | 16 | fast | 2.00 s | 3.75 | 0.2500 | 0.0100 | 0.9750 | 50.0%"
            " | 1.2 (1) | 25% | 1.0 MiB | 1.0 GiB |")  # fmt: skip
    assert line in out
    assert line in (tmp_path / "pareto_1000.md").read_text()
    assert (tmp_path / "pareto_1000.png").stat().st_size > 10_000
    assert pareto.main([*arguments, "--d", "8", "16", "--missing"]) == 0
    assert [run[2] for run in runs[4:]] == [8] * 4
    rows = json.loads((tmp_path / "pareto_1000.json").read_text())["rows"]
    assert [row["d"] for row in rows] == [8] * 4 + [16] * 4


def test_what_takes_too_long_is_said_and_tried_again(native, runs, tmp_path, capsys):
    for _ in range(2):
        assert pareto.main(["--one", "500", "3", "fast", "--missing", "--out", str(tmp_path)]) == 0
        assert "| gaussian | 500 | 3 | fast | over the limit | - |" in capsys.readouterr().out
    assert len(runs) == 2
    assert json.loads((tmp_path / "pareto_one_500.json").read_text())["rows"][0]["seconds"] is None


@pytest.mark.parametrize("one", [("many", "3", "fast"), ("10", "3", "best")])
def test_bad_single_run(capsys, one):
    with pytest.raises(SystemExit):
        pareto.main(["--one", *one])
    assert "--one takes an n, a d and one of exact, fast, balanced, careful" in (
        capsys.readouterr().err
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_run(native, tmp_path, capsys):
    arguments = ["--one", "3000", "8", "fast", "--exact-below", "500", "--threads", "1"]
    assert pareto.main([*arguments, "--out", str(tmp_path)]) == 0
    row = json.loads((tmp_path / "pareto_one_3000.json").read_text())["rows"][0]
    assert row["verified"] == pareto.SAMPLE
    assert 0 < row["quality"]["cosine_ratio"] < 1
    assert row["seconds"] > 0
    assert row["peak_total_bytes"] > row["peak_bytes"] >= 0


def test_measuring_constants(native, monkeypatch, capsys):
    monkeypatch.setattr(faiss_centres, "SHARES", dict(faiss_centres.SHARES))
    assert measure_faiss.main(["--n", "900", "--d", "4", "--shares", "0.2", "1"]) == 0
    first, few, every = capsys.readouterr().out.splitlines()
    assert first.startswith("gaussian, n = 900, d = 4: exact ")
    assert few.startswith("share 0.2 (6 of 30): ")
    assert "1.0000 of the best cosines" in every
