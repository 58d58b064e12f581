"""Data of several components (section 5, figure 9, appendix C): clusters and a source for each.

k-means splits the data; the source becomes a mixture of Gaussians with the clusters' means
and standard deviations; labels are given inside each cluster; one ĥ learns all of them.

Classes, which the caller gives, may lie on each other. Their y's are of N(0, I), ĥ is told the
class, and maps to coordinates centred and scaled by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.api import label
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.inputs.arrays import MAX_ROWS, convert, describe
from gtn_fast.inputs.groups import integers
from gtn_fast.learn.rays import on_rays
from gtn_fast.learn.training.seeds import derive
from gtn_fast.sample import normal
from gtn_fast.system.openmp import faiss_threads

_RESTARTS = 10
_ITERATIONS = 100


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of k axis-aligned Gaussians in d dimensions.

    Attributes
    ----------
    means, stds : float64 (k, d)
        Of each component; every std is positive.
    weights : float64 (k,)
        Share of the data in each component; they sum to 1.
    """

    means: NDArray[np.float64]
    stds: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, X: Any, k: int, seed: int = 0) -> tuple[Mixture, NDArray[np.int64]]:
        """Cluster X (n, d) by k-means; return the mixture and each row's component, int64 (n,).

        FAISS's k-means where FAISS 1.13 or newer is installed, scikit-learn's otherwise;
        either gives the same answer for the same seed, but they do not give each other's. A
        column that is constant within a component has std 1 there, as in ``Scaling``.

        Raises
        ------
        ValueError
            k > n; a component has fewer than two distinct rows: k is too large; NaN.
        """
        x = np.asarray(convert(describe(X, "X"))).astype(np.float32, copy=False)
        k = check_integer(k, "k", 1, len(x))
        component = _k_means(x, k, check_seed(seed))
        names = [f"k = {k} is too large: component {c}" for c in range(k)]
        return cls.of(x, component, names), component

    @classmethod
    def of(cls, x: NDArray[np.float32], component: NDArray[np.int64], names: list[str]) -> Mixture:
        """Measure x (n, d), whose rows are of the components ``component`` (n,) says.

        ``names``: what an error calls each of them. ValueError for one that has fewer than two
        distinct rows.
        """
        k = len(names)
        means, stds = np.zeros((k, x.shape[1])), np.ones((k, x.shape[1]))
        for c in range(k):
            rows = x[component == c].astype(np.float64)
            if len(rows) == 0 or (rows == rows[0]).all():
                found = {0: "no row", 1: "1 row"}.get(len(rows), f"{len(rows)} rows, all equal")
                raise ValueError(f"{names[c]} has {found}; each needs at least two different rows")
            means[c], spread = rows.mean(axis=0), np.ptp(rows, axis=0)
            stds[c] = np.where(spread > 0, rows.std(axis=0), 1.0)
        return cls(means, stds, np.bincount(component, minlength=k) / len(x))

    def draw(self, n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw n points: y float32 (n, d) and the component of each, int64 (n,).

        Row i is a function of (seed, i): a longer draw begins with the shorter one.
        """
        n = check_integer(n, "n", 0, MAX_ROWS)
        seed = check_seed(seed)
        component = self.draw_components(n, seed)
        return self.draw_like(component, seed), component

    def draw_components(self, n: int, seed: int) -> NDArray[np.int64]:
        """Return the component of each row of ``draw(n, seed)``, by the weights: int64 (n,)."""
        u = np.random.default_rng(derive(seed, "component")).random(n)
        edges = np.cumsum(self.weights)[:-1]  # the last one may round to less than 1
        return np.searchsorted(edges, u, side="right").astype(np.int64)

    def draw_like(self, component: Any, seed: int = 0) -> NDArray[np.float32]:
        """Draw one y for every entry of ``component`` (n,), from that component: float32 (n, d).

        Row i is mean + std * row i of ``gtn_fast.normal(seed, ...)``.
        """
        component = self._components(component)
        y = normal(seed, 0, len(component), self.means.shape[1])
        y *= self.stds.astype(np.float32)[component]
        y += self.means.astype(np.float32)[component]
        return y

    def to_local(self, v: Any, component: Any) -> NDArray[Any]:
        """Return (v - mean) / std of each row's component, in v's dtype: what is labeled (n, d)."""
        v = np.asarray(v)
        component = self._components(component)
        if v.shape != (len(component), self.means.shape[1]):
            raise ValueError(
                f"v must have shape {(len(component), self.means.shape[1])}"
                f" (a row for every component given), got {v.shape}"
            )
        local: NDArray[Any] = v - self.means.astype(v.dtype)[component]
        local /= self.stds.astype(v.dtype)[component]
        return local

    def from_local(self, v: NDArray[np.float32], component: Any) -> NDArray[np.float32]:
        """Return mean + std * v of each row's component, (n, d): what ``to_local`` undoes."""
        component = self._components(component)
        x: NDArray[np.float32] = v * self.stds.astype(np.float32)[component]
        x += self.means.astype(np.float32)[component]
        return x

    def _components(self, component: Any) -> NDArray[np.int64]:
        rows = integers(component, "component")
        wrong = np.flatnonzero((rows < 0) | (rows >= len(self.means)))
        if rows.ndim != 1 or len(wrong):
            what = f"row {wrong[0]} is {rows[wrong[0]]}" if rows.ndim == 1 else f"{rows.ndim}-D"
            raise ValueError(
                f"component must be 1-D, of numbers from 0 to {len(self.means) - 1}; {what}"
            )
        return rows


def label_mixture(
    X: Any,
    mixture: Mixture,
    component: Any,
    seed: int = 0,
    threads: int | None = None,
    rays: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw a y for every row of X and label it inside its component (figure 9).

    Returns y float32 (n, d), in the data's coordinates, and x_index int64 (n,): y[i]
    belongs to X[x_index[i]]. y[i] is drawn from the component of row i, so that every
    component has as many y's as x's; Algorithm 1 sees coordinates centred and scaled
    by the component, where its cosines and norms make sense. ``rays``, for d = 2: along so
    many lines through the component's centre (rays.py).
    """
    x = np.asarray(convert(describe(X, "X"))).astype(np.float32, copy=False)
    y = mixture.draw_like(component, seed)
    local_x, local_y = mixture.to_local(x, component), mixture.to_local(y, component)
    if rays is not None:
        local_x, local_y = on_rays(local_x, rays), on_rays(local_y, rays)
    labels = label(local_x, local_y, groups=(component, component), threads=threads)
    return y, labels.x_index


def _k_means(x: NDArray[np.float32], k: int, seed: int) -> NDArray[np.int64]:
    """Return the cluster of every row, int64 (n,): the best of ten starts.

    On one thread: the sums then have one order, and on busy cores a team of threads is ten
    times slower.
    """
    # Both libraries expand |x - c|² into float32 products, which cancel far from the origin.
    x = (x - x.mean(axis=0, dtype=np.float64)).astype(np.float32)
    small_seed = derive(seed, "k-means") % 2**31  # what both libraries take
    try:
        import faiss

        plus_plus = faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS
    except (ImportError, AttributeError):  # random starts miss well-separated clusters
        from sklearn.cluster import KMeans  # and with it:
        from threadpoolctl import threadpool_limits

        clusters = KMeans(k, n_init=_RESTARTS, max_iter=_ITERATIONS, random_state=small_seed)
        with threadpool_limits(1):
            return np.asarray(clusters.fit_predict(x), dtype=np.int64)
    options: dict[str, Any] = {"min_points_per_centroid": 1, "max_points_per_centroid": len(x)}
    options |= {"niter": _ITERATIONS, "nredo": _RESTARTS, "init_method": plus_plus}
    kmeans = faiss.Kmeans(x.shape[1], k, seed=small_seed, **options)
    with faiss_threads(faiss, 1):
        kmeans.train(x)
        _, nearest = kmeans.index.search(x, 1)
    return np.asarray(nearest[:, 0], dtype=np.int64)
