"""Where y's come from: a normal, or a mixture with a component for each cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.labeling import nearest
from gtn_fast.learn.mixture import Mixture
from gtn_fast.learn.training.seeds import derive
from gtn_fast.sample import normal


@dataclass(frozen=True, eq=False)
class Source:
    """A distribution in R^d: the mixture, or N(0, I) without one and for ``classes``.

    With classes the mixture says where each of them lies: ĥ maps to coordinates centred and scaled
    by the class. ``whose``: what an error calls the generator.
    """

    d: int
    mixture: Mixture | None = None
    classes: Classes | None = None
    whose: str = "GTN"

    @property
    def parts(self) -> int:
        """How many components or classes it has; 1 without."""
        return 1 if self.mixture is None else len(self.mixture.weights)

    def draw(
        self, n: int, seed: int, classes: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Return n y's (n, d), and the component or class of each (n,).

        ``classes``: one label, or n of them; by default drawn by the data's shares. Row i depends
        on (seed, i) and its class only.
        """
        seed = derive(check_seed(seed), "sample")
        n = check_integer(n, "n", 0, 2**48)
        if self.mixture is None or self.classes is not None:
            y = normal(seed, 0, n, self.d)
        else:  # a y that strays to another cluster is that one's
            y = self.mixture.draw(n, seed)[0]
        if self.mixture is None or self.classes is None or classes is not None:
            return y, self.of(y, classes)
        return y, self.mixture.draw_components(n, seed)

    def of(self, y: NDArray[Any], classes: Any = None) -> NDArray[np.int64] | None:
        """Return the component of each y (n, d), or its class, which has to be said: (n,)."""
        if self.classes is not None:
            if classes is None:
                raise ValueError(f"classes= is missing, the class of every row: {self.classes}")
            return self.classes.numbers(classes, len(y))
        if classes is not None:
            self.known_classes()
        return None if self.mixture is None else nearest(self.mixture, y)

    def placed(
        self, points: NDArray[np.float32], of: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """Return ĥ's points (n, d) in standardised coordinates, where their classes (n,) lie."""
        if self.classes is None or self.mixture is None or of is None:
            return points
        return self.mixture.from_local(points, of)

    def drawn_classes(self, n: int, seed: int) -> NDArray[Any]:
        """Return the label of each row of ``draw(n, seed)``, (n,); ValueError without classes."""
        classes = self.known_classes()
        _, of = self.draw(n, seed)
        assert of is not None
        return classes.named(of)

    def known_classes(self) -> Classes:
        """Return the classes; ValueError where there are none."""
        if self.classes is None:
            raise ValueError(f"this {self.whose} knows no classes: it was fitted without classes=")
        return self.classes
