"""The options of method "distributed"."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from gtn_fast.backends.options import Handle


class DistributedOptions(TypedDict, total=False):
    """What ``label(method="distributed", ...)`` takes beside the common arguments."""

    group: Annotated[
        Any,
        Handle(
            "torch.distributed process group; X is then the shard of this rank (any number of"
            " rows, none too), and rows are numbered through in rank order. All ranks of the"
            " group call with the same Y (or seed); each returns the same labels, for all of Y"
        ),
    ]
