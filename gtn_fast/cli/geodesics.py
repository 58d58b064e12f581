"""``gtn-fast interpolate``: between images. --geodesic: the shortest way, as a model draws it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from gtn_fast import plots
from gtn_fast.cli import flows, models, stages
from gtn_fast.cli.common import OK, Array, count, folder_for, natural, print_table, write_arrays
from gtn_fast.images import is_picture_folder, load_images
from gtn_fast.inputs.arguments import check_seed
from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.patterns import split_key
from gtn_fast.outputs.files import deliver
from gtn_fast.outputs.targets import Sources

_OWN = ("data", "neighbours", "eps")


def add_options(command: argparse.ArgumentParser) -> None:
    """Add --geodesic and what it takes."""
    command.add_argument(
        "--geodesic",
        action="store_true",
        help="the shortest way on what the model draws, from chart to chart",
    )
    for name, more, what in (
        (
            "--data",
            {"metavar": "IMAGES"},
            f"the way leads past these (of a DDPM, without"
            f" --geodesic: between these); {stages.IMAGES}",
        ),
        (
            "--neighbours",
            {"type": natural, "metavar": "K"},
            "images nearby that each may be followed by (default 20)",
        ),
        ("--eps", {"type": float}, "psi from which an image lies in a chart (default 0.05)"),
    ):
        command.add_argument(name, help=f"with --geodesic: {what}", **more)


def refuse_options(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options of --geodesic without it."""
    for name in stages.given(arguments, *_OWN):
        raise ValueError(f"--{name} goes with --geodesic")


def interpolate(arguments: argparse.Namespace) -> int:
    """Run the command, whose arguments are checked as far as every interpolation's are."""
    if arguments.data is None:
        raise ValueError("--geodesic needs --data IMAGES, past which the way leads")
    out = _folder(arguments)
    seed = check_seed(arguments.seed or 0)
    atlas = _atlas(arguments)
    images, rows = _asked(atlas, arguments, seed)
    graph, points, lengths = _paths(atlas, images, rows, arguments, seed)
    captions = [f"row {a} to row {b}, length {length:.3g}"
                for (a, b), length in zip(rows, lengths, strict=True)]  # fmt: skip
    shown = [(name, each.images, each.caption if atlas.charts > 1 else None)
             for name, each in zip(captions, points, strict=True)]  # fmt: skip
    arrays = {
        "z": np.stack([each.z for each in points]),
        "chart": np.stack([each.chart for each in points]),
        "images": np.stack([each.images for each in points]),
        "length": np.array(lengths),
        "rows": np.array(rows),
    }
    with stages.making(out):
        deliver(out / "interpolations.npz", lambda path: write_arrays(path, arrays))
        plots.save(plots.captioned_rows(shown), out / "interpolation.png")
    if not arguments.quiet:
        found = graph.stats()
        pieces = [f"{found['nodes']:,} nodes", f"{found['edges']:,} edges",
                  count(found["jumps"], "jump"), count(found["components"], "piece")]  # fmt: skip
        of = f"{len(rows)} of {arguments.steps} steps, {count(atlas.charts, 'chart')}"
        print_table(
            [
                ("graph", ", ".join(pieces)),
                ("paths", f"{of}, mean length {np.mean(lengths):.4g}"),
                ("saved", f"{out}: interpolations.npz, interpolation.png"),
            ]
        )
    return OK


def ways(arguments: argparse.Namespace) -> int:
    """Run the command for a DDPM: images are noised alike, mixed and denoised."""
    if arguments.autoencoder:
        raise ValueError(f"{arguments.gtn} is a DDPM: --autoencoder goes with a GTN")
    for name in ("geodesic", "neighbours", "eps"):
        if getattr(arguments, name):
            raise ValueError(f"--{name} goes with an atlas or a GTN, {arguments.gtn} is a DDPM")
    if arguments.data is None:
        raise ValueError("a DDPM needs --data IMAGES, between which the ways lead")
    out = _folder(arguments)
    seed = check_seed(arguments.seed or 0)
    model = models.load_atlas(arguments.gtn)
    images, rows = _asked(model, arguments, seed)
    starts, ends = np.array(rows).T
    made = model.interpolate(images[starts], images[ends], arguments.steps, seed=seed).numpy()
    shown = [(f"row {a} to row {b}", way, None) for (a, b), way in zip(rows, made, strict=True)]
    with stages.making(out):
        arrays = {"images": made, "rows": np.array(rows)}
        deliver(out / "interpolations.npz", lambda path: write_arrays(path, arrays))
        plots.save(plots.captioned_rows(shown), out / "interpolation.png")
    if not arguments.quiet:
        print_table(
            [
                ("paths", f"{len(rows)} of {arguments.steps} steps, through half of the noise"),
                ("saved", f"{out}: interpolations.npz, interpolation.png"),
            ]
        )
    return OK


def _folder(arguments: argparse.Namespace) -> Path:
    """Return the folder of the results, which may be written and is none of what is read."""
    path, _ = split_key(arguments.data)
    read = [arguments.gtn, arguments.autoencoder, str(path)]
    pictures = [path] if is_picture_folder(path) else []
    sources = Sources([name for name in read if name], pictures)
    out = folder_for(arguments, "interpolations.npz", "interpolation.png", sources=sources)
    import matplotlib  # noqa: F401  (missing: say so before the work)

    return out


def _asked(atlas: Any, arguments: argparse.Namespace, seed: int) -> tuple[Array, Any]:
    """Return the images of --data, checked for the model, and the pairs of rows asked for."""
    path, key = split_key(arguments.data)
    images = load_images(path, key=key, progress=False if arguments.quiet else None).images
    models.check_images(atlas, images, arguments.gtn)
    rows = arguments.rows or _drawn(len(images), arguments.count or 4, seed)
    for row in np.ravel(rows):
        if not 0 <= row < len(images):
            raise ValueError(f"row {row} is not there: {arguments.data} has {len(images):,} images")
    return images, rows


def _atlas(arguments: argparse.Namespace) -> Any:
    """Load an atlas; or a GTN and its autoencoder, seen as one."""
    from gtn_fast.atlas.gtn_charts import GTNAtlas

    if models.is_atlas(arguments.gtn):
        if arguments.autoencoder:
            raise ValueError(f"{arguments.gtn} is an atlas: --autoencoder goes with a GTN")
        return models.load_atlas(arguments.gtn)
    gtn = flows.load(arguments.gtn)
    if flows.is_flow(gtn):
        raise FileError(
            f"{arguments.gtn}: is a flow, which has no charts; wanted an atlas or a GTN"
        )
    if not arguments.autoencoder:
        raise FileError(
            f"{arguments.gtn}: a GTN draws latents; --geodesic needs --autoencoder, too"
        )
    autoencoder = models.load_autoencoder(arguments.autoencoder)
    models.check_width(autoencoder, gtn.d, arguments.gtn, arguments.autoencoder)
    return GTNAtlas(gtn, autoencoder)


def _drawn(n: int, pairs: int, seed: int) -> list[tuple[int, int]]:
    if n < 2:
        raise ValueError("a way needs two images at least")
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(n, 2, replace=False) for _ in range(pairs)]
    return [(int(a), int(b)) for a, b in drawn]


def _paths(
    atlas: Any, images: Array, rows: Any, arguments: argparse.Namespace, seed: int
) -> tuple[Any, list[Any], list[float]]:
    """Return the graph, the points of each way at equal steps, and the lengths."""
    from gtn_fast.atlas.geodesics import LatentGraph

    options = stages.given(arguments, "eps")
    if arguments.neighbours is not None:
        options["k"] = arguments.neighbours
    graph = LatentGraph.build(atlas, images, seed=seed, **options)
    paths = [graph.path(images[a], images[b]) for a, b in rows]
    points = [path.resample(atlas, arguments.steps) for path in paths]
    return graph, points, [path.length for path in paths]
