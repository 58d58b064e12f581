"""Exact, fast labeling for Generative Topological Networks (Algorithm 1 of the paper).

    label          match every row of Y with a row of X of its own   (api.py)
    Labels         the permutation, its cosines, a report            (labels.py)
    verify         an independent check of a matching                (verify.py)
    plan           strategy, seconds and bytes before running        (planner.py)
    normal         the source sample, any rows of it                 (random.py)
    create_labels  the authors' function, drop-in, for torch         (compat.py)

Below: _validate.py (all checks of arguments), backends/ (what can run a matching),
reference.py (the oracle that all of it answers to), _native (the C++ engine).
Importing this package imports NumPy, never torch.
"""

from gtn_fast._version import __version__
from gtn_fast.api import label
from gtn_fast.compat import create_labels
from gtn_fast.labels import Labels
from gtn_fast.planner import Plan, plan
from gtn_fast.random import normal
from gtn_fast.verify import VerifyReport, WrongMatching, verify

__all__ = [
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
