"""``topology`` and the commands ``topology`` and ``manifold``: what fits which shape."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_runs import one_line, run

from gtn_fast.manifolds import MANIFOLDS, manifold
from gtn_fast.manifolds.linkage import Cyclooctane
from gtn_fast.metrics import homology
from gtn_fast.metrics import topology as module
from gtn_fast.metrics.homology import Bars
from gtn_fast.metrics.topology import topology

pytest.importorskip("gudhi")
QUICK = {"n": 100, "repeats": 2, "max_n": 2000}


def ring(n, rng):
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack((np.cos(angle), np.sin(angle))) + 0.01 * rng.standard_normal((n, 2))


def test_one_piece_without_loops_asks_for_one_gtn(rng):
    found = topology(rng.random((1500, 2)) @ rng.standard_normal((2, 6)), **QUICK)
    assert (found.kind, found.charts, found.d) == ("one", 1, 2)
    assert found.betti == {2: (1, 0, 0), 3: (1, 0, 0)}
    assert found.shares[2] == (1.0, 1.0, 1.0)
    assert found.visible
    assert found.dimension == pytest.approx(2, abs=0.2)
    assert (found.rows, found.columns) == (1500, 6)
    assert set(found.dimensions) == {500, 1000}
    assert found.advice == "one GTN, d = 2: the data are one piece without loops or hollows"


def test_pieces_ask_for_clusters(rng):
    two = np.concatenate((rng.random((800, 2)), rng.random((700, 2)) + 3))
    found = topology(two, **QUICK)
    assert (found.kind, found.charts) == ("clusters", 2)
    assert "2 components" in found.advice
    # A few lone rows are no piece.
    few = np.concatenate((rng.random((1500, 2)), rng.random((4, 2)) + 50))
    assert topology(few, **QUICK).kind == "one"


def test_a_loop_asks_for_an_atlas(rng):
    x = ring(1500, rng)
    found = topology(x, **QUICK)
    assert (found.kind, found.charts, found.d) == ("atlas", 4, 1)
    assert found.betti[2] == (1, 1, 0)
    assert "1 piece and 1 loop" in found.advice
    assert topology(x, **QUICK) == found
    assert [each.ranks(*found.window)[1:] for each in found.diagrams] == [(1, 0)] * QUICK["repeats"]
    two = topology(np.concatenate((x, ring(1500, rng) + 5)), **QUICK)
    assert (two.kind, two.charts, two.betti[2]) == ("atlas", 8, (2, 2, 0))


def test_what_cannot_be_seen_is_said(rng):
    found = topology(rng.standard_normal((1200, 30)), **QUICK)
    assert not found.visible
    assert found.kind == "one"
    assert "one piece; loops and hollows could not have been seen" in found.advice


def test_disagreement_is_said(rng, monkeypatch):
    ranks = iter([(1, 1, 0), (1, 0, 0), (1, 1, 0)] * 2)
    looks = [module._Look({2: each, 3: each}, True, Bars((), 1.0)) for each in ranks]
    monkeypatch.setattr(module, "_look", lambda *args: looks.pop(0))
    monkeypatch.setattr(module, "_fewest_charts", lambda *args: 3)
    found = topology(rng.random((800, 2)), n=50, repeats=3)
    assert found.betti[2] == (1, 1, 0)
    assert found.shares[2] == (1.0, pytest.approx(2 / 3), 1.0)
    assert (found.kind, found.charts) == ("atlas", 6)
    assert "uncertain: only 67%" in found.advice


def test_the_dimension_that_estimates_lead_to():
    assert module._settled({500: 2.5}) == 2.5
    # a + b rows ** (-2 / 3), as of a bent set of three dimensions
    bent = {n: 3 + 150 * n ** (-2 / 3) for n in (500, 1000, 2000, 4000)}
    assert module._settled(bent) == pytest.approx(3, abs=0.25)
    # Noise makes it rise where rows are many.
    assert module._settled({500: 1.1, 1000: 1.02, 2000: 1.04, 4000: 1.6}) == pytest.approx(1.03)


def test_rows_that_occur_twice_change_nothing(rng):
    x = np.round(ring(1500, rng), 2)
    assert topology(x, **QUICK).betti[2] == (1, 1, 0)


@pytest.mark.parametrize(
    ("rows", "options", "text"),
    [
        (499, {}, "499 rows are too few to see a shape: need 500"),
        (600, {"n": 501}, "n must be from 20 to 500, got 501"),
        (600, {"repeats": 0}, "repeats must be from 1"),
        (600, {"max_n": 10}, "max_n must be from 500"),
    ],
)
def test_topology_refuses(rng, rows, options, text):
    with pytest.raises(ValueError, match=text):
        topology(rng.random((rows, 2)), **options)
    x = rng.random((600, 2))
    x[3, 1] = np.inf
    with pytest.raises(ValueError, match="row 3"):
        topology(x)


KINDS = dict.fromkeys(MANIFOLDS, "atlas") | {"disc": "one"}


@pytest.mark.slow
@pytest.mark.parametrize("name", MANIFOLDS)
def test_the_advice_is_right_on_the_sets_of_known_topology(name):
    m = manifold(name)
    found = topology(m.images(8000, 3)[0])
    assert found.betti == dict(m.betti)
    assert min(found.shares[2] + found.shares[3]) >= 0.8
    assert (found.kind, found.d) == (KINDS[name], m.dim)
    assert found.visible


# ------------------------------------------------------------------ cyclooctane


def test_cyclooctane_has_bonds_and_angles(rng):
    known = Cyclooctane()
    x = known.points(300, 1)
    assert x.shape == (300, 24)
    assert (x == known.points(300, 1)).all()
    atoms = x.reshape(300, 8, 3)
    bond = np.roll(atoms, -1, axis=1) - atoms
    assert np.linalg.norm(bond, axis=2) == pytest.approx(1)
    angle = -(np.roll(bond, 1, axis=1) * bond).sum(axis=2)
    assert np.degrees(np.arccos(angle)) == pytest.approx(115)
    assert atoms.mean(axis=1) == pytest.approx(0, abs=1e-12)
    distance, ends = known.project(x + 1e-3 * rng.standard_normal(x.shape))
    # 16 of 24 directions lead away from the set.
    assert np.median(distance) == pytest.approx(1e-3 * np.sqrt(16), rel=0.1)
    assert known.project(ends)[0].max() < 1e-8
    with pytest.raises(ValueError, match="24 columns, got 3"):
        known.project(x[:, :3])


@pytest.mark.slow
def test_cyclooctane_is_a_sphere_and_a_klein_bottle_that_meet():
    known = Cyclooctane()
    x = known.points(5000, 0)
    assert module._look(x, 400, 2, 1, (2,)).ranks[2] == known.betti[2]
    u, v = x[np.random.default_rng(0).permutation(5000)].reshape(2, 2500, 24)
    assert np.sqrt(np.square(u - v).sum(axis=1).mean()) == pytest.approx(known.scale, rel=0.02)


# ------------------------------------------------------------------ the commands


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_manifold_writes_a_set_that_topology_reads(folder, capsys):
    assert run("manifold", "circle", "--n", 1200, "--seed", 2, "--out", "circle.npz") == 0
    text = capsys.readouterr().out
    assert "Betti numbers 1 1 0 mod 2" in text
    with np.load("circle.npz") as held:
        images, parameters = manifold("circle").images(1200, 2)
        assert (held["images"] == images).all()
        assert (held["parameters"] == parameters).all()
    arguments = ["--landmarks", 80, "--repeats", 2, "--out", "shape.json", "--picture", "s.png"]
    assert run("topology", "circle.npz", *arguments) == 0
    text = capsys.readouterr().out
    assert "1 piece (100%), 1 loop (100%), 0 hollows (100%)" in text
    assert "an atlas with 4 charts of dimension 1" in text
    assert "shape.json, s.png" in text
    assert (folder / "s.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((folder / "shape.json").read_text())
    assert not {"diagrams", "window"} & set(found)
    assert found["betti"]["2"] == [1, 1, 0]
    assert (found["kind"], found["charts"], found["d"]) == ("atlas", 4, 1)
    assert run("topology", "circle.npz", *arguments) == 2
    one_line(capsys, "shape.json", "--force")
    assert run("topology", "circle.npz", "--picture", "s.png") == 2
    one_line(capsys, "s.png", "--force")


def test_topology_reads_latents(folder, rng, capsys):
    np.save("x.npy", rng.random((600, 2)))
    assert run("topology", "x.npy", "--landmarks", 60, "--repeats", 1) == 0
    assert "one GTN, d = 2" in capsys.readouterr().out


def test_manifold_names_the_sets_and_writes_points(folder, capsys):
    assert run("manifold", "list") == 0
    assert capsys.readouterr().out.split() == [*MANIFOLDS, "cyclooctane"]
    assert run("manifold", "cyclooctane", "--n", 50, "--out", "c.npz", "--quiet") == 0
    assert capsys.readouterr().out == ""
    with np.load("c.npz") as held:
        assert held["points"].shape == (50, 24)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("manifold donut --out x.npz", ["unknown manifold 'donut'", "torus"]),
        ("manifold torus", ["--out"]),
        ("manifold torus --out x.npy", ["x.npy", ".npz"]),
        ("manifold torus --n 0 --out x.npz", ["--n"]),
        ("manifold torus --seed -1 --out x.npz", ["seed"]),
        ("manifold torus --n 9 --out no/x.npz", ["does not exist"]),
        ("topology missing.npy", ["missing.npy"]),
        ("topology few.npy", ["20 rows are too few"]),
        ("topology few.npy --out few.npy", [".json"]),
        ("topology few.npy --picture few.npy", ["few.npy", ".png"]),
        ("topology few.npy --quiet", ["--quiet"]),
        ("topology few.npy --landmarks 900", ["n must be from 20 to 500"]),
    ],
)
def test_the_commands_refuse(folder, capsys, arguments, words):
    np.save("few.npy", np.eye(20))
    before = sorted(folder.iterdir())
    assert run(*arguments.split()) == 2
    one_line(capsys, *words)
    assert sorted(folder.iterdir()) == before


def test_without_gudhi_the_command_names_the_extra(folder, rng, capsys, monkeypatch):
    def absent(*_):
        return homology.load_package("gudhi_is_absent", "gudhi", "pip install 'gtn-fast[topology]'")

    np.save("x.npy", rng.random((600, 2)))
    monkeypatch.setattr(homology, "_gudhi", absent)
    assert run("topology", "x.npy") == 2
    one_line(capsys, "gudhi is not installed", "gtn-fast[topology]")
