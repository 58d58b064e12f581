"""Exact, fast labeling for Generative Topological Networks (Algorithm 1 of the paper).

    label          match every row of Y with a row of X of its own   (api.py)
    Labels         the permutation, its cosines, a report            (labels.py)
    verify         an independent check of a matching                (check/)
    plan           strategy, seconds and bytes before running        (planning/)
    normal         the source sample, any rows of it                 (sample.py)
    create_labels  the authors' function, drop-in, for torch         (compat.py)
    GTN            the generator: fit, sample, interpolate; and      (learn/)
                   HHat, Autoencoder, LabeledPairs beside it

The rooms of a labeling, in the order in which it passes them:

    inputs/       all checks of arguments and files
    planning/     which strategy, how long, how much memory
    run/          one labeling from its checked description to its result
    backends/     what can run a matching: the engine, NumPy, FAISS, a GPU, processes
    _native       the compiled C++ engine (csrc/)
    reference/    the definition of every answer, in NumPy; all else is compared with it
    check/        verify, and how good an approximate matching is

Beside them:

    outputs/      what is written: whole or not at all, and over nothing that must stay
    learn/        the training layer, in torch
    vision/       networks for images
    images/       reading image data sets
    manifolds/    sets of images whose shape is known
    metrics/      how good samples are
    plots/        pictures
    pages/        what a person reads about a labeling: a table, a page
    experiments/  the paper's experiments
    cli/          the command line
    adapters/     labels in the conventions of scikit-learn, Lightning, Ray and Spark
    tools/        what ``gtn-fast bench``, ``demo`` and ``doctor`` run (for everyone who has the
                  package; the folder tools/ of the repository writes its documents)
    system/       CPUs and quotas, threads, forks, the end of the interpreter
    environment.py  rounding and subnormal numbers, whatever the caller has set
    packages.py   optional packages: what each is for, whether it works

Importing this package imports nothing else: what stands behind a name is loaded when it is first
asked for. Only learn's names load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gtn_fast._version import __version__

if TYPE_CHECKING:
    from gtn_fast.api import label
    from gtn_fast.check.verification import VerifyReport, WrongMatching, verify
    from gtn_fast.compat import create_labels
    from gtn_fast.labels import Labels
    from gtn_fast.learn import GTN, Autoencoder, HHat, LabeledPairs
    from gtn_fast.planning.planner import Plan, plan
    from gtn_fast.sample import normal

_HOMES = {
    "gtn_fast.api": ("label",),
    "gtn_fast.check.verification": ("VerifyReport", "WrongMatching", "verify"),
    "gtn_fast.compat": ("create_labels",),
    "gtn_fast.labels": ("Labels",),
    "gtn_fast.learn": ("GTN", "Autoencoder", "HHat", "LabeledPairs"),
    "gtn_fast.planning.planner": ("Plan", "plan"),
    "gtn_fast.sample": ("normal",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
# Rooms that are reached as attributes, without an import of their own.
_ROOMS = ("experiments", "images", "learn", "manifolds", "metrics", "plots", "reference", "vision")

__all__ = [
    "GTN",
    "Autoencoder",
    "HHat",
    "LabeledPairs",
    "Labels",
    "Plan",
    "VerifyReport",
    "WrongMatching",
    "__version__",
    "create_labels",
    "label",
    "normal",
    "plan",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF and name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    environment = import_module("gtn_fast.environment")
    # Python itself reads decimal constants wrongly where rounding is not to nearest, and would
    # store them with the compiled modules.
    with environment.DefaultEnvironment():
        if name in _ROOMS:
            return import_module(f"gtn_fast.{name}")
        value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
