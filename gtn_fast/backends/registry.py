"""The one list of backends: what each is, which strategies it runs, whether it runs here.

A new backend is an entry of ``BACKENDS`` and the module it names. The names of methods
and strategies come from here and nowhere else.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TypedDict

from gtn_fast.backends.distributed.options import DistributedOptions
from gtn_fast.backends.faiss.options import FaissOptions
from gtn_fast.backends.options import declared


class NoOptions(TypedDict):
    """The options of a backend that has none."""


class BackendOptions(FaissOptions, DistributedOptions, total=False):
    """Options of all backends: what ``label`` takes beside its common arguments."""


@dataclass(frozen=True)
class Backend:
    """What a backend says of itself, without importing it.

    module                the path of its module (backends/__init__.py lists the functions)
    exact                 every strategy gives the one answer of its definition, bit for bit
    devices               where it computes, in torch's words
    strategies            what it runs, each a method of ``label``
    needs                 what must be there beside NumPy
    options               a TypedDict: the arguments of ``label`` that go to it alone
    euclidean             those of its strategies that match by Euclidean distance, too
    takes_row_subsets     it matches given rows of X and Y, without copies of them
    streams_pairs         it hands over pairs as they become final
    takes_device_tensors  X and Y may be tensors on a device (``inputs.matrices.Held``)
    """

    name: str
    module: str
    exact: bool
    devices: tuple[str, ...]
    strategies: tuple[str, ...]
    needs: tuple[str, ...]
    description: str
    options: type = NoOptions
    euclidean: tuple[str, ...] = ()
    takes_row_subsets: bool = False
    streams_pairs: bool = False
    takes_device_tensors: bool = False

    @property
    def option_names(self) -> tuple[str, ...]:
        """The names of its options."""
        return tuple(declared(self.options))

    def load(self) -> ModuleType:
        """Import the module. Light: what it needs is imported when it is used."""
        return importlib.import_module(self.module)


BACKENDS = (
    Backend(
        name="native",
        module="gtn_fast.backends.native",
        exact=True,
        devices=("cpu",),
        strategies=("ray", "circle", "tree", "screen"),
        needs=("gtn_fast._native",),
        description="the C++ engine",
        euclidean=("tree", "screen"),
        takes_row_subsets=True,
        streams_pairs=True,
    ),
    Backend(
        name="reference",
        module="gtn_fast.backends.reference",
        exact=True,
        devices=("cpu",),
        strategies=("reference", "rank"),
        needs=(),
        description="the definition, in NumPy; slow",
        euclidean=("reference",),
    ),
    Backend(
        name="faiss",
        module="gtn_fast.backends.faiss.backend",
        exact=False,
        devices=("cpu",),
        strategies=("faiss",),
        needs=("faiss", "gtn_fast._native"),
        description="approximate: the nearest lists, around centres of FAISS",
        options=FaissOptions,
    ),
    Backend(
        name="faiss-gpu",
        module="gtn_fast.backends.faiss.gpu",
        exact=False,
        devices=("cuda",),
        strategies=("faiss",),
        needs=("faiss with GPUs", "gtn_fast._native", "a CUDA GPU"),
        description="the same with centres from a GPU",
        options=FaissOptions,
    ),
    Backend(
        name="triton",
        module="gtn_fast.backends.triton.backend",
        exact=True,
        devices=("cuda",),
        strategies=("screen",),
        needs=("torch", "triton", "gtn_fast._native", "a CUDA GPU"),
        description="screening on tensor cores",
        streams_pairs=True,
        takes_device_tensors=True,
    ),
    Backend(
        name="distributed",
        module="gtn_fast.backends.distributed.backend",
        exact=True,
        devices=("cpu",),
        strategies=("distributed",),
        needs=("torch", "gtn_fast._native"),
        description="screen, with X in shards on several processes (torch.distributed)",
        options=DistributedOptions,
    ),
)

# What label(method=...) takes. A strategy that two backends run, each on a device of
# its own, is one method.
METHODS = ("auto", *dict.fromkeys(name for each in BACKENDS for name in each.strategies))


METRICS = ("cosine", "euclidean")


def get(name: str) -> Backend:
    """Return the backend of that name; ValueError with the valid names if there is none."""
    for backend in BACKENDS:
        if backend.name == name:
            return backend
    valid = ", ".join(backend.name for backend in BACKENDS)
    raise ValueError(f"unknown backend {name!r}; valid: {valid}")


def find(strategy: str, device: str = "cpu") -> Backend:
    """Return the backend that runs ``strategy`` on ``device``, whether it runs here or not.

    ValueError, with what is valid, for a strategy or device that no backend has.
    """
    devices: dict[str, None] = {}
    for backend in BACKENDS:
        if strategy in backend.strategies:
            if device in backend.devices:
                return backend
            devices.update(dict.fromkeys(backend.devices))
    if not devices:
        valid = ", ".join(dict.fromkeys(name for each in BACKENDS for name in each.strategies))
        raise ValueError(f"unknown strategy {strategy!r}; valid: {valid}")
    raise ValueError(f"{strategy!r} does not run on {device!r}; valid: {', '.join(devices)}")


def why_not(name: str) -> str | None:
    """Say in one line why that backend cannot run here, and the remedy; None if it can."""
    try:
        get(name).load().require()
    except ImportError as error:
        return " ".join(str(error).split())
    return None
