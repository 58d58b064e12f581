"""One target: under atheris for a time, or on inputs that are there (without atheris).

python -m tools.fuzz.one TARGET FILE...
python -m tools.fuzz.one TARGET --corpus FOLDER [-max_total_time=60 ...]
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import tempfile
import warnings
from pathlib import Path

from tools.fuzz.targets import made

_MORE_BYTES = 3 << 30  # than at the start: a header must not make us take what it promises


def main() -> None:
    """Run it; an input that is wrong ends in a traceback."""
    name, *arguments = sys.argv[1:]
    # Memory, not a disk: a thousand files a second.
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        if arguments[:1] == ["--corpus"]:
            _fuzz(name, Path(arguments[1]), arguments[2:], Path(folder))
            return
        target = made(name, Path(folder))
        for path in arguments:
            target.check(Path(path).read_bytes())


def limit_memory() -> None:
    """Let this process take a few GB more than it has, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _fuzz(name: str, corpus: Path, options: list[str], folder: Path) -> None:
    import atheris

    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["gtn_fast", "zipfile", "numpy.lib"]):
        target = made(name, folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for at, seed in enumerate(target.seeds()):
        (corpus / f"seed-{at}").write_bytes(seed)
    limit_memory()

    def check(data: bytes) -> None:
        with contextlib.redirect_stdout(None):
            target.check(data)

    atheris.Setup([sys.argv[0], *options, str(corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
