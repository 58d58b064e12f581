"""``gtn-fast bench --device cuda``: labeling on a GPU beside brute-force search on the same one.

The peers answer an easier question, the nearest x of every y *with* replacement: torch
(matrix product and argmax, a chunk of y's at a time) in float32 and, rounded, in float16, and,
where installed, cuVS and FAISS-GPU brute force in float32. X and Y lie on the device before the
clock starts; normalising the vectors is not charged to the peers. What a peer does for a y does
not depend on the others, so they get at most 131,072 y's and their time is multiplied.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import gtn_fast
from gtn_fast.backends import registry
from gtn_fast.plots.texts import ratio_text, seconds_text
from gtn_fast.tools import bench

if TYPE_CHECKING:
    import torch

Say = Callable[[str], None]
Nearest = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]

FULL = (
    *((100_000, d) for d in (32, 128)),
    *((1_000_000, d) for d in (32, 64, 128, 512)),
)
QUICK = ((50_000, 32), (100_000, 128))
REPETITIONS = 3
_SCORES = 1 << 28  # of a chunk of y's with all x's: 1 GiB of float32
_CHECKED = 200
_PEER_ROWS = 131_072


@dataclass
class GpuRow:
    """One workload: seconds of gtn_fast and of the peers that are installed, by name."""

    n: int
    d: int
    seconds: float
    engine: dict[str, float]
    peers: dict[str, float] = field(default_factory=dict)


def require(device: str) -> None:
    """Raise ImportError, in one line with the remedy, where the GPU backend cannot run.

    ValueError for a device that is no GPU.
    """
    if not device.startswith("cuda"):
        raise ValueError(f"bench --device measures a GPU, got {device!r}; leave it out for the CPU")
    reason = registry.why_not("triton")
    if reason is not None:
        raise ImportError(reason)


def torch_nearest(unit_x: torch.Tensor, unit_y: torch.Tensor) -> torch.Tensor:
    """Return, for every row of y, the row of x of largest product, by torch's matmul and argmax."""
    import torch

    step = max(1, _SCORES // len(unit_x))
    parts = (unit_y[i : i + step] for i in range(0, len(unit_y), step))
    return torch.cat([(part @ unit_x.T).argmax(dim=1) for part in parts])


def torch_half_nearest(unit_x: torch.Tensor, unit_y: torch.Tensor) -> torch.Tensor:
    """Return the same in float16 on tensor cores: the quickest brute force, not always right."""
    return torch_nearest(unit_x.half(), unit_y.half())


def cuvs_nearest(unit_x: torch.Tensor, unit_y: torch.Tensor) -> torch.Tensor:
    """Return the same by cuVS brute force."""
    import torch
    from cuvs.neighbors import brute_force

    index = brute_force.build(unit_x, metric="inner_product")
    _, rows = brute_force.search(index, unit_y, 1)
    return torch.as_tensor(rows, device=unit_x.device)[:, 0].to(torch.int64)


def faiss_nearest(unit_x: torch.Tensor, unit_y: torch.Tensor) -> torch.Tensor:
    """Return the same by FAISS's flat index on the GPU; vectors go in from the host."""
    import faiss
    import torch

    flat = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), unit_x.shape[1])
    flat.add(unit_x.cpu().numpy())
    _, rows = flat.search(unit_y.cpu().numpy(), 1)
    return torch.from_numpy(rows[:, 0]).to(unit_x.device)


def peers() -> dict[str, Nearest]:
    """Return the peers that can run here, by name."""
    found: dict[str, Nearest] = {"torch": torch_nearest, "torch float16": torch_half_nearest}
    if importlib.util.find_spec("cuvs"):
        found["cuVS"] = cuvs_nearest
    if importlib.util.find_spec("faiss"):
        import faiss

        if hasattr(faiss, "GpuIndexFlatIP") and faiss.get_num_gpus() > 0:
            found["FAISS-GPU"] = faiss_nearest
    return found


def run(
    device: str = "cuda",
    quick: bool = False,
    threads: int | None = None,
    say: Say = print,
    on: Any = None,
) -> list[GpuRow]:
    """Measure every workload on ``device``; ``say`` gets a line as each is done.

    ``on``: the torch device for X and Y, that of ``device`` by default. Repetitions of
    gtn_fast and its peers are interleaved, the median counts. Raises WrongMatching or
    ValueError rather than report the time of a wrong answer.
    """
    require(device)
    import torch

    where = torch.device(device) if on is None else on
    rows = []
    for n, d in QUICK if quick else FULL:
        generator = torch.Generator(device=where).manual_seed(0)
        x, y = (torch.randn((n, d), generator=generator, device=where) for _ in range(2))
        labels = gtn_fast.label(x, y, device=device, threads=threads)
        gtn_fast.verify(x, y, labels, sample=_CHECKED)
        unit_x, unit_y = (torch.nn.functional.normalize(a) for a in (x, y))
        unit_y = unit_y[:_PEER_ROWS]
        racers = peers()
        for name, nearest in racers.items():
            _check(name, nearest(unit_x, unit_y), unit_x, unit_y)
        own: list[float] = []
        others: dict[str, list[float]] = {name: [] for name in racers}
        for _ in range(REPETITIONS):
            start = _now(where)
            gtn_fast.label(x, y, device=device, threads=threads)
            own.append(_now(where) - start)
            for name, nearest in racers.items():
                start = _now(where)
                nearest(unit_x, unit_y)
                others[name].append((_now(where) - start) * n / len(unit_y))
        row = GpuRow(
            n,
            d,
            statistics.median(own),
            labels.report["engine"],
            {name: statistics.median(seconds) for name, seconds in others.items()},
        )
        rows.append(row)
        say(f"Gaussian n = {n:,}, d = {d}: {row.seconds:.3f} s, verified")
    return rows


def _check(name: str, found: torch.Tensor, unit_x: torch.Tensor, unit_y: torch.Tensor) -> None:
    """Raise ValueError unless a peer's rows are the nearest, up to float32, on a sample."""
    at = np.linspace(0, len(unit_y) - 1, min(_CHECKED, len(unit_y))).astype(np.int64).tolist()
    exact = (unit_y[at].double() @ unit_x.double().T).max(dim=1).values
    given = (unit_y[at].double() * unit_x[found[at]].double()).sum(dim=1)
    worst = float((exact - given).max())
    if worst > 1e-2:  # TF32, if the user's settings allow it, is off by up to 1e-3
        raise ValueError(f"{name} found an x that is {worst:.3g} from the nearest in cosine")


def _now(where: torch.device) -> float:
    """Return the time, once everything that was launched on the device has ended."""
    import torch

    if where.type == "cuda":
        torch.cuda.synchronize(where)
    return time.perf_counter()


def table(rows: list[GpuRow]) -> str:
    """Return the rows as a Markdown table; ratios are peer / gtn_fast."""
    names = list(dict.fromkeys(name for row in rows for name in row.peers))
    lines = [
        f"| workload | gtn_fast | {' | '.join(f'{name}, with replacement' for name in names)} |",
        f"|---|---:|{'---:|' * len(names)}",
    ]
    for row in rows:
        cells = [f"Gaussian n = {row.n:,}, d = {row.d}", seconds_text(row.seconds)]
        for name in names:
            peer = row.peers[name]
            cells.append(f"{seconds_text(peer)} ({ratio_text(peer / row.seconds)})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def machine(device: str) -> str:
    """Return one line on what the times were measured on."""
    import torch

    backend = registry.get("triton").load()
    name = torch.cuda.get_device_name(device) if torch.cuda.is_available() else "no GPU"
    return f"{name}; {backend.instructions()}; {bench.machine()}"
