"""How large a network may be: known before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from gtn_fast.planning.memory import check_memory

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_LAYERS = 10_000
MAX_WIDTH = 1 << 20
_CHECKED_FROM = 1 << 24  # weights: asking the system costs more than a small network

M = TypeVar("M", bound="nn.Module")


def check_weights(count: int, what: str) -> None:
    """Raise MemoryError if so many float32 weights do not fit into the memory available."""
    import torch

    if count >= _CHECKED_FROM and torch.get_default_device().type != "meta":
        check_memory(4 * count, what)


def rebuilt(build: Callable[[], M], tensors: Mapping[str, Tensor]) -> M:
    """Build a model and give it the weights of a file.

    ValueError, with both sizes, if it is not the model that the file has weights for; then
    nothing was allocated.
    """
    import torch

    with torch.device("meta"):
        wanted = {name: value.shape for name, value in build().state_dict().items()}
    found = {name: value.shape for name, value in tensors.items()}
    if wanted != found:
        promised, held = (
            sum(shape.numel() for shape in shapes.values()) for shapes in (wanted, found)
        )
        raise ValueError(
            f"its header promises {len(wanted):,} arrays of {promised:,} numbers, it holds"
            f" {len(found):,} of {held:,}"
        )
    model = build()
    model.load_state_dict(tensors)
    return model
