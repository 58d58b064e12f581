"""Every writer on a disk that is full, or fills up: nothing half-written, nothing old destroyed.

The disk is a small tmpfs where mounting is allowed. Elsewhere files of the process may not be
longer than so many bytes (RLIMIT_FSIZE), which leaves a writer at the same place.
"""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import gtn_fast
from tools.soak.running import PYTHON, Verdict, environment

DISK = 24 << 20
SHARES = (0.0, 0.1, 0.5, 0.9)  # of what the writer needs
_LONGEST_S = 300

# As if the disk filled up after it was looked at: what the checks before the work see is a lie.
_FILLS_UP = """
import resource, shutil, sys
usage = shutil.disk_usage
shutil.disk_usage = lambda place: usage(place)._replace(free=1 << 60)
from gtn_fast.outputs import files
files._largest_file = lambda: None
"""
_COMMAND = """
import sys
from gtn_fast.cli import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Writer:
    """A command, or code, that writes into the folder ``disk`` of its working directory."""

    name: str
    arguments: tuple[str, ...] = ()
    code: str = _COMMAND
    goes_on: bool = False  # what fails is a warning: exit code 0
    needs: int = 0  # bytes, of what is gone at the end


def writers() -> list[Writer]:
    """Return all that write."""
    quick = ("--preset", "uniform", "--epochs", "2", "--layers", "2", "--width", "128", "--quiet")
    images = ("--images", "--d", "4", "--ae-epochs", "1")
    return [
        Writer("label", ("label", "x.npy", "--out", "disk/o.npz", "--quiet")),
        Writer("label --y", ("label", "x.npy", "--y", "x.npy", "--out", "disk/o.npz", "--quiet")),
        Writer(
            "label --checkpoint",
            (
                *("label", "x.npy", "--out", "o.npz", "--quiet"),
                *("--checkpoint", "disk/c", "--checkpoint-every", "0.01"),
            ),
            goes_on=True,
            needs=4000 * 24,
        ),
        Writer(
            "label --scratch",
            (
                *("label", "wide.npy", "--out", "o.npz", "--quiet", "--method", "screen"),
                *("--memory", "16MB", "--scratch", "disk"),
            ),
            needs=60_000 * 64,
        ),
        Writer("train", ("train", "x.npy", "--out", "disk/run", *quick)),
        Writer(
            "train --flow",
            ("train", "x.npy", "--flow", "--out", "disk/run", "--epochs", "2", "--quiet"),
        ),
        Writer("train --images", ("train", "i.npz", *images, "--out", "disk/run", *quick)),
        Writer(
            "autoencode", ("autoencode", "i.npz", "--out", "disk/a", "--epochs", "1", "--quiet")
        ),
        Writer("sample", ("sample", "gtn", "--n", "20000", "--out", "disk/s.npy", "--quiet")),
        Writer(
            "sample --autoencoder",
            (
                *("sample", "i-gtn", "--n", "3000", "--out", "disk/s.npy", "--quiet"),
                *("--autoencoder", "i-ae"),
            ),
        ),
        Writer(
            "sample --out DIR",
            (
                *("sample", "i-gtn", "--n", "300", "--out", "disk/p", "--quiet"),
                *("--autoencoder", "i-ae"),
            ),
        ),
        Writer("interpolate", ("interpolate", "gtn", "--out", "disk/w", "--quiet")),
        Writer(
            "evaluate",
            (
                *("evaluate", "--real", "x.npy", "--generated", "x.npy"),
                *("--out", "disk/m.json", "--limit", "200", "--quiet"),
            ),
        ),
        Writer("Labels.save", code=_python("gtn_fast.Labels.load('l.npz').save('disk/l.npz')")),
        Writer("GTN.save", code=_python("gtn_fast.GTN.load('gtn').save('disk/g.safetensors')")),
        Writer(
            "Autoencoder.save",
            code=_python("gtn_fast.Autoencoder.load('i-ae').save('disk/a.safetensors')"),
        ),
        Writer(
            "LabeledPairs(cache=)",
            code=_python("gtn_fast.LabeledPairs(np.load('x.npy'), cache='disk/pairs.npz')"),
        ),
        Writer(
            "GTN.fit(checkpoint=, log=)",
            code=_python(
                "gtn_fast.GTN(4, 'uniform', layers=2, width=128).fit(np.load('x.npy'), epochs=2,"
                " checkpoint='disk/c.safetensors', log='disk/log.csv', progress=False)"
            ),
            goes_on=True,
        ),
    ]


def _python(call: str) -> str:
    return f"""
import sys
import numpy as np
import gtn_fast
try:
    {call}
except (OSError, ValueError) as error:
    sys.exit(f"gtn-fast: error: {{error}}")
"""


class Disk:
    """A small disk at ``place``, or a limit on the length of files."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
        with contextlib.suppress(OSError):
            subprocess.run(mount, check=False, capture_output=True)
        self.mounted = place.is_mount()

    def close(self) -> None:
        """Take it away."""
        if self.mounted:
            subprocess.run(["umount", str(self.place)], check=True)

    def empty(self) -> None:
        """Remove what is on it."""
        for path in self.place.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextmanager
    def with_room(self, room: int) -> Iterator[Callable[[], None]]:
        """Leave so much room; yield what the child process must call."""
        filler = self.place / "filler"
        if self.mounted:
            free = shutil.disk_usage(self.place).free
            with filler.open("wb") as file:
                file.write(bytes(max(0, free - room)))
        try:
            yield self._nothing if self.mounted else lambda: self._limit(room)
        finally:
            filler.unlink(missing_ok=True)

    def _nothing(self) -> None:
        pass

    def _limit(self, room: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    def files(self) -> dict[str, bytes]:
        """Return what is on it, by name."""
        return {
            str(path.relative_to(self.place)): path.read_bytes()
            for path in sorted(self.place.rglob("*"))
            if path.is_file() and path.name != "filler"
        }


def prepare(folder: Path, chosen: list[Writer]) -> None:
    """Make data, and the models that these writers read."""
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.normal(size=(4000, 4)).astype(np.float32))
    np.save(folder / "wide.npy", rng.normal(size=(60_000, 64)).astype(np.float32))
    np.savez(folder / "i.npz", images=rng.integers(0, 256, (300, 16, 16), dtype=np.uint8))
    gtn_fast.label(folder / "x.npy").save(folder / "l.npz")
    read = " ".join(word for writer in chosen for word in (*writer.arguments, writer.code))
    quick = ("--preset", "uniform", "--epochs", "1", "--layers", "2", "--width", "128", "--quiet")
    made = {
        "gtn": ("made", "gtn", ("x.npy",)),
        "i-gtn": ("i-made", "gtn", ("i.npz", "--images", "--d", "4", "--ae-epochs", "1")),
        "i-ae": ("i-made", "autoencoder", ()),
    }
    for name, (out, file, data) in made.items():
        if not any(mark in read for mark in (f" {name} ", f"'{name}'")):
            continue
        if not (folder / out).exists():
            data = data or made["i-gtn"][2]
            command = ("train", *data, "--out", out, *quick)
            _run(folder, Writer("", command), lambda: None, fills_up=False).check_returncode()
        shutil.copy(folder / out / f"{file}.safetensors", folder / name)


def _run(
    folder: Path, writer: Writer, prepared: Callable[[], None], *, fills_up: bool
) -> subprocess.CompletedProcess[str]:
    code = (_FILLS_UP if fills_up else "") + writer.code
    return subprocess.run(
        [PYTHON, "-c", code, *writer.arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_LONGEST_S,
        check=False,
        preexec_fn=prepared,
        env=environment(),
    )


def whole(name: str, content: bytes, folder: Path) -> bool:
    """Tell whether a file is whole, by reading it."""
    path = folder / f"looked-at{Path(name).suffix}"
    path.write_bytes(content)
    try:
        if path.suffix == ".npz":
            with path.open("rb") as file, np.load(file) as archive:
                return all(archive[name] is not None for name in archive.files)
        if path.suffix == ".npy":
            return bool(np.load(path).size)
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return bool(load_file(path))
        if path.suffix == ".json":
            return bool(json.loads(content))
        if path.suffix == ".png":
            from PIL import Image

            Image.open(path).load()
            return True
        if path.suffix == ".html":
            return content.endswith(b"</html>\n")
        if path.suffix == ".csv":
            return content.endswith(b"\n")
        return content.startswith(b"gtn_fast.checkpoint 1\n")
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile):
        return False
    finally:
        path.unlink()


def soak(folder: Path, only: str = "", shares: tuple[float, ...] = SHARES) -> Verdict:
    """Run every writer on a disk with some shares of the room that it needs."""
    verdict = Verdict("disk")
    chosen = [writer for writer in writers() if only in writer.name]
    prepare(folder, chosen)
    disk = Disk(folder / "disk")
    refused = survived = done = runs = 0
    try:
        for writer in chosen:
            disk.empty()
            first = _run(folder, writer, lambda: None, fills_up=False)
            written = disk.files()
            if first.returncode:
                verdict.wrong.append(f"{writer.name} fails with room: {first.stderr[-300:]}")
                continue
            needed = writer.needs or sum(map(len, written.values()))
            for fills_up in (False, True):
                for share in shares:
                    disk.empty()
                    runs += 1
                    with disk.with_room(round(share * needed)) as prepared:
                        ended = _run(folder, writer, prepared, fills_up=fills_up)
                    what = f"{writer.name}, {share:.0%} of {needed:,} bytes, fills up: {fills_up}"
                    verdict.wrong += _judge(writer, ended, disk, folder, what)
                    missing = written.keys() - disk.files().keys()
                    if ended.returncode == 0 and missing and not writer.goes_on:
                        verdict.wrong.append(f"{what}: exit code 0 without {sorted(missing)}")
                    done += ended.returncode == 0
                    kept = "the result was saved as" in ended.stderr
                    survived += kept
                    refused += ended.returncode != 0 and not kept
    finally:
        disk.close()
    verdict.seen.append(
        f"{len(chosen)} writers, {runs} runs on"
        f" {'a tmpfs' if disk.mounted else 'files of limited length'}: {refused} refused in one"
        f" line, {survived} saved elsewhere, {done} done all the same"
    )
    return verdict


def _judge(
    writer: Writer,
    ended: subprocess.CompletedProcess[str],
    disk: Disk,
    folder: Path,
    what: str,
) -> list[str]:
    """Return what is wrong after a run."""
    wrong = []
    for name, content in disk.files().items():
        if Path(name).name.startswith(".gtn-fast"):
            wrong.append(f"{what}: {name} is left")
        elif not whole(name, content, folder):
            wrong.append(f"{what}: {name} is half-written, {len(content):,} bytes")
    lines = [line for line in ended.stderr.splitlines() if line.startswith("gtn-fast: error: ")]
    if ended.returncode not in (0, 1 if writer.code != _COMMAND else 2):
        wrong.append(f"{what}: exit code {ended.returncode}: {ended.stderr[-300:]}")
    elif ended.returncode and (len(lines) != 1 or "Traceback" in ended.stderr):
        wrong.append(f"{what}: says {ended.stderr[-300:]!r}")
    if "the result was saved as " in ended.stderr:
        place = Path(ended.stderr.rsplit("the result was saved as ", 1)[1].strip())
        place = place if place.is_absolute() else folder / place
        if not place.exists() or not whole(place.name, place.read_bytes(), folder):
            wrong.append(f"{what}: the result is not at {place}")
        else:
            place.unlink()
    return wrong
