"""``gtn-fast train``: latents, or images by way of an autoencoder, to a GTN."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast import plots
from gtn_fast.cli import flows, models, stages, training_report
from gtn_fast.cli.common import (
    MATRIX,
    OK,
    Array,
    Commands,
    natural,
    print_table,
    write_array,
    write_json,
)
from gtn_fast.inputs.files import FileError
from gtn_fast.learn.presets import PRESETS, for_dimension
from gtn_fast.outputs.files import deliver
from gtn_fast.outputs.streams import warn

_CHECKPOINT = "checkpoint.safetensors"
_AE_STEM = "autoencoder_"  # of files: those of ĥ have the plain names
_AE_CHECKPOINT = _AE_STEM + _CHECKPOINT
_RESULTS = (
    *("gtn.safetensors", "samples.png", "loss.png", "log.csv", "metrics.json"),
    training_report.FILE,
)
_IMAGE_RESULTS = (stages.AUTOENCODER, "latents.npy", "reconstructions.png")
_HELD_OUT = "held_out.npy"


def add(commands: Commands) -> None:
    """Put the command of this file into the parser."""
    train = commands.add_parser("train", help="train a GTN on latents, or on images (--images)")
    train.set_defaults(run=_train)
    train.add_argument("data", metavar="DATA", help=f"{MATRIX}; with --images: {stages.IMAGES}")
    flows.add_to_train(train)
    train.add_argument("--preset", choices=PRESETS,
                       help="row of the paper's table 2"
                            " (default: mnist's, as wide as the data need)")  # fmt: skip
    train.add_argument("--val", metavar="FILE|SHARE",
                       help="data to validate on, or a share of DATA to hold out,"
                            " or, for --images, test: the test split")  # fmt: skip
    train.add_argument("--flatten", action="store_true", help="take (n, c, h, w) as n rows")
    train.add_argument("--components", type=natural, default=1, metavar="K",
                       help="clusters with a source of their own (default 1)")  # fmt: skip
    train.add_argument("--classes", metavar="FILE|own",
                       help="class of every row, 1-D .npy or FILE:KEY; own: the labels that"
                            " --images come with")  # fmt: skip
    train.add_argument("--val-classes", metavar="FILE", help="classes of the rows of --val FILE")
    stages.add_network_options(train)
    train.add_argument("--rays", type=natural, metavar="N",
                       help="in the plane: label along N lines (default: preset)")  # fmt: skip
    train.add_argument("--relabel-every", type=natural, metavar="K",
                       help="label a fresh Y every K epochs (default: never; flow: 1)")  # fmt: skip
    train.add_argument("--no-calibrate", action="store_true",
                       help="leave mean and covariance of the samples as ĥ, or the flow, has"
                            " them; the paper does")  # fmt: skip
    stages.add_training_options(train)
    train.add_argument("--autoencoder", metavar="A.safetensors",
                       help="a trained one: encodes --images, draws the samples")  # fmt: skip
    whole = train.add_argument_group("from images, in one command")
    whole.add_argument("--images", action="store_true",
                       help="DATA are images: first train an autoencoder")  # fmt: skip
    whole.add_argument("--classifier", metavar="C.safetensors",
                       help="judge samples by FID and IS on this classifier, too")  # fmt: skip
    stages.add_image_options(whole)
    stages.add_autoencoder_options(whole, "ae-")


def _train(arguments: argparse.Namespace) -> int:
    overrides = stages.given(arguments, "layers", "width", "lr", "batch_size", "rays")
    _settings(1, arguments, overrides)  # says what is wrong before anything is read
    _check_options(arguments)
    out = stages.begin(arguments, (_CHECKPOINT, _AE_CHECKPOINT), _results(arguments))
    data = _read(arguments)
    chosen = _settings(_dimensions(data, arguments), arguments, overrides)
    _check_space(data, chosen, arguments, out)
    with stages.making(out):
        if stages.starts_anew(arguments):
            stages.discard(out, _CHECKPOINT, _AE_CHECKPOINT, *_logs(arguments))
        if arguments.images:
            _encode(data, arguments, out)
        _hold_out(data, arguments)
        gtn, history = _fit(data, chosen, arguments, out)
        _finish(data, gtn, history, arguments, out)
    return OK


def _settings(d: int, arguments: argparse.Namespace, overrides: dict[str, Any]) -> Any:
    if arguments.flow:
        return flows.settings(d, arguments)
    return for_dimension(d, arguments.preset, **overrides)


def _dimensions(data: _Data, arguments: argparse.Namespace) -> int:
    """Return the dimensions that the latents have or will have."""
    if data.images is None:
        return int(data.x.shape[1])
    return int(arguments.d or 5) if data.autoencoder is None else int(data.autoencoder.d)


@dataclass
class _Data:
    """What a training is about: read first, filled on the way."""

    x: Any = None  # latents (n, d)
    val: Any = None  # latents (m, d), or the share to hold out, or None
    rows: Array | None = None  # of DATA that are trained on; None: all
    held_out: Array | None = None  # the others
    images: Array | None = None
    val_images: Array | None = None
    classes: Any = None  # (n,)
    val_classes: Any = None  # (m,)
    classifier: Any = None
    autoencoder: Any = None
    table: list[tuple[str, str]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    histories: dict[str, Any] = field(default_factory=dict)


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse options that could only be ignored."""
    if arguments.patience is not None and arguments.val is None:
        raise ValueError("--patience needs --val: there is nothing to watch")
    names = ("kind", "side", "limit", "d", "ae_epochs", "ae_batch_size", "ae_lr")
    meant = stages.given(arguments, *names)
    if arguments.skip_damaged:
        meant["skip_damaged"] = True
    if meant and not arguments.images:
        raise ValueError(f"--{next(iter(meant)).replace('_', '-')} is about images: add --images")
    if arguments.classifier and not arguments.images:
        raise ValueError("--classifier is about images: add --images")
    if arguments.classes == stages.OWN and not arguments.images:
        raise ValueError("--classes own takes the labels of images: add --images, or give a file")
    if arguments.val_classes and not arguments.classes:
        raise ValueError("--val-classes goes with --classes: the rows of DATA have none")
    own = [name for name in meant if name.startswith("ae_") or name == "d"]
    if own and arguments.autoencoder:
        raise ValueError(f"--{own[0].replace('_', '-')} is already settled by --autoencoder")


def _read(arguments: argparse.Namespace) -> _Data:
    """Read all files of the command, checked against each other before the work."""
    data = _Data(val=_share(arguments.val))
    name = arguments.autoencoder
    if name:
        data.autoencoder = models.load_autoencoder(name, arguments.device)
    file = arguments.val if data.val is None else None
    if arguments.images:
        _read_images(data, file, arguments)
        return data
    data.x = models.load_points(arguments.data, arguments.key, flatten=arguments.flatten)
    if data.autoencoder is not None:
        models.check_width(data.autoencoder, data.x.shape[1], arguments.data, name)
    if file:
        data.val = models.load_points(file, flatten=arguments.flatten)
        if data.val.shape[1] != data.x.shape[1]:
            raise ValueError(
                f"{file} has d = {data.val.shape[1]}, {arguments.data} has d = {data.x.shape[1]}"
            )
    m = len(data.val) if file else 0
    data.classes, data.val_classes = models.load_classes(arguments, len(data.x), m)
    return data


def _read_images(data: _Data, file: str | None, arguments: argparse.Namespace) -> None:
    """Read the images, those of the file of --val, and their classes."""
    train = stages.read_image_set(arguments)
    data.images, val = train.images, None
    if file == "test":
        val = stages.read_image_set(arguments, split="test")
    elif file:
        val = stages.read_image_set(arguments, path=file)
    data.val_images = None if val is None else val.images
    if arguments.classifier:
        from gtn_fast.vision.classifier import Classifier

        data.classifier = Classifier.load(arguments.classifier, arguments.device)
    for name, model in (
        (arguments.autoencoder, data.autoencoder),
        (arguments.classifier, data.classifier),
    ):
        for images in (data.images, data.val_images):
            if images is not None and model is not None:
                models.check_images(model, images, name)
    own = None
    if arguments.classes == stages.OWN:
        own = train.labels, None if val is None else val.labels
        if own[0] is None or (val is not None and own[1] is None):
            where = arguments.data if own[0] is None else arguments.val
            raise FileError(f"{where}: the images come with no labels; give --classes FILE")
    m = 0 if val is None else len(val)
    data.classes, data.val_classes = models.load_classes(arguments, len(train), m, own)


def _own_results(arguments: argparse.Namespace) -> tuple[str, ...]:
    return (flows.FILE, *_RESULTS[1:]) if arguments.flow else _RESULTS


def _results(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the names of all files that will be written."""
    results = _own_results(arguments)
    if _share(arguments.val) is not None:
        results += (_HELD_OUT,)
    if not arguments.images:
        return results
    latents = ("latents.npy", "reconstructions.png")
    own = (stages.AUTOENCODER, f"{_AE_STEM}log.csv", f"{_AE_STEM}loss.png")
    return (*results, *latents, *(() if arguments.autoencoder else own))


def _logs(arguments: argparse.Namespace) -> list[str]:
    return [name for name in _results(arguments) if name.endswith("log.csv")]


def _check_space(data: _Data, chosen: Any, arguments: argparse.Namespace, out: Path) -> None:
    """Raise FileError unless there is room for everything that will be written."""
    sizes: list[int] = []
    if data.images is None:
        n, d = data.x.shape
    else:
        n, d = len(data.images), arguments.d or 5
        sizes.append(4 * n * d)
        if data.autoencoder is None:
            sizes += stages.model_bytes(stages.autoencoder_weights(data.images, arguments))
        else:
            d = data.autoencoder.d
    parts = arguments.components if data.classes is None else len(np.unique(data.classes))
    model, checkpoint = models.gtn_bytes(chosen, n, d, parts)
    if isinstance(data.val, float):
        sizes.append(8 * n)  # the rows held out
        model += 8 * n  # and the others
    stages.check_space(out, *sizes, model, checkpoint)


def _share(text: str | None) -> float | None:
    try:
        share = float(text or "")
    except ValueError:
        return None
    if not 0 < share < 1:
        raise ValueError(f"--val: a share must be between 0 and 1, got {text}")
    return share


def _encode(data: _Data, arguments: argparse.Namespace, out: Path) -> None:
    """Encode images to latents, by an autoencoder that is trained here or was given."""
    assert data.images is not None
    data.table.append(("images", stages.images_text(data.images)))
    data.table += stages.left_out_rows(arguments)
    data.record["left_out"] = arguments.left_out
    if data.autoencoder is None:
        data.autoencoder, history = stages.fit_autoencoder(
            data.images, arguments, out, val=data.val_images, prefix="ae_", stem=_AE_STEM
        )
        data.table.append(("autoencoder", stages.history_text(history)))
        data.histories["the autoencoder"] = history
        data.record["autoencoder"] = stages.history_record(history)
    data.x = stages.encode(data.autoencoder, data.images, arguments, out / "latents.npy")
    if data.val_images is not None:
        data.val = stages.encode(data.autoencoder, data.val_images, arguments, None)
    data.record["reconstruction_rmse"] = stages.compare(
        data.autoencoder, data.images, data.x, arguments.seed, out
    )


def _hold_out(data: _Data, arguments: argparse.Namespace) -> None:
    """Take a share of the rows for validation; the others keep their order."""
    if not isinstance(data.val, float):
        return
    n = len(data.x)
    held = round(n * data.val)
    if not 0 < held < n:
        raise ValueError(f"--val {data.val:g} of {n} rows leaves nothing to train or to validate")
    chosen = np.zeros(n, dtype=bool)
    chosen[np.random.default_rng(arguments.seed).permutation(n)[:held]] = True
    data.x, data.val = data.x[~chosen], data.x[chosen]
    if data.classes is not None:
        data.classes, data.val_classes = data.classes[~chosen], data.classes[chosen]
    data.rows, data.held_out = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    data.record["held_out"] = {"rows": held, "file": _HELD_OUT}


def _fit(data: _Data, chosen: Any, arguments: argparse.Namespace, out: Path) -> tuple[Any, Any]:
    from gtn_fast.learn.gtn import GTN

    if arguments.flow:
        return flows.fit(data, arguments, out, _CHECKPOINT)
    d = data.x.shape[1]
    if arguments.rays and d != 2:
        warn(f"--rays has no effect at d = {d}: its lines are in the plane")
    gtn = GTN(d, chosen, components=arguments.components, device=arguments.device)
    with stages.keeping(out / _CHECKPOINT):
        history = gtn.fit(
            data.x,
            data.val,
            classes=data.classes,
            val_classes=data.val_classes,
            seed=arguments.seed,
            epochs=arguments.epochs,
            patience=arguments.patience,
            relabel_every=arguments.relabel_every or 0,
            calibrate=not arguments.no_calibrate,
            checkpoint=out / _CHECKPOINT,
            log=out / "log.csv",
            tensorboard=arguments.tensorboard,
            threads=arguments.threads,
            progress=False if arguments.quiet else None,
        )
    gtn.rows = data.rows
    deliver(out / "gtn.safetensors", lambda path: gtn.save(path, force=arguments.force))
    return gtn, history


def _finish(data: _Data, gtn: Any, history: Any, arguments: argparse.Namespace, out: Path) -> None:
    """Write pictures, metrics and the summary; which rows were held out, by their rows in DATA."""
    if data.held_out is not None:
        write_array(out / _HELD_OUT, data.held_out)
    title = "Flow" if arguments.flow else "ĥ"
    plots.save(plots.loss_curves(history.epochs, title, history.best_epoch), out / "loss.png")
    _draw_samples(data, gtn, arguments.seed, out / "samples.png")
    judged = training_report.judge(data, gtn, arguments.seed)
    verdicts = [gtn.verdict, *_judge_images(data, gtn, arguments.seed)]
    record = {
        "preset": arguments.preset,
        "width": gtn.preset.width,
        "flow": arguments.flow,
        "calibrated": not arguments.no_calibrate,
        "verdict": asdict(gtn.verdict),
        **({"image_verdict": asdict(verdicts[1])} if data.images is not None else {}),
        "components": arguments.components,
        "classes": None if data.classes is None else list(gtn.classes.names),
        "seed": arguments.seed,
        "rows": len(data.x),
        "d": data.x.shape[1],
        "training": stages.history_record(history),
        **data.record,
        **judged,
    }
    write_json(out / "metrics.json", record)
    shape = f"{gtn.preset.layers} layers of {gtn.preset.width}"
    latents = f"{len(data.x):,} x {data.x.shape[1]}, preset {gtn.preset.name}, {shape}"
    trained = [("latents", latents), ("training", stages.history_text(history))]
    rows = [*data.table, *trained, *training_report.quality(judged)]
    names = _own_results(arguments) + (_IMAGE_RESULTS if arguments.images else ())
    names += (_HELD_OUT,) if data.held_out is not None else ()
    names = tuple(name for name in names if (out / name).exists() or name == training_report.FILE)
    histories = {**data.histories, title: history}
    training_report.write(out, arguments, gtn, rows, histories, verdicts, names)
    stages.discard(out, _CHECKPOINT, _AE_CHECKPOINT)
    if not arguments.quiet:
        print_table([*rows, ("saved", f"{out}: {', '.join(names)}")])
        print("\n" + "\n".join([gtn.summary(), *(each.table() for each in verdicts[1:])]))


def _draw_samples(data: _Data, gtn: Any, seed: int, path: Path) -> None:
    """Draw new samples: images if there is a decoder, else points in the colour of their y."""
    if data.autoencoder is not None:
        made = models.decode(data.autoencoder, gtn.sample(stages.SHOWN, seed))
        plots.save(plots.image_grid(made, title="New samples"), path)
        return
    n = training_report.SAMPLED
    y, made = gtn.source_sample(n, seed), gtn.sample(n, seed)
    plots.save(plots.scatter_by_norm(y, made, data=data.x), path)


def _judge_images(data: _Data, gtn: Any, seed: int) -> list[Any]:
    """Compare decoded samples with images; warn if normals are nearer and nothing was said yet."""
    if data.images is None:
        return []
    from gtn_fast.vision.verdict import judge_images

    held_out = data.val_images if data.held_out is None else data.images[data.held_out]
    found = judge_images(
        data.autoencoder, gtn, data.x, data.images, held_out,
        rows=data.rows, network=data.classifier, seed=seed,
    )  # fmt: skip
    if gtn.verdict.warning is None and found.warning is not None:
        warn(found.warning)
    return [found]
