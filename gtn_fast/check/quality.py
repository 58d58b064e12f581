"""How good an approximate matching is, in matching terms, on a sample of the y's.

A y is compared with exactly those x's that were free at its turn, by brute force in
float64 (turns.py): whether it took the x that Algorithm 1 would have taken in its place, how
much cosine it lost, and how many free x's were better than the x it took.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_fast.check.turns import free_scores, pair_values, row_norms
from gtn_fast.environment import in_default_environment
from gtn_fast.reference import directions_and_norms, ordered_dot

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_VALUES = 2e10  # products that the comparison may take: a few seconds
_SAMPLE = (200, 1000)  # y's: at least, at most


class Choices(NamedTuple):
    """For some y's: the cosine they got, the best cosine there was, how many x's were better.

    For a y that took none: NaN, NaN, how many x's would have done.
    """

    own: Float64
    best: Float64
    before: Int64


@in_default_environment
def estimate_quality(
    x: NDArray[Any],
    y: NDArray[Any],
    x_index: Int64,
    parts: Iterable[tuple[int, Int64, Int64]] | None = None,
    *,
    seed: int = 0,
    min_cosine: float | None = None,
) -> dict[str, float]:
    """Return ``summary`` for a sample of 200 to 1,000 y's (fewer, the larger X).

    ``parts``: (label, rows of X, rows of Y) of each group; one of everything by default.
    Arrays as the engine reads them; no arguments are checked.
    """
    if parts is None:
        parts = [(0, np.arange(len(x), dtype=np.int64), np.arange(len(y), dtype=np.int64))]
    size = int(np.clip(_VALUES / x.size, *_SAMPLE))
    wanted = np.zeros(len(y), dtype=bool)
    wanted[np.random.default_rng(seed).choice(len(y), min(size, len(y)), replace=False)] = True
    y_norm = row_norms(y)
    choices = []
    for _, x_rows, y_rows in parts:
        turns = y_rows[np.lexsort((y_rows, y_norm[y_rows]))]
        turn = np.flatnonzero(wanted[turns])
        if len(turn):
            choices.append(compare_choices(x, y, x_rows, turns, turn, x_index, min_cosine))
    return quality_summary(choices)


@in_default_environment
def compare_choices(
    x: NDArray[Any],
    y: NDArray[Any],
    x_rows: Int64,
    turns: Int64,
    turn: Int64,
    x_index: Int64,
    min_cosine: float | None = None,
) -> Choices:
    """Compare the y's whose turns are ``turn`` with the best x's that were free then.

    ``turns``: rows of Y as they chose; ``x_rows`` ascending: the x's that take part.
    """
    tolerance = max(1e-12, 8.0 * x.shape[1] * np.finfo(np.float64).eps)
    y_direction = directions_and_norms(y[turns[turn]])[0]
    own_row = x_index[turns[turn]]
    none = own_row < 0
    own_direction, own_norm = directions_and_norms(x[np.where(none, 0, own_row)])
    own = ordered_dot(own_direction, y_direction)
    own[none] = -2.0 if min_cosine is None else min_cosine
    own_norm[none] = np.inf
    best = own.copy()
    before = np.zeros(len(turn), np.int64)
    found = free_scores(x, y_direction, x_rows, turns, turn, x_index)
    for rows, direction, norm, scores, _ in found:
        # In a good matching few x's are better than the chosen one: only those are looked at.
        i, s = np.nonzero(scores >= own - tolerance)
        score = scores[i, s]
        clear = score > own[s] + tolerance
        before += np.bincount(s[clear], minlength=len(turn))
        np.maximum.at(best, s[clear], score[clear])
        close = ~clear & (rows[i] != own_row[s])
        if close.any():  # too close for a plain product: the definition decides
            i, s = i[close], s[close]
            exact = pair_values(direction, y_direction, i, s)
            smaller = (norm[i] < own_norm[s]) | ((norm[i] == own_norm[s]) & (rows[i] < own_row[s]))
            better = (exact > own[s]) | ((exact == own[s]) & smaller)
            before += np.bincount(s[better], minlength=len(turn))
            np.maximum.at(best, s, exact)
    own[none] = best[none] = np.nan
    return Choices(own, best, before)


def quality_summary(choices: Sequence[Choices]) -> dict[str, float]:
    """Put the sampled choices into plain numbers.

    ``sample``; ``agreement``: share of the exact choices; ``mean_cosine`` and
    ``mean_best_cosine`` (of y's with an x); ``mean_cosine_lost``, their difference;
    ``cosine_ratio``, see ``cosine_ratio``; ``rank_regret_mean`` and ``_median``: how many free
    x's were better.
    """
    own, best, before = (np.concatenate(each) for each in zip(*choices, strict=True))
    matched = ~np.isnan(own)
    mean, mean_best = (
        float(each[matched].mean()) if matched.any() else 0.0 for each in (own, best)
    )
    return {
        "sample": len(own),
        "agreement": float((before == 0).mean()),
        "mean_cosine": mean,
        "mean_best_cosine": mean_best,
        "mean_cosine_lost": float((best - own)[matched].mean()) if matched.any() else 0.0,
        "cosine_ratio": cosine_ratio(mean, mean_best),
        "rank_regret_mean": float(before.mean()),
        "rank_regret_median": float(np.median(before)),
    }


def cosine_ratio(mean: float, best: float) -> float:
    """Return mean / best; where the best is not above 0, 1 less the loss over its size.

    1 where nothing was lost, whatever the sign; 0 where the best is 0 and something was.
    """
    if best == mean:
        return 1.0
    return 1.0 - (best - mean) / abs(best) if best else 0.0


def quality_text(quality: dict[str, float]) -> str:
    """Write a quality for people, in one line."""
    return (
        f"{quality['agreement']:.1%} of the exact choices,"
        f" {quality['cosine_ratio']:.4f} of the best cosine"
        f" ({quality['sample']:.0f} y's against all x's that were free)"
    )
