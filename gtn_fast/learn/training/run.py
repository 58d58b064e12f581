"""One training run: its state and the loop over it. ``training.train`` is the way in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from gtn_fast.inputs.files import FileError
from gtn_fast.learn.training.checkpoint import Identity, load_state, save_state
from gtn_fast.learn.training.generators import Noise
from gtn_fast.learn.training.guards import (
    Stop,
    check_rows,
    has_batch_norm,
)
from gtn_fast.learn.training.logs import LogRows
from gtn_fast.learn.training.optimizer import Schedule, set_rates
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import whole
from gtn_fast.outputs.files import check_output
from gtn_fast.outputs.streams import warn
from gtn_fast.run.progress import Bar

Loss = Callable[..., Tensor]
"""loss(model, *batch) -> scalar tensor, the mean over the batch; see ``train(draws=)``."""


_GATHER_BYTES = 1 << 26  # rows of the next batches are put together in pieces of this size
_LOOK_S = 0.25  # how often losses are looked at: each look waits for the device


_SCORES = ("loss", "val_loss", "metric")


@dataclass(repr=False)
class History:
    """What a training did.

    ``epochs`` has a dict for each: epoch (from 1), loss, val_loss and metric (if there are
    any), seconds. ``best_epoch`` is the one whose weights the model has. ``stopped`` says why
    it ended, "epochs" or "patience"; ``seconds`` counts all parts of an interrupted run;
    ``resumed_at`` is the epoch in which a checkpoint was taken up, or None. ``note`` says so if a
    small set was given more epochs than its preset has.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "epochs"
    seconds: float = 0.0
    resumed_at: int | None = None
    note: str | None = None

    def __repr__(self) -> str:
        if not self.epochs:
            return "History(no epochs)"
        best = next((row for row in self.epochs if row["epoch"] == self.best_epoch), {})
        parts = [f"{len(self.epochs)} epochs, stopped by {self.stopped}"]
        scores = [f"{name} {best[name]:.4g}" for name in _SCORES if name in best]
        if scores:
            parts.append(f"best {self.best_epoch}: {', '.join(scores)}")
        if self.resumed_at is not None:
            parts.append(f"resumed at {self.resumed_at}")
        return f"History({'; '.join(parts)}; {self.seconds:.3g} s)"


@dataclass
class Run:
    """A training between two steps. Its arguments are checked; what follows them is state."""

    model: nn.Module
    loss: Loss
    optimizer: torch.optim.Optimizer
    data: Sequence[Tensor]
    val: Sequence[Tensor]
    batch_size: int
    seed: int
    where: torch.device
    noise: Noise
    metric: Callable[[nn.Module], float] | None
    refresh: Callable[[int], Sequence[Tensor] | None] | None
    schedule: Schedule | None
    title: str

    history: History = field(default_factory=History)
    epoch: int = 1  # the one that runs
    step: int = 0  # its batches that are done
    losses: list[Tensor] = field(default_factory=list)  # of those batches, on the device
    epoch_seconds: float = 0.0
    best: dict[str, Tensor] | None = None
    best_score: float = -math.inf
    noise_states: dict[str, Tensor] = field(default_factory=dict)  # a checkpoint's, to go on from
    began: float = field(default_factory=time.perf_counter)
    path: Path | None = None
    every_s: float = math.inf
    identity: Identity = field(default_factory=lambda: Identity({}, {}))
    next_save: float = math.inf

    def keep_at(self, path: Path, every_s: float, identity: Identity) -> None:
        """Keep a checkpoint at ``path``; take up the one that is there."""
        weights = sum(p.numel() * p.element_size() for p in self.model.parameters())
        check_output(path, 4 * weights)  # theirs, the best ones, Adam's two averages
        self.path, self.every_s, self.identity = path, every_s, identity
        self.next_save = time.monotonic() + every_s
        if not path.exists():
            return
        state = load_state(path, self.model, self.optimizer, identity)
        meta = state.meta
        self.best = state.best
        self.losses = list(state.losses.to(self.where).unbind())
        self.noise_states = state.noise
        self.epoch, self.step = meta["epoch"], meta["step"]
        self.epoch_seconds = meta["epoch_seconds"]
        self.best_score = meta["best_score"] if state.best else -math.inf
        with whole(path, "is not a whole training checkpoint"):
            self.history = History(**meta["history"])
        self.history.resumed_at = self.epoch
        self.began = time.perf_counter() - self.history.seconds

    def save(self, noise: Mapping[str, Tensor] | None = None) -> None:
        """Write the checkpoint, if one is kept. That it cannot be is a warning: the run goes on.

        ``noise``: the generators' states, inside an epoch.
        """
        self.history.seconds = time.perf_counter() - self.began
        if self.path is None:
            return
        others = dict(noise or {})
        others["losses"] = torch.stack(self.losses) if self.losses else torch.zeros(0)
        meta = {
            "identity": self.identity.now,
            "epoch": self.epoch,
            "step": self.step,
            "epoch_seconds": self.epoch_seconds,
            "best_score": self.best_score if self.best else None,
            "history": asdict(self.history),
        }
        try:
            save_state(self.path, self.model, self.optimizer, self.best, others, meta)
        except FileError as error:
            warn(f"not saved: {error}; a checkpoint before is kept", RuntimeWarning, 2)
        self.next_save = time.monotonic() + self.every_s

    def go(
        self, epochs: int, patience: int | None, write_log: Callable[[LogRows], None], bar: Bar
    ) -> None:
        """Train every epoch that is left, then load the best weights."""
        if self.refresh is not None:
            self._ask_back()
        with Stop(keeps=self.path is not None) as stop:
            while not self._finished(epochs, patience):
                self._epoch(stop, write_log, bar)
            self._check_weights()
            self.save()
        if self.best is not None:
            self.model.load_state_dict(self.best)
        self.model.eval()

    def _epoch(self, stop: Stop, write_log: Callable[[LogRows], None], bar: Bar) -> None:
        """Train what is left of this epoch; at Ctrl-C, or a signal, save and raise."""
        if self.refresh is not None and not self.step:
            with self._saved_at_interrupt(), stop.at_once():
                self._take(self.refresh(self.epoch))
        if self.schedule is not None:
            set_rates(self.optimizer, self.schedule(self.epoch))
        with self.noise.kept_apart():
            self._steps(stop, bar)
        with self._saved_at_interrupt(), self.noise.kept_apart(), stop.at_once():
            scores = self._scores()
        self._record(scores)
        write_log(self.history.epochs)
        bar.show(**{k: f"{v:.4g}" for k, v in self.history.epochs[-1].items()})
        if time.monotonic() >= self.next_save:
            self.save()
        if stop.asked:
            self.save()
            raise stop.stopping()

    def _finished(self, epochs: int, patience: int | None) -> bool:
        done = self.epoch - 1
        tired = patience is not None and done - self.history.best_epoch >= patience
        self.history.stopped = "patience" if tired else "epochs"
        return not self.step and (tired or done >= epochs)

    def _take(self, data: Sequence[Tensor] | None) -> None:
        if data is not None:
            check_rows(data, "refreshed data", self.model, self.batch_size)
            self.data = data

    def _ask_back(self) -> None:
        """Refresh the data after a resume, as when the checkpoint was written."""
        assert self.refresh is not None
        for epoch in range(self.epoch if self.step else self.epoch - 1, 0, -1):
            data = self.refresh(epoch)
            if data is not None:
                self._take(data)
                return

    @contextmanager
    def _saved_at_interrupt(self) -> Iterator[None]:
        """Save the state at a Ctrl-C or a signal inside: for what leaves the state alone."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            self.save()
            raise

    def _steps(self, stop: Stop, bar: Bar) -> None:
        """Train on the batches of this epoch that are left."""
        began = time.perf_counter() - self.epoch_seconds
        self.model.train()
        self._seed_noise(f"epoch {self.epoch}")
        seen, next_look = self.step, time.monotonic() + _LOOK_S
        for batch in self._batches():
            self.optimizer.zero_grad(set_to_none=True)
            value = self.loss(self.model, *batch, **self.noise.arguments)
            value.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.losses.append(value.detach())
            self.step += 1
            if stop.asked or time.monotonic() >= next_look:
                self.epoch_seconds = time.perf_counter() - began
                self._check_losses(seen)
                bar.update(self.step - seen)
                if stop.asked or time.monotonic() >= self.next_save:
                    self.save(self.noise.state())
                if stop.asked:
                    raise stop.stopping()
                seen, next_look = self.step, time.monotonic() + _LOOK_S
        self._check_losses(seen)
        bar.update(self.step - seen)
        self.epoch_seconds = time.perf_counter() - began

    def _batches(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield batches in the order of (seed, epoch), gathered in large pieces."""
        n = len(self.data[0])
        generator = torch.Generator()
        generator.manual_seed(derive(self.seed, f"batches {self.epoch}"))
        order = torch.randperm(n, generator=generator)
        if n % self.batch_size == 1 and has_batch_norm(self.model):
            order = order[:-1]  # the row that would be a batch by itself
        order = order[self.step * self.batch_size :]
        row_bytes = sum(t[:1].numel() * t.element_size() for t in self.data)
        piece = self.batch_size * max(1, _GATHER_BYTES // max(1, row_bytes * self.batch_size))
        for start in range(0, len(order), piece):
            rows = order[start : start + piece]
            gathered = [t.index_select(0, rows.to(t.device)).to(self.where) for t in self.data]
            yield from zip(*(torch.split(t, self.batch_size) for t in gathered), strict=True)

    def _check_losses(self, first: int) -> None:
        """Look at the losses from batch ``first`` on; FloatingPointError at the first bad one."""
        if first == self.step:
            return
        bad = ~torch.stack(self.losses[first:]).isfinite()
        if bad.any():
            step = first + int(bad.nonzero()[0, 0])
            raise FloatingPointError(
                f"{self.title}: the loss is {float(self.losses[step])} in epoch {self.epoch},"
                f" step {step + 1}; a lower lr may help"
            )

    def _check_weights(self) -> None:
        """Raise FloatingPointError for weights that the last steps, of finite losses, spoilt."""
        for name, value in self.model.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise FloatingPointError(
                    f"{self.title}: {name} holds NaN or infinity after epoch {self.epoch - 1};"
                    " a lower lr may help"
                )

    @torch.no_grad()
    def _scores(self) -> dict[str, float]:
        """Return validation loss and metric of the weights as they are."""
        began = time.perf_counter()
        self.model.eval()
        scores: dict[str, float] = {}
        if self.val:
            self._seed_noise("validation")  # the same noise each time
            total = torch.zeros((), dtype=torch.float64)
            for batch in zip(*(torch.split(t, 4 * self.batch_size) for t in self.val), strict=True):
                rows = (t.to(self.where) for t in batch)
                value = self.loss(self.model, *rows, **self.noise.arguments)
                total += value.cpu().double() * len(batch[0])
            scores["val_loss"] = float(total) / len(self.val[0])
        if self.metric is not None:
            scores["metric"] = float(self.metric(self.model))
        for name, score in scores.items():
            if not math.isfinite(score):
                raise FloatingPointError(
                    f"{self.title}: the {name} is {score} after epoch {self.epoch}"
                )
        self.epoch_seconds += time.perf_counter() - began
        return scores

    def _record(self, scores: dict[str, float]) -> None:
        """Close the epoch: its line in the history, the best weights."""
        sizes = torch.full((self.step,), float(self.batch_size), dtype=torch.float64)
        sizes[-1] = min(self.batch_size, len(self.data[0]) - (self.step - 1) * self.batch_size)
        losses = torch.stack(self.losses).cpu().double()
        line = {"epoch": self.epoch, "loss": float(losses @ sizes / sizes.sum()), **scores}
        self.history.epochs.append({**line, "seconds": round(self.epoch_seconds, 6)})
        score = scores.get("metric", -scores.get("val_loss", math.nan))
        if math.isnan(score):
            self.history.best_epoch = self.epoch  # nothing to judge by: the last is the best
        elif score > self.best_score:
            self.best_score, self.history.best_epoch = score, self.epoch
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.epoch, self.step, self.losses, self.epoch_seconds = self.epoch + 1, 0, [], 0.0
        self.history.seconds = time.perf_counter() - self.began

    def _seed_noise(self, purpose: str) -> None:
        """Seed what the loss draws by (seed, epoch) alone, or go on from the checkpoint."""
        self.noise.seed(derive(self.seed, purpose))
        if self.noise_states and self.path is not None:
            with whole(self.path, "is not a whole training checkpoint"):
                self.noise.go_on(self.noise_states)
            self.noise_states = {}
