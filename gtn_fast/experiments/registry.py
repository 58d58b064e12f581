"""The list of experiments: where each lives, its options, the data it cannot do without.

``full`` is what two cores cannot train: values of options, for a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Experiment:
    """Where an experiment lives.

    ``data``: what data set it cannot do without (None: none). ``full``: what its options are with
    ``--full``, which a run may still name otherwise; such an experiment also takes a device.
    """

    title: str
    module: str
    function: str = "experiment"
    fixed: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    data: str | None = None
    full: dict[str, int] = field(default_factory=dict)


def _images(
    title: str, preset: str, data: str | None, full: dict[str, int] | None = None
) -> Experiment:
    options = ("d", "epochs", "ae_epochs", "layers", "width", "side", "limit")
    module = "gtn_fast.experiments.images"
    return Experiment(title, module, fixed={"spec": preset}, options=options, data=data,
                      full=full or {})  # fmt: skip


def _topology(name: str, what: str) -> Experiment:
    options = ("epochs", "charts", "limit", "ddpm_epochs")
    module = "gtn_fast.experiments.topology"
    return Experiment(f"{what}: one latent space, and an atlas", module, fixed={"of": name},
                      options=options, full={"epochs": 80, "ddpm_epochs": 100})  # fmt: skip


def _geodesics(title: str, spec: str, data: str) -> Experiment:
    options = ("charts", "width", "epochs", "ae_epochs", "limit")
    module = "gtn_fast.experiments.geodesics"
    full = {"width": 128, "epochs": 80, "ae_epochs": 20, "limit": 60_000}  # the paper's, but for ĥ
    return Experiment(title, module, fixed={"spec": spec}, options=options, data=data, full=full)


def _atlas_images(title: str, spec: str) -> Experiment:
    return Experiment(f"Generators with charts and without, {title}",
                      "gtn_fast.experiments.atlas_images", fixed={"spec": spec},
                      options=("charts", "epochs", "limit", "ddpm_epochs"), data=_DIGITS,
                      full={"epochs": 80, "limit": 60_000, "ddpm_epochs": 60})  # fmt: skip


def _calibration(title: str, spec: str, data: str) -> Experiment:
    module = "gtn_fast.experiments.calibration"
    return Experiment(f"Calibration on latents of an autoencoder, {title}", module,
                      fixed={"spec": spec}, options=("d", "ae_epochs", "limit"),
                      data=data)  # fmt: skip


_NPZ = "an .npz with x_train, y_train, x_test, y_test"
_DIGITS = f"{_NPZ}, or its idx files"
EXPERIMENTS: dict[str, Experiment] = {
    "swiss-roll": Experiment(
        "Swiss roll: one dimension, and diffusion beside it (figures 3A, 4, 12)",
        "gtn_fast.experiments.swiss_roll",
        options=("epochs",),
    ),
    "uniform": Experiment(
        "Uniform square, and what the order of choice is for (figures 3B, 11)",
        "gtn_fast.experiments.uniform",
        options=("epochs",),
    ),
    "two-squares": Experiment(
        "Two disjoint squares: labels inside clusters (figure 9)",
        "gtn_fast.experiments.two_squares",
        options=("epochs",),
    ),
    "mnist": _images("MNIST, d = 5 (figure 6)", "mnist", None),
    "fashion-mnist": _images("Fashion-MNIST", "fashion-mnist", _DIGITS),
    "cifar10": _images(
        "CIFAR-10 (figure 7, table 1)",
        "cifar10",
        f"{_NPZ}, or the folder cifar-10-batches-py",
        {"epochs": 1000, "ae_epochs": 50},
    ),
    "hands": _images(
        "Sign-language hands (figure 8)",
        "hands",
        "an .npz with x, y",
        {"epochs": 1000, "ae_epochs": 100},
    ),
    "celeba": _images(
        "CelebA (figures 1, 7, 8, tables 1, 3)", "celeba", "the folder of img_align_celeba"
    ),
    "hap": _images("Hands and Palm Images (figure 8, table 3)", "hap", "the folder of Hands"),
    "dimension": Experiment(
        "Generating above the intrinsic dimension (section 2.1)",
        "gtn_fast.experiments.dimension",
        options=("epochs", "ae_epochs", "limit"),
    ),
    "topology-circle": _topology("circle", "Images of a circle"),
    "topology-two-circles": _topology("two-circles", "Images of two circles"),
    "topology-sphere": _topology("sphere", "Images of a sphere"),
    "topology-torus": _topology("torus", "Images of a torus"),
    "topology-klein": _topology("klein", "Images of a Klein bottle"),
    "topology-rp2": _topology("rp2", "Images of the projective plane"),
    "topology-moebius": _topology("moebius", "Images of a Möbius band"),
    "geodesics-mnist": _geodesics(
        "Geodesics from chart to chart, MNIST (Stolberg-Larsen and Sommer)", "mnist", _DIGITS
    ),
    "geodesics-fashion": _geodesics(
        "Geodesics from chart to chart, Fashion-MNIST", "fashion-mnist", _DIGITS
    ),
    "atlas-mnist": _atlas_images("MNIST", "mnist"),
    "atlas-fashion": _atlas_images("Fashion-MNIST", "fashion-mnist"),
    "atlas-invariants": Experiment(
        "What charts say of the shape of their data",
        "gtn_fast.experiments.atlas_invariants",
        options=("charts", "epochs"),
        full={"epochs": 80},
    ),
    "couplings": Experiment(
        "Flows on pairs of several couplings, 1 to 32 steps (beyond the paper)",
        "gtn_fast.experiments.couplings",
        options=("epochs", "limit"),
    ),
    "calibration-mnist": _calibration("MNIST", "mnist", _DIGITS),
    "calibration-fashion": _calibration("Fashion-MNIST", "fashion-mnist", _DIGITS),
    "calibration-cifar10": _calibration("CIFAR-10", "cifar10", _NPZ),
    "calibration-hands": _calibration("sign-language hands", "hands", "an .npz with x, y"),
}
