"""GTN: fit, sample, interpolate, save, load; what it learns, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

import gtn_fast
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training.store import load_tensors, save_tensors

SMALL = {"layers": 2, "width": 8, "batch_size": 64, "epochs": 3}


def make_points(n: int = 300, d: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # Multiples of 1/64 below 8: exact in every float dtype that is tested, bfloat16 too.
    return (np.round(rng.uniform(-1, 1, (n, d)) * 64) / 64 + [1, 2, 3][:d]).astype(np.float32)


def fitted(x=None, d: int = 3, seed: int = 0, components: int = 1, **options) -> GTN:
    gtn = GTN(d, "mnist", components=components, **SMALL)
    gtn.fit(make_points(d=d) if x is None else x, seed=seed, progress=False, **options)
    return gtn


def two_squares(n: int = 1000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(0, 1, (n, 2)), rng.uniform(3, 4, (n, 2))])


@pytest.fixture(scope="module")
def gtn() -> GTN:
    return fitted()


@pytest.fixture(scope="module")
def mixed() -> GTN:
    return fitted(two_squares(200), d=2, components=2)


# ------------------------------------------------------------------ what it learns


def test_a_uniform_sample_comes_out_uniform():
    x = np.random.default_rng(0).uniform(-3, 5, (5000, 1))
    gtn = GTN(1, "swiss-roll", epochs=60)
    gtn.fit(x, seed=1, progress=False)
    made = gtn.sample(20_000)[:, 0]
    # n = 5,000 alone is within 0.02 of its distribution; ĥ of 4 x 6 adds to it.
    assert kstest(made, "uniform", (-3, 8)).statistic < 0.05
    without = gtn.source_sample(20_000)[:, 0] * x.std() + x.mean()
    assert kstest(without, "uniform", (-3, 8)).statistic > 0.05


def test_labeling_inside_clusters_keeps_samples_inside_them():
    x = two_squares()

    def inside(points):
        low = (points > -0.1).all(1) & (points < 1.1).all(1)
        high = (points > 2.9).all(1) & (points < 4.1).all(1)
        return (low | high).mean()

    made = {}
    for components in (1, 2):
        gtn = GTN(2, "uniform", components=components, epochs=40, lr=3e-3)
        gtn.fit(x, progress=False)
        made[components] = inside(gtn.sample(5000))
    assert made[2] > 0.95
    assert made[2] > made[1]


def test_what_is_trained_on_are_the_engines_pairs(gtn):
    x = make_points()
    scaled = gtn.scaling.apply(x)
    labels = gtn_fast.label(scaled, seed=gtn.label_seed)
    assert np.array_equal(gtn.x_index, labels.x_index)
    for row in (0, 17, 299):
        assert np.array_equal(gtn.y_of_row(row), labels.y[labels.x_index == row][0])
    assert gtn.label_seconds > 0


def test_with_components_a_row_has_the_y_of_its_own_component(mixed):
    from gtn_fast.learn.mixture import label_mixture

    x = mixed.scaling.apply(two_squares(200))
    y, index = label_mixture(x, mixed.mixture, mixed.component, mixed.label_seed)
    assert np.array_equal(index, mixed.x_index)
    for row in (0, 399):
        assert np.array_equal(mixed.y_of_row(row), y[index == row][0])


# ------------------------------------------------------------------ reproducible


def test_same_seed_same_samples_whatever_holds_the_data(gtn):
    x = make_points()
    tensor = torch.from_numpy(x)
    state = torch.get_rng_state()
    for same in (
        x.astype(np.float64),
        tensor,
        tensor.double(),
        tensor.bfloat16(),
        x[:, ::-1].copy()[:, ::-1],
    ):
        assert np.array_equal(fitted(same).sample(50), gtn.sample(50))
    assert torch.equal(torch.get_rng_state(), state)
    assert not np.array_equal(fitted(x, seed=1).sample(50), gtn.sample(50))


def test_a_second_fit_starts_anew(gtn):
    again = fitted(make_points(seed=5))
    again.fit(make_points(), progress=False)
    assert np.array_equal(again.sample(20), gtn.sample(20))


def test_samples_are_of_the_source_and_never_of_the_training(gtn, mixed):
    for each in (gtn, mixed):
        y = each.source_sample(40, seed=3)
        assert np.array_equal(each.sample(40, seed=3), each.transform(y))
        assert np.array_equal(each.source_sample(60, seed=3)[:40], y)
        assert each.sample(0).shape == (0, each.d)
    used = gtn_fast.normal(gtn.label_seed, 0, 300, 3)
    assert not np.isin(gtn.source_sample(300, seed=0), used).any()


def test_transform_does_not_depend_on_its_pieces(gtn, monkeypatch):
    y = gtn.source_sample(100)
    whole = gtn.transform(torch.from_numpy(y).double())
    monkeypatch.setattr("gtn_fast.learn.hhat._ROWS", 1)
    monkeypatch.setattr("gtn_fast.learn.hhat._ACTIVATIONS", 70)
    np.testing.assert_allclose(gtn.transform(y), whole, rtol=1e-4, atol=1e-5)
    assert whole.dtype == np.float32


def test_interpolation_runs_from_one_image_to_the_other(gtn):
    y0, y1 = gtn.source_sample(2)
    path = gtn.interpolate(y0, torch.from_numpy(y1), steps=7)
    ends = gtn.transform(np.stack((y0, y1)))
    assert path.shape == (7, 3)
    np.testing.assert_allclose(path[[0, -1]], ends, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(path[3], gtn.transform((y0 + y1)[None] / 2)[0], rtol=1e-4, atol=1e-5)
    between = gtn.interpolate_between(4, 9, 5)
    assert np.array_equal(between, gtn.interpolate(gtn.y_of_row(4), gtn.y_of_row(9), 5))


# ------------------------------------------------------------------ training options


def test_validation_has_labels_of_its_own_and_stops_the_training():
    gtn = GTN(3, "mnist", **{**SMALL, "epochs": 200, "lr": 0.05})
    history = gtn.fit(make_points(), val=make_points(100, seed=1), patience=2, progress=False)
    losses = [line["val_loss"] for line in history.epochs]
    assert history.stopped == "patience"
    assert len(losses) == losses.index(min(losses)) + 3


def test_a_metric_sees_the_gtn_itself():
    seen = []

    def metric(gtn):
        seen.append(gtn.sample(10))
        return -len(seen)

    gtn = fitted(metric=metric)
    assert gtn.history.best_epoch == 1
    np.testing.assert_allclose(gtn.sample(10), seen[0])


def test_relabeling_draws_other_ys_and_resumes_with_them(tmp_path):
    options = {"relabel_every": 2, "epochs": 5}
    gtn = fitted(**options)
    assert gtn.label_seed != fitted().label_seed
    assert not np.array_equal(gtn.sample(20), fitted(epochs=5).sample(20))
    path = tmp_path / "c.safetensors"

    def stop(gtn):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return float(len(done))

    done = []
    with pytest.raises(KeyboardInterrupt):
        fitted(**options, checkpoint=path, metric=stop)
    resumed = fitted(
        **options, checkpoint=path, metric=lambda gtn: float(done.append(1) or len(done))
    )
    assert resumed.history.resumed_at == 4
    assert np.array_equal(resumed.sample(20), gtn.sample(20))
    assert np.array_equal(resumed.y_of_row(3), gtn.y_of_row(3))
    with pytest.raises(ValueError, match="its relabel_every is 2, this run's is 0"):
        fitted(epochs=5, checkpoint=path, metric=lambda gtn: 0.0)


def test_a_last_batch_of_one_row():
    x = make_points(129)  # 2 x 64 + 1
    assert np.isfinite(fitted(x, val=x[:1] + 0.1).sample(5)).all()


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("which", ["gtn", "mixed"])
def test_what_is_loaded_samples_and_interpolates_the_same(which, request, tmp_path):
    one = request.getfixturevalue(which)
    path = tmp_path / "model.safetensors"
    one.save(path)
    other = GTN.load(path)
    assert np.array_equal(other.sample(50, 7), one.sample(50, 7))
    assert np.array_equal(other.interpolate_between(0, 5), one.interpolate_between(0, 5))
    assert (other.d, other.preset, other.components) == (one.d, one.preset, one.components)
    assert other.history == one.history


def test_files_that_are_no_gtn(gtn, tmp_path):
    path = tmp_path / "model.safetensors"
    save_tensors(path, "autoencoder", {}, {})
    with pytest.raises(ValueError, match="is an autoencoder, wanted a GTN"):
        GTN.load(path)
    gtn.save(path, force=True)
    tensors, meta = load_tensors(path, "GTN")
    for broken in (
        {k: v for k, v in tensors.items() if k != "scaling/std"},
        {k: v for k, v in tensors.items() if k != "model/net.0.weight"},
        {**tensors, "labels/x_index": torch.zeros(300, dtype=torch.int64)},
        {**tensors, "scaling/mean": torch.zeros(4)},
    ):
        save_tensors(path, "GTN", broken, meta)
        with pytest.raises(ValueError, match="is not a whole GTN"):
            GTN.load(path)
    save_tensors(path, "GTN", tensors, {})
    with pytest.raises(ValueError, match="is not a whole GTN"):
        GTN.load(path)


# ------------------------------------------------------------------ bad input


def bad_points(row: int, value: float) -> np.ndarray:
    x = make_points()
    x[row, 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.ones((10, 3)), {}, "X is constant: all of its 10 rows are equal"),
        (make_points(1), {}, "X is constant"),
        (bad_points(17, np.nan), {}, "X must be finite: row 17, column 1"),
        (bad_points(5, np.inf), {}, "X must be finite: row 5"),
        (np.zeros((10, 2)), {}, "X must have 3 columns, got 2"),
        (np.zeros(10), {}, "X must be a matrix"),
        (np.zeros((0, 3)), {}, "X is empty"),
        (make_points(), {"val": np.zeros((5, 4))}, "val must have 3 columns, got 4"),
        (make_points(), {"val": bad_points(2, np.nan)}, "val must be finite: row 2"),
        (make_points(), {"patience": 3}, "nothing to watch"),
        (make_points(), {"epochs": 0}, "epochs must be from 1"),
        (make_points(), {"relabel_every": -1}, "relabel_every must be from 0"),
        (make_points(), {"seed": -1}, "seed must be from 0"),
        (make_points(), {"log": "x.txt"}, "log must end in"),
        (make_points(), {"checkpoint": "/no/such/c.safetensors"}, "does not exist"),
    ],
)
def test_bad_fits_leave_the_gtn_as_it_was(x, options, message):
    gtn = fitted()
    before = gtn.sample(5)
    with pytest.raises(ValueError, match=message):
        gtn.fit(x, progress=False, **options)
    assert np.array_equal(gtn.sample(5), before)


def test_bad_calls(gtn):
    with pytest.raises(ValueError, match="has not learned anything yet"):
        GTN(3).sample(5)
    with pytest.raises(ValueError, match="has not learned anything yet"):
        GTN(3).save("nowhere")
    with pytest.raises(ValueError, match="method 'rank' needs d = 1"):
        GTN(2, "swiss-roll")
    with pytest.raises(ValueError, match="d must be from 1"):
        GTN(0)
    with pytest.raises(ValueError, match="y must have 3 columns, got 2"):
        gtn.transform(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="y1 must have 3 columns, got 2"):
        gtn.interpolate(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="row must be from 0 to 299"):
        gtn.y_of_row(300)
    with pytest.raises(ValueError, match="steps must be from 2"):
        gtn.interpolate(np.zeros(3), np.zeros(3), steps=1)
    with pytest.raises(ValueError, match="k must be from 1 to 4"):
        fitted(make_points(4), components=5)
    with pytest.raises(TypeError, match="X must hold real numbers"):
        gtn.fit(np.full((5, 3), "a"))


# ------------------------------------------------------------------ the plane


def square_and_energy(rays: int | None) -> float:
    """Energy distance of what was learned of a square to the square itself."""
    from gtn_fast.metrics import energy_distance

    x = np.random.default_rng(0).random((10_000, 2))
    gtn = GTN(2, "uniform", epochs=40, lr=3e-3, rays=rays)
    gtn.fit(x, seed=0, progress=False)
    return energy_distance(gtn.sample(4000), np.random.default_rng(1).random((4000, 2)))


def test_along_rays_the_square_is_learned_and_decided_exactly_it_collapses():
    assert 2 * square_and_energy(100) < square_and_energy(None)


def test_the_uniform_preset_labels_along_rays_in_the_plane_only():
    from gtn_fast.learn.rays import label_on_rays
    from gtn_fast.learn.scaling import Scaling

    x = make_points(200, d=2)
    plane = GTN(2, "uniform", epochs=1)
    plane.fit(x, progress=False)
    scaled = Scaling.of(x).apply(x)
    y = gtn_fast.normal(plane.label_seed, 0, 200, 2)
    along = label_on_rays(scaled, y, plane.preset.rays).x_index
    assert np.array_equal(plane.x_index, along)
    assert not np.array_equal(along, gtn_fast.label(scaled, y).x_index)
    solid = GTN(3, "uniform", epochs=1)
    solid.fit(make_points(200), progress=False)
    given = Scaling.of(make_points(200)).apply(make_points(200))
    exact = gtn_fast.label(given, seed=solid.label_seed).x_index
    assert np.array_equal(solid.x_index, exact)


def test_components_are_labeled_along_rays_of_their_own():
    x = two_squares(200)
    along, exact = (GTN(2, "uniform", components=2, epochs=1, rays=r) for r in (20, None))
    for gtn in (along, exact):
        gtn.fit(x, progress=False)
        assert np.array_equal(np.sort(gtn.x_index), np.arange(len(x)))
        assert np.array_equal(gtn.component[gtn.x_index], gtn.component)  # y i is of row i's
    assert not np.array_equal(along.x_index, exact.x_index)


@pytest.mark.parametrize("rays", [0, -3, 2.5, 2**40])
def test_a_number_of_rays_that_makes_no_sense_is_refused(rays):
    with pytest.raises((TypeError, ValueError), match="rays"):
        GTN(2, "uniform", rays=rays)
