"""The models of the topology experiments: one latent space, and atlases, of equal width.

Each is trained for about as long; how many epochs that is, is fixed, so that a run is a function
of its seed. Diffusion in pixels, which has neither, is trained where it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.atlas.cae import train_cae
from gtn_fast.atlas.ddpm import DDPM, WAYS, WIDTHS, train_ddpm
from gtn_fast.atlas.gan import train_infogan
from gtn_fast.atlas.geodesics import LatentGraph, NoPath
from gtn_fast.atlas.gtn import AtlasGTN
from gtn_fast.atlas.model import Atlas
from gtn_fast.atlas.vae import train_atlas_vae
from gtn_fast.atlas.wae import train_wae
from gtn_fast.experiments.report import Notes
from gtn_fast.learn.training.seeds import derive
from gtn_fast.manifolds import Manifold
from gtn_fast.vision.tensors import to_bytes, to_unit

Array = NDArray[Any]

CHARTS = {"circle": 4, "two-circles": 4}
MORE_CHARTS = 8
_TRAINERS = {"CAE": train_cae, "VAE": train_atlas_vae, "WAE": train_wae, "GAN": train_infogan}
# About as many epochs for the CAE as with one chart; all charts are decoded at every step, so the
# other atlases get fewer, for an experiment that ends within 15 minutes on two cores.
_EPOCHS = {"CAE": 32, "VAE": 5, "WAE": 5, "GAN": 16}
_EPOCHS_OF_ONE = {"CAE": 30, "VAE": 30, "WAE": 24, "GAN": 24}
EPOCHS_OF_GTN = 30
DIFFUSION = "DDPM in pixels"
_JUMPS = 25  # of a DDPM
_GRAPH = 2_000  # images that a graph is built of
_SURE = 0.8  # of 1 / charts: psi above which an image has a node in a chart; chosen on the torus


@dataclass
class Model:
    """A trained model and how it is asked.

    ``kind``: "single" (one latent space), "atlas", "ours" or "diffusion". ``own``: it was trained
    for itself, so that its reconstructions are its own. ``ways``: names of ways between images.
    """

    name: str
    kind: str
    atlas: Atlas
    seconds: float
    sample: Callable[[int, int], Array]
    ways: tuple[str, ...] = ()
    own: bool = True


def models(m: Manifold, images: Array, notes: Notes) -> Iterator[Model]:
    """Yield every model as soon as it is trained."""
    d, charts = m.dim, notes.options.get("charts", CHARTS.get(m.name, MORE_CHARTS))
    yield from _one_chart(d, images, notes, ("line", "geodesic"))
    cae = trained("CAE", "CAE, its own prior", d, charts, images, notes, ("geodesic",))
    yield cae
    yield gtn_on("Atlas GTN on CAE", "ours", cae, images, notes)
    yield trained("WAE", f"WAE-GAN, d = {d}", d, 1, images, notes)
    yield trained("GAN", f"GAN, d = {d}", d, 1, images, notes)
    for kind, name in (("VAE", "Atlas VAE"), ("WAE", "Atlas WAE-GAN"), ("GAN", "InfoGAN")):
        yield trained(kind, name, d, charts, images, notes)
    yield from _one_chart(d + 1, images, notes, ())
    if "ddpm_epochs" in notes.options:
        yield diffusion(images, notes)


def _one_chart(d: int, images: Array, notes: Notes, ways: tuple[str, ...]) -> Iterator[Model]:
    """Yield a VAE and, on one autoencoder, a Gaussian and a GTN of its latents."""
    yield trained("VAE", f"VAE, d = {d}", d, 1, images, notes, ways[:1])
    ae = trained("CAE", f"AE + Gaussian, d = {d}", d, 1, images, notes)
    ae.sample = gaussian(ae.atlas, images)
    yield ae
    yield gtn_on(f"AE + GTN, d = {d}", "single", ae, images, notes, ways)


def trained(
    kind: str,
    name: str,
    d: int,
    charts: int,
    images: Array,
    notes: Notes,
    ways: tuple[str, ...] = (),
) -> Model:
    """Train a model of the family ``kind`` ("CAE", "VAE", "WAE", "GAN") on uint8 images."""
    epochs = notes.options.get("epochs", (_EPOCHS_OF_ONE if charts == 1 else _EPOCHS)[kind])
    more: dict[str, Any] = {}
    if notes.quick:
        epochs = 1
        more["networks"] = {"name": "dense", "width": 16, "embed": 8, "chart": 8}
        if kind == "CAE":
            more["start_steps"] = 5
    train: Any = _TRAINERS[kind]
    began = time.perf_counter()
    with notes.timed(f"training {name}"):
        atlas, _ = train(images, d, charts, epochs=epochs, batch_size=128, progress=False,
                         seed=derive(notes.seed, name), device=notes.device, **more)  # fmt: skip
    seconds = time.perf_counter() - began
    if charts > 1:
        shares = np.bincount(said_by(atlas, images), minlength=charts) / len(images)
        notes.numbers.setdefault("use", {})[name] = np.round(shares, 4)
    kind = "single" if charts == 1 else "atlas"
    return Model(name, kind, atlas, seconds, _prior(atlas), ways)


def diffusion(images: Array, notes: Notes) -> Model:
    """Train a DDPM on uint8 images, for as many epochs as the option ``ddpm_epochs`` says.

    Small batches: of as many images they are more steps, of which there are few.
    """
    sizes: dict[str, Any] = {"jumps": _JUMPS, "widths": WIDTHS}
    if notes.full:
        sizes = {"widths": (64, 128, 128), "patch": 1}
    if notes.quick:
        sizes = {"steps": 10, "jumps": 2, "widths": (8, 8)}
    began = time.perf_counter()
    with notes.timed(f"training {DIFFUSION}"):
        made, _ = train_ddpm(images, **sizes, epochs=notes.options["ddpm_epochs"], batch_size=32,
                             progress=False, device=notes.device,
                             seed=derive(notes.seed, DIFFUSION))  # fmt: skip
    seconds = time.perf_counter() - began
    return Model(DIFFUSION, "diffusion", made, seconds, _prior(made), WAYS, own=False)


def gtn_on(
    name: str, kind: str, of: Model, images: Array, notes: Notes, ways: tuple[str, ...] = ()
) -> Model:
    """Train a GTN on every chart of a model."""
    began = time.perf_counter()
    made = AtlasGTN(of.atlas)
    with notes.timed(f"training {name}"):
        made.fit(images, seed=derive(notes.seed, name), threads=notes.threads, progress=False,
                 epochs=1 if notes.quick else EPOCHS_OF_GTN)  # fmt: skip
    seconds = of.seconds + time.perf_counter() - began
    return Model(name, kind, made, seconds, _prior(made), ways, own=False)


@torch.no_grad()
def said_by(atlas: Atlas, images: Array) -> Array:
    """Return the chart that psi names for each of the images, (n,)."""
    parts, where = torch.split(torch.from_numpy(images), 512), atlas.weights.device
    return torch.cat([atlas.chart_of(to_unit(part.to(where))).cpu() for part in parts]).numpy()


def _prior(atlas: Atlas) -> Callable[[int, int], Array]:
    return lambda n, seed: atlas.sample(n, seed).numpy()


def gaussian(atlas: Atlas, images: Array) -> Callable[[int, int], Array]:
    """Draw z from the normal of the latents' own mean and deviation: no GTN."""
    _, z = atlas.charted(images)
    mean, std = (torch.from_numpy(each) for each in (z.mean(0), z.std(0)))

    def sample(n: int, seed: int) -> Array:
        generator = torch.Generator().manual_seed(derive(seed, "gaussian"))
        drawn = mean + std * torch.randn(n, atlas.d, generator=generator)
        return atlas.decode_to_bytes(drawn, torch.zeros(n, dtype=torch.int64)).numpy()

    return sample


# ------------------------------------------------------------------ ways between images


def between(
    way: str, atlas: Atlas, starts: Array, ends: Array, images: Array, steps: int, seed: int
) -> Array:
    """Return a row of ``steps`` images from each start to its end: uint8 (p, steps, ...).

    "line": the straight line in the one chart that there is. "geodesic": the shortest way
    through a graph of ``images``; pairs between which there is none are left out. A DDPM has ways
    of its own.
    """
    if isinstance(atlas, DDPM):
        return atlas.interpolate(starts, ends, steps, way=way, seed=seed).numpy()
    if way == "line":
        return _lines(atlas, starts, ends, steps)
    eps = _SURE / atlas.charts if atlas.charts > 1 else 0.0
    graph = LatentGraph.build(atlas, images, max_points=_GRAPH, eps=eps, seed=seed)
    made = []
    for start, end in zip(starts, ends, strict=True):
        try:
            made.append(graph.path(start, end).resample(atlas, steps).images)
        except NoPath:
            continue
    return np.stack(made) if made else np.empty((0, steps, *starts.shape[1:]), np.uint8)


@torch.no_grad()
def _lines(atlas: Atlas, starts: Array, ends: Array, steps: int) -> Array:
    where = atlas.weights.device
    z = [atlas.encode(to_unit(torch.from_numpy(each).to(where)), 0) for each in (starts, ends)]
    t = torch.linspace(0, 1, steps, device=where)[None, :, None]
    line: Tensor = (1 - t) * z[0][:, None] + t * z[1][:, None]
    return torch.stack([to_bytes(atlas.decode(each, 0)).cpu() for each in line]).numpy()
