"""Sets of known shape: injective, immersed, uniform; the projection is exact."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch

from gtn_fast.manifolds import MANIFOLDS, Projector, manifold


@pytest.fixture(params=list(MANIFOLDS))
def m(request):
    return manifold(request.param)


def torch_parameters(m, n, seed):
    return torch.from_numpy(m.parameters(n, seed))


# ------------------------------------------------------------------ parameters and pictures


def test_a_row_depends_on_seed_and_number_alone(m):
    many, few = m.parameters(50, 3), m.parameters(20, 3)
    assert many.dtype == np.float64
    assert many.shape == (50, m.columns)
    assert (many[:20] == few).all()
    assert (many != m.parameters(50, 4)).any()
    images, c = m.images(20, 3)
    assert (c == few).all()
    assert (images == m.images(50, 3)[0][:20]).all()


def test_images_are_the_pictures_rounded(m):
    images, c = m.images(20, 5)
    assert images.dtype == np.uint8
    assert images.shape == (20, m.channels, m.side, m.side)
    pictures = m.render(torch.from_numpy(c))
    assert pictures.dtype == torch.float64
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert (pictures * 255 - torch.from_numpy(images)).abs().max() <= 0.5
    assert m.render(torch.from_numpy(c).float()).dtype == torch.float32


def test_scale_is_the_root_mean_square_distance(m):
    first, second = (m.render(torch_parameters(m, 4000, seed)).flatten(1) for seed in (1, 2))
    found = (first - second).square().sum(1).mean().sqrt()
    assert float(found) == pytest.approx(m.scale, rel=0.02)


@pytest.mark.parametrize(
    "name", ["circle", "two-circles", "figure-eight", "torus", "moebius", "klein"]
)
def test_angles_are_uniform(name):
    m = manifold(name)
    angles = 2 if name in ("torus", "klein") else 1
    for column in m.parameters(4000, 9).T[:angles]:
        assert 0 <= column.min() < column.max() < 2 * np.pi
        assert scipy.stats.kstest(column, "uniform", (0, 2 * np.pi)).pvalue > 0.01


def test_other_parameters_are_uniform():
    disc = manifold("disc").parameters(4000, 1)
    radius = np.linalg.norm(disc, axis=1)
    assert scipy.stats.kstest(radius**2, "uniform").pvalue > 0.01  # the area within
    offset = manifold("moebius").parameters(4000, 1)[:, 1]
    assert scipy.stats.kstest(offset, "uniform", (-1, 2)).pvalue > 0.01
    piece = manifold("two-circles").parameters(4000, 1)[:, 1]
    assert set(piece) == {0.0, 1.0}
    assert scipy.stats.binomtest(int(piece.sum()), 4000).pvalue > 0.01


@pytest.mark.parametrize("name", ["sphere", "rp2", "so3"])
def test_directions_are_uniform(name):
    c = manifold(name).parameters(4000, 2)
    assert np.linalg.norm(c, axis=1) == pytest.approx(1)
    for column in c.T:
        # Of a direction of R^4 a coordinate has the density 2 / pi sqrt(1 - x^2).
        law = scipy.stats.semicircular() if name == "so3" else scipy.stats.uniform(-1, 2)
        assert scipy.stats.kstest(column, law.cdf).pvalue > 0.01


# ------------------------------------------------------------------ one picture, one point


def wrapped(angle):
    return np.abs((angle + np.pi) % (2 * np.pi) - np.pi)


def apart(name, a, b):
    """The distance of two points of a set by their parameters, whatever names they have."""
    if name == "disc":
        return np.linalg.norm(a - b, axis=-1)
    if name == "sphere":
        return np.linalg.norm(a - b, axis=-1)
    if name in ("rp2", "so3"):
        return np.minimum(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
    turn, back = wrapped(a - b)[..., 0], wrapped(a - b + np.pi)[..., 0]
    if name in ("circle", "figure-eight"):
        return turn
    if name == "two-circles":
        return np.where(a[..., 1] == b[..., 1], turn, np.inf)
    if name == "torus":
        return np.linalg.norm(wrapped(a - b), axis=-1)
    gap, other = a[..., 1] - b[..., 1], a[..., 1] + b[..., 1]
    if name == "klein":
        gap, other = wrapped(gap), wrapped(other)
    return np.minimum(np.hypot(turn, gap), np.hypot(back, other))


# The least distance, in scale, of pictures whose parameters are more than 0.1 apart: as the
# formulas are. Where the figure eight crosses itself it is 0.
LEAST = {
    "disc": 0.07, "circle": 0.07, "two-circles": 0.07, "figure-eight": 0.0, "sphere": 0.04,
    "torus": 0.06, "moebius": 0.04, "klein": 0.05, "rp2": 0.04, "so3": 0.1,
}  # fmt: skip


def test_pictures_of_other_points_differ(m):
    near = torch_parameters(m, 10_000, 11)
    # Half of the partners are chosen close by: random pairs of a set are hardly ever near.
    far = torch_parameters(m, 10_000, 12)
    step = torch.randn(5000, m.columns, generator=torch.Generator().manual_seed(0)).double() * 0.1
    moved = near[:5000] + step
    if m.name == "two-circles":
        moved[:, 1] = near[:5000, 1]
    far[:5000] = m.retract(moved)
    between = apart(m.name, near.numpy(), far.numpy())
    gaps = [
        (m.render(a) - m.render(b)).flatten(1).norm(dim=1)
        for a, b in zip(near.split(1000), far.split(1000), strict=True)
    ]
    distance = torch.cat(gaps).numpy() / m.scale
    assert (between > 0.1).sum() > 5000
    assert distance[between > 0.1].min() > LEAST[m.name]


def same_points(name, c):
    """Other parameters of the same points."""
    if name in ("rp2", "so3"):
        return [-c]
    if name == "sphere":
        return [3 * c]
    if name in ("moebius", "klein"):
        other = torch.stack((c[:, 0] + math.pi, -c[:, 1]), 1)
        turn = [2 * math.pi, 0.0 if name == "moebius" else 2 * math.pi]
        turned = c + torch.tensor(turn, dtype=c.dtype)
        return [other, turned]
    if name == "disc":
        return []
    return [torch.cat((c[:, :1] + 2 * math.pi, c[:, 1:]), 1)]


def test_one_point_has_one_picture(m):
    c = torch_parameters(m, 300, 13)
    for other in same_points(m.name, c):
        assert (m.render(c) - m.render(other)).abs().max() < 1e-12


def test_the_figure_eight_crosses_itself():
    m = manifold("figure-eight")
    first, second = m.render(torch.tensor([[math.pi / 2], [3 * math.pi / 2]], dtype=torch.float64))
    assert (first - second).abs().max() < 1e-12


# The least stretch, in scale for a unit of the parameters: the sets are immersed everywhere.
STRETCH = {
    "disc": 2.030, "circle": 1.964, "two-circles": 1.750, "figure-eight": 1.915, "sphere": 0.4993,
    "torus": 0.8684, "moebius": 1.570, "klein": 0.7062, "rp2": 0.5489, "so3": 2.412,
}  # fmt: skip


def slopes_of(m, c):
    """The derivatives of the pictures by the moving columns: (n, pixels, moving)."""
    columns = []
    for column in m.moving:
        direction = torch.zeros_like(c)
        direction[:, column] = 1
        columns.append(torch.func.jvp(m.render, (c,), (direction,))[1].flatten(1))
    return torch.stack(columns, 2)


def test_the_sets_are_immersed(m):
    least = np.inf
    for c in torch_parameters(m, 2000, 14).split(500):
        slopes = slopes_of(m, c)
        values = torch.linalg.eigvalsh(slopes.mT @ slopes).clamp(min=0).sqrt() / m.scale
        least = min(least, float(values[:, -m.dim].min()))  # a direction's length changes nothing
    assert least == pytest.approx(STRETCH[m.name], rel=0.02)


# ------------------------------------------------------------------ the nearest picture


@pytest.fixture(scope="module")
def projectors():
    made = {}

    def get(m):
        if m.name not in made:
            made[m.name] = Projector(m, table=3000 if m.dim > 2 else 2000)
        return made[m.name]

    return get


def test_a_picture_is_its_own_projection(m, projectors):
    c = m.parameters(100, 21)
    found = projectors(m)(m.render(torch.from_numpy(c)))
    assert found.distance.dtype == found.off.dtype == found.parameters.dtype == np.float64
    assert found.images.dtype == np.float32
    assert found.distance.max() < 1e-9
    if m.name != "figure-eight":  # where it crosses itself a picture has two parameters
        assert apart(m.name, found.parameters, c).max() < 1e-7
    bytes_ = projectors(m)(m.images(100, 21)[0])
    floor = math.sqrt(m.pixels / 12) / 255  # of rounding to bytes
    assert bytes_.distance.max() < 1.05 * floor
    assert (bytes_.off == bytes_.distance / m.scale).all()


def test_what_lies_beside_the_set_comes_back_along_the_normal(m, projectors):
    """x = f(c) + v with v normal to the set at f(c): the distance is |v|, where the set is near."""
    c = torch_parameters(m, 60, 22)
    if m.name in ("disc", "moebius"):
        c[:, 1] *= 0.9  # inside: at the edge v need not be normal
        c[:, 0] *= 0.9 if m.name == "disc" else 1
    basis = torch.linalg.svd(slopes_of(m, c), full_matrices=False).U[:, :, : m.dim]
    v = torch.randn(len(c), m.pixels, generator=torch.Generator().manual_seed(1)).double()
    v -= (basis @ (basis.mT @ v[:, :, None]))[:, :, 0]
    v *= 0.2 * m.scale / v.norm(dim=1, keepdim=True)
    x = m.render(c) + v.view(len(c), m.channels, m.side, m.side)
    found = projectors(m)(x)
    assert np.abs(found.off - 0.2).max() < 1e-4


@pytest.mark.parametrize("name", ["disc", "moebius"])
def test_the_edge_of_a_set_is_respected(name, projectors):
    m = manifold(name)
    turn = torch.linspace(0, 6, 30).double()
    if name == "disc":  # a blob beyond the rim belongs to the rim
        outside = torch.stack((1.3 * turn.cos(), 1.3 * turn.sin()), 1)
        rim = outside / 1.3
    else:
        outside = torch.stack((turn, torch.full_like(turn, 1.2)), 1)
        rim = torch.stack((turn, torch.ones_like(turn)), 1)
    found = projectors(m)(m.render(outside))
    nearest = (m.render(outside) - m.render(rim)).flatten(1).norm(dim=1).numpy()
    assert (found.distance <= nearest * (1 + 1e-6)).all()
    kept = m.retract(torch.from_numpy(found.parameters)).numpy()
    assert np.abs(kept - found.parameters).max() < 1e-12
    if name == "disc":  # by symmetry nothing but the rim's point is nearest
        assert np.abs(found.parameters - rim.numpy()).max() < 1e-3


def test_an_answer_is_no_worse_than_a_brute_force_search(projectors):
    m = manifold("rp2")
    projector = projectors(m)
    x = torch.rand(40, 1, 32, 32, generator=torch.Generator().manual_seed(3)).double()
    table = m.render(torch_parameters(m, 2000, 0)).flatten(1)
    brute = torch.cdist(x.flatten(1), table).min(1).values.numpy()
    assert (projector(x).distance <= brute + 1e-9).mean() == 1


def test_projection_does_not_depend_on_the_batch(projectors):
    m = manifold("sphere")
    images = m.images(300, 5)[0]
    whole, part = projectors(m)(images), projectors(m)(images[280:])
    assert part.distance == pytest.approx(whole.distance[280:], rel=1e-6)
    read_only = images[::-1]
    assert projectors(m)(read_only).distance == pytest.approx(whole.distance[::-1], rel=1e-6)


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        (
            np.zeros((3, 1, 28, 28), np.uint8),
            ValueError,
            r"shape \(n, 1, 32, 32\).* \(3, 1, 28, 28",
        ),
        (np.zeros((3, 1024), np.float32), ValueError, "got .3, 1024"),
        (np.zeros((0, 1, 32, 32), np.uint8), ValueError, "n > 0"),
        (np.zeros((3, 1, 32, 32), np.int64), TypeError, "int64"),
        ([[1]], TypeError, "list"),
    ],
)
def test_what_is_no_image_of_the_set_is_refused(projectors, images, error, text):
    with pytest.raises(error, match=text):
        projectors(manifold("circle"))(images)


def test_nan_is_refused_by_its_row(projectors):
    images = np.zeros((3, 1, 32, 32), np.float32)
    images[1, 0, 2, 3] = np.nan
    with pytest.raises(ValueError, match="row 1"):
        projectors(manifold("circle"))(images)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="unknown manifold 'donut'; valid: disc, circle"):
        manifold("donut")
    with pytest.raises(ValueError, match="cyclooctane has no images"):
        manifold("cyclooctane")
    m = manifold("torus")
    with pytest.raises(ValueError, match="n must be from 1"):
        m.images(0, 0)
    with pytest.raises(TypeError, match="seed"):
        m.parameters(3, "0")
    with pytest.raises(ValueError, match=r"\(n, 2\), got \(3, 1\)"):
        m.render(torch.zeros(3, 1))
    with pytest.raises(TypeError, match="int64"):
        m.render(torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(TypeError, match="str"):
        Projector("torus")
    with pytest.raises(ValueError, match="table"):
        Projector(m, table=3)


def test_importing_the_package_or_the_training_layer_imports_no_sets():
    script = (
        "import sys, gtn_fast, gtn_fast.learn; gtn_fast.learn.GTN;"
        "rooms = ('gtn_fast.manifolds', 'gtn_fast.metrics.manifold', 'gtn_fast.metrics.homology',"
        " 'gtn_fast.metrics.topology', 'gudhi');"
        "assert not [name for name in sys.modules if name.startswith(rooms)]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
