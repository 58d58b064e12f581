"""The training layer: from latents to generated samples (sections 2 and 3 of the paper).

    gtn.py          GTN: standardise, label, train ĥ; sample, interpolate, save
    hhat.py         HHat, the feed-forward network of table 2
    presets.py      table 2 itself, as data
    training.py     train(): the one loop of ĥ, autoencoder, VAE, classifier and diffusion
    scaling.py      standardisation, kept and undone
    mixture.py      data of several components: k-means and a source for each (figure 9)
    pairs.py        LabeledPairs, a torch Dataset for those who bring their own loop
    rays.py         Algorithm 1 along a given number of lines, in the plane
    autoencoder.py  Autoencoder of appendix F; codecs.py: any other pair of functions
    vae.py, diffusion.py, classifier.py    baselines, and the features to judge images by
    pipeline.py     images -> autoencoder -> latents -> GTN -> new images

Importing it imports torch; ``import gtn_fast`` alone does not. Names are loaded when first
asked for, so that ĥ does not wait for what only images need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtn_fast.learn.autoencoder import Autoencoder
    from gtn_fast.learn.classifier import Classifier
    from gtn_fast.learn.gtn import GTN
    from gtn_fast.learn.hhat import HHat
    from gtn_fast.learn.mixture import Mixture
    from gtn_fast.learn.pairs import LabeledPairs
    from gtn_fast.learn.presets import PRESETS, Preset
    from gtn_fast.learn.training import History, train
    from gtn_fast.learn.vae import VAE

_HOMES = {
    "Autoencoder": "autoencoder",
    "Classifier": "classifier",
    "GTN": "gtn",
    "HHat": "hhat",
    "History": "training",
    "LabeledPairs": "pairs",
    "Mixture": "mixture",
    "PRESETS": "presets",
    "Preset": "presets",
    "VAE": "vae",
    "train": "training",
}

__all__ = [
    "GTN",
    "PRESETS",
    "VAE",
    "Autoencoder",
    "Classifier",
    "HHat",
    "History",
    "LabeledPairs",
    "Mixture",
    "Preset",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
