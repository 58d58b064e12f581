"""Geodesics on atlases that are exact, by formula: lengths, jumps, the shortest path."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from charts import RADIUS, Arcs, Semi, Single, Sphere, Spots, TwoCircles, as_images

from gtn_fast.atlas.curves import curve_length
from gtn_fast.atlas.geodesics import LatentGraph, NoPath
from gtn_fast.atlas.nodes import encoded
from gtn_fast.vision.tensors import to_bytes

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def on_sphere(n, seed=0):
    points = np.random.default_rng(seed).standard_normal((n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def sphere():
    return LatentGraph.build(Sphere(), as_images(on_sphere(2000)))


@pytest.fixture(scope="module")
def spots():
    atlas = Spots()
    t = torch.linspace(-math.pi, math.pi, 401)[:-1, None]
    images = to_bytes(atlas.decode(t, torch.zeros(400, dtype=torch.int64)))
    return LatentGraph.build(atlas, images, k=6)


@pytest.fixture(scope="module")
def bent():
    points = np.random.default_rng(1).uniform(-1, 1, (150, 2))
    lifted = np.column_stack([points, (points**2).sum(axis=1) / 2])
    return LatentGraph.build(Single(), as_images(lifted), k=7)


# ------------------------------------------------------------------ lengths


def test_length_of_an_arc_of_pictures():
    """A spot of deviation s moves by dq: the image moves by sqrt(pi / 2) dq, whatever s."""
    atlas = Spots()
    z0, z1 = np.array([[-0.4], [0.1]]), np.array([[0.9], [0.1]])
    found = curve_length(atlas, z0, z1, 0)
    assert found[0] == pytest.approx(RADIUS * math.sqrt(math.pi / 2) * 1.3, rel=0.01)
    assert found[1] == 0


def test_more_steps_come_nearer_from_below():
    found = [curve_length(Arcs(), [[0.0]], [[1.0]], 1, steps=n)[0] for n in (1, 4, 60)]
    assert found[0] == pytest.approx(math.sin(0.5))  # half the chord of R^2: images are in [0, 1]
    assert found == sorted(found)
    assert found[2] == pytest.approx(0.5, rel=1e-4)


def test_no_edge_is_shorter_than_the_distance_of_its_ends(sphere):
    gap = sphere.decoded[sphere.edges[:, 0]].astype(float) - sphere.decoded[sphere.edges[:, 1]]
    gap = np.linalg.norm(gap, axis=1)
    assert (sphere.weight >= gap * (1 - 1e-12)).all()
    assert (sphere.weight[sphere.jump] == gap[sphere.jump]).all()


# ------------------------------------------------------------------ the graph


def test_the_graph_joins_the_nearest_of_each_chart(sphere):
    graph = sphere
    y = graph.chart
    assert (np.diff(y) >= 0).all()
    assert (y[graph.edges[:, 0]] == y[graph.edges[:, 1]]).tolist() == (~graph.jump).tolist()
    node = int(np.flatnonzero(y == 1)[17])
    gap = np.linalg.norm(graph.z.astype(float) - graph.z[node], axis=1)
    gap[(y != 1) | (np.arange(len(y)) == node)] = np.inf
    mine = {int(x) for e in graph.edges[~graph.jump] if node in e for x in e} - {node}
    assert set(np.argsort(gap)[:20]) <= mine


def test_copies_of_an_image_are_joined(sphere):
    graph = sphere
    first, second = graph.edges[graph.jump].T
    assert (graph.row[first] == graph.row[second]).all()
    counts = np.bincount(graph.row, minlength=2000)
    assert set(counts) == {1, 2}
    assert graph.jump.sum() == (counts == 2).sum()
    psi = Sphere().psi(torch.from_numpy(as_images(on_sphere(2000))).float() / 127.5 - 1)
    assert len(graph.z) == int((psi > 0.05).sum())
    assert (graph.home.sum(), graph.chart[graph.home].tolist()) == (
        2000, psi.argmax(dim=1).numpy()[graph.row[graph.home]].tolist(),
    )  # fmt: skip


def test_no_edge_twice(sphere):
    assert (sphere.edges[:, 0] < sphere.edges[:, 1]).all()
    assert len(np.unique(sphere.edges, axis=0)) == len(sphere.edges)
    nodes = len(sphere.z)
    assert nodes * sphere.k / 2 <= (~sphere.jump).sum() <= nodes * sphere.k


def test_one_chart_is_the_graph_of_chen_and_others(bent):
    """Edges and weights anew, by a loop over pairs."""
    z = bent.z.astype(float)
    gap = np.linalg.norm(z[:, None] - z, axis=2)
    np.fill_diagonal(gap, np.inf)
    near = np.argsort(gap, axis=1)[:, :7]
    wanted = sorted({(min(i, int(j)), max(i, int(j))) for i in range(150) for j in near[i]})
    assert list(map(tuple, bent.edges.tolist())) == wanted
    assert not bent.jump.any()
    t = np.arange(16)[:, None] / 15
    for place in (0, 100, len(wanted) - 1):
        i, j = wanted[place]
        line = z[i] + t * (z[j] - z[i])
        seen = np.column_stack([line, (line**2).sum(axis=1) / 2]) / 2
        length = np.linalg.norm(np.diff(seen, axis=0), axis=1).sum()
        assert bent.weight[place] == pytest.approx(length, rel=1e-5)


def test_same_seed_same_graph():
    images = as_images(on_sphere(600))
    one, two, other = (
        LatentGraph.build(Sphere(), images, max_points=200, seed=seed) for seed in (3, 3, 4)
    )
    for name in ("z", "chart", "row", "edges", "weight", "jump"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert one.row.tolist() != other.row.tolist()
    assert len(np.unique(one.row)) == 200


def test_more_neighbours_than_a_chart_has(rng):
    graph = LatentGraph.build(Arcs(), as_images(rng.uniform(-0.7, 0.7, (9, 2))), k=50)
    for y in range(4):
        there = np.flatnonzero(graph.chart == y)
        inside = (graph.chart[graph.edges[:, 0]] == y) & ~graph.jump
        assert inside.sum() == len(there) * (len(there) - 1) / 2


def test_doubles_are_neighbours_of_each_other():
    images = np.repeat(as_images([[1.0, 0.0], [0.0, 1.0]]), 3, axis=0)
    graph = LatentGraph.build(Arcs(), images, k=1)
    assert (graph.edges[:, 0] != graph.edges[:, 1]).all()
    assert (graph.weight[~graph.jump] == 0).all()


def test_statistics(bent, sphere):
    networkx = pytest.importorskip("networkx")
    found = bent.stats()
    graph = networkx.Graph(bent.edges.tolist())
    assert found == {
        "nodes": 150, "edges": len(bent.edges), "jumps": 0, "components": 1,
        "diameter": networkx.diameter(graph), "share_in_largest": 1.0,
    }  # fmt: skip
    found = sphere.stats()
    assert found["jumps"] == sphere.jump.sum()
    assert found["components"] == 1


# ------------------------------------------------------------------ the shortest path


def test_over_the_seam_of_the_circle(spots):
    """Half way round, through both charts: a jump of no length, the arc's own length."""
    for z in (0.9, 1.1, 1.5):
        path = spots.path((np.array([z]), 0), (np.array([-z]), 1))
        assert path.length == pytest.approx(RADIUS * math.sqrt(math.pi / 2) * (math.pi - 2 * z),
                                            rel=0.01)  # fmt: skip
        assert path.jumps.sum() % 2 == 1  # some to and fro costs nothing
        assert path.segment_lengths[path.jumps] == pytest.approx(0, abs=1e-5)
        assert path.length == pytest.approx(path.segment_lengths.sum())


def test_great_circles(sphere):
    ends = on_sphere(200, seed=9)
    ratio = []
    for a, b in ends.reshape(100, 2, 3):
        points = [torch.tensor(e, dtype=torch.float32)[None] for e in (a, b)]
        charts = [int(p[0, 2] < 0) for p in points]
        z = [Sphere().locate(p, torch.tensor([y]))[0] for p, y in zip(points, charts, strict=True)]
        path = sphere.path(*((each.numpy(), y) for each, y in zip(z, charts, strict=True)))
        ratio.append(2 * path.length / math.acos(np.clip(a @ b, -1, 1)))
    assert min(ratio) > 1 - 1e-3
    assert max(ratio) < 1.10
    assert np.mean(ratio) < 1.05


def test_a_star_finds_what_dijkstra_finds(sphere):
    rows = np.random.default_rng(2).choice(2000, (50, 2), replace=False)
    for a, b in rows:
        path = sphere.between_rows(int(a), int(b))
        nodes = sphere.node_of(int(a)), sphere.node_of(int(b))
        assert path.length == pytest.approx(sphere.distances(nodes[0])[0, nodes[1]], abs=1e-9)
        assert np.array_equal(path.z[[0, -1]], sphere.z[list(nodes)])


def test_a_path_measures_few_edges():
    """And is the same as where all are measured before."""
    images = as_images(on_sphere(600))
    graph, measured = (LatentGraph.build(Sphere(), images) for _ in range(2))
    assert measured.measure(progress=False) is measured
    for a, b in ((3, 40), (7, 599), (100, 203)):
        found, wanted = graph.between_rows(a, b), measured.between_rows(a, b)
        assert found.length == wanted.length
        assert np.array_equal(found.z, wanted.z)
        known = graph._lines.known & ~graph.jump
        assert len(found.z) - 1 - found.jumps.sum() <= known.sum() < 100
        end = (np.array([0.1, 0.2]), 0)
        found, wanted = (each.path((np.array([0.3, -0.7]), 1), end) for each in (graph, measured))
        assert found.length == wanted.length
    assert measured._lines.known.all()
    assert np.array_equal(graph.weight, measured.weight)
    calls = []
    LatentGraph.build(Sphere(), images).measure(lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(graph.edges) - graph.jump.sum(),) * 2


def test_jumps_of_no_length_are_ways():
    """An explicit zero of a sparse matrix is an edge."""
    points = np.column_stack([np.cos(t := np.arange(60) * 0.1), np.sin(t)])
    graph = LatentGraph.build(Arcs(), as_images(points))
    assert (graph.weight[graph.jump] < 1e-6).all()
    assert graph.stats()["components"] == 1
    assert np.isfinite(graph.distances([0])).all()


def test_ends_leave_the_graph_again(sphere):
    before = sphere.stats()
    image = as_images([[0.0, 0.0, 1.0]])
    path = sphere.path(image[0], image)
    assert path.length == 0
    assert sphere.stats() == before
    assert len(sphere._graph) == before["nodes"]
    far = sphere.path(image[0], as_images([[0.0, 0.0, -1.0]])[0])
    assert 2 * far.length == pytest.approx(math.pi, rel=0.1)
    assert far.chart[[0, -1]].tolist() == [0, 1]


def test_close_ends_need_no_node(sphere):
    z = np.array([0.01, 0.0], np.float32)
    path = sphere.path((z, 0), (-z, 0))
    assert len(path.z) == 2
    assert path.length == pytest.approx(0.02, rel=1e-3)


def test_no_path_between_two_circles():
    atlas = TwoCircles()
    t = np.linspace(0, 2 * math.pi, 80, endpoint=False)
    points = [np.column_stack([np.cos(t), np.sin(t), np.full(80, h)]) for h in (-0.8, 0.8)]
    graph = LatentGraph.build(atlas, as_images(np.concatenate(points)), k=4)
    assert graph.stats()["components"] == 2
    assert np.isinf(graph.distances([0])).any()
    nodes = [int((graph.component == c).sum()) for c in (0, 1)]
    charts = ("0, 1", "2, 3")
    told = [f"{name} lies in a piece of {count} nodes, in charts {of}"
            for name, count, of in zip(("start", "end"), nodes, charts, strict=True)]  # fmt: skip
    with pytest.raises(NoPath, match=", the ".join(told)):
        graph.between_rows(0, 100)
    with pytest.raises(NoPath):
        graph.path((np.zeros(1), 0), (np.zeros(1), 2))
    assert issubclass(NoPath, ValueError)
    assert graph.between_rows(90, 100).length > 0


# ------------------------------------------------------------------ equal steps


def test_steps_are_equal(sphere):
    atlas = Sphere()
    for a, b in ((3, 40), (7, 1999), (100, 1203)):
        path = sphere.between_rows(a, b)
        found = path.resample(atlas, 12)
        seen = atlas.embed(torch.from_numpy(found.z), torch.from_numpy(found.chart)).numpy() / 2
        gaps = np.linalg.norm(np.diff(seen, axis=0), axis=1)
        # Chords of a broken line are shorter where it has corners.
        assert gaps.max() < path.length / 11 * 1.001
        assert gaps.min() > path.length / 11 * 0.85
        assert np.allclose(found.z[[0, -1]], path.z[[0, -1]])
        assert found.caption[0] == str(path.chart[0])
        assert found.images.shape == (12, 3, 1, 1)


def test_steps_on_one_line_are_equal():
    atlas = Single()
    graph = LatentGraph.build(atlas, as_images([[0.0, 0.0, 0.0], [0.9, 0.9, 0.81]]), k=1)
    found = graph.between_rows(0, 1).resample(atlas, 7)
    line = found.z[:, 0].astype(float)
    seen = np.column_stack([line, line, line**2])
    gaps = np.linalg.norm(np.diff(seen, axis=0), axis=1)
    assert gaps.max() / gaps.min() < 1.02
    assert np.diff(line).max() / np.diff(line).min() > 1.2  # equal in z they are not


class Torn(Arcs):
    """Arcs whose charts do not agree: every odd one draws its points farther out."""

    def embed(self, z, y):
        return super().embed(z, y) * (1 - 0.4 * (y % 2 == 0))[:, None]


def test_within_a_jump_the_nearer_end_is_shown():
    atlas = Torn()
    t = np.linspace(-0.2, 1.8, 60)
    graph = LatentGraph.build(atlas, as_images(0.8 * np.column_stack([np.cos(t), np.sin(t)])), k=3)
    path = graph.path((np.array([0.1]), 0), (np.array([-0.1]), 1))
    assert path.segment_lengths[path.jumps] == pytest.approx([0.2], abs=1e-5)
    found = path.resample(atlas, 200)
    inside = np.array(["/" in each for each in found.caption])
    assert set(np.array(found.caption)[inside]) == {"0/1"}
    # A share of the points by the share of the way.
    assert inside.mean() == pytest.approx(0.2 / path.length, abs=0.01)
    assert set(np.round(np.diff(np.flatnonzero(inside)))) == {1}
    chart = found.chart[inside]
    assert chart[0] == 0
    assert chart[-1] == 1
    assert chart.mean() == pytest.approx(0.5, abs=0.02)
    assert found.caption[0] == "0"
    assert found.caption[-1] == "1"


# ------------------------------------------------------------------ from the prior


def test_from_the_prior():
    """A graph of draws knows the same circle."""
    atlas = Arcs()
    graph = LatentGraph.build(atlas, nodes="prior", max_points=300, seed=1)
    assert np.array_equal(np.sort(graph.row[graph.home]), np.arange(300))
    assert len(graph.z) > 320
    assert graph.stats()["components"] == 1
    path = graph.path((np.zeros(1), 0), (np.zeros(1), 1))
    assert 2 * path.length == pytest.approx(math.pi / 2, rel=0.01)
    first, second = graph.edges[graph.jump].T
    assert (graph.row[first] == graph.row[second]).all()


def test_without_encoders_charts_meet_where_their_images_do():
    atlas = Semi()
    graph = LatentGraph.build(atlas, nodes="prior", max_points=400)
    assert len(graph.z) == 400
    assert graph.stats()["components"] == 1
    assert graph.jump.sum() > 0
    ends = graph.decoded[graph.edges]
    gap = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    assert graph.weight[graph.jump].max() <= np.quantile(gap[~graph.jump], 0.95) + 1e-6
    path = graph.path((np.zeros(1), 0), (np.zeros(1), 2))
    assert 2 * path.length == pytest.approx(math.pi, rel=0.02)
    with pytest.raises(TypeError, match=r"no encoders .* nodes='prior'"):
        LatentGraph.build(atlas, as_images([[1.0, 0.0]]))


# ------------------------------------------------------------------ wrong input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be from 1"),
        ({"k": 1.5}, TypeError, "k must be an integer"),
        ({"eps": 0.25}, ValueError, "eps must be at least 0 and below 1 / 4"),
        ({"eps": -0.1}, ValueError, "eps"),
        ({"eps": math.nan}, ValueError, "eps"),
        ({"eps": "0.1"}, TypeError, "eps must be a number, got str"),
        ({"steps": 0}, ValueError, "steps"),
        ({"max_points": 1}, ValueError, "max_points"),
        ({"seed": -1}, ValueError, "seed"),
        ({"nodes": "rows"}, ValueError, "nodes must be data or prior, got 'rows'"),
    ],
)
def test_what_makes_no_graph(options, error, message):
    with pytest.raises(error, match=message):
        LatentGraph.build(Arcs(), as_images([[1.0, 0.0], [0.0, 1.0]]), **options)


def test_images_of_another_kind():
    for wrong, error, message in (
        (None, TypeError, "uint8"),
        (np.zeros((3, 2, 1, 1)), TypeError, "uint8"),
        (np.zeros((3, 2, 4, 4), np.uint8), ValueError, r"\(2, 1, 1\), got \(2, 4, 4\)"),
        (np.zeros((3, 2, 1, 2), np.uint8), ValueError, "square"),
        (np.zeros((0, 2, 1, 1), np.uint8), ValueError, "n > 0"),
    ):
        with pytest.raises(error, match=message):
            LatentGraph.build(Arcs(), wrong)


def test_ends_of_another_kind(sphere):
    good = (np.zeros(2), 0)
    for wrong, error, message in (
        ((np.zeros(3), 0), ValueError, "start: z must be 2 finite numbers"),
        ((np.array([np.nan, 0]), 0), ValueError, "finite"),
        ((np.zeros(2), 2), ValueError, "charts are 0 to 1, got 2"),
        ((np.zeros(2), 0.5), TypeError, "integers"),
        (np.zeros((3, 5, 5), np.uint8), ValueError, r"\(3, 1, 1\), got \(3, 5, 5\)"),
        (np.zeros((2, 3, 1, 1), np.uint8), ValueError, "one image, got 2"),
    ):
        with pytest.raises(error, match=message):
            sphere.path(wrong, good)
    with pytest.raises(ValueError, match="row 5000 is not among the 2,000 rows"):
        sphere.between_rows(0, 5000)
    with pytest.raises(ValueError, match="a source must be from 0"):
        sphere.distances([10**6])
    with pytest.raises(TypeError, match="sources"):
        sphere.distances([0.5])
    with pytest.raises(ValueError, match=r"z0 must have shape \(n, 2\), got \(2,\)"):
        curve_length(Sphere(), np.zeros(2), np.zeros(2), 0)
    with pytest.raises(ValueError, match="as many rows"):
        curve_length(Sphere(), np.zeros((1, 2)), np.zeros((2, 2)), 0)


class Broken(Arcs):
    """Gives NaN from one of its three maps."""

    def __init__(self, where):
        super().__init__()
        self.where = where

    def weight(self, p):
        return super().weight(p) * (math.nan if self.where == "psi" else 1)

    def locate(self, p, y):
        return super().locate(p, y) * (math.nan if self.where == "encode" else 1)

    def embed(self, z, y):
        return super().embed(z, y) * torch.where(y == 1, math.nan, 1.0)[:, None]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("psi", "psi must give 4 finite weights"),
        ("encode", "the encoder gives NaN"),
        ("decode", "the decoder of chart 1 gives NaN"),
    ],
)
def test_a_model_that_gives_nan(where, message):
    with pytest.raises(ValueError, match=message):
        LatentGraph.build(Broken(where), as_images([[1.0, 0.0], [0.0, 1.0]]))


def test_modules_are_asked_in_eval_mode():
    """And left as they were: batch norm would make a node depend on its batch."""

    class Normed(Arcs):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(1)

        def locate(self, p, y):
            return self.norm(super().locate(p, y))

    atlas = Normed().train()
    images = torch.from_numpy(as_images([[1.0, 0.0], [0.0, 1.0]]))
    nodes = encoded(atlas, images, np.arange(2), 0.05)
    assert nodes.z.max() == pytest.approx(0, abs=0.01)
    assert atlas.training
    assert int(atlas.norm.num_batches_tracked) == 0
