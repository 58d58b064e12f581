"""What a chart autoencoder says of the shape of its data, where the shape is known.

Twelve charts are trained on each set; their nerve, the orientation of their transitions and the
pieces of the latent graph are compared with the truth. Nobody told the model any of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import plots
from gtn_fast.atlas.cae import train_cae
from gtn_fast.atlas.geodesics import LatentGraph
from gtn_fast.atlas.invariants import chart_use, members_of, nerve, nerve_betti, orientation
from gtn_fast.atlas.start import START_STEPS
from gtn_fast.experiments.report import Notes, text
from gtn_fast.learn.training.seeds import derive
from gtn_fast.manifolds import Manifold, manifold

Array = NDArray[Any]

SETS = ("circle", "two-circles", "sphere", "torus", "moebius", "klein", "rp2")
CHARTS, EPS = 12, 0.05
N, ASKED, NODES = 20_000, 4_000, 1_000
FIELDS = (2, 3)
SHOWN = 12


def experiment(notes: Notes) -> None:
    """Train and ask one model a set."""
    right = {"nerve": 0, "orientation": 0, "pieces": 0}
    for name in SETS[:2] if notes.quick else SETS:
        found = _asked(manifold(name), notes)
        for what, each in found.items():
            right[what] += each
    sets = 2 if notes.quick else len(SETS)
    for what, count in right.items():
        notes.line(f"sets whose {what} came out right", f"{count} of {sets}", "no such measurement")
    notes.numbers["right"] = right


def _asked(truth: Manifold, notes: Notes) -> dict[str, bool]:
    """Train on one set, write down what the charts say; return which answers are right."""
    n, asked = (300, 200) if notes.quick else (N, ASKED)
    charts = notes.options.get("charts", 4 if notes.quick else CHARTS)
    images, _ = truth.images(n, derive(notes.seed, truth.name))
    fresh, _ = truth.images(asked, derive(notes.seed, f"{truth.name}, asked"))
    with notes.timed(truth.name):
        atlas, _ = train_cae(
            images, truth.dim, charts,
            epochs=notes.options.get("epochs", 1 if notes.quick else 16),
            start_steps=20 if notes.quick else START_STEPS, seed=notes.seed, progress=False,
            device=notes.device,
        )  # fmt: skip
    members = members_of(atlas, fresh, EPS)
    simplices = nerve(members)
    betti = {field: nerve_betti(simplices, field) for field in FIELDS}
    turned = orientation(atlas, fresh)
    stats = LatentGraph.build(atlas, fresh, max_points=100 if notes.quick else NODES, eps=EPS,
                              seed=notes.seed).stats()  # fmt: skip
    use = chart_use(atlas, fresh, EPS)
    known = {field: tuple(truth.betti[field]) for field in FIELDS}
    right = {
        "nerve": betti == known,
        "orientation": turned.orientable == truth.orientable,
        "pieces": stats["components"] == truth.betti[2][0],
    }
    notes.line(f"{truth.name}: Betti numbers of the nerve, mod 2 / mod 3",
               " / ".join(map(_numbers, betti.values())), "",
               " / ".join(map(_numbers, known.values())), right["nerve"])  # fmt: skip
    notes.line(f"{truth.name}: orientable (purity)", f"{_word(turned.orientable)}"
               f" ({text(turned.purity)})", "", _word(truth.orientable),
               right["orientation"])  # fmt: skip
    notes.line(f"{truth.name}: pieces of the graph", stats["components"], "",
               str(truth.betti[2][0]), right["pieces"])  # fmt: skip
    notes.numbers[truth.name] = {
        "betti": betti, "purity": turned.purity, "overlaps": turned.overlaps, **stats,
        "use": use.use, "overlap": use.overlap, "confidence": float(np.median(use.confidence)),
    }  # fmt: skip
    grids = [(f"chart {y}", fresh[members[:, y]][:SHOWN]) for y in range(charts)
             if members[:, y].any()]  # fmt: skip
    notes.draw(plots.labelled_grids(grids, 4), truth.name)
    return right


def _numbers(betti: Any) -> str:
    return " ".join(map(str, betti))


def _word(orientable: bool | None) -> str:
    return {True: "yes", False: "no", None: "not sure"}[orientable]
