"""Flow: what it learns, that labels are drawn behind the training, files, and bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast.learn import couplings
from gtn_fast.learn import flow as flow_module
from gtn_fast.learn.ahead import Ahead
from gtn_fast.learn.couplings import How
from gtn_fast.learn.flow import Flow
from gtn_fast.learn.training.store import load_tensors, save_tensors
from gtn_fast.learn.velocity import Velocity, integrate, matching_loss
from gtn_fast.metrics import energy_distance

SMALL = {"layers": 2, "width": 32, "batch_size": 64}


def clusters(n, seed=0, d=2):
    """Two clusters of different scales, far from the origin."""
    rng = np.random.default_rng(seed)
    centre = np.where(rng.random((n, 1)) < 0.5, -1.0, 1.0) * np.ones(d) + 50
    return (centre + 0.2 * rng.standard_normal((n, d))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    flow = Flow(2, **SMALL)
    flow.fit(clusters(2000), epochs=20, seed=1, threads=1, progress=False)
    return flow


def same_weights(one, other):
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# ------------------------------------------------------------------ what it learns


def test_loss_is_the_mean_squared_error_of_the_velocity_on_the_line():
    y, x = torch.randn(500, 3), torch.randn(500, 3)
    seen = []

    def model(at, t):
        seen.append((at, t))
        return torch.zeros_like(at)

    loss = matching_loss(model, y, x, generator=torch.Generator().manual_seed(0))
    ((at, t),) = seen
    torch.testing.assert_close(at, (1 - t[:, None]) * y + t[:, None] * x)
    assert bool(((t >= 0) & (t <= 1)).all())
    assert float(t.std()) == pytest.approx(12**-0.5, rel=0.1)
    torch.testing.assert_close(loss, (x - y).square().mean())


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_solvers_have_their_order(solver, order):
    """On x' = x - 2 t, whose solution is known."""
    start = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
    exact = (start - 2) * np.e + 4

    def field(x, t):
        return x - 2 * t[:, None]

    errors = [float((integrate(field, start, k, solver) - exact).abs().max()) for k in (20, 40)]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)
    back = integrate(field, integrate(field, start, 2000, solver), 2000, solver, backwards=True)
    torch.testing.assert_close(back, start, atol=3e-3, rtol=0)


def test_samples_are_like_the_data_and_better_with_more_steps(fitted):
    data = clusters(2000, seed=5)
    far, near = (energy_distance(fitted.sample(2000, steps=k), data) for k in (1, 8))
    assert near < 0.15 < far
    made = fitted.sample(2000, solver="heun", steps=8)
    assert energy_distance(made, data) < 0.15
    assert fitted.verdict is not None
    assert fitted.verdict.samples < fitted.verdict.normals


def test_inverse_is_the_way_back(fitted):
    y = fitted.source_sample(50, seed=3)
    x = fitted.transform(y, steps=200, solver="heun")
    np.testing.assert_allclose(fitted.inverse(x, steps=200, solver="heun"), y, atol=1e-2)


def test_interpolate_maps_the_line(fitted):
    y0, y1 = fitted.source_sample(2, seed=4)
    path = fitted.interpolate(y0, y1, 5, steps=3)
    assert path.shape == (5, 2)
    ends = fitted.transform(np.stack([y0, y1]), steps=3)
    np.testing.assert_allclose(path[[0, -1]], ends, atol=1e-4)


def test_longer_sample_begins_with_the_shorter_one(fitted):
    np.testing.assert_allclose(fitted.sample(7, 1), fitted.sample(3000, 1)[:7], rtol=1e-5)
    assert fitted.sample(0).shape == (0, 2)
    assert not np.array_equal(fitted.sample(5, 1), fitted.sample(5, 2))


# ------------------------------------------------------------------ a function of the seed


def test_same_seed_same_weights_whatever_the_threads():
    x, before = clusters(300), torch.random.get_rng_state()
    one, two, other, same_labels = (Flow(2, **SMALL) for _ in range(4))
    one.fit(x, epochs=3, seed=1, threads=1)
    two.fit(x, epochs=3, seed=1, threads=2)
    other.fit(x, epochs=3, seed=2, threads=1)
    same_labels.fit(x, epochs=3, seed=1, threads=1, relabel_every=0)
    assert same_weights(one, two)
    assert not same_weights(one, other)
    assert not same_weights(one, same_labels)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("relabel_every", [0, 1, 3])
def test_every_epoch_has_the_labels_of_its_round(monkeypatch, relabel_every):
    x, seen = clusters(100), []
    train = flow_module.train

    def spied(model, loss, data, **options):
        refresh = options["refresh"]
        seen.append(data[0].numpy())
        for epoch in range(1, 8):
            fresh = None if refresh is None else refresh(epoch)
            seen.append(None if fresh is None else fresh[0].numpy())
        return train(model, loss, data, **{**options, "refresh": None})

    monkeypatch.setattr(flow_module, "train", spied)
    Flow(2, **SMALL).fit(x, epochs=7, relabel_every=relabel_every)
    drawn = [
        gtn_fast.normal(flow_module.derive(0, f"flow {round_}"), 0, 100, 2) for round_ in range(7)
    ]
    np.testing.assert_array_equal(seen[0], drawn[0])
    for epoch, fresh in enumerate(seen[1:], 1):
        if relabel_every and epoch > 1 and (epoch - 1) % relabel_every == 0:
            np.testing.assert_array_equal(fresh, drawn[(epoch - 1) // relabel_every])
        else:
            assert fresh is None


def test_a_killed_run_ends_with_the_same_weights(tmp_path):
    x, path = clusters(300), tmp_path / "c.safetensors"
    whole, part = Flow(2, **SMALL), Flow(2, **SMALL)
    whole.fit(x, epochs=4, seed=3)
    part.fit(x, epochs=2, seed=3, checkpoint=path)
    part.fit(x, epochs=4, seed=3, checkpoint=path)
    assert part.history.resumed_at == 3
    assert same_weights(whole, part)
    with pytest.raises(ValueError, match="its coupling is labels, this run's is independent"):
        Flow(2, coupling="independent", **SMALL).fit(x, seed=3, checkpoint=path)


# ------------------------------------------------------------------ labels behind the training


def test_labels_of_the_next_epoch_are_made_while_one_trains():
    """Epoch 1 ends only once the labels of epoch 2 are there: waiting for it first would hang."""
    made, trained = threading.Event(), []

    def coupling(x, y, how):
        if threading.current_thread() is not threading.main_thread():
            made.set()
        return np.arange(len(y))

    class Waiting(Flow):
        def _network(self, seed):
            model = super()._network(seed)

            def wait(*_):
                if model.training:
                    trained.append(made.wait(300))

            model.register_forward_hook(wait)
            return model

    Waiting(2, coupling=coupling, **SMALL).fit(clusters(64), epochs=2)
    assert trained == [True, True]


def test_an_error_of_the_labeling_reaches_the_caller():
    def coupling(x, y, how):
        if threading.current_thread() is not threading.main_thread():
            raise ValueError("no labels today")
        return np.arange(len(y))

    with pytest.raises(ValueError, match="no labels today"):
        Flow(2, coupling=coupling, **SMALL).fit(clusters(64), epochs=3)


def test_what_is_under_way_is_stopped_at_the_end():
    going, stopped = threading.Event(), threading.Event()

    def make(number, progress):
        going.set()
        try:
            while True:
                progress(0, 1)
        finally:
            stopped.set()

    with Ahead(make, 5) as ahead:
        ahead.begin(1)
        assert going.wait(300)
    assert stopped.is_set()


def test_answers_come_in_any_order_and_none_is_made_after_the_last():
    made = []

    def make(number, progress):
        made.append(number)
        return 10 * number

    with Ahead(make, 2) as ahead:
        assert [ahead(number) for number in (1, 2, 2, 7)] == [10, 20, 20, 70]
    assert made == [1, 2, 2, 7]


_CTRL_C = """
import signal, sys, threading, numpy as np
from gtn_fast.learn.flow import Flow

def coupling(x, y, how):
    if threading.current_thread() is threading.main_thread():
        return np.arange(len(y))
    signal.raise_signal(signal.SIGINT)  # delivered to the main thread, which waits or trains
    while True:
        how.tell(0, 1)

try:
    Flow(2, coupling=coupling, layers=1, width=4).fit(np.random.rand(100, 2), epochs=3)
except KeyboardInterrupt:
    print("stopped", threading.active_count())
"""


def test_ctrl_c_stops_training_and_labeling():
    done = subprocess.run([sys.executable, "-c", _CTRL_C], capture_output=True, text=True,
                          timeout=300, env=os.environ)  # fmt: skip
    assert done.stdout == "stopped 1\n", done.stderr
    assert signal.SIGINT  # for readers: what raise_signal sent


# ------------------------------------------------------------------ files


def test_a_saved_flow_makes_the_same_samples(tmp_path, fitted):
    path = tmp_path / "flow.safetensors"
    fitted.save(path)
    again = Flow.load(path)
    np.testing.assert_array_equal(again.sample(20, 3), fitted.sample(20, 3))
    assert again.summary() == fitted.summary()
    assert again.preset == fitted.preset
    assert repr(again) == repr(fitted)
    assert couplings.name_of(again.coupling) == "labels"
    with pytest.raises(ValueError, match="is a flow, wanted a GTN"):
        gtn_fast.GTN.load(path)


def test_steps_solver_and_coupling_are_in_the_file(tmp_path):
    flow = Flow(2, coupling="independent", steps=3, solver="heun", **SMALL)
    flow.fit(clusters(100), epochs=1)
    flow.save(tmp_path / "f.safetensors")
    again = Flow.load(tmp_path / "f.safetensors")
    assert (again.steps, again.solver) == (3, "heun")
    assert couplings.name_of(again.coupling) == "independent"
    np.testing.assert_array_equal(again.sample(5), flow.sample(5, steps=3, solver="heun"))


@pytest.mark.parametrize(
    "damage",
    [
        {"d": 3},
        {"preset": {"layers": 3}},
        {"preset": {"rays": 3}},
        {"steps": 0},
        {"solver": "magic"},
        {"history": {"no": 1}},
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path, fitted, damage):
    path = tmp_path / "f.safetensors"
    fitted.save(path)
    tensors, meta = load_tensors(path, "flow")
    save_tensors(path, "flow", tensors, {**meta, **damage})
    with pytest.raises(ValueError, match="is not a whole flow"):
        Flow.load(path)


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coupling": "hungarian"}, "unknown coupling 'hungarian'; valid: labels, "),
        ({"coupling": 3}, "coupling must be a name or a Coupling, got int"),
        ({"coupling": "rays", "d": 3}, "its lines are in the plane; got d = 3"),
        ({"solver": "rk4"}, "unknown solver 'rk4'; valid: euler, heun"),
        ({"solver": 4}, "solver must be a string, got int"),
        ({"steps": 0}, "steps must be from 1 to"),
        ({"rays": 3}, "a flow has no field 'rays'; valid: layers, width"),
        ({"width": 0}, "width must be from 1 to"),
        ({"lr": -1}, "lr must be a positive number"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Flow(**{"d": 2, **options})


def test_bad_data_are_named(fitted):
    weights = {name: value.clone() for name, value in fitted.model.state_dict().items()}
    for bad, message in (
        (np.ones((10, 2)), "X is constant"),
        (np.ones((10, 3)), "X must have 2 columns, got 3"),
        (np.array([[0, 1], [np.nan, 2]]), "row 1"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.fit(bad, epochs=1)
    with pytest.raises(ValueError, match="patience needs val or metric"):
        fitted.fit(clusters(10), patience=1)
    for name, value in fitted.model.state_dict().items():
        assert torch.equal(value, weights[name])
    with pytest.raises(ValueError, match="has not learned anything yet"):
        Flow(2).sample(1)
    with pytest.raises(ValueError, match="y must have 2 columns, got 3"):
        fitted.transform(np.ones((1, 3)))


def test_fewer_rows_than_dimensions_and_constant_coordinates():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 12)).astype(np.float32)
    x[:, 3] = 7.0
    flow = Flow(12, **SMALL)
    flow.fit(x, epochs=2)
    made = flow.sample(10)
    assert made.shape == (10, 12)
    assert np.isfinite(made).all()


def test_a_coupling_that_answers_nonsense_is_named():
    x = clusters(20)
    for answer, message in (
        (np.arange(19), "must answer with 20 rows of x, got int64 of shape \\(19,\\)"),
        (np.full(20, 20), "names rows that x does not have"),
        (np.zeros(20), "must answer with 20 rows of x, got float64"),
    ):
        with pytest.raises(ValueError, match=message):
            Flow(2, coupling=lambda *_, a=answer: a, **SMALL).fit(x, epochs=1)


def test_velocity_weights_come_from_the_seed():
    one, two, other = (Velocity.of(3, 2, 8, seed) for seed in (1, 1, 2))
    assert torch.equal(one.net[0].weight, two.net[0].weight)
    assert not torch.equal(one.net[0].weight, other.net[0].weight)
    assert How().seed == 0
