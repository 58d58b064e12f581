"""AtlasGTN: a GTN on every chart, its draws, its file."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from gtn_fast.atlas import files
from gtn_fast.atlas import gtn as atlas_gtn
from gtn_fast.atlas.gtn import AtlasGTN
from gtn_fast.atlas.model import Atlas, NetworkAtlas, chart_numbers
from gtn_fast.inputs.files import FileError
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import load_tensors, save_tensors
from gtn_fast.vision.tensors import to_unit

SMALL = {"layers": 2, "width": 16, "batch_norm_layers": 0}


class Pixels(Atlas):
    """Images of 1 x 2 x 2: two charts, for the first pixel above and below 0; z: both below it."""

    kind = "pixels"

    def __init__(self, d=2):
        super().__init__(d, 2, 1, 2)

    def psi(self, x):
        return torch.softmax(torch.stack((8 * x[:, 0, 0, 0], -8 * x[:, 0, 0, 0]), 1), 1)

    def encode(self, x, y):
        chart_numbers(y, x, 2)
        return x.flatten(1)[:, 2 : 2 + self.d]

    def decode(self, z, y):
        y = chart_numbers(y, z, 2)
        first = torch.where(y == 0, 1.0, -1.0)[:, None] * (1 - 0.9 * (z[:, :1] > 0.8))
        rest = torch.nn.functional.pad(z, (0, 2 - self.d))
        return torch.cat((first, torch.zeros_like(first), rest), 1).reshape(-1, 1, 2, 2)


def images(n=1200, d=2, seed=0, share=0.25):
    """A ring in chart 1 (a quarter), a square in chart 0; uint8."""
    rng = np.random.default_rng(seed)
    made = np.zeros((n, 4))
    ring = np.arange(n) < share * n
    made[:, 0] = np.where(ring, -1, 1)
    t = rng.random(n) * 2 * np.pi
    made[:, 2:] = np.where(ring[:, None], 0.5 * np.column_stack((np.cos(t), np.sin(t))),
                           rng.uniform(-0.6, 0.6, (n, 2)))  # fmt: skip
    if d == 1:
        made[:, 3] = 0
    return np.rint((made + 1) * 127.5).astype(np.uint8).reshape(-1, 1, 2, 2)


@pytest.fixture(scope="module")
def fitted():
    made = AtlasGTN(Pixels(), **SMALL)
    histories = made.fit(images(), seed=3, epochs=20, progress=False)
    assert [len(h.epochs) for h in histories] == [20, 20]
    return made


def test_each_chart_is_the_gtn_of_its_own_latents(fitted):
    """The same as a GTN fitted by hand, its source the normals of the draw."""
    y, z = fitted.charted(images())
    assert torch.equal(fitted.weights, torch.tensor([0.75, 0.25], dtype=torch.float64))
    for chart in (0, 1):
        own = z[y == chart]
        preset = {**SMALL, "rays": min(100, len(own) // 25)}
        from gtn_fast import GTN

        plain = GTN(2, **preset)
        plain.fit(own, seed=derive(3, f"chart {chart}"), epochs=20, progress=False)
        u = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
        found = fitted.prior(u, torch.full((7,), chart))
        np.testing.assert_array_equal(found.numpy(), plain.transform(u.numpy()))


def test_it_is_an_atlas_whose_maps_are_the_atlases_own(fitted):
    x = torch.rand(9, 1, 2, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    plain = fitted.atlas
    for name in ("psi", "encode_all", "chart_of", "reconstruct"):
        assert torch.equal(getattr(fitted, name)(x), getattr(plain, name)(x)), name
    assert torch.equal(fitted.encode(x, 1), plain.encode(x, 1))
    assert torch.equal(fitted.decode(x.flatten(1)[:, 2:], 0), plain.decode(x.flatten(1)[:, 2:], 0))


def test_draws_are_rows_of_their_seed_in_the_charts_shares(fitted):
    z, y = fitted.draw(3000, seed=5)
    again = fitted.draw(10, seed=5)
    torch.testing.assert_close(again[0], z[:10])  # of networks: up to rounding
    assert torch.equal(again[1], y[:10])
    assert float((y == 0).double().mean()) == pytest.approx(0.75, abs=0.03)
    ring = z[y == 1].norm(dim=1)
    assert float((ring > 0.25).double().mean()) > 0.7
    assert fitted.draw(4, chart=1)[1].tolist() == [1] * 4
    assert fitted.sample(3, seed=5).shape == (3, 1, 2, 2)


def test_what_psi_takes_for_another_charts_is_drawn_again(fitted, monkeypatch):
    def wrong(z, y):  # where the first coordinate is above 0, the other chart answers
        return torch.where(z[:, 0] > 0, 1 - y, y)

    monkeypatch.setattr(fitted, "_said_by", wrong)
    fitted.consistent = False
    before = fitted.draw(500, seed=2)
    fitted.consistent = True
    z, y = fitted.draw(500, seed=2)
    right = wrong(*before) == before[1]
    assert 0.2 < right.double().mean() < 0.8
    assert torch.equal(z[right], before[0][right])
    assert (wrong(z, y) == y).double().mean() > 0.99


@pytest.mark.parametrize(("d", "method", "rays"), [(1, "rank", None), (2, "auto", 36)])
def test_what_is_left_open_goes_by_the_dimension(d, method, rays):
    made = AtlasGTN(Pixels(d), **SMALL)
    made.fit(images(d=d), epochs=1, progress=False)
    assert made.gtns[0].preset.method == method
    assert made.gtns[0].preset.rays == rays
    told = AtlasGTN(Pixels(d), **SMALL, **({"method": "auto"} if d == 1 else {"rays": 7}))
    told.fit(images(d=d), epochs=1, progress=False)
    assert told.gtns[0].preset.method == "auto"
    assert told.gtns[0].preset.rays == (None if d == 1 else 7)


def test_a_chart_of_few_images_draws_them_again():
    made = AtlasGTN(Pixels(), **SMALL)
    with pytest.warns(UserWarning, match="charts 1 have fewer than 50 images"):
        histories = made.fit(images(share=0.03), epochs=1, progress=False)
    assert histories[1] is None
    z, y = made.draw(2000, seed=1)
    own = made.charted(images(share=0.03))[1][:36]
    drawn = z[y == 1].numpy()
    assert len(drawn) > 30
    assert {tuple(row) for row in drawn} <= {tuple(row) for row in own}
    assert len({tuple(row) for row in drawn}) > 15


def test_an_empty_chart_is_never_drawn():
    made = AtlasGTN(Pixels(), **SMALL)
    made.fit(images(share=0), epochs=1, progress=False)
    assert made.draw(100)[1].tolist() == [0] * 100
    with pytest.raises(ValueError, match="chart 1 has no images"):
        made.draw(3, chart=1)


def test_validation_stops_each_chart_by_itself():
    made = AtlasGTN(Pixels(), **SMALL)
    histories = made.fit(images(), images(200, seed=1), epochs=3, patience=2, progress=False)
    assert all("val_loss" in h.epochs[0] for h in histories)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "samples of this GTN are farther")
        only = AtlasGTN(Pixels(), **SMALL).fit(images(), images(200, share=0), epochs=2,
                                               patience=1, progress=False)  # fmt: skip
    assert "val_loss" in only[0].epochs[0]
    assert "val_loss" not in only[1].epochs[0]


# ------------------------------------------------------------------ files


@pytest.fixture(scope="module")
def learned():
    """One over networks, with a chart that has no GTN."""
    settings = {"name": "dense", "width": 8, "embed": 6, "chart": 6}
    atlas = seeded(lambda: NetworkAtlas("wae", 2, 3, 1, 2, settings), 0).eval()
    with torch.no_grad():  # a psi that gives chart 0 six tenths of the images, chart 1 the others
        features = atlas.networks.features(to_unit(torch.from_numpy(images())))
        last = atlas.networks.choice[-1]
        seen = atlas.networks.choice[:-1](features)[:, 0]
        last.weight.zero_()
        last.weight[0, 0], last.weight[1, 0] = 1e6, -1e6
        last.bias.copy_(1e6 * seen.quantile(0.4) * torch.tensor([-1, 1, 0]))
    made = AtlasGTN(atlas, **SMALL)
    counts = np.bincount(made.charted(images())[0], minlength=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.fit(images(), epochs=2, progress=False, min_points=int(counts.max()))
    assert made.latents
    assert any(gtn is not None for gtn in made.gtns)
    return made


def test_it_comes_back_from_its_file(learned, tmp_path):
    learned.save(tmp_path / "a", {"a": 1})
    for again in (AtlasGTN.load(tmp_path / "a"), files.load_atlas(tmp_path / "a")):
        assert torch.equal(learned.sample(50, seed=4), again.sample(50, seed=4))
        assert again.consistent
        assert isinstance(again, AtlasGTN)
    learned.atlas.save(tmp_path / "b")
    assert isinstance(files.load_atlas(tmp_path / "b"), NetworkAtlas)
    learned.save(tmp_path / "a")  # its own kind is replaced
    with pytest.raises(FileError, match="is there already"):
        learned.save(tmp_path / "b")
    with pytest.raises(FileError, match="is an atlas, wanted an atlas GTN"):
        AtlasGTN.load(tmp_path / "b")


def test_a_file_that_is_not_whole_is_refused(learned, tmp_path):
    learned.save(tmp_path / "a")
    tensors, meta = load_tensors(tmp_path / "a", atlas_gtn.KIND)
    has = next(i for i, gtn in enumerate(learned.gtns) if gtn is not None)
    lacks = next(iter(learned.latents))

    def without(name):
        return {key: value for key, value in tensors.items() if not key.startswith(name)}

    for some, about in (
        (tensors, {**meta, "charts": meta["charts"][:2]}),
        (tensors, {key: value for key, value in meta.items() if key != "atlas"}),
        (without(f"chart{has}/model"), meta),
        (without(f"latents{lacks}"), meta),
        (without("atlas/networks"), meta),
        ({**tensors, "weights": tensors["weights"] * 2}, meta),
        ({**tensors, "weights": tensors["weights"][:2]}, meta),
        ({**tensors, f"latents{lacks}": torch.zeros(3, 5)}, meta),
    ):
        save_tensors(tmp_path / "b", atlas_gtn.KIND, some, about)
        with pytest.raises(FileError, match="not a whole atlas GTN"):
            AtlasGTN.load(tmp_path / "b")


def test_what_cannot_be_saved(fitted, tmp_path):
    with pytest.raises(TypeError, match="only a NetworkAtlas can be saved, got Pixels"):
        fitted.save(tmp_path / "a")
    with pytest.raises(ValueError, match="has not learned anything yet"):
        AtlasGTN(Pixels()).save(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_bad_arguments(fitted):
    with pytest.raises(TypeError, match="atlas must be an Atlas, got dict"):
        AtlasGTN({})
    settings = {"name": "dense", "width": 4, "embed": 4, "chart": 4}
    with pytest.raises(TypeError, match=r"\(gan\) has no encoders F_y"):
        AtlasGTN(NetworkAtlas("gan", 2, 2, 1, 2, settings))
    with pytest.raises(ValueError, match="has not learned anything yet"):
        AtlasGTN(Pixels()).draw(3)
    with pytest.raises(ValueError, match="a preset has no field 'depth'"):
        AtlasGTN(Pixels(), depth=3)
    with pytest.raises(TypeError, match="takes no checkpoint"):
        AtlasGTN(Pixels()).fit(images(), checkpoint="c")
    with pytest.raises(ValueError, match="images must be images like"):
        AtlasGTN(Pixels()).fit(np.zeros((9, 1, 3, 3), np.uint8))
    before = fitted.weights.clone()
    with pytest.raises(ValueError, match="epochs must be"):
        fitted.fit(images(), epochs=0)
    assert torch.equal(fitted.weights, before)
    assert not math.isnan(float(fitted.draw(3)[0].sum()))
