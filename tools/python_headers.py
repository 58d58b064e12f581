"""Prints the include folders of this Python's C headers, colon-separated.

Debian's python3-venv does not bring Python.h. Where it is missing, the distribution's
own package of headers is downloaded and unpacked into the folder given (no root, nothing
installed); where that fails too, one line says what to install.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path


def installed() -> Path | None:
    """The include folder of this Python, if it holds the headers."""
    folder = Path(sysconfig.get_path("include"))
    return folder if (folder / "Python.h").exists() else None


def unpacked(target: Path) -> Path | None:
    """The include folder inside `target`, unpacked from Debian's package if need be."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = target / "usr" / "include" / name
    if not (folder / "Python.h").exists():
        target.mkdir(parents=True, exist_ok=True)
        try:
            quiet = {"check": True, "capture_output": True, "cwd": target}
            subprocess.run(["apt-get", "download", f"lib{name}-dev"], **quiet)
            for package in target.glob("*.deb"):
                subprocess.run(["dpkg", "-x", package.name, "."], **quiet)
        except (OSError, subprocess.CalledProcessError):
            return None
    return folder if (folder / "Python.h").exists() else None


def main() -> int:
    """Entry point; the one argument is the folder to unpack into."""
    target = Path(sys.argv[1]).absolute()
    folder = installed()
    if folder is not None:
        print(folder)
        return 0
    folder = unpacked(target)
    if folder is not None:
        # pyconfig.h includes a file of the same name below the machine's own folder.
        print(f"{folder}:{folder.parent}")
        return 0
    print(
        "make: the C headers of this Python are missing: install them "
        "(Debian: apt-get install python3-dev)",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
