"""Flow: a velocity learned on labeled pairs, followed from noise to data in a few steps.

ĥ (gtn.py) maps in one step, and its points shrink toward the mean. A flow answers with a
velocity at every time instead, and its points keep more of their spread; it costs a pass of the
network per step. What they still lose comes back as after ĥ (calibration.py). Labels make the
paths straight, so that few steps do (velocity.py has the loss).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.inputs.arguments import check_integer, check_seed, check_threads
from gtn_fast.learn import finishing, flow_file
from gtn_fast.learn import presets as _presets
from gtn_fast.learn.ahead import Ahead
from gtn_fast.learn.calibration import Calibration, Moments
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.couplings import Coupling, How, check_coupling, name_of, rows_of
from gtn_fast.learn.devices import check_torch_device
from gtn_fast.learn.flow_file import preset_for
from gtn_fast.learn.following import Calibrations, Points, follow
from gtn_fast.learn.mixture import Mixture
from gtn_fast.learn.prepared import Prepared, line, points, prepare
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.source import Source
from gtn_fast.learn.training.logs import check_files
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike, whole
from gtn_fast.learn.velocity import Velocity, check_solver, matching_loss
from gtn_fast.learn.verdict import Verdict
from gtn_fast.planning.memory import check_room
from gtn_fast.sample import normal

MAX_STEPS = 1 << 20


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
    scaling, classes : or None
        Of the last fit's data.
    mixture : Mixture or None
        Where the classes lie, in standardised coordinates.
    label_seconds : float
        Spent on all labelings of the last fit, most of them while it trained.
    history : History or None
    calibrations : Calibrations or None
        What comes after the last step and restores the data's mean and covariance (following.py).
    verdict : Verdict or None
        What the last fit came to, against plain normals.
    """

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
        self.classes: Classes | None = None
        self.mixture: Mixture | None = None
        self.component: NDArray[np.int64] | None = None  # class of every row; not kept in files
        self.model = self._network(0).eval()
        self.scaling: Scaling | None = None
        self.label_seconds = 0.0
        self.history: History | None = None
        self.calibrations: Calibrations | None = None
        self.verdict: Verdict | None = None

    def __repr__(self) -> str:
        fitted = "not fitted" if self.scaling is None else "fitted"
        network = f"{self.preset.layers} layers of {self.preset.width}"
        classes = "" if self.classes is None else f"{len(self.classes)} classes, "
        return (
            f"Flow(d={self.d}, {classes}{network}, {self.steps} steps of {self.solver}, {fitted})"
        )

    def fit(
        self,
        X: Any,
        val: Any = None,
        *,
        classes: Any = None,
        val_classes: Any = None,
        seed: int = 0,
        epochs: int | None = None,
        patience: int | None = None,
        metric: Callable[[Flow], float] | None = None,
        relabel_every: int = 1,
        calibrate: bool = True,
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
        or a score, chooses the weights, and ``patience`` needs one. ``classes`` (n,), integers,
        strings or booleans: noise and data are paired inside a class, and the network and
        ``sample`` know the classes; ``val_classes`` (m,) are val's. After the last step points
        get the data's mean and covariance, unless ``calibrate=False``: the map is measured for
        the flow's own ``steps`` and ``solver`` here, for others when they are first asked for. A
        warning says so if samples are farther from the data than normals; ``summary`` has the
        figures. What is learned is a function of the data, the arguments and the seed; a run that
        was killed goes on from its ``checkpoint`` and ends with the same weights.

        Raises
        ------
        TypeError, ValueError
            Bad arguments: X that is constant, NaN, of another width; a class of fewer than two
            different rows, or missing; a checkpoint of another run; files that cannot be written.
            Those about X, val and classes leave the flow as it was.
        FloatingPointError
            The loss became NaN or infinite.
        """
        seed = check_seed(seed)
        relabel_every = check_integer(relabel_every, "relabel_every", 0, 2**31 - 1)
        watched = val is not None or metric is not None
        preset = _presets.for_fit(self.preset, self.d, epochs, patience, watched=watched)
        check_files(log, tensorboard, checkpoint)
        behind = max(1, check_threads(None) // 2) if threads is None else check_threads(threads)
        given = prepare(
            self.d, X, val, classes, val_classes, components=1, seed=seed, flatten=flatten
        )
        self._begin(given, derive(seed, "flow weights"), calibrate=calibrate)

        def pairs(round_: int, progress: Any, number: int | None = behind) -> Sequence[Tensor]:
            data = given.learned, given.component
            return self._paired(*data, seed, f"flow {round_}", number, progress)

        rounds = (preset.epochs - 1) // relabel_every if relabel_every else 0
        with Ahead(pairs, rounds) as labels:

            def refresh(epoch: int) -> Sequence[Tensor] | None:
                round_, rest = divmod(epoch - 1, relabel_every)
                return labels(round_) if round_ and not rest else None

            val_pairs = None
            if given.val_learned is not None:
                held_out = given.val_learned, given.val_component
                val_pairs = self._paired(*held_out, seed, "flow val", threads, progress)
            first = pairs(0, progress, threads)
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
                metric=None if metric is None else lambda _: metric(self._anew()),
                refresh=refresh if relabel_every else None,
                checkpoint=checkpoint,
                log=log,
                tensorboard=tensorboard,
                progress=progress,
                title="train flow",
                draws=True,
                identity=_presets.identity(
                    preset, coupling=name_of(self.coupling), relabel_every=relabel_every,
                    **({} if given.classes is None else {"classes": list(given.classes.names)}),
                ),
            )  # fmt: skip
        self.verdict = finishing.judged(self._anew().sample, given, derive(seed, "verdict"), "flow")
        return self.history

    def _begin(self, given: Prepared, seed: int, *, calibrate: bool) -> None:
        """Forget what was learned before; take over what is known of the data."""
        self.scaling, self.classes = given.scaling, given.classes
        self.mixture, self.component = given.mixture, given.component
        self.calibrations, self.verdict, self.label_seconds = None, None, 0.0
        if calibrate:
            moments = Moments.of(given.learned, given.component, self._source.parts)
            self.calibrations = Calibrations(moments)
        self.model = self._network(seed)

    def _anew(self) -> Flow:
        """Forget the calibrations of weights that have changed."""
        if self.calibrations is not None:
            self.calibrations.maps.clear()
        return self

    def _paired(
        self,
        x: NDArray[np.float32],
        of: NDArray[np.int64] | None,
        seed: int,
        purpose: str,
        threads: int | None,
        progress: Any,
    ) -> Sequence[Tensor]:
        """Draw a y for every row of x (n, d), inside its class: y, x_y, and the classes if any."""
        began = time.perf_counter()
        y = normal(derive(seed, purpose), 0, len(x), self.d, threads=threads)
        how = How(derive(seed, f"{purpose} rows"), threads, progress)
        index = rows_of(self.coupling, x, y, how, None if of is None else (of, of))
        self.label_seconds += time.perf_counter() - began
        found = torch.from_numpy(y), torch.from_numpy(x[index])
        return found if of is None else (*found, torch.from_numpy(of))

    def summary(self) -> str:
        """Return in words what the last fit came to; ValueError before one."""
        self._fitted()
        lines = [f"flow: {self.preset.layers} layers of {self.preset.width}, d = {self.d},"
                 f" {self.steps} steps of {self.solver},"
                 f" {'not ' * (self.calibrations is None)}calibrated"]  # fmt: skip
        if self.history is not None:
            lines.append(f"{len(self.history.epochs)} epochs, best {self.history.best_epoch}")
        return "\n".join(lines if self.verdict is None else [*lines, self.verdict.table()])

    def source_sample(self, n: int, seed: int = 0, *, classes: Any = None) -> NDArray[np.float32]:
        """Return the y's that ``sample(n, seed)`` maps, (n, d); never those of a training.

        ``classes`` as for ``sample``. Row i depends on (seed, i) only: a longer sample begins
        with the shorter one.
        """
        return self._source.draw(n, seed, classes)[0]

    def sample_classes(self, n: int, seed: int = 0) -> NDArray[Any]:
        """Return the class of each row of ``sample(n, seed)``, (n,): drawn by the data's shares."""
        return self._source.drawn_classes(n, seed)

    @property
    def _source(self) -> Source:
        return Source(self.d, self.mixture, self.classes, "flow")

    def sample(
        self,
        n: int,
        seed: int = 0,
        *,
        classes: Any = None,
        steps: int | None = None,
        solver: str | None = None,
    ) -> NDArray[np.float32]:
        """Generate new points (n, d), in the data's own scale.

        ``classes``: the class of every point, one label or n of them; without it they are drawn
        by the data's shares (``sample_classes`` says which).
        """
        self._fitted()
        n = check_integer(n, "n", 0, 2**48)
        check_room(16 * n * self.d, f"sampling {n:,} rows")
        y, of = self._source.draw(n, seed, classes)
        return self._there(y, of, steps, solver)

    def transform(
        self,
        y: Any,
        *,
        classes: Any = None,
        steps: int | None = None,
        solver: str | None = None,
    ) -> NDArray[np.float32]:
        """Follow the flow from y (n, d) to the data's own scale: float32 (n, d).

        A flow with classes needs those of y, one label or n of them.
        """
        self._fitted()
        given = self._rows(y, "y")
        return self._there(given, self._source.of(given, classes), steps, solver)

    def _there(
        self,
        y: NDArray[Any],
        of: NDArray[np.int64] | None,
        steps: int | None,
        solver: str | None,
    ) -> NDArray[np.float32]:
        way = self._way(steps, solver)
        made = self._follow(y, of, *way)
        calibration = self._calibrated(*way)
        if calibration is not None:
            made = calibration.apply(made, of)
        return self._fitted().undo(self._source.placed(made, of))

    def inverse(
        self,
        x: Any,
        *,
        classes: Any = None,
        steps: int | None = None,
        solver: str | None = None,
    ) -> NDArray[np.float32]:
        """Follow the flow backwards: the y (n, d) that ``transform`` sends near x (n, d).

        The way there and back ends where it began but for the error of the steps: take more of
        them, or "heun". A flow with classes needs those of x.
        """
        scaling, given = self._fitted(), self._rows(x, "x")
        of = self._source.of(given, classes)
        local = scaling.apply(given)
        if self.mixture is not None:
            local = self.mixture.to_local(local, of)
        way = self._way(steps, solver)
        calibration = self._calibrated(*way)
        if calibration is not None:
            local = calibration.undo(local, of)
        return self._follow(local, of, *way, backwards=True)

    def interpolate(
        self,
        y0: Any,
        y1: Any,
        points: int = 20,
        *,
        classes: Any = None,
        steps: int | None = None,
        solver: str | None = None,
    ) -> NDArray[np.float32]:
        """Map the straight line from y0 (d,) to y1 (d,): (points, d); ``classes``: its class."""
        points = check_integer(points, "points", 2, 2**31 - 1)
        check_room(20 * points * self.d, f"a path of {points:,} points")
        ways = {"classes": classes, "steps": steps, "solver": solver}
        return self.transform(line(y0, y1, points, self.d), **ways)

    def _rows(self, given: Any, name: str) -> NDArray[Any]:
        if getattr(given, "shape", None) == (0, self.d):  # ``points`` refuses what has no rows
            return np.empty((0, self.d), dtype=np.float32)
        return points(given, name, self.d)

    def save(self, path: PathLike, *, force: bool = False) -> None:
        """Write all that is needed to sample and interpolate: one .safetensors file.

        A flow that is there is replaced, anything else only with ``force``. FileError (a
        ValueError) for that, and if the disk refuses; ValueError before a fit.
        """
        self._fitted()
        flow_file.save(self, path, force=force)

    @staticmethod
    def load(path: PathLike, device: torch.device | str | None = None) -> Flow:
        """Read what ``save`` wrote. FileError for a file that is no (whole) flow."""
        d, options, saved = flow_file.load(path)
        with whole(path, flow_file.NOT_WHOLE):
            flow = Flow(d, device=device, **options)
            saved.give(flow)
        return flow

    def _network(self, seed: int) -> Velocity:
        preset, count = self.preset, len(self.classes or ())
        return Velocity.of(self.d, preset.layers, preset.width, seed, count).to(self.device)

    @property
    def _follow(self) -> Callable[..., NDArray[np.float32]]:
        """Follow the flow from standardised points (n, d), of classes (n,), in (steps, solver)."""
        return partial(follow, self.model, self.preset, self.device)

    def _way(self, steps: int | None, solver: str | None) -> tuple[int, str]:
        """Return what was asked for, or the flow's own."""
        return (
            self.steps if steps is None else check_integer(steps, "steps", 1, MAX_STEPS),
            self.solver if solver is None else check_solver(solver),
        )

    def _calibrated(self, steps: int, solver: str) -> Calibration | None:
        def points() -> Points:
            y, of = finishing.fresh(self._source, derive(0, "calibrate flow"))
            return self._follow(y, of, steps, solver), of

        return None if self.calibrations is None else self.calibrations.at(steps, solver, points)

    def _fitted(self) -> Scaling:
        if self.scaling is None:
            raise ValueError("this flow has not learned anything yet: fit, or Flow.load a file")
        return self.scaling
