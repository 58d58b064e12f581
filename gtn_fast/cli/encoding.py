"""``gtn-fast autoencode``: images to latents."""

from __future__ import annotations

import argparse

from gtn_fast.cli import stages
from gtn_fast.cli.common import OK, Commands, print_table, write_json

_CHECKPOINT = "checkpoint.safetensors"
_RESULTS = (
    stages.AUTOENCODER,
    "latents.npy",
    "reconstructions.png",
    "loss.png",
    "log.csv",
    "metrics.json",
)


def add(commands: Commands) -> None:
    """Put the command of this file into the parser."""
    autoencode = commands.add_parser("autoencode", help="train an autoencoder and encode images")
    autoencode.set_defaults(run=_autoencode)
    autoencode.add_argument("data", metavar="IMAGES", help=stages.IMAGES)
    autoencode.add_argument("--vae", action="store_true", help="a variational autoencoder instead")
    stages.add_image_options(autoencode)
    stages.add_autoencoder_options(autoencode)
    stages.add_training_options(autoencode)


def _autoencode(arguments: argparse.Namespace) -> int:
    out = stages.begin(arguments, (_CHECKPOINT,), _RESULTS)
    images = stages.read_images(arguments)
    weights = stages.autoencoder_weights(images, arguments)
    stages.check_space(out, *stages.model_bytes(weights), 4 * len(images) * (arguments.d or 5))
    with stages.making(out):
        if stages.starts_anew(arguments):
            stages.discard(out, _CHECKPOINT, "log.csv")
        model, history = stages.fit_autoencoder(images, arguments, out, vae=arguments.vae)
        latents = stages.encode(model, images, arguments, out / "latents.npy")
        error = stages.compare(model, images, latents, arguments.seed, out)
        record = {
            "images": list(images.shape),
            "left_out": arguments.left_out,
            "d": latents.shape[1],
            "vae": arguments.vae,
            "seed": arguments.seed,
            "training": stages.history_record(history),
            "reconstruction_rmse": error,
        }
        write_json(out / "metrics.json", record)
        stages.discard(out, _CHECKPOINT)
    if not arguments.quiet:
        print_table(
            [
                ("images", stages.images_text(images)),
                *stages.left_out_rows(arguments),
                ("training", stages.history_text(history)),
                ("latents", f"{len(latents):,} x {latents.shape[1]}"),
                ("error", f"{error:.4f} of a pixel's range (root mean square)"),
                ("saved", f"{out}: {', '.join(_RESULTS)}"),
            ]
        )
    return OK
