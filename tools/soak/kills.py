"""label, train and torchrun, killed at random moments and resumed: the results are the same."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import gtn_fast
from tools.soak.running import PYTHON, Verdict, environment

_LONGEST_S = 600
_SIGNALS = (
    *(signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT),
    *(signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1),
)
ALL, LAUNCHER, RANK = "all at once", "the launcher", "one rank"


@dataclass
class Job:
    """A command that can be killed and resumed."""

    name: str
    command: Callable[[bool], list[str]]  # whether it was begun before
    result: Path
    same: Callable[[Path, Path], bool]
    ranks: int = 1


def same_labels(one: Path, other: Path) -> bool:
    """Tell whether two labels files hold the same labels."""
    a, b = gtn_fast.Labels.load(one), gtn_fast.Labels.load(other)
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("x_index", "cosine", "order")
    )


def same_tensors(one: Path, other: Path) -> bool:
    """Tell whether two models hold the same numbers."""
    from safetensors.numpy import load_file

    a, b = load_file(one), load_file(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def jobs(folder: Path, n: int, epochs: int) -> list[Job]:
    """Make data in the folder; return the three commands."""
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.normal(size=(n, 48)).astype(np.float32))
    np.save(folder / "small.npy", rng.normal(size=(3000, 4)).astype(np.float32))

    def label(out: str, checkpoint: str) -> list[str]:
        return [
            *("-m", "gtn_fast", "label", "x.npy", "--out", out, "--quiet", "--resume"),
            *("--checkpoint", checkpoint, "--checkpoint-every", "0.05"),
        ]

    def train(begun: bool) -> list[str]:
        started = begun and (folder / "run" / "checkpoint.safetensors").exists()
        return [
            *("-m", "gtn_fast", "train", "small.npy", "--out", "run", "--quiet"),
            *("--preset", "uniform", "--epochs", str(epochs), "--layers", "2", "--width", "32"),
            *(["--resume"] if started else []),
        ]

    def torchrun() -> list[str]:
        return [
            *("-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"),
            f"--master-port={_free_port()}",
            *label("ranks.npz", "ranks.ckpt"),
        ]

    return [
        Job("label", lambda _: label("one.npz", "one.ckpt"), folder / "one.npz", same_labels),
        Job("train", train, folder / "run" / "gtn.safetensors", same_tensors),
        Job("torchrun", lambda _: torchrun(), folder / "ranks.npz", same_labels, ranks=2),
    ]


def _start(job: Job, folder: Path, begun: bool) -> subprocess.Popen[bytes]:
    with (folder / "errors.txt").open("wb") as errors:
        return subprocess.Popen(
            [PYTHON, *job.command(begun)],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment(),
            start_new_session=True,  # so that all of it can be killed
        )


def _ranks_of(launcher: int) -> list[int]:
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    with contextlib.suppress(OSError):
        return [int(word) for word in children.read_text().split()]
    return []


def _kill(process: subprocess.Popen[bytes], job: Job, ranks: list[int], rng: random.Random) -> str:
    """Kill it in one of the ways that happen; return which."""
    number = rng.choice(_SIGNALS)
    who = ALL if job.ranks == 1 else rng.choice([ALL, LAUNCHER, RANK])
    if who == LAUNCHER:
        number = rng.choice([signal.SIGTERM, signal.SIGINT])  # which it passes on
        os.kill(process.pid, number)
    elif who == RANK and ranks:
        number = signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(ranks), number)
    else:
        who = ALL
        for each in (process.pid, *ranks):  # torchrun gives each rank a group of its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)
    return f"{number.name} to {who}" if job.ranks > 1 else number.name


def _end(process: subprocess.Popen[bytes], ranks: list[int]) -> bool:
    """Wait for the end of all of it; False if it had to be ended."""
    until = time.monotonic() + _LONGEST_S / 5
    ended = False
    while not ended and time.monotonic() < until:
        time.sleep(0.05)
        ended = process.poll() is not None and not any(_alive(rank) for rank in ranks)
    for each in () if ended else (process.pid, *ranks):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    process.wait()
    return ended


def _alive(number: int) -> bool:
    with contextlib.suppress(OSError):
        return b"gtn_fast" in Path(f"/proc/{number}/cmdline").read_bytes()
    return False


def soak_job(job: Job, folder: Path, kills: int, rng: random.Random) -> Verdict:
    """Kill the job so many times; every result must be that of the run that nobody killed."""
    verdict = Verdict(f"kills of {job.name}")
    began = time.monotonic()
    process = _start(job, folder, begun=False)
    if process.wait(_LONGEST_S) != 0:
        verdict.wrong.append((folder / "errors.txt").read_text(errors="replace")[-500:])
        return verdict
    whole_s = time.monotonic() - began
    right = folder / f"right-{job.result.name}"
    _take_away(job, folder, right)
    done: Counter[str] = Counter()
    finished = 0
    begun = False
    while sum(done.values()) < kills or begun:
        last = sum(done.values()) >= kills
        process = _start(job, folder, begun)
        begun, killed = True, False
        try:
            process.wait(_LONGEST_S if last else rng.uniform(0, whole_s))
        except subprocess.TimeoutExpired:
            ranks = _ranks_of(process.pid)
            if last:
                verdict.wrong.append(f"no end within {_LONGEST_S} s")
                _kill(process, job, ranks, rng)
                _end(process, ranks)
                break
            killed = True
            done[_kill(process, job, ranks, rng)] += 1
            if not _end(process, ranks):
                verdict.wrong.append(f"it did not end after kill {sum(done.values())}")
        if job.result.exists():
            finished += 1
            begun = False
            if not job.same(job.result, right):
                verdict.wrong.append(f"another result after {sum(done.values())} kills")
            _take_away(job, folder, folder / "before")
        elif not killed or (job.ranks == 1 and process.returncode in (0, 1, 2, 70)):
            text = (folder / "errors.txt").read_text(errors="replace")[-500:]
            verdict.wrong.append(f"exit code {process.returncode}: {text}")
            break
    ways = ", ".join(f"{count} {way}" for way, count in sorted(done.items()))
    verdict.seen.append(
        f"{sum(done.values())} kills ({ways}) in a run of {whole_s:.1f} s;"
        f" {finished} results, all compared with that of a run that nobody killed"
    )
    if sum(done.values()) and not finished:
        verdict.wrong.append("no run came to its end")
    return verdict


def _take_away(job: Job, folder: Path, to: Path) -> None:
    """Keep the result elsewhere, and remove what else the run left."""
    shutil.move(job.result, to)
    if job.result.parent != folder:
        shutil.rmtree(job.result.parent)


def soak(folder: Path, kills: int, seed: int, n: int, epochs: int) -> Iterator[Verdict]:
    """Kill each of the three so many times."""
    rng = random.Random(seed)
    for job in jobs(folder, n, epochs):
        yield soak_job(job, folder, kills, rng)
