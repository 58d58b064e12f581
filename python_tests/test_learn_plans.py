"""Pairs for other people's flows: beside torchcfm itself, in a DataLoader, across ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler

import gtn_fast
from gtn_fast.learn.couplings import Minibatch
from gtn_fast.learn.plans import NoisePairs, Pair, PairSampler, PlanSampler
from gtn_fast.metrics import energy_distance


def batch(n, *shape, seed=0, off=0.0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)) + off


def centred(t):
    a = t.reshape(len(t), -1).numpy()
    return a - a.mean(axis=0, dtype=np.float64).astype(np.float32)


# ------------------------------------------------------------------ inside a batch


@pytest.mark.parametrize("shape", [(2,), (1,), (3, 4, 4), ()])
def test_a_plan_is_the_labels_of_both_batches_without_their_means(shape):
    x0, x1 = batch(40, *shape), batch(40, *shape, seed=1, off=5)
    first, second = PlanSampler().sample_plan(x0, x1)
    rows = gtn_fast.label(centred(x1), centred(x0), progress=False).x_index
    assert first is x0
    assert torch.equal(second, x1[torch.from_numpy(rows)])


def test_labels_of_the_rows_come_in_the_order_of_the_pairs():
    x0, x1 = batch(30, 5), batch(50, 5, seed=1)
    y0, y1 = torch.arange(30), torch.arange(50)
    a, b, of_a, of_b = PlanSampler().sample_plan_with_labels(x0, x1, y0, y1, replace=False)
    assert torch.equal(a, x0[of_a])
    assert torch.equal(b, x1[of_b])
    assert len(set(of_b.tolist())) == 30
    assert PlanSampler().sample_plan_with_labels(x0, x1)[2:] == (None, None)


def test_get_map_is_the_plan_of_the_pairs():
    x0, x1 = batch(20, 3), batch(25, 3, seed=1)
    plan = PlanSampler().get_map(x0, x1)
    assert plan.shape == (20, 25)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 20)
    assert torch.equal(PlanSampler().sample_plan(x0, x1)[1], x1[plan.argmax(axis=1)])


def test_gradients_dtypes_and_layouts_are_the_callers():
    x0 = batch(16, 2, 3).double().requires_grad_()
    x1 = batch(16, 3, 2, seed=1).double().transpose(1, 2)
    a, b = PlanSampler().sample_plan(x0, x1)
    assert a is x0
    assert b.dtype == torch.float64
    (a - b).sum().backward()
    assert x0.grad is not None


def test_other_couplings_and_a_stream_of_batches():
    x0, x1 = batch(30, 4), batch(30, 4, seed=1)
    exact = PlanSampler(Minibatch(30)).rows(x0, x1)
    cost = torch.cdist(x0 - x0.mean(0), x1 - x1.mean(0)).square()
    best = float(cost[torch.arange(30), exact].sum())
    assert best <= float(cost[torch.arange(30), PlanSampler().rows(x0, x1)].sum())
    one, other = PlanSampler("independent", seed=3), PlanSampler("independent", seed=3)
    first, second = one.rows(x0, x1), one.rows(x0, x1)
    assert not torch.equal(first, second)
    assert torch.equal(other.rows(x0, x1), first)


@pytest.mark.parametrize(
    ("x0", "x1", "message"),
    [
        (batch(6, 2), batch(5, 2), "every row of x0 needs a row of x1 of its own: x0 has 6"),
        (batch(5, 2), batch(5, 3), r"x0 and x1 must have rows of one shape, got \(2,\) and \(3,\)"),
        (np.zeros((5, 2)), batch(5, 2), "x0 must be a torch tensor, got ndarray"),
        (batch(5, 2), torch.full((5, 2), np.nan), "x1 .*row 0"),
        (batch(0, 2), batch(0, 2), "x1"),
        (batch(5, 2).to("meta"), batch(5, 2), "x0 is on meta, x1 on cpu: wanted one"),
        (batch(5, 2), torch.zeros(5, 2, dtype=torch.complex64), "x1 must hold real numbers"),
    ],
)
def test_batches_that_make_no_plan_are_named(x0, x1, message):
    with pytest.raises((TypeError, ValueError), match=message):
        PlanSampler().sample_plan(x0, x1)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="y1 must have a label per row, 5, got 4"):
        PlanSampler().sample_plan_with_labels(batch(5, 2), batch(5, 2), y1=torch.zeros(4))
    with pytest.raises(ValueError, match="unknown coupling"):
        PlanSampler("exact")
    with pytest.raises(ValueError, match="in the plane; got d = 3"):
        PlanSampler("rays").sample_plan(batch(5, 3), batch(5, 3))
    with pytest.raises(TypeError, match="centre must be True or False"):
        PlanSampler(centre="yes")


# ------------------------------------------------------------------ torchcfm itself


def eight_gaussians(n, generator):
    angle = torch.randint(8, (n,), generator=generator) * (torch.pi / 4)
    centre = 5 * torch.stack((angle.cos(), angle.sin()), dim=1)
    return centre + 0.1**0.5 * torch.randn(n, 2, generator=generator)


def moons(n, generator):
    angle = torch.pi * torch.rand(n, generator=generator)
    upper = torch.rand(n, generator=generator) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    points = torch.stack((x, y), dim=1) + 0.2 * torch.randn(n, 2, generator=generator)
    return 3 * points - 1


def test_torchcfms_own_example_with_one_line_exchanged():
    torchcfm = pytest.importorskip("torchcfm")
    from torchcfm.models.models import MLP

    def trained(sampler):
        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = MLP(dim=2, time_varying=True)
            optimizer = torch.optim.Adam(model.parameters())
            matcher = torchcfm.ExactOptimalTransportConditionalFlowMatcher(sigma=0.1)
            if sampler is not None:
                matcher.ot_sampler = sampler
            for _ in range(60):
                optimizer.zero_grad()
                x0, x1 = eight_gaussians(128, generator), moons(128, generator)
                t, xt, ut = matcher.sample_location_and_conditional_flow(x0, x1)
                vt = model(torch.cat([xt, t[:, None]], dim=-1))
                loss = torch.mean((vt - ut) ** 2)
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            x = eight_gaussians(500, generator)
            for step in range(10):
                t = torch.full((500, 1), step / 10)
                x = x + model(torch.cat([x, t], dim=1)) / 10
            return energy_distance(x, moons(500, generator)), float(loss)

    (theirs, _), (ours, loss) = trained(None), trained(PlanSampler())
    start = torch.Generator().manual_seed(1)
    before = energy_distance(eight_gaussians(500, start), moons(500, start))
    assert max(theirs, ours) < 0.5 * before
    assert np.isfinite(loss)


def test_torchcfms_guided_matcher_takes_it_too():
    torchcfm = pytest.importorskip("torchcfm")
    matcher = torchcfm.ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)
    matcher.ot_sampler = PlanSampler()
    x0, x1, y1 = batch(20, 1, 4, 4), batch(20, 1, 4, 4, seed=1), torch.arange(20)
    t, xt, ut, y0, labels = matcher.guided_sample_location_and_conditional_flow(x0, x1, y1=y1)
    assert y0 is None
    torch.testing.assert_close(ut, x1[labels] - x0)
    torch.testing.assert_close(xt, torch.lerp(x0, x1[labels], t[:, None, None, None]))


# ------------------------------------------------------------------ the whole set


def test_pairs_are_the_labels_of_the_whole_set():
    images = batch(60, 2, 3, 3, off=3)
    pairs = NoisePairs(images, seed=7)
    noise, x = pairs[list(range(60))]
    assert noise.shape == x.shape == images.shape
    assert noise.dtype == torch.float32
    rows = gtn_fast.label(centred(images), centred(noise), progress=False).x_index
    assert torch.equal(x, images[torch.from_numpy(rows)])
    one = pairs[5]
    assert torch.equal(one[0], noise[5])
    assert torch.equal(one[1], x[5])
    assert torch.equal(pairs[-1][0], noise[-1])
    assert len(list(pairs)) == 60
    assert repr(pairs) == "NoisePairs(n=60, 2 x 3 x 3, on cpu)"


@pytest.mark.parametrize("names", ["integers", "strings"])
@pytest.mark.parametrize("coupling", ["labels", "independent", Minibatch(7)])
def test_classes_keep_to_themselves(names, coupling):
    x, of = batch(50, 4), np.arange(50) % 3
    classes = of if names == "integers" else np.array(["a", "b", "c"])[of]
    pairs = NoisePairs(x, classes=classes, coupling=coupling)
    _, found, labels = pairs[list(range(50))]
    rows = pairs.rows(0)
    assert torch.equal(found, x[rows])
    np.testing.assert_array_equal(of[rows], of)
    np.testing.assert_array_equal(labels.numpy(), of)
    assert len(set(rows.tolist())) == 50


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gets_every_pair_once_an_epoch_and_other_noise_in_the_next(workers):
    x = batch(41, 3)
    pairs = NoisePairs(x)
    sampler = PairSampler(pairs)
    loader = DataLoader(
        pairs, 8, sampler=sampler, num_workers=workers, persistent_workers=workers > 0
    )
    seen = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        batches = list(loader)
        noise, data = (torch.cat(part) for part in zip(*batches, strict=True))
        assert torch.equal(data.sort(dim=0).values, x.sort(dim=0).values)
        wanted = gtn_fast.label(centred(x), centred(noise), progress=False).x_index
        assert torch.equal(data, x[torch.from_numpy(wanted)])
        seen.append(noise)
    assert not torch.equal(seen[0].sort(dim=0).values, seen[1].sort(dim=0).values)


def test_whole_batches_come_as_tensors():
    pairs = NoisePairs(batch(20, 2, 2), classes=np.arange(20) % 2)
    batches = BatchSampler(PairSampler(pairs, shuffle=False), 6, drop_last=False)
    got = list(DataLoader(pairs, sampler=batches, batch_size=None))
    assert [each[0].shape for each in got] == [(6, 2, 2)] * 3 + [(2, 2, 2)]
    everything = pairs[list(range(20))]
    for place, tensor in enumerate(everything):
        assert torch.equal(torch.cat([each[place] for each in got]), tensor)


def test_ranks_share_the_pairs_as_torch_shares_rows():
    pairs = NoisePairs(batch(21, 3))
    for options in ({"shuffle": True, "seed": 4}, {"shuffle": False, "drop_last": True}):
        for epoch in (0, 3):
            for rank in range(2):
                ours = PairSampler(pairs, 2, rank, **options)
                torchs = DistributedSampler(pairs, 2, rank, **options)
                for sampler in (ours, torchs):
                    sampler.set_epoch(epoch)
                rows = pairs.rows(epoch)
                assert list(ours) == [Pair(epoch, i, rows[i]) for i in torchs]
                assert len(ours) == len(torchs)


def test_same_seed_same_pairs_on_every_rank():
    x = batch(30, 3)
    one, two, other = (NoisePairs(x, seed=seed).rows(2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoisePairs(np.zeros((3, 2))), "X must be a torch tensor, got ndarray"),
        (lambda: NoisePairs(batch(3, 2), classes=[0, 1]), r"must have shape \(3,\)"),
        (lambda: NoisePairs(batch(0, 2)), "X"),
        (lambda: NoisePairs(torch.tensor(1.0)), "X"),
        (lambda: NoisePairs(batch(3, 2), seed=-1), "seed must be from 0"),
        (lambda: NoisePairs(torch.full((3, 2), np.inf)).rows(0), "X .*row 0"),
        (lambda: NoisePairs(batch(3, 2)).rows(-1), "epoch must be from 0"),
        (lambda: NoisePairs(batch(3, 2))["a"], "index must be an integer"),
        (lambda: NoisePairs(batch(3, 2), coupling="rays")[0].nothing, "has no attribute"),
        (lambda: PairSampler(batch(3, 2)), "pairs must be NoisePairs, got Tensor"),
        (lambda: PairSampler(NoisePairs(batch(3, 2)), 2, 2), "rank"),
    ],
)
def test_what_makes_no_pairs_is_named(make, message):
    with pytest.raises((TypeError, ValueError, AttributeError), match=message):
        make()
