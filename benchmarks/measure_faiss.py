"""Measures method "faiss" at several numbers of probes, for gtn_fast/backends/faiss: what it costs.

    python -m benchmarks.measure_faiss [--n 200000] [--d 64] [--workload gaussian]
                                       [--shares 0.02 0.05 0.1] [--threads 1]

For every share of the lists: CPU seconds of the exact engine over those of this method, measured
and as cost.py predicts it; the shares of cosine; where the time went. By hand the table of
centres.py and the constants of cost.py are set from that: they decide from where on the exact
engine takes over, and should not change with every run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from benchmarks import workloads
from gtn_fast.backends import native
from gtn_fast.backends.faiss import backend as faiss_backend
from gtn_fast.backends.faiss import centres as faiss_centres
from gtn_fast.backends.faiss import cost as faiss_cost
from gtn_fast.backends.faiss.centres import Settings
from gtn_fast.check.quality import estimate_quality

T = TypeVar("T")
PARTS = ("train_s", "lists_s", "serve_s", "exact_s")


def cpu_seconds(call: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def measure(work: workloads.Workload, share: float, exact: float, threads: int) -> str:
    """One line: this share of the lists against ``exact`` seconds."""
    n, d = work.x.shape
    settings = Settings("measured")
    of_shares_n = share / faiss_centres.share_by_size(n)
    faiss_centres.SHARES[settings.quality] = {1: of_shares_n, 2: of_shares_n}  # whatever d
    lists = settings.lists(n, n)
    seconds, found = cpu_seconds(
        lambda: faiss_backend.match(
            work.x, work.y, strategy="faiss", threads=threads, quality=settings.quality,
            exact_below=n // 20,
        )
    )  # fmt: skip
    predicted = faiss_cost.exact_seconds(n, n, d, 1) / faiss_cost.listed_seconds(
        settings, n, n, n, d, 1
    )
    quality = estimate_quality(work.x, work.y, found.x_index)
    parts = ", ".join(f"{name} {found.report[name]:.2f}" for name in PARTS)
    return (
        f"share {share:g} ({settings.probes(lists, n, d)} of {lists}):"
        f" {exact / seconds:.2f} times as quick (predicted {predicted:.2f}),"
        f" {quality['cosine_ratio']:.4f} of the best cosines at their turn; wall seconds: {parts}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--workload", default="gaussian")
    parser.add_argument("--shares", type=float, nargs="+", default=(0.02, 0.05, 0.1))
    parser.add_argument("--threads", type=int, default=1)
    parsed = parser.parse_args(arguments)
    work = workloads.make(parsed.workload, parsed.n, parsed.n, parsed.d)
    exact, found = cpu_seconds(
        lambda: native.match(work.x, work.y, strategy="screen", threads=parsed.threads)
    )
    print(f"{parsed.workload}, n = {parsed.n}, d = {parsed.d}: exact {exact:.2f} CPU seconds,"
          f" mean cosine {found.cosine.mean():.4f}", flush=True)  # fmt: skip
    for share in parsed.shares:
        print(measure(work, share, exact, parsed.threads), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
