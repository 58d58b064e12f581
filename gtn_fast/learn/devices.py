"""Devices of torch, checked."""

from __future__ import annotations

from typing import Any

import torch


def check_torch_device(device: Any, default: str = "cpu") -> torch.device:
    """Return a device that tensors can be made on; TypeError or ValueError, naming what came."""
    if device is None:
        device = default
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f"device must be a string or a torch.device, got {type(device).__name__}")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:100]
        raise ValueError(f"device {str(device)!r} cannot be used here: {reason}") from None
