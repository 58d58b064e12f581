"""The topology experiments: a quick run, what it measures, how its targets are read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gtn_fast import experiments
from gtn_fast.experiments import topology, topology_models
from gtn_fast.experiments.registry import EXPERIMENTS
from gtn_fast.experiments.report import Notes
from gtn_fast.manifolds import MANIFOLDS, manifold

pytest.importorskip("gudhi")

# After an epoch of a few hundred images a chart may have none; the run goes on.
pytestmark = pytest.mark.filterwarnings("ignore:charts .* have fewer than 50 images")


def run(out):
    return experiments.run(
        "topology-circle", out, quick=True, threads=1, say=lambda _: None, ddpm_epochs=1
    )


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    out = tmp_path_factory.mktemp("topology")
    result = run(out)
    record = json.loads((out / "topology-circle" / "metrics.json").read_text())
    return result, record


def test_every_family_is_measured(quick):
    result, record = quick
    rows = record["numbers"]["rows"]
    assert list(rows) == [
        "another sample of the set", "VAE, d = 1", "AE + Gaussian, d = 1", "AE + GTN, d = 1",
        "CAE, its own prior", "Atlas GTN on CAE", "WAE-GAN, d = 1", "GAN, d = 1", "Atlas VAE",
        "Atlas WAE-GAN", "InfoGAN", "VAE, d = 2", "AE + Gaussian, d = 2", "AE + GTN, d = 2",
        "DDPM in pixels",
    ]  # fmt: skip
    true = rows["another sample of the set"]
    assert true["off"] < 0.01
    assert true["share_off"] == 0
    assert all(0 <= row["tv"] <= 1 for row in rows.values())
    assert all(row["off"] >= true["off"] for row in rows.values())
    assert set(rows["AE + GTN, d = 1"]["ways"]) == {"line", "geodesic"}
    assert set(rows["DDPM in pixels"]["ways"]) == {"noised", "inverted"}
    assert len(result.figures) == 5
    assert any(line["target"] for line in record["lines"])


def test_a_run_is_a_function_of_its_seed(quick, tmp_path):
    again = run(tmp_path)
    first, second = (
        {k: {**row, "seconds": 0} for k, row in result.numbers["rows"].items()}
        for result in (quick[0], again)
    )
    assert str(first) == str(second)


def row(name, kind, share_off=0.5, tv=0.3, right=False, ways=None):
    ways = {k: topology.Way(*v, np.zeros(0)) for k, v in (ways or {}).items()}
    return topology.Row(name, kind, 0.1, share_off, tv, 0.5, "1 2 1", right, ways=ways)


def read(of, rows):
    notes = Notes(None, True, 0, None, None, lambda _: None)
    topology._targets(manifold(of), {each.name: each for each in rows}, notes)
    return [line.ok for line in notes.lines]


def test_targets_are_read_as_they_were_written():
    """Met on one side of each limit, missed on the other."""

    def torus(ours, single, leave, line, ratio):
        return read("torus", [
            row("VAE, d = 2", "single", single, ways={"line": (line, 0.2, ratio + 0.1)}),
            row("VAE, d = 3", "single", 0.0),  # more dimensions than the set: not compared
            row("AE + GTN, d = 2", "single", 0.9),
            row("CAE, its own prior", "atlas", 0.2, ways={"geodesic": (leave, 0.1, ratio)}),
            row("Atlas GTN on CAE", "ours", ours, right=True),
            row("DDPM in pixels", "diffusion", 0.29),
        ])  # fmt: skip

    assert all(torus(0.05, 0.3, 0.1, 0.3, 1.15))
    assert torus(0.06, 0.3, 0.1, 0.3, 1.15)[0] is False
    # 3 times; CAE's and the DDPM's below VAE's.
    assert torus(0.05, 0.14, 0.1, 0.3, 1.15).count(False) == 3
    assert torus(0.05, 0.3, 0.11, 0.29, 1.16).count(False) == 3

    def sphere(tv, right):
        return read("sphere", [
            row("VAE, d = 2", "single"),
            row("AE + GTN, d = 2", "single", 0.0, tv=tv, right=right),
            row("CAE, its own prior", "atlas", 0.2),
            row("Atlas GTN on CAE", "ours", 0.1, tv=0.2, right=True),
        ])  # fmt: skip

    assert sphere(0.28, False).count(False) == 1  # no geodesics were found
    assert sphere(0.27, True).count(False) == 3


@pytest.mark.parametrize("of", topology.SETS)
def test_parameters_are_laid_out_in_the_plane(of):
    c = MANIFOLDS[of].parameters(50, 0)
    flat = topology.plane(of)(c)
    assert flat.shape == (50, 2)
    assert np.isfinite(flat).all()
    if of == "rp2":
        np.testing.assert_allclose(flat, topology.plane(of)(-c))
    assert f"topology-{of}" in EXPERIMENTS


def test_ways_that_are_not_there_are_left_out():
    """Two circles, an atlas of one chart a circle: no way from one to the other."""
    import torch

    from gtn_fast.atlas.model import Atlas, chart_numbers

    class Bright(Atlas):
        def __init__(self):
            super().__init__(1, 2, 1, 2)

        def psi(self, x):
            first = (x[:, 0, 0, 0] > 0).float()
            return torch.stack((first, 1 - first), 1)

        def encode(self, x, y):
            return x[:, 0, 1, :1]

        def decode(self, z, y):
            y = chart_numbers(y, z, 2)
            first = torch.where(y == 0, 1.0, -1.0)[:, None]
            return torch.cat((first, first, z, z), 1).reshape(-1, 1, 2, 2)

    rng = np.random.default_rng(0)
    images = np.zeros((60, 1, 2, 2), np.uint8)
    images[:30, 0, 0] = 255
    images[:, 0, 1] = rng.integers(0, 255, (60, 1))
    made = topology_models.between(
        "geodesic", Bright(), images[[0, 1, 2]], images[[5, 40, 6]], images, 4, 0
    )
    assert made.shape == (2, 4, 1, 2, 2)
