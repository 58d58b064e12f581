"""``gtn-fast autoencode``: images to latents."""

from __future__ import annotations

import argparse

from gtn_fast.cli import _stages
from gtn_fast.cli._common import OK, Commands, print_table, write_json

_CHECKPOINT = "checkpoint.safetensors"
_RESULTS = (
    _stages.AUTOENCODER,
    "latents.npy",
    "reconstructions.png",
    "loss.png",
    "log.csv",
    "metrics.json",
)


def add(commands: Commands) -> None:
    """Puts the command of this file into the parser."""
    autoencode = commands.add_parser("autoencode", help="train an autoencoder and encode images")
    autoencode.set_defaults(run=_autoencode)
    autoencode.add_argument("data", metavar="IMAGES", help=_stages.IMAGES)
    autoencode.add_argument("--vae", action="store_true", help="a variational autoencoder instead")
    _stages.add_image_options(autoencode)
    _stages.add_autoencoder_options(autoencode)
    _stages.add_training_options(autoencode)


def _autoencode(arguments: argparse.Namespace) -> int:
    out = _stages.begin(arguments, (_CHECKPOINT,))
    images = _stages.read_images(arguments)
    with _stages.making(out):
        if arguments.fresh:
            _stages.discard(out, _CHECKPOINT)
        model, history = _stages.fit_autoencoder(images, arguments, out, vae=arguments.vae)
        latents = _stages.encode(model, images, arguments, out / "latents.npy")
        error = _stages.compare(model, images, latents, arguments.seed, out)
        record = {
            "images": list(images.shape),
            "d": latents.shape[1],
            "vae": arguments.vae,
            "seed": arguments.seed,
            "training": _stages.history_record(history),
            "reconstruction_rmse": error,
        }
        write_json(out / "metrics.json", record)
        _stages.discard(out, _CHECKPOINT)
    if not arguments.quiet:
        print_table(
            [
                ("images", _stages.images_text(images)),
                ("training", _stages.history_text(history)),
                ("latents", f"{len(latents):,} x {latents.shape[1]}"),
                ("error", f"{error:.4f} of a pixel's range (root mean square)"),
                ("saved", f"{out}: {', '.join(_RESULTS)}"),
            ]
        )
    return OK
