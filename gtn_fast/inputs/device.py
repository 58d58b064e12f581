"""Devices: a checked ``Device`` in place of a text such as "cuda:1"."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Device:
    """The host ("cpu"), or a GPU ("cuda", with its number; None: the current one)."""

    kind: str = "cpu"
    index: int | None = None

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"

    @property
    def is_cpu(self) -> bool:
        """Whether this is the host."""
        return self.kind == "cpu"


CPU = Device()
CUDA = Device("cuda")


def check_device(device: Any) -> Device | None:
    """Return the ``Device`` of a text or torch.device, None for None; ValueError or TypeError."""
    if device is None:
        return None
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(device, torch.device):
        device = str(device)
    if not isinstance(device, str):
        raise TypeError(f"device must be a string, got {type(device).__name__}")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(f"unknown device {device!r}; valid: 'cpu', 'cuda' or 'cuda:N'")
    kind, _, number = device.partition(":")
    return Device(kind, int(number) if number else None)
