"""What autoencode and train share: options, images, a resumable training, the autoencoder."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtn_fast import plots
from gtn_fast.cli.common import THREADS, Array, check_folder, count, natural, positive
from gtn_fast.images import KINDS, load_images
from gtn_fast.inputs.arguments import check_seed, check_threads
from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.wording import listing

if TYPE_CHECKING:
    from gtn_fast.learn.training.loop import History

Options = argparse._ActionsContainer  # a parser, or a group of one

IMAGES = "folder of pictures, .npz, .npy, MNIST idx files, CIFAR batches, CelebA or HaP folder"
AUTOENCODER = "autoencoder.safetensors"
SHOWN = 64  # images in a grid
_AE_DEFAULTS = {"epochs": 20, "batch_size": 128, "lr": 1e-3}
_COMPARED = 2_000  # images whose reconstruction error is reported


# ------------------------------------------------------------------ arguments


def add_image_options(parser: Options) -> None:
    """Add how images are read."""
    parser.add_argument("--kind", choices=KINDS, help="of images (default auto: by the names)")
    parser.add_argument("--key", help="the array of the file, if it holds several")
    parser.add_argument("--side", type=natural, metavar="N", help="resize images to N x N")
    parser.add_argument("--limit", type=natural, metavar="N", help="read N images at most")
    parser.add_argument("--skip-damaged", action="store_true",
                        help="leave out pictures that cannot be read")  # fmt: skip


def add_autoencoder_options(parser: Options, prefix: str = "") -> None:
    """Add size and training of the autoencoder; ``prefix`` where ĥ has options of those names."""
    parser.add_argument("--d", type=natural, metavar="D", help="latent dimension (default 5)")
    parser.add_argument(f"--{prefix}epochs", type=natural, metavar="N", help="default 20")
    parser.add_argument(f"--{prefix}batch-size", type=natural, metavar="N", help="default 128")
    parser.add_argument(f"--{prefix}lr", type=positive, metavar="LR", help="default 0.001")


def add_training_options(parser: Options) -> None:
    """Add what every training takes."""
    parser.add_argument("--out", required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on where DIR was left")
    again.add_argument("--fresh", action="store_true", help="forget what DIR has begun")
    parser.add_argument("--tensorboard", metavar="LOGDIR", help="write there for TensorBoard")
    parser.add_argument("--threads", type=int, metavar="N", help=THREADS)
    parser.add_argument("--device", help="cpu, cuda, ... (default: cuda if there is one)")
    parser.add_argument("--quiet", action="store_true", help="no summary, no progress bar")


def given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the options of these names that were given."""
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


# ------------------------------------------------------------------ before the work


def begin(arguments: argparse.Namespace, checkpoints: tuple[str, ...]) -> Path:
    """Check seed, threads, device, packages and the output folder; nothing is made yet."""
    import matplotlib  # noqa: F401  (missing: say so before the work)
    import torch

    check_seed(arguments.seed)
    if arguments.threads is not None:
        torch.set_num_threads(check_threads(arguments.threads))
    arguments.device = _device(arguments.device)
    if arguments.tensorboard is not None:
        import tensorboard  # noqa: F401
    out = check_folder(arguments.out)
    begun = [name for name in checkpoints if (out / name).exists()]
    if arguments.resume and not begun:
        raise FileError(f"{out}: there is no unfinished training to resume")
    if begun and not (arguments.resume or arguments.fresh):
        raise FileError(
            f"{out}: holds an unfinished training; --resume goes on with it, --fresh starts anew"
        )
    return out


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
        (out / name).unlink(missing_ok=True)


def _device(name: str | None) -> Any:
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name}: cannot be used here: {reason}") from None


@contextmanager
def keeping(checkpoint: Path) -> Iterator[None]:
    """Tell at Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if not checkpoint.exists():
            raise
        raise KeyboardInterrupt(
            f"interrupted; {checkpoint} has the training so far: the same command"
            " with --resume goes on"
        ) from None


# ------------------------------------------------------------------ images and autoencoder


def read_images(
    arguments: argparse.Namespace, path: str | None = None, split: str = "train"
) -> Array:
    """Read the images of the command (or those at ``path``), uint8 (n, c, h, w)."""
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
    images: Array = found.images
    return images


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
    model.save(out / AUTOENCODER)
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
    from gtn_fast.vision.codecs import decode_latents

    rows = np.random.default_rng(seed).permutation(len(images))[:_COMPARED]
    real, made = images[rows], decode_latents(model, np.asarray(latents)[rows])
    plots.save(
        plots.labelled_grids([("Real", real[:SHOWN]), ("Reconstructed", made[:SHOWN])]),
        out / "reconstructions.png",
    )
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
    }


def history_text(history: History) -> str:
    """Write ``31 epochs in 12.1 s, loss 0.0312, validation 0.0340 (epoch 28)``."""
    record = history_record(history)
    epochs = count(record["epochs"], "epoch")
    text = f"{epochs} in {record['seconds']:.1f} s, loss {record['loss']:.4g}"
    if record["val_loss"] is not None:
        text += f", validation {record['val_loss']:.4g}"
    return f"{text} (epoch {record['best_epoch']})"
