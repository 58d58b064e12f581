"""The oracle itself, against loops in plain Python and examples done by hand."""

from __future__ import annotations

import math

import cases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gtn_fast.reference import directions_and_norms, match, norm_order, ordered_dot, rank

DIMENSIONS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 64, 100]


def plain_dot(a, b):
    """direction.h in plain Python floats."""
    lane = [0.0] * 8
    for i in range(len(a)):
        lane[i % 8] += float(a[i]) * float(b[i])
    s = [lane[j] + lane[j + 4] for j in range(4)]
    t = [s[j] + s[j + 2] for j in range(2)]
    return t[0] + t[1]


def plain_direction(row):
    m = max(abs(float(v)) for v in row)
    if m == 0:
        return [0.0] * len(row), 0.0
    u = [float(v) / m for v in row]
    inner = math.sqrt(plain_dot(u, u))
    return [v / inner for v in u], m * inner


def plain_match(x, y):
    """Algorithm 1 as a loop over tuples."""
    xs = [plain_direction(row) for row in x]
    ys = [plain_direction(row) for row in y]
    order = sorted(range(len(ys)), key=lambda r: (ys[r][1], r))
    free = set(range(len(xs)))
    index = [0] * len(ys)
    for r in order:
        best = min(free, key=lambda k: (-plain_dot(xs[k][0], ys[r][0]), xs[k][1], k))
        free.remove(best)
        index[r] = best
    return index, order


@pytest.mark.parametrize("d", DIMENSIONS)
def test_ordered_dot_is_the_contract(rng, d):
    a, b = rng.standard_normal((20, d)), rng.standard_normal((20, d))
    assert ordered_dot(a, b).tolist() == [plain_dot(p, q) for p, q in zip(a, b, strict=True)]
    assert ordered_dot(a, b[0]).tolist() == [plain_dot(p, b[0]) for p in a]


def test_ordered_dot_order_matters_and_is_fixed():
    a = np.array([1e16, 0, 0, 0, 1.0, 0, 0, 0, -1e16])
    # lane 0: 1e16 - 1e16 = 0, then + lane 4 = 1; left to right would give 0.
    assert ordered_dot(a, np.ones(9)) == 1.0


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize("d", [1, 2, 5, 9])
def test_match_is_the_plain_loop(name, d):
    x, y = cases.make(name, 40, 30, d)
    x_index, cosine, order = match(x, y)
    assert (x_index.tolist(), order.tolist()) == plain_match(x, y)
    u = [plain_direction(row)[0] for row in y]
    v = [plain_direction(x[k])[0] for k in x_index]
    assert cosine.tolist() == [plain_dot(p, q) for p, q in zip(u, v, strict=True)]


@given(
    st.integers(1, 4).flatmap(
        lambda d: st.tuples(
            *(
                hnp.arrays(np.float64, (n, d), elements=st.sampled_from([-2.0, -1, 0, 1, 3]))
                for n in (7, 6)
            )
        )
    )
)
def test_match_with_ties_everywhere(xy):
    x, y = xy
    x_index, _, order = match(x, y)
    assert (x_index.tolist(), order.tolist()) == plain_match(x, y)


def test_exact_multiples_share_a_direction(rng):
    x = rng.integers(-1000, 1000, (50, 6)).astype(np.float64)
    direction, norm = directions_and_norms(x)
    for factor in (3.0, 7.0, 2.0**-1000, 2.0**900):
        scaled_direction, scaled_norm = directions_and_norms(x * factor)
        assert (scaled_direction == direction).all()
        np.testing.assert_allclose(scaled_norm, norm * factor, rtol=1e-15)


def test_zero_row_and_extremes():
    x = np.array([[0.0, -0.0], [5e-324, 0], [1.7e308, 1.7e308], [1e-30, 1e30]])
    direction, norm = directions_and_norms(x)
    assert direction[0].tolist() == [0, 0]
    assert norm.tolist()[:2] == [0.0, 5e-324]
    assert direction[1].tolist() == [1.0, 0.0]
    assert np.isfinite(direction).all()
    assert norm[2] == np.inf  # above the float64 range: last, by row


def test_norm_order_breaks_ties_by_row():
    assert norm_order(np.array([2.0, 1.0, 2.0, 1.0])).tolist() == [1, 3, 0, 2]


def test_appendix_b():
    """Four points a side on a line: side by side in order of distance (figure 10)."""
    x = np.array([[3.0, 0], [-1, 0], [1, 0], [-4, 0]])
    y = np.array([[-0.5, 0], [2.5, 0], [-2, 0], [0.1, 0]])
    x_index, cosine, order = match(x, y)
    assert order.tolist() == [3, 0, 2, 1]
    assert x_index.tolist() == [1, 0, 3, 2]
    assert cosine.tolist() == [1, 1, 1, 1]


def test_zero_y_takes_the_smallest_free_norm():
    x = np.array([[2.0, 0], [0, 1], [-3, 0]])
    y = np.zeros((3, 2))
    assert match(x, y)[0].tolist() == [1, 0, 2]


def test_rank_is_sorted_to_sorted(rng):
    x, y = rng.standard_normal((50, 1)), rng.standard_normal((50, 1))
    x_index, cosine, order = rank(x, y)
    assert (np.sort(x[:, 0]) == x[x_index[order], 0]).all()
    assert (np.diff(y[order, 0]) >= 0).all()
    assert (cosine == np.sign(x[x_index, 0] * y[:, 0])).all()


@pytest.mark.parametrize(("n_x", "n_y"), [(10, 1), (10, 3), (7, 7), (1000, 999), (5, 4)])
def test_rank_of_fewer_y_takes_the_same_quantile(n_x, n_y):
    x, y = np.arange(n_x, dtype=float)[:, None], np.arange(n_y, dtype=float)[:, None]
    x_index, _, _ = rank(x, y)
    assert x_index.tolist() == [math.floor((i + 0.5) * n_x / n_y) for i in range(n_y)]
    assert len(set(x_index.tolist())) == n_y


def test_rank_breaks_ties_by_row():
    x, y = np.array([[1.0], [0], [1], [0]]), np.array([[5.0], [5], [5], [4]])
    assert rank(x, y)[0].tolist() == [3, 0, 2, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", DIMENSIONS)
def test_native_arithmetic_is_the_reference(native, d, dtype):
    rows = np.arange(33)
    axes = np.broadcast_to(np.arange(d), (33, d)).copy()
    for name in ("gaussian", "integers", "magnitudes", "zero_rows", "mixed_columns"):
        a, b = (part.astype(dtype) for part in cases.make(name, 33, 33, d))
        u, norms = directions_and_norms(a)
        v, _ = directions_and_norms(b)
        # A direction's cosines with the axes are its coordinates.
        assert (native.evaluate_lists(np.eye(d), a, rows, axes, 1) == u).all()
        assert (native.row_norms(a, 1) == norms).all()
        cosine = native.evaluate_lists(b, a, rows, rows[:, None].copy(), 1)
        assert (cosine[:, 0] == ordered_dot(u, v)).all()
