"""Prints the table of docs/several-processes.md, "On paper": time and memory by ranks and rows.

    python tools/scaling_model.py

The costs of one core were measured; docs/several-processes.md names the machine and the commit.
The table is computed from them by the formulas below: most of its lines were never run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

D = 100
THREADS = 16  # cores per rank
PAIR_S = 0.65e-9  # one core screens a pair, d = 100
Y_S = 2.5e-6  # one core prepares a y and finishes its list, whatever the shard
DRAW_S = 1.2e-6  # one core draws a y from the seed, d = 100
RESOLVE_S = 0.8e-6  # a y's turn, on every rank alike, one core ...
MERGE_S = 0.09e-6  # ... and for each rank whose list was merged
BYTES_PER_Y = 12 * 4 + 20  # two candidates wanted, four places
LATENCY_S = 100e-6  # of one step of the all-gather; assumed
BANDWIDTH = 1.25e9  # bytes per second into a rank: 10 Gbit/s; assumed
LARGEST_BLOCK = 32768
REST = 50_000  # x's left when all ranks gather them and end alone


@dataclass(frozen=True)
class Cost:
    """Seconds of one matching, and bytes of one rank."""

    screen: float
    each: float
    traffic: float
    end: float
    blocks: float
    bytes_per_rank: float

    @property
    def total(self) -> float:
        """Nothing overlaps."""
        return self.screen + self.each + self.traffic + self.end


def blocks_of(n: int) -> float:
    """Return the number of blocks: one is a 32nd of the free x's, 32768 y's at most."""
    large = max(0.0, (n - 32 * LARGEST_BLOCK) / LARGEST_BLOCK)
    return large + 32 * math.log(max(1.0, min(n, 32 * LARGEST_BLOCK) / REST))


def cost(n: int, ranks: int, threads: int = THREADS) -> Cost:
    """Predict for n_x = n_y = n and equal ranks that run at the same speed."""
    rest = min(n, REST)
    pairs = (float(n) * n - float(rest) * rest) / 2
    cores = ranks * threads
    each = n * ((Y_S + DRAW_S) / threads + RESOLVE_S + MERGE_S * ranks)
    blocks = blocks_of(n)
    others = ranks - 1
    traffic = blocks * others * LATENCY_S + n * BYTES_PER_Y * others / BANDWIDTH
    end = rest**2 / 2 * PAIR_S / threads + rest * D * 4 * others / ranks / BANDWIDTH
    shard = n / ranks
    # The shard, its codes, scales and numbers; order and who is taken; turns and results.
    bytes_per_rank = shard * (4 * D + D + 4 + 60) + 5 * n + 28 * n
    ordering = shard * 4 * D + 40 * n  # before the shard is packed
    return Cost(pairs * PAIR_S / cores, each, traffic, end, blocks, max(bytes_per_rank, ordering))


def duration(seconds: float) -> str:
    """Write seconds for people."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} days"


def main() -> None:
    """Print the table."""
    print("| points | ranks | screening | each y | messages | end | in all | efficiency | memory |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for n in (10**6, 10**7, 10**8, 10**9):
        alone = cost(n, 1).total
        for ranks in (1, 2, 8, 64):
            c = cost(n, ranks)
            times = " | ".join(map(duration, (c.screen, c.each, c.traffic, c.end, c.total)))
            efficiency = alone / (ranks * c.total)
            print(
                f"| {n:,} | {ranks} | {times} | {efficiency:.2f}"
                f" | {c.bytes_per_rank / 2**30:.3g} GiB |"
            )


if __name__ == "__main__":
    main()
