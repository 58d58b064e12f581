"""An independent check of a matching: by brute force, on a sample of the y's.

It shares no code with the strategies nor with the reference's loop. A y is checked
against exactly those x's that were free at its turn (turns.py): one matrix product in
float64 finds every x within rounding of the chosen one's cosine or distance, and among those
the rule of the definition decides (in the fixed order of summation, then norm, then row).

Labels of an approximate method are held to less: one to one, in range, order and cosines
as they say. How good their choices are is measured (quality.py) and reported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends.methods import check_metric
from gtn_fast.check.findings import VerifyReport as VerifyReport
from gtn_fast.check.findings import WrongMatching as WrongMatching
from gtn_fast.check.findings import better_free, check_injective
from gtn_fast.check.measure import COSINE, Measure, measure_of
from gtn_fast.check.quality import Choices, compare_choices, quality_summary
from gtn_fast.check.turns import free_scores, pair_values, row_norms
from gtn_fast.environment import in_default_environment
from gtn_fast.inputs.arguments import check_flag, check_integer, check_min_cosine, check_seed
from gtn_fast.inputs.arrays import check_pair, check_scale, convert, describe, unchanged
from gtn_fast.inputs.groups import Groups, integers
from gtn_fast.inputs.room import Room
from gtn_fast.labels import Labels
from gtn_fast.reference import directions_and_norms

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@in_default_environment
def verify(
    X: Any,
    Y: Any,
    labels: Labels | Any,
    sample: int = 1000,
    seed: int = 0,
    *,
    groups: Any = None,
    partial: bool | None = None,
    min_cosine: float | None = None,
    metric: str | None = None,
    flatten: bool = False,
    column: str | None = None,
) -> VerifyReport:
    """Check a matching against the definition; O(sample * n_x * d) time, under 200 MB.

    Checked of the whole matching: rows are in range, no row of X comes twice, pairs stay inside
    their groups. Checked of ``sample`` y's: each chose the best x that was free at its turn. With
    ``Labels``, ``order`` and the sampled cosines and distances are checked, too. A y without an x
    (-1), where ``partial`` or ``min_cosine`` allow that, is right if no free x would do at its
    turn. Labels of method "rank" are checked against the rule of that method, all of them. With
    Labels of an approximate method (``report["exact"]`` is False) a choice that is not the best is
    no error: the report's ``quality`` says how good the sampled choices are.

    Parameters
    ----------
    X, Y
        As given to ``label``; Y=None takes ``labels.y``.
    labels : Labels or (n_y,) integer array
        The matching, or its ``x_index`` alone.
    sample : int
        How many y's, drawn with ``seed`` without replacement; all if at least n_y.
    groups, flatten, column
        As given to ``label``; groups are needed for labels made with groups.
    partial, min_cosine
        As given to ``label``; by default as the Labels say.
    metric
        As given to ``label``; by default that of the Labels, "cosine" for an index.

    Raises
    ------
    WrongMatching
        With the first counter-example: the earliest y in order of choice, the x it has
        and the best one it should have preferred.
    TypeError, ValueError
        Arguments that do not fit together; a file that changes while it is read.

    Examples
    --------
    >>> import gtn_fast
    >>> X = gtn_fast.normal(1, 0, 500, 3)
    >>> labels = gtn_fast.label(X)
    >>> gtn_fast.verify(X, labels.y, labels, sample=100).checked
    100
    >>> gtn_fast.verify(X, labels.y, labels.x_index[::-1])  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    gtn_fast.WrongMatching: row ...
    """
    if Y is None:
        if not isinstance(labels, Labels):
            raise TypeError("Y=None needs Labels, which know their Y; got an index array")
        Y = labels.y_source
    result = labels if isinstance(labels, Labels) else None
    partial, min_cosine = _allowed(result, partial, min_cosine)
    measure = _measure(result, metric, min_cosine)
    x_in, y_in = describe(X, "X", flatten=flatten, key=column), describe(Y, "Y", flatten=flatten)
    if isinstance(labels, Labels) and (labels.n_x, labels.d) != (x_in.rows, x_in.cols):
        raise ValueError(
            f"the labels are for X of shape {(labels.n_x, labels.d)}, got {(x_in.rows, x_in.cols)}"
        )
    check_pair(x_in, y_in, partial=partial)
    sample = check_integer(sample, "sample", 1, 2**62)
    seed = check_seed(seed)
    with unchanged(x_in, y_in):
        x, y = convert(x_in, Room.left()), convert(y_in)
        if measure is not COSINE:
            check_scale(x, y)
        return _verified(x, y, labels, sample, seed, groups, partial, min_cosine, measure)


def _verified(
    x: NDArray[Any],
    y: NDArray[Any],
    labels: Labels | Any,
    sample: int,
    seed: int,
    groups: Any,
    partial: bool,
    min_cosine: float | None,
    measure: Measure,
) -> VerifyReport:
    """Check what ``verify`` was given, read and checked."""
    result = labels if isinstance(labels, Labels) else None
    x_index = _index(labels if result is None else result.x_index, len(y))
    check_injective(x_index, len(x), unmatched=partial or min_cosine is not None)
    if result is not None and result.report.get("groups") is not None and groups is None:
        raise ValueError("these labels were made with groups: verify needs groups=(gx, gy)")
    parts = [(0, np.arange(len(x), dtype=np.int64), np.arange(len(y), dtype=np.int64))]
    if groups is not None:
        checked_groups = Groups.of(groups, len(x), len(y), partial=partial)
        parts = checked_groups.parts
        _check_inside(checked_groups, x_index)

    if result is not None and result.report.get("method") == "rank":
        for _, x_rows, y_rows in parts:
            _check_rank(x, y, x_rows, y_rows, x_index)
        return _report(x, x_index, 0, [], [], complete=True, checked=len(y))

    sampled = np.arange(len(y))
    if sample < len(y):
        sampled = np.random.default_rng(seed).choice(len(y), sample, replace=False)
    wanted = np.zeros(len(y), dtype=bool)
    wanted[sampled] = True

    approximate = result is not None and result.report.get("exact") is False
    y_norm = row_norms(y)
    cosines: list[Float64] = []
    distances: list[Float64] = []
    choices: list[Choices] = []
    contenders = 0
    at = 0
    for _, x_rows, y_rows in parts:
        turns = y_rows[np.lexsort((y_rows, y_norm[y_rows]))]
        if result is not None:
            _check_order(result.order[at : at + len(turns)], turns, at)
        at += len(turns)
        turn = np.flatnonzero(wanted[turns])
        for some in np.array_split(turn, -(-len(turn) // 1024)) if len(turn) else []:
            if approximate:
                choices.append(compare_choices(x, y, x_rows, turns, some, x_index, min_cosine))
                cosine = choices[-1].own
            else:
                value, close = _check_choices(
                    x, y, x_rows, turns, some, x_index, min_cosine, measure
                )
                contenders += close
                cosine = value
                if measure is not COSINE:
                    cosine = _cosines(x, y, turns[some], x_index)
                    distances.append(measure.shown(value))
            cosines.append(cosine)
            if result is not None:
                _check_cosine(result.cosine, turns[some], cosine, x_index)
                if result.distance is not None:
                    _check_distance(result.distance, turns[some], distances[-1], x_index)
    quality = quality_summary(choices) if approximate else None
    return _report(
        x, x_index, contenders, cosines, distances, complete=sample >= len(y), quality=quality
    )


def _allowed(
    labels: Labels | None, partial: bool | None, min_cosine: float | None
) -> tuple[bool, float | None]:
    """Return ``partial`` and ``min_cosine``: as given, else as the labels were made."""
    report = {} if labels is None else labels.report
    if partial is None:
        partial = report.get("partial", False)
    if min_cosine is None:
        min_cosine = report.get("min_cosine")
    return check_flag(partial, "partial"), check_min_cosine(min_cosine)


def _measure(labels: Labels | None, metric: str | None, min_cosine: float | None) -> Measure:
    """Return what the y's chose by: as given, which is to be as the labels were made."""
    if metric is None:
        metric = "cosine" if labels is None else labels.metric
    elif check_metric(metric) and labels is not None and metric != labels.metric:
        raise ValueError(f"the labels are by metric {labels.metric!r}, not {metric!r}")
    if metric != "cosine" and min_cosine is not None:
        raise ValueError(f"min_cosine does not go with metric {metric!r}")
    return measure_of(metric)


def _cosines(x: NDArray[Any], y: NDArray[Any], y_rows: Int64, x_index: Int64) -> Float64:
    """Return the cosines of these rows of Y with what they have; NaN for none."""
    cosine = np.full(len(y_rows), np.nan)
    own = np.flatnonzero(x_index[y_rows] >= 0)
    a, b = COSINE.points(x[x_index[y_rows[own]]]), COSINE.points(y[y_rows[own]])
    cosine[own] = COSINE.values(a, b)
    return cosine


def _check_choices(
    x: NDArray[Any],
    y: NDArray[Any],
    x_rows: Int64,
    turns: Int64,
    turn: Int64,
    x_index: Int64,
    min_cosine: float | None,
    measure: Measure,
) -> tuple[Float64, int]:
    """Check the y's whose turns are ``turn`` (ascending); return their values and contenders.

    A y that takes none is as one with an x at the bound that loses every tie; its value is NaN.
    """
    y_points = measure.points(y[turns[turn]])
    own_row = x_index[turns[turn]]
    none = own_row < 0
    own_x = x[np.where(none, 0, own_row)]
    own, own_norm = measure.values(measure.points(own_x), y_points), directions_and_norms(own_x)[1]
    bound = measure.least if min_cosine is None else min_cosine
    _check_bound(own, ~none, turns[turn], own_row, bound)
    own[none], own_norm[none], own_row[none] = bound, np.inf, len(x)

    best = [(-float(v), float(n), int(r)) for v, n, r in zip(own, own_norm, own_row, strict=True)]
    bar = own
    contenders = 0
    for rows, points, norm, scores, errors in free_scores(
        x, y_points, x_rows, turns, turn, x_index, measure
    ):
        bar = np.maximum(bar, (scores - errors).max(axis=0))  # the best x is not below that
        i, s = np.nonzero((scores + errors >= bar) & (rows[:, None] != own_row))
        if not len(i):
            continue
        contenders += len(i)
        exact = pair_values(points, y_points, i, s, measure)
        better = exact > own[s]
        ties = exact == own[s]
        better |= ties & (norm[i] < own_norm[s])
        better |= ties & (norm[i] == own_norm[s]) & (rows[i] < own_row[s])
        # Only the best x of each y: in a wrong matching millions may be better than the choice.
        found = np.flatnonzero(better)
        found = found[np.lexsort((rows[i[found]], norm[i[found]], -exact[found], s[found]))]
        _, first = np.unique(s[found], return_index=True)
        for k in found[first]:
            candidate = (-float(exact[k]), float(norm[i[k]]), int(rows[i[k]]))
            best[s[k]] = min(best[s[k]], candidate)
    for number, (minus_value, _, row) in enumerate(best):
        if row != own_row[number]:
            has = None if none[number] else (int(own_row[number]), float(own[number]))
            raise better_free(measure, int(turns[turn[number]]), has, row, -minus_value)
    own[none] = np.nan
    return own, contenders


def _check_bound(
    cosine: Float64, matched: NDArray[np.bool_], y_rows: Int64, x_rows: Int64, bound: float
) -> None:
    """Check that every pair has a cosine that will do."""
    far = np.flatnonzero(matched & (cosine < bound))
    if len(far):
        y_row, x_row = int(y_rows[far[0]]), int(x_rows[far[0]])
        raise WrongMatching(
            f"row {y_row} of Y has row {x_row} of X (cosine {float(cosine[far[0]])!r}), below"
            f" min_cosine {bound!r}",
            y_row=y_row,
            x_row=x_row,
            cosine=float(cosine[far[0]]),
        )


def _index(value: Any, n_y: int) -> Int64:
    index = integers(value, "x_index")
    if index.shape != (n_y,):
        raise WrongMatching(
            f"x_index must have shape ({n_y},), one per row of Y, got {index.shape}"
        )
    return index


def _check_inside(groups: Groups, x_index: Int64) -> None:
    gx, gy = groups.of_x, groups.of_y
    crossing = np.flatnonzero((x_index >= 0) & (gx[x_index] != gy))
    if len(crossing):
        y_row = int(crossing[0])
        x_row = int(x_index[y_row])
        raise WrongMatching(
            f"row {y_row} of Y is in group {groups.name(int(gy[y_row]))}, its row {x_row} of X in"
            f" group {groups.name(int(gx[x_row]))}",
            y_row=y_row,
            x_row=x_row,
        )


def _check_order(claimed: Int64, turns: Int64, at: int) -> None:
    wrong = np.flatnonzero(claimed != turns)
    if len(wrong):
        k = int(wrong[0])
        raise WrongMatching(
            f"order is wrong at turn {at + k}: row {int(turns[k])} of Y chose there,"
            f" order says row {int(claimed[k])}",
            y_row=int(turns[k]),
        )


def _check_cosine(
    claimed: NDArray[np.float32], y_rows: Int64, cosine: Float64, x_index: Int64
) -> None:
    right_one = cosine.astype(np.float32)
    both_none = np.isnan(claimed[y_rows]) & np.isnan(right_one)
    wrong = np.flatnonzero((claimed[y_rows] != right_one) & ~both_none)
    if len(wrong):
        k = int(wrong[0])
        y_row, right = int(y_rows[k]), float(cosine[k])
        raise WrongMatching(
            f"row {y_row} of Y: cosine is given as {float(claimed[y_row])!r}, it is {right!r}",
            y_row=y_row,
            x_row=int(x_index[y_row]),
            cosine=right,
        )


def _check_distance(claimed: Float64, y_rows: Int64, distance: Float64, x_index: Int64) -> None:
    wrong = np.flatnonzero((claimed[y_rows] != distance) & (x_index[y_rows] >= 0))
    if len(wrong):
        k = int(wrong[0])
        y_row, right = int(y_rows[k]), float(distance[k])
        raise WrongMatching(
            f"row {y_row} of Y: distance is given as {float(claimed[y_row])!r}, it is {right!r}",
            y_row=y_row,
            x_row=int(x_index[y_row]),
            distance=right,
        )


def _check_rank(
    x: NDArray[Any], y: NDArray[Any], x_rows: Int64, y_rows: Int64, x_index: Int64
) -> None:
    """Check section 2.1: position p of x and i of y satisfy p <= (i + 1/2) n_x / n_y < p + 1."""
    x_sorted = x_rows[np.lexsort((x_rows, x[x_rows, 0]))]
    y_sorted = y_rows[np.lexsort((y_rows, y[y_rows, 0]))]
    n_x, n_y = len(x_rows), len(y_rows)
    for i, y_row in enumerate(y_sorted.tolist()):
        right = int(x_sorted[(2 * i + 1) * n_x // (2 * n_y)])
        x_row = int(x_index[y_row])
        if x_row != right:
            raise WrongMatching(
                f"row {y_row} of Y is number {i} of {n_y} by value and has row {x_row} of X;"
                f" row {right} of X is the one of its quantile",
                y_row=y_row,
                x_row=x_row,
                better_x_row=right,
            )


def _report(
    x: NDArray[Any],
    x_index: Int64,
    contenders: int,
    cosines: list[Float64],
    distances: list[Float64],
    *,
    complete: bool,
    checked: int | None = None,
    quality: dict[str, float] | None = None,
) -> VerifyReport:
    found = np.concatenate(cosines) if cosines else np.empty(0)
    values = found[~np.isnan(found)]
    far = np.concatenate(distances) if distances else np.empty(0)
    return VerifyReport(
        n_x=len(x),
        n_y=len(x_index),
        unmatched=int((x_index < 0).sum()),
        d=x.shape[1],
        checked=len(found) if checked is None else checked,
        contenders=contenders,
        mean_cosine=float(values.mean()) if len(values) else float("nan"),
        min_cosine=float(values.min()) if len(values) else float("nan"),
        complete=complete,
        quality=quality,
        mean_distance=float(np.nanmean(far)) if len(far) and not np.isnan(far).all() else None,
    )
