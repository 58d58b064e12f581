"""AtlasGTN: a GTN on every chart of an atlas.

Each image belongs to the chart that psi names, once: the charts' latents are a partition, and
their pieces are near to what Algorithm 1 wants, a cell around a centre. Each piece gets labels,
scaling and an ĥ of its own; a chart is drawn by its share of the images. Many small networks cost
little more than one for all charts that is told the chart, for the pairs are split, and each can
be drawn and dropped alone (docs/atlas.md has both, measured).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast.atlas.model import Atlas, NetworkAtlas, network_atlas_from
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn import gtn_file, presets
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike, load_tensors, save_tensors, whole
from gtn_fast.outputs.streams import warn

KIND = "atlas GTN"
_MOST_RAYS, _POINTS_OF_A_RAY = 100, 25
_LEAST_VAL = 2


class AtlasGTN(Atlas):
    """An atlas whose prior is learned: z = ĥ_y(u) of normals u in each chart y.

    ``atlas``: any with encoders. ``preset`` and ``overrides`` are those of every chart's GTN;
    left open, d = 1 is labeled by rank and d = 2 along lines, 25 images to each, 100 lines at
    most. ``consistent`` draws again (ten times at most) what psi takes for another chart's.

    Attributes
    ----------
    atlas : Atlas
    gtns : list of (GTN or None)
        One a chart; None for a chart of too few images, which draws the latents it has again.
    """

    kind = KIND

    def __init__(
        self,
        atlas: Atlas,
        preset: str | Preset | None = None,
        *,
        consistent: bool = True,
        **overrides: Any,
    ) -> None:
        if not isinstance(atlas, Atlas):
            raise TypeError(f"atlas must be an Atlas, got {type(atlas).__name__}")
        if not atlas.has_charts:
            raise TypeError(f"the atlas ({atlas.kind}) has no encoders F_y: no latents to learn")
        super().__init__(atlas.d, atlas.charts, atlas.channels, atlas.side)
        self.atlas, self.consistent = atlas, consistent
        self.preset = presets.for_dimension(atlas.d, preset, **overrides)
        self._left_open = {"method", "rays"} - overrides.keys() if preset is None else set()
        self.gtns: list[GTN | None] = []
        self.latents: dict[int, NDArray[np.float32]] = {}  # of charts without a GTN
        self.weights = self.weights.to(atlas.weights.device)
        self.eval()

    def psi(self, x: Tensor) -> Tensor:
        """Return the atlas's partition of unity at images x: (b, charts)."""
        return self.atlas.psi(x)

    def encode(self, x: Tensor, y: Tensor | int) -> Tensor:
        """Return the atlas's F_y(x), (b, d)."""
        return self.atlas.encode(x, y)

    def encode_all(self, x: Tensor) -> Tensor:
        """Return the atlas's F_y(x) for every chart: (b, charts, d)."""
        return self.atlas.encode_all(x)

    def decode(self, z: Tensor, y: Tensor | int) -> Tensor:
        """Return the atlas's G_y(z): images (b, channels, side, side)."""
        return self.atlas.decode(z, y)

    def prior(self, u: Tensor, y: Tensor) -> Tensor:
        """Map normals u (n, d) to z of charts y: ĥ_y(u), on the CPU."""
        if not self.gtns:
            raise ValueError("this AtlasGTN has not learned anything yet: call fit")
        z = torch.empty_like(u)
        for chart in torch.unique(y).tolist():
            rows = y == chart
            gtn = self.gtns[chart]
            if gtn is not None:
                z[rows] = torch.from_numpy(gtn.transform(u[rows].numpy()))
            elif chart in self.latents:
                kept = torch.from_numpy(self.latents[chart])
                place = (torch.special.ndtr(u[rows, 0].double()) * len(kept)).long()
                z[rows] = kept[place.clamp_(max=len(kept) - 1)]
            else:
                raise ValueError(f"chart {chart} has no images, and nothing to draw")
        return z

    def fit(
        self,
        images: Any,
        val: Any = None,
        *,
        seed: int = 0,
        min_points: int = 50,
        **fitting: Any,
    ) -> list[History | None]:
        """Learn uint8 images (n, c, side, side), chart by chart; return the trainings.

        ``val``: more of them, for early stopping. A chart of fewer than ``min_points`` images, or
        of equal latents, draws those again, and a warning says so. ``fitting`` is ``GTN.fit``'s:
        epochs, patience, calibrate, relabel_every, threads, progress. TypeError or ValueError for
        images of another kind or shape; then nothing is changed.
        """
        seed = check_seed(seed)
        min_points = check_integer(min_points, "min_points", 2, 2**31 - 1)
        for name in ("checkpoint", "log", "tensorboard", "metric"):
            if name in fitting:
                raise TypeError(f"fit of an AtlasGTN takes no {name}: it trains several networks")
        y, z = self.atlas.charted(images)
        val_y, val_z = (None, None) if val is None else self.atlas.charted(val)
        gtns: list[GTN | None] = []
        latents: dict[int, NDArray[np.float32]] = {}
        for chart in range(self.charts):
            own = z[y == chart]
            if len(own) < min_points or (own == own[0]).all():
                gtns.append(None)
                if len(own):
                    latents[chart] = own
                continue
            watched = None
            if val_y is not None and val_z is not None and (val_y == chart).sum() >= _LEAST_VAL:
                watched = val_z[val_y == chart]
            gtn = GTN(self.d, self._preset_for(len(own)), device=self.atlas.weights.device)
            given = dict(fitting)
            if watched is None:  # nothing to wait for in this chart
                given.pop("patience", None)
            gtn.fit(own, watched, seed=derive(seed, f"chart {chart}"), **given)
            gtns.append(gtn)
        self.gtns, self.latents = gtns, latents
        counts = np.bincount(y, minlength=self.charts)
        self.weights.copy_(torch.from_numpy(counts / counts.sum()))
        if latents:
            warn(
                f"charts {', '.join(map(str, latents))} have fewer than {min_points} images, or"
                " equal ones: they draw their latents again",
                stacklevel=2,
            )
        return [None if gtn is None else gtn.history for gtn in gtns]

    def _preset_for(self, points: int) -> Preset:
        """Return the preset of a chart: what was left open goes by d and its number of points."""
        made = self.preset
        if self.d == 1 and "method" in self._left_open:
            return dataclasses.replace(made, method="rank")
        if self.d == 2 and "rays" in self._left_open:
            rays = max(1, min(_MOST_RAYS, points // _POINTS_OF_A_RAY))
            return dataclasses.replace(made, rays=rays)
        return made

    # ------------------------------------------------------------------ files

    def save(
        self, path: PathLike, meta: Mapping[str, Any] | None = None, *, force: bool = False
    ) -> None:
        """Write atlas and GTNs to one .safetensors file; ``meta`` (JSON-able) is kept beside.

        FileError for a file that is there and holds anything else, without ``force``; TypeError
        if the atlas is not a NetworkAtlas; ValueError before a fit.
        """
        if not self.gtns:
            raise ValueError("this AtlasGTN has not learned anything yet: call fit")
        if not isinstance(self.atlas, NetworkAtlas):
            raise TypeError(f"only a NetworkAtlas can be saved, got {type(self.atlas).__name__}")
        tensors = {f"atlas/{name}": value for name, value in self.atlas.state_dict().items()}
        tensors["weights"] = self.weights
        about: list[dict[str, Any] | None] = []
        for chart, gtn in enumerate(self.gtns):
            if gtn is None:
                about.append(None)
                continue
            arrays, own = gtn_file.to_tensors(gtn_file.SavedGTN.of(gtn))
            tensors |= {f"chart{chart}/{name}": value for name, value in arrays.items()}
            about.append(own)
        tensors |= {f"latents{y}": torch.from_numpy(z) for y, z in self.latents.items()}
        said = {
            "atlas": self.atlas.about(),
            "charts": about,
            "consistent": self.consistent,
            "extra": dict(meta or {}),
        }
        save_tensors(path, KIND, tensors, said, force=force)

    @classmethod
    def load(cls, path: PathLike, device: torch.device | str | None = None) -> AtlasGTN:
        """Load what ``save`` wrote, in eval mode; FileError for anything else."""
        tensors, meta = load_tensors(path, KIND)
        with whole(path, f"not a whole {KIND}"):
            made = cls(
                network_atlas_from(_part(tensors, "atlas/"), meta["atlas"]).to(device).eval(),
                consistent=bool(meta["consistent"]),
            )
            charts = list(meta["charts"])
            if len(charts) != made.charts or tensors["weights"].shape != (made.charts,):
                raise ValueError(f"it has {len(charts)} charts, its atlas {made.charts}")
            for chart, about in enumerate(charts):
                if about is not None:
                    saved = gtn_file.from_tensors(_part(tensors, f"chart{chart}/"), about)
                    if saved.d != made.d:
                        raise ValueError(f"chart {chart} has d = {saved.d}, the atlas {made.d}")
                    made.gtns.append(GTN.from_saved(saved, device))
                    made.preset = dataclasses.replace(saved.preset, rays=None)
                    continue
                made.gtns.append(None)
                if f"latents{chart}" in tensors:
                    rows = tensors[f"latents{chart}"]
                    if rows.ndim != 2 or rows.shape[1] != made.d or not len(rows):
                        raise ValueError(f"chart {chart} has latents of shape {tuple(rows.shape)}")
                    made.latents[chart] = rows.numpy()
            made.weights.copy_(tensors["weights"])
            _check_weights(made)
        return made


def _check_weights(made: AtlasGTN) -> None:
    for chart, weight in enumerate(made.weights.tolist()):
        if weight > 0 and made.gtns[chart] is None and chart not in made.latents:
            raise ValueError(f"chart {chart} has a weight and nothing to draw")
    if bool((made.weights < 0).any()) or abs(float(made.weights.sum()) - 1) > 1e-6:
        raise ValueError("weights are no shares of one")


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: value for k, value in tensors.items() if k.startswith(prefix)}
