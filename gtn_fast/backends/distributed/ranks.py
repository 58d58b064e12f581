"""What the processes of one matching tell each other: all-gathers over torch.distributed.

The lists that travel are made on CPUs, so they go through a gloo group of our own beside the
caller's group, whatever that runs on. Nothing here waits blindly: a rank that is gone ends
the wait of the others with ``LostRank`` (pulse.py), and Ctrl-C ends it at once.
"""

from __future__ import annotations

import ctypes
import datetime
import json
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from gtn_fast.backends.distributed.pulse import Pulse
from gtn_fast.packages import load_package

T = TypeVar("T")

_REMEDY = "pip install 'gtn-fast[torch]'"
_JOIN_S = 1800.0  # ranks may come this much later than the first
_CONNECT_S = 50.0  # once all have come
_SHORTEST_PAUSE_S = 2e-5
_LONGEST_PAUSE_S = 5e-4
_LOOK_S = 0.5  # how often a waiting rank looks whether another one is gone
_FOREVER = datetime.timedelta(days=365)  # a rank may take as long as it likes, if it lives
_ERRORS: dict[str, type[Exception]] = {
    each.__name__: each for each in (TypeError, ValueError, MemoryError, ImportError, OSError)
}


# By process group, how often its ranks met here.
_MEETINGS: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


class LostRank(ConnectionError):
    """Another process of the matching is gone, or was silent for too long."""


def torch_distributed() -> ModuleType:
    """Import torch.distributed; ImportError with reason and remedy if it cannot be."""
    load_package("torch", "torch", _REMEDY)
    distributed = load_package("torch.distributed", "torch.distributed", _REMEDY)
    if not (distributed.is_available() and distributed.is_gloo_available()):
        raise ImportError(f"this torch was built without torch.distributed and gloo: {_REMEDY}")
    return distributed


class Ranks:
    """A group of one: what is told comes back. ``joined`` gives larger ones.

    ``rank`` and ``size`` as in torch.distributed; ``calls``, ``bytes`` (received) and
    ``seconds`` count the traffic, ``seconds`` with the wait for the slowest rank.
    """

    rank = 0
    size = 1

    def __init__(self) -> None:
        self.calls, self.bytes, self.seconds = 0, 0, 0.0

    def gather(self, part: NDArray[Any]) -> NDArray[Any]:
        """Return every rank's ``part`` (all of one shape and dtype), (size, *part.shape)."""
        return part[None]

    def concatenate(self, part: NDArray[Any]) -> NDArray[Any]:
        """Return the ranks' parts, of any numbers of rows, one below the other in rank order."""
        counts = self.gather(np.array([len(part)], np.int64))[:, 0]
        most = int(counts.max())
        if most == 0 or self.size == 1:
            return part
        if most == counts.min():
            return self.gather(part).reshape(-1, *part.shape[1:])
        padded = np.zeros((most, *part.shape[1:]), part.dtype)
        padded[: len(part)] = part
        parts = self.gather(padded)
        return np.concatenate([each[:n] for each, n in zip(parts, counts, strict=True)])

    def tell(self, value: Any) -> list[Any]:
        """Return what every rank told: anything that JSON holds."""
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        counts = self.gather(np.array([len(text)], np.int64))[:, 0]
        padded = np.zeros(int(counts.max()), np.uint8)
        padded[: len(text)] = text
        parts = self.gather(padded)
        return [json.loads(p[:n].tobytes()) for p, n in zip(parts, counts, strict=True)]

    def together(self, work: Callable[[], tuple[T, Any]]) -> tuple[T, list[Any]]:
        """Do ``work``, which returns a value and what to tell; return it and what all told.

        If it raises on any rank, every rank raises the same: the first failing rank's error,
        with its number.
        """
        failure: BaseException | None = None
        try:
            value, telling = work()
            message: dict[str, Any] = {"told": telling}
        except tuple(_ERRORS.values()) as error:
            failure = error
            kind = next(name for name, each in _ERRORS.items() if isinstance(error, each))
            text = str(error) or type(error).__name__
            if isinstance(error, OSError) and error.filename:
                text = f"{error.filename}: {error.strerror}"
            message = {"error": [kind, " ".join(text.split())]}
        told = self.tell(message)
        for rank, each in enumerate(told):
            if "error" in each:
                kind, text = each["error"]
                where = f"rank {rank}: " if self.size > 1 else ""
                raise _ERRORS[kind](where + text) from failure
        return value, [each["told"] for each in told]


class _TorchRanks(Ranks):
    """The ranks of a torch process group."""

    def __init__(self, distributed: ModuleType, group: Any) -> None:
        super().__init__()
        self._torch = load_package("torch", "torch", _REMEDY)
        self.rank, self.size = distributed.get_rank(group), distributed.get_world_size(group)
        self._store = _store_of(distributed, group)
        self._meet()
        self._pulse = Pulse(self._store, self.rank, self.size)
        self._under_way = False
        self._options = distributed.distributed_c10d.AllgatherOptions()
        self._options.timeout = _FOREVER
        # new_group() would give a second group of these ranks the first one's name, and with it
        # the addresses of connections that are closed.
        try:
            self._group: Any = distributed.ProcessGroupGloo(
                self._store, self.rank, self.size, datetime.timedelta(seconds=_CONNECT_S)
            )
        except RuntimeError as error:
            self._give_up(error)

    def _meet(self) -> None:
        """Wait until all ranks have come."""
        Pulse.first_sign(self._store, self.rank)
        self._store.set(f"here {self.rank}", "1")
        start, pause = time.monotonic(), _SHORTEST_PAUSE_S
        missing = list(range(self.size))
        while missing:
            missing = [rank for rank in missing if not self._store.check([f"here {rank}"])]
            if missing and time.monotonic() - start > _JOIN_S:
                raise LostRank(
                    f"rank {self.rank} of {self.size} waited {_JOIN_S:.0f} s for"
                    f" {_named(missing)} to label, too: all ranks of the group must call"
                )
            time.sleep(pause)
            pause = min(1.25 * pause, 20 * _LONGEST_PAUSE_S)

    def gather(self, part: NDArray[Any]) -> NDArray[Any]:
        start = time.monotonic()
        own = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        if not own.flags.writeable:
            own = own.copy()
        received = np.empty((self.size, own.size), np.uint8)
        if own.size:
            try:
                self._under_way = True
                work = self._group.allgather(
                    [list(self._torch.from_numpy(received))],
                    [self._torch.from_numpy(own)],
                    self._options,
                )
                self._wait(work)
                self._under_way = False
            except RuntimeError as error:  # gloo: a connection was closed, or broke
                self._give_up(error)
        self.calls += 1
        self.bytes += received.size - own.size
        self.seconds += time.monotonic() - start
        return received.view(part.dtype).reshape(self.size, *part.shape)

    def _wait(self, work: Any) -> None:
        """Wait until ``work`` is done; torch's own wait() would keep Ctrl-C out."""
        pause, look = _SHORTEST_PAUSE_S, time.monotonic() + _LOOK_S
        while not work.is_completed():
            now = time.monotonic()
            if now > look:
                look = now + _LOOK_S
                if self._pulse.silent() or self._pulse.someone_gave_up():
                    self._give_up(None)
            time.sleep(pause)
            pause = min(1.25 * pause, _LONGEST_PAUSE_S)
        work.wait()

    def _give_up(self, cause: BaseException | None) -> NoReturn:
        """Find out who does not answer, and raise."""
        missing = self._pulse.give_up()
        who = _named(missing) if missing else "another rank"
        raise LostRank(
            f"rank {self.rank} of {self.size} lost the connection to {who}:"
            " killed, or ended by an error of its own"
        ) from cause

    def close(self) -> None:
        """Close the connections, or leave them if a message is still under way."""
        self._pulse.end(gave_up=self._under_way)
        if self._under_way:
            # The group's end would wait for the message, in vain: until the process ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._group))
        self._group = None


@contextmanager
def joined(group: Any) -> Iterator[Ranks]:
    """Yield the ranks of a torch process group for one matching; None: this process alone.

    All of the group have to come. TypeError if ``group`` is no process group that this
    process belongs to; ImportError if torch cannot be had.
    """
    if group is None:
        yield Ranks()
        return
    distributed = torch_distributed()
    if not isinstance(group, distributed.ProcessGroup):
        raise TypeError(
            "group must be a torch.distributed process group that this process belongs to"
            f" (torch.distributed.group.WORLD, say), got {type(group).__name__}"
        )
    ranks = _TorchRanks(distributed, group)
    try:
        yield ranks
        ranks.gather(np.zeros(1, np.uint8))  # nobody leaves while others still listen
    finally:
        ranks.close()


def _named(ranks: list[int]) -> str:
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"


def _store_of(distributed: ModuleType, group: Any) -> Any:
    """Return a store for one meeting of the group, which outlives the group's connections.

    Its prefix is the group's name and the number of the meeting: all ranks count alike.
    """
    global_store = distributed.distributed_c10d._get_default_store()
    met = _MEETINGS.get(group, 0)
    _MEETINGS[group] = met + 1
    return distributed.PrefixStore(f"gtn_fast {group.group_name} {met}", global_store)
