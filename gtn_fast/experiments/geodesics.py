"""Geodesics through an atlas WAE-GAN and a WAE-GAN, as Stolberg-Larsen and Sommer measure them.

Their table 1 and figures 2 and 3: the graph of algorithm 1 on encoded images, paths between
held-out ones. What two cores can train is narrower (an eighth of the paper's width) and shorter.
Beside it, what the paper does not have: geodesics through a GTN, of one component and of eight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast import metrics, plots
from gtn_fast.atlas.geodesics import LatentGraph, NoPath
from gtn_fast.atlas.gtn_charts import GTNAtlas
from gtn_fast.atlas.invariants import chart_use
from gtn_fast.atlas.networks import build, h_for
from gtn_fast.atlas.wae import PAPER, train_wae
from gtn_fast.experiments import image_data
from gtn_fast.experiments.report import Notes, text
from gtn_fast.images import ImageSet
from gtn_fast.learn.training.seeds import derive
from gtn_fast.vision.pipeline import fit_images

Array = NDArray[Any]

PAPER_WIDTH = 128  # h of the WAE-GAN; the others have as many parameters
COUNTS = {1: 21_967_881, 2: 21_626_265, 4: 20_885_793, 8: 21_961_217, 16: 21_623_721}
DIMENSIONS = {1: 8}  # of z; 7 with charts
PAIRS, STEPS = 100, 10
MOST_FASTER = 5.0  # learning rates, in place of the paper's 80 epochs
SHOWN = 4  # rows of figure 3b
NODES = (2_000, 4_000)


@dataclass(frozen=True)
class Published:
    """The paper's column of a data set: WAE-GAN, and AWAE-GAN by its charts."""

    error: dict[int, float]
    nodes: dict[int, int]
    edges: dict[int, str]
    diameter: dict[int, int]


TABLE_1 = {
    "mnist": Published(
        {1: 0.0142, 2: 0.0134, 4: 0.0129, 8: 0.0126, 16: 0.0129},
        {1: 2000, 2: 2020, 4: 2175, 8: 2546, 16: 2887},
        {1: "26.6k", 2: "27.0k", 4: "29.6k", 8: "34.7k", 16: "39.8k"},
        {1: 6, 2: 8, 4: 8, 8: 8, 16: 8},
    ),
    "fashion-mnist": Published(
        {1: 0.0144, 2: 0.0133, 4: 0.0141, 8: 0.0148, 16: 0.0162},
        {1: 2000, 2: 2069, 4: 2576, 8: 2677, 16: 3922},
        {1: "26.4k", 2: "26.9k", 4: "33.4k", 8: "35.0k", 16: "52.2k"},
        {1: 6, 2: 8, 4: 9, 8: 9, 16: 9},
    ),
}


@dataclass
class Found:
    """What was measured on one model."""

    atlas: Any
    error: float
    stats: dict[str, Any]
    lengths: list[float]  # of paths, in the order of the pairs; NaN where there is none
    paths: list[Any]
    off: float


def experiment(notes: Notes, spec: str) -> None:
    """Train both on 10,000 images, and build their graphs; then the same of GTNs."""
    charts = notes.options.get("charts", 8)
    if charts not in COUNTS or charts == 1:
        raise ValueError(f"charts must be 2, 4, 8 or 16, got {charts}")
    _count_parameters(notes)
    plan = image_data.resolved(spec, notes)
    notes.options.setdefault("limit", 300 if notes.quick else 10_000)
    train, test = image_data.load(plan, notes)
    pairs = np.random.default_rng(derive(notes.seed, "pairs")).integers(
        0, len(test), (4 if notes.quick else PAIRS, 2)
    )
    width = notes.options.get("width", 16) / PAPER_WIDTH
    epochs = notes.options.get("epochs", 5)
    faster = _faster(spec, epochs)
    notes.line("departure from the paper",
               f"{len(train):,} images, {width:.3g} of the width, {epochs} epochs at"
               f" {faster:.3g} times the learning rates",
               "60,000 images, 80 epochs")  # fmt: skip
    found: dict[str, Found] = {}
    for m in (1, charts):
        name = "WAE" if m == 1 else f"AWAE-{m}"
        atlas = _trained(name, m, width, train, spec, notes)
        found[name] = _measured(name, atlas, train, test, pairs, notes)
    _table_1(found, TABLE_1[spec], charts, notes)
    _confidence(found[f"AWAE-{charts}"].atlas, test, notes)
    for components in (1, charts):
        name = "GTN" if components == 1 else f"GTN, {components} components"
        atlas = _gtn(name, components, plan, train, notes)
        found[name] = _measured(name, atlas, train, test, pairs, notes)
    _beyond(found, notes)
    _draw(found, pairs, charts, notes)


# ------------------------------------------------------------------ models


def _count_parameters(notes: Notes) -> None:
    """Write down how many parameters the networks have at the paper's width; none is allocated."""
    import torch

    counts = {}
    for m in COUNTS:
        settings = {"name": "conv", "h": h_for(m)}
        with torch.device("meta"):
            networks = build(28, 1, DIMENSIONS.get(m, 7), m, 1, settings)
        counts[m] = sum(each.numel() for each in networks.parameters())
    notes.numbers["parameters"] = counts
    notes.line("parameters at the paper's width, " + ", ".join(f"{m}" for m in COUNTS) + " charts",
               ", ".join(f"{each:,}" for each in counts.values()),
               ", ".join(f"{each:,}" for each in COUNTS.values()), "equal",
               counts == COUNTS)  # fmt: skip


def _faster(spec: str, epochs: int) -> float:
    """Return by what the paper's learning rates are multiplied, for so few epochs."""
    return max(1.0, min(MOST_FASTER, float(PAPER[spec]["epochs"]) / epochs))


def _trained(name: str, m: int, width: float, train: ImageSet, spec: str, notes: Notes) -> Any:
    """Train a WAE-GAN of m charts by the paper's settings; in fewer epochs with larger steps."""
    settings = dict(PAPER[spec])
    epochs = notes.options.get("epochs", 1 if notes.quick else 5)
    faster = _faster(spec, epochs)
    settings.update(epochs=epochs, lr=faster * settings["lr"],
                    adversary_lr=faster * settings["adversary_lr"])  # fmt: skip
    with notes.timed(name):
        atlas, history = train_wae(
            train.images,
            DIMENSIONS.get(m, 7),
            m,
            networks="conv",
            h=h_for(m, 4 / PAPER_WIDTH if notes.quick else width),
            seed=notes.seed,
            device=notes.device,
            progress=False,
            **settings,
        )
    notes.numbers.setdefault("losses", {})[name] = [row["loss"] for row in history.epochs]
    return atlas


def _gtn(name: str, components: int, plan: Any, train: ImageSet, notes: Notes) -> GTNAtlas:
    """Fit a GTN of as many components to an autoencoder's latents, seen as an atlas."""
    with notes.timed(name):
        fitted = fit_images(
            train.images,
            plan.d,
            preset=plan.preset,
            components=components,
            device=notes.device,
            ae_epochs=notes.options.get("ae_epochs", 1 if notes.quick else 2),
            seed=notes.seed,
            out=notes.folder / f"model-{plan.d}",
            threads=notes.threads,
            epochs=2 if notes.quick else 20,
            progress=False,
            **plan.network,
        )
    assert fitted.autoencoder is not None
    return GTNAtlas(fitted.gtn, fitted.autoencoder)


# ------------------------------------------------------------------ measures


def _measured(
    name: str, atlas: Any, train: ImageSet, test: ImageSet, pairs: Array, notes: Notes
) -> Found:
    """Build the graph of one model, and the paths between the pairs of held-out images."""
    error = (test.images / 255 - atlas.reconstruct_images(test.images).numpy() / 255) ** 2
    with notes.timed(f"{name}, graph"):
        points = 60 if notes.quick else 2000
        graph = LatentGraph.build(atlas, train.images, max_points=points, seed=notes.seed)
        stats = graph.stats()
    lengths, paths = [], []
    with notes.timed(f"{name}, {len(pairs)} paths"):
        for a, b in pairs:
            try:
                path = graph.path(test.images[a], test.images[b])
            except NoPath:
                path = None
            lengths.append(float("nan") if path is None else path.length)
            paths.append(path)
    shown = [path.resample(atlas, STEPS).images for path in paths if path is not None]
    off = _distance_to(np.concatenate(shown), train.images)
    record = {"error": float(error.mean()), **stats, "lengths": lengths, "off": off}
    notes.numbers.setdefault("models", {})[name] = record
    return Found(atlas, float(error.mean()), stats, lengths, paths, off)


def _distance_to(images: Array, data: Array) -> float:
    """Return the mean distance of images to the nearest of the data, in [0, 1] units."""
    flat = [each.reshape(len(each), -1).astype(np.float32) / 255 for each in (images, data)]
    return float(metrics.nearest(*flat)[0].mean())


def _table_1(found: dict[str, Found], paper: Published, charts: int, notes: Notes) -> None:
    """Write down table 1's rows, WAE-GAN / AWAE-GAN."""
    ours = [found["WAE"], found[f"AWAE-{charts}"]]

    def line(what: str, values: list[Any], given: dict[int, Any], target: str | None = None,
             ok: bool | None = None) -> None:  # fmt: skip
        notes.line(f"{what}, WAE / AWAE-{charts}", " / ".join(map(text, values)),
                   f"{given[1]} / {given[charts]}", target, ok)  # fmt: skip

    errors = [each.error for each in ours]
    line("mean squared error of held-out images, [0, 1]", errors, paper.error,
         "AWAE at most 1.15 times WAE", errors[1] <= 1.15 * errors[0])  # fmt: skip
    nodes = [each.stats["nodes"] for each in ours]
    line("nodes", nodes, paper.nodes, f"{NODES[0]:,} to {NODES[1]:,}",
         NODES[0] <= nodes[1] <= NODES[1])  # fmt: skip
    line("edges", [each.stats["edges"] for each in ours], paper.edges)
    diameters = [each.stats["diameter"] for each in ours]
    line("diameter, in hops", diameters, paper.diameter, "AWAE's at least WAE's",
         diameters[1] >= diameters[0])  # fmt: skip
    for name, words in (("jumps", "edges between charts"), ("components", "pieces")):
        notes.line(f"{words}, AWAE-{charts}", ours[1].stats[name], "not given")
    ratio = float(np.nanmean(ours[1].lengths) / np.nanmean(ours[0].lengths))
    notes.line(f"mean length of {len(ours[0].lengths)} geodesics, AWAE / WAE", ratio,
               "somewhat longer, by eye (figure 3a)", "1.0 to 1.5", 1 <= ratio <= 1.5)  # fmt: skip


def _confidence(atlas: Any, test: ImageSet, notes: Notes) -> None:
    """Write down and draw figure 2: samples of each chart, and how sure psi is."""
    use = chart_use(atlas, test.images)
    median = float(np.median(use.confidence))
    notes.line(f"median of max psi on {len(test):,} held-out images", median,
               "close to 1 for a large part (figure 2b)", "> 0.9", median > 0.9)  # fmt: skip
    notes.line("share of the images in each chart", ", ".join(f"{each:.2f}" for each in use.use),
               "not given")  # fmt: skip
    notes.numbers["overlap"] = use.overlap
    grids = [(f"chart {y}", atlas.sample(12, notes.seed, chart=y).numpy())
             for y in range(atlas.charts)]  # fmt: skip
    notes.draw(plots.labelled_grids(grids, 4), "figure_2a")
    notes.draw(plots.histograms([("confidence", [("", use.confidence)])], "max psi"), "figure_2b")


def _beyond(found: dict[str, Found], notes: Notes) -> None:
    """Write down what the paper has not: how far from the data the ways lead, and GTNs."""
    for name, each in found.items():
        length = float(np.nanmean(each.lengths))
        none = int(np.isnan(each.lengths).sum())
        notes.line(f"{name}: mean length of geodesics / mean distance to the nearest real image"
                   " along them / pairs without a path",
                   f"{text(length)} / {text(each.off)} / {none}", "not given")  # fmt: skip


# ------------------------------------------------------------------ figures


def _draw(found: dict[str, Found], pairs: Array, charts: int, notes: Notes) -> None:
    series = [(name, np.array(found[name].lengths)) for name in ("WAE", f"AWAE-{charts}")]
    finite = [(name, values[np.isfinite(values)]) for name, values in series]
    notes.draw(plots.histograms([("geodesics", finite)], "length"), "figure_3a")
    rows: list[tuple[str, Array, list[str] | None]] = []
    for place in range(len(pairs)):
        paths = {name: each.paths[place] for name, each in found.items()}
        if len(rows) >= SHOWN * len(found) or any(path is None for path in paths.values()):
            continue
        for name, path in paths.items():
            atlas = found[name].atlas
            points = path.resample(atlas, STEPS)
            rows.append((name, points.images, points.caption if atlas.charts > 1 else None))
    if rows:
        notes.draw(plots.captioned_rows(rows), "figure_3b")
