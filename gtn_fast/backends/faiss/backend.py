"""FAISS: approximate, asked for by name. Every y is matched and no x twice, but choices may err.

FAISS trains centres (centres.py); the engine makes lists of the free x's around them, and each y
takes the best free x of its nearest lists (csrc/include/gtn_fast/list_matcher.h). When half of
the x's are gone, there are new centres. The exact engine serves the last y's, where it is quicker
(cost.py).

The same input and options give the same answer on the same version of FAISS and the same
instruction set, whatever the number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.faiss import centres as faiss_centres
from gtn_fast.backends.faiss import cost as faiss_cost
from gtn_fast.backends.faiss.centres import Assigner, Settings, Trained
from gtn_fast.backends.faiss.options import FaissOptions
from gtn_fast.backends.interface import Matched, Progress
from gtn_fast.backends.lists.blocks import Assignment
from gtn_fast.backends.lists.rest import match_rest
from gtn_fast.backends.options import checked
from gtn_fast.check.quality import cosine_ratio
from gtn_fast.inputs.matrices import for_engine
from gtn_fast.system.ending import stop_here

_PILOT = 256  # y's that stand for all of a stretch
_STEPS = 8  # of a stretch: lists without an x are dropped in between


def require() -> None:
    """Raise ImportError, with reason and remedy, if faiss or the engine cannot be used."""
    faiss_centres.module()
    native.require()


def instructions() -> str:
    """Return FAISS's version and the instruction set of the engine."""
    faiss = faiss_centres.module()
    return f"faiss {faiss.__version__}, {native.instructions()}"


def check(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of ``match`` as plain values; TypeError or ValueError for bad ones."""
    return checked(FaissOptions, options)


def predict(n_x: int, n_y: int, d: int, threads: int) -> tuple[float, int]:
    """Predict (seconds, bytes beyond X and Y) with quality="balanced"."""
    seconds = faiss_cost.rest_seconds(Settings(), n_x, n_y, n_x, d, threads)
    return seconds, faiss_cost.needed_bytes(n_x, n_y, d, threads)


def why(n_x: int, n_y: int, d: int, threads: int) -> str:
    """Say, for ``plan``, whether lists would be used with quality="balanced"."""
    return faiss_cost.why(Settings(), n_x, n_y, d, threads)


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
    assigner: Assigner = faiss_centres.host_assigner,
    **options: Any,
) -> Matched:
    """Match approximately; the options are ``FaissOptions``.

    ``assigner``: what holds the centres while they are trained. ValueError where no effort
    cheaper than the exact engine reaches ``min_cosine_ratio``.
    """
    del strategy
    list_length = list_length or options.get("refine") or 0
    run = _Run(x, y, faiss_centres.settings(options), threads, options.get("exact_below"), assigner)
    state = Assignment(len(x), len(y))
    if run.exact_is_cheaper(share=None):
        turns = run.engine.norm_order(for_engine(y), threads=threads).astype(np.int64)
    else:
        matcher = run.engine.ListMatcher(
            for_engine(x), for_engine(y), threads=threads, block=block,
            list_length=list_length, min_cosine=min_cosine,
        )  # fmt: skip
        run.serve_by_lists(matcher, options.get("min_cosine_ratio"), progress)
        turns, x_rows, cosine = matcher.pairs()
        run.count |= matcher.report()
        del matcher  # its memory
        state.settle(turns[: len(x_rows)], x_rows, cosine)
    start = time.perf_counter()
    run.count["exact_rows"] = match_rest(
        x, y, turns, state, threads=threads, min_cosine=min_cosine, progress=progress
    )
    run.count["exact_s"] = time.perf_counter() - start
    return Matched(state.x_index, state.cosine, turns, run.count)


class _Run:
    """One matching by lists: how many are left, knobs, counters for the report."""

    def __init__(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        settings: Settings,
        threads: int,
        exact_below: int | None,
        assigner: Assigner,
    ) -> None:
        self.x, self.y, self.settings, self.threads = x, y, settings, threads
        self.exact_below = exact_below
        self.engine = native.module()
        self._assigner = assigner
        self.free, self.left = len(x), len(y)
        names = ("builds", "train_s", "lists_s", "pilot_s", "serve_s", "gave_up")
        self.count = dict.fromkeys(names, 0.0)

    def serve_by_lists(self, matcher: Any, ratio: float | None, progress: Progress | None) -> None:
        """Serve y's by lists while that is quicker than the exact engine.

        ValueError if ``ratio`` cannot be met before anything was served.
        """
        while self.left and not self.exact_is_cheaper(share=None):
            turns, x_rows, _ = matcher.pairs()
            trained = self._train(x_rows)
            upcoming = turns[matcher.done :][: self.free - self._until()]
            pilot = matcher.done + _spread(len(upcoming))
            share = trained.looked_at(self.y[turns[pilot]], self._probes(trained))
            if self.exact_is_cheaper(share):
                self.count["gave_up"] = 1.0
                return
            self._set_lists(matcher, trained)
            if ratio is not None and not self._raise_effort(matcher, trained, pilot, ratio):
                return
            self._serve(matcher, trained, progress)

    def exact_is_cheaper(self, share: float | None) -> bool:
        """Tell whether the exact engine serves the rest sooner than new lists.

        ``share``: of the free x's that a y looks at; None: as in isotropic data.
        """
        if self.exact_below is not None:
            return self.free < max(self.exact_below, faiss_centres.SMALLEST)
        if self.free < faiss_centres.SMALLEST:
            return True
        d = self.x.shape[1]
        at = (self.free, min(self.left, self.free), len(self.x), d, self.threads)
        exact = faiss_cost.exact_seconds(*at[:2], *at[3:])
        return exact <= faiss_cost.listed_seconds(self.settings, *at, share=share)

    def _until(self) -> int:
        """Return how many x's are free when the lists are made anew."""
        return max(self.free // faiss_cost.REBUILD, (self.exact_below or 0) - 1)

    def _probes(self, trained: Trained) -> int:
        return self.settings.probes(len(trained.centres), self.free, self.x.shape[1])

    def _train(self, x_rows: NDArray[np.int64]) -> Trained:
        start = time.perf_counter()
        stop_here()
        free = np.ones(len(self.x), bool)
        free[x_rows[x_rows >= 0]] = False
        lists = self.settings.lists(self.free, len(self.x))
        trained = faiss_centres.train(self.x, np.flatnonzero(free), lists, self._assigner)
        self.count["builds"] += 1
        self.count["train_s"] += time.perf_counter() - start
        return trained

    def _set_lists(self, matcher: Any, trained: Trained) -> None:
        start = time.perf_counter()
        matcher.set_lists(trained.centres)
        self.count["lists_s"] += time.perf_counter() - start

    def _serve(self, matcher: Any, trained: Trained, progress: Progress | None) -> None:
        start = time.perf_counter()
        first, rows = matcher.done, min(self.left, self.free - self._until())
        for step in range(1, _STEPS + 1):
            stop = first + rows * step // _STEPS
            matcher.match_until(stop, probed=self._probes(trained), progress=progress)
            if progress is not None:
                progress(stop, len(self.y))
        self.left, self.free = len(self.y) - matcher.done, matcher.free
        self.count["serve_s"] += time.perf_counter() - start

    def _raise_effort(
        self, matcher: Any, trained: Trained, pilot: NDArray[np.int64], ratio: float
    ) -> bool:
        """Raise the number of probes until the pilot meets ``ratio``; False: be exact instead."""
        start = time.perf_counter()
        turns, lists = pilot.astype(np.uint32), len(trained.centres)
        best = np.nan_to_num(matcher.try_turns(turns, probed=lists)).mean()
        while True:
            found = matcher.try_turns(turns, probed=self._probes(trained))
            reached = cosine_ratio(float(np.nan_to_num(found).mean()), float(best))
            if reached >= ratio or self._probes(trained) == lists:
                break
            self.settings = self.settings.stronger()
        self.count["pilot_s"] += time.perf_counter() - start
        if self.exact_below is not None or not self.exact_is_cheaper(share=None):
            return True
        if self.count["builds"] > 1:
            return False
        raise ValueError(self._out_of_reach(ratio, self._probes(trained)))

    def _out_of_reach(self, ratio: float, probes: int) -> str:
        at = (self.free, min(self.left, self.free))
        d, threads = self.x.shape[1], self.threads
        ours = faiss_cost.listed_seconds(self.settings, *at, len(self.x), d, threads)
        exact = faiss_cost.exact_seconds(*at, d, threads)
        return (
            f"min_cosine_ratio={ratio} takes nprobe={probes}, predicted {ours:.3g} s;"
            f" method='auto' is exact and predicted cheaper: {exact:.3g} s"
        )


def _spread(n: int) -> NDArray[np.int64]:
    """Return some numbers below n, evenly spread."""
    return np.linspace(0, n - 1, min(_PILOT, n)).astype(np.int64)
