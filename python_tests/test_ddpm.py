"""Diffusion in pixels: the U-Net, exact cases of noising and denoising, training, files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_cases import check_a_stopped_run
from torch import nn

from gtn_fast.atlas import ddpm
from gtn_fast.atlas.ddpm import DDPM, Learner, great_circle, train_ddpm
from gtn_fast.atlas.files import load_atlas
from gtn_fast.atlas.model import NetworkAtlas
from gtn_fast.inputs.files import FileError
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import load_tensors, save_tensors
from gtn_fast.sample import normal
from gtn_fast.system.openmp import torch_threads
from gtn_fast.vision.tensors import to_bytes, to_unit
from gtn_fast.vision.unet import UNet

SIDE, WIDTHS = 8, (8, 16)


@pytest.fixture(autouse=True)
def one_thread():
    """Layers as small as these take many times as long on two threads of a busy machine."""
    with torch_threads(1):
        yield


def pictures(n=64, seed=0):
    """A bright spot on a circle: uint8 (n, 1, 8, 8)."""
    t = np.random.default_rng(seed).random(n) * 2 * np.pi
    u = np.arange(SIDE) - 3.5
    near = (u[None, None] - 2 * np.cos(t)[:, None, None]) ** 2
    near = near + (u[None, :, None] - 2 * np.sin(t)[:, None, None]) ** 2
    return np.rint(255 * np.exp(-near / 3)).astype(np.uint8)[:, None]


def small(**options):
    given = {"steps": 20, "jumps": 5, "widths": WIDTHS, "epochs": 3, "batch_size": 16}
    return train_ddpm(pictures(), **{**given, **options})


def model(**options):
    made = seeded(
        lambda: DDPM(1, SIDE, **{"steps": 20, "widths": WIDTHS, "jumps": 20, **options}), 0
    )
    return made.eval()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Known(nn.Module):
    """The v of noised normals of this mean and deviation, exactly."""

    def __init__(self, of: DDPM, mean: torch.Tensor, std: float) -> None:
        super().__init__()
        self.kept, self.mean, self.variance = of.alpha_bar, mean, std**2

    def forward(self, x, t):
        kept = self.kept[t].view(-1, 1, 1, 1)
        surprise = (x - kept.sqrt() * self.mean) / (kept * self.variance + 1 - kept)
        noise = (1 - kept).sqrt() * surprise
        clean = self.mean + kept.sqrt() * self.variance * surprise
        return kept.sqrt() * noise - (1 - kept).sqrt() * clean


# ------------------------------------------------------------------ the network


@pytest.mark.parametrize(("side", "patch"), [(8, 1), (8, 2), (7, 1), (28, 2), (14, 2)])
def test_the_network_answers_with_images_as_large(side, patch):
    network = seeded(lambda: UNet(3, side, WIDTHS, patch), 0)
    x = torch.randn(2, 3, side, side, generator=generator())
    assert torch.equal(network(x, torch.tensor([0, 7])), torch.zeros_like(x))  # as it begins
    nn.init.normal_(network.close[-1].weight, generator=generator(1))
    first, second = (network(x, torch.tensor([t, t])) for t in (0, 7))
    assert first.shape == x.shape
    assert not torch.equal(first, second)  # it is told the time
    torch.testing.assert_close(network(x[:1], torch.tensor([0])), first[:1], atol=1e-3, rtol=0)


def test_every_weight_of_the_network_learns():
    network = seeded(lambda: UNet(1, 8, WIDTHS, 2), 0)
    nn.init.normal_(network.close[-1].weight, generator=generator(1))
    network(torch.randn(4, 1, 8, 8), torch.arange(4)).square().sum().backward()
    assert all(each.grad is not None and each.grad.any() for each in network.parameters())


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"widths": (12,)}, "multiples of 8"),
        ({"widths": ()}, "multiples of 8"),
        ({"patch": 3}, "must divide the side"),
        ({"steps": 1}, "steps"),
        ({"jumps": 21}, "jumps"),
    ],
)
def test_sizes_that_make_no_network_are_named(sizes, message):
    with pytest.raises(ValueError, match=message):
        model(**sizes)


# ------------------------------------------------------------------ what is known exactly


def test_data_of_one_image_are_made_exactly():
    made, image = model(jumps=7), to_unit(torch.from_numpy(pictures(1)))
    made.network = Known(made, image, 0.0)
    z, y = made.draw(3, seed=1)
    torch.testing.assert_close(made.decode(z, y), image.expand(3, -1, -1, -1), atol=1e-5, rtol=0)
    assert torch.equal(made.sample(3, seed=1), torch.from_numpy(pictures(1)).expand(3, -1, -1, -1))


def test_normal_data_are_shifted_and_scaled_noise():
    """Of normals with mean m and deviation s, DDIM's flow ends at m + s z; encode leads back."""
    made = model(steps=1000, jumps=1000)
    mean = torch.linspace(-0.3, 0.3, SIDE**2).view(1, SIDE, SIDE)
    made.network = Known(made, mean, 0.1)
    z, y = made.draw(4, seed=2)
    x = made.decode(z, y)
    torch.testing.assert_close(x, mean + 0.1 * z.view(4, 1, SIDE, SIDE), atol=0.01, rtol=0)
    torch.testing.assert_close(made.encode(x), z, atol=0.1, rtol=0)
    torch.testing.assert_close(made.reconstruct(x), x, atol=0.01, rtol=0)


def test_rows_depend_on_seed_and_place_alone():
    made = model()
    assert torch.equal(made.sample(5, seed=4)[:2], made.sample(2, seed=4))
    assert not torch.equal(made.sample(2, seed=4), made.sample(2, seed=5))
    assert torch.equal(made.psi(torch.zeros(3, 1, SIDE, SIDE)), torch.ones(3, 1))


def test_noised_ways_of_normal_data_are_mixed_as_noised():
    """Of normals m + s z, what is denoised from sqrt(k) x + sqrt(1 - k) e is known, and linear."""
    made, images, std = model(steps=1000, jumps=1000), pictures(4), 0.3
    made.network = Known(made, torch.zeros(1, SIDE, SIDE), std)
    ways = made.interpolate(images[:2], images[2:], 5, t=0.5, seed=3)
    assert ways.shape == (2, 5, 1, SIDE, SIDE)
    kept = made.alpha_bar[499]
    noise = torch.from_numpy(normal(derive(3, "noised ways"), 0, 2, SIDE**2)).view(2, 1, SIDE, SIDE)
    ends = [to_unit(torch.from_numpy(each)) for each in (images[:2], images[2:])]
    for place, share in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        mixed = kept.sqrt() * torch.lerp(*ends, share) + (1 - kept).sqrt() * noise
        wanted = to_bytes(std * mixed / (kept * std**2 + 1 - kept).sqrt())
        assert (ways[:, place].int() - wanted.int()).abs().max() <= 2
    assert not torch.equal(ways, made.interpolate(images[:2], images[2:], 5, t=0.5, seed=4))


def test_inverted_ways_pass_through_their_ends():
    made, images = model(steps=500, jumps=500), pictures(4)
    made.network = Known(made, torch.zeros(1, SIDE, SIDE), 0.5)
    ways = made.interpolate(images[:2], images[2:], 6, way="inverted").numpy().astype(int)
    assert np.abs(ways[:, 0] - images[:2]).max() <= 4
    assert np.abs(ways[:, -1] - images[2:]).max() <= 4
    assert np.abs(np.diff(ways, axis=1)).max() > 4


def test_a_great_circle_keeps_the_norm():
    a, b = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [2.0, 2.0]])
    way = great_circle(a, b, 3)
    torch.testing.assert_close(way[0], torch.tensor([[2, 0], [2**0.5, 2**0.5], [0, 2]]))
    torch.testing.assert_close(way[1], torch.tensor([[1, 1], [1.5, 1.5], [2, 2]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"way": "straight"}, "valid: noised, inverted"),
        ({"t": 0.0}, "t must be"),
        ({"t": 1.5}, "t must be"),
        ({"steps": 1}, "steps"),
        ({"ends": pictures(3)}, "2 starts and 3 ends"),
        ({"ends": pictures(2)[..., :7]}, "square"),
    ],
)
def test_ways_that_make_no_sense_are_refused(change, message):
    given = {"starts": pictures(2), "ends": pictures(2), **change}
    with pytest.raises(ValueError, match=message):
        model().interpolate(**given)


# ------------------------------------------------------------------ training


def test_what_is_kept_is_the_average_that_was_judged():
    """And it beats a network that answers 0."""
    made, history = small(epochs=40, val=pictures(32, seed=1), lr=4e-3)
    x = to_unit(torch.from_numpy(pictures(32, seed=1)))
    nothing, kept = (
        float(Learner(each).eval().loss(x, generator(derive(0, "validation"))))
        for each in (model(), made)
    )
    best = min(epoch["val_loss"] for epoch in history.epochs)
    assert kept == pytest.approx(best, rel=1e-4)
    assert kept < 0.8 * nothing


def test_the_average_forgets_its_first_weights():
    learner = Learner(model())
    first = [each.clone() for each in learner.average.module.parameters()]
    with torch.no_grad():
        for each in learner.network.parameters():
            each.add_(1)
    for _ in range(200):
        learner.average.update_parameters(learner.network)
    for before, now in zip(first, learner.average.module.parameters(), strict=True):
        torch.testing.assert_close(now, before + 1, atol=1e-3, rtol=0)


def test_a_stopped_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    """Stopped in the middle of an epoch, and taken up again."""

    def train(**options):
        return small(epochs=4, **options)

    check_a_stopped_run(train, Learner, 10, tmp_path / "c", monkeypatch)
    with pytest.raises(FileError, match="another run"):
        small(epochs=4, checkpoint=tmp_path / "c", steps=30)


def test_a_run_is_a_function_of_its_seed():
    before = torch.random.get_rng_state()
    one, two, other = (small(epochs=1, seed=seed)[0].sample(2) for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


# ------------------------------------------------------------------ files


def test_a_file_gives_the_same_model_back(tmp_path):
    made, _ = small(epochs=1)
    made.save(tmp_path / "d.safetensors", {"of": "spots"})
    again = load_atlas(tmp_path / "d.safetensors")
    assert isinstance(again, DDPM)
    assert torch.equal(made.sample(3), again.sample(3))
    assert load_tensors(tmp_path / "d.safetensors", ddpm.KIND)[1]["extra"] == {"of": "spots"}


def test_other_files_are_refused(tmp_path):
    made = model()
    path = tmp_path / "d.safetensors"
    with pytest.raises(FileError, match="no such file"):
        DDPM.load(path)
    for change, message in (
        ({"steps": 30}, "promises"),
        ({"widths": [8, 8]}, "promises"),
        ({"jumps": 0}, "jumps"),
        ({"patch": None}, "patch"),
    ):
        save_tensors(path, ddpm.KIND, made.state_dict(), {**made.about(), **change})
        with pytest.raises(FileError, match=message):
            DDPM.load(path)
    save_tensors(path, ddpm.KIND, {**made.state_dict(), "alpha_bar": torch.rand(20)}, made.about())
    with pytest.raises(FileError, match="schedule"):
        DDPM.load(path)
    made.save(path)
    with pytest.raises(FileError, match="is a DDPM, wanted an atlas"):
        NetworkAtlas.load(path)
