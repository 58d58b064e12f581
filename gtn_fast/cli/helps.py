"""What ``--help`` of each command opens with: a sentence, an example, the files it leaves."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import NamedTuple


class Help(NamedTuple):
    """``usage`` without options; ``example`` as it is typed; ``leaves``: (file, what is in it)."""

    usage: str
    sentence: str
    example: str
    leaves: tuple[tuple[str, str], ...]


_RUN = (
    ("checkpoint.safetensors", "while it runs: --resume goes on from there"),
    ("loss.png, log.csv", "the loss by epoch"),
    ("metrics.json", "sizes, losses, what else was measured"),
)

HELPS: Mapping[str, Help] = {
    "label": Help(
        "gtn-fast label X --out LABELS.npz [options]",
        "Match every point of a normal sample (or of --y) with a row of X of its own, exactly.",
        "gtn-fast label latents.npy --out labels.npz --verify 1000",
        (
            ("LABELS.npz", "the permutation, its cosines, a report: gtn_fast.Labels.load"),
            ("LABELS.parquet", "in its place, if named so: a table for joins"),
            ("RUN.html", "with --report: a page about the run"),
            ("FILE", "with --checkpoint, while it runs"),
        ),
    ),
    "verify": Help(
        "gtn-fast verify X LABELS.npz [options]",
        "Check a matching: one to one, and a sample of its choices by brute force.",
        "gtn-fast verify latents.npy labels.npz --sample 5000",
        (),
    ),
    "plan": Help(
        "gtn-fast plan [X | --n N --d D] [options]",
        "Predict which strategy label would take, how long, and how much memory. Nothing runs.",
        "gtn-fast plan --n 1000000 --d 100 --threads 8",
        (),
    ),
    "autoencode": Help(
        "gtn-fast autoencode IMAGES --out DIR [options]",
        "Train an autoencoder on images, and encode them: latents for label and train.",
        "gtn-fast autoencode images/ --d 5 --out encoder/",
        (
            ("autoencoder.safetensors", "the autoencoder"),
            ("latents.npy", "a row for each image, float32 (n, d)"),
            ("reconstructions.png", "images beside their reconstructions"),
            *_RUN,
        ),
    ),
    "atlas": Help(
        "gtn-fast atlas IMAGES --out DIR [options]",
        "Train several latent spaces that cover images together, with --gtn a GTN on each.",
        "gtn-fast atlas images/ --charts 8 --d 7 --gtn --out atlas/",
        (
            ("atlas.safetensors", "the atlas, for sample and interpolate --geodesic"),
            ("gtn.safetensors", "with --gtn: the atlas and its GTNs, for the same"),
            ("samples.png", "samples of each chart"),
            ("reconstructions.png", "images beside their reconstructions (not of a gan, a ddpm)"),
            *_RUN,
        ),
    ),
    "train": Help(
        "gtn-fast train DATA --out DIR [options]",
        "Train a GTN on latents, or with --images on images: label, fit, calibrate, judge.",
        "gtn-fast train latents.npy --val 0.1 --out run/",
        (
            ("gtn.safetensors", "the GTN, for sample and interpolate (flow.safetensors: --flow)"),
            ("report.html", "a page about the run: samples, losses, verdict, files, versions"),
            ("samples.png", "samples, beside data"),
            ("held_out.npy", "with --val SHARE: the rows held out"),
            ("autoencoder.safetensors", "with --images, and latents.npy, reconstructions.png"),
            *_RUN,
        ),
    ),
    "sample": Help(
        "gtn-fast sample RUN --out SAMPLES.npy|DIR [options]",
        "Draw new points from a trained GTN, or new images, where the run has an autoencoder.",
        "gtn-fast sample run/ --n 1000 --out new.npy",
        (
            ("SAMPLES.npy", "points, float32 (n, d)"),
            ("SAMPLES.npz, SAMPLES.png", "with an autoencoder: images, and a picture of some"),
            ("DIR/sample-*.png", "in place of all that, if a folder is named: every image"),
        ),
    ),
    "interpolate": Help(
        "gtn-fast interpolate RUN --out DIR [options]",
        "Walk between samples, or between rows of the training data, through a trained GTN.",
        "gtn-fast interpolate run/ --rows 3 14 --out between/",
        (
            ("interpolations.npy", "the points of each path"),
            ("interpolation.png", "a picture of them"),
        ),
    ),
    "evaluate": Help(
        "gtn-fast evaluate --real R --generated G --out METRICS.json [options]",
        "Compare generated points or images with real ones, in numbers.",
        "gtn-fast evaluate --real held_out.npy --generated new.npy --out metrics.json",
        (
            ("METRICS.json", "distances and copies of points; IS and FID of images"),
            ("classifier.safetensors", "with --train-classifier, beside it"),
        ),
    ),
    "experiment": Help(
        "gtn-fast experiment NAME [options]",
        "Run one of the paper's experiments anew, beside the paper's own numbers.",
        "gtn-fast experiment swiss-roll --quick",
        (
            ("DIR/NAME/*.png", "the figures"),
            ("DIR/NAME/metrics.json", "every number"),
            ("DIR/NAME/summary.md", "ours beside the paper's"),
        ),
    ),
    "topology": Help(
        "gtn-fast topology DATA [options]",
        "Look at the shape of images or latents: dimension, pieces, loops, hollows; what fits it.",
        "gtn-fast topology latents.npy --out shape.json",
        (
            ("SHAPE.json", "with --out: what was found"),
            ("SHAPE.png", "with --picture: where loops and hollows appear, and are filled"),
        ),
    ),
    "manifold": Help(
        "gtn-fast manifold NAME --out X.npz [options]",
        "Write a set of images whose shape is known, to test a generator with.",
        "gtn-fast manifold torus --n 20000 --out torus.npz",
        (("X.npz", "images, and the true parameters of each"),),
    ),
    "bench": Help(
        "gtn-fast bench [options]",
        "Measure this machine against the authors' loop and, where installed, FAISS and SciPy.",
        "gtn-fast bench --quick",
        (("DIR/bench.md", "the table"), ("DIR/bench.png", "the same as a picture")),
    ),
    "demo": Help(
        "gtn-fast demo [options]",
        "Label real and synthetic data, train a generator of digits, and draw all of it.",
        "gtn-fast demo --quick",
        (
            ("DIR/report.html", "a page with all that follows"),
            ("DIR/*.png", "pictures"),
            ("DIR/results.md", "what was measured"),
        ),
    ),
    "doctor": Help(
        "gtn-fast doctor [--json]",
        "Say what is installed, what works and what to do about the rest; test the engine.",
        "gtn-fast doctor",
        (),
    ),
}


def apply(commands: Mapping[str, argparse.ArgumentParser]) -> None:
    """Let each command's --help open with its text."""
    for name, parser in commands.items():
        if name in HELPS:
            parser.usage = HELPS[name].usage
            parser.description = _text(HELPS[name])
            parser.formatter_class = argparse.RawDescriptionHelpFormatter


def _text(found: Help) -> str:
    leaves = [("nothing", "it only prints")] if not found.leaves else list(found.leaves)
    width = max(len(file) for file, _ in leaves)
    files = "\n".join(f"  {file:<{width}}  {what}" for file, what in leaves)
    return f"{found.sentence}\n\nexample:\n  {found.example}\n\nleaves:\n{files}"
