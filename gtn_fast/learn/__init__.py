"""The training layer: from latents to generated samples (sections 2 and 3 of the paper).

    gtn.py          GTN: standardise, label, train ĥ; sample, interpolate, save
    hhat.py         HHat, the feed-forward network of table 2
    presets.py      table 2 itself, as data
    training/       train(): the one loop of ĥ, autoencoder, VAE, classifier and diffusion
    scaling.py      standardisation, kept and undone
    mixture.py      data of several components: k-means and a source for each (figure 9)
    classes.py      class labels as the caller writes them, and their numbers
    prepared.py     what a fit is given, checked and standardised
    source.py       where the y's come from
    finishing.py    what follows the training: calibration, residuals, verdict
    calibration.py  the affine map after ĥ that restores mean and covariance
    residuals.py    what ĥ leaves over, to be drawn back
    verdict.py      samples beside normals and held-out data
    flow.py         Flow: the same in several steps, by a velocity; velocity.py, ahead.py
    couplings.py    which noise belongs to which data: labels, and others to compare with
    plans.py        labels for flows that are trained elsewhere (torchcfm)
    pairs.py        LabeledPairs, a torch Dataset for those who bring their own loop
    rays.py         Algorithm 1 along a given number of lines, in the plane
    labeling.py     the training pairs: a y for every data point
    adversary.py    two players in one loss
    diffusion.py    a small diffusion model, as a baseline
    gtn_file.py     a GTN in one file

Networks for images are in gtn_fast/vision/; ``learn`` gives their public names, too.

Importing it imports torch; ``import gtn_fast`` alone does not. Names are loaded when first
asked for, so that ĥ does not wait for what only images need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gtn_fast.packages import how_to_get

if TYPE_CHECKING:
    from gtn_fast.learn.flow import Flow
    from gtn_fast.learn.gtn import GTN
    from gtn_fast.learn.hhat import HHat
    from gtn_fast.learn.mixture import Mixture
    from gtn_fast.learn.pairs import LabeledPairs
    from gtn_fast.learn.plans import NoisePairs, PairSampler, PlanSampler
    from gtn_fast.learn.presets import PRESETS, Preset
    from gtn_fast.learn.training.loop import History, train
    from gtn_fast.vision.autoencoder import Autoencoder
    from gtn_fast.vision.classifier import Classifier
    from gtn_fast.vision.vae import VAE

_HOMES = {
    "Autoencoder": "vision.autoencoder",
    "Classifier": "vision.classifier",
    "Flow": "learn.flow",
    "GTN": "learn.gtn",
    "HHat": "learn.hhat",
    "History": "learn.training.loop",
    "LabeledPairs": "learn.pairs",
    "Mixture": "learn.mixture",
    "NoisePairs": "learn.plans",
    "PRESETS": "learn.presets",
    "PairSampler": "learn.plans",
    "PlanSampler": "learn.plans",
    "Preset": "learn.presets",
    "VAE": "vision.vae",
    "train": "learn.training.loop",
}

__all__ = [
    "GTN",
    "PRESETS",
    "VAE",
    "Autoencoder",
    "Classifier",
    "Flow",
    "HHat",
    "History",
    "LabeledPairs",
    "Mixture",
    "NoisePairs",
    "PairSampler",
    "PlanSampler",
    "Preset",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"gtn_fast.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name}: {how_to_get(error, ('torch', 'safetensors'))}", name=error.name
        ) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
