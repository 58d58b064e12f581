"""An index of FAISS over the free x's: built, searched, emptied; and the knobs it has.

Inverted lists over unit directions in float32, by inner product. An x that is taken stays in
the index until the next ``compact`` (a pass over the ids, milliseconds); until then a bitmap
hides it from searches. The centroids are trained again when half of the x's are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends.faiss.options import KINDS, MOST_REFINED, QUALITIES
from gtn_fast.packages import load_package
from gtn_fast.system.ending import stop_here
from gtn_fast.system.openmp import faiss_threads

SMALLEST = 64  # free x's below which there is no index: PQ trains on 16 points at least
TRAIN_ROWS = 40  # per centroid
TRAIN_ROUNDS = 8
ENCODER_ROWS = 16384  # that the codes are fitted to
LARGEST_PQ = 256  # parts that a code has at most
WIDER = 4  # a list that ran dry is searched for again in so many times more lists

_SLICE_S = 0.2  # between two looks at Ctrl-C
_CHUNK_VALUES = 1 << 22


@dataclass(frozen=True)
class Settings:
    """``kind`` of index, lists probed for a y, candidates rescored exactly, lists (None: by n)."""

    kind: str
    nprobe: int
    refine: int
    nlist: int | None = None

    def lists(self, free: int, of: int) -> int:
        """Say how many lists an index over ``free`` of the ``of`` rows of X has."""
        # The centroids are compared with every y, a list is scanned: twice the root balances.
        wanted = 2 * free**0.5 if self.nlist is None else self.nlist * (free / of) ** 0.5
        return int(max(1, min(wanted, free // 8)))

    def stronger(self, nlist: int) -> Settings | None:
        """Return settings of twice the lists, more candidates; None if both are at their limit."""
        if self.nprobe >= nlist and self.refine >= MOST_REFINED:
            return None
        refine = min(MOST_REFINED, self.refine + (self.refine + 1) // 2)
        return replace(self, nprobe=min(2 * self.nprobe, max(nlist, self.nprobe)), refine=refine)


def settings(options: Mapping[str, Any], kind: str = KINDS[0]) -> Settings:
    """Return the knobs of checked ``FaissOptions``: those of their quality but for what is given.

    ``kind``: of the index, where the options name none.
    """
    nprobe, refine = QUALITIES[options.get("quality") or "balanced"]
    return Settings(
        options.get("index") or kind,
        options.get("nprobe") or nprobe,
        options.get("refine") or refine,
        options.get("nlist"),
    )


def module() -> Any:
    """Return the package faiss; ImportError, with reason and remedy, if it cannot be used."""
    remedy = "pip install 'gtn-fast[faiss-cpu]', or use method='auto' (exact)"
    return load_package("faiss", "method 'faiss' needs the package faiss, which", remedy)


def parts_of(d: int) -> tuple[int, int]:
    """Return (parts of a PQ code, columns that it needs): two columns per part, four bits each."""
    columns = max(2, -(-d // LARGEST_PQ))
    parts = -(-d // columns)
    return parts, parts * columns


def unit_rows(a: NDArray[Any], columns: int) -> NDArray[np.float32]:
    """Return directions (n, columns) in float32: any magnitudes, zero rows, padded by zeros."""
    n, d = a.shape
    scale = np.abs(a).max(axis=1, keepdims=True)
    scale[scale == 0] = 1
    out = np.zeros((n, columns), np.float32)
    out[:, :d] = a / scale
    length = np.sqrt(np.einsum("ij,ij->i", out, out))
    length[length == 0] = 1
    out /= length[:, None]
    return out


class FreeIndex:
    """The free rows of ``x`` and an index over them. Ids are rows of X."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], kind: str) -> None:
        self._faiss = module()
        self._x, self._y, self._kind = x, y, kind
        d = x.shape[1]
        self._parts, padded = parts_of(d)
        self._columns = padded if kind == "ivf-pq" else d
        self.free = np.ones(len(x), bool)
        self._bits = np.packbits(self.free, bitorder="little")
        self._index: Any = None
        self.nlist = 0

    def take(self, x_rows: NDArray[np.int64]) -> None:
        """Take note that these rows are not free any more; no row may come twice."""
        self.free[x_rows] = False
        mask = ~np.left_shift(1, x_rows & 7).astype(np.uint8)
        np.bitwise_and.at(self._bits, x_rows >> 3, mask)

    def build(self, nlist: int) -> None:
        """Train ``nlist`` centroids and add all that is free."""
        columns = self._columns
        self._index = None  # before the next one takes its memory
        free = np.flatnonzero(self.free)
        step = max(1, len(free) // max(TRAIN_ROWS * nlist, 4096))
        sample = unit_rows(self._x[free[::step]], columns)
        index = self._empty(nlist, self._centroids(sample, nlist))
        if self._kind == "ivf-pq":
            index.pq.cp.min_points_per_centroid = 1
        with faiss_threads(self._faiss, 1):  # many small steps: a team would wait for itself
            index.train(sample[:: -(-len(sample) // ENCODER_ROWS)])
        index, self.nlist = self._placed(index), nlist
        self._fill(index, free)
        self._index = index

    def _fill(self, index: Any, free: NDArray[np.int64]) -> None:
        """Add these rows of X."""
        # A chunk is assigned in a fraction of a second, so that Ctrl-C is heard.
        size = int(
            np.clip(2e9 / (self.nlist * self._columns), 256, _CHUNK_VALUES // self._columns + 1)
        )
        for rows in slices(free, size):
            index.add_with_ids(unit_rows(self._x[rows], self._columns), rows)

    def _assigner(self) -> Any:
        """Return the index that is to hold the centroids."""
        return self._faiss.IndexFlatIP(self._columns)

    def _placed(self, index: Any) -> Any:
        """Return a trained, empty index where it is to be searched."""
        return index

    def _centroids(self, sample: NDArray[np.float32], nlist: int) -> Any:
        """Return a trained flat index of ``nlist`` unit centroids."""
        faiss = self._faiss
        clustering = faiss.Clustering(self._columns, nlist)
        clustering.niter, clustering.spherical = TRAIN_ROUNDS, True
        # FAISS says on stderr what it thinks of few points; here they are meant.
        clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, len(sample)
        centroids = self._assigner()
        clustering.train(sample, centroids)
        return centroids

    def _empty(self, nlist: int, centroids: Any) -> Any:
        faiss, d, product = self._faiss, self._columns, self._faiss.METRIC_INNER_PRODUCT
        if self._kind == "ivf-flat":
            return faiss.IndexIVFFlat(centroids, d, nlist, product)
        if self._kind == "ivf-sq8":
            bits = faiss.ScalarQuantizer.QT_8bit
            return faiss.IndexIVFScalarQuantizer(centroids, d, nlist, bits, product)
        return faiss.IndexIVFPQFastScan(centroids, d, nlist, self._parts, 4, product)

    def compact(self) -> None:
        """Drop what is taken from the lists."""
        free = self._selector()
        self._index.remove_ids(self._faiss.IDSelectorNot(free))

    def search(
        self, y_rows: NDArray[np.int64], k: int, nprobe: int, row_s: float
    ) -> NDArray[np.int64]:
        """Return k rows of X for each of these rows of Y, all free; -1 where there are fewer.

        ``row_s``: seconds expected for one, so that slices stay short.
        """
        selector = self._selector()
        parameters = self._faiss.SearchParametersIVF(sel=selector, nprobe=min(nprobe, self.nlist))
        found = np.empty((len(y_rows), k), np.int64)
        size = int(np.clip(_SLICE_S / max(row_s, 1e-9), 64, 1 << 16))
        for at in slices(np.arange(len(y_rows)), size):
            v = unit_rows(self._y[y_rows[at]], self._columns)
            found[at] = self._index.search(v, k, params=parameters)[1]
        return found

    def nearest(
        self, y_rows: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return cosines (float32) and rows of the k best free x's, by brute force."""
        v = unit_rows(self._y[y_rows], self._columns)
        free = np.flatnonzero(self.free)
        best = np.full((len(v), k), -np.inf, np.float32)
        best_rows = np.full((len(v), k), -1, np.int64)
        for rows in slices(free, max(1, _CHUNK_VALUES // self._columns)):
            u = unit_rows(self._x[rows], self._columns)
            score, at = self._knn(v, u, min(k, len(u)))
            score = np.concatenate((best, score), axis=1)
            found = np.concatenate((best_rows, rows[at]), axis=1)
            order = np.argsort(-score, axis=1, kind="stable")[:, :k]
            best = np.take_along_axis(score, order, 1)
            best_rows = np.take_along_axis(found, order, 1)
        return best, best_rows

    def _knn(self, v: NDArray[np.float32], u: NDArray[np.float32], k: int) -> Any:
        return self._faiss.knn(v, u, k, metric=self._faiss.METRIC_INNER_PRODUCT)

    def _selector(self) -> Any:
        return self._faiss.IDSelectorBitmap(self._bits)


def slices(rows: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    """Yield ``rows`` in pieces of ``size``."""
    for start in range(0, len(rows), size):
        stop_here()
        yield rows[start : start + size]
