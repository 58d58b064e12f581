"""Learning beside other threads: the same weights, and nothing of the program's is touched."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from gtn_fast.learn.diffusion import train_diffusion
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training.generators import DrawingFrom, seeded
from gtn_fast.learn.training.loop import train
from gtn_fast.metrics import inception_score
from gtn_fast.system import openmp
from gtn_fast.vision.autoencoder import train_autoencoder
from gtn_fast.vision.classifier import Classifier, train_classifier
from gtn_fast.vision.vae import VAE, train_vae

X = np.random.default_rng(0).standard_normal((600, 3)).astype(np.float32)
IMAGES = torch.randint(256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator())
CLASSES = np.arange(40) % 3


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@contextmanager
def beside(work):
    """Other threads do ``work``, over and over."""
    stop = threading.Event()

    def go():
        while not stop.wait(0.0005):  # or nobody else gets to run
            work()

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def drawing():
    torch.rand(3)
    torch.manual_seed(5)


def fit(seed=1):
    gtn = GTN(3, "uniform", layers=2, width=16)
    gtn.fit(X, X[:50] + 1, seed=seed, epochs=2, progress=False, threads=1)
    return gtn.model


FITS = {
    "GTN": fit,
    "mixture": lambda: _mixture(),
    "autoencoder": lambda: train_autoencoder(IMAGES, 2, epochs=2, batch_size=8, progress=False)[0],
    "VAE": lambda: train_vae(
        IMAGES, 2, val=IMAGES, epochs=2, batch_size=8, progress=False, patience=9
    )[0],
    "classifier": lambda: train_classifier(IMAGES, CLASSES, epochs=2, batch_size=8, progress=False)[
        0
    ],
    "diffusion": lambda: train_diffusion(X, epochs=2, batch_size=100, width=8, progress=False)[0],
}


def _mixture():
    gtn = GTN(3, "uniform", layers=2, width=16, components=2)
    gtn.fit(X, seed=1, epochs=2, progress=False, threads=1)
    return gtn.model


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", sorted(FITS))
@pytest.mark.parametrize("other", [drawing, lambda: fit(seed=7)], ids=["drawing", "fitting"])
def test_the_same_weights_whatever_other_threads_do(native, name, other):
    alone = FITS[name]()
    with beside(other):
        for _ in range(3):
            assert same(FITS[name](), alone)


@pytest.mark.parametrize("name", sorted(FITS))
def test_torchs_own_generator_is_not_even_used_for_a_while(native, name):
    """Another thread that draws from it gets its own numbers meanwhile."""
    before = torch.get_rng_state()
    seen = []
    with beside(lambda: seen.append(torch.equal(torch.get_rng_state(), before))):
        FITS[name]()
    assert len(seen) > 10
    assert all(seen)
    assert torch.equal(torch.get_rng_state(), before)


def test_inception_score_beside_other_threads(native):
    network = seeded(lambda: Classifier(1, 8, 3), 3)
    alone = inception_score(IMAGES, network, splits=4, seed=1)
    assert alone != inception_score(IMAGES, network, splits=4, seed=2)
    with beside(drawing):
        for _ in range(20):
            assert inception_score(IMAGES, network, splits=4, seed=1) == alone


def everything():
    layers = [nn.Linear(3, 4), nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 3, 4), nn.BatchNorm2d(3)]
    layers += [nn.Embedding(3, 4), nn.LSTM(3, 4), nn.MultiheadAttention(4, 2), nn.Bilinear(2, 3, 4)]
    return nn.ModuleList(layers)


@pytest.mark.parametrize("build", [everything, lambda: VAE(1, 8, 3), lambda: Classifier(1, 8, 3)])
def test_weights_are_those_that_torch_draws(build):
    """As before generators were our own: a seed keeps its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2**63 + 5)
        expected = build()
    assert same(seeded(build, 2**63 + 5), expected)


def test_all_that_draws_draws_from_it():
    draws = {
        "rand": lambda: torch.rand(4),
        "randn": lambda: torch.randn(4),
        "randint": lambda: torch.randint(9, (4,)),
        "randperm": lambda: torch.randperm(9),
        "normal": lambda: torch.normal(torch.zeros(4), 1.0),
        "bernoulli": lambda: torch.bernoulli(torch.full((9,), 0.5)),
        "multinomial": lambda: torch.multinomial(torch.ones(9), 3),
        "normal_": lambda: torch.zeros(4).normal_(),
        "uniform_": lambda: torch.zeros(4).uniform_(),
        "exponential_": lambda: torch.zeros(4).exponential_(),
        "xavier": lambda: nn.init.xavier_normal_(torch.zeros(3, 3)),
        "orthogonal": lambda: nn.init.orthogonal_(torch.zeros(3, 3)),
        "trunc": lambda: nn.init.trunc_normal_(torch.zeros(9)),
    }
    before = torch.get_rng_state()
    for name, draw in draws.items():
        with DrawingFrom(torch.Generator().manual_seed(3)):
            one, two = draw(), draw()
        with DrawingFrom(torch.Generator().manual_seed(3)):
            assert torch.equal(draw(), one), name
        assert not torch.equal(one, two), name
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            assert torch.equal(draw(), one), name
    assert torch.equal(torch.get_rng_state(), before)
    mine = torch.Generator().manual_seed(4)
    with DrawingFrom(torch.Generator().manual_seed(3)):
        assert torch.equal(
            torch.rand(3, generator=mine), torch.rand(3, generator=mine.manual_seed(4))
        )


def test_a_loss_that_draws_gets_a_generator():
    seen = []

    def loss(model, rows, generator):
        seen.append(float(torch.rand((), generator=generator)))
        return model(rows).square().mean()

    def run(**options):
        seen.clear()
        model, data = seeded(lambda: nn.Linear(3, 1), 0), [torch.from_numpy(X)]
        how = {"epochs": 2, "batch_size": 300, "lr": 1e-3, "progress": False}
        train(model, loss, data, draws=True, **how, **options)
        return list(seen)

    first = run()
    assert len(set(first)) == 4
    assert run() == first
    assert run(seed=1) != first
    before = torch.get_rng_state()
    run()
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------------ torch's number of threads


@pytest.fixture
def two_threads(one_torch_thread):
    torch.set_num_threads(2)


def in_new_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_one_thread_for_us_is_not_one_for_others(two_threads, monkeypatch):
    """torch.set_num_threads counts for threads that begin later, too."""
    monkeypatch.setattr(openmp, "available_cpus", lambda: 8)
    with openmp.torch_threads(1):
        assert torch.get_num_threads() == 1
        assert in_new_thread(torch.get_num_threads) == 2

        def inner():
            with openmp.torch_threads(1):
                return torch.get_num_threads()

        assert in_new_thread(inner) == 1
        assert in_new_thread(torch.get_num_threads) == 2
    assert torch.get_num_threads() == 2
    assert in_new_thread(torch.get_num_threads) == 2


def test_no_more_threads_than_cpus_by_default(two_threads, monkeypatch):
    monkeypatch.setattr(openmp, "available_cpus", lambda: 1)
    with openmp.torch_threads():
        assert torch.get_num_threads() == 1
    with openmp.torch_threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2
