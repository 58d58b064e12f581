"""Atlas models: definition 1, the networks of appendix A, and every family's loss and training."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from learning_cases import check_a_stopped_run
from torch import nn

from gtn_fast.atlas import families, gan, vae, wae
from gtn_fast.atlas.cae import ChartLoss, prune, train_cae
from gtn_fast.atlas.chart_layers import ChartConv, ChartLinear, ChartNorm, by_chart
from gtn_fast.atlas.gan import GANLoss, train_infogan
from gtn_fast.atlas.model import NetworkAtlas, load_network_atlas
from gtn_fast.atlas.networks import build, h_for
from gtn_fast.atlas.start import _regions_of, start_apart
from gtn_fast.atlas.vae import VAELoss, train_atlas_vae
from gtn_fast.atlas.wae import PAPER, WAELoss, train_wae
from gtn_fast.inputs.files import FileError
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.store import save_tensors
from gtn_fast.vision.tensors import to_unit
from gtn_fast.vision.vae import vae_loss

SIDE, D, M = 8, 2, 3
SMALL = {"name": "dense", "width": 24, "embed": 12, "chart": 10}
TRAINERS = {
    "cae": train_cae,
    "vae": train_atlas_vae,
    "wae": train_wae,
    "gan": train_infogan,
}


def pictures(n=96, side=SIDE, channels=1, seed=0):
    """A bright spot on a circle: uint8 (n, channels, side, side)."""
    t = np.random.default_rng(seed).random(n) * 2 * np.pi
    grid = np.arange(side) - (side - 1) / 2
    u = grid[None, None, :] - (side / 4) * np.cos(t)[:, None, None]
    v = grid[None, :, None] - (side / 4) * np.sin(t)[:, None, None]
    shown = np.exp(-(u**2 + v**2) / 3)[:, None].repeat(channels, axis=1)
    return np.rint(255 * shown).astype(np.uint8)


def atlas_of(kind="wae", charts=M, d=D, channels=1, side=SIDE, networks=SMALL, seed=0):
    return seeded(lambda: NetworkAtlas(kind, d, charts, channels, side, networks), seed)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def small(kind, **options):
    start = {"start_steps": 20} if kind == "cae" else {}
    given = {"d": D, "charts": M, "networks": SMALL, "epochs": 3, "batch_size": 32, **start}
    return TRAINERS[kind](pictures(), **{**given, **options})


def grads(value, parameters):
    return torch.autograd.grad(value, list(parameters), allow_unused=True)


# ------------------------------------------------------------------ networks


@pytest.mark.parametrize(
    ("charts", "d", "h", "wanted"),
    [
        (1, 8, 128, 21_967_881),
        (2, 7, 86, 21_626_265),
        (4, 7, 64, 20_885_793),
        (8, 7, 48, 21_961_217),
        (16, 7, 34, 21_623_721),
    ],
)
def test_appendix_a_has_the_parameters_of_table_1(charts, d, h, wanted):
    assert h_for(charts) == h
    with torch.device("meta"):
        networks = build(28, 1, d, charts, 1, {"name": "conv"})
    assert sum(p.numel() for p in networks.parameters()) == wanted


def test_widths_of_other_numbers_of_charts():
    assert [h_for(c, 1 / 8) for c in (1, 2, 4, 8, 16)] == [16, 11, 8, 6, 4]
    assert [h_for(c) for c in (3, 9, 100)] == [64, 34, 34]
    with pytest.raises(ValueError, match="width must be"):
        h_for(1, 0)


def test_chart_layers_are_layers_of_torch():
    """Each chart of a stack against the layer of torch with its weights, trained mode included."""
    x = torch.randn(5, 4, generator=generator())
    linear = seeded(lambda: ChartLinear(M, 4, 6), 0)
    maps = torch.randn(5, 4, 6, 6, generator=generator(1))
    down, up = (seeded(lambda t=t: ChartConv(M, 4, 3, transposed=t), 1) for t in (False, True))
    norm = ChartNorm(M, 4)
    every_up = up.every(maps.repeat(1, M, 1, 1)).unflatten(1, (M, 3))
    every_down = down.every(maps).unflatten(1, (M, 3))
    every_norm = norm.every(maps.repeat(1, M, 1, 1)).unflatten(1, (M, 4))
    for y in range(M):
        plain = nn.Linear(4, 6)
        plain.weight.data, plain.bias.data = linear.weight[y].T, linear.bias[y, 0]
        torch.testing.assert_close(linear.every(x)[y], plain(x))
        torch.testing.assert_close(linear.one(x, y), plain(x))
        conv = nn.Conv2d(4, 3, 4, stride=2, padding=1, bias=False)
        conv.weight.data = down.weight[y]
        torch.testing.assert_close(every_down[:, y], conv(maps))
        torch.testing.assert_close(down.one(maps, y), conv(maps))
        back = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1)
        back.weight.data, back.bias.data = up.weight[y], up.bias[y]
        torch.testing.assert_close(every_up[:, y], back(maps))
        torch.testing.assert_close(up.one(maps, y), back(maps))
        usual = nn.BatchNorm2d(4)
        torch.testing.assert_close(every_norm[:, y], usual(maps))
        torch.testing.assert_close(norm.running_mean[y], usual.running_mean)
        torch.testing.assert_close(norm.running_var[y], usual.running_var)
    stds = [seeded(lambda i=i: ChartLinear(4, i, 500), 0).weight.detach().std() for i in (4, 100)]
    assert float(stds[0]) == pytest.approx(1 / math.sqrt(3 * 4), rel=0.05)  # nn.Linear's
    assert float(stds[1]) == pytest.approx(1 / math.sqrt(3 * 100), rel=0.05)


def test_rows_by_chart_come_back_in_their_order():
    y = torch.tensor([2, 0, 2, 0, 0])
    rows = torch.arange(5.0)[:, None]
    assert by_chart(lambda part, c: part + 10 * c, rows, y, 4)[:, 0].tolist() == [20, 1, 22, 3, 4]


@pytest.mark.parametrize(
    ("networks", "side"),
    [(SMALL, SIDE), ({"name": "conv", "h": 4}, 16), ({"name": "conv", "h": 4}, 28)],
)
@pytest.mark.parametrize("charts", [1, M])
def test_all_charts_at_once_are_each_chart_alone(networks, side, charts):
    atlas = atlas_of("wae", charts, networks=networks, side=side, channels=2).eval()
    x = to_unit(torch.from_numpy(pictures(7, side, 2)))
    with torch.no_grad():
        codes = atlas.encode_all(x)
        shown = atlas.networks.shown(codes)
        assert codes.shape == (7, charts, D)
        assert shown.shape == (7, charts, 2, side, side)
        for y in range(charts):
            torch.testing.assert_close(atlas.encode(x, y), codes[:, y])
            torch.testing.assert_close(
                atlas.decode(codes[:, y], y), shown[:, y], atol=1e-5, rtol=1e-4
            )
        mixed = torch.arange(7) % charts
        torch.testing.assert_close(atlas.encode(x, mixed), codes[torch.arange(7), mixed])
        together = atlas.decode(codes[torch.arange(7), mixed], mixed)
        torch.testing.assert_close(together, shown[torch.arange(7), mixed], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(atlas.psi(x).sum(1), torch.ones(7))


@pytest.mark.parametrize("name", ["dense", "conv"])
def test_the_output_starts_at_the_mean(name):
    images = torch.from_numpy(pictures(40, 16))
    networks = {"name": "conv", "h": 4} if name == "conv" else SMALL
    atlas = atlas_of(networks=networks, side=16)
    with torch.no_grad():
        for parameter in atlas.networks.shared.parameters():
            parameter.zero_()
        atlas.networks.start_from(images)
        shown = atlas.eval().decode(torch.zeros(1, D), 0)[0]
    mean = to_unit(images).mean(dim=0)
    if name == "conv":
        mean = mean.mean().expand_as(mean)
    torch.testing.assert_close(shown, mean.clamp(-0.98, 0.98), atol=1e-4, rtol=0)


def test_at_the_start_images_differ_everywhere_and_show_the_mean():
    images = torch.from_numpy(pictures(200, 32))
    atlas, data, _ = families.start("cae", images, None, D, 1, "dense", None, 0)
    x = to_unit(data)
    with torch.no_grad():
        features = atlas.networks.features(x)
        codes = atlas.networks.codes(features)[:, 0]
        shown = atlas.decode(atlas.encode(x, 0), 0)
    for seen in (features, codes):
        assert float(seen.std(dim=0).mean()) > 0.3  # from torch's own start: 0.003 and 0.0002
    assert float((shown - x.mean(dim=0).clamp(-0.98, 0.98)).abs().max()) < 0.1


def test_codes_come_back_from_the_cubes_wall():
    atlas = atlas_of("cae", charts=1)
    x = to_unit(torch.from_numpy(pictures(8)))
    last = atlas.networks.encoders[-1]
    for wall in (-60.0, 60.0):
        with torch.no_grad():
            last.bias.fill_(wall)
        (slope,) = grads(ChartLoss(atlas, lipschitz=0.0).loss(x, generator()), [last.bias])
        assert bool((slope * wall > 1).all())  # a step against it leads back


# ------------------------------------------------------------------ definition 1


def test_a_draw_is_a_function_of_seed_and_row():
    atlas = atlas_of("cae")
    atlas.weights.copy_(torch.tensor([0.5, 0.0, 0.5]))
    z, y = atlas.draw(400, seed=3)
    shorter, charts = atlas.draw(10, seed=3)
    assert torch.equal(z[:10], shorter)
    assert torch.equal(y[:10], charts)
    assert not torch.equal(atlas.draw(10, seed=4)[0], shorter)
    assert 0 <= float(z.min()) <= float(z.max()) <= 1
    atlas.consistent = False
    z, y = atlas.draw(4000, seed=3)
    counts = torch.bincount(y, minlength=3)
    assert counts[1] == 0
    assert abs(int(counts[0]) - 2000) < 200
    assert abs(float(z.mean()) - 0.5) < 0.02
    assert atlas.draw(5, chart=2)[1].tolist() == [2] * 5
    assert atlas_of("wae").draw(4000)[0].std() == pytest.approx(1, abs=0.05)


def test_consistent_draws_are_those_that_psi_gives_to_their_chart():
    atlas = atlas_of("cae", seed=1)
    with torch.no_grad():
        atlas.networks.choice[-1].weight.mul_(50)  # a psi that disagrees
        atlas.networks.decoders[-1].weight.mul_(20)
        atlas.consistent = False
        plain_z, plain_y = atlas.draw(300)
        right = atlas.chart_of(atlas.decode(plain_z, plain_y)) == plain_y
        atlas.consistent = True
        z, y = atlas.draw(300)
        now = atlas.chart_of(atlas.decode(z, y)) == y
    assert 0.05 < right.double().mean() < 0.9
    assert now.double().mean() > right.double().mean() + 0.05
    assert torch.equal(z[right], plain_z[right])  # what was right stays
    assert torch.equal(y[right], plain_y[right])


def test_what_follows_from_the_maps():
    atlas = atlas_of().eval()
    images = torch.from_numpy(pictures(20))
    x = to_unit(images)
    psi = atlas.psi(x)
    assert torch.equal(atlas.chart_of(x), psi.argmax(1))
    assert torch.equal(atlas.members(x, 0.3), psi > 0.3)
    assert bool(atlas.members(x, 0.33).any(dim=1).all())
    for eps in (-0.1, 1 / 3, math.nan):
        with pytest.raises(ValueError, match="eps must be from 0 to below 1 / charts"):
            atlas.members(x, eps)
    y = atlas.chart_of(x)
    torch.testing.assert_close(atlas.reconstruct(x), atlas.decode(atlas.encode(x, y), y))
    charts, z = atlas.charted(images)
    assert (charts == y.numpy()).all()
    np.testing.assert_allclose(z, atlas.encode(x, y).detach().numpy(), atol=1e-6)
    assert atlas.sample(5, seed=2).shape == (5, 1, SIDE, SIDE)
    assert atlas.sample(5, seed=2).dtype == torch.uint8
    one = atlas_of(charts=1)
    assert torch.equal(one.psi(x), torch.ones(20, 1))
    codec = one.codec()
    assert codec.decode(codec.encode(images)).shape == images.shape
    with pytest.raises(ValueError, match="3 charts has no single latent space"):
        atlas.codec()


def test_a_gan_has_no_encoders():
    atlas = atlas_of("gan")
    x = to_unit(torch.from_numpy(pictures(4)))
    assert not atlas.has_charts
    assert atlas.psi(x).shape == (4, M)
    with pytest.raises(TypeError, match="a GAN has no encoders F_y"):
        atlas.encode(x, 0)
    with pytest.raises(TypeError, match="a GAN has no encoders F_y"):
        atlas.encode_all(x)


@pytest.mark.parametrize("kind", ["cae", "vae", "wae", "gan"])
@pytest.mark.parametrize("networks", [SMALL, {"name": "conv", "h": 4}])
def test_an_atlas_comes_back_from_its_file(tmp_path, kind, networks):
    atlas = atlas_of(kind, networks=networks, side=16, channels=3).eval()
    atlas.weights.copy_(torch.tensor([0.2, 0.3, 0.5]))
    atlas.save(tmp_path / "a", {"a": 1})
    again, extra = load_network_atlas(tmp_path / "a")
    assert extra == {"a": 1}
    assert torch.equal(atlas.sample(6, seed=1), again.sample(6, seed=1))
    assert again.kind == kind
    assert not again.training


def test_files_of_another_kind_or_content_are_refused(tmp_path):
    atlas = atlas_of()
    save_tensors(tmp_path / "gtn", "GTN", {}, {})
    with pytest.raises(FileError, match="is a GTN, wanted an atlas"):
        NetworkAtlas.load(tmp_path / "gtn")
    with pytest.raises(FileError, match="is there already"):
        atlas.save(tmp_path / "gtn")
    for change in ({"charts": 4}, {"kind": "other"}, {"networks": {"name": "none"}},
                   {"networks": {"name": "dense", "h": 3}}, {"d": 0}):  # fmt: skip
        save_tensors(tmp_path / "x", "atlas", atlas.state_dict(), {**atlas.about(), **change})
        with pytest.raises(FileError, match="not a whole atlas"):
            NetworkAtlas.load(tmp_path / "x")
    atlas.weights.mul_(2)
    atlas.save(tmp_path / "y")
    with pytest.raises(FileError, match="no shares of one"):
        NetworkAtlas.load(tmp_path / "y")


@pytest.mark.parametrize("networks", [SMALL, {"name": "conv", "h": 4}])
def test_keeping_charts_is_indexing(tmp_path, networks):
    atlas = atlas_of("wae", 4, networks=networks, side=16).eval()
    x = to_unit(torch.from_numpy(pictures(6, 16)))
    with torch.no_grad():
        codes, psi = atlas.encode_all(x), atlas.psi(x)
        shown = atlas.networks.shown(codes)
        atlas.weights.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
        atlas.keep([3, 1])
        torch.testing.assert_close(atlas.encode_all(x), codes[:, [3, 1]])
        torch.testing.assert_close(atlas.networks.shown(codes[:, [3, 1]]), shown[:, [3, 1]])
        kept = psi[:, [3, 1]]
        torch.testing.assert_close(atlas.psi(x), kept / kept.sum(1, keepdim=True))
    torch.testing.assert_close(atlas.weights, torch.tensor([4 / 6, 2 / 6], dtype=torch.float64))
    atlas.save(tmp_path / "a")
    assert NetworkAtlas.load(tmp_path / "a").charts == 2
    atlas.keep([1])
    assert atlas.psi(x).tolist() == [[1.0]] * 6
    atlas.save(tmp_path / "b")
    assert NetworkAtlas.load(tmp_path / "b").charts == 1
    for bad in ([], [0, 0], [1]):
        with pytest.raises(ValueError, match="chart"):
            atlas.keep(bad)


# ------------------------------------------------------------------ losses


def test_the_chart_loss_is_7_with_softmax_of_minus_e():
    atlas = atlas_of("cae")
    x = to_unit(torch.from_numpy(pictures(12)))
    loss = ChartLoss(atlas, lipschitz=0.0, temperature=0.5)
    z = torch.sigmoid(atlas.networks.codes(atlas.networks.features(x)))
    e = ((x[:, None] - atlas.networks.shown(z)) / 2).square().sum((2, 3, 4))
    target = torch.softmax(-e / 0.5, dim=1).detach()
    wanted = e.min(1).values.mean() - (target * atlas.psi(x).log()).sum(1).mean()
    found = loss.loss(x, generator())
    torch.testing.assert_close(found, wanted)
    for ours, theirs in zip(
        grads(found, atlas.parameters()), grads(wanted, atlas.parameters()), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_the_chart_loss_of_convolutions_is_the_same():
    atlas = atlas_of("cae", networks={"name": "conv", "h": 4}, side=16).eval()
    x = to_unit(torch.from_numpy(pictures(12, 16)))
    z = torch.sigmoid(atlas.networks.codes(atlas.networks.features(x)))
    e = families.errors(x, atlas.networks.shown(z))
    target = torch.softmax(-e, dim=1).detach()
    wanted = e.min(1).values.mean() - (target * atlas.psi(x).log()).sum(1).mean()
    torch.testing.assert_close(ChartLoss(atlas).eval().loss(x, generator()), wanted)


def test_the_lipschitz_price_is_the_product_of_spectral_norms():
    atlas = atlas_of("cae")
    loss = ChartLoss(atlas, lipschitz=1.0, balance=0.0)
    slopes = []
    for y in range(M):
        norms = [torch.linalg.svdvals(layer.weight[y])[0] for layer in atlas.networks.encoders]
        slopes.append(torch.stack(norms).prod())
    wanted = torch.stack(slopes).max() + torch.stack(slopes).mean()
    torch.testing.assert_close(loss._slopes(), wanted)
    x = to_unit(torch.from_numpy(pictures(12)))
    loss.lipschitz = 0.0
    plain, dearer = loss.loss(x, generator()), []
    loss.lipschitz = 1.0
    for step in range(9):
        loss.step.fill_(step)
        dearer.append(bool(loss.loss(x, generator()) > plain))
    assert dearer == [True] + [False] * 7 + [True]  # every eighth step, eight times


def test_prices_even_out_the_charts():
    atlas = atlas_of("cae")
    loss = ChartLoss(atlas, balanced_epochs=1)
    loss.steps_per_epoch = 10
    x = to_unit(torch.from_numpy(pictures(12)))
    with torch.no_grad():
        e = families.errors(x, atlas.networks.shown(atlas.encode_all(x)))
        share = torch.bincount(e.argmin(1), minlength=M) / 12
        loss.loss(x, generator())
        moved = 0.2 * e.min(1).values.mean() * (1 / M - share)
        torch.testing.assert_close(loss.price, moved - moved.mean())
        loss.price.copy_(torch.tensor([0.0, 1e6, 0.0]))  # as if chart 1 were paid for
        bought = loss.loss(x, generator()) - loss.lipschitz * 8 * loss._slopes()
        torch.testing.assert_close(bought, e[:, 1].mean() - atlas.psi(x)[:, 1].log().mean())
        loss.step.fill_(10)  # the next epoch: no prices
        before = loss.price.clone()
        said = (torch.softmax(-e, dim=1) * atlas.psi(x).log()).sum(1)
        plain = e.min(1).values.mean() - said.mean()
        torch.testing.assert_close(loss.loss(x, generator()), plain)
        assert torch.equal(loss.price, before)


def test_psi_names_the_best_chart():
    atlas, history = small("cae", epochs=120, lipschitz=1e-3)
    x = to_unit(torch.from_numpy(pictures()))
    with torch.no_grad():
        e = families.errors(x, atlas.networks.shown(atlas.encode_all(x)))
        said = atlas.chart_of(x)
    clear = e.sort(1).values[:, 1] > 1.5 * e.min(1).values
    assert clear.sum() > 20
    assert (said == e.argmin(1))[clear].double().mean() > 0.9
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    torch.testing.assert_close(atlas.weights, torch.bincount(said, minlength=M).double() / len(x))
    assert float(atlas.weights.max()) < 0.7  # no chart has nearly all


@pytest.mark.parametrize("networks", [SMALL, {"name": "conv", "h": 4}])
def test_the_start_gives_each_chart_a_region_of_one_piece(networks):
    """Spots on a circle, and their negatives: no chart has some of both."""
    side = 16 if networks["name"] == "conv" else SIDE
    images = torch.from_numpy(np.concatenate([pictures(side=side), 255 - pictures(side=side)]))
    atlas = atlas_of("cae", charts=4, side=side, networks=networks)
    start_apart(atlas, images, seed=0, steps=60)
    with torch.no_grad():
        said = [set(atlas.chart_of(to_unit(part)).tolist()) for part in images.split(96)]
    assert [len(each) for each in said] == [2, 2]
    assert not said[0] & said[1]


def test_the_start_leaves_out_what_is_too_small_for_a_chart():
    few = np.concatenate([pictures(200), 255 - pictures(12)])
    region = _regions_of(torch.from_numpy(few), M, 0)
    assert (np.bincount(region[:200], minlength=M) > 0).all()
    assert set(region[200:]) == {-1}
    same = np.repeat(pictures(1), 5, axis=0)
    assert len(_regions_of(torch.from_numpy(same), 5, 0)) == 5
    atlas = atlas_of("cae", charts=2)
    before = [p.clone() for p in atlas.parameters()]
    start_apart(atlas, torch.from_numpy(pictures(2)), seed=0, steps=1)
    assert any(not torch.equal(a, b) for a, b in zip(before, atlas.parameters(), strict=True))


def test_pruning_drops_what_is_not_needed():
    atlas = atlas_of("cae", 4)
    images = pictures(60)
    with torch.no_grad():
        atlas.networks.choice[-1].weight.zero_()
        atlas.networks.choice[-1].bias.copy_(torch.tensor([0.0, 5.0, 0.0, 0.0]))
    x = to_unit(torch.from_numpy(images))
    before = atlas.reconstruct(x)
    assert prune(atlas, images, tolerance=0.0) == [1]
    assert atlas.charts == 1
    torch.testing.assert_close(atlas.reconstruct(x), before)
    needed, _ = small("cae", epochs=60)
    before = needed.charted(pictures())[0]
    kept = prune(needed, pictures(), tolerance=0.0)
    assert set(before) <= set(kept)
    assert float(needed.weights.sum()) == pytest.approx(1)


def test_an_atlas_vae_of_one_chart_is_a_vae():
    atlas = atlas_of("vae", charts=1)
    x = to_unit(torch.from_numpy(pictures(9)))
    found = VAELoss(atlas, warmup=0, beta=0.7).loss(x, generator(4))
    mu, logvar = atlas.networks.codes(atlas.networks.features(x))[:, 0].split(D, dim=1)
    noise = torch.randn(9, 1, D, generator=generator(4))[:, 0]
    shown = atlas.decode(mu + noise * torch.exp(0.5 * logvar), 0)
    torch.testing.assert_close(found, vae_loss(x, shown, mu, logvar, 0.7))


def test_the_bound_is_below_the_likelihood_of_a_linear_gaussian():
    """One pixel, d = 1, three charts with lines for decoders: log p(x) by quadrature."""
    slopes, offsets = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.1, 0.0, -0.3])

    class Lines(nn.Module):
        def features(self, x):
            return x.flatten(1)

        def logits(self, features):
            return features * torch.tensor([[1.0, -0.5, 0.2]])

        def codes(self, features):
            mu = 0.3 * features[:, None].expand(-1, M, -1)
            return torch.cat((mu, torch.full_like(mu, -0.4)), dim=2)

        def shown(self, z):
            return (slopes[:, None] * z + offsets[:, None])[..., None, None]

    atlas = atlas_of("vae", d=1, side=1)
    atlas.networks = Lines()
    loss = VAELoss(atlas, warmup=0, mi=0.0)
    grid = torch.linspace(-9, 9, 6001, dtype=torch.float64)
    weight = torch.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi) * (grid[1] - grid[0])
    for value in (-1.2, 0.0, 0.9):
        mean = slopes[:, None] * grid + offsets[:, None]
        # the squared error in [-1, 1] is minus the log of a Gaussian of variance 1/2, unscaled
        evidence = math.log(float((torch.exp(-((value - mean) ** 2)) * weight).sum() / M))
        x = torch.full((20_000, 1, 1, 1), value)
        bound = -float(loss.loss(x, generator()))
        assert bound < evidence
        assert bound > evidence - 3


def test_the_information_is_of_the_charts_that_were_drawn():
    atlas = atlas_of("vae")
    loss = VAELoss(atlas, mi=1.0)
    with torch.no_grad():
        atlas.networks.choice[-1].weight.zero_()
        atlas.networks.choice[-1].bias.zero_()
        x = torch.zeros(50, 1, SIDE, SIDE)
        assert float(loss._information(x, generator())) == pytest.approx(0, abs=1e-6)
        atlas.networks.choice[-1].bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
        assert float(loss._information(x, generator())) < -1


def test_wae_players_get_their_own_gradients():
    atlas = atlas_of("wae")
    loss = seeded(lambda: WAELoss(atlas), 1)
    x = to_unit(torch.from_numpy(pictures(16)))
    encoders, adversary = loss.losses(x, generator())
    assert all(g is None for g in grads(encoders, loss.adversary.parameters()))
    encoders, adversary = loss.losses(x, generator())
    assert all(g is None for g in grads(adversary, atlas.parameters()))
    encoders, adversary = loss.losses(x, generator())
    for one in grads(encoders, atlas.parameters()):
        assert float(one.abs().sum()) > 0
    for one in grads(adversary, loss.adversary.parameters()):
        assert float(one.abs().sum()) > 0


@pytest.mark.parametrize("cost", ["wae", "l2"])
@pytest.mark.parametrize("charts", [1, M])
def test_the_wae_loss_is_written_out(cost, charts):
    atlas = atlas_of("wae", charts)
    loss = seeded(lambda: WAELoss(atlas, cost=cost, noise=0.0, lam=3.0), 1)
    x = to_unit(torch.from_numpy(pictures(16)))
    encoders, adversary = loss.losses(x, generator(5))
    drawing = generator(5)
    z, y = torch.randn(16, D, generator=drawing), torch.randint(charts, (16,), generator=drawing)
    psi, wanted, wanted_other = atlas.psi(x), 0.0, 0.0

    def told(z, y):
        marks = nn.functional.one_hot(y, charts).float() if charts > 1 else torch.zeros(len(z), 0)
        return loss.adversary(torch.cat((z, marks), 1))[:, 0]

    for chart in range(charts):
        code = atlas.encode(x, chart)
        gap = (atlas.decode(code, chart) - x).flatten(1)
        error = gap.square().sum(1)
        c = 0.05 * error / 4 if cost == "wae" else 0.2 * error.sqrt()
        t = told(code, torch.full((16,), chart))
        wanted = wanted + (psi[:, chart] * (c + 3 * torch.log1p(torch.exp(-t)))).mean()
        wanted_other = wanted_other + (psi[:, chart] * torch.log1p(torch.exp(t))).mean()
    wanted_other = wanted_other + torch.log1p(torch.exp(-told(z, y))).mean()
    torch.testing.assert_close(encoders, wanted)
    torch.testing.assert_close(adversary, wanted_other)


def test_who_learns_what_in_an_infogan():
    """L reaches trunk, psi and decoders, not the real-or-made head; no player moves another."""
    atlas = atlas_of("gan")
    loss = seeded(lambda: GANLoss(atlas), 1)
    x = to_unit(torch.from_numpy(pictures(16)))
    networks = atlas.networks
    decoders, trunk = networks.decoder_parameters(), list(networks.trunk.parameters())
    choice, head = list(networks.choice.parameters()), list(loss.told.parameters())
    assert len(decoders) + len(trunk) + len(choice) == len(list(atlas.parameters()))

    def reached(which):
        return [
            [
                g is not None and float(g.abs().sum()) > 0
                for g in grads(loss.losses(x, generator())[which], some)
            ]
            for some in (decoders, trunk, choice, head)
        ]

    generating, judging, chart = (reached(i) for i in range(3))
    assert all(generating[0])
    assert not any(generating[1] + generating[2] + generating[3])
    assert not any(judging[0] + judging[2])
    assert all(judging[1] + judging[3])
    assert all(chart[0] + chart[1] + chart[2])
    assert not any(chart[3])


def test_the_penalty_is_the_squared_slope_on_real_images():
    atlas = atlas_of("gan", charts=1)
    loss = seeded(lambda: GANLoss(atlas, gamma=0.5), 1)
    x = to_unit(torch.from_numpy(pictures(6)))
    loss.gamma = 0.0
    without = loss.losses(x, generator())[1]
    loss.gamma = 0.5
    with_it = [loss.losses(x, generator())[1]]
    loss.step += 1
    with_it.append(loss.losses(x, generator())[1])
    judge = lambda row: loss.told(atlas.networks.trunk(row[None]))[0, 0]  # noqa: E731
    slopes = torch.stack([torch.autograd.functional.jacobian(judge, row) for row in x])
    wanted = 4 * 0.25 * slopes.flatten(1).square().sum(1).mean()
    torch.testing.assert_close(with_it[0] - without, wanted, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(with_it[1], without)


def test_an_infogan_tells_three_blobs_apart():
    rng = np.random.default_rng(0)
    images = np.zeros((300, 1, 4, 4), np.uint8)
    blob = np.arange(300) % 3
    for i, (row, column) in enumerate(((0, 0), (0, 2), (2, 0))):
        images[blob == i, 0, row : row + 2, column : column + 2] = 200
    images += rng.integers(0, 20, images.shape, dtype=np.uint8)
    atlas, _ = train_infogan(images, 2, 3, networks=SMALL, epochs=60, batch_size=60, lr=5e-3,
                             discriminator_lr=5e-3)  # fmt: skip
    with torch.no_grad():
        z, y = atlas.draw(300, seed=1)
        said = atlas.psi(atlas.decode(z, y)).log().gather(1, y[:, None]).mean()
    assert float(said) > -0.5 * math.log(3)


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("kind", sorted(TRAINERS))
def test_a_stopped_run_ends_with_the_same_bits(kind, tmp_path, monkeypatch):
    """Stopped in the middle of an epoch, in every family, and taken up again."""
    learner = {"cae": ChartLoss, "vae": VAELoss, "wae": WAELoss, "gan": GANLoss}[kind]

    def train(**options):
        return small(kind, epochs=4, **options)

    check_a_stopped_run(train, learner, 8, tmp_path / "c", monkeypatch)


@pytest.mark.parametrize("kind", sorted(TRAINERS))
def test_convolutions_train_too(kind):
    images = pictures(40, 16)
    start = {"start_steps": 3} if kind == "cae" else {}
    atlas, history = TRAINERS[kind](images, d=D, charts=2, networks="conv", h=4, epochs=1,
                                    batch_size=20, val=images[:8], **start)  # fmt: skip
    assert math.isfinite(history.epochs[0]["val_loss"])
    assert atlas.sample(3).shape == (3, 1, 16, 16)


@pytest.mark.parametrize("kind", ["wae", "gan"])
def test_one_chart_is_the_plain_model(kind):
    atlas, _ = small(kind, charts=1)
    assert atlas.networks.choice is None
    assert atlas.sample(3).shape == (3, 1, SIDE, SIDE)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    small("wae", epochs=1, checkpoint=tmp_path / "c")
    with pytest.raises(FileError, match="its lam is 10"):
        small("wae", epochs=1, checkpoint=tmp_path / "c", lam=1.0)
    with pytest.raises(FileError, match="another run"):
        small("vae", epochs=1, checkpoint=tmp_path / "c")


@pytest.mark.parametrize("kind", sorted(TRAINERS))
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"charts": 0}, ValueError, "charts must be from 1 to 256"),
        ({"charts": 97}, ValueError, "96 images, 97 charts"),
        ({"d": 0}, ValueError, "d must be from 1"),
        ({"networks": "deep"}, ValueError, "unknown networks 'deep'; valid: dense, conv"),
        ({"networks": "dense", "h": 4}, ValueError, "have no setting 'h'"),
        ({"networks": "conv"}, ValueError, "divisible by 4 and at least 16, got 8"),
        ({"val": np.zeros((2, 1, 9, 9), np.uint8)}, ValueError, "val must be images like"),
        ({"epochs": 0}, ValueError, "epochs must be"),
    ],
)
def test_bad_arguments(kind, options, error, message):
    with pytest.raises(error, match=message):
        small(kind, **options)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("cae", {"temperature": 0.0}, "temperature must be above 0"),
        ("cae", {"balance": -1.0}, "balance must be a finite number"),
        ("cae", {"lipschitz": math.inf}, "lipschitz must be a finite number"),
        ("vae", {"beta": -1.0}, "beta must be"),
        ("vae", {"warmup": -1}, "warmup must be"),
        ("wae", {"cost": "l1"}, "unknown cost 'l1'; valid: wae, l2"),
        ("wae", {"lam": math.nan}, "lam must be"),
        ("gan", {"gamma": -1.0}, "gamma must be"),
    ],
)
def test_bad_settings(kind, options, message):
    with pytest.raises(ValueError, match=message):
        small(kind, **options)


def test_bad_images():
    with pytest.raises(TypeError, match="images must be uint8"):
        train_cae(pictures() / 255, D, M, epochs=1)
    with pytest.raises(ValueError, match="images must be square"):
        train_cae(pictures()[:, :, :4], D, M, epochs=1)
    with pytest.raises(ValueError, match="images must be images like those trained on"):
        atlas_of().charted(pictures(3, 16))


def test_the_papers_settings_are_data():
    assert PAPER["mnist"]["schedule"](26) == 0.25
    assert PAPER["fashion-mnist"]["schedule"](80) == 0.5**4
    assert json.dumps({k: v for k, v in PAPER["mnist"].items() if k != "schedule"})
    assert wae.COSTS == ("wae", "l2")
    assert vae.VAELoss is VAELoss
    assert gan.GANLoss is GANLoss
