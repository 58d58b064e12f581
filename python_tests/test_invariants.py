"""What an atlas knows of its data: on exact atlases whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from charts import (
    Arcs,
    Caps,
    ProjectivePlane,
    Semi,
    Sphere,
    Twisted,
    TwoCircles,
    as_images,
)

from gtn_fast.atlas import invariants
from gtn_fast.atlas.curves import jacobian
from gtn_fast.atlas.invariants import chart_use, members_of, nerve, nerve_betti, orientation

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def images_of(atlas, n, seed=0):
    """Points all over the atlas: drawn in the charts, each where its psi is large enough."""
    rng = torch.Generator().manual_seed(seed)
    z = (torch.rand(4 * n, atlas.d, generator=rng) * 2 - 1) * 1.6
    y = torch.randint(atlas.charts, (4 * n,), generator=rng)
    x = atlas.decode(z, y)
    own = atlas.psi(x)[torch.arange(len(x)), y]
    return as_images(atlas.points(x[own > 0.15][:n]))


# ------------------------------------------------------------------ nerve


def test_betti_numbers_of_small_complexes():
    square = [(0, 1), (1, 2), (2, 3), (0, 3)]
    assert nerve_betti(square) == (1, 1, 0)
    assert nerve_betti([*square, (0, 1, 2), (0, 2, 3)]) == (1, 0, 0)
    assert nerve_betti([*square, (5, 6), (7,)]) == (3, 1, 0)
    tetrahedron = [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)]
    assert nerve_betti(tetrahedron) == (1, 0, 1)
    assert nerve_betti([(0, 1, 2, 3)]) == (1, 0, 0)
    assert nerve_betti([]) == (0, 0, 0)


def test_betti_numbers_depend_on_the_field():
    """The projective plane with six corners: the icosahedron, opposite corners being one."""
    faces = [
        (0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5), (0, 1, 5),
        (1, 2, 4), (2, 3, 5), (1, 3, 4), (2, 4, 5), (1, 3, 5),
    ]  # fmt: skip
    assert nerve_betti(faces, 2) == (1, 1, 1)
    assert nerve_betti(faces, 3) == (1, 0, 0)


@pytest.mark.parametrize(
    ("atlas", "betti"),
    [
        (Arcs(4), (1, 1, 0)),
        (Caps(), (1, 0, 1)),
        (Twisted(twist=True, tube=False), (1, 1, 0)),
        (Twisted(twist=False, tube=True), (1, 2, 1)),
    ],
)
def test_nerve_of_an_atlas(atlas, betti):
    members = members_of(atlas, images_of(atlas, 3000), eps=0.05)
    assert nerve_betti(nerve(members)) == betti


def test_nerve_of_a_klein_bottle_depends_on_the_field():
    atlas = Twisted(twist=True, tube=True)
    found = nerve(members_of(atlas, images_of(atlas, 4000), eps=0.05))
    assert nerve_betti(found, 2) == (1, 2, 1)
    assert nerve_betti(found, 3) == (1, 1, 0)


def test_nerve_counts_rows():
    members = np.zeros((20, 3), bool)
    members[:8, 0] = members[5:14, 1] = members[:3, 2] = True
    assert nerve(members, min_count=3) == [(0,), (1,), (2,), (0, 1), (0, 2)]
    assert nerve(members, min_count=5) == [(0,), (1,)]
    assert nerve(np.ones((5, 6), bool))[-1] == (2, 3, 4, 5)
    assert nerve(np.zeros((5, 2), bool)) == []


def test_what_makes_no_nerve(monkeypatch):
    with pytest.raises(TypeError, match="members must be bool"):
        nerve(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="up to 64 charts, got 65"):
        nerve(np.zeros((3, 65), bool))
    with pytest.raises(ValueError, match="min_count"):
        nerve(np.zeros((3, 2), bool), min_count=0)
    for field in (0, 1, 4, 9):
        with pytest.raises(ValueError, match="field must be"):
            nerve_betti([(0,)], field)
    monkeypatch.setitem(__import__("sys").modules, "gudhi", None)
    with pytest.raises(ImportError, match=r"gudhi.*pip install 'gtn-fast\[topology\]'"):
        nerve_betti([(0,)])


# ------------------------------------------------------------------ orientation


@pytest.mark.parametrize(
    ("atlas", "orientable"),
    [
        (Arcs(3), True),
        (TwoCircles(), True),
        (Sphere(), True),  # one overlap, all around
        (Caps(), True),
        (Twisted(twist=False, tube=False), True),
        (Twisted(twist=False, tube=False, m=2), True),  # one overlap, of two pieces
        (Twisted(twist=True, tube=False), False),
        (Twisted(twist=True, tube=False, m=2), False),  # which differ here
        (Twisted(twist=False, tube=True), True),
        (Twisted(twist=True, tube=True), False),
        (ProjectivePlane(), False),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "psi") else str(value),
)
def test_orientation(atlas, orientable):
    found = orientation(atlas, images_of(atlas, 2000))
    assert found.orientable is orientable
    assert found.purity > 0.98
    assert found.overlaps >= (1 if isinstance(atlas, Sphere) else 2)


class Mirrored(Caps):
    """Some charts are seen in a mirror: that alone says nothing about the sphere."""

    mirror = torch.tensor([1.0, -1, 1, -1, -1, 1])

    def embed(self, z, y):
        return super().embed(torch.stack([z[:, 0] * self.mirror[y], z[:, 1]], dim=1), y)

    def locate(self, p, y):
        z = super().locate(p, y)
        return torch.stack([z[:, 0] * self.mirror[y], z[:, 1]], dim=1)


def test_mirrored_charts_are_turned_back():
    atlas = Mirrored()
    assert orientation(atlas, images_of(atlas, 2000)).orientable is True


class Crumpled(Sphere):
    """Charts whose transitions go to and fro: nothing can be said."""

    def locate(self, p, y):
        z = super().locate(p, y)
        return z + 0.2 * torch.sin(40 * z[:, :1]) * torch.tensor([1.0, 0.0])


class Guessing(Twisted):
    """Where psi is small, charts of a tube are seen the wrong way round."""

    def __init__(self):
        super().__init__(twist=False, tube=True)

    def encode(self, x, y):
        z = super().encode(x, y)
        sure = self.psi(x)[torch.arange(len(x)), y] > 0.15
        return torch.where(sure[:, None], z, z * torch.tensor([-1.0, 1.0]))


def test_what_is_guessed_does_not_count():
    atlas = Guessing()
    images = images_of(atlas, 3000)
    assert orientation(atlas, images).orientable is True
    assert orientation(atlas, images, eps=0.05).orientable is not True


def test_images_that_disagree_give_no_answer():
    atlas = Crumpled()
    found = orientation(atlas, images_of(atlas, 1500))
    assert found.orientable is None
    assert 0.5 <= found.purity < 0.9


def test_the_jacobian_is_that_of_the_transition():
    atlas = Sphere()
    z = torch.tensor([[0.9, 0.3], [-0.5, 0.8]], dtype=torch.float64)
    first, second = torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64)
    found = jacobian(lambda z: atlas.encode(atlas.decode(z, first), second), z)
    # Inversion in the unit circle: z / |z|^2.
    square = (z**2).sum(dim=1)[:, None, None]
    wanted = torch.eye(2) / square - 2 * z[:, :, None] * z[:, None, :] / square**2
    assert torch.allclose(found, wanted.double(), atol=1e-6)


def test_contradictions_are_found_whatever_the_order():
    pairs = [("a", "b", False), ("c", "d", True), ("b", "c", True), ("e", "a", True)]
    for last, turned, fits in (("d", False, True), ("d", True, False)):
        sides = invariants._Sides()
        assert all(sides.join(a, b, turned=way) for a, b, way in pairs)
        assert sides.join("a", last, turned=turned) is fits


def test_what_has_no_orientation():
    with pytest.raises(TypeError, match="no encoders"):
        orientation(Semi(), as_images([[1.0, 0.0]]))
    for eps, said in ((0.5, "below 1/2"), (-0.1, "0 or more"), (float("nan"), "finite number")):
        with pytest.raises(ValueError, match=f"eps must be.*{said}"):
            orientation(Arcs(), as_images([[1.0, 0.0], [0.0, 1.0]]), eps=eps)
    with pytest.raises(TypeError, match="eps must be a number, got str"):
        orientation(Arcs(), as_images([[1.0, 0.0], [0.0, 1.0]]), eps="0.2")
    with pytest.raises(ValueError, match="one image has no neighbours"):
        orientation(Arcs(), as_images([[1.0, 0.0]]))


# ------------------------------------------------------------------ use


def test_chart_use():
    atlas = Arcs(4)
    t = np.arange(0, 2 * np.pi, 2 * np.pi / 1000)
    found = chart_use(atlas, as_images(np.column_stack([np.cos(t), np.sin(t)])))
    assert found.use == pytest.approx([0.25] * 4, abs=0.01)
    assert found.confidence.shape == (1000,)
    assert found.confidence.min() == pytest.approx(0.5, abs=0.02)
    assert found.confidence.max() == 1
    psi = atlas.psi(torch.tensor(np.column_stack([np.cos(t), np.sin(t)]))[:, :, None, None])
    assert found.overlap == pytest.approx(
        float(((psi > 0.05).sum(1) > 1).double().mean()), abs=0.01
    )
    assert chart_use(atlas, as_images([[1.0, 0.0]])).use.tolist() == [1, 0, 0, 0]
