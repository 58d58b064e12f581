"""What autoencode and train share: options, images, a resumable training, the autoencoder."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtn_fast import plots
from gtn_fast.cli.common import THREADS, Array, add_force, count, natural, positive
from gtn_fast.images import KINDS, ImageSet, is_picture_folder, load_images
from gtn_fast.inputs.arguments import check_seed, check_threads
from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.wording import listing
from gtn_fast.outputs.files import check_room, deliver, remove
from gtn_fast.outputs.kinds import is_training_checkpoint, is_training_log
from gtn_fast.outputs.streams import note
from gtn_fast.outputs.targets import Sources, Target, check_targets, no_file

if TYPE_CHECKING:
    from gtn_fast.learn.training.loop import History

Options = argparse._ActionsContainer  # a parser, or a group of one

IMAGES = "folder of pictures, .npz, .npy, MNIST idx files, CIFAR batches, CelebA or HaP folder"
AUTOENCODER = "autoencoder.safetensors"
OWN = "own"  # classes: those that the images come with
SHOWN = 64  # images in a grid
_OF_PRESETS = {
    "epochs": "passes over the data, at most",
    "patience": "stop after N epochs without a better validation loss",
    "batch-size": "pairs per step",
    "layers": "hidden layers of the network",
    "width": "neurons per hidden layer",
}
_AE_DEFAULTS = {"epochs": 20, "batch_size": 128, "lr": 1e-3}
_PICTURES_BYTES = 1 << 22  # of all pictures, logs and numbers of a run, at most
_COMPARED = 2_000  # images whose reconstruction error is reported


# ------------------------------------------------------------------ arguments


def add_image_options(parser: Options, format_: str = "--kind") -> None:
    """Add how images are read; ``format_`` is the option that names their format."""
    parser.add_argument(
        format_,
        dest="kind",
        choices=KINDS,
        help="format of the images (default auto: told by the names)",
    )
    parser.add_argument("--key", metavar="KEY",
                        help="the array of DATA, if the file holds several")  # fmt: skip
    parser.add_argument("--side", type=natural, metavar="N", help="resize images to N x N")
    parser.add_argument("--limit", type=natural, metavar="N", help="read N images at most")
    parser.add_argument("--skip-damaged", action="store_true",
                        help="leave out pictures that cannot be read")  # fmt: skip


def add_autoencoder_options(parser: Options, prefix: str = "") -> None:
    """Add size and training of the autoencoder; ``prefix`` where ĥ has options of those names."""
    parser.add_argument("--d", type=natural, metavar="D", help="latent dimension (default 5)")
    parser.add_argument(f"--{prefix}epochs", type=natural, metavar="N",
                        help="epochs of the autoencoder (default 20)")  # fmt: skip
    parser.add_argument(f"--{prefix}batch-size", type=natural, metavar="N",
                        help="images per step of the autoencoder (default 128)")  # fmt: skip
    parser.add_argument(f"--{prefix}lr", type=positive, metavar="LR",
                        help="learning rate of the autoencoder (default 0.001)")  # fmt: skip


def add_network_options(parser: Options) -> None:
    """Add size and training of what is trained on latents."""
    for name, text in _OF_PRESETS.items():
        parser.add_argument(
            f"--{name}", type=natural, metavar="N", help=f"{text} (default: preset)"
        )
    parser.add_argument("--lr", type=positive, metavar="LR", help="learning rate (default: preset)")


def add_training_options(parser: Options) -> None:
    """Add what every training takes."""
    parser.add_argument("--out", required=True, metavar="DIR",
                        help="folder for the results; it is made if need be")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0,
                        help="seed of Y, weights and batches (default 0)")  # fmt: skip
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on with the unfinished training in DIR"
    )
    again.add_argument("--fresh", action="store_true", help="forget the unfinished training in DIR")
    add_force(parser)
    parser.add_argument("--tensorboard", metavar="LOGDIR", help="write logs for TensorBoard there")
    parser.add_argument("--threads", type=int, metavar="N", help=THREADS)
    parser.add_argument("--device", help="cpu (default), cuda, cuda:N, ...")
    parser.add_argument("--quiet", action="store_true", help="no summary, no progress bar")


def given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the options of these names that were given."""
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


# ------------------------------------------------------------------ before the work


def begin(
    arguments: argparse.Namespace, checkpoints: tuple[str, ...], results: tuple[str, ...]
) -> Path:
    """Check seed, threads, device, packages and the output folder; nothing is made yet.

    ``results``: the files that will be written there. What an unfinished run left is its own to
    replace; a finished run's are replaced with --force only.
    """
    import matplotlib  # noqa: F401  (missing: say so before the work)
    import torch

    check_seed(arguments.seed)
    if arguments.threads is not None:
        torch.set_num_threads(check_threads(arguments.threads))
    arguments.device = _device(arguments.device, arguments.quiet)
    if arguments.tensorboard is not None:
        import tensorboard  # noqa: F401
    out = Path(arguments.out)
    there = any((out / name).exists() for name in checkpoints)
    begun = any(is_training_checkpoint(out / name) for name in checkpoints)
    if begun and not (arguments.resume or arguments.fresh):
        raise FileError(
            f"{out}: holds an unfinished training; --resume goes on with it, --fresh starts anew"
        )
    own = (arguments.resume and there) or (arguments.fresh and begun)
    # A training that failed early leaves its log, and nothing that was worth a checkpoint.
    targets = [
        Target(out / name, ours=is_training_log if name.endswith("log.csv") else no_file)
        for name in (*results, *checkpoints)
    ]
    check_targets(targets, _sources(arguments), folder=out, force=arguments.force or own)
    if arguments.resume and not there:
        raise FileError(f"{out}: there is no unfinished training to resume")
    return out


def _sources(arguments: argparse.Namespace) -> Sources:
    """Return what the command reads: data, validation data that is a file, an autoencoder."""
    also = ("autoencoder", "classes", "val_classes", "classifier")
    named = [arguments.data, *(getattr(arguments, name, None) for name in also)]
    if getattr(arguments, "classes", None) == OWN:
        named.remove(OWN)
    val = getattr(arguments, "val", None)
    if val != "test" and not re.fullmatch(r"[-+.\de]*", val or ""):
        named.append(val)
    read = [name for name in named if name]
    kind = getattr(arguments, "kind", None)
    return Sources(read, [Path(name) for name in read if is_picture_folder(Path(name), kind)])


def check_space(out: Path, *sizes: int) -> None:
    """Raise FileError unless there is room for files of these sizes in the folder, or to be."""
    place = out / "results" if out.exists() else out
    check_room(place, sum(sizes) + _PICTURES_BYTES, in_one_file=False)
    for size in sizes:
        check_room(place, size)


def model_bytes(weights: int) -> tuple[int, int]:
    """Return the sizes of a model's file and of the checkpoint of its training."""
    return 4 * weights, 4 * 4 * weights  # theirs, the best ones, Adam's two averages


def autoencoder_weights(images: Array, arguments: argparse.Namespace) -> int:
    """Return how many weights the autoencoder of these images has; nothing is allocated."""
    import torch

    from gtn_fast.vision.autoencoder import Autoencoder

    with torch.device("meta"):
        model = Autoencoder(images.shape[1], images.shape[2], arguments.d or 5)
    return sum(each.numel() for each in model.parameters())


def starts_anew(arguments: argparse.Namespace) -> bool:
    """Tell whether a checkpoint that is there is not gone on from."""
    return arguments.fresh or (arguments.force and not arguments.resume)


@contextmanager
def making(out: Path) -> Iterator[None]:
    """Make the output folder; take it away again if the work fails before its first file."""
    new = not out.exists()
    out.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        if new:
            with suppress(OSError):
                out.rmdir()
        raise


def discard(out: Path, *names: str) -> None:
    """Remove files of an earlier run."""
    for name in names:
        remove(out / name)


def _device(name: str | None, quiet: bool) -> Any:
    """Return the device: the CPU unless another is named, as in Python."""
    import torch

    if name is None:
        if torch.cuda.is_available() and not quiet:
            note("training on the CPU; --device cuda trains on the GPU")
        return torch.device("cpu")
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name}: cannot be used here: {reason}") from None


@contextmanager
def keeping(checkpoint: Path) -> Iterator[None]:
    """Tell at Ctrl-C, and at a signal that ends the process, how to go on."""
    so_far = f"{checkpoint} has the training so far: the same command with --resume goes on"
    try:
        yield
    except KeyboardInterrupt:
        if not checkpoint.exists():
            raise
        raise KeyboardInterrupt(f"interrupted; {so_far}") from None
    except SystemExit:
        if checkpoint.exists():
            note(f"ended by a signal; {so_far}")
        raise


# ------------------------------------------------------------------ images and autoencoder


def read_images(
    arguments: argparse.Namespace, path: str | None = None, split: str = "train"
) -> Array:
    """Read the images of the command (or those at ``path``), uint8 (n, c, h, w)."""
    return read_image_set(arguments, path, split).images


def read_image_set(
    arguments: argparse.Namespace, path: str | None = None, split: str = "train"
) -> ImageSet:
    """Read the images of the command (or those at ``path``), with the labels they come with."""
    options = given(arguments, "kind", "key", "side", "limit")
    quiet = False if arguments.quiet else None
    found = load_images(
        path or arguments.data,
        split=split,
        progress=quiet,
        skip_damaged=arguments.skip_damaged,
        **options,
    )
    arguments.left_out = [*getattr(arguments, "left_out", []), *found.left_out]
    return found


def fit_autoencoder(
    images: Array,
    arguments: argparse.Namespace,
    out: Path,
    *,
    val: Array | None = None,
    prefix: str = "",
    stem: str = "",
    vae: bool = False,
) -> tuple[Any, History]:
    """Train it; write it, its log and its losses into ``out``; return (model, history).

    ``val``: images that choose the weights. ``prefix`` is that of the options, ``stem``
    that of the names of log and picture.
    """
    from gtn_fast.vision.autoencoder import train_autoencoder
    from gtn_fast.vision.vae import train_vae

    checkpoint = out / f"{stem}checkpoint.safetensors"
    settings: dict[str, Any] = {
        name: value if (value := getattr(arguments, prefix + name)) is not None else default
        for name, default in _AE_DEFAULTS.items()
    }
    fit = train_vae if vae else train_autoencoder
    with keeping(checkpoint):
        model, history = fit(
            images,
            arguments.d or 5,
            val=val,
            **settings,
            seed=arguments.seed,
            device=arguments.device,
            checkpoint=checkpoint,
            log=out / f"{stem}log.csv",
            tensorboard=arguments.tensorboard,
            progress=False if arguments.quiet else None,
        )
    deliver(out / AUTOENCODER, lambda path: model.save(path, force=arguments.force))
    title = "Variational autoencoder" if vae else "Autoencoder"
    loss = "error and divergence of an image" if vae else "mean squared error"
    figure = plots.loss_curves(history.epochs, title, history.best_epoch, loss=loss)
    plots.save(figure, out / f"{stem}loss.png")
    return model, history


def encode(model: Any, images: Array, arguments: argparse.Namespace, path: Path | None) -> Array:
    """Encode all images to latents (n, d); in the .npy file ``path``, if one is given."""
    from gtn_fast.vision.codecs import encode_images

    quiet = False if arguments.quiet else None
    latents: Array = encode_images(model, images, out=path, progress=quiet)
    return latents


def compare(model: Any, images: Array, latents: Array, seed: int, out: Path) -> float:
    """Draw some images beside their reconstructions; return the RMS error in [0, 1]."""
    from gtn_fast.vision.codecs import decode_latents, warn_of_collapse

    rows = np.random.default_rng(seed).permutation(len(images))[:_COMPARED]
    real, made = images[rows], decode_latents(model, np.asarray(latents)[rows])
    plots.save(
        plots.labelled_grids([("Real", real[:SHOWN]), ("Reconstructed", made[:SHOWN])]),
        out / "reconstructions.png",
    )
    warn_of_collapse(real, made)
    difference = real.astype(np.float32) - made.astype(np.float32)
    return float(np.sqrt(np.square(difference).mean(dtype=np.float64))) / 255


# ------------------------------------------------------------------ summaries


def images_text(images: Array) -> str:
    """Write what images they are: ``60,000 of 28 x 28, grey``."""
    n, channels, height, width = images.shape
    return f"{n:,} of {height} x {width}, {'grey' if channels == 1 else 'RGB'}"


def left_out_rows(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the line of the summary about pictures that were left out, if there were any."""
    left_out = getattr(arguments, "left_out", [])
    return [("left out", f"{len(left_out):,}: {listing(left_out, 3)}")] if left_out else []


def history_record(history: History) -> dict[str, Any]:
    """Return what metrics.json says about a training."""
    best = history.epochs[history.best_epoch - 1] if history.best_epoch else {}
    return {
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        "loss": best.get("loss"),
        "val_loss": best.get("val_loss"),
        "seconds": round(history.seconds, 2),
        "note": history.note,
    }


def history_text(history: History) -> str:
    """Write ``31 epochs in 12.1 s, loss 0.0312, validation 0.0340 (epoch 28)``."""
    record = history_record(history)
    epochs = count(record["epochs"], "epoch")
    text = f"{epochs} in {record['seconds']:.1f} s, loss {record['loss']:.4g}"
    if record["val_loss"] is not None:
        text += f", validation {record['val_loss']:.4g}"
    text += f" (epoch {record['best_epoch']})"
    return text if history.note is None else f"{text}; {history.note}"
