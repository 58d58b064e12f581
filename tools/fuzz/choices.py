"""Bytes to decisions: the same bytes, the same decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

# What no author of a file had in mind.
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 7, 2**16, 2**31, 2**53, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "x", "1", "cpu", "\n", [], [1], [[]], {}, {"x": 1}),
)


RAW, FLIPPED, BUILT = range(3)  # the first byte: as it is, a whole file damaged, made of pieces
PIECES = tuple(bytes([kind, 1, *range(60)]) for kind in (FLIPPED, BUILT))


class Choices:
    """Decisions in the order in which they are asked for; zeros when the bytes are used up."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def bytes(self, count: int) -> bytes:
        """Take so many bytes, as many as there are."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        """Take what is left."""
        return self.bytes(len(self._data))

    def below(self, n: int) -> int:
        """Take a number from 0 to n - 1."""
        width = max(1, ((n - 1).bit_length() + 7) // 8)
        return int.from_bytes(self.bytes(width), "little") % n

    def one_in(self, n: int) -> bool:
        """Decide: yes once in n times, and not when the bytes are used up."""
        return self.below(n) == n - 1

    def pick(self, some: Sequence[T]) -> T:
        """Take one of them."""
        return some[self.below(len(some))]

    def edited(self, tree: Any) -> Any:
        """Return JSON with one place changed: replaced, gone, or one more."""
        if isinstance(tree, dict) and tree and not self.one_in(8):
            name = self.pick(sorted(tree))
            if self.one_in(8):
                return {key: value for key, value in tree.items() if key != name}
            return {**tree, name: self.edited(tree[name])}
        if isinstance(tree, list) and tree and not self.one_in(4):
            at = self.below(len(tree))
            return [*tree[:at], self.edited(tree[at]), *tree[at + 1 :]]
        return self.pick(ODD)

    def content(self, kind: int, whole: Callable[[], bytes], built: Callable[[], bytes]) -> bytes:
        """Return a file of that kind, of what is left."""
        if kind == RAW:
            return self.rest()
        return self.flipped(whole()) if kind == FLIPPED else built()

    def flipped(self, whole: bytes) -> bytes:
        """Return the bytes with one to four of them changed, or cut, or with more at the end."""
        kind = self.below(8)
        if kind == 0:
            return whole[: self.below(len(whole) + 1)]
        if kind == 1:
            return whole + self.bytes(1 + self.below(16))
        changed = bytearray(whole)
        for _ in range(1 + self.below(4)):
            changed[self.below(len(whole))] ^= 1 + self.below(255)
        return bytes(changed)
