"""What every atlas model is (definition 1), whatever it was trained by.

    Atlas          psi, encode (F_y), decode (G_y), a prior over (z, y), and what follows from them
    NetworkAtlas   one whose maps are networks; in a file

Images inside are float in [-1, 1]; ``sample`` and ``reconstruct_images`` speak uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gtn_fast.atlas.networks import MAX_CHARTS, Networks, build
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.sizes import rebuilt
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike, load_tensors, save_tensors, whole
from gtn_fast.planning.memory import check_room
from gtn_fast.sample import normal
from gtn_fast.system.openmp import computes_by_torch
from gtn_fast.vision.codecs import Codec, network_codec
from gtn_fast.vision.tensors import as_square_images, batches, to_bytes, to_unit

KIND = "atlas"
_SIZES = ("d", "charts", "channels", "side")
_ROUNDS = 10  # draws of one row, at most, until its chart answers for it
_BATCH = 512


class Atlas(nn.Module):
    """A generative model with charts R^d x {0, ..., charts - 1} (definition 1).

    A subclass fills in ``psi``, ``encode`` and ``decode``; one without encoders (a semi-atlas)
    has ``has_charts`` False. b: a batch; y: int64 (b,), or one number for all.

    Attributes
    ----------
    d, charts, channels, side : int
    kind : str
        What made it: "cae", "vae", "wae", "gan", or whatever a subclass says.
    has_charts : bool
        Whether there are encoders F_y.
    weights : Tensor
        The prior of the charts, float64 (charts,).
    consistent : bool
        Whether ``draw`` draws again what another chart answers for.
    """

    weights: Tensor
    kind = "atlas"

    def __init__(
        self, d: int, charts: int, channels: int, side: int, *, has_charts: bool = True
    ) -> None:
        super().__init__()
        self.d = check_integer(d, "d", 1, 1 << 24)
        self.charts = check_integer(charts, "charts", 1, MAX_CHARTS)
        self.channels, self.side = channels, side
        self.has_charts, self.consistent = has_charts, False
        self.register_buffer("weights", torch.full((charts,), 1 / charts, dtype=torch.float64))

    # ------------------------------------------------------------------ definition 1

    def psi(self, x: Tensor) -> Tensor:
        """Return the partition of unity at images x: (b, charts), rows that sum to 1."""
        raise NotImplementedError

    def encode(self, x: Tensor, y: Tensor | int) -> Tensor:
        """Return F_y(x), (b, d). TypeError for a model without encoders."""
        raise NotImplementedError

    def encode_all(self, x: Tensor) -> Tensor:
        """Return F_y(x) for every chart: (b, charts, d)."""
        return torch.stack([self.encode(x, y) for y in range(self.charts)], dim=1)

    def decode(self, z: Tensor, y: Tensor | int) -> Tensor:
        """Return G_y(z) of (b, d): images (b, channels, side, side)."""
        raise NotImplementedError

    def prior(self, u: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 - a chart's own, in others
        """Map normals u (n, d) to z of charts y, (n, d), on the CPU; N(0, I) by default."""
        return u

    # ------------------------------------------------------------------ what follows from it

    @torch.no_grad()
    def draw(self, n: int, seed: int = 0, chart: int | None = None) -> tuple[Tensor, Tensor]:
        """Draw from the prior: z, float32 (n, d), and y, int64 (n,), on the CPU.

        Row i depends on (seed, i) only (up to rounding, where networks draw). ``chart`` fixes y.
        Where ``consistent``, a row for whose image psi names another chart is drawn again, ten
        times at most.
        """
        n = check_integer(n, "n", 0, 2**40)
        check_room(16 * n * (self.d + 1), f"drawing {n:,} rows")
        z, y = self._candidates(n, seed, chart, 0, None)
        if not self.consistent or self.charts == 1:
            return z, y
        rows = torch.arange(n)
        for again in range(1, _ROUNDS + 1):
            said = [self._said_by(z[part], y[part]) for part in batches(rows, _BATCH)]
            rows = rows[torch.cat(said) != y[rows]] if said else rows
            if again == _ROUNDS or not len(rows):
                break
            z[rows], y[rows] = self._candidates(n, seed, chart, again, rows)
        return z, y

    def _candidates(
        self, n: int, seed: int, chart: int | None, again: int, rows: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Draw z and y of these rows, or of all n, in round ``again``."""
        purpose = f"atlas draw {again}" if again else "atlas draw"
        u = torch.from_numpy(normal(derive(check_seed(seed), purpose), 0, n, self.d + 1))
        if rows is not None:
            u = u[rows]
        if chart is None:
            edges = self.weights.cpu().cumsum(0)
            place = torch.special.ndtr(u[:, -1].double()) * edges[-1]
            y = torch.searchsorted(edges, place, right=True).clamp_(max=self.charts - 1)
        else:
            y = torch.full((len(u),), check_integer(chart, "chart", 0, self.charts - 1))
        return self.prior(u[:, :-1].contiguous(), y), y

    def _said_by(self, z: Tensor, y: Tensor) -> Tensor:
        where = self.weights.device
        return self.chart_of(self.decode(z.to(where), y.to(where))).cpu()

    @computes_by_torch
    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, chart: int | None = None) -> Tensor:
        """Generate images from the prior: uint8 (n, channels, side, side) on the CPU."""
        z, y = self.draw(check_integer(n, "n", 1, 2**40), seed, chart)
        return self.decode_to_bytes(z, y)

    @torch.no_grad()
    def decode_to_bytes(self, z: Tensor, y: Tensor) -> Tensor:
        """Decode (n, d) and charts (n,), in batches: uint8 images (n, ...) on the CPU."""
        where, made = self.weights.device, []
        for rows in batches(torch.arange(len(z)), _BATCH):
            made.append(to_bytes(self.decode(z[rows].to(where), y[rows].to(where))).cpu())
        return torch.cat(made)

    def chart_of(self, x: Tensor) -> Tensor:
        """Return the chart of largest psi for each image: int64 (b,)."""
        return self.psi(x).argmax(dim=1)

    def members(self, x: Tensor, eps: float) -> Tensor:
        """Return which images lie in U_y = {psi_y > eps}: bool (b, charts).

        ValueError unless 0 <= eps < 1 / charts: beyond, some images may lie in none.
        """
        if not 0 <= eps < 1 / self.charts:
            raise ValueError(
                f"eps must be from 0 to below 1 / charts = {1 / self.charts:.4g}, got {eps}"
            )
        return self.psi(x) > eps

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return G_y(F_y(x)) in the chart y of largest psi: (b, channels, side, side)."""
        y = self.chart_of(x)
        return self.decode(self.encode(x, y), y)

    @computes_by_torch
    @torch.no_grad()
    def reconstruct_images(self, images: Any) -> Tensor:
        """Do as ``reconstruct`` with uint8 images (n, ...), in batches."""
        checked, where = self.checked(images), self.weights.device
        parts = [self.reconstruct(to_unit(part.to(where))) for part in batches(checked, _BATCH)]
        return torch.cat([to_bytes(part).cpu() for part in parts])

    @computes_by_torch
    @torch.no_grad()
    def charted(self, images: Any) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return each uint8 image's chart, (n,), and its z there, (n, d)."""
        checked, where = self.checked(images), self.weights.device
        charts, codes = [], []
        for part in batches(checked, _BATCH):
            x = to_unit(part.to(where))
            y = self.chart_of(x)
            charts.append(y.cpu())
            codes.append(self.encode(x, y).float().cpu())
        return torch.cat(charts).numpy(), torch.cat(codes).numpy()

    def checked(self, images: Any, name: str = "images") -> Tensor:
        """Return uint8 images like the atlas's own; TypeError or ValueError for others."""
        shape = (self.channels, self.side, self.side)
        return as_square_images(images, name, torch.empty((1, *shape), device="meta"))

    def codec(self) -> Codec:
        """Return the model as a Codec, where there is one chart; ValueError otherwise."""
        if self.charts != 1:
            raise ValueError(
                f"an atlas of {self.charts} charts has no single latent space: AtlasGTN takes it"
            )
        return network_codec(_OneChart(self))


class _OneChart(nn.Module):
    """An atlas of one chart, with encode and decode that name none."""

    def __init__(self, atlas: Atlas) -> None:
        super().__init__()
        self.atlas = atlas

    def encode(self, x: Tensor) -> Tensor:
        """Return F_0(x)."""
        return self.atlas.encode(x, 0)

    def decode(self, z: Tensor) -> Tensor:
        """Return G_0(z)."""
        return self.atlas.decode(z, 0)


def chart_numbers(y: Tensor | int, rows: Tensor, charts: int) -> Tensor:
    """Return y as int64 (b,) on the device of the rows; ValueError for another shape."""
    if isinstance(y, int):
        number = check_integer(y, "y", 0, charts - 1)
        return torch.full((len(rows),), number, device=rows.device)
    if y.shape != (len(rows),):
        raise ValueError(f"y must have shape ({len(rows)},), got {tuple(y.shape)}")
    return y.to(rows.device)


@dataclass(frozen=True)
class Family:
    """What distinguishes one family's atlas: its encoders' outputs per d, the room of its z."""

    heads: int
    cube: bool = False


FAMILIES = {"cae": Family(1, cube=True), "vae": Family(2), "wae": Family(1), "gan": Family(0)}


class NetworkAtlas(Atlas):
    """An atlas of networks, as ``train_cae``, ``train_atlas_vae``, ``train_wae``, ... make it.

    ``kind``: "cae", whose z lie in the unit cube and are uniform there a priori; "vae", whose
    F_y is the mean of q(z | y, x); "wae"; "gan", which has no encoders. ``networks``: their
    name ("dense" or "conv") and widths.
    """

    def __init__(
        self,
        kind: str,
        d: int,
        charts: int,
        channels: int,
        side: int,
        networks: Mapping[str, Any],
    ) -> None:
        if kind not in FAMILIES:
            raise ValueError(f"unknown kind {kind!r}; valid: {', '.join(FAMILIES)}")
        self.family = family = FAMILIES[kind]
        super().__init__(d, charts, channels, side, has_charts=family.heads > 0)
        self.kind = kind
        self.networks: Networks = build(side, channels, d, charts, family.heads, networks)
        self.consistent = kind == "cae"

    def psi(self, x: Tensor) -> Tensor:
        """Return the partition of unity at images x: (b, charts), rows that sum to 1."""
        return torch.softmax(self.networks.logits(self.networks.features(x)), dim=1)

    def encode(self, x: Tensor, y: Tensor | int) -> Tensor:
        """Return F_y(x), (b, d). TypeError for a GAN, which has no encoders."""
        self._must_encode()
        features = self.networks.features(x)
        code = self.networks.code(features, chart_numbers(y, features, self.charts))
        return self.placed(code[..., : self.d])

    def encode_all(self, x: Tensor) -> Tensor:
        """Return F_y(x) for every chart: (b, charts, d)."""
        self._must_encode()
        return self.placed(self.networks.codes(self.networks.features(x))[..., : self.d])

    def placed(self, code: Tensor) -> Tensor:
        """Return where in the room of z an encoder's answer lies."""
        return torch.sigmoid(code) if self.family.cube else code

    def decode(self, z: Tensor, y: Tensor | int) -> Tensor:
        """Return G_y(z) of (b, d): images (b, channels, side, side)."""
        return self.networks.decode(z, chart_numbers(y, z, self.charts))

    def prior(self, u: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        """Map normals to the room of z: uniform in the cube, or N(0, I) as they are."""
        return torch.special.ndtr(u) if self.family.cube else u

    def keep(self, charts: Sequence[int]) -> None:
        """Keep these charts alone, in this order, with the weights that they had."""
        kept = [check_integer(y, "a chart", 0, self.charts - 1) for y in charts]
        if not kept or len(set(kept)) != len(kept):
            raise ValueError(f"charts must be different numbers, one at least, got {kept}")
        self.networks.keep(kept)
        weights = self.weights[kept]
        total = float(weights.sum())
        self.weights = weights / total if total else torch.full_like(weights, 1 / len(kept))
        self.charts = len(kept)

    def _must_encode(self) -> None:
        if not self.has_charts:
            raise TypeError(
                "a GAN has no encoders F_y: its images cannot be encoded; train a cae, vae or wae"
            )

    def save(
        self, path: PathLike, meta: Mapping[str, Any] | None = None, *, force: bool = False
    ) -> None:
        """Write weights and shape to a .safetensors file; ``meta`` (JSON-able) is kept beside.

        FileError for a file that is there and holds anything else, without ``force``.
        """
        save_tensors(path, KIND, self.state_dict(), self.about(meta), force=force)

    def about(self, meta: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what a file says of it beside its weights."""
        return {
            "kind": self.kind,
            "d": self.d,
            "charts": self.charts,
            "channels": self.channels,
            "side": self.side,
            "networks": self.networks.settings(),
            "extra": dict(meta or {}),
        }

    @classmethod
    def load(cls, path: PathLike, device: torch.device | str | None = None) -> NetworkAtlas:
        """Load the atlas that ``save`` wrote, in eval mode; FileError for anything else."""
        return load_network_atlas(path, device)[0]


def load_network_atlas(
    path: PathLike, device: torch.device | str | None = None
) -> tuple[NetworkAtlas, dict[str, Any]]:
    """Load as ``NetworkAtlas.load`` does, and the ``meta`` that was saved with it."""
    tensors, meta = load_tensors(path, KIND)
    with whole(path, f"not a whole {KIND}"):
        atlas = network_atlas_from(tensors, meta)
        extra = dict(meta["extra"])
    return atlas.to(device).eval(), extra


def network_atlas_from(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> NetworkAtlas:
    """Rebuild an atlas from its tensors and ``about``; ValueError where they do not agree."""
    sizes = {name: check_integer(about[name], name, 1, 1 << 24) for name in _SIZES}
    atlas = rebuilt(
        lambda: NetworkAtlas(about["kind"], **sizes, networks=about["networks"]),
        tensors,
    )
    if not (atlas.weights >= 0).all() or abs(float(atlas.weights.sum()) - 1) > 1e-6:
        raise ValueError("weights are no shares of one")
    return atlas
