"""``gtn-fast sample | interpolate``: new points, and images, from a trained GTN or flow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast import plots
from gtn_fast.cli import atlas as atlases
from gtn_fast.cli import flows, geodesics, models, pictures, stages
from gtn_fast.cli.common import (
    OK,
    PICTURE_BYTES,
    Array,
    Commands,
    add_force,
    folder_for,
    natural,
    print_table,
    write_array,
    write_arrays,
)
from gtn_fast.inputs.arguments import check_seed
from gtn_fast.inputs.files import FileError
from gtn_fast.outputs.files import deliver
from gtn_fast.outputs.targets import Sources, Target, check_targets
from gtn_fast.planning.memory import check_memory

_CLOUD = 4_000  # samples behind the paths of an interpolation


def add(commands: Commands) -> None:
    """Put the commands of this file into the parser."""
    sample = commands.add_parser("sample", help="draw new samples from a trained GTN")
    sample.set_defaults(run=_sample)
    sample.add_argument("--n", type=natural, default=1000, help="how many samples (default 1000)")
    sample.add_argument("--chart", type=int, metavar="Y",
                        help="draw from this chart of an atlas alone")  # fmt: skip
    sample.add_argument("--out", required=True, metavar="SAMPLES.npy|DIR",
                        help="points, float32 (n, d), images beside them as .npz and .png; or a"
                             " folder that gets every image as a .png of its own")  # fmt: skip
    sample.add_argument("--residual", action="store_true",
                        help="add to each point what ĥ leaves unexplained of a data point"
                             " nearby: more spread, no longer continuous")  # fmt: skip
    flows.add_to_sample(sample)

    between = commands.add_parser("interpolate", help="walk between samples, or between data")
    between.set_defaults(run=_interpolate)
    between.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    between.add_argument("--rows", type=int, nargs=2, action="append", metavar=("A", "B"),
                         help="walk from row A to row B of the data; may be repeated")  # fmt: skip
    between.add_argument(
        "--count",
        type=natural,
        help="without --rows: walk between so many random pairs (default 4)",
    )
    between.add_argument(
        "--steps", type=natural, default=20, help="points of each walk (default 20)"
    )

    geodesics.add_options(between)
    for command in (sample, between):
        command.add_argument(
            "gtn",
            metavar="RUN",
            help="the folder that gtn-fast train or atlas wrote; or its gtn.safetensors,"
            " flow.safetensors or atlas.safetensors",
        )
        command.add_argument(
            "--seed", type=int, help="seed of the normal points that are mapped (default 0)"
        )
        command.add_argument("--class", dest="label", metavar="LABEL",
                             help="this one of a model's classes (default: drawn)")  # fmt: skip
        command.add_argument("--autoencoder", metavar="A.safetensors",
                             help="decode the points to images with this autoencoder (default: the"
                                  " one in the folder RUN)")  # fmt: skip
        add_force(command)
        command.add_argument("--quiet", action="store_true", help="no summary")


def _sample(arguments: argparse.Namespace) -> int:
    out, single = Path(arguments.out), pictures.is_folder(arguments.out)
    if not single and out.suffix.lower() != ".npy":
        raise FileError(f"{out}: samples are written as .npy, or as pictures into a folder")
    models.find_run(arguments)
    if models.is_atlas(arguments.gtn):
        return atlases.sample(arguments)
    if arguments.chart is not None:
        raise ValueError(f"--chart goes with an atlas, which {arguments.gtn} is not")
    if single and not arguments.autoencoder:
        raise FileError(
            f"{out}: pictures need --autoencoder, or the folder of a run that has one;"
            " points are written as .npy"
        )
    seed = check_seed(arguments.seed or 0)
    _check_outputs(arguments, out)
    gtn, autoencoder = _load(arguments)
    row = 4 * gtn.d
    pixels = 0 if autoencoder is None else autoencoder.channels * autoencoder.side**2
    _check_outputs(arguments, out, arguments.n * row, arguments.n * pixels)
    row += pixels
    check_memory(3 * arguments.n * row, f"sampling {arguments.n:,} rows")
    how = _how(gtn, arguments)
    samples = gtn.sample(arguments.n, seed=seed, **how)
    if single:
        saved = pictures.write(out, models.decode(autoencoder, samples))
    else:
        saved = _write(samples, autoencoder, out)
    if not arguments.quiet:
        spread = f"mean {_short(samples.mean(axis=0))}, std {_short(samples.std(axis=0))}"
        print_table(
            [
                ("samples", f"{len(samples):,} x {gtn.d}, seed {seed}"),
                ("columns", spread),
                ("saved", saved),
            ]
        )
    return OK


def _write(samples: Array, autoencoder: Any, out: Path) -> str:
    deliver(out, lambda path: write_array(path, samples))
    saved = [out]
    if autoencoder is not None:
        saved += _write_images(models.decode(autoencoder, samples), out)
    return ", ".join(map(str, saved))


def _how(gtn: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what ``sample`` takes beside n and seed, for a flow and for a GTN."""
    how = {"classes": _class(gtn, arguments), **flows.how_to_follow(gtn, arguments)}
    if not flows.is_flow(gtn):
        return {**how, "residual": arguments.residual}
    if arguments.residual:
        raise FileError(
            f"{arguments.gtn}: is a flow, which leaves no residuals: leave out --residual"
        )
    return how


def _check_outputs(
    arguments: argparse.Namespace, out: Path, array_bytes: int = 0, image_bytes: int = 0
) -> None:
    """Raise FileError for outputs that would destroy something, or have no room."""
    if pictures.is_folder(arguments.out):
        pictures.check(
            out, arguments.n, image_bytes // arguments.n, _sources(arguments), force=arguments.force
        )
        return
    targets = [Target(out, array_bytes)]
    if arguments.autoencoder:
        arrays, picture = _beside(out)
        targets += [Target(arrays, image_bytes), Target(picture, PICTURE_BYTES)]
    check_targets(targets, _sources(arguments), force=arguments.force)


def _sources(arguments: argparse.Namespace) -> Sources:
    return Sources([name for name in (arguments.gtn, arguments.autoencoder) if name])


def _beside(out: Path) -> tuple[Path, Path]:
    """Return where the images of these samples go, and their picture."""
    return out.with_suffix(".npz"), out.with_suffix(".png")


def _write_images(images: Array, out: Path) -> list[Path]:
    arrays, picture = _beside(out)
    deliver(arrays, lambda path: write_arrays(path, {"images": images}))
    plots.save(plots.image_grid(images[: stages.SHOWN]), picture)
    return [arrays, picture]


def _interpolate(arguments: argparse.Namespace) -> int:
    drawn = (arguments.count, arguments.seed, arguments.label)
    if arguments.rows and any(each is not None for each in drawn):
        raise ValueError("--rows says between which; it goes without --count, --seed and --class")
    if arguments.steps < 2:
        raise ValueError("--steps: a path needs at least its two ends")
    models.find_run(arguments)
    if models.is_ddpm(arguments.gtn):
        return geodesics.ways(arguments)
    if arguments.geodesic:
        return geodesics.interpolate(arguments)
    geodesics.refuse_options(arguments)
    seed = check_seed(arguments.seed or 0)
    out = folder_for(arguments, "interpolations.npy", "interpolation.png",
                     sources=_sources(arguments))  # fmt: skip
    gtn, autoencoder = _load(arguments)
    if arguments.rows and flows.is_flow(gtn):
        raise FileError(f"{arguments.gtn}: is a flow, which keeps no rows: leave out --rows")
    if arguments.rows:
        paths = [gtn.interpolate_between(a, b, steps=arguments.steps) for a, b in arguments.rows]
        names = [f"row {a} to row {b}" for a, b in arguments.rows]
    else:
        paths, names = _drawn_paths(gtn, arguments, seed)
    if autoencoder is not None:
        rows = [models.decode(autoencoder, path) for path in paths]
        figure = plots.interpolation_rows(rows, captions=names or None)
    else:
        figure = plots.interpolation_paths(paths, gtn.sample(_CLOUD, seed), ", ".join(names[:3]))
    with stages.making(out):
        deliver(out / "interpolations.npy", lambda path: write_array(path, np.stack(paths)))
        plots.save(figure, out / "interpolation.png")
    if not arguments.quiet:
        print_table(
            [
                ("paths", f"{len(paths)} of {arguments.steps} steps, d = {gtn.d}"),
                ("saved", f"{out}: interpolations.npy, interpolation.png"),
            ]
        )
    return OK


def _drawn_paths(
    gtn: Any, arguments: argparse.Namespace, seed: int
) -> tuple[list[Array], list[str]]:
    """Return paths between pairs of y's, and what they are called: their classes, if any."""
    count, chosen = arguments.count or 4, _class(gtn, arguments)
    if gtn.classes is None:
        ends = gtn.source_sample(2 * count, seed)
        return [gtn.interpolate(*pair, arguments.steps) for pair in ends.reshape(-1, 2, gtn.d)], []
    drawn = gtn.sample_classes(count, seed).tolist() if chosen is None else [chosen] * count
    ends = gtn.source_sample(2 * count, seed, classes=np.repeat(drawn, 2))
    paths = [
        gtn.interpolate(*pair, arguments.steps, classes=name)
        for pair, name in zip(ends.reshape(-1, 2, gtn.d), drawn, strict=True)
    ]
    return paths, [f"class {name}" for name in drawn]


def _class(gtn: Any, arguments: argparse.Namespace) -> Any:
    """Return the label that --class names; ValueError if the model has none of that name."""
    if arguments.label is None:
        return None
    if gtn.classes is None:
        raise ValueError(f"--class: {arguments.gtn} was trained without classes")
    return gtn.classes.parsed(arguments.label)


def _load(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Load the GTN and, if asked for, the autoencoder that decodes its samples."""
    if arguments.autoencoder or arguments.run is _interpolate:
        import matplotlib  # noqa: F401  (missing: say so before the work)
    gtn = flows.load(arguments.gtn)
    if not arguments.autoencoder:
        return gtn, None
    autoencoder = models.load_autoencoder(arguments.autoencoder)
    models.check_width(autoencoder, gtn.d, arguments.gtn, arguments.autoencoder)
    return gtn, autoencoder


def _short(values: Array) -> str:
    """Write up to four numbers."""
    shown = ", ".join(f"{value:.3g}" for value in values[:4])
    return f"({shown}{', ...' if len(values) > 4 else ''})"
