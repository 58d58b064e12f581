"""What follows a training: the verdict, and of ĥ its calibration and the residuals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gtn_fast.learn.calibration import Calibration
from gtn_fast.learn.hhat import HHat, answers
from gtn_fast.learn.labeling import label_points
from gtn_fast.learn.prepared import Prepared
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.residuals import Residuals, most_pairs
from gtn_fast.learn.source import Source
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.verdict import ROWS, Verdict, judge
from gtn_fast.outputs.streams import warn

_LABELED = 50_000  # rows that are labeled once more: a few seconds in any dimension
_LEAST_MEASURED, _MOST_MEASURED = 10_000, 50_000  # y's that a calibration measures ĥ on


def calibration(model: HHat, source: Source, given: Prepared, seed: int) -> Calibration:
    """Measure ĥ on fresh y's against what it learned."""
    y, of = fresh(source, derive(seed, "calibrate"))
    made = answers(model, y, of)
    return Calibration.between(made, given.learned, of, given.component, source.parts)


def residuals(
    model: HHat,
    source: Source,
    given: Prepared,
    preset: Preset,
    seed: int,
    *,
    calibrate: bool,
    threads: int | None,
) -> Residuals:
    """Return what ĥ leaves over of y's that it has not seen: X is labeled once more, or a part.

    With ``calibrate`` also what gives ĥ plus residuals the mean and covariance of what it learned.
    """
    seed = derive(seed, "residuals")
    rows = np.arange(len(given.learned))
    if len(rows) > _LABELED:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _LABELED, replace=False))
    of = None if given.component is None else given.component[rows]
    mixture = given.mixture if given.classes is None else None
    pairs = label_points(given.learned[rows], mixture, of, seed, preset, threads, False)
    kept = np.random.default_rng(seed).permutation(len(rows))[: most_pairs(model.d)]
    y, of = pairs.y[kept], None if of is None else of[kept]
    found = Residuals(y, pairs.x[pairs.x_index[kept]] - answers(model, y, of), of)
    if not calibrate:
        return found
    y, of = fresh(source, seed)
    made = found.add(answers(model, y, of), y, of, seed)
    whole = Calibration.between(made, given.learned, of, given.component, source.parts)
    return replace(found, calibration=whole)


def judged(
    sample: Callable[[int, int], NDArray[np.float32]],
    given: Prepared,
    seed: int,
    of: str = "GTN",
) -> Verdict:
    """Compare new samples with standardised data; warn if normals are nearer.

    ``of``: "GTN" or "flow", what the samples are of.
    """
    made = given.scaling.apply(sample(ROWS, seed))
    found = judge(made, given.x, given.val, seed, given.component, of)
    if found.warning is not None:
        warn(found.warning, stacklevel=3)
    return found


def fresh(source: Source, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Return the y's that a calibration measures, and their components, as ``draw`` does."""
    rows = min(_MOST_MEASURED, max(_LEAST_MEASURED, 20 * source.d * source.parts))
    return source.draw(rows, seed)
