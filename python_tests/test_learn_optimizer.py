"""Groups of parameters, betas, schedules, and two players in one loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gtn_fast.inputs.files import FileError
from gtn_fast.learn.adversary import frozen
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import train
from gtn_fast.learn.training.optimizer import cosine, halving


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)

    def forward(self, y):
        return self.second(torch.tanh(self.first(y)))


def data():
    y = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    return y, y.flip(1)


def loss(model, y, x):
    return nn.functional.mse_loss(model(y), x)


def run(model=None, **options):
    model = seeded(Two, 0) if model is None else model
    settings = {"epochs": 3, "batch_size": 16, "lr": 1e-2, "draws": False, **options}
    return model, train(model, loss, data(), **settings)


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_it_is_adam_with_groups_betas_and_the_rates_of_the_epoch():
    model, rates = seeded(Two, 0), {1: 1.0, 2: 0.25, 3: 0.5}
    seen = []

    def spy(network, y, x):
        seen.append((y, x))
        return loss(network, y, x)

    groups = [(model.first.parameters(), 1e-2), (model.second.parameters(), 1e-3)]
    train(model, spy, data(), epochs=3, batch_size=16, lr=1.0, draws=False,
          groups=[(list(some), rate) for some, rate in groups], betas=(0.5, 0.9),
          schedule=rates.__getitem__)  # fmt: skip
    plain = seeded(Two, 0)
    optimizer = torch.optim.Adam(
        [{"params": plain.first.parameters()}, {"params": plain.second.parameters()}],
        lr=1.0,
        betas=(0.5, 0.9),
    )
    for step, (y, x) in enumerate(seen):
        for group, rate in zip(optimizer.param_groups, (1e-2, 1e-3), strict=True):
            group["lr"] = rate * rates[1 + step // 4]
        optimizer.zero_grad()
        loss(plain, y, x).backward()
        optimizer.step()
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_groups_given_as_iterators_are_read_once():
    one, other = seeded(Two, 0), seeded(Two, 0)
    run(one, groups=[(iter(one.parameters()), 1e-2)])
    run(other)
    assert same(one, other)


def test_schedules():
    down = halving((5, 25))
    assert [down(epoch) for epoch in (1, 5, 6, 25, 26, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    wave = cosine(11, floor=0.1)
    assert wave(1) == 1
    assert wave(6) == pytest.approx(0.55)
    assert wave(11) == wave(50) == pytest.approx(0.1)
    assert all(wave(e) > wave(e + 1) for e in range(1, 11))
    assert cosine(1)(1) == 1


def test_a_killed_run_takes_up_its_rates(tmp_path):
    def options(model):
        return {
            "groups": [(list(model.first.parameters()), 1e-2),
                       (list(model.second.parameters()), 1e-3)],
            "betas": (0.5, 0.999),
            "schedule": cosine(4),
            "epochs": 4,
        }  # fmt: skip

    whole = seeded(Two, 0)
    run(whole, **options(whole))
    path = tmp_path / "c"
    stopped = seeded(Two, 0)
    run(stopped, **{**options(stopped), "epochs": 2}, checkpoint=path)
    resumed = seeded(Two, 1)
    _, history = run(resumed, **options(resumed), checkpoint=path)
    assert history.resumed_at == 3
    assert same(whole, resumed)


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ({}, {"betas": (0.5, 0.999)}, "betas"),
        ({"betas": (0.5, 0.999)}, {}, "betas"),
        ({"schedule": halving((1,))}, {"schedule": halving((2,))}, "schedule"),
        ({"schedule": cosine(3)}, {}, "schedule"),
    ],
)
def test_a_checkpoint_of_other_rates_is_refused(tmp_path, before, after, named):
    run(checkpoint=tmp_path / "c", **before)
    with pytest.raises(FileError, match=f"another run: its {named}"):
        run(checkpoint=tmp_path / "c", **after)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": []}, "every parameter of the model once: 0 are named"),
        ({"groups": [([nn.Parameter(torch.zeros(2))], 1.0)]}, "1 are named"),
        ({"betas": (0.5, 1.0)}, "betas must be"),
        ({"betas": (0.5,)}, "betas must be"),
        ({"schedule": lambda epoch: math.nan}, "schedule must give a finite number"),
        ({"schedule": lambda epoch: -1.0}, "schedule must give a finite number"),
    ],
)
def test_bad_groups_betas_and_schedules(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


def test_a_parameter_in_two_groups_or_in_none_is_refused():
    model = seeded(Two, 0)
    everything = list(model.parameters())
    for groups in (
        [(everything, 1e-3), (everything[:1], 1e-3)],
        [(everything[1:], 1e-3)],
        [(everything, 1e-3), ([], 1e-3)],
    ):
        with pytest.raises(ValueError, match="every parameter of the model once"):
            run(model, groups=groups)
    with pytest.raises(ValueError, match="lr must be a finite number above 0, got 0"):
        run(model, groups=[(everything, 0)])


def test_schedules_refuse_what_makes_none():
    with pytest.raises(ValueError, match="an epoch to halve after"):
        halving((0,))
    with pytest.raises(ValueError, match="floor must be"):
        cosine(3, floor=2)


def test_two_players_get_their_own_gradients_exactly():
    """The gradient of the sum is that of either loss alone, each with the other player fixed."""
    maker = seeded(lambda: nn.Linear(2, 3), 0)
    judge = seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), 1)
    z = torch.randn(8, 2, generator=torch.Generator().manual_seed(2))

    def generator_loss(judging):
        return nn.functional.softplus(-judging(maker(z))).mean()

    def adversary_loss():
        return nn.functional.softplus(judge(maker(z).detach())).mean()

    together = generator_loss(frozen(judge)) + adversary_loss()
    maker_grads = torch.autograd.grad(generator_loss(judge), list(maker.parameters()))
    judge_grads = torch.autograd.grad(adversary_loss(), list(judge.parameters()))
    together.backward()
    for parameter, alone in zip(maker.parameters(), maker_grads, strict=True):
        assert torch.equal(parameter.grad, alone)
    for parameter, alone in zip(judge.parameters(), judge_grads, strict=True):
        assert torch.equal(parameter.grad, alone)
