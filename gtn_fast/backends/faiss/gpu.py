"""Method "faiss" with centres trained on a GPU (faiss-gpu); the rest happens on the host."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from gtn_fast.backends import native
from gtn_fast.backends.faiss import backend as faiss_backend
from gtn_fast.backends.faiss import centres as faiss_centres
from gtn_fast.backends.faiss.backend import check as check
from gtn_fast.backends.faiss.backend import predict as predict
from gtn_fast.backends.faiss.backend import why as why
from gtn_fast.backends.interface import Matched
from gtn_fast.inputs.device import CUDA, Device

_REMEDY = "pip install 'gtn-fast[faiss-gpu]' in place of faiss-cpu, or take device='cpu'"


def require() -> None:
    """Raise ImportError, with reason and remedy, if faiss has no GPU or the engine is missing."""
    package = faiss_centres.module()
    if not hasattr(package, "GpuIndexFlatIP"):
        raise ImportError(f"faiss {package.__version__} is built without GPUs: {_REMEDY}")
    if package.get_num_gpus() < 1:
        raise ImportError("faiss finds no GPU: check nvidia-smi, or take device='cpu'")
    native.require()


def instructions() -> str:
    """Return FAISS's version and the instruction set of the engine."""
    return f"{faiss_backend.instructions()}, cuda"


def match(x: NDArray[Any], y: NDArray[Any], *, device: Device = CUDA, **how: Any) -> Matched:
    """Match as ``backend.match``, with centres from ``device``."""
    package = faiss_centres.module()
    number = device.index or 0
    there = package.get_num_gpus()
    if number >= there:
        raise ValueError(f"device {str(device)!r}: faiss finds {there} GPU(s), from cuda:0")
    resources = package.StandardGpuResources()

    def on_device(columns: int) -> Any:
        config = package.GpuIndexFlatConfig()
        config.device = number
        return package.GpuIndexFlatIP(resources, columns, config)

    return faiss_backend.match(x, y, assigner=on_device, **how)
