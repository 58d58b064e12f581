"""Algorithm 1 along a finite number of lines through the origin, in the plane.

Algorithm 1 orders both sets by norm so that, of the x's that lie on y's line, the one of
the same rank is taken (section 2.2): equal cosines go to the smaller norm. Among points of a
continuous distribution no two cosines are equal, so decided exactly it never looks at the
norm of x, and ĥ learns the mean of every ray. The float32 loop of the paper has ties by
rounding, in the plane and for many points; there its result depends on them. Here the lines are
made explicit: every direction is replaced by the nearest of ``rays`` evenly spaced ones, and
the engine then finds exact ties on each of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.api import label
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.inputs.arrays import convert, describe
from gtn_fast.labels import Labels
from gtn_fast.learn.presets import MAX_RAYS


def on_rays(v: Any, rays: int) -> NDArray[np.float64]:
    """Return the points v (n, 2) turned onto the nearest of ``rays`` directions, float64 (n, 2).

    Norms are kept, rounded to float32. All points of a ray are exact multiples of one
    another, which is what makes their directions, and so their cosines, equal to the last
    bit: both factors have 24 bits, and their product is exact in float64.
    ValueError unless d = 2, TypeError or ValueError for a bad number of rays.
    """
    points = convert(describe(v, "v")).astype(np.float64)
    if points.shape[1] != 2:
        raise ValueError(f"rays exist in the plane only: wanted d = 2, got d = {points.shape[1]}")
    rays = check_integer(rays, "rays", 1, MAX_RAYS)
    turn = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)
    ray = np.rint(turn * rays).astype(np.int64) % rays
    angle = np.arange(rays) * (2 * np.pi / rays)
    directions = np.column_stack((np.cos(angle), np.sin(angle))).astype(np.float32)
    norm = np.linalg.norm(points, axis=1).astype(np.float32)
    turned: NDArray[np.float64] = (
        norm[:, None].astype(np.float64) * directions.astype(np.float64)[ray]
    )
    return turned


def label_on_rays(
    X: Any, Y: Any, rays: int, *, groups: Any = None, threads: int | None = None
) -> Labels:
    """Label X (n_x, 2) and Y (n_y, 2) by Algorithm 1, directions rounded to ``rays`` of them.

    The points should be centred: rays start at the origin. ``groups``, ``threads`` and the
    errors are those of ``gtn_fast.label``; ``labels.y`` holds the turned y's, so take your
    own Y and ``labels.x_index``.
    """
    return label(on_rays(X, rays), on_rays(Y, rays), groups=groups, threads=threads)
