"""Coverage, homology, dimension and distance from a set, against known values."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from gtn_fast import metrics
from gtn_fast.manifolds import Projector, manifold
from gtn_fast.metrics import homology
from gtn_fast.metrics import manifold as of_sets
from gtn_fast.metrics.graph import joined, regions


def circle(n, rng, noise=0.0):
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack((np.cos(angle), np.sin(angle))) + noise * rng.standard_normal((n, 2))


def ball_surface(n, rng):
    x = rng.standard_normal((n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# ------------------------------------------------------------------ farthest points


def test_farthest_points_are_farthest(rng):
    x = rng.standard_normal((60, 3)) + 5
    chosen = metrics.farthest(x, 12, seed=3)
    assert chosen.dtype == np.int64
    for i in range(1, 12):
        gaps = np.linalg.norm(x[:, None] - x[chosen[:i]], axis=2).min(axis=1)
        assert gaps[chosen[i]] == pytest.approx(gaps.max(), rel=1e-9)
    assert (chosen == metrics.farthest(x, 12, seed=3)).all()
    assert len({metrics.farthest(x, 1, seed=s)[0] for s in range(20)}) > 5
    assert sorted(metrics.farthest(x, 60)) == list(range(60))
    assert sorted(metrics.farthest([[0.0], [1.0], [9.0]], 2, seed=1))[-1] == 2
    with pytest.raises(ValueError, match="k must be from 1 to 60, got 61"):
        metrics.farthest(x, 61)
    with pytest.raises(ValueError, match="row 4"):
        metrics.farthest(np.where(np.arange(60)[:, None] == 4, np.nan, x), 5)


# ------------------------------------------------------------------ regions


def test_pieces_of_the_graph_of_nearest_rows(rng):
    rows = np.concatenate([circle(90, rng), circle(30, rng) + 9, [[9.0, 9.0]] * 2])
    graph, piece = joined(rows, 5)
    assert graph.shape == (122, 122)
    assert graph.nnz == 122 * 5
    assert graph.data.min() > 0  # rows that occur twice are joined, too
    here, there = graph.nonzero()
    wanted = np.linalg.norm(rows[here] - rows[there], axis=1)
    assert np.asarray(graph[here, there]).ravel() == pytest.approx(wanted, abs=1e-9)
    assert [len(set(piece[part])) for part in (slice(90), slice(90, 120))] == [1, 1]
    assert piece[0] != piece[90]


def test_regions_share_out_each_piece(rng):
    """Two circles of one length in four: two each, connected, of about equal length."""
    from scipy.sparse.csgraph import connected_components

    rows = np.concatenate([circle(300, rng), circle(300, rng) + 9])
    graph, _ = joined(rows, 6)
    for seed in range(5):
        found = regions(graph, 4, seed)
        assert [len(set(found[part])) for part in (slice(300), slice(300, 600))] == [2, 2]
        assert not set(found[:300]) & set(found[300:])
        assert np.bincount(found).min() > 0.6 * 150
        for y in range(4):
            own = np.flatnonzero(found == y)
            assert connected_components(graph[own][:, own], directed=False)[0] == 1
    assert (regions(graph, 4, 3) == regions(graph, 4, 3)).all()
    alone = regions(graph, 1, 0)  # one centre does not reach the other circle
    assert {frozenset(alone[:300]), frozenset(alone[300:])} == {frozenset({0}), frozenset({-1})}
    assert set(regions(joined(circle(5, rng), 3)[0], 5, 0)) == set(range(5))


# ------------------------------------------------------------------ intrinsic dimension


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_intrinsic_dimension_is_that_of_the_set_and_not_of_the_space(rng, d):
    flat = rng.random((3000, d)) @ rng.standard_normal((d, 20))
    assert metrics.intrinsic_dimension(flat) == pytest.approx(d, rel=0.12)


def test_intrinsic_dimension_is_the_formula(rng):
    x = rng.standard_normal((50, 4))
    every = np.linalg.norm(x[:, None] - x[None], axis=2)
    t = np.sort(every, axis=1)[:, 1:6]
    wanted = 1 / np.mean(np.log(t[:, -1:] / t[:, :-1]))
    assert metrics.intrinsic_dimension(x, k=5) == pytest.approx(wanted, rel=1e-6)
    assert metrics.intrinsic_dimension(np.repeat(x, 3, axis=0), k=5) == pytest.approx(wanted)


def test_intrinsic_dimension_needs_different_rows():
    with pytest.raises(ValueError, match="3 different rows are too few for k = 20: need 22"):
        metrics.intrinsic_dimension(np.repeat(np.eye(3), 50, axis=0))


# ------------------------------------------------------------------ balls around points


def by_brute_force(real, generated, k):
    def radii(x):
        return np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), axis=1)[:, k]

    between = np.linalg.norm(real[:, None] - generated[None], axis=2)
    inside = between <= radii(real)[:, None]
    return {
        "precision": inside.any(axis=0).mean(),
        "recall": (between <= radii(generated)[None]).any(axis=1).mean(),
        "density": inside.sum(axis=0).mean() / k,
        "coverage": inside.any(axis=1).mean(),
    }


def test_prdc_is_the_definition(rng, monkeypatch):
    real, generated = rng.standard_normal((50, 4)) + 3, rng.standard_normal((60, 4)) + 4
    wanted = by_brute_force(real, generated, 5)
    found = metrics.prdc(real, generated)
    assert found == pytest.approx(wanted)
    assert 0.2 < found["precision"] < 1
    assert 0.2 < found["recall"] < 1
    monkeypatch.setattr("gtn_fast.metrics.coverage._CHUNK", 300)
    assert metrics.prdc(torch.from_numpy(real), generated) == pytest.approx(wanted)


def test_prdc_of_a_sample_with_itself_and_with_one_far_away(rng):
    x = rng.standard_normal((200, 3))
    same = metrics.prdc(x, x[rng.permutation(200)])
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    far = metrics.prdc(x, x + 100)
    assert set(far.values()) == {0.0}
    doubled = metrics.prdc(np.repeat(x, 6, axis=0), x)  # all balls have radius 0
    assert doubled["precision"] == doubled["coverage"] == 1


def test_density_of_two_samples_of_one_law_is_one(rng):
    found = metrics.prdc(rng.standard_normal((5000, 3)), rng.standard_normal((5000, 3)))
    assert found["density"] == pytest.approx(1, abs=0.05)
    few = metrics.prdc(rng.standard_normal((500, 3)), rng.standard_normal((500, 3)), max_n=100)
    assert 0.8 < few["density"] * few["precision"] < 1.2


def test_prdc_refuses(rng):
    x = rng.standard_normal((6, 2))
    with pytest.raises(ValueError, match="5 generated rows are too few for k = 5: need 6"):
        metrics.prdc(x, x[:5])
    with pytest.raises(ValueError, match="same number of columns: 2 and 1"):
        metrics.prdc(x, x[:, :1])


# ------------------------------------------------------------------ homology


def test_bars_of_a_square_are_known():
    pytest.importorskip("gudhi")
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    found = homology.bars(square)
    assert sorted(found.of[0][:, 1]) == [1, 1, 1, np.inf]
    assert found.of[1] == pytest.approx(np.array([[1, np.sqrt(2)]]))
    assert found.of[2].shape == (0, 2)
    assert found.threshold == pytest.approx(np.sqrt(2))
    assert found.ranks(1.0, 1.2) == (1, 1, 0)
    assert found.ranks(0.5, 0.6) == (4, 0, 0)
    cut = homology.bars(square, threshold=1.2, dimension=1)
    assert len(cut.of) == 2
    assert cut.of[1].tolist() == [[1, np.inf]]


def test_a_hollow_is_seen_and_a_torsion_by_its_field(rng):
    octahedron = np.concatenate((np.eye(3), -np.eye(3)))
    found = homology.bars(octahedron)
    assert found.of[2] == pytest.approx(np.array([[np.sqrt(2), 2]]))
    # The projective plane: its loop and its hollow are there mod 2 and not mod 3.
    m = manifold("rp2")
    images = m.images(1500, 4)[0].reshape(1500, -1) / 255.0
    chosen = images[homology.landmarks(images, 200)]
    low, high = 0.6 * m.scale, 0.75 * m.scale
    ranks = [
        homology.bars(chosen, threshold=high, field=field).ranks(low, high) for field in (2, 3)
    ]
    assert ranks == [(1, 1, 1), (1, 0, 0)]


def test_landmarks_leave_out_what_lies_apart_and_keep_what_is_thin(rng):
    thick, thin = rng.random((900, 2)), 10 * rng.random((100, 2)) + 5
    lost = np.array([[-40.0, -40.0], [60.0, -30.0]])
    x = np.concatenate((thick, thin, lost))
    chosen = homology.landmarks(x, 60, drop=0.02)
    assert len(set(chosen)) == 60
    assert chosen.max() < 1000
    assert (chosen >= 900).sum() > 10
    assert {1000, 1001} <= set(homology.landmarks(x, 60, drop=0))
    with pytest.raises(
        ValueError, match="50 rows without the 1 that lie apart are too few for n = 50"
    ):
        homology.landmarks(x[:50], 50)
    with pytest.raises(ValueError, match="drop"):
        homology.landmarks(x, 50, drop=1.0)


def test_window_is_where_true_samples_show_the_numbers(rng):
    low, high = homology.window([circle(500, rng, 0.02) for _ in range(3)], (1, 1, 0), n=80)
    assert 0.4 < low < 0.9  # a third above where it appears
    assert 1.4 < high < 1.75  # the loop of a circle of radius 1 is filled at sqrt(3)
    for _ in range(3):
        assert homology.persistent_betti(circle(500, rng, 0.02), (low, high), n=80) == (1, 1, 0)
    apart = np.concatenate((circle(250, rng), circle(250, rng) + 9))
    assert homology.persistent_betti(apart, (low, high), n=80) == (2, 2, 0)
    disc = rng.standard_normal((500, 2))
    assert homology.persistent_betti(disc, (low, high), n=80)[1] == 0
    with pytest.raises(ValueError, match=r"n = 5 is too small: no distances .* show 1, 0, 1"):
        homology.window([ball_surface(500, rng) for _ in range(3)], (1, 0, 1), n=5)


def test_a_complex_that_costs_too_much_is_refused_with_its_cost(rng, monkeypatch):
    x = rng.standard_normal((200, 20))
    expected = homology.cost(x, 6.0)
    assert expected.simplices > 1e5
    assert expected.seconds > 0
    monkeypatch.setattr(homology, "MOST_SECONDS", expected.seconds / 2)
    monkeypatch.setattr(homology, "_A_FEW_SECONDS", expected.seconds / 2)
    text = (
        r"complex of 200 points up to dimension 2 and distance 6 has .* simplices: about .* s and"
    )
    with pytest.raises(ValueError, match=text):
        homology.bars(x, threshold=6.0)
    assert homology.bars(x, threshold=6.0, dimension=1).threshold == 6.0
    assert homology.bars(x).threshold < 6.0  # as far as costs allow
    with pytest.raises(ValueError, match="1,001 points are too many for a complex, 1,000"):
        homology.bars(rng.random((1001, 2)))


def test_the_number_of_simplices_is_right(rng):
    x = rng.random((12, 3))
    distances = homology.distances_of(x)
    _, of_edges = homology._collapsed(distances, 9.0, 0)
    assert of_edges.simplices == 66
    graph = homology._collapsed(distances, 9.0, 0)[0]
    assert homology._cliques(graph, 1) == 220
    assert homology._cliques(graph, 2) == 495


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"field": 4}, "field must be one of 2, 3, 5"),
        ({"dimension": 3}, "dimension must be from 0 to 2"),
    ],
)
def test_homology_refuses(rng, options, text):
    with pytest.raises(ValueError, match=text):
        homology.bars(rng.random((9, 2)), **options)


def test_homology_refuses_nan_and_no_window(rng):
    x = rng.random((50, 2))
    with pytest.raises(ValueError, match="window must be distances low < high"):
        homology.persistent_betti(x, (2.0, 1.0))
    x[7, 0] = np.nan
    with pytest.raises(ValueError, match="row 7"):
        homology.bars(x)


def test_without_gudhi_the_extra_is_named(rng, monkeypatch):
    for name in ("gudhi", "gudhi.sklearn.rips_persistence", "gudhi.flag_filtration.edge_collapse"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"gudhi is not installed.*gtn-fast\[topology\]"):
        homology.bars(rng.random((9, 2)))


SETS = ("disc", "circle", "two-circles", "figure-eight", "sphere", "torus", "moebius", "rp2")


def shows_its_numbers(m, field):
    window = of_sets.true_window(m, field=field)
    wrong = 0
    for seed in range(5):
        images = m.images(2000, 100 + seed)[0].reshape(2000, -1).astype(np.float32) / 255
        found = homology.persistent_betti(images, window, field=field, seed=seed)
        wrong += found != m.betti[field]
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("field", [2, 3])
@pytest.mark.parametrize("name", [*SETS, "klein"])
def test_true_samples_show_the_numbers_of_their_set(name, field):
    assert shows_its_numbers(manifold(name), field) == 0


# ------------------------------------------------------------------ distance from a set


@pytest.fixture(scope="module")
def sphere():
    m = manifold("sphere")
    return m, Projector(m, table=3000)


def test_off_is_the_distance_in_scale(sphere):
    m, projector = sphere
    true = m.render(torch.from_numpy(m.parameters(200, 1)))
    gap = torch.randn(true.shape, generator=torch.Generator().manual_seed(0)).double()
    gap *= 0.15 * m.scale / gap.flatten(1).norm(dim=1)[:, None, None, None]
    moved = true.clone()
    moved[:50] += gap[:50]
    found = of_sets.off_manifold(m, moved, projector)
    assert found["share_off"] == 0.25
    assert found["off"][:50] == pytest.approx(0.15, rel=0.02)  # noise is hardly tangential
    assert found["median"] < 1e-9
    assert found["p95"] == pytest.approx(0.15, rel=0.02)
    again = of_sets.off_manifold(m, projector(moved))
    assert (again["off"] == found["off"]).all()
    with pytest.raises(ValueError, match="projector is of sphere, not of torus"):
        of_sets.off_manifold(manifold("torus"), moved, projector)


def test_cells_notice_what_is_not_covered(sphere, monkeypatch):
    monkeypatch.setattr(of_sets, "_TRUE", 5000)
    m, projector = sphere
    c = torch.from_numpy(m.parameters(1000, 2))
    every = of_sets.cell_coverage(m, m.render(c), projector=projector)
    assert every["tv"] < 0.17
    assert every["reached"] > 0.8
    c[:, 0] = c[:, 0].abs()  # half of the sphere, twice
    half = of_sets.cell_coverage(m, m.render(c), projector=projector)
    assert half["tv"] == pytest.approx(0.5, abs=0.08)  # but for cells on the border
    assert 0.4 < half["reached"] < 0.65


def test_paths_on_the_set_and_through_nothing(sphere):
    m, projector = sphere
    angle = torch.linspace(0.3, 2.0, 12).double()
    great = torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)), 1)
    on = m.render(great)
    share = torch.linspace(0, 1, 12).double()[:, None, None, None]
    straight = (1 - share) * on[0] + share * on[-1]
    found = of_sets.path_errors(m, torch.stack((on, straight)), projector)
    assert found["worst"][0] < 1e-9
    assert found["worst"][1] > 0.3
    assert found["mean"][1] < found["worst"][1]
    assert found["share_off"] == 0.5
    # Of the straight way between the same ends.
    assert found["length"][1] == pytest.approx(float((on[0] - on[-1]).norm()) / m.scale)
    assert found["geodesic"][0] == pytest.approx(found["geodesic"][1])
    assert found["length"][0] / found["geodesic"][0] == pytest.approx(1, abs=0.12)
    assert found["ratio"] == pytest.approx(float(np.median(found["length"] / found["geodesic"])))


def test_there_is_no_way_between_pieces():
    m = manifold("two-circles")
    ends = m.render(torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double())
    found = of_sets.path_errors(m, ends[None], Projector(m, table=3000))
    assert found["geodesic"].tolist() == [np.inf]
    assert np.isnan(found["ratio"])
    with pytest.raises(ValueError, match="steps > 1"):
        of_sets.path_errors(m, ends[None, :1])
