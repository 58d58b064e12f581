"""Labeling as a scikit-learn estimator: data to the points of a normal sample, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_is_fitted, validate_data

from gtn_fast.api import label


class GTNLabeler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Match the rows of X with those of a normal sample, one to one (Algorithm 1, exactly).

    The sample is centred at zero: put a StandardScaler before it in a pipeline.

    Parameters
    ----------
    random_state : int
        The seed of the normal sample, 0 <= random_state < 2**64.
    method : str
        As in ``gtn_fast.label``: "auto" is exact.
    n_jobs : int or None
        Threads; -1 for all CPUs, None as ``gtn_fast.label`` does by itself.

    Attributes
    ----------
    labels_ : Labels
        What ``gtn_fast.label`` returned: permutation, cosines, report.
    y_index_ : int64 (n,)
        For every row of X the row of the sample that took it.
    n_features_in_ : int
        Columns of X.

    Examples
    --------
    >>> import gtn_fast
    >>> from gtn_fast.adapters.scikit_learn import GTNLabeler
    >>> X = 3 * gtn_fast.normal(1, 0, 100, 2)
    >>> labeler = GTNLabeler(random_state=7)
    >>> Y = labeler.fit_transform(X)
    >>> Y.shape, bool((labeler.inverse_transform(Y) == X).all())
    ((100, 2), True)
    """

    def __init__(
        self, random_state: int = 0, *, method: str = "auto", n_jobs: int | None = None
    ) -> None:
        self.random_state = random_state
        self.method = method
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the sample is float32
        return tags

    def fit(self, X: Any, y: Any = None) -> GTNLabeler:  # noqa: ARG002
        """Label X (n, d); ``y`` is ignored. ValueError for what is no finite matrix."""
        self._x = validate_data(self, X, dtype=[np.float64, np.float32], copy=True)
        self.labels_ = label(
            self._x,
            seed=self.random_state,
            method=self.method,
            threads=self.n_jobs,
            progress=False,
        )
        self.y_index_ = self.labels_.y_index
        self._of_x = NearestNeighbors(n_neighbors=1).fit(self._x)
        self._of_y = NearestNeighbors(n_neighbors=1).fit(self.labels_.y)
        return self

    def fit_predict(self, X: Any, y: Any = None) -> NDArray[np.int64]:
        """Label X; return ``y_index_``, the row of the sample for every row of X."""
        return self.fit(X, y).y_index_

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return a point of the normal sample for every row of X, float32 (n, d).

        A row that was fitted has the point that took it. Any other row has the point of the
        nearest row that was fitted.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        nearest = self._of_x.kneighbors(X, return_distance=False)[:, 0]
        found: NDArray[np.float32] = self.labels_.y[self.y_index_[nearest]]
        return found

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Return a row of the fitted data for every normal point (n, d): that of the nearest y."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        nearest = self._of_y.kneighbors(X, return_distance=False)[:, 0]
        found: NDArray[Any] = self._x[self.labels_.x_index[nearest]]
        return found
