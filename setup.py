"""Builds gtn_fast._native with CMake; everything else is in pyproject.toml.

Environment: GTN_WERROR=1 makes compiler warnings errors; GTN_BUILD_DIR names a
folder that is kept, so that the next build compiles only what changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    """One CMake target for the one extension module."""

    def build_extension(self, ext: Extension) -> None:
        """Configure, compile and copy the module to where setuptools expects it."""
        kept = os.environ.get("GTN_BUILD_DIR")
        build_dir = Path(kept or Path(self.build_temp) / "cmake").absolute()
        build_dir.mkdir(parents=True, exist_ok=True)
        cmake = shutil.which("cmake", path=str(Path(sys.executable).parent)) or "cmake"
        werror = os.environ.get("GTN_WERROR", "0") not in ("", "0", "OFF")
        jobs = self.parallel or os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or os.cpu_count() or 1
        subprocess.run(
            [
                cmake,
                *("-S", str(ROOT), "-B", str(build_dir), "-G", "Unix Makefiles"),
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-DCMAKE_BUILD_TYPE={'Debug' if self.debug else 'Release'}",
                f"-DGTN_WERROR={'ON' if werror else 'OFF'}",
                # A kept folder may remember the pybind11 of an isolated build, and the headers of
                # another Python, which CMake then finds unfit and looks no further.
                f"-Dpybind11_DIR={_pybind11_dir()}",
                "-U_Python_*",
            ],
            check=True,
        )
        subprocess.run(
            [cmake, "--build", str(build_dir), "--target", "_native", "--parallel", str(jobs)],
            check=True,
        )
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        (module,) = (build_dir / "python").glob(f"_native*{target.suffix}")
        shutil.copy2(module, target)
        cubins = target.parent / "backends" / "cuda" / "cubins"
        cubins.mkdir(parents=True, exist_ok=True)
        for cubin in (build_dir / "cubins").glob("*.cubin"):
            shutil.copy2(cubin, cubins)


def _pybind11_dir() -> str:
    import pybind11

    return pybind11.get_cmake_dir()


setup(ext_modules=[Extension("gtn_fast._native", sources=[])], cmdclass={"build_ext": CMakeBuild})
