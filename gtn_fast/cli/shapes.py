"""``gtn-fast topology | manifold``: the shape of data; sets whose shape is known."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gtn_fast import plots
from gtn_fast.cli import models
from gtn_fast.cli.common import (
    MATRIX,
    OK,
    Array,
    Commands,
    add_force,
    count,
    natural,
    print_table,
    write_arrays,
    write_json,
)
from gtn_fast.images import KINDS, SPLITS, load_images
from gtn_fast.inputs.arguments import check_seed
from gtn_fast.inputs.files import FileError
from gtn_fast.inputs.patterns import split_key
from gtn_fast.outputs.files import deliver
from gtn_fast.outputs.targets import Sources, Target, check_targets

_DRAWN = ("diagrams", "window")  # what is a picture, and no finding
_CYCLOOCTANE = "cyclooctane"  # has no images, but points


def add(commands: Commands) -> None:
    """Put the commands of this file into the parser."""
    topology = commands.add_parser("topology", help="the shape of data, and which model fits it")
    topology.set_defaults(run=_topology)
    topology.add_argument("data", metavar="DATA", help=f"images, or latents: {MATRIX}")
    topology.add_argument("--kind", choices=KINDS, default="auto", help="format of the images")
    topology.add_argument(
        "--split", choices=SPLITS, default="train", help="train or test, for images that have both"
    )
    topology.add_argument("--limit", type=natural, metavar="N", help="read N images at most")
    topology.add_argument("--landmarks", type=int, default=300, metavar="N",
                          help="points that stand for all (default 300, at most 500)")  # fmt: skip
    topology.add_argument("--repeats", type=int, default=5,
                          help="halves of the rows that are compared, to see which findings"
                               " last (default 5)")  # fmt: skip
    topology.add_argument("--seed", type=int, default=0, help="seed of what is picked (default 0)")
    topology.add_argument("--out", metavar="SHAPE.json", help="write the findings there, too")
    topology.add_argument("--picture", metavar="SHAPE.png",
                          help="draw where loops and hollows appear and where they are"
                               " filled")  # fmt: skip
    add_force(topology)
    topology.add_argument("--quiet", action="store_true", help="no summary, no progress bar")

    manifold = commands.add_parser("manifold", help="images of known shape, as a data set")
    manifold.set_defaults(run=_manifold)
    manifold.add_argument("name", metavar="NAME", help="which set; 'list' prints their names")
    manifold.add_argument(
        "--n", type=natural, default=20_000, help="how many images (default 20000)"
    )
    manifold.add_argument("--seed", type=int, default=0, help="seed of the images (default 0)")
    manifold.add_argument("--out", metavar="X.npz", help="images, and parameters of each")
    add_force(manifold)
    manifold.add_argument("--quiet", action="store_true", help="no summary")


def _topology(arguments: argparse.Namespace) -> int:
    from gtn_fast.metrics.topology import topology

    check_seed(arguments.seed)
    out = None if arguments.out is None else Path(arguments.out)
    picture = None if arguments.picture is None else Path(arguments.picture)
    if out is None and picture is None and arguments.quiet:
        raise ValueError("--quiet without --out: nothing would be told")
    for path, suffix, what in ((out, ".json", "shape"), (picture, ".png", "picture")):
        if path is not None and path.suffix.lower() != suffix:
            raise FileError(f"{path}: the {what} is written as {suffix}")
    targets = [Target(path) for path in (out, picture) if path is not None]
    check_targets(targets, Sources([arguments.data]), force=arguments.force)
    if picture is not None:
        import matplotlib  # noqa: F401  (missing: say so before the work)

    found = topology(
        _read(arguments),
        n=arguments.landmarks,
        repeats=arguments.repeats,
        seed=arguments.seed,
    )
    if out is not None:
        told = {name: value for name, value in asdict(found).items() if name not in _DRAWN}
        write_json(out, {"data": arguments.data, **told})
    if picture is not None:
        plots.save(diagrams(found), picture)
    if not arguments.quiet:
        dimensions = ", ".join(f"{d:.1f} of {n:,} rows" for n, d in found.dimensions.items())
        rows = [
            ("rows", f"{found.rows:,} x {found.columns}"),
            ("dimension", f"{found.dimension:.1f} ({dimensions})"),
        ]
        for field, numbers in found.betti.items():
            nouns = ("piece", "loop", "hollow") if found.visible else ("piece",)
            texts = [
                f"{count(number, noun)} ({share:.0%})"
                for number, share, noun in zip(numbers, found.shares[field], nouns, strict=False)
            ]
            rows.append((f"Betti mod {field}", ", ".join(texts)))
        rows.append(("advice", found.advice))
        saved = ", ".join(str(path) for path in (out, picture) if path is not None)
        print_table([*rows, *([("saved", saved)] if saved else [])])
    return OK


def diagrams(found: Any) -> Any:
    """Draw the loops and hollows of each repeat: pieces are counted in another way."""
    panels = [(f"half {number}", bars.of, found.window[1])
              for number, bars in enumerate(found.diagrams, 1)]  # fmt: skip
    windows = [found.window] * len(panels)
    words = "distance, in units of how closely landmarks lie,"
    return plots.persistence_diagrams(panels, windows, words, least=1)


def _read(arguments: argparse.Namespace) -> Array:
    if not models.holds_images(arguments.data):
        return models.load_points(arguments.data)
    path, key = split_key(arguments.data)
    quiet = False if arguments.quiet else None
    options: dict[str, Any] = {"kind": arguments.kind, "split": arguments.split, "key": key}
    return load_images(path, limit=arguments.limit, progress=quiet, **options).images


def _manifold(arguments: argparse.Namespace) -> int:
    from gtn_fast.manifolds import MANIFOLDS, manifold
    from gtn_fast.manifolds.linkage import Cyclooctane

    if arguments.name == "list":
        print("\n".join([*MANIFOLDS, _CYCLOOCTANE]))
        return OK
    known = Cyclooctane() if arguments.name == _CYCLOOCTANE else manifold(arguments.name)
    seed = check_seed(arguments.seed)
    if arguments.out is None:
        raise ValueError("--out X.npz says where the set goes")
    out = Path(arguments.out)
    if out.suffix.lower() != ".npz":
        raise FileError(f"{out}: a set is written as .npz")
    pixels = 0 if isinstance(known, Cyclooctane) else known.pixels
    expected = arguments.n * (pixels + 8 * known.columns)
    check_targets([Target(out, expected)], force=arguments.force)
    arrays: dict[str, Any]
    if isinstance(known, Cyclooctane):
        arrays = {"points": known.points(arguments.n, seed)}
    else:
        images, parameters = known.images(arguments.n, seed)
        arrays = {"images": images, "parameters": parameters}
    deliver(out, lambda path: write_arrays(path, arrays))
    if not arguments.quiet:
        numbers = ", ".join(
            f"{' '.join(map(str, betti))} mod {field}" for field, betti in known.betti.items()
        )
        print_table(
            [
                ("set", f"{known.name}, dimension {known.dim}, Betti numbers {numbers}"),
                *((name, f"{array.shape}, {array.dtype}") for name, array in arrays.items()),
                ("saved", str(out)),
            ]
        )
    return OK
