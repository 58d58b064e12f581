"""Flow: a velocity learned on labeled pairs, followed from noise to data in a few steps.

ĥ (gtn.py) maps in one step, and its points shrink toward the mean. A flow answers with a
velocity at every time instead, and its points keep their spread; it costs a pass of the network
per step. Labels make the paths straight, so that few steps do (velocity.py has the loss).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.inputs.arguments import check_integer, check_seed, check_threads
from gtn_fast.learn import presets as _presets
from gtn_fast.learn import verdict
from gtn_fast.learn.ahead import Ahead
from gtn_fast.learn.couplings import COUPLINGS, Coupling, How, check_coupling, name_of, rows_of
from gtn_fast.learn.devices import check_torch_device
from gtn_fast.learn.prepared import described, line, points, standardised
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.sizes import rebuilt
from gtn_fast.learn.training.guards import threads_for
from gtn_fast.learn.training.logs import check_files
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike, load_tensors, save_tensors, whole
from gtn_fast.learn.velocity import Velocity, check_solver, integrate, matching_loss
from gtn_fast.learn.verdict import Verdict
from gtn_fast.planning.memory import check_room
from gtn_fast.sample import normal
from gtn_fast.system.ending import long_call, stop_here

_KIND = "flow"
_NOT_WHOLE = "is not a whole flow"
_FIELDS = ("layers", "width", "lr", "batch_size", "epochs", "patience", "min_steps")  # of a preset
_ACTIVATIONS = 1 << 19  # elements of one layer that are computed together: they stay in cache
_ROWS = 1024  # but at least so many rows
MAX_STEPS = 1 << 20


def preset_for(d: int, **overrides: Any) -> Preset:
    """Return network and training of a flow in d dimensions, with some fields replaced.

    ValueError or TypeError for a field that a flow does not have, or a value that makes no
    network.
    """
    unknown = [name for name in overrides if name not in _FIELDS]
    if unknown:
        raise ValueError(f"a flow has no field {unknown[0]!r}; valid: {', '.join(_FIELDS)}")
    width = max(128, min(512, 8 * d))
    base = Preset("flow", 4, width, 0, 1e-3, 256, epochs=30, patience=None)
    return _presets.preset(base, **overrides)


class Flow:
    """A generator of points in R^d in several steps: standardise, label, train a velocity.

    >>> flow = Flow(d=32)
    >>> flow.fit(latents)
    >>> new = flow.sample(1000, steps=8)

    Parameters
    ----------
    d : int
        Dimension of the points.
    coupling : str or Coupling
        Which noise belongs to which data: a name of ``couplings.COUPLINGS``, or a callable of its
        kind. "labels", Algorithm 1, by default.
    steps, solver
        What ``sample``, ``transform`` and ``interpolate`` take where nothing is said: so many
        equal steps of "euler" (one pass of the network each) or "heun" (two).
    device : optional
        Where the network lives and is trained; the CPU by default.
    **overrides
        layers, width, lr, batch_size, epochs, patience.

    Attributes
    ----------
    d, preset, steps, solver, coupling
        As given, with the overrides.
    model : Velocity
        On standardised coordinates.
    scaling : Scaling or None
    label_seconds : float
        Spent on all labelings of the last fit, most of them while it trained.
    history : History or None
    verdict : Verdict or None
        What the last fit came to, against plain normals.
    """

    component = None  # of every row, as a GTN of several has them: what judges images asks

    def __init__(
        self,
        d: int,
        *,
        coupling: str | Coupling = "labels",
        steps: int = 8,
        solver: str = "euler",
        device: torch.device | str | None = None,
        **overrides: Any,
    ) -> None:
        self.d = check_integer(d, "d", 1, 2**31 - 1)
        self.preset = preset_for(self.d, **overrides)
        self.coupling = check_coupling(coupling, self.d)
        self.steps = check_integer(steps, "steps", 1, MAX_STEPS)
        self.solver = check_solver(solver)
        self.device = check_torch_device(device)
        self.model = self._network(0)
        self.model.eval()
        self.scaling: Scaling | None = None
        self.label_seconds = 0.0
        self.history: History | None = None
        self.verdict: Verdict | None = None

    def __repr__(self) -> str:
        fitted = "not fitted" if self.scaling is None else "fitted"
        network = f"{self.preset.layers} layers of {self.preset.width}"
        return f"Flow(d={self.d}, {network}, {self.steps} steps of {self.solver}, {fitted})"

    def fit(
        self,
        X: Any,
        val: Any = None,
        *,
        seed: int = 0,
        epochs: int | None = None,
        patience: int | None = None,
        metric: Callable[[Flow], float] | None = None,
        relabel_every: int = 1,
        checkpoint: PathLike | None = None,
        log: PathLike | None = None,
        tensorboard: PathLike | None = None,
        threads: int | None = None,
        progress: Any = None,
        flatten: bool = False,
    ) -> History:
        """Learn the data X (n, d): whatever ``label`` takes, files and patterns included.

        Every ``relabel_every`` epochs (0: never) a fresh y is drawn for each row and labeled, in
        a background thread while the epoch before trains: no epoch waits for labels that are made
        quicker than it trains. ``threads`` is for the labeling; None leaves half of the CPUs to
        the training. ``val``, ``metric`` and the rest are as for ``GTN.fit``: a validation loss,
        or a score, chooses the weights, and ``patience`` needs one. What is learned is a
        function of the data, the arguments and the seed; a run that was killed goes on from its
        ``checkpoint`` and ends with the same weights.

        Raises
        ------
        TypeError, ValueError
            Bad arguments: X that is constant, NaN, of another width; a checkpoint of another
            run; files that cannot be written. Those about X and val leave the flow as it was.
        FloatingPointError
            The loss became NaN or infinite.
        """
        seed = check_seed(seed)
        relabel_every = check_integer(relabel_every, "relabel_every", 0, 2**31 - 1)
        watched = val is not None or metric is not None
        preset = _presets.for_fit(self.preset, self.d, epochs, patience, watched=watched)
        check_files(log, tensorboard, checkpoint)
        behind = max(1, check_threads(None) // 2) if threads is None else check_threads(threads)
        x_in = described(X, "X", self.d, flatten)
        val_in = None if val is None else described(val, "val", self.d, flatten)
        scaling, x, val_x = standardised(x_in, val_in)

        self.scaling, self.verdict, self.label_seconds = scaling, None, 0.0
        self.model = self._network(derive(seed, "flow weights"))

        def pairs(
            rows: NDArray[np.float32], purpose: str, number: int | None, progress: Any
        ) -> Sequence[Tensor]:
            began = time.perf_counter()
            y = normal(derive(seed, purpose), 0, len(rows), self.d, threads=number)
            how = How(derive(seed, f"{purpose} rows"), number, progress)
            index = rows_of(self.coupling, rows, y, how)
            self.label_seconds += time.perf_counter() - began
            return torch.from_numpy(y), torch.from_numpy(rows[index])

        def ahead(round_: int, progress: Any) -> Sequence[Tensor]:
            return pairs(x, f"flow {round_}", behind, progress)

        rounds = (preset.epochs - 1) // relabel_every if relabel_every else 0
        with Ahead(ahead, rounds) as labels:

            def refresh(epoch: int) -> Sequence[Tensor] | None:
                round_, rest = divmod(epoch - 1, relabel_every)
                return labels(round_) if round_ and not rest else None

            val_pairs = None if val_x is None else pairs(val_x, "flow val", threads, progress)
            first = pairs(x, "flow 0", threads, progress)
            if rounds:
                labels.begin(1)
            self.history = train(
                self.model,
                matching_loss,
                first,
                epochs=preset.epochs,
                batch_size=preset.batch_size,
                lr=preset.lr,
                seed=seed,
                val=val_pairs,
                patience=preset.patience if watched else None,
                metric=None if metric is None else lambda _: metric(self),
                refresh=refresh if relabel_every else None,
                checkpoint=checkpoint,
                log=log,
                tensorboard=tensorboard,
                progress=progress,
                title="train flow",
                draws=True,
                identity=_presets.identity(
                    preset, coupling=name_of(self.coupling), relabel_every=relabel_every
                ),
            )
        made = scaling.apply(self.sample(verdict.ROWS, derive(seed, "verdict")))
        self.verdict = verdict.judge(made, x, val_x, derive(seed, "verdict"))
        return self.history

    def summary(self) -> str:
        """Return in words what the last fit came to; ValueError before one."""
        self._fitted()
        lines = [f"flow: {self.preset.layers} layers of {self.preset.width}, d = {self.d},"
                 f" {self.steps} steps of {self.solver}"]  # fmt: skip
        if self.history is not None:
            lines.append(f"{len(self.history.epochs)} epochs, best {self.history.best_epoch}")
        return "\n".join(lines if self.verdict is None else [*lines, self.verdict.table()])

    def source_sample(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """Return the y's that ``sample(n, seed)`` maps, (n, d); never those of a training.

        Row i depends on (seed, i) only: a longer sample begins with the shorter one.
        """
        n = check_integer(n, "n", 0, 2**48)
        return normal(derive(check_seed(seed), "sample"), 0, n, self.d)

    def sample(
        self, n: int, seed: int = 0, *, steps: int | None = None, solver: str | None = None
    ) -> NDArray[np.float32]:
        """Generate new points (n, d), in the data's own scale."""
        self._fitted()
        n = check_integer(n, "n", 0, 2**48)
        check_room(16 * n * self.d, f"sampling {n:,} rows")
        return self.transform(self.source_sample(n, seed), steps=steps, solver=solver)

    def transform(
        self, y: Any, *, steps: int | None = None, solver: str | None = None
    ) -> NDArray[np.float32]:
        """Follow the flow from y (n, d) to the data's own scale: float32 (n, d)."""
        scaling = self._fitted()
        if getattr(y, "shape", None) == (0, self.d):
            return np.empty((0, self.d), dtype=np.float32)
        return scaling.undo(self._follow(points(y, "y", self.d), steps, solver))

    def inverse(
        self, x: Any, *, steps: int | None = None, solver: str | None = None
    ) -> NDArray[np.float32]:
        """Follow the flow backwards: the y (n, d) that ``transform`` sends near x (n, d).

        The way there and back ends where it began but for the error of the steps: take more of
        them, or "heun".
        """
        scaling = self._fitted()
        if getattr(x, "shape", None) == (0, self.d):
            return np.empty((0, self.d), dtype=np.float32)
        given = scaling.apply(points(x, "x", self.d))
        return self._follow(given, steps, solver, backwards=True)

    def interpolate(
        self,
        y0: Any,
        y1: Any,
        points: int = 20,
        *,
        steps: int | None = None,
        solver: str | None = None,
    ) -> NDArray[np.float32]:
        """Map the straight line from y0 (d,) to y1 (d,): (points, d), ends included."""
        points = check_integer(points, "points", 2, 2**31 - 1)
        check_room(20 * points * self.d, f"a path of {points:,} points")
        return self.transform(line(y0, y1, points, self.d), steps=steps, solver=solver)

    def save(self, path: PathLike, *, force: bool = False) -> None:
        """Write all that is needed to sample and interpolate: one .safetensors file.

        A flow that is there is replaced, anything else only with ``force``. FileError (a
        ValueError) for that, and if the disk refuses; ValueError before a fit.
        """
        scaling = self._fitted()
        tensors = {f"scaling/{name}": torch.from_numpy(getattr(scaling, name))
                   for name in ("mean", "std")}  # fmt: skip
        tensors |= {f"model/{name}": value for name, value in self.model.state_dict().items()}
        meta = {
            "d": self.d,
            "preset": {name: getattr(self.preset, name) for name in _FIELDS},
            "steps": self.steps,
            "solver": self.solver,
            "coupling": name_of(self.coupling),
            "label_seconds": self.label_seconds,
            "history": None if self.history is None else asdict(self.history),
            "verdict": None if self.verdict is None else asdict(self.verdict),
        }
        save_tensors(path, _KIND, tensors, meta, force=force)

    @staticmethod
    def load(path: PathLike, device: torch.device | str | None = None) -> Flow:
        """Read what ``save`` wrote. FileError for a file that is no (whole) flow."""
        tensors, meta = load_tensors(path, _KIND)
        with whole(path, _NOT_WHOLE):
            d, fields = meta["d"], meta["preset"]
            mean, std = (tensors[f"scaling/{name}"].numpy() for name in ("mean", "std"))
            scaling = Scaling.stored(mean, std, d)
            weights = {k[6:]: t for k, t in tensors.items() if k.startswith("model/")}
            preset = preset_for(d, **fields)
            model = rebuilt(lambda: Velocity.of(d, preset.layers, preset.width, 0), weights)
            # One of the caller's own is not in the file: what it was called is no coupling.
            known = meta["coupling"] if meta["coupling"] in COUPLINGS else "labels"
            options = {"coupling": known, "steps": meta["steps"], "solver": meta["solver"]}
            flow = Flow(d, device=device, **options, **fields)
            flow.model.load_state_dict(model.state_dict())
            flow.scaling = scaling
            flow.label_seconds = float(meta["label_seconds"])
            if meta["history"] is not None:
                flow.history = History(**meta["history"])
            if meta["verdict"] is not None:
                flow.verdict = Verdict(**meta["verdict"])
        return flow

    def _network(self, seed: int) -> Velocity:
        preset = self.preset
        return Velocity.of(self.d, preset.layers, preset.width, seed).to(self.device)

    @torch.no_grad()
    def _follow(
        self,
        start: NDArray[Any],
        steps: int | None,
        solver: str | None,
        *,
        backwards: bool = False,
    ) -> NDArray[np.float32]:
        """Follow the flow from standardised points (n, d), in blocks of rows."""
        steps = self.steps if steps is None else check_integer(steps, "steps", 1, MAX_STEPS)
        solver = self.solver if solver is None else check_solver(solver)

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            stop_here()
            v: Tensor = self.model(x, t)
            return v

        # A mapped file cannot be written, and torch warns of tensors that cannot.
        given = torch.from_numpy(np.require(start, np.float32, "W"))
        was_training = self.model.training  # a metric is called in the middle of a training
        self.model.eval()
        rows = max(_ROWS, _ACTIVATIONS // max(self.preset.width, self.d))
        parts = []
        with long_call(), threads_for(self.model, self.preset.batch_size):
            for part in torch.split(given, rows):
                there = part.to(self.device)
                parts.append(integrate(velocity, there, steps, solver, backwards=backwards).cpu())
        self.model.train(was_training)
        made: NDArray[np.float32] = torch.cat(parts).numpy()
        return made

    def _fitted(self) -> Scaling:
        if self.scaling is None:
            raise ValueError("this flow has not learned anything yet: fit, or Flow.load a file")
        return self.scaling
