"""The experiments about charts, on tiny data: what they write, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from gtn_fast import experiments
from gtn_fast.experiments import geodesics
from gtn_fast.manifolds import manifold

# After an epoch of a few hundred images a chart may have none; the run goes on.
pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:charts .* have fewer than 50 images"),
]


def run(name, out, **options):
    result = experiments.run(name, out, quick=True, say=lambda _: None, **options)
    record = json.loads((out / name / "metrics.json").read_text())
    for figure in record["figures"]:
        with Image.open(out / name / figure) as picture:
            assert min(picture.size) > 60
    return result, record


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Spots on a circle, 28 x 28, of two classes: left and right."""
    images, angle = manifold("circle").images(150, 0)
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    images = images[:, 0, 2:30, 2:30]
    labels = (np.cos(angle[:, 0]) > 0).astype(np.int64)
    np.savez(path, x_train=images[:110], y_train=labels[:110], x_test=images[110:],
             y_test=labels[110:])  # fmt: skip
    return path


def test_geodesics(tmp_path, digits):
    result, record = run("geodesics-mnist", tmp_path, data=digits, charts=2)
    lines = {line.what: line for line in result.lines}
    counts = next(line for what, line in lines.items() if what.startswith("parameters"))
    assert counts.ok is True
    assert counts.ours == counts.paper
    models = record["numbers"]["models"]
    assert set(models) == {"WAE", "AWAE-2", "GTN", "GTN, 2 components"}
    for found in models.values():
        assert found["nodes"] >= 60
        assert len(found["lengths"]) == 4
    assert models["WAE"]["jumps"] == models["GTN"]["jumps"] == 0
    nodes = lines["nodes, WAE / AWAE-2"]
    assert nodes.paper == "2000 / 2020"
    assert nodes.ok is False  # there are only 60
    assert {"figure_2a.png", "figure_2b.png", "figure_3a.png"} <= set(record["figures"])


def test_geodesics_knows_the_papers_numbers_of_charts(tmp_path, digits):
    assert set(geodesics.COUNTS) == set(geodesics.TABLE_1["mnist"].error) == {1, 2, 4, 8, 16}
    for charts in (1, 3):
        with pytest.raises(ValueError, match=f"charts must be 2, 4, 8 or 16, got {charts}"):
            run("geodesics-mnist", tmp_path, data=digits, charts=charts)
    with pytest.raises(ValueError, match="geodesics-fashion needs its data set"):
        run("geodesics-fashion", tmp_path)


def test_invariants(tmp_path):
    pytest.importorskip("gudhi")
    result, record = run("atlas-invariants", tmp_path)
    assert set(record["numbers"]["right"]) == {"nerve", "orientation", "pieces"}
    assert record["figures"] == ["circle.png", "two-circles.png"]
    for name in ("circle", "two-circles"):
        assert sum(record["numbers"][name]["use"]) == pytest.approx(1)
    targets = {line.what: line.target for line in result.lines}
    assert targets["circle: Betti numbers of the nerve, mod 2 / mod 3"] == "1 1 0 / 1 1 0"
    assert targets["two-circles: pieces of the graph"] == "2"


def test_generators_with_charts_and_without_are_scored_alike(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (240, 8, 8), dtype=np.uint8)
    labels = np.arange(240) % 3
    np.savez(tmp_path / "d.npz", x_train=pixels[:160], y_train=labels[:160],
             x_test=pixels[160:], y_test=labels[160:])  # fmt: skip
    result = experiments.run("atlas-mnist", tmp_path, data=tmp_path / "d.npz", quick=True,
                             charts=2, threads=1, say=lambda _: None)  # fmt: skip
    rows = result.numbers["rows"]
    assert len(rows) == 12
    assert {"AE + GTN, 2 components", "Atlas GTN on CAE", "InfoGAN"} < set(rows)
    assert all(len(each) == 6 and np.isfinite(each).all() for each in rows.values())
    first = rows["training images"]
    assert all(0 <= each <= 1 for each in (first[2], first[3], first[5]))
