"""One warning, before the work, where the answer will disappoint or an argument does nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from gtn_fast.outputs.streams import warn
from gtn_fast.run.checkpoint import CHECKPOINT_EVERY_S
from gtn_fast.run.job import Arguments, Job

_LOOKED_AT = 4096  # rows, evenly apart
_FEWEST = 30  # of fewer rows nothing can be said
_FAR = 2.0  # distances of the centre from 0, in spreads: the mean cosine is a third then, or less
_TIED = 1e-12


def warn_of_disappointment(job: Job, x: Any) -> None:
    """Warn of an X whose directions say little to a drawn Y, all around 0."""
    if job.y is not None or job.groups is not None or job.n_x < _FEWEST:
        return
    if job.method == "rank" or job.metric != "cosine":
        return
    rows = np.asarray(x[:: max(1, job.n_x // _LOOKED_AT)], np.float64)
    largest = np.abs(rows).max()
    if largest == 0:
        return
    rows = rows / largest
    text = _tied(rows) or _off_centre(rows)
    if text is not None:
        warn(text, UserWarning, 5)


def _tied(rows: Any) -> str | None:
    """Say it if all rows have one direction."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all() or np.ptp(rows / lengths, axis=0).max() > _TIED:
        return None
    tied = "so all cosines of a y are tied and the norm alone decides"
    if rows.shape[1] == 1:
        return f"every x has one sign, {tied}: method='rank' labels by value, X - X.mean() by side"
    return f"every x lies on one ray from 0, {tied}: label X - X.mean(axis=0)"


def _off_centre(rows: Any) -> str | None:
    """Say it if 0 lies far outside of the rows."""
    centre = rows.mean(axis=0)
    spread = np.sqrt(np.square(rows - centre).sum(axis=1).mean())
    distance = np.linalg.norm(centre)
    if distance <= _FAR * spread:
        return None
    ratio = f"{distance / spread:.1f} times its spread" if spread > 0 else "and it has no spread"
    return (
        f"X lies far off its centre (its mean is {ratio} away from 0), where cosines say little:"
        " label X - X.mean(axis=0), as GTN.fit does"
    )


def warn_of_idle(given: Arguments) -> None:
    """Warn of arguments that do nothing beside the others."""
    idle = {
        "seed= has no effect: Y is given": given.Y is not None and given.seed != 0,
        "scratch= has no effect without memory=": given.scratch is not None
        and given.memory is None,
        "checkpoint_every= has no effect without checkpoint=": given.checkpoint is None
        and given.checkpoint_every != CHECKPOINT_EVERY_S,
    }
    for text, is_so in idle.items():
        if is_so:
            warn(text, UserWarning, 3)
