"""Images whose topology nobody knows: generators with charts and without, on one footing.

The families of the topology experiments, of dense networks of equal width, and GTNs on latents, on
clusters of latents and on charts. Scores are on the features of a classifier.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_fast import plots
from gtn_fast.experiments import image_data, images
from gtn_fast.experiments.report import Notes
from gtn_fast.experiments.topology_models import (
    EPOCHS_OF_GTN,
    Model,
    diffusion,
    gaussian,
    gtn_on,
    trained,
)
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training.seeds import derive
from gtn_fast.metrics.coverage import prdc
from gtn_fast.vision.tensors import batches

Array = NDArray[Any]

D, D_OF_CHARTS, CHARTS = 8, 7, 8
LIMIT, SCORED = 15_000, 3_000


def experiment(notes: Notes, spec: str) -> None:
    """Train every model and score its samples."""
    plan = image_data.resolved(spec, notes)
    notes.options.setdefault("limit", 300 if notes.quick else LIMIT)
    train, test = image_data.load(plan, notes)
    scorer = images.judge(plan, train, test, notes)
    real = test.images[:SCORED]
    seen, count = _features(scorer, real), len(real)
    sets = {"training images": train.images[:count]}
    notes.numbers["rows"] = {}
    for model in _models(train.images, notes):
        sets[model.name] = model.sample(count, derive(notes.seed, "samples"))
        notes.numbers.setdefault("training", {})[model.name] = model.seconds
    for name, made in sets.items():
        found = prdc(seen, _features(scorer, made), seed=notes.seed)
        scores = scorer.distance(real, made), scorer.score(made), *found.values()
        notes.numbers["rows"][name] = scores
        notes.line(f"{name}: FID / IS / precision / recall / density / coverage",
                   " / ".join([f"{scores[0]:.1f}", *(f"{each:.2f}" for each in scores[1:])]),
                   "")  # fmt: skip
    notes.draw(plots.labelled_grids([(k, made[:25]) for k, made in sets.items()], 5), "samples")


def _models(data: Array, notes: Notes) -> Iterator[Model]:
    """Yield every model as soon as it is trained."""
    charts = notes.options.get("charts", CHARTS)
    yield trained("VAE", "VAE", D, 1, data, notes)
    ae = trained("CAE", "AE + Gaussian", D, 1, data, notes)
    ae.sample = gaussian(ae.atlas, data)
    yield ae
    yield gtn_on("AE + GTN", "single", ae, data, notes)
    yield _clustered(ae, charts, data, notes)
    yield trained("WAE", "WAE-GAN", D, 1, data, notes)
    cae = trained("CAE", "CAE, its own prior", D_OF_CHARTS, charts, data, notes)
    yield cae
    yield gtn_on("Atlas GTN on CAE", "ours", cae, data, notes)
    wae = trained("WAE", "Atlas WAE-GAN, its own prior", D_OF_CHARTS, charts, data, notes)
    yield wae
    yield gtn_on("Atlas GTN on Atlas WAE-GAN", "ours", wae, data, notes)
    yield trained("VAE", "Atlas VAE", D_OF_CHARTS, charts, data, notes)
    yield trained("GAN", "InfoGAN", D_OF_CHARTS, charts, data, notes)
    if "ddpm_epochs" in notes.options:
        yield diffusion(data, notes)


def _clustered(ae: Model, components: int, data: Array, notes: Notes) -> Model:
    """Train one GTN on the autoencoder's latents, clustered."""
    name = f"AE + GTN, {components} components"
    _, z = ae.atlas.charted(data)
    gtn, began = GTN(ae.atlas.d, components=components, device=notes.device), time.perf_counter()
    with notes.timed(f"training {name}"):
        gtn.fit(z, seed=derive(notes.seed, name), threads=notes.threads, progress=False,
                epochs=1 if notes.quick else EPOCHS_OF_GTN)  # fmt: skip

    def sample(n: int, seed: int) -> Array:
        z = torch.from_numpy(gtn.sample(n, seed))
        return ae.atlas.decode_to_bytes(z, torch.zeros(n, dtype=torch.int64)).numpy()

    return Model(name, "single", ae.atlas, ae.seconds + time.perf_counter() - began, sample)


@torch.no_grad()
def _features(scorer: images.Judge, made: Array) -> Array:
    network = scorer.network
    parts = [network.features(part) for part in batches(torch.from_numpy(made), 512)]
    return np.asarray(torch.cat(parts).numpy())
