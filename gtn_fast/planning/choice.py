"""The strategy that "auto" takes on the CPU: the quickest exact one, as predicted."""

from __future__ import annotations

from collections.abc import Callable

from gtn_fast.backends.methods import TREE_DIMENSIONS
from gtn_fast.planning.calibration import Speeds, same
from gtn_fast.planning.costs import bytes_of, cones_serve, duration_text, seconds_of, times_by
from gtn_fast.planning.look import ISOTROPIC, Spread
from gtn_fast.planning.rehearsal import AS_NORMALS, Slower

# What a small match of the data shows changes the choice only where it says so many times:
# ties and clusters weigh less, the more rows there are.
_CLEARLY = 2.0


def quickest(n_x: int, n_y: int, d: int, threads: int) -> tuple[float, int]:
    """Return seconds and bytes of what ``choose`` takes, by the table's speeds."""
    strategy, _ = choose(n_x, n_y, d, threads)
    seconds = seconds_of(strategy, n_x, n_y, d, threads)
    return seconds, bytes_of(strategy, n_x, n_y, d, threads)


def choose(
    n_x: int,
    n_y: int,
    d: int,
    threads: int = 1,
    spread: Spread = ISOTROPIC,
    machine: Callable[[str, int], Speeds] = same,
    metric: str = "cosine",
    slower: Slower = AS_NORMALS,
) -> tuple[str, str]:
    """Return the strategy of ``auto`` and the reason. Always an exact one.

    ``machine``: gives the speeds of this machine for a strategy and d; by default those of the
    table's machine. ``slower``: what the data do to a tree and to a screen.
    """
    if metric == "euclidean" and d == 1:
        return "tree", "d = 1: a tree of intervals"
    if metric == "cosine" and d == 1:
        return "ray", "d = 1: two queues in norm order"
    if metric == "cosine" and d == 2:
        return "circle", "d = 2: nearest free angle on a circle"
    if d > TREE_DIMENSIONS[1]:
        return "screen", f"d = {d}: too many dimensions for a tree"
    by_size = {
        strategy: times_by(metric, strategy)
        * seconds_of(
            strategy, n_x, n_y, d, threads, spread, machine(strategy, d), cones=cones_serve(metric)
        )
        for strategy in slower._fields
    }
    seconds = {strategy: times * by_size[strategy] for strategy, times in slower._asdict().items()}
    chosen, other = sorted(by_size, key=lambda each: by_size[each])
    if seconds[chosen] > _CLEARLY * seconds[other]:
        chosen, other = other, chosen
    return chosen, (
        f"d = {d}: a {chosen} takes about {duration_text(seconds[chosen])},"
        f" a {other} {duration_text(seconds[other])}"
    )
