"""What ``gtn-fast train`` measures and tells: distances of samples, and the page report.html."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast.cli import helps
from gtn_fast.pages.rows import Row
from gtn_fast.pages.texts import seconds_text
from gtn_fast.pages.training import Training, write_training_page

FILE = "report.html"
SAMPLED = 10_000  # samples that the metrics look at
_COPIES = 2_000  # samples, and honest rows, whose nearest neighbour is looked for
_SETS = {
    "data": "training data",
    "samples": "samples",
    "normals": "plain normals, with the data's deviations",
    "full_normals": "normals with the data's full covariance",
}
_DESCRIBED = {
    "gtn.safetensors": "the GTN: gtn-fast sample, gtn_fast.GTN.load",
    "flow.safetensors": "the flow: gtn-fast sample, gtn_fast.learn.Flow.load",
    "autoencoder.safetensors": "the autoencoder: encodes images, decodes samples",
    "latents.npy": "the encoded images, float32 (n, d)",
    "reconstructions.png": "images beside their reconstructions",
    "log.csv": "the losses by epoch",
    "loss.png": "the same, as a picture",
}


def judge(data: Any, gtn: Any, seed: int) -> dict[str, Any]:
    """Measure distances of new samples to the data, beside those of the data to itself."""
    from gtn_fast.metrics import points

    x = np.asarray(data.x)
    rows = np.random.default_rng(seed).permutation(len(x))
    samples = gtn.sample(SAMPLED, seed)
    one, other = (x[half[:SAMPLED]] for half in np.array_split(rows, 2))
    real = x[rows[:SAMPLED]] if data.val is None else np.asarray(data.val)[:SAMPLED]
    honest = rows[: min(_COPIES, len(x) // 2)]
    train = np.delete(x, honest, axis=0)
    return {
        "compared_with": "data" if data.val is None else "validation data",
        "energy_distance": points.energy_distance(samples, real),
        "energy_distance_of_data": points.energy_distance(one, other),
        "sliced_wasserstein": points.sliced_wasserstein(samples, real),
        "sliced_wasserstein_of_data": points.sliced_wasserstein(one, other),
        "copies": points.nearest_copies(samples[:_COPIES], train, x[honest]),
    }


def quality(judged: dict[str, Any]) -> list[Row]:
    """Write the metrics in words: each distance beside that of half of the data to the rest."""
    copies, rows = judged["copies"], []
    for name in ("energy_distance", "sliced_wasserstein"):
        own, ideal = judged[name], judged[f"{name}_of_data"]
        text = f"{own:.4g} to the {judged['compared_with']}; halves of the data {ideal:.4g}"
        rows.append((name.removesuffix("_distance").removeprefix("sliced_"), text))
    near = f"{copies['share_closer']:.1%} of the samples lie as near to a training point"
    return [*rows, ("copies", f"{near} as the nearest {copies['quantile']:.0%} of honest points")]


def write(
    out: Path,
    arguments: argparse.Namespace,
    gtn: Any,
    rows: list[Row],
    histories: dict[str, Any],
    verdicts: list[Any],
    names: tuple[str, ...],
) -> None:
    """Write the page of a run, whose other files (``names``) lie in ``out``."""
    import torch

    what = "flow" if arguments.flow else "GTN"
    pictures = [("Samples", out / "samples.png", "")]
    if arguments.images:
        pictures.append(("Reconstructions", out / "reconstructions.png", ""))
    took = seconds_text(gtn.label_seconds)
    labels = ("labels", f"each y of a normal sample with a row of its own; {took}")
    found = Training(
        heading=f"A {what} of d = {gtn.d}, trained on {Path(arguments.data).name}",
        verdict=_in_words(verdicts),
        summary=[*rows, labels],
        distances=_distances(verdicts),
        pictures=pictures,
        losses={f"Loss of {name}": history.epochs for name, history in histories.items()},
        files=[(name, _described(name)) for name in names if name != FILE],
    )
    command = f"gtn-fast {' '.join(arguments.argv)}"
    write_training_page(out / FILE, found, command, torch=torch.__version__)


def _in_words(verdicts: list[Any]) -> str:
    from gtn_fast.learn.verdict import FEWEST

    warnings = [each.warning for each in verdicts if each.warning]
    if warnings:
        return "; ".join(warnings)
    if verdicts[0].rows < FEWEST:
        return f"{verdicts[0].rows} rows to compare with are too few to judge samples by."
    return f"Samples are as near to {verdicts[0].compared_with} as normals are, or nearer."


def _distances(verdicts: list[Any]) -> dict[str, list[Row]]:
    """Return a table for each verdict: that of the points, then that of the images."""
    latents, *images = verdicts
    rows = [(text, f"{getattr(latents, name):.3f}") for name, text in _SETS.items()]
    rows.append(("deviation of samples (of the data: 1)", f"{latents.deviation:.2f}"))
    tables = {f"Energy distance to {latents.compared_with}": rows}
    for each in images:
        scores = {"energy": each.energy, "FID": each.FID, "IS": each.IS}
        known = {name: values for name, values in scores.items() if values is not None}
        tables[f"Pixels, beside {each.compared_with}"] = [
            *((of, ", ".join(f"{name} {values[of]:.3f}" for name, values in known.items()))
              for of in each.energy),
            ("error of reconstructions", f"{each.reconstruction_rmse:.3f} of a pixel's range"),
        ]  # fmt: skip
    return tables


def _described(name: str) -> str:
    """Say what is in a file, in the words of ``train --help``."""
    told = {file: what for files, what in helps.HELPS["train"].leaves for file in files.split(", ")}
    return _DESCRIBED.get(name) or told.get(name, "")
