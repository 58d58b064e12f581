"""``gtn-fast atlas``: images to an atlas, with a GTN on every chart; and samples of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast import plots
from gtn_fast.cli import models, pictures, stages
from gtn_fast.cli.common import (
    OK,
    PICTURE_BYTES,
    Array,
    Commands,
    count,
    natural,
    positive,
    print_table,
    write_array,
    write_arrays,
    write_json,
)
from gtn_fast.inputs.arguments import check_seed
from gtn_fast.outputs.files import deliver
from gtn_fast.outputs.targets import Sources, Target, check_targets
from gtn_fast.planning.memory import check_memory

_CHECKPOINT = "checkpoint.safetensors"
_ATLAS, _GTN = "atlas.safetensors", "gtn.safetensors"
_RESULTS = (_ATLAS, "samples.png", "reconstructions.png", "loss.png", "log.csv", "metrics.json")
_TITLES = {
    "cae": "Chart autoencoder",
    "vae": "Atlas VAE",
    "wae": "Atlas WAE-GAN",
    "gan": "InfoGAN",
    "ddpm": "Diffusion in pixels",
}
_CHARTS, _D, _NETWORKS = 8, 7, "dense"
_BARE = ("gan", "ddpm")  # whose reconstructions are none, or take as long as the training
_DEFAULTS: dict[str, Any] = {"epochs": 20, "batch_size": 128}
_MOST_CHARTS_SHOWN, _OF_A_CHART = 8, 12
_COMPARED = 2_000  # images whose reconstruction error is reported


def add(commands: Commands) -> None:
    """Put the command of this file into the parser."""
    atlas = commands.add_parser("atlas", help="train an atlas: several latent spaces for images")
    atlas.set_defaults(run=_atlas)
    atlas.add_argument("data", metavar="IMAGES", help=stages.IMAGES)
    atlas.add_argument("--kind", dest="family", choices=_TITLES, default="cae",
                       help="chart autoencoder (default), atlas VAE, atlas WAE-GAN, InfoGAN; or,"
                            " for contrast, diffusion, which has no charts")  # fmt: skip
    atlas.add_argument("--charts", type=natural, metavar="M",
                       help="number of latent spaces (default 8)")  # fmt: skip
    atlas.add_argument("--d", type=natural, metavar="D",
                       help="dimension of each chart (default 7)")  # fmt: skip
    atlas.add_argument("--gtn", action="store_true", help="train a GTN on every chart, too")
    atlas.add_argument("--networks", choices=("dense", "conv"),
                       help="layers: dense (default) or convolutional")  # fmt: skip
    atlas.add_argument("--h", type=natural, metavar="H",
                       help="width of convolutional networks (default: an eighth of the"
                            " paper's)")  # fmt: skip
    atlas.add_argument("--prune", type=positive, metavar="SHARE",
                       help="drop charts of a chart autoencoder while its error grows by this"
                            " share at most")  # fmt: skip
    atlas.add_argument("--epochs", type=natural, metavar="N",
                       help="passes through the images (default 20)")  # fmt: skip
    atlas.add_argument("--batch-size", type=natural, metavar="N",
                       help="images in a training step (default 128)")  # fmt: skip
    atlas.add_argument("--lr", type=positive, metavar="LR",
                       help="learning rate (default: the kind's own)")  # fmt: skip
    atlas.add_argument("--gtn-epochs", type=natural, metavar="N",
                       help="passes of each chart's GTN (default: the preset's)")  # fmt: skip
    stages.add_image_options(atlas, "--format")
    stages.add_training_options(atlas)


def _atlas(arguments: argparse.Namespace) -> int:
    _check_options(arguments)
    results = (*_RESULTS, *((_GTN,) if arguments.gtn else ()))
    if arguments.family in _BARE:
        results = tuple(name for name in results if name != "reconstructions.png")
    out = stages.begin(arguments, (_CHECKPOINT,), results)
    images = stages.read_images(arguments)
    with stages.making(out):
        if stages.starts_anew(arguments):
            stages.discard(out, _CHECKPOINT, "log.csv")
        atlas, history = _fit(images, arguments, out)
        kept = _pruned(atlas, images, arguments)
        deliver(out / _ATLAS, lambda path: atlas.save(path, force=arguments.force))
        drawn = _with_gtn(atlas, images, arguments, out) if arguments.gtn else atlas
        record = {
            "images": list(images.shape),
            "left_out": arguments.left_out,
            "kind": arguments.family,
            "d": atlas.d,
            "charts": atlas.charts,
            "kept": kept,
            "seed": arguments.seed,
            "training": stages.history_record(history),
            "gtn": arguments.gtn,
            **_judged(atlas, images, out),
        }
        _draw(drawn, arguments.seed, out)
        write_json(out / "metrics.json", record)
        stages.discard(out, _CHECKPOINT)
    if not arguments.quiet:
        print_table(_table(images, arguments, history, record, f"{out}: {', '.join(results)}"))
    return OK


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse options that could only be ignored; fill in what was left open."""
    if arguments.family == "ddpm":
        for name in stages.given(arguments, "charts", "d", "networks"):
            raise ValueError(f"--{name} goes with charts, which a ddpm has none of")
    arguments.charts = arguments.charts or _CHARTS
    arguments.d = arguments.d or _D
    arguments.networks = arguments.networks or _NETWORKS
    for name, allowed, where in (
        ("h", arguments.networks == "conv", "--networks conv"),
        ("prune", arguments.family == "cae", "--kind cae"),
        ("gtn_epochs", arguments.gtn, "--gtn"),
    ):
        if getattr(arguments, name) is not None and not allowed:
            raise ValueError(f"--{name.replace('_', '-')} goes with {where}")
    if arguments.gtn and arguments.family in _BARE:
        missing = "encoders" if arguments.family == "gan" else "charts of few dimensions"
        raise ValueError(
            f"--gtn needs {missing}, which a {arguments.family} has none of: --kind cae, vae or wae"
        )


def _fit(images: Array, arguments: argparse.Namespace, out: Path) -> tuple[Any, Any]:
    from gtn_fast.atlas.cae import train_cae
    from gtn_fast.atlas.ddpm import train_ddpm
    from gtn_fast.atlas.gan import train_infogan
    from gtn_fast.atlas.networks import h_for
    from gtn_fast.atlas.vae import train_atlas_vae
    from gtn_fast.atlas.wae import train_wae

    trainers: dict[str, Any] = {
        "cae": train_cae, "vae": train_atlas_vae, "wae": train_wae, "gan": train_infogan,
        "ddpm": train_ddpm,
    }  # fmt: skip
    settings = {**_DEFAULTS, **stages.given(arguments, "epochs", "batch_size", "lr")}
    if arguments.networks == "conv":
        settings["h"] = arguments.h or h_for(arguments.charts, 1 / 8)
    if arguments.family != "ddpm":
        settings |= {name: getattr(arguments, name) for name in ("d", "charts", "networks")}
    with stages.keeping(out / _CHECKPOINT):
        atlas, history = trainers[arguments.family](
            images,
            seed=arguments.seed,
            device=arguments.device,
            checkpoint=out / _CHECKPOINT,
            log=out / "log.csv",
            tensorboard=arguments.tensorboard,
            progress=False if arguments.quiet else None,
            **settings,
        )
    title = _TITLES[arguments.family]
    figure = plots.loss_curves(history.epochs, title, history.best_epoch, loss="loss of an image")
    plots.save(figure, out / "loss.png")
    return atlas, history


def _pruned(atlas: Any, images: Array, arguments: argparse.Namespace) -> list[int]:
    from gtn_fast.atlas.cae import prune

    if arguments.prune is None:
        return list(range(atlas.charts))
    return prune(atlas, images, arguments.prune)


def _with_gtn(atlas: Any, images: Array, arguments: argparse.Namespace, out: Path) -> Any:
    from gtn_fast.atlas.gtn import AtlasGTN

    made = AtlasGTN(atlas)
    made.fit(
        images,
        seed=arguments.seed,
        epochs=arguments.gtn_epochs,
        threads=arguments.threads,
        progress=False if arguments.quiet else None,
    )
    deliver(out / _GTN, lambda path: made.save(path, force=arguments.force))
    return made


def _judged(atlas: Any, images: Array, out: Path) -> dict[str, Any]:
    """Return each chart's share of the images and the error of reconstructions, with a picture."""
    some = images[:_COMPARED]
    if atlas.kind in _BARE:
        return {}
    shares = np.bincount(atlas.charted(some)[0], minlength=atlas.charts) / len(some)
    made = atlas.reconstruct_images(some).numpy()
    plots.save(
        plots.labelled_grids(
            [("Real", some[: stages.SHOWN]), ("Reconstructed", made[: stages.SHOWN])]
        ),
        out / "reconstructions.png",
    )
    error = np.square(some.astype(np.float32) - made.astype(np.float32)).mean(dtype=np.float64)
    return {"shares": shares.tolist(), "reconstruction_rmse": float(np.sqrt(error)) / 255}


def _draw(atlas: Any, seed: int, out: Path) -> None:
    """Draw some samples of each of the charts that are drawn most."""
    weights = atlas.weights.cpu().numpy()
    charts = [int(y) for y in np.argsort(-weights)[:_MOST_CHARTS_SHOWN] if weights[y] > 0]
    panels = [(f"chart {y}", atlas.sample(_OF_A_CHART, seed, chart=y).numpy()) for y in charts]
    plots.save(plots.labelled_grids(panels, 4), out / "samples.png")


def _table(
    images: Array, arguments: argparse.Namespace, history: Any, record: dict[str, Any], saved: str
) -> list[tuple[str, str]]:
    rows = [
        ("images", stages.images_text(images)),
        *stages.left_out_rows(arguments),
        ("training", f"{_TITLES[arguments.family]}: {stages.history_text(history)}"),
        ("charts", f"{record['charts']} of dimension {record['d']}"),
    ]
    if "shares" in record:
        rows[-1] = ("charts", f"{rows[-1][1]}; their shares of the images:"
                    f" {', '.join(f'{share:.0%}' for share in record['shares'])}")  # fmt: skip
        error = f"{record['reconstruction_rmse']:.4f} of a pixel's range (root mean square)"
        rows.append(("error", error))
    return [*rows, ("saved", saved)]


# ------------------------------------------------------------------ samples


def sample(arguments: argparse.Namespace) -> int:
    """Run ``gtn-fast sample`` of an atlas: latents as .npy, images and charts beside."""
    import matplotlib  # noqa: F401  (missing: say so before the work)

    if arguments.autoencoder:
        raise ValueError(f"{arguments.gtn} is an atlas: --autoencoder goes with a GTN")
    out, seed = Path(arguments.out), check_seed(arguments.seed or 0)
    beside, picture = out.with_suffix(".npz"), out.with_suffix(".png")
    atlas, sources = models.load_atlas(arguments.gtn), Sources([arguments.gtn])
    pixels = atlas.channels * atlas.side**2
    single = pictures.is_folder(arguments.out)
    if single:
        pictures.check(out, arguments.n, pixels, sources, force=arguments.force)
    else:
        targets = [
            Target(out, 4 * atlas.d * arguments.n),
            Target(beside, (pixels + 8) * arguments.n),
            Target(picture, PICTURE_BYTES),
        ]
        check_targets(targets, sources, force=arguments.force)
    check_memory(3 * arguments.n * (4 * atlas.d + pixels), f"sampling {arguments.n:,} rows")
    z, y = atlas.draw(arguments.n, seed, arguments.chart)
    images = atlas.decode_to_bytes(z, y).numpy()
    arrays = {"images": images, "chart": y.numpy()}
    saved = f"{out}, {beside}, {picture}"
    if single:
        saved = pictures.write(out, images)
    else:
        deliver(out, lambda path: write_array(path, z.numpy()))
        deliver(beside, lambda path: write_arrays(path, arrays))
        plots.save(plots.image_grid(images[: stages.SHOWN]), picture)
    if not arguments.quiet:
        print_table(
            [
                ("samples", f"{arguments.n:,} x {atlas.d}, seed {seed}"),
                ("charts", f"{count(len(np.unique(y.numpy())), 'chart')} of {atlas.charts}"),
                ("saved", saved),
            ]
        )
    return OK
