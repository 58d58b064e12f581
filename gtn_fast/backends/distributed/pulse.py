"""Signs of life of the ranks of one matching, by way of the store of their group.

A rank that is killed closes its connections, which the others notice at once. One whose
machine loses power or network closes nothing: it is noticed by its silence here, however long
a rank may take for its part of the work.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from gtn_fast.system import ending

_BEAT_S = 1.0
_SILENCE_S = 40.0  # without a sign: gone
_ROLL_CALL_S = 2.0
_GAVE_UP = b"gave up"


class Pulse:
    """A thread that gives this rank's sign and looks for the others', until ``end``.

    No other thread talks to the store: it may never answer, if it was with the rank that is
    gone. ``first_sign`` must have been called on all ranks before.
    """

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self._store, self._rank = store, rank
        self._others = [other for other in range(size) if other != rank]
        self._looked = time.monotonic()  # when the store last answered
        self._signs: dict[int, bytes] = {}
        self._heard = dict.fromkeys(self._others, self._looked)
        self._own_gave_up = self._ended = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gtn_fast pulse", daemon=True)
        self._thread.start()

    @staticmethod
    def first_sign(store: Any, rank: int) -> None:
        """Leave the first sign of ``rank``, so that a look at the store never waits for one."""
        store.set(_key(rank), "0")

    def silent(self) -> list[int]:
        """Return the ranks not heard of for too long; all of them if the store is silent."""
        oldest = time.monotonic() - _SILENCE_S
        if self._looked < oldest:
            return self._others
        return [rank for rank, at in self._heard.items() if at < oldest]

    def someone_gave_up(self) -> bool:
        """Tell whether another rank gave up."""
        return _GAVE_UP in self._signs.values()

    def give_up(self) -> list[int] | None:
        """Tell the others that this rank gives up; return those that do not follow in two seconds.

        None if the store does not answer.
        """
        self._own_gave_up = True
        self._wake.set()
        began = time.monotonic()
        while time.monotonic() < began + _ROLL_CALL_S:
            if self._looked > began and not self._not_given_up():
                break
            time.sleep(0.05)
        return self._not_given_up() if self._looked > began else None

    def _not_given_up(self) -> list[int]:
        return [rank for rank in self._others if self._signs.get(rank) != _GAVE_UP]

    def end(self, *, gave_up: bool) -> None:
        """End the thread with a last sign; ``gave_up``: others may still wait for this rank."""
        self._own_gave_up |= gave_up
        self._ended = True
        self._wake.set()
        self._thread.join(_BEAT_S)  # no longer: the store may be gone

    def _run(self) -> None:
        with ending.long_call():
            self._beat()

    def _beat(self) -> None:
        keys = [_key(rank) for rank in self._others]
        count = 0
        while True:
            self._wake.clear()
            ended, gave_up = self._ended or ending.asked(), self._own_gave_up
            try:
                self._store.set(_key(self._rank), _GAVE_UP.decode() if gave_up else str(count))
                signs = self._store.multi_get(keys)
            except Exception:  # its kind is torch's affair; what follows is silence
                return
            self._hear(signs)
            if ended:
                return
            count += 1
            self._wake.wait(0.1 if gave_up else _BEAT_S)

    def _hear(self, signs: list[bytes]) -> None:
        now = time.monotonic()
        for rank, sign in zip(self._others, signs, strict=True):
            if sign != self._signs.get(rank):
                self._heard[rank] = now
        self._signs = dict(zip(self._others, signs, strict=True))
        self._looked = now


def _key(rank: int) -> str:
    return f"sign {rank}"
