"""What ĥ leaves over, kept to be drawn back: x - ĥ(y) of labeled pairs.

A regression answers with the mean of what lies near y. The spread around that mean is in the
residuals of the pairs: ĥ(y) plus the residual of a pair whose y is nearby has it again. What comes
out is no longer a continuous map, and near the data points whose residuals were drawn where ĥ says
little; so it is an option of ``GTN.sample`` and off by default. ĥ plus residuals has a calibration
of its own (calibration.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gtn_fast.learn.calibration import Calibration
from gtn_fast.learn.training.seeds import derive
from gtn_fast.metrics.points import neighbours

_NEAREST = 8  # y's whose residual may be taken
_MOST_PAIRS = 10_000
_MOST_BYTES = 1 << 24  # of all of them, in the file of a GTN


@dataclass(frozen=True, eq=False)
class Residuals:
    """Pairs: standardised ``y`` and x - ĥ(y), float32 (m, d), and the component of each (m,).

    ``calibration``: what follows ĥ plus residual; None for a fit without calibration.
    """

    y: NDArray[np.float32]
    values: NDArray[np.float32]
    component: NDArray[np.int64] | None = None
    calibration: Calibration | None = None

    def add(
        self,
        points: NDArray[np.float32],
        y: NDArray[np.float32],
        of: NDArray[np.int64] | None,
        seed: int,
    ) -> NDArray[np.float32]:
        """Add to points ĥ(y) (n, d) residuals of pairs of the same component: a function of seed.

        One of the pairs of nearest y, each as likely; then the calibration, if there is one. A
        component of which no pair was kept gets none.
        """
        out = points.copy()
        u = np.random.default_rng(derive(seed, "residuals")).random(len(y))
        for c in [0] if of is None else np.unique(of):
            rows = np.arange(len(y)) if of is None else np.flatnonzero(of == c)
            own = np.arange(len(self.y))
            if self.component is not None:
                own = np.flatnonzero(self.component == c)
            if not len(own) or not len(rows):
                continue
            near = neighbours(y[rows], self.y[own], min(_NEAREST, len(own)))
            place = (u[rows] * near.shape[1]).astype(np.int64)
            chosen = np.take_along_axis(near, place[:, None], axis=1)[:, 0]
            out[rows] += self.values[own[chosen]]
        return out if self.calibration is None else self.calibration.apply(out, of)


def most_pairs(d: int) -> int:
    """Return how many pairs are kept in d dimensions."""
    return max(1, min(_MOST_PAIRS, _MOST_BYTES // (8 * d)))
