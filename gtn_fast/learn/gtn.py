"""GTN: from data points to a generator of new ones (sections 2.1 and 2.2, algorithms 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gtn_fast.backends.methods import check_method
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.inputs.arrays import Described, convert, describe, is_tensor, unchanged
from gtn_fast.labels import Labels
from gtn_fast.learn import gtn_file, verdict
from gtn_fast.learn import presets as _presets
from gtn_fast.learn.calibration import Calibration
from gtn_fast.learn.devices import check_torch_device
from gtn_fast.learn.hhat import HHat
from gtn_fast.learn.labeling import Labeled, label_points, nearest
from gtn_fast.learn.mixture import Mixture
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.sizes import rebuilt
from gtn_fast.learn.training.guards import threads_for
from gtn_fast.learn.training.logs import check_files
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike, whole
from gtn_fast.learn.verdict import Verdict
from gtn_fast.outputs.streams import warn
from gtn_fast.planning.memory import check_room
from gtn_fast.sample import normal
from gtn_fast.system.ending import long_call, stop_here

_ACTIVATIONS = 1 << 19  # elements of one layer that are computed together: they stay in cache
_ROWS = 1024  # but at least so many rows
_LEAST_MEASURED, _MOST_MEASURED = 10_000, 50_000  # y's that a calibration measures ĥ on


def mse(model: nn.Module, y: Tensor, x: Tensor) -> Tensor:
    """Return the mean of (ĥ(y) - x)² over rows and coordinates, (b, d) each (section 2.1)."""
    return nn.functional.mse_loss(model(y), x)


class GTN:
    """A generator of points in R^d: standardise, label, train ĥ; then map fresh normals.

    >>> gtn = GTN(d=5)
    >>> gtn.fit(latents, val=more_latents)
    >>> new = gtn.sample(1000)

    Parameters
    ----------
    d : int
        Dimension of the points.
    preset : str or Preset, optional
        A row of table 2: swiss-roll, uniform, mnist, celeba, hap, cifar10. By default mnist's,
        8 d wide (50 at least, 512 at most): a network narrower than the data loses dimensions.
    components : int
        More than one: the data is clustered, the source is a Gaussian mixture with the
        clusters' means and deviations, labels stay inside a cluster (figure 9, appendix C).
    device : optional
        Where ĥ lives and is trained; the CPU by default.
    **overrides
        Fields of the preset: layers, width, batch_norm_layers, lr, batch_size, epochs,
        patience, method, negative_slope, rays.

    Attributes
    ----------
    d, preset, components
        As given, with the overrides.
    model : HHat
        On standardised coordinates.
    scaling : Scaling or None
    mixture : Mixture or None
        Of the standardised data.
    labels : Labels or None
        Of the last labeling, unless there are components; not kept in files.
    label_seconds : float
        Spent on all labelings of the last fit.
    history : History or None
    calibration : Calibration or None
        What comes after ĥ and restores the data's mean and covariance (calibration.py).
    verdict : Verdict or None
        What the last fit came to, against plain normals.
    """

    def __init__(
        self,
        d: int,
        preset: str | Preset | None = None,
        *,
        components: int = 1,
        device: torch.device | str | None = None,
        **overrides: Any,
    ) -> None:
        self.d = check_integer(d, "d", 1, 2**31 - 1)
        self.preset = _presets.for_dimension(self.d, preset, **overrides)
        check_method(self.preset.method, self.d)
        if overrides.get("rays") is not None and self.d != 2:
            warn(f"rays= has no effect at d = {self.d}: its lines are in the plane", UserWarning, 2)
        self.components = check_integer(components, "components", 1, 2**31 - 1)
        self.device = check_torch_device(device)
        self.model = HHat.of(self.d, self.preset, 0).to(self.device).eval()
        self.scaling: Scaling | None = None
        self.mixture: Mixture | None = None
        self.labels: Labels | None = None
        self.label_seconds = 0.0
        self.history: History | None = None
        self.calibration: Calibration | None = None
        self.verdict: Verdict | None = None
        self.label_seed = 0
        self.x_index: NDArray[np.int64] | None = None  # row of X for every y, as in Labels
        self.rows: NDArray[np.int64] | None = None  # of X, by the caller's count; None: all
        self.component: NDArray[np.int64] | None = None  # of every row of X

    def __repr__(self) -> str:
        preset = self.preset
        parts = [f"d={self.d}, preset={preset.name!r}"]
        if self.components > 1:
            parts.append(f"components={self.components}")
        parts.append(f"{preset.layers} layers of {preset.width}")
        if str(self.device) != "cpu":
            parts.append(f"on {self.device}")
        if self.x_index is None or self.scaling is None:
            parts.append("not fitted")
        else:
            parts.append(f"fitted to {len(self.x_index):,} points")
        return f"GTN({', '.join(parts)})"

    def fit(
        self,
        X: Any,
        val: Any = None,
        *,
        seed: int = 0,
        epochs: int | None = None,
        patience: int | None = None,
        metric: Callable[[GTN], float] | None = None,
        relabel_every: int = 0,
        calibrate: bool = True,
        checkpoint: PathLike | None = None,
        log: PathLike | None = None,
        tensorboard: PathLike | None = None,
        threads: int | None = None,
        progress: Any = None,
        flatten: bool = False,
    ) -> History:
        """Learn the data X (n, d): whatever ``label`` takes, files and patterns included.

        ``flatten`` as for ``label``. ``val`` (m, d) gets labels of its own and stops the
        training when its error no longer falls (``patience`` epochs); so does ``metric``, which
        is called with this GTN after each epoch and whose highest value is the best. ``epochs``
        and ``patience`` replace the preset's. ``relabel_every=k`` draws and labels a fresh Y
        every k epochs. ``threads`` is for the labeling. At the end ĥ's points get the data's mean
        and covariance (calibration.py); ``calibrate=False`` is the paper. A warning says so if
        samples are farther from the data than plain normals; ``summary`` has the figures. The
        rest is ``train``'s: see there. A fit starts from weights drawn from ``seed``, whatever
        was learned before.

        Raises
        ------
        TypeError, ValueError
            Bad arguments: X that is constant, NaN, of another width; a checkpoint of another
            run; files that cannot be written. Those about X and val leave the GTN as it was.
        FloatingPointError
            The loss became NaN or infinite.

        Notes
        -----
        What it changes in the process until it ends is what ``train`` and ``label`` change;
        torch's global generator is neither used nor changed, so that other threads may draw
        from it, or fit.
        """
        seed = check_seed(seed)
        relabel_every = check_integer(relabel_every, "relabel_every", 0, 2**31 - 1)
        watched = val is not None or metric is not None
        preset = _presets.for_fit(self.preset, self.d, epochs, patience, watched=watched)
        _presets.warn_of_idle(relabel_every, preset.epochs)
        check_files(log, tensorboard, checkpoint)
        scaling, x, val_x = self._standardised(X, val, flatten)
        mixture, component = None, None
        if self.components > 1:
            mixture, component = Mixture.fit(x, self.components, derive(seed, "components"))

        self.scaling, self.mixture, self.component = scaling, mixture, component
        self.calibration, self.verdict = None, None
        self.rows = None
        self.label_seconds = 0.0
        self.model = HHat.of(self.d, preset, derive(seed, "weights")).to(self.device)

        def label(
            points: NDArray[np.float32], of: NDArray[np.int64] | None, label_seed: int
        ) -> Labeled:
            found = label_points(points, mixture, of, label_seed, preset, threads, progress)
            self.label_seconds += found.seconds
            return found

        def pairs(round_: int) -> Sequence[Tensor]:
            self.label_seed = derive(seed, f"train {round_}" if round_ else "train")
            found = label(x, component, self.label_seed)
            self.x_index, self.labels = found.x_index, found.labels
            return found.tensors(x)

        def refresh(epoch: int) -> Sequence[Tensor] | None:
            fresh = epoch > 1 and (epoch - 1) % relabel_every == 0
            return pairs((epoch - 1) // relabel_every) if fresh else None

        val_pairs = None
        if val_x is not None:
            near = None if mixture is None else nearest(mixture, val_x)
            val_pairs = label(val_x, near, derive(seed, "val")).tensors(val_x)

        def finish() -> GTN:
            if calibrate:
                self.calibration = self._calibrate(x, component, seed)
            return self

        self.history = train(
            self.model,
            mse,
            pairs(0),
            epochs=preset.epochs,
            batch_size=preset.batch_size,
            lr=preset.lr,
            seed=seed,
            val=val_pairs,
            patience=preset.patience if watched else None,
            metric=None if metric is None else lambda _: metric(finish()),
            refresh=refresh if relabel_every else None,
            checkpoint=checkpoint,
            log=log,
            tensorboard=tensorboard,
            progress=progress,
            title="train ĥ",
            draws=False,
            identity=_presets.identity(
                preset, components=self.components, relabel_every=relabel_every
            ),
        )
        self.verdict = finish()._judge(x, val_x, derive(seed, "verdict"))
        return self.history

    def _judge(
        self, x: NDArray[np.float32], val_x: NDArray[np.float32] | None, seed: int
    ) -> Verdict:
        """Compare new samples with standardised data; warn if plain normals are nearer."""
        made = self._fitted().apply(self.sample(verdict.ROWS, seed))
        found = verdict.judge(made, x, val_x, seed)
        if found.warning is not None:
            warn(found.warning, stacklevel=3)
        return found

    def summary(self) -> str:
        """Return in words what the last fit came to; ValueError before one."""
        self._fitted()
        network = f"{self.preset.layers} layers of {self.preset.width}, d = {self.d}"
        after = "not calibrated" if self.calibration is None else "calibrated"
        lines = [f"GTN: {network}, {after}"]
        if self.history is not None:
            lines.append(f"{len(self.history.epochs)} epochs, best {self.history.best_epoch}")
        return "\n".join(lines if self.verdict is None else [*lines, self.verdict.table()])

    def _calibrate(
        self, x: NDArray[np.float32], component: NDArray[np.int64] | None, seed: int
    ) -> Calibration:
        """Measure ĥ on fresh y's against standardised x."""
        rows = min(_MOST_MEASURED, max(_LEAST_MEASURED, 20 * self.d * self.components))
        y = self.source_sample(rows, derive(seed, "calibrate"))
        of = None if self.mixture is None else nearest(self.mixture, y)
        return Calibration.between(self._h_hat(y), x, of, component, self.components)

    def _standardised(
        self, X: Any, val: Any, flatten: bool
    ) -> tuple[Scaling, NDArray[np.float32], NDArray[np.float32] | None]:
        """Return X's scaling, and X and val (or None) standardised by it."""
        x_in = self._described(X, "X", flatten)
        val_in = None if val is None else self._described(val, "val", flatten)
        with unchanged(x_in, val_in):
            x, val_x = convert(x_in), None if val_in is None else convert(val_in)
            scaling = Scaling.of(x)
            return scaling, scaling.apply(x), None if val_x is None else scaling.apply(val_x)

    def source_sample(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """Return the y's that ``sample(n, seed)`` maps, (n, d); never those of a training.

        Row i depends on (seed, i) only: a longer sample begins with the shorter one.
        """
        seed = derive(check_seed(seed), "sample")
        n = check_integer(n, "n", 0, 2**48)
        if self.mixture is not None:
            return self.mixture.draw(n, seed)[0]
        return normal(seed, 0, n, self.d)

    def sample(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """Generate new points (n, d), in the data's own scale (algorithm 2)."""
        self._fitted()
        n = check_integer(n, "n", 0, 2**48)
        check_room(16 * n * self.d, f"sampling {n:,} rows")
        return self.transform(self.source_sample(n, seed))

    def transform(self, y: Any) -> NDArray[np.float32]:
        """Return ĥ of y (n, d), calibrated, in the data's own scale: float32 (n, d)."""
        scaling = self._fitted()
        if getattr(y, "shape", None) == (0, self.d):
            return np.empty((0, self.d), dtype=np.float32)
        given = self._points(y, "y").astype(np.float32, copy=False)
        points = self._h_hat(given)
        if self.calibration is not None:
            of = None if self.mixture is None else nearest(self.mixture, given)
            points = self.calibration.apply(points, of)
        return scaling.undo(points)

    @torch.no_grad()
    def _h_hat(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ĥ of y (n, d), standardised and as the network gives it."""
        # A mapped file cannot be written, and torch warns of tensors that cannot.
        given = torch.from_numpy(np.require(y, np.float32, "W"))
        was_training = self.model.training  # a metric is called in the middle of a training
        self.model.eval()
        step = max(_ROWS, _ACTIVATIONS // max(self.preset.width, self.d))
        parts = []
        with long_call(), threads_for(self.model, self.preset.batch_size):
            for part in torch.split(given, step):
                stop_here()
                parts.append(self.model(part.to(self.device)).cpu())
        self.model.train(was_training)
        made: NDArray[np.float32] = torch.cat(parts).numpy()
        return made

    def interpolate(self, y0: Any, y1: Any, steps: int = 20) -> NDArray[np.float32]:
        """Return ĥ along the straight line from y0 (d,) to y1 (d,): (steps, d), ends included."""
        steps = check_integer(steps, "steps", 2, 2**31 - 1)
        check_room(20 * steps * self.d, f"a path of {steps:,} steps")
        ends = [
            self._points(y.reshape(1, -1) if is_tensor(y) else np.reshape(y, (1, -1)), name)
            for name, y in (("y0", y0), ("y1", y1))
        ]
        part = np.linspace(0, 1, steps)[:, None]
        return self.transform((1 - part) * ends[0] + part * ends[1])

    def interpolate_between(self, row_a: int, row_b: int, steps: int = 20) -> NDArray[np.float32]:
        """Interpolate from the y of one row of X to the y of another (figure 8)."""
        return self.interpolate(self.y_of_row(row_a), self.y_of_row(row_b), steps)

    def y_of_row(self, row: int) -> NDArray[np.float32]:
        """Return the y (d,) that was labeled with that row of X, in the last labeling."""
        self._fitted()
        assert self.x_index is not None
        row = self._trained_row(row)
        i = int(np.flatnonzero(self.x_index == row)[0])
        if self.mixture is not None:
            assert self.component is not None
            y = self.mixture.draw_like(self.component[: i + 1], self.label_seed)[i:]
        else:
            y = normal(self.label_seed, i, 1, self.d)
        return y.reshape(self.d)

    def _trained_row(self, row: int) -> int:
        """Return the place among the rows trained on of a row by the caller's count."""
        assert self.x_index is not None
        if self.rows is None:
            return check_integer(row, "row", 0, len(self.x_index) - 1)
        row = check_integer(row, "row", 0, 2**48)
        place = int(np.searchsorted(self.rows, row))
        if place == len(self.rows) or self.rows[place] != row:
            raise ValueError(f"row {row} was not trained on: it was held out, or is not there")
        return place

    def save(self, path: PathLike, *, force: bool = False) -> None:
        """Write all that is needed to sample and interpolate: one .safetensors file.

        A GTN that is there is replaced, anything else only with ``force``. FileError (a
        ValueError) for that, and if the disk refuses; ValueError before a fit.
        """
        self._fitted()
        assert self.x_index is not None
        gtn_file.save(gtn_file.SavedGTN.of(self), path, force=force)

    @staticmethod
    def load(path: PathLike, device: torch.device | str | None = None) -> GTN:
        """Read what ``save`` wrote. FileError for a file that is no (whole) GTN."""
        saved = gtn_file.load(path)
        with whole(path, gtn_file.NOT_WHOLE):
            return GTN.from_saved(saved, device)

    @staticmethod
    def from_saved(saved: gtn_file.SavedGTN, device: torch.device | str | None = None) -> GTN:
        """Return the GTN of what a file holds; ValueError where its parts do not agree."""
        model = rebuilt(lambda: HHat.of(saved.d, saved.preset, 0), saved.weights)
        gtn = GTN(saved.d, saved.preset, components=saved.components, device=device)
        gtn.model.load_state_dict(model.state_dict())
        gtn.scaling, gtn.mixture, gtn.component = saved.scaling, saved.mixture, saved.component
        gtn.x_index, gtn.label_seed = saved.x_index, saved.label_seed
        gtn.label_seconds, gtn.history = saved.label_seconds, saved.history
        gtn.calibration, gtn.verdict = saved.calibration, saved.verdict
        gtn.rows = saved.rows
        return gtn

    def _fitted(self) -> Scaling:
        if self.scaling is None:
            raise ValueError("this GTN has not learned anything yet: call fit, or GTN.load a file")
        return self.scaling

    def _points(self, value: Any, name: str) -> NDArray[Any]:
        """Return a checked matrix (n, self.d), float32 or float64."""
        described = self._described(value, name)
        with unchanged(described):
            return np.asarray(convert(described))

    def _described(self, value: Any, name: str, flatten: bool = False) -> Described:
        described = describe(value, name, flatten=flatten)
        if described.cols != self.d:
            raise ValueError(f"{name} must have {self.d} columns, got {described.cols}")
        return described
