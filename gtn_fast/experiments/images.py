"""Images (section 3): an autoencoder, labels, ĥ, and new images beside those of the baselines.

One recipe for every data set: encode, label the latents, train ĥ, decode ĥ(y). The VAE has
the autoencoder's layers and its training (table 1); 'without GTN' decodes normals with the
latents' mean and standard deviation (figure 17). Scores are the Inception Score and FID on
the features of a classifier trained on the same images, or Inception's where it can be had
and there are no classes; only the latter compare with published numbers.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import metrics, plots
from gtn_fast.experiments import image_data
from gtn_fast.experiments.image_data import Spec
from gtn_fast.experiments.report import Notes, text
from gtn_fast.images import ImageSet
from gtn_fast.learn.gtn import GTN
from gtn_fast.vision.classifier import accuracy, train_classifier
from gtn_fast.vision.codecs import decode_latents as decode
from gtn_fast.vision.codecs import encode_images as encode
from gtn_fast.vision.pipeline import Fitted, fit_images
from gtn_fast.vision.vae import VAE, train_vae

Array = NDArray[Any]

COUNT = 10_000  # images a method is scored on, as in table 1; fewer where fewer are held out
SHOWN = 64  # in each grid of the figure
STEPS = 20  # of an interpolation (figure 8)
WATCHED = 200  # images whose score picks the epoch
METHODS = ("GTN", "VAE", "without GTN", "reconstructed", "VAE reconstructed", "real")


@dataclass
class Judge:
    """What scores images: a network (None: Inception's own), or nothing, and why."""

    network: Any = None
    missing: str | None = None

    def score(self, images: Array) -> float:
        """Return the Inception Score, in ten parts where there are enough images for them."""
        splits = 10 if len(images) >= 5_000 else 1
        return metrics.inception_score(images, self.network, splits=splits)

    def distance(self, real: Array, images: Array) -> float:
        """Return the FID of the images to the real ones."""
        with warnings.catch_warnings():  # of few images: the line says how many there are
            warnings.simplefilter("ignore", UserWarning)
            return metrics.fid(real, images, self.network)


def experiment(notes: Notes, spec: str) -> None:
    """Do everything about one data set, from its images to the comparison."""
    plan = image_data.resolved(spec, notes)
    train, test = image_data.load(plan, notes)
    notes.numbers.update(n=len(train), held_out=len(test), d=plan.d, epochs=plan.epochs,
                         ae_epochs=plan.ae_epochs, network=dict(plan.network))  # fmt: skip
    if plan.note:
        notes.line("departure from the paper", plan.note, "")

    scorer = judge(plan, train, test, notes)
    fitted, fit = fitted_on(plan, train, scorer, notes)
    vae = _vae(plan, train, notes)

    # The paper compares with training images; with held-out ones, where there are enough.
    real = (test if plan.has_test else train).images[: 300 if notes.quick else COUNT]
    held_out = encode(fitted.codec, test.images[:COUNT])
    new, blind = fitted.gtn.sample(len(real), notes.seed), _blind(fitted, len(real), notes.seed)
    sets = {
        "real": real,
        "reconstructed": decode(fitted.codec, encode(fitted.codec, real)),
        "GTN": decode(fitted.codec, new),
        "without GTN": decode(fitted.codec, blind),
        "VAE reconstructed": decode(vae, encode(vae, real)),
        "VAE": vae.sample(len(real), notes.seed).numpy(),
    }
    _score(sets, scorer, plan, notes)
    _look_at_latents(new, blind, held_out, fitted.latents, notes)
    _draw(sets, fitted, fit, plan, notes)


# ------------------------------------------------------------------ the recipe


def fitted_on(plan: Spec, train: ImageSet, scorer: Judge, notes: Notes) -> tuple[Fitted, ImageSet]:
    """Fit autoencoder, latents and ĥ; return them and the images they are fitted on.

    ĥ stops by the validation MSE of a twelfth of the images, held out, or the epoch of the
    best score is kept. A run that was killed goes on from ``folder/model``.
    """
    fit, val, metric = train, None, None
    if plan.stop == "val":
        order = np.random.default_rng(notes.seed).permutation(len(train))
        cut = len(train) // 12  # 5,000 of 60,000
        fit, val = (image_data.rows(train, np.sort(part)) for part in (order[cut:], order[:cut]))
    elif scorer.missing is None:
        metric = scorer.score
    with notes.timed(f"autoencoder and ĥ, d = {plan.d}"):
        fitted = fit_images(
            fit.images,
            plan.d,
            val=None if val is None else val.images,
            preset=plan.preset,
            ae_epochs=plan.ae_epochs,
            ae_batch_size=plan.ae_batch,
            ae_lr=plan.ae_lr,
            metric=metric,
            calibrate=False,  # as the paper
            metric_samples=40 if notes.quick else WATCHED,
            seed=notes.seed,
            out=notes.folder / f"model-{plan.d}",
            threads=notes.threads,
            device=notes.device,
            epochs=plan.epochs,
            **plan.network,
        )
    gtn = fitted.gtn
    assert gtn.history is not None
    assert gtn.labels is not None
    seconds = {name: history.seconds for name, history in fitted.histories.items()}
    seconds["labels"] = gtn.label_seconds
    notes.numbers.setdefault("fits", {})[plan.d] = {
        "seconds": seconds,
        "mean_cosine": float(gtn.labels.cosine.mean()),
        "trained_epochs": len(gtn.history.epochs),
        "best_epoch": gtn.history.best_epoch,
    }
    notes.say(
        "  " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        + f"; {len(gtn.history.epochs)} epochs of ĥ, the best is {gtn.history.best_epoch}"
    )  # fmt: skip
    return fitted, fit


def _vae(plan: Spec, train: ImageSet, notes: Notes) -> VAE:
    """Train the VAE of the same layers as long."""
    with notes.timed("VAE"):
        model, _ = train_vae(
            train.images,
            plan.d,
            epochs=plan.ae_epochs,
            batch_size=plan.ae_batch,
            lr=plan.ae_lr,
            seed=notes.seed,
            device=notes.device,
        )
    return model


def _blind(fitted: Fitted, count: int, seed: int) -> Array:
    """Draw normals with the latents' mean and standard deviation (figure 17, 'without GTN')."""
    y = fitted.gtn.source_sample(count, seed)
    return np.asarray(y * fitted.latents.std(axis=0) + fitted.latents.mean(axis=0))


# ------------------------------------------------------------------ scores


def judge(plan: Spec, train: ImageSet, test: ImageSet, notes: Notes) -> Judge:
    """Return a classifier of the data's classes; without classes Inception, if it can be had."""
    if train.labels is None or not plan.labels:
        scorer = Judge()
        try:
            scorer.score(np.repeat(test.images[:2], 2, axis=0))
        except ValueError as error:
            scorer.missing = str(error)
            notes.line("scores", f"not measured: {error}", plan.paper.get("GTN", ""))
        return scorer
    with notes.timed("classifier"):
        network, _ = train_classifier(
            train.images, train.labels, epochs=plan.classifier_epochs, seed=notes.seed
        )
    right = accuracy(network, test.images, test.labels)
    notes.numbers["classifier_accuracy"] = right
    notes.line("accuracy of the classifier whose features score, on held-out images", right, "")
    return Judge(network)


def _score(sets: dict[str, Array], scorer: Judge, plan: Spec, notes: Notes) -> None:
    """Write down IS and FID of every set, and whether the paper's direction shows."""
    error = float(np.mean((sets["real"].astype(float) - sets["reconstructed"]) ** 2) / 127.5**2)
    notes.numbers["reconstruction_mse"] = error
    if scorer.missing is not None:
        return
    with notes.timed("scores"):
        score = {name: scorer.score(sets[name]) for name in METHODS}
        distance = {name: scorer.distance(sets["real"], sets[name]) for name in METHODS[:-1]}
    notes.numbers.update(IS=score, FID=distance)
    others = ("VAE", "without GTN")
    kind = "held-out" if plan.has_test else "training"
    for name in METHODS:
        better = name == "GTN" and all(score["GTN"] > score[other] for other in others)
        notes.line(
            f"Inception Score, {name}",
            score[name],
            plan.paper.get(name, ""),
            "above the VAE's and 'without GTN'" if name == "GTN" else None,
            better if name == "GTN" else None,
        )
    for name in METHODS[:-1]:
        better = name == "GTN" and all(distance["GTN"] < distance[other] for other in others)
        notes.line(
            f"FID to {len(sets['real']):,} {kind} images, {name}",
            distance[name],
            plan.paper.get(name, ""),
            "below the VAE's and 'without GTN'" if name == "GTN" else None,
            better if name == "GTN" else None,
        )
    if "by d" in plan.paper:
        notes.line("FID by dimension", f"d = {plan.d} only", plan.paper["by d"])


def _look_at_latents(new: Array, blind: Array, real: Array, latents: Array, notes: Notes) -> None:
    """Write down how far generated latents are from held-out ones, and whether they are copies."""
    some = np.random.default_rng(notes.seed).permutation(len(latents))[: len(real)]
    distances = {
        "GTN": metrics.energy_distance(new, real),
        "without GTN": metrics.energy_distance(blind, real),
        "training images": metrics.energy_distance(latents[some], real),
    }
    notes.line("energy distance of latents to held-out images': " + " / ".join(distances),
               " / ".join(text(value) for value in distances.values()), "not given",
               "GTN below 'without GTN'", distances["GTN"] < distances["without GTN"])  # fmt: skip
    copies = metrics.nearest_copies(new, latents, real)
    closer = copies["share_closer"]
    notes.line("share of generated latents nearer to a training point than 99 % of held-out ones",
               closer, "not given", "<= 0.05 (0.01: no copying)", closer <= 0.05)  # fmt: skip
    notes.numbers.update(
        latent_energy=distances,
        latent_sliced_wasserstein=metrics.sliced_wasserstein(new, real),
        copies=copies,
        latent_std_ratio=float(new.std(axis=0).mean() / latents.std(axis=0).mean()),
    )


# ------------------------------------------------------------------ figures


def _draw(sets: dict[str, Array], fitted: Fitted, fit: ImageSet, plan: Spec, notes: Notes) -> None:
    names = ("real", "reconstructed", "GTN", "without GTN", "VAE")
    panels = [(name[0].upper() + name[1:], sets[name][:SHOWN]) for name in names]
    notes.draw(plots.labelled_grids(panels), "samples")
    gtn, history = fitted.gtn, fitted.gtn.history
    assert history is not None
    paths = _between_rows(gtn, fit, notes) if plan.by_rows else _between_samples(gtn, notes)
    rows = [decode(fitted.codec, path) for path in paths]
    notes.draw(plots.interpolation_rows(rows), "interpolation")
    notes.draw(plots.loss_curves(history.epochs, "ĥ", history.best_epoch, "Inception Score"),
               "loss")  # fmt: skip


def _between_samples(gtn: GTN, notes: Notes) -> list[Array]:
    """Interpolate between pairs of y ~ N(0, I) (figure 8, CelebA)."""
    y = gtn.source_sample(10, notes.seed)
    return [gtn.interpolate(left, right, STEPS) for left, right in y.reshape(5, 2, -1)]


def _between_rows(gtn: GTN, fit: ImageSet, notes: Notes) -> list[Array]:
    """Interpolate between images, of two classes if known, through their labels (figure 8, HaP)."""
    rng = np.random.default_rng(notes.seed)
    paths: list[Array] = []
    while len(paths) < 5:
        left, right = (int(row) for row in rng.choice(len(fit), 2, replace=False))
        one_class = fit.labels is not None and fit.labels[left] == fit.labels[right]
        if not one_class or len(set(fit.labels)) == 1:  # type: ignore[arg-type]
            paths.append(gtn.interpolate_between(left, right, STEPS))
    return paths
