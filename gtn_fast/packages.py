"""Packages that may or may not be there: what each is for, whether it works, why it does not.

load      import one; a failure is one line with the remedy
probe     the same for a report: version, detail, problem; nothing is raised
PACKAGES  what gtn_fast can use
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

_LONGEST_REASON = 200  # characters of another package's error that fit one line of ours


# By the extra that brings them. What trains needs several: they are named together.
EXTRAS = {
    "matplotlib": "plots",
    "mlxtend": "demo",
    "tensorboard": "tensorboard",
    "lightning": "lightning",
    "gudhi": "topology",
    **dict.fromkeys(("torch", "torchmetrics", "safetensors", "PIL", "sklearn", "scipy"), "train"),
}


def how_to_get(error: ImportError, needed: Sequence[str] = ()) -> str:
    """Say how to install the package that is missing, and those of ``needed`` that are, too."""
    first = (error.name or "").split(".")[0]
    if first not in EXTRAS or not isinstance(error, ModuleNotFoundError):
        return str(error)
    absent = [name for name in needed if name != first and importlib.util.find_spec(name) is None]
    absent.insert(0, first)
    extras = ",".join(sorted({EXTRAS[name] for name in absent}))
    are = "is" if len(absent) == 1 else "are"
    return f"{' and '.join(absent)} {are} not installed: pip install 'gtn-fast[{extras}]'"


class Absent(ImportError):
    """The module is not installed, as opposed to installed and broken."""


def load_package(
    module: str, name: str, remedy: str, absent: str = "is not installed"
) -> ModuleType:
    """Import ``module``, called ``name`` in messages; its failure in one line with ``remedy``.

    Raises Absent where it is not there, and ImportError where importing it raised
    whatever else: a library it was linked with, a package of its own that is missing.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and _is_part(error.name or "", module):
            raise Absent(f"{name} {absent}: {remedy}") from error
        raise ImportError(f"{name} does not load ({failure_reason(error)}): {remedy}") from error


def failure_reason(error: BaseException) -> str:
    """Shorten what another package raised to a part of one line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", _LONGEST_REASON, placeholder=" ...")


def _is_part(missing: str, module: str) -> bool:
    return missing == module or module.startswith(f"{missing}.")


@dataclass(frozen=True)
class Package:
    """Something that gtn_fast can use.

    ``name`` as people say it; ``module`` is imported; one of ``distributions`` provides it;
    ``install`` is what pip is told; ``detail`` says more of the imported module.
    """

    name: str
    module: str
    distributions: tuple[str, ...]
    purpose: str
    install: str
    detail: Callable[[ModuleType], str] | None = None


@dataclass(frozen=True)
class Found:
    """What ``probe`` found. ``version`` without a ``problem``: it can be used."""

    version: str | None
    detail: str | None
    problem: str | None


def probe_package(package: Package) -> Found:
    """Import the package and look at it; whatever is wrong with it is in ``problem``."""
    version = _version(package.distributions)
    remedy = f"pip install {package.install}"
    # What it prints must not get into a report that a program reads.
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        try:
            module = load_package(package.module, package.name, remedy)
            if version is None:  # on the path without having been installed
                version = str(getattr(module, "__version__", "unknown"))
            return Found(version, package.detail(module) if package.detail else None, None)
        except ImportError as error:
            return Found(version, None, str(error))
        except Exception as error:
            return Found(
                version, None, f"{package.name} does not work ({failure_reason(error)}): {remedy}"
            )


def _version(distributions: tuple[str, ...]) -> str | None:
    """Return the version of the first that is installed; a damaged installation has none."""
    for name in distributions:
        try:
            return str(importlib.metadata.metadata(name)["Version"])
        except Exception:  # PackageNotFoundError, or whatever damage does
            continue
    return None


def _torch_devices(torch: ModuleType) -> str:
    if torch.version.cuda is None:
        return "built without CUDA"
    if not torch.cuda.is_available():
        return f"CUDA {torch.version.cuda}, no device"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"CUDA {torch.version.cuda}: {', '.join(names)}"


def _faiss_devices(faiss: ModuleType) -> str:
    gpus = int(faiss.get_num_gpus()) if hasattr(faiss, "get_num_gpus") else 0
    return f"{gpus} GPU{'' if gpus == 1 else 's'}" if gpus else "no GPU"


PACKAGES = (
    Package("numpy", "numpy", ("numpy",), "arrays; required", "numpy"),
    Package(
        "torch",
        "torch",
        ("torch",),
        "training, sampling, tensors as X and Y",
        "'gtn-fast[torch]'",
        _torch_devices,
    ),
    Package(
        "faiss",
        "faiss",
        ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12"),
        "method faiss; k-means and nearest copies; a peer in bench",
        "'gtn-fast[faiss-cpu]' or 'gtn-fast[faiss-gpu]'",
        _faiss_devices,
    ),
    Package("triton", "triton", ("triton",), "GPU kernels of device='cuda'", "triton"),
    Package("pandas", "pandas", ("pandas",), "Labels.to_frame", "pandas"),
    Package("matplotlib", "matplotlib", ("matplotlib",), "pictures", "'gtn-fast[plots]'"),
    Package(
        "safetensors",
        "safetensors",
        ("safetensors",),
        "saved models; .safetensors as input",
        "'gtn-fast[safetensors]'",
    ),
    Package(
        "pyarrow",
        "pyarrow",
        ("pyarrow",),
        "Parquet, Arrow, datasets of Hugging Face; Labels.to_arrow",
        "'gtn-fast[parquet]'",
    ),
    Package("h5py", "h5py", ("h5py",), "HDF5 as input", "'gtn-fast[hdf5]'"),
    Package("zarr", "zarr", ("zarr",), "Zarr as input", "'gtn-fast[zarr]'"),
    Package("torchmetrics", "torchmetrics", ("torchmetrics",), "FID and IS", "'gtn-fast[train]'"),
    Package(
        "torch-fidelity",
        "torch_fidelity",
        ("torch-fidelity",),
        "the Inception network of FID and IS",
        "torch-fidelity",
    ),
    Package(
        "scikit-learn",
        "sklearn",
        ("scikit-learn",),
        "k-means and nearest copies without faiss",
        "'gtn-fast[train]'",
    ),
    Package(
        "gudhi",
        "gudhi",
        ("gudhi",),
        "gtn-fast topology; Betti numbers of samples",
        "'gtn-fast[topology]'",
    ),
    Package(
        "tensorboard",
        "tensorboard",
        ("tensorboard",),
        "train --tensorboard",
        "'gtn-fast[tensorboard]'",
    ),
)
