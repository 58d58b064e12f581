"""``gtn-fast evaluate | experiment``: how good samples are; the paper's experiments."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast import experiments
from gtn_fast.cli import models, stages
from gtn_fast.cli.common import (
    MATRIX,
    OK,
    THREADS,
    Array,
    Commands,
    add_force,
    natural,
    print_table,
    write_json,
)
from gtn_fast.images import is_picture_folder, load_images
from gtn_fast.inputs.arguments import check_seed
from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.patterns import split_key
from gtn_fast.outputs.files import deliver
from gtn_fast.outputs.kinds import is_metrics
from gtn_fast.outputs.streams import warn
from gtn_fast.outputs.targets import Sources, Target, check_folder, check_targets

_COPIES = 2_000  # samples whose nearest neighbour is looked for
_OPTIONS = {
    "d": "latent dimensions",
    "epochs": "epochs of the training",
    "ae_epochs": "epochs of the autoencoder",
    "layers": "hidden layers of the network",
    "width": "neurons in each of them",
    "side": "images of N x N pixels",
    "limit": "images at most",
    "charts": "charts of the atlas",
    "ddpm_epochs": "epochs of a diffusion model, which is left out without",
}


def add(commands: Commands) -> None:
    """Put the commands of this file into the parser."""
    evaluate = commands.add_parser("evaluate", help="compare samples with data")
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument(
        "--real", required=True, metavar="R", help=f"the real data: {MATRIX}, or images"
    )
    evaluate.add_argument("--generated", required=True, metavar="G",
                          help="the generated data, points or images as R")  # fmt: skip
    evaluate.add_argument(
        "--reconstructed",
        metavar="G",
        help="R's images, encoded and decoded again: adds their IS and FID",
    )
    network = evaluate.add_mutually_exclusive_group()
    network.add_argument("--classifier", metavar="C.safetensors",
                         help="compare images by IS and FID on this classifier's"
                              " features")  # fmt: skip
    network.add_argument("--train-classifier", action="store_true",
                         help="the same, on a classifier that is trained on R's labels"
                              " and kept")  # fmt: skip
    network.add_argument("--inception", action="store_true",
                         help="the same, on Inception's features, as published numbers"
                              " are")  # fmt: skip
    evaluate.add_argument("--out", required=True, metavar="METRICS.json",
                          help="where the numbers go")  # fmt: skip
    evaluate.add_argument("--limit", type=natural, metavar="N", help="read N images at most")
    evaluate.add_argument("--seed", type=int, default=0,
                          help="seed that picks the rows compared (default 0)")  # fmt: skip
    add_force(evaluate)
    evaluate.add_argument("--quiet", action="store_true", help="no summary, no progress bar")

    experiment = commands.add_parser("experiment", help="one of the paper's; 'list' names them")
    experiment.set_defaults(run=_experiment)
    experiment.add_argument(
        "name", metavar="NAME", help="which experiment; 'list' prints their names"
    )
    experiment.add_argument("--out", default="experiments_output", metavar="DIR",
                            help="folder of the results (default: experiments_output)")  # fmt: skip
    experiment.add_argument(
        "--data", metavar="PATH", help="the data set of an experiment that needs one"
    )
    experiment.add_argument(
        "--quick", action="store_true", help="tiny sizes: takes seconds, its numbers mean nothing"
    )
    experiment.add_argument(
        "--full", action="store_true", help="a larger preset: hours on a CPU, meant for a GPU"
    )
    experiment.add_argument("--device", help="cuda: train there (with --full or without)")
    experiment.add_argument("--seed", type=int, default=0, help="seed of the run (default 0)")
    experiment.add_argument("--threads", type=int, help=THREADS)
    add_force(experiment)
    experiment.add_argument("--quiet", action="store_true", help="print nothing")
    for name, what in _OPTIONS.items():
        experiment.add_argument(f"--{name.replace('_', '-')}", type=natural, metavar="N",
                                help=f"{what} (default: the experiment's own)")  # fmt: skip


# ------------------------------------------------------------------ evaluate


def _evaluate(arguments: argparse.Namespace) -> int:
    check_seed(arguments.seed)
    out = Path(arguments.out)
    if out.suffix.lower() != ".json":
        raise FileError(f"{out}: metrics are written as .json")
    _check_outputs(arguments, out)
    asked = arguments.classifier or arguments.train_classifier or arguments.inception
    if models.holds_images(arguments.real):
        if not asked:
            raise ValueError(
                "these are images: --classifier C.safetensors, --train-classifier"
                " or --inception says whose features compare them"
            )
        record = _of_images(arguments, out)
    else:
        if arguments.limit is not None:
            warn(f"--limit has no effect: {arguments.real} are points, and it counts images")
        if asked or arguments.reconstructed:
            option = "--reconstructed" if arguments.reconstructed else "a network"
            raise ValueError(f"{arguments.real}: are points, and {option} is for images")
        record = _of_points(arguments)
    write_json(out, {"real": arguments.real, "generated": arguments.generated, **record})
    if not arguments.quiet:
        print_table([*_rows(record), ("saved", str(out))])
    return OK


def _check_outputs(arguments: argparse.Namespace, out: Path) -> None:
    """Raise FileError for outputs that would destroy something."""
    read = (arguments.real, arguments.generated, arguments.reconstructed, arguments.classifier)
    targets = [Target(out, ours=is_metrics)]
    if arguments.train_classifier:
        targets.append(Target(_classifier(out)))
    check_targets(targets, Sources([name for name in read if name]), force=arguments.force)


def _classifier(out: Path) -> Path:
    """Return where a classifier that is trained here goes."""
    return out.with_name("classifier.safetensors")


def _of_points(arguments: argparse.Namespace) -> dict[str, Any]:
    from gtn_fast.metrics import points

    real, generated = (models.load_points(n) for n in (arguments.real, arguments.generated))
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"{arguments.generated} has d = {generated.shape[1]},"
            f" {arguments.real} has d = {real.shape[1]}"
        )
    seed = arguments.seed
    return {
        "energy_distance": points.energy_distance(real, generated, seed=seed),
        "sliced_wasserstein": points.sliced_wasserstein(real, generated, seed=seed),
        "copies": points.nearest_copies(generated[:_COPIES], real),
    }


def _of_images(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    from gtn_fast import metrics

    quiet = False if arguments.quiet else None
    network, record = _network(arguments, out)
    real, generated, reconstructed = (
        name and _read(name, arguments)[0]
        for name in (arguments.real, arguments.generated, arguments.reconstructed)
    )
    options = {"seed": arguments.seed, "progress": quiet}
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", UserWarning)
        if reconstructed is not None:
            record |= metrics.image_scores(real, generated, reconstructed, network, **options)
        else:
            record["IS"] = metrics.inception_score(generated, network, **options)
            record["FID"] = metrics.fid(real, generated, network, progress=quiet)
    for note in notes:
        print(f"gtn-fast: note: {note.message}", file=sys.stderr)
    return record


def _network(arguments: argparse.Namespace, out: Path) -> tuple[Any, dict[str, Any]]:
    """Return whose features compare the images (None: Inception's), and what to note of it."""
    if arguments.inception:
        return None, {"features": "Inception"}
    from gtn_fast.vision.classifier import Classifier, accuracy, train_classifier

    if arguments.classifier:
        classifier = Classifier.load(arguments.classifier)
        images, labels = _read(arguments.real, arguments)
        fits = images.shape[1:] == (classifier.channels, classifier.side, classifier.side)
        if fits and labels is not None and labels.max() < classifier.classes:
            _warn_of_guessing(accuracy(classifier, images, labels), labels)
        return classifier, {"features": arguments.classifier}
    images, labels = _read(arguments.real, arguments)
    if labels is None:
        raise ValueError(f"{arguments.real}: has no labels to train a classifier on")
    classifier, _ = train_classifier(
        images, labels, seed=arguments.seed, progress=False if arguments.quiet else None
    )
    path = _classifier(out)
    deliver(path, lambda place: classifier.save(place, force=arguments.force))
    known = accuracy(classifier, images, labels)
    _warn_of_guessing(known, labels)
    return classifier, {"features": str(path), "training_accuracy": known}


def _warn_of_guessing(known: float, labels: Array) -> None:
    """Warn of a classifier that is nearer to guessing than to knowing."""
    guessed = float(np.bincount(labels).max() / len(labels))
    if known < guessed + (1 - guessed) / 2:
        warn(
            f"the classifier hardly classifies: {known:.0%} of the real images, where guessing"
            f" gives {guessed:.0%}; IS and FID on its features say little"
        )


def _read(name: str, arguments: argparse.Namespace) -> tuple[Array, Array | None]:
    path, key = split_key(name)
    quiet = False if arguments.quiet else None
    found = load_images(path, key=key, limit=arguments.limit, progress=quiet)
    return found.images, found.labels


def _rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the metrics as a table; nested ones by their last name."""
    rows = []
    for name, value in record.items():
        if isinstance(value, dict):
            rows += [(f"{name}: {part}", text) for part, text in _rows(value)]
        else:
            rows.append((name, value if isinstance(value, str) else f"{value:.4g}"))
    return rows


# ------------------------------------------------------------------ experiment


def _experiment(arguments: argparse.Namespace) -> int:
    if arguments.name == "list":
        width = max(map(len, experiments.EXPERIMENTS))
        for name, entry in experiments.EXPERIMENTS.items():
            print(f"{name:<{width}}  {entry.title}")
            if entry.data:
                print(f"{'':<{width}}  needs --data: {entry.data}")
            if entry.full:
                larger = ", ".join(f"{key.replace('_', '-')} {value:,}"
                                   for key, value in entry.full.items())  # fmt: skip
                print(f"{'':<{width}}  --full: {larger}")
        return OK
    import matplotlib  # noqa: F401  (missing: say so before the work)

    out = check_folder(arguments.out)
    if arguments.name not in experiments.EXPERIMENTS:
        valid = ", ".join(experiments.EXPERIMENTS)
        raise ValueError(f"unknown experiment {arguments.name!r}; valid: list, {valid}")
    _check_experiment(arguments, out / arguments.name)
    experiments.run(
        arguments.name,
        out,
        data=arguments.data,
        quick=arguments.quick,
        full=arguments.full,
        device=arguments.device,
        seed=arguments.seed,
        threads=arguments.threads,
        say=(lambda _: None) if arguments.quiet else print,
        **stages.given(arguments, *_OPTIONS),
    )
    return OK


def _check_experiment(arguments: argparse.Namespace, folder: Path) -> None:
    """Raise FileError for a finished run in the folder, or where pictures would become data."""
    names = {"metrics.json", "summary.md", "figures.png", *(p.name for p in folder.glob("*.png"))}
    data = [] if arguments.data is None else [arguments.data]
    read = Sources(data, [Path(name) for name in data if is_picture_folder(Path(name))])
    if folder.parent.exists():
        targets = [Target(folder / name) for name in sorted(names)]
        check_targets(targets, read, folder=folder, force=arguments.force)
