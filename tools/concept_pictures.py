"""Draws the pictures that explain how labels are made.

python tools/concept_pictures.py    writes docs/figures/concept-*.png

    concept-algorithm.png   Algorithm 1 on twenty points         docs/concepts.md
    concept-screening.png   a screen and its bound, for one y    docs/concepts.md
    concept-rooms.png       the way of a call                    CONTRIBUTING.md
    concept-processes.png   a block on several processes         docs/several-processes.md

All are narrow, with letters that can still be read on a phone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray
from small_picture import save_small

import gtn_fast
from gtn_fast.plots import DATA, FAINT, INK, SOURCE

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"
WIDTH, DPI, COLORS = 5.2, 200, 64  # inches; of the files
LETTERS = 10.5  # points, at least
TAKEN = "#dcdcdc"
PAPER, PALE_BLUE, PALE_RED = "#f5f6f8", "#dbe8f6", "#f8dfe2"

Array = NDArray[Any]


# ------------------------------------------------------------------ Algorithm 1


def algorithm() -> Figure:
    """Draw three turns of Algorithm 1, and all pairs."""
    x, y = _apart()
    labels = gtn_fast.label(x, y)
    order, chosen = labels.order, labels.x_index
    cosine = _directions(y) @ _directions(x).T
    passed = [t for t in range(20) if _first_is_gone(t, cosine, order, chosen)]
    middle, late = passed[0], passed[-2]

    figure = Figure(figsize=(WIDTH, 6.1), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    titles = ("Turn 1: all x's are free", f"Turn {middle + 1}: the best is taken",
              f"Turn {late + 1}: few are left", "All 20 pairs")  # fmt: skip
    for axes, title, turn in zip(panels, titles, (0, middle, late, 20), strict=True):
        _turn(axes, title, turn, x, y, labels)
    handles = [
        panels[0].scatter([], [], s=58, color=SOURCE, label="y, by its turn"),
        panels[0].scatter([], [], s=30, color=DATA, marker="s", label="free x"),
        panels[0].scatter([], [], s=30, color=TAKEN, marker="s", label="taken x"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=LETTERS,
                  frameon=False, handletextpad=0.2, columnspacing=1.2)  # fmt: skip
    return figure


def _apart() -> tuple[Array, Array]:
    """Return 20 x's and 20 y's of the first seed that lets no two marks cover each other."""
    for seed in range(1_000_000):
        y = np.asarray(gtn_fast.normal(seed, 0, 20, 2), dtype=float)
        if np.abs(y).max() > 2.2 or _closest(y) < 0.24:
            continue
        for draw in range(200):
            x = np.random.default_rng((seed, draw)).uniform(-2.1, 2.1, (20, 2))
            if _closest(np.vstack((x, y, np.zeros(2)))) > 0.2:
                return x, y
    raise AssertionError("no seed will do")


def _closest(points: Array) -> float:
    away = np.linalg.norm(points[:, None] - points, axis=2)
    return float(away[~np.eye(len(points), dtype=bool)].min())


def _directions(points: Array) -> Array:
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def _first_is_gone(turn: int, cosine: Array, order: Array, chosen: Array) -> bool:
    """Tell whether the x that this y likes best of all was taken before."""
    return bool(cosine[order[turn]].argmax() in chosen[order[:turn]])


def _turn(axes: Axes, title: str, turn: int, x: Array, y: Array, labels: Any) -> None:
    """Draw who chose before this turn, and the choice of this turn."""
    order, chosen = labels.order, labels.x_index
    before, now = order[:turn], order[turn : turn + 1]
    for i in before:
        axes.plot(*np.transpose((y[i], x[chosen[i]])), color="#c4c4c4", lw=1.0, zorder=1)
    free = np.setdiff1d(np.arange(len(x)), chosen[before])
    axes.scatter(*x.T, s=30, marker="s", color=TAKEN, lw=0, zorder=2)
    axes.scatter(*(x if turn == 20 else x[free]).T, s=30, marker="s", color=DATA, lw=0, zorder=2)
    for rank, i in enumerate(order):
        seen = turn == 20 or rank <= turn
        axes.scatter(*y[i], s=58, color=SOURCE if seen else "#a9c4e4", lw=0, zorder=3)
        axes.annotate(str(rank + 1), y[i], color="white", fontsize=6.5, ha="center",
                      va="center_baseline", zorder=4)  # fmt: skip
    for i in now:
        ray = y[i] / np.linalg.norm(y[i]) * 4
        axes.plot([0, ray[0]], [0, ray[1]], color=SOURCE, lw=1.1, ls=(0, (4, 3)), zorder=1)
        axes.plot(*np.transpose((y[i], x[chosen[i]])), color=INK, lw=1.8, zorder=2)
        axes.scatter(*x[chosen[i]], s=130, facecolor="none", edgecolor=INK, lw=1.6, zorder=3)
    axes.plot(0, 0, "+", color=INK, ms=7, mew=1, zorder=1)
    axes.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xticks=[], yticks=[], aspect="equal")
    axes.set_title(title, fontsize=LETTERS + 1, color=INK)
    for side in axes.spines.values():
        side.set_color("#d5d5d5")


# ------------------------------------------------------------------ screening


def screening() -> Figure:
    """Draw what a screen knows of 44 x's, one after the other, for a single y."""
    rng = np.random.default_rng(204)
    d, n = 24, 44
    y = _directions(rng.standard_normal((1, d)))[0]
    x = _directions(rng.standard_normal((n, d)) + 1.1 * rng.uniform(-1, 1, (n, 1)) * y * np.sqrt(d))
    code_x, code_y = _coded(x), _coded(y)
    score = code_x @ code_y
    # |x.y - x'.y'| = |(x - x').y + x'.(y - y')|, by Cauchy-Schwarz on either part.
    bound = np.linalg.norm(x - code_x, axis=1)
    bound += np.linalg.norm(code_x, axis=1) * np.linalg.norm(y - code_y)
    true = x @ y

    figure = Figure(figsize=(WIDTH, 4.1), layout="constrained")
    axes = figure.subplots()
    best, stairs = -np.inf, []
    for i in range(n):
        computed = score[i] + bound[i] >= best
        color = SOURCE if computed else FAINT
        axes.plot([i, i], [score[i] - bound[i], score[i] + bound[i]], lw=5, color=color,
                  alpha=0.55 if computed else 0.4, solid_capstyle="butt")  # fmt: skip
        if computed:
            axes.plot(i, true[i], "o", ms=4.5, color=INK, zorder=3)
            best = max(best, true[i])
        stairs.append(best)
    axes.step(np.arange(n + 1), [*stairs, best], where="post", color=DATA, lw=1.8, zorder=2)
    many = int((np.append(-np.inf, stairs[:-1]) <= score + bound).sum())
    axes.set_xlabel("x's, in the order in which they are looked at", fontsize=LETTERS)
    axes.set_ylabel("cosine with the y", fontsize=LETTERS)
    axes.set_xticks([])
    axes.tick_params(labelsize=LETTERS - 1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for color, name in ((SOURCE, f"may win: {many}"), (FAINT, f"ruled out: {n - many}")):
        axes.plot([], [], lw=5, color=color, alpha=0.55, label=name)
    axes.plot([], [], "o", ms=4.5, color=INK, label="exact cosine")
    axes.plot([], [], lw=1.8, color=DATA, label="best so far")
    figure.legend(loc="outside lower center", ncols=2, fontsize=LETTERS, frameon=False)
    return figure


def _coded(rows: Array, bits: int = 4) -> Array:
    """Return what codes of so few bits say of the rows, in one scale."""
    scale = np.abs(rows).max() / (2 ** (bits - 1) - 1)
    return np.asarray(np.round(rows / scale) * scale)


# ------------------------------------------------------------------ boxes and arrows


def _sheet(height: float) -> tuple[Figure, Axes]:
    """Return a figure whose axes count inches from the upper left corner."""
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.axis("off")
    return figure, axes


def _box(axes: Axes, place: tuple[float, float, float, float], name: str, text: str = "",
         color: str = PAPER, mono: bool = False) -> None:  # fmt: skip
    """Draw a box at (left, top, width, height): a name in bold, below it a text."""
    left, top, width, height = place
    axes.add_patch(FancyBboxPatch((left, top), width, height, facecolor=color, edgecolor="#9aa6b2",
                                  boxstyle="round,pad=0,rounding_size=0.07", lw=0.9))  # fmt: skip
    middle, family = left + width / 2, "monospace" if mono else "sans-serif"
    lines = text.count("\n") + 1 if text else 0
    step = 0.185
    first = top + height / 2 - step * lines / 2
    axes.text(middle, first, name, ha="center", va="center", fontsize=LETTERS + 0.5,
              weight="bold", family=family, color=INK)  # fmt: skip
    for i, line in enumerate(text.split("\n") if text else []):
        axes.text(middle, first + step * (i + 1), line, ha="center", va="center",
                  fontsize=LETTERS - 0.5, color=INK)  # fmt: skip


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], **how: Any) -> None:
    """Draw an arrow between two places."""
    style = {"arrowstyle": "-|>", "color": "#5c6b7a", "lw": 1.3, "shrinkA": 0, "shrinkB": 0, **how}
    axes.annotate("", end, start, arrowprops=style)


# ------------------------------------------------------------------ the rooms


def rooms() -> Figure:
    """Draw the way of ``label(X)`` through the rooms of the package."""
    steps = (
        ("gtn_fast.label(X)", "api.py; from the command line: cli/", PALE_BLUE),
        ("inputs/", "opens files and arrays, checks all arguments:\n"
         "below, the code trusts them", PAPER),
        ("planning/", "picks a strategy by size, dimension and data;\n"
         "predicts seconds and bytes", PAPER),
        ("run/", "one labeling: checkpoints, progress, signals,\nseveral processes", PAPER),
        ("backends/", "NumPy, FAISS, a GPU, or the compiled engine", PAPER),
        ("_native", "csrc/: orders, searches in blocks, lets y's choose", PAPER),
        ("Labels", "labels.py: the permutation, cosines, a report", PALE_RED),
    )  # fmt: skip
    for name, _, _ in steps:
        if name.endswith("/") and not (ROOT / "gtn_fast" / name).is_dir():
            raise SystemExit(f"gtn_fast/{name} is drawn and not there")
    beside = (
        ("outputs/", "writes whole\nor not at all"),
        ("check/", "verifies by\nbrute force"),
        ("reference/", "the definition:\ntests use =="),
    )
    named = [name for name, *_ in (*steps, *beside) if name.endswith("/")]
    if gone := [name for name in named if not (ROOT / "gtn_fast" / name).is_dir()]:
        raise SystemExit(f"drawn, but not in gtn_fast/: {gone}")
    figure, axes = _sheet(6.85)
    top, gap, middle = 0.1, 0.22, WIDTH / 2
    for name, text, color in steps:
        height = 0.54 + 0.185 * text.count("\n")
        _box(axes, (0.4, top, WIDTH - 0.8, height), name, text, color, mono=True)
        if color != PALE_RED:
            _arrow(axes, (middle, top + height), (middle, top + height + gap))
        top += height + gap
    for i, (name, text) in enumerate(beside):
        left = 0.1 + 1.7 * i
        start, end = (left + 0.8, top - gap), (left + 0.8, top + 0.05)
        _arrow(axes, start, end, arrowstyle="<|-|>" if name == "reference/" else "-|>")
        _box(axes, (left, top + 0.05, 1.6, 0.8), name, text, mono=True)
    return figure


# ------------------------------------------------------------------ several processes


def processes() -> Figure:
    """Draw how three ranks serve a block of y's."""
    figure, axes = _sheet(5.35)
    lefts, width, whole = (0.1, 1.63, 3.16), 1.43, 4.49
    _box(axes, (0.1, 0.1, whole, 0.6), "the next block of y's",
         "drawn from the seed, alike on every rank", PALE_BLUE)  # fmt: skip
    for rank, left in enumerate(lefts):
        middle = left + width / 2
        _arrow(axes, (middle, 0.7), (middle, 0.95))
        _box(axes, (left, 0.95, width, 1.0), f"rank {rank}",
             "screens its own\nfree x's: a list\nfor each y", PALE_RED)  # fmt: skip
        _arrow(axes, (middle, 1.95), (middle, 2.2))
        _arrow(axes, (middle, 2.8), (middle, 3.05))
        _box(axes, (left, 3.05, width, 1.0), f"rank {rank}",
             "all lists at hand,\nlets the y's\nchoose in order")  # fmt: skip
        _arrow(axes, (middle, 4.05), (middle, 4.3))
    _box(
        axes, (0.1, 2.2, whole, 0.6), "one all-gather", "every rank gets the lists of all", "white"
    )
    _box(axes, (0.1, 4.3, whole, 0.95), "the end",
         "every rank gets the x's that are left, and\nends by itself: all have the same labels",
         PALE_BLUE)  # fmt: skip
    side = 4.9
    axes.plot([4.59, side, side], [3.55, 3.55, 0.4], color="#5c6b7a", lw=1.3)
    _arrow(axes, (side, 0.4), (4.59, 0.4))
    axes.text(side + 0.13, 2.0, "until few x's are left", rotation=90, ha="center", va="center",
              fontsize=LETTERS - 0.5, color=INK)  # fmt: skip
    return figure


PICTURES = {
    "algorithm": algorithm,
    "screening": screening,
    "rooms": rooms,
    "processes": processes,
}


def main() -> int:
    """Write all of them, small."""
    for name, draw in PICTURES.items():
        save_small(draw(), FIGURES / f"concept-{name}.png", dpi=DPI, colors=COLORS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
