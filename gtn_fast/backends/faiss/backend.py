"""FAISS: approximate, asked for by name. Every y is matched and no x twice, but choices may err.

The candidates of a y come from an index over the free x's (index.py). Their cosines are exact,
and the y's choose among them in order (lists/blocks.py): only which x's get into a list is
approximate. The exact engine serves the last y's, where it is cheaper (cost.py), and all y's
that are left when lists keep running dry.

The same input, options and threads give the same answer on the same version of FAISS and the
same instruction set. Another number of threads, version or machine may give another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.faiss import cost as faiss_cost
from gtn_fast.backends.faiss import index as faiss_index
from gtn_fast.backends.faiss.index import Settings
from gtn_fast.backends.faiss.options import FaissOptions
from gtn_fast.backends.interface import Matched, Progress
from gtn_fast.backends.lists.blocks import NO_RANK, Assignment, Lists, choose_in_blocks, ranks_of
from gtn_fast.backends.lists.rest import match_rest
from gtn_fast.backends.options import checked
from gtn_fast.check.quality import cosine_ratio
from gtn_fast.inputs.matrices import for_engine
from gtn_fast.system.openmp import faiss_threads

_PILOT = 256  # y's that stand for all of a stretch
_FIRST_STEP = 1024  # y's after which the dry lists are first counted
_DRY_SHARE = 0.3  # of a step's lists; if more run dry, an index does not suit the data
_BRUTE_PASSES = 16  # over all free x's, for one index
_BRUTE_K = 32

MakeIndex = Callable[[NDArray[Any], NDArray[Any], str], faiss_index.FreeIndex]
"""(x, y, kind) -> the index over what is free."""

_COUNTERS = (
    "builds",
    "blocks",
    "lists_dry",
    "searched_again",
    "candidates",
    "probes",
    "brute_rows",
    "gave_up",
    "zero_rows",
    "exact_rows",
    "build_s",
    "search_s",
    "evaluate_s",
    "pilot_s",
    "exact_s",
)


def require() -> None:
    """Raise ImportError, with reason and remedy, if faiss or the engine cannot be used."""
    faiss_index.module()
    native.require()


def instructions() -> str:
    """Return FAISS's version and the instruction set of the engine, which evaluates."""
    faiss = faiss_index.module()
    return f"faiss {faiss.__version__}, {native.instructions()}"


def check(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of ``match`` as plain values; TypeError or ValueError for bad ones."""
    return checked(FaissOptions, options)


def predict(n_x: int, n_y: int, d: int, threads: int) -> tuple[float, int]:
    """Predict (seconds, bytes beyond X and Y) with quality="balanced"."""
    s = faiss_index.settings({})
    seconds = faiss_cost.rest_seconds(s, n_x, n_y, n_x, d, threads)
    return seconds, faiss_cost.needed_bytes(s, n_x, n_y, d)


def match(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    strategy: str,
    threads: int,
    block: int = 0,
    list_length: int = 0,
    progress: Progress | None = None,
    min_cosine: float = -np.inf,
    **options: Any,
) -> Matched:
    """Match approximately; the options are ``FaissOptions``.

    ValueError where no effort cheaper than the exact engine reaches ``min_cosine_ratio``.
    """
    del strategy
    return match_by(
        faiss_index.FreeIndex,
        x,
        y,
        faiss_index.settings(options),
        threads=threads,
        block=block,
        list_length=list_length,
        progress=progress,
        min_cosine=min_cosine,
        min_cosine_ratio=options.get("min_cosine_ratio"),
        exact_below=options.get("exact_below"),
    )


def match_by(
    make_index: MakeIndex,
    x: NDArray[Any],
    y: NDArray[Any],
    settings: Settings,
    *,
    threads: int,
    block: int,
    list_length: int,
    progress: Progress | None,
    min_cosine: float,
    min_cosine_ratio: float | None,
    exact_below: int | None,
) -> Matched:
    """Match by the index that ``make_index`` makes: ``FreeIndex``, or one on another device."""
    with faiss_threads(faiss_index.module(), threads):
        run = _Run(x, y, settings, threads, exact_below, min_cosine, make_index)
        run.serve_zeros()
        if progress is not None:
            progress(run.state.done, len(y))
        run.serve_indexed(min_cosine_ratio, block, list_length, progress)
    run.serve_exactly(progress)
    return Matched(run.state.x_index, run.state.cosine, run.turns, run.count)


class _GiveUpError(Exception):
    """The index is no use for these data."""


class _Run:
    """One matching: what is settled, the index over the rest, counters for the report."""

    def __init__(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        settings: Settings,
        threads: int,
        exact_below: int | None,
        min_cosine: float,
        make_index: MakeIndex,
    ) -> None:
        self.x, self.y, self.settings, self.threads = x, y, settings, threads
        self.min_cosine = min_cosine
        self.exact_below = exact_below
        self._engine = native.module()
        self.x_by_norm = self._engine.norm_order(for_engine(x), threads=threads)
        self.x_rank = ranks_of(self.x_by_norm)
        self.turns = self._engine.norm_order(for_engine(y), threads=threads).astype(np.int64)
        self.state = Assignment(len(x), len(y))
        self.index = make_index(x, y, settings.kind)
        self.count = dict.fromkeys(_COUNTERS, 0.0)
        self._brute_passes = 0

    # ------------------------------------------------------------------ who is left

    @property
    def free(self) -> int:
        """How many x's are free."""
        return self.state.free

    @property
    def left(self) -> int:
        """How many y's have not chosen."""
        return len(self.y) - self.state.done

    @property
    def _served(self) -> int:
        """How many y's may still get an x, for the formulas of cost."""
        return min(self.left, self.free)

    def serve_zeros(self) -> None:
        """Match the zero y's, which choose first: they tie, so each takes the first free x.

        None does, if a cosine of 0 is too small.
        """
        zeros = 0
        for start in range(0, len(self.turns), 4096):
            nonzero = (self.y[self.turns[start : start + 4096]] != 0).any(axis=1)
            zeros += len(nonzero) if not nonzero.any() else int(nonzero.argmax())
            if nonzero.any():
                break
        self.count["zero_rows"] += zeros
        if self.min_cosine > 0:
            self.state.take_none(self.turns[:zeros])
            return
        x_rows = self.x_by_norm[:zeros].astype(np.int64)
        self.state.x_index[self.turns[: len(x_rows)]] = x_rows
        self.state.taken[x_rows] = 1
        self.state.done = len(x_rows)
        self.index.take(x_rows)
        self.state.take_none(self.turns[len(x_rows) : zeros])

    # ------------------------------------------------------------------ the index

    def serve_indexed(
        self, ratio: float | None, block: int, list_length: int, progress: Progress | None
    ) -> None:
        """Serve y's by the index while it is cheaper than the exact engine."""
        step = _FIRST_STEP
        try:
            while self.left and not self._exact_is_cheaper(until=None):
                self._build()
                if ratio is not None and not self._raise_effort(ratio):
                    return
                until = max(self.free // faiss_cost.REBUILD, (self.exact_below or 0) - 1)
                while self.left and self.free > until and not self._exact_is_cheaper(until):
                    stop = self.state.done + min(step, self.left, self.free - until)
                    self._serve(stop, block, list_length, progress)
                    step = max(_FIRST_STEP, min(4 * step, self.free // 8))
        except _GiveUpError:
            self.count["gave_up"] = 1.0

    def _exact_is_cheaper(self, until: int | None) -> bool:
        """Tell whether the exact engine serves the rest sooner than an index.

        ``until``: than the index that is there, used until so many x's are free; None: than a
        new index.
        """
        if self.exact_below is not None:
            return self.free < max(self.exact_below, faiss_index.SMALLEST)
        if self.free < faiss_index.SMALLEST:
            return True
        at = (self.settings, self.free, self._served, len(self.x), self.x.shape[1], self.threads)
        exact = faiss_cost.exact_seconds(self.free, self._served, self.x.shape[1], self.threads)
        if until is None:
            return exact <= faiss_cost.indexed_seconds(*at)
        return exact <= faiss_cost.staying_seconds(*at, until=until)

    def _build(self) -> None:
        start = time.perf_counter()
        self.index.build(self.settings.lists(self.free, len(self.x)))
        self._brute_passes = 0
        self.count["builds"] += 1
        self.count["build_s"] += time.perf_counter() - start

    def _serve(self, stop: int, block: int, list_length: int, progress: Progress | None) -> None:
        """Let the y's before position ``stop`` choose; raises _GiveUpError if lists stay dry."""
        first = self.state.done
        try:
            counters = choose_in_blocks(
                self,
                self.x_rank,
                self.turns,
                self.state,
                stop=stop,
                block=block,
                list_length=list_length,
                wanted=self.settings.refine,
                min_cosine=self.min_cosine,
                progress=progress,
            )
        except _GiveUpError:
            # The block it happened in is taken back: only whole blocks are settled.
            self.state.taken[:] = 0
            settled = self.state.x_index[self.turns[: self.state.done]]
            self.state.taken[settled[settled >= 0]] = 1
            raise
        for name, value in counters.items():
            self.count[name] += value
        if counters["lists_dry"] > _DRY_SHARE * (stop - first) and stop - first >= _FIRST_STEP:
            raise _GiveUpError
        self.index.compact()

    def _raise_effort(self, ratio: float) -> bool:
        """Raise nprobe and refine until a sample of y's meets ``ratio``; False: be exact instead.

        ValueError if it cannot be met before anything was served.
        """
        start = time.perf_counter()
        rows = self._pilot_rows()
        best = self.index.nearest(rows, 1)[0][:, 0].astype(np.float64)
        reached = 0.0
        s: Settings | None = self.settings
        while s is not None:
            self.settings = s
            cosine = self.search(rows, s.refine, again=False).cosine.max(axis=1, initial=-1.0)
            reached = cosine_ratio(float(cosine.mean()), float(np.maximum(best, cosine).mean()))
            if reached >= ratio:
                break
            s = s.stronger(self.index.nlist)
        self.count["pilot_s"] += time.perf_counter() - start
        affordable = self.exact_below is not None or not self._exact_is_cheaper(until=None)
        if s is not None and affordable:
            return True
        if self.count["builds"] > 1:
            return False
        raise ValueError(self._out_of_reach(ratio, reached, met=s is not None))

    def _pilot_rows(self) -> NDArray[np.int64]:
        """Return some of the y's that this index will serve, evenly spread over their turns."""
        upcoming = self.turns[self.state.done :][: self.free - self.free // faiss_cost.REBUILD]
        at = np.linspace(0, len(upcoming) - 1, min(_PILOT, len(upcoming))).astype(np.int64)
        return np.asarray(upcoming[at])

    def _out_of_reach(self, ratio: float, reached: float, *, met: bool) -> str:
        s, d = self.settings, self.x.shape[1]
        served = self._served
        ours = faiss_cost.indexed_seconds(s, self.free, served, len(self.x), d, self.threads)
        exact = faiss_cost.exact_seconds(self.free, served, d, self.threads)
        knobs = f"index={s.kind!r}, nprobe={s.nprobe}, refine={s.refine}"
        if met:
            return (
                f"min_cosine_ratio={ratio} takes {knobs}, predicted {ours:.3g} s;"
                f" method='auto' is exact and predicted cheaper: {exact:.3g} s"
            )
        return (
            f"min_cosine_ratio={ratio} is out of reach: {reached:.7g} with {knobs}"
            f" (predicted {ours:.3g} s); method='auto' is exact: {exact:.3g} s"
        )

    # ------------------------------------------------------------------ lists.blocks.Source

    def search(self, y_rows: NDArray[np.int64], wanted: int, again: bool) -> Lists:
        """Return candidates from the index; ``again``: from more lists, then from all free x's."""
        s = self.settings
        nprobe, k = s.nprobe, wanted
        if again:
            nprobe, k = nprobe * faiss_index.WIDER, k * faiss_index.WIDER
        nprobe, k = min(nprobe, self.index.nlist), min(k, self.free)
        row_s = faiss_cost.row_seconds(s, self.free, len(self.x), self.x.shape[1])
        start = time.perf_counter()
        x_rows = self.index.search(y_rows, k, nprobe, row_s * (faiss_index.WIDER if again else 1))
        self.count["probes"] += float(len(y_rows) * nprobe)
        if again:
            nowhere = np.flatnonzero((x_rows < 0).all(axis=1))
            if len(nowhere):
                x_rows = self._everywhere(y_rows, x_rows, nowhere)
        found = time.perf_counter()
        cosine = self._engine.evaluate_lists(
            for_engine(self.x), for_engine(self.y), y_rows, x_rows, self.threads
        )
        self.count["search_s"] += found - start
        self.count["evaluate_s"] += time.perf_counter() - found
        return Lists(x_rows, cosine, *self._levels(cosine, again))

    def _levels(
        self, cosine: NDArray[np.float64], again: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Return levels for these lists: each is trusted as if it were all there is.

        But that no x reaches ``min_cosine`` is not taken from a list of x's that do: when they
        are taken, their y is searched for again. Nor from an empty one.
        """
        level, rank = np.full(len(cosine), -np.inf), np.full(len(cosine), NO_RANK)
        if self.min_cosine > -np.inf:
            best = cosine.max(axis=1, initial=-np.inf)
            unsure = best == -np.inf if again else (best >= self.min_cosine) | (best == -np.inf)
            level[unsure], rank[unsure] = self.min_cosine, 0
        return level, rank

    def _everywhere(
        self, y_rows: NDArray[np.int64], x_rows: NDArray[np.int64], nowhere: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Fill the lists ``nowhere``, which are empty, by brute force over all free x's."""
        self._brute_passes += 1
        if self._brute_passes > _BRUTE_PASSES:
            raise _GiveUpError
        some = nowhere[:1024]  # the others may find something in their turn
        self.count["brute_rows"] += len(some)
        found = self.index.nearest(y_rows[some], min(_BRUTE_K, int(self.index.free.sum())))[1]
        k = max(x_rows.shape[1], found.shape[1])
        out = np.full((len(x_rows), k), -1, np.int64)
        out[:, : x_rows.shape[1]] = x_rows
        out[some, : found.shape[1]] = found
        return out

    def take(self, x_rows: NDArray[np.int64]) -> None:
        """Take note that these rows of X are not free any more."""
        self.index.take(x_rows)

    # ------------------------------------------------------------------ the exact engine

    def serve_exactly(self, progress: Progress | None) -> None:
        """Let the engine do the rest: its answer from here on is Algorithm 1's."""
        start = time.perf_counter()
        self.count["exact_rows"] += match_rest(
            self.x, self.y, self.turns, self.state,
            threads=self.threads, min_cosine=self.min_cosine, progress=progress,
        )  # fmt: skip
        self.count["exact_s"] += time.perf_counter() - start
