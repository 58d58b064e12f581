"""Generating above the intrinsic dimension (section 2.1): the roll in 1-D and 2-D, MNIST by d.

A curve has one dimension; a normal in the plane cannot be mapped onto it one to one, and
what ĥ makes of it lies beside the curve. Images have no such exact dimension: there the
latents' d is varied, and the reconstructions show what d alone would allow.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import plots
from gtn_fast.experiments import image_data, images, swiss_roll
from gtn_fast.experiments.report import Notes, text
from gtn_fast.learn.training.seeds import derive

Array = NDArray[Any]

DIMENSIONS = (2, 5, 10, 32)
NEAR, FAR = 0.1, 0.5  # distances from the roll, whose turns are 6.3 apart


def experiment(notes: Notes) -> None:
    """Learn the roll from one and from two dimensions; 20,000 digits for d = 2, 5, 10, 32."""
    _roll(notes)
    _digits(notes)


def _roll(notes: Notes) -> None:
    """Learn θ by the swiss-roll preset, points of the plane by the larger preset of MNIST."""
    from gtn_fast.learn.gtn import GTN

    n, count = (1_000, 1_000) if notes.quick else (50_000, 20_000)
    theta = swiss_roll.thetas(n, derive(notes.seed, "swiss-roll data"))
    options: dict[str, Any] = {"seed": notes.seed, "threads": notes.threads}
    with notes.timed("roll"):
        line = GTN(1, "swiss-roll")
        line.fit(theta, calibrate=False, epochs=2 if notes.quick else 40, **options)
        plane = GTN(2, "mnist", rays=100)
        plane.fit(
            swiss_roll.roll(theta), calibrate=False, epochs=2 if notes.quick else 20, **options
        )
    made = {
        "from 1-D": swiss_roll.roll(line.sample(count, notes.seed)),
        "from 2-D": plane.sample(count, notes.seed),
    }
    off = {name: [swiss_roll.share_off(points, limit) for limit in (NEAR, FAR)]
           for name, points in made.items()}  # fmt: skip
    for name, shares in off.items():
        notes.line(f"share of samples farther than {NEAR} / {FAR} from the roll, {name}",
                   " / ".join(map(text, shares)),
                   "none, by eye (figure 3A)" if name == "from 1-D"
                   else "no homeomorphism exists; diffusion: many (figure 4)")  # fmt: skip
    notes.line("samples off the roll from 2-D, as a multiple of those from 1-D",
               off["from 2-D"][0] / max(off["from 1-D"][0], 1 / count), "more", ">= 10",
               off["from 2-D"][0] >= 10 * off["from 1-D"][0])  # fmt: skip
    notes.numbers["roll_off"] = off
    panels = [(name[0].upper() + name[1:], points) for name, points in made.items()]
    notes.draw(plots.training_snapshots(panels, data=swiss_roll.roll(theta)), "roll")


def _digits(notes: Notes) -> None:
    """Measure FID and IS of generated and of reconstructed digits against d."""
    from gtn_fast.vision.codecs import decode_latents, encode_images

    plan = image_data.resolved("mnist", notes)
    if "ae_epochs" not in notes.options and not notes.quick:
        plan = dataclasses.replace(plan, ae_epochs=3)
    notes.options.setdefault("limit", 300 if notes.quick else 20_000)
    train, test = image_data.load(plan, notes)
    count = min(len(test), 200 if notes.quick else 5_000)
    real = test.images[:count]
    judge = images.judge(plan, train, test, notes)
    found: dict[str, dict[int, float]] = {
        name: {} for name in ("FID", "recon FID", "IS", "recon IS", "mean cosine", "std ratio")
    }
    grids = [("Real", real[: images.SHOWN])]
    for d in DIMENSIONS[:2] if notes.quick else DIMENSIONS:
        at_d = dataclasses.replace(plan, d=d)
        with notes.timed(f"d = {d}"):
            fitted, _ = images.fitted_on(at_d, train, judge, notes)
            new_latents = fitted.gtn.sample(count, notes.seed)
            made = decode_latents(fitted.codec, new_latents)
            again = decode_latents(fitted.codec, encode_images(fitted.codec, real))
            found["FID"][d], found["recon FID"][d] = (
                judge.distance(real, each) for each in (made, again)
            )
            found["IS"][d], found["recon IS"][d] = judge.score(made), judge.score(again)
            found["mean cosine"][d] = notes.numbers["fits"][d]["mean_cosine"]
            found["std ratio"][d] = float(np.mean(new_latents.std(0) / fitted.latents.std(0)))
        grids.append((f"d = {d}", made[: images.SHOWN]))
    _compare(found, notes)
    notes.numbers.update(n=len(train), by_d=found)

    def series(*names: str) -> list[tuple[str, list[int], list[float]]]:
        return [(name, list(found[name]), list(found[name].values())) for name in names]

    notes.draw(
        plots.lines_by_x(series("FID", "recon FID"), "latent dimension d",
                         "FID on the classifier's features", log_x=True),
        "fid_by_d",
    )  # fmt: skip
    notes.draw(plots.labelled_grids(grids), "digits_by_d")


def _compare(found: dict[str, dict[int, float]], notes: Notes) -> None:
    """Write down each d, and whether generation gets worse where reconstruction gets better."""
    for d in found["FID"]:
        notes.line(f"MNIST, d = {d}: FID of generated / of reconstructed digits",
                   f"{text(found['FID'][d])} / {text(found['recon FID'][d])}",
                   "not given; FID is best at d = 100 on CelebA, 50 on HaP (table 3)")  # fmt: skip
        notes.line(f"MNIST, d = {d}: Inception Score of generated / of reconstructed digits",
                   f"{text(found['IS'][d])} / {text(found['recon IS'][d])}", "")  # fmt: skip
    best = min(found["FID"], key=found["FID"].__getitem__)
    largest = max(found["FID"])
    notes.line("the d of the best FID of generated digits", str(best),
               "near the intrinsic dimension (Pope et al.: 8 to 13 for MNIST)",
               f"below the largest, {largest}", best < largest)  # fmt: skip
    for what, name in (
        ("mean cosine of a pair, by d", "mean cosine"),
        ("deviation of generated latents, as a share of the data's, by d", "std ratio"),
    ):
        notes.line(what, ", ".join(f"{value:.2f}" for value in found[name].values()), "1")
