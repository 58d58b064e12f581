"""GTN: from data points to a generator of new ones (sections 2.1 and 2.2, algorithms 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.backends.methods import check_method
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.labels import Labels
from gtn_fast.learn import finishing, gtn_file, verdict
from gtn_fast.learn import presets as _presets
from gtn_fast.learn.calibration import Calibration
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.devices import check_torch_device
from gtn_fast.learn.hhat import HHat, answers, mse
from gtn_fast.learn.labeling import Labeled, label_points
from gtn_fast.learn.mixture import Mixture
from gtn_fast.learn.prepared import Prepared, line, points, prepare
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.residuals import Residuals
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.source import Source
from gtn_fast.learn.training.logs import check_files
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike, whole
from gtn_fast.learn.verdict import Verdict
from gtn_fast.outputs.streams import warn
from gtn_fast.planning.memory import check_room
from gtn_fast.sample import normal


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
        Of the standardised data, where there are components or classes (whose y's are of N(0, I)).
    classes : Classes or None
        The labels that the last fit was given.
    residuals : Residuals or None
        What ``sample(residual=True)`` draws from (residuals.py).
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
        self.classes: Classes | None = None
        self.residuals: Residuals | None = None
        self.label_seed = 0
        self.x_index: NDArray[np.int64] | None = None  # row of X for every y, as in Labels
        self.rows: NDArray[np.int64] | None = None  # of X, by the caller's count; None: all
        self.component: NDArray[np.int64] | None = None  # or class, of every row of X

    def __repr__(self) -> str:
        preset = self.preset
        parts = [f"d={self.d}, preset={preset.name!r}"]
        if self.components > 1:
            parts.append(f"components={self.components}")
        if self.classes is not None:
            parts.append(f"{len(self.classes)} classes")
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
        classes: Any = None,
        val_classes: Any = None,
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
        and ``patience`` replace the preset's; without ``epochs`` a small set is trained on for
        the preset's ``min_steps`` at least. ``classes`` (n,), integers, strings or booleans: labels
        stay inside a class, and ĥ and ``sample`` know the classes; ``val_classes`` (m,) are
        val's. ``relabel_every=k`` draws and labels a fresh Y every k epochs. ``threads`` is for
        the labeling. At the end ĥ's points get the data's mean and covariance (calibration.py);
        ``calibrate=False`` is the paper. A warning says so if samples are farther from the data
        than normals; ``summary`` has the figures. The rest is ``train``'s: see there. A fit starts
        from weights drawn from ``seed``, whatever was learned before.

        Raises
        ------
        TypeError, ValueError
            Bad arguments: X that is constant, NaN, of another width; a class of fewer than two
            different rows, or missing; a checkpoint of another run; files that cannot be written.
            Those about X, val and classes leave the GTN as it was.
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
        base = _presets.for_fit(self.preset, self.d, epochs, patience, watched=watched)
        check_files(log, tensorboard, checkpoint)
        given = prepare(
            self.d, X, val, classes, val_classes,
            components=self.components, seed=seed, flatten=flatten,
        )  # fmt: skip
        preset = _presets.for_rows(base, len(given.x), patient=patience is not None)
        _presets.warn_of_idle(relabel_every, preset.epochs)
        self._begin(given, preset, derive(seed, "weights"))

        def labeled(
            x: NDArray[np.float32], of: NDArray[np.int64] | None, label_seed: int
        ) -> tuple[Labeled, Sequence[Tensor]]:
            mixture = given.mixture if given.classes is None else None
            found = label_points(x, mixture, of, label_seed, preset, threads, progress)
            self.label_seconds += found.seconds
            return found, found.tensors(given.classes is not None)

        def pairs(round_: int) -> Sequence[Tensor]:
            self.label_seed = derive(seed, f"train {round_}" if round_ else "train")
            found, tensors = labeled(given.learned, given.component, self.label_seed)
            self.x_index, self.labels = found.x_index, found.labels
            return tensors

        def refresh(epoch: int) -> Sequence[Tensor] | None:
            fresh = epoch > 1 and (epoch - 1) % relabel_every == 0
            return pairs((epoch - 1) // relabel_every) if fresh else None

        def finish() -> GTN:
            if calibrate:
                self.calibration = finishing.calibration(self.model, self._source, given, seed)
            return self

        val_pairs = None
        if given.val_learned is not None:
            _, val_pairs = labeled(given.val_learned, given.val_component, derive(seed, "val"))
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
                preset, components=self.components, relabel_every=relabel_every,
                **({} if given.classes is None else {"classes": list(given.classes.names)}),
            ),
        )  # fmt: skip
        self.history.note = _presets.more_epochs(base, preset, len(given.x))
        finish()
        self.residuals = finishing.residuals(
            self.model, self._source, given, preset, seed, calibrate=calibrate, threads=threads
        )
        self.verdict = finishing.judged(self.sample, given, derive(seed, "verdict"))
        return self.history

    def _begin(self, given: Prepared, preset: Preset, seed: int) -> None:
        """Forget what was learned before; take over what is known of the data."""
        self.scaling, self.classes = given.scaling, given.classes
        self.mixture, self.component = given.mixture, given.component
        self.calibration, self.verdict, self.residuals = None, None, None
        self.rows = None
        self.label_seconds = 0.0
        self.model = HHat.of(self.d, preset, seed, len(given.classes or ())).to(self.device)

    def summary(self) -> str:
        """Return in words what the last fit came to; ValueError before one."""
        self._fitted()
        calibrated = self.calibration is not None
        return verdict.summary(self.d, self.preset, calibrated, self.history, self.verdict)

    def source_sample(self, n: int, seed: int = 0, *, classes: Any = None) -> NDArray[np.float32]:
        """Return the y's that ``sample(n, seed)`` maps, (n, d); never those of a training.

        ``classes`` as for ``sample``. Row i depends on (seed, i), and its class, only: a longer
        sample begins with the shorter one.
        """
        return self._source.draw(n, seed, classes)[0]

    def sample_classes(self, n: int, seed: int = 0) -> NDArray[Any]:
        """Return the class of each row of ``sample(n, seed)``, (n,): drawn by the data's shares."""
        return self._source.drawn_classes(n, seed)

    @property
    def _source(self) -> Source:
        return Source(self.d, self.mixture, self.classes)

    def sample(
        self, n: int, seed: int = 0, *, classes: Any = None, residual: bool = False
    ) -> NDArray[np.float32]:
        """Generate new points (n, d), in the data's own scale (algorithm 2).

        ``classes``: the class of every point, one label or n of them; without it they are drawn
        by the data's shares (``sample_classes`` says which). ``residual=True`` adds to each point
        what ĥ left over of a data point with a y nearby (residuals.py). ValueError for classes
        that were not learned, and where there are no residuals.
        """
        scaling = self._fitted()
        n = check_integer(n, "n", 0, 2**48)
        check_room(16 * n * self.d, f"sampling {n:,} rows")
        if residual and self.residuals is None:
            raise ValueError(
                "this GTN has no residuals: it was saved before they were kept, fit it anew"
            )
        y, of = self._source.draw(n, seed, classes)
        if residual and self.residuals is not None:
            made = self.residuals.add(answers(self.model, y, of), y, of, seed)
            return scaling.undo(self._source.placed(made, of))
        return scaling.undo(self._calibrated(y, of))

    def transform(self, y: Any, *, classes: Any = None) -> NDArray[np.float32]:
        """Return ĥ of y (n, d), calibrated, in the data's own scale: float32 (n, d).

        A GTN with classes needs those of y, one label or n of them.
        """
        scaling = self._fitted()
        if getattr(y, "shape", None) == (0, self.d):
            return np.empty((0, self.d), dtype=np.float32)
        given = points(y, "y", self.d).astype(np.float32, copy=False)
        return scaling.undo(self._calibrated(given, self._source.of(given, classes)))

    def _calibrated(
        self, y: NDArray[np.float32], of: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """Return ĥ of y (n, d), standardised."""
        made = answers(self.model, y, of)
        if self.calibration is not None:
            made = self.calibration.apply(made, of)
        return self._source.placed(made, of)

    def interpolate(
        self, y0: Any, y1: Any, steps: int = 20, *, classes: Any = None
    ) -> NDArray[np.float32]:
        """Return ĥ along the straight line from y0 (d,) to y1 (d,): (steps, d), ends included.

        ``classes``: the one that the path stays in, where the GTN has classes.
        """
        steps = check_integer(steps, "steps", 2, 2**31 - 1)
        check_room(20 * steps * self.d, f"a path of {steps:,} steps")
        return self.transform(line(y0, y1, steps, self.d), classes=classes)

    def interpolate_between(self, row_a: int, row_b: int, steps: int = 20) -> NDArray[np.float32]:
        """Interpolate from the y of one row of X to the y of another (figure 8).

        ValueError for rows of two classes: a path stays within one.
        """
        ends = self.y_of_row(row_a), self.y_of_row(row_b)
        if self.classes is None or self.component is None:
            return self.interpolate(*ends, steps)
        of = self.component[[self._trained_row(row) for row in (row_a, row_b)]]
        first, last = (self.classes.names[c] for c in of)
        if first != last:
            raise ValueError(
                f"row {row_a} is of class {first!r} and row {row_b} of class {last!r}: a path stays"
                " within one class"
            )
        return self.interpolate(*ends, steps, classes=first)

    def y_of_row(self, row: int) -> NDArray[np.float32]:
        """Return the y (d,) that was labeled with that row of X, in the last labeling."""
        self._fitted()
        assert self.x_index is not None
        row = self._trained_row(row)
        i = int(np.flatnonzero(self.x_index == row)[0])
        if self.mixture is not None and self.classes is None:
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
        gtn = GTN(saved.d, saved.preset, components=saved.components, device=device)
        saved.give(gtn)
        return gtn

    def _fitted(self) -> Scaling:
        if self.scaling is None:
            raise ValueError("this GTN has not learned anything yet: call fit, or GTN.load a file")
        return self.scaling
