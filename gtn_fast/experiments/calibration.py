"""Calibration on an autoencoder's latents: one step of a GTN, beside normals of the same moments.

For each d an autoencoder of its own, and a GTN of default settings on its latents: as the paper
has it, calibrated, and with residuals drawn back; a flow on labels beside it. Normals with the
latents' deviations are the paper's 'without GTN'; with their full covariance they are what one
affine map can do at best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import metrics, plots
from gtn_fast.experiments import image_data, images
from gtn_fast.experiments.image_data import Spec
from gtn_fast.experiments.report import Notes
from gtn_fast.images import ImageSet
from gtn_fast.learn.flow import Flow
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.verdict import normals_like
from gtn_fast.vision.codecs import decode_latents, encode_images
from gtn_fast.vision.pipeline import fit_images

Array = NDArray[Any]

DIMENSIONS = {"mnist": (5, 32, 64), "fashion-mnist": (5, 32, 64), "cifar10": (128,), "hands": (32,)}
LIMIT, SCORED, QUICK = 15_000, 3_000, 300
EPOCHS, FLOW_EPOCHS = 60, 30
PLAIN, FULL = "plain normals", "normals of full covariance"
OWN, CALIBRATED, RESIDUAL = "GTN as it is", "GTN, calibrated", "GTN with residuals"
FLOW = "flow, 8 steps"
_SHARE = 0.6  # of plain normals' FID that a calibrated GTN was to stay below


@dataclass
class Scores:
    """Of latents the energy distance to held-out ones; of their images FID and IS."""

    energy: float
    fid: float
    score: float

    def __str__(self) -> str:
        return f"{self.energy:.3f} / {self.fid:.1f} / {self.score:.2f}"


def experiment(notes: Notes, spec: str) -> None:
    """Fit and compare at every d of the data set."""
    plan = image_data.resolved(spec, notes)
    notes.options.setdefault("limit", QUICK if notes.quick else LIMIT)
    train, test = image_data.load(plan, notes)
    scorer = images.judge(plan, train, test, notes)
    notes.numbers["n"] = len(train)
    grids = [("Real", test.images[: images.SHOWN])]
    for d in (plan.d,) if notes.quick or "d" in notes.options else DIMENSIONS[spec]:
        with notes.timed(f"d = {d}"):
            found, made = _at(plan, d, train, test, scorer, notes)
        _write(spec, d, found, notes)
        for name in (PLAIN, OWN, CALIBRATED, FLOW):
            grids.append((f"d = {d}, {name}", made[name][: images.SHOWN]))
        notes.numbers.setdefault("by_d", {})[d] = {
            name: [each.energy, each.fid, each.score] for name, each in found.items()
        }
    notes.draw(plots.labelled_grids(grids), "samples")
    by_d = notes.numbers["by_d"]
    series = [(name, list(by_d), [each[name][1] for each in by_d.values()])
              for name in (PLAIN, FULL, OWN, CALIBRATED, RESIDUAL, FLOW)]  # fmt: skip
    notes.draw(plots.lines_by_x(series, "d", "FID on the classifier's features", log_x=True), "fid")


def _at(
    plan: Spec, d: int, train: ImageSet, test: ImageSet, scorer: images.Judge, notes: Notes
) -> tuple[dict[str, Scores], dict[str, Array]]:
    """Return the scores of every kind of latents, and their images."""
    fitted = fit_images(
        train.images, d, ae_epochs=plan.ae_epochs, ae_batch_size=plan.ae_batch, ae_lr=plan.ae_lr,
        epochs=2 if notes.quick else EPOCHS, seed=notes.seed, threads=notes.threads,
        progress=False,
    )  # fmt: skip
    real = test.images[:SCORED]
    held_out, gtn = encode_images(fitted.codec, real), fitted.gtn
    # As many samples, however few images are held out: their chance would decide between kinds.
    count = QUICK if notes.quick else SCORED
    seed = derive(notes.seed, "calibration")
    flow = Flow(d, epochs=2 if notes.quick else FLOW_EPOCHS)
    flow.fit(fitted.latents, seed=notes.seed, threads=notes.threads, progress=False)
    plain, full = normals_like(fitted.latents, None, seed, count)
    latents: dict[str, Array] = {
        "reconstructed": held_out,
        PLAIN: plain.astype(np.float32),
        FULL: full.astype(np.float32),
        CALIBRATED: gtn.sample(count, seed),
        RESIDUAL: gtn.sample(count, seed, residual=True),
        FLOW: flow.sample(count, seed, steps=8),
    }
    kept, gtn.calibration = gtn.calibration, None
    latents[OWN] = gtn.sample(count, seed)
    gtn.calibration = kept
    made = {name: decode_latents(fitted.codec, z) for name, z in latents.items()}
    some = np.random.default_rng(seed).permutation(len(fitted.latents))[:count]
    compared = {**latents, "reconstructed": fitted.latents[some]}
    scaled = fitted.latents.std(axis=0)
    found = {
        name: Scores(
            metrics.energy_distance(z / scaled, held_out / scaled),
            scorer.distance(real, made[name]),
            scorer.score(made[name]),
        )
        for name, z in compared.items()
    }
    return found, made


def _write(spec: str, d: int, found: dict[str, Scores], notes: Notes) -> None:
    """Write down every kind, and what was expected of the calibrated GTN before the run."""
    what = "energy distance of latents / FID / Inception Score of images"
    for name in ("reconstructed", PLAIN, FULL, OWN, CALIBRATED, RESIDUAL, FLOW):
        notes.line(f"d = {d}, {name}: {what}", str(found[name]), "")
        what = "the same"
    ours, plain, full = found[CALIBRATED], found[PLAIN], found[FULL]
    if spec in ("cifar10", "hands"):
        for name, other in ((PLAIN, plain), (FULL, full)):
            ahead = ours.energy < other.energy and ours.fid < other.fid and ours.score > other.score
            notes.line(f"d = {d}: calibrated GTN beside {name}", f"{ours}; {other}", "",
                       "ahead in every score", ahead)  # fmt: skip
    elif d >= 32:
        notes.line(f"d = {d}: calibrated GTN's FID by plain normals'", ours.fid / plain.fid, "",
                   f"<= {_SHARE}", ours.fid <= _SHARE * plain.fid)  # fmt: skip
        notes.line(f"d = {d}: calibrated GTN's energy distance by plain normals'",
                   ours.energy / plain.energy, "", "< 1", ours.energy < plain.energy)  # fmt: skip
