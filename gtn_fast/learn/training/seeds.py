"""One seed from the user, many independent streams from it."""

from __future__ import annotations

import hashlib


def derive(seed: int, purpose: str) -> int:
    """Return a seed in [0, 2**64) for one purpose: labels, weights, samples share no stream.

    Without it ``sample(n, seed=0)`` of a model fitted with ``seed=0`` would draw the very
    y's that the model was trained on.
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
