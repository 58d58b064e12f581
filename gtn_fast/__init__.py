"""Exact, fast labeling for Generative Topological Networks (Algorithm 1 of the paper).

    label          match every row of Y with a row of X of its own   (api.py)
    Labels         the permutation, its cosines, a report            (labels.py)
    verify         an independent check of a matching                (verify.py)
    plan           strategy, seconds and bytes before running        (planner.py)
    normal         the source sample, any rows of it                 (random.py)
    create_labels  the authors' function, drop-in, for torch         (compat.py)
    GTN            the generator: fit, sample, interpolate; and      (learn/)
                   HHat, Autoencoder, LabeledPairs beside it

Below: _validate.py (all checks of arguments), backends/ (what can run a matching),
reference.py (the oracle that all of it answers to), _native (the C++ engine),
environment.py (rounding and subnormal numbers, whatever the caller has set).
Beside them: learn/ (the torch layer), metrics/, images/, plots/, experiments/, cli/.
Importing this package imports NumPy, never torch: learn's names load it when asked for.
"""

from typing import TYPE_CHECKING, Any

from gtn_fast._version import __version__
from gtn_fast.environment import DefaultEnvironment

# Python itself reads decimal constants wrongly where rounding is not to nearest, and would store
# them with the compiled modules.
with DefaultEnvironment():
    from gtn_fast.api import label
    from gtn_fast.check.verification import VerifyReport, WrongMatching, verify
    from gtn_fast.compat import create_labels
    from gtn_fast.labels import Labels
    from gtn_fast.planning.planner import Plan, plan
    from gtn_fast.sample import normal

if TYPE_CHECKING:
    from gtn_fast.learn import GTN, Autoencoder, HHat, LabeledPairs

_LEARN = ("GTN", "Autoencoder", "HHat", "LabeledPairs")

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
    if name not in _LEARN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gtn_fast import learn

    return getattr(learn, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
