"""Method "faiss" with the index on a GPU (faiss-gpu). As backend.py, around what is missing there.

FAISS's indexes on a GPU know no selector and remove nothing. So a search asks for more neighbours
than are wanted and drops those that are taken, and the lists are filled anew when an eighth of
their x's are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.faiss import backend as faiss_backend
from gtn_fast.backends.faiss import index as faiss_index
from gtn_fast.backends.faiss.options import FaissOptions
from gtn_fast.backends.interface import Matched, Progress
from gtn_fast.backends.options import checked
from gtn_fast.inputs.device import CUDA, Device

GPU_KINDS = ("ivf-flat", "ivf-sq8")
EXACT_BELOW = 32768  # free x's that are left to the engine on the host by default
_MOST = 2048  # neighbours, and lists, that a search on a GPU takes
_REFILL = 8  # lists are filled anew when one in so many of their x's is taken
_SLICE = 16384  # y's of a search: Ctrl-C is heard in between
_REMEDY = "pip install 'gtn-fast[faiss-gpu]' in place of faiss-cpu, or take device='cpu'"
# Seconds on one H200 (docs/approximate.md): per row and list; per row of X or Y;
# per index.
_ASSIGN_S, _ROW_S, _BUILD_S = 3e-11, 6e-6, 0.3


def require() -> None:
    """Raise ImportError, with reason and remedy, if faiss has no GPU or the engine is missing."""
    package = faiss_index.module()
    if not hasattr(package, "GpuIndexFlatIP"):
        raise ImportError(f"faiss {package.__version__} is built without GPUs: {_REMEDY}")
    if package.get_num_gpus() < 1:
        raise ImportError("faiss finds no GPU: check nvidia-smi, or take device='cpu'")
    native.require()


def instructions() -> str:
    """Return FAISS's version and the instruction set of the engine, which evaluates."""
    return f"{faiss_backend.instructions()}, cuda"


def check(options: Mapping[str, Any]) -> dict[str, Any]:
    """Check options as for the CPU; ValueError also for a kind of index that no GPU has."""
    plain = checked(FaissOptions, options)
    if plain.get("index", GPU_KINDS[0]) not in GPU_KINDS:
        raise ValueError(
            f"index {plain['index']!r} is for device 'cpu'; on a GPU: {', '.join(GPU_KINDS)}"
        )
    return plain


def predict(n_x: int, n_y: int, d: int, threads: int) -> tuple[float, int]:
    """Predict (seconds, bytes of host memory beyond X and Y) with quality="balanced"."""
    del d, threads
    lists = faiss_index.settings({}, GPU_KINDS[0]).lists(n_x, n_x)
    # Indexes over n_x, n_x / 2, ... are filled some ten times in all: _REFILL.
    seconds = _BUILD_S + _ASSIGN_S * lists * (10 * n_x + n_y) + _ROW_S * (n_x + n_y)
    return seconds, 40 * n_x + 32 * n_y + 2**28


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
    device: Device = CUDA,
    min_cosine: float = -np.inf,
    **options: Any,
) -> Matched:
    """Match approximately with the index on ``device``; the options are ``FaissOptions``."""
    del strategy
    number = device.index or 0
    there = faiss_index.module().get_num_gpus()
    if number >= there:
        raise ValueError(f"device {str(device)!r}: faiss finds {there} GPU(s), from cuda:0")

    def make_index(x: NDArray[Any], y: NDArray[Any], kind: str) -> faiss_index.FreeIndex:
        return GpuFreeIndex(x, y, kind, number)

    return faiss_backend.match_by(
        make_index,
        x,
        y,
        faiss_index.settings(options, GPU_KINDS[0]),
        threads=threads,
        block=block,
        list_length=list_length,
        progress=progress,
        min_cosine=min_cosine,
        min_cosine_ratio=options.get("min_cosine_ratio"),
        exact_below=options.get("exact_below", EXACT_BELOW),
    )


class GpuFreeIndex(faiss_index.FreeIndex):
    """The free rows of ``x`` and an index over them on GPU ``number``."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], kind: str, number: int) -> None:
        super().__init__(x, y, kind)
        self._number = number
        self._resources = self._faiss.StandardGpuResources()
        self._filled = 0  # how many were free when the lists were filled

    def build(self, nlist: int) -> None:
        """Train ``nlist`` centroids and add all that is free."""
        super().build(nlist)
        self._filled = int(self.free.sum())

    def _assigner(self) -> Any:
        config = self._faiss.GpuIndexFlatConfig()
        config.device = self._number
        return self._faiss.GpuIndexFlatIP(self._resources, self._columns, config)

    def _centroids(self, sample: NDArray[np.float32], nlist: int) -> Any:
        return self._faiss.index_gpu_to_cpu(super()._centroids(sample, nlist))

    def _placed(self, index: Any) -> Any:
        return self._faiss.index_cpu_to_gpu(self._resources, self._number, index)

    def compact(self) -> None:
        """Fill the lists anew, if much of what they hold is taken."""
        free = np.flatnonzero(self.free)
        if len(free) * _REFILL > self._filled * (_REFILL - 1):
            return
        self._index.reset()
        self._fill(self._index, free)
        self._filled = len(free)

    def search(
        self, y_rows: NDArray[np.int64], k: int, nprobe: int, row_s: float
    ) -> NDArray[np.int64]:
        """Return at least k rows of X for each of these rows of Y, but -1 for what is not free."""
        del row_s
        wanted = min(_MOST, k + k // 2 + 8)
        self._index.nprobe = min(nprobe, self.nlist, _MOST)
        found = np.empty((len(y_rows), wanted), np.int64)
        for at in faiss_index.slices(np.arange(len(y_rows)), _SLICE):
            v = faiss_index.unit_rows(self._y[y_rows[at]], self._columns)
            found[at] = self._index.search(v, wanted)[1]
        found[(found >= 0) & ~self.free[found]] = -1
        return found

    def _knn(self, v: NDArray[np.float32], u: NDArray[np.float32], k: int) -> Any:
        product = self._faiss.METRIC_INNER_PRODUCT
        return self._faiss.knn_gpu(self._resources, v, u, k, metric=product, device=self._number)
