"""Diffusion in pixels (Ho, Jain and Abbeel 2020): no latent space of the data's own dimension.

The contrast to charts. Deterministic denoising (DDIM, Song, Meng and Ermon 2021) maps noise of as
many numbers as there are pixels onto images, and backwards: one chart, of that dimension. So it is
an ``Atlas`` like the others, and what measures them measures it.

The network predicts neither noise nor image but v, of both (Salimans and Ho 2022, appendix D): from
nearly pure noise, where few steps begin, the noise alone does not tell the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gtn_fast.atlas.model import Atlas
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.diffusion import cosine_schedule, noised
from gtn_fast.learn.sizes import rebuilt
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.optimizer import cosine
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike, load_tensors, save_tensors, whole
from gtn_fast.sample import normal
from gtn_fast.system.openmp import computes_by_torch
from gtn_fast.vision.tensors import as_square_images, batches, to_bytes, to_unit
from gtn_fast.vision.unet import UNet

KIND = "DDPM"
WAYS = ("noised", "inverted")
WIDTHS = (32, 64, 64)
_SIZES = ("channels", "side", "steps", "patch", "jumps")
_DECAY = 0.999  # of the running average of the weights
_BATCH = 256


class DDPM(Atlas):
    """Diffusion seen as an atlas of one chart: z is the noise, d the number of pixels.

    ``steps`` of noising between images and N(0, I), by the cosine schedule; ``jumps``: as many of
    them are taken when images are made, evenly spread. ``widths`` and ``patch`` are the U-Net's.
    """

    kind = "ddpm"
    alpha_bar: Tensor

    def __init__(
        self,
        channels: int,
        side: int,
        *,
        steps: int = 200,
        jumps: int = 50,
        widths: Sequence[int] = WIDTHS,
        patch: int | None = None,
    ) -> None:
        channels = check_integer(channels, "channels", 1, 1 << 16)
        side = check_integer(side, "side", 1, 1 << 14)
        super().__init__(channels * side**2, 1, channels, side)
        self.steps = check_integer(steps, "steps", 2, 100_000)
        self.jumps = check_integer(jumps, "jumps", 1, self.steps)
        self.network: nn.Module = UNet(channels, side, widths, patch or (1 if side % 2 else 2))
        self.register_buffer("alpha_bar", cosine_schedule(self.steps)[0])

    # ------------------------------------------------------------------ definition 1

    def psi(self, x: Tensor) -> Tensor:
        """Return ones, (b, 1): there is one chart."""
        return x.new_ones((len(x), 1))

    def encode(self, x: Tensor, y: Tensor | int = 0) -> Tensor:  # noqa: ARG002 - the one chart
        """Return the noise that images x (b, c, side, side) are made of, about: (b, d)."""
        for now, then in pairwise(reversed(self._times(self.steps))):
            x = self._moved(x, now, then)
        return x.flatten(1)

    def decode(self, z: Tensor, y: Tensor | int = 0) -> Tensor:  # noqa: ARG002
        """Return the images of noise z (b, d): (b, c, side, side)."""
        return self._denoised(z.view(-1, self.channels, self.side, self.side), self.steps)

    def _denoised(self, x: Tensor, level: int) -> Tensor:
        """Return images of x, in which there is the noise of ``level`` steps."""
        for now, then in pairwise(self._times(level)):
            x = self._moved(x, now, then)
        return x

    def _times(self, level: int) -> list[int]:
        """Return the numbers of steps at which x is looked at, from ``level`` down to 0."""
        jumps = math.ceil(self.jumps * level / self.steps)
        return [round(level * (1 - place / jumps)) for place in range(jumps + 1)]

    def _moved(self, x: Tensor, now: int, then: int) -> Tensor:
        """Take x from the noise of ``now`` steps to that of ``then`` (equation 12 of Song et al.).

        On the way to images, what they seem to be is clipped to [-1, 1], as Ho et al. do.
        """
        kept = [float(self.alpha_bar[level - 1]) if level else 1.0 for level in (now, then)]
        v = self.network(x, torch.full((len(x),), max(now, 1) - 1, device=x.device))
        clean = math.sqrt(kept[0]) * x - math.sqrt(1 - kept[0]) * v
        noise = math.sqrt(1 - kept[0]) * x + math.sqrt(kept[0]) * v
        if then < now:
            clean = clean.clamp(-1, 1)
            noise = (x - math.sqrt(kept[0]) * clean) / math.sqrt(1 - kept[0])
        moved: Tensor = math.sqrt(kept[1]) * clean + math.sqrt(1 - kept[1]) * noise
        return moved

    # ------------------------------------------------------------------ ways

    @computes_by_torch
    @torch.no_grad()
    def interpolate(
        self,
        starts: Any,
        ends: Any,
        steps: int = 20,
        *,
        way: str = "noised",
        t: float = 0.5,
        seed: int = 0,
    ) -> Tensor:
        """Return ways between uint8 images (p, c, side, side): uint8 (p, steps, c, side, side).

        "noised" (Ho et al., section 4.3): both ends get the same noise, as much as there is after
        the share ``t`` of the steps, are mixed and denoised; the ends come back changed.
        "inverted": the noise that each end is made of, mixed along the great circle.

        ValueError for images of another shape, numbers of starts and ends that differ, an unknown
        way, fewer than 2 steps, and a t outside (0, 1].
        """
        steps = check_integer(steps, "steps", 2, 1 << 20)
        if way not in WAYS:
            raise ValueError(f"unknown way {way!r}; valid: {', '.join(WAYS)}")
        if not 0 < t <= 1:
            raise ValueError(f"t must be a share above 0, at most 1, got {t}")
        pair = self.checked(starts, "starts"), self.checked(ends, "ends")
        if len(pair[0]) != len(pair[1]):
            raise ValueError(f"there are {len(pair[0])} starts and {len(pair[1])} ends")
        drawn = normal(derive(check_seed(seed), "noised ways"), 0, len(pair[0]), self.d)
        made = []
        for rows in batches(torch.arange(len(pair[0])), max(1, _BATCH // steps)):
            a, b = (to_unit(each[rows].to(self.weights.device)) for each in pair)
            if way == "inverted":
                level, z = self.steps, great_circle(self.encode(a), self.encode(b), steps)
            else:
                level = max(1, round(t * self.steps))
                noise = torch.from_numpy(drawn[rows.numpy()]).to(a).view_as(a)
                time = torch.full((len(a),), level - 1, device=a.device)
                a, b = (noised(self.alpha_bar, each, time, noise) for each in (a, b))
                z = _line(a, b, steps)
            shown = self._denoised(z.reshape(-1, *a.shape[1:]), level)
            made.append(to_bytes(shown).cpu().view(len(a), steps, *a.shape[1:]))
        return torch.cat(made)

    # ------------------------------------------------------------------ files

    def about(self, meta: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what a file says of it beside its weights."""
        network = self.network
        assert isinstance(network, UNet)
        return {
            "channels": self.channels,
            "side": self.side,
            "steps": self.steps,
            "jumps": self.jumps,
            "widths": network.widths,
            "patch": network.patch,
            "extra": dict(meta or {}),
        }

    def save(
        self, path: PathLike, meta: Mapping[str, Any] | None = None, *, force: bool = False
    ) -> None:
        """Write weights and shape to a .safetensors file; ``meta`` (JSON-able) is kept beside.

        FileError for a file that is there and holds anything else, without ``force``.
        """
        save_tensors(path, KIND, self.state_dict(), self.about(meta), force=force)

    @classmethod
    def load(cls, path: PathLike, device: torch.device | str | None = None) -> DDPM:
        """Load what ``save`` wrote, in eval mode; FileError for anything else."""
        tensors, meta = load_tensors(path, KIND)
        with whole(path, f"not a whole {KIND}"):
            sizes = {name: check_integer(meta[name], name, 1, 1 << 24) for name in _SIZES}
            made = rebuilt(lambda: cls(**sizes, widths=list(meta["widths"])), tensors)
            if not torch.equal(made.alpha_bar, cosine_schedule(made.steps)[0]):
                raise ValueError("its schedule is another one")
        return made.to(device).eval()


def _line(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Return ``steps`` points of each straight line from a to b (p, ...): (p, steps, ...)."""
    shares = torch.linspace(0, 1, steps, device=a.device)
    return torch.stack([torch.lerp(a, b, float(share)) for share in shares], 1)


def great_circle(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Return ``steps`` points on each way from a to b (p, d) that keeps the norm: (p, steps, d).

    Straight lines between normals in many dimensions pass where no normal lies.
    """
    shares = torch.linspace(0, 1, steps, device=a.device)[None, :, None]
    norms = a.norm(dim=1), b.norm(dim=1)
    cosine = (a * b).sum(1) / (norms[0] * norms[1]).clamp_min(torch.finfo(a.dtype).tiny)
    angle = cosine.clamp(-1, 1).acos()[:, None, None]
    sine = angle.sin()
    near = sine < 1e-4  # as good as on one line
    safe = torch.where(near, torch.ones_like(sine), sine)
    weights = [
        torch.where(near, share, (share * angle).sin() / safe) for share in (1 - shares, shares)
    ]
    return weights[0] * a[:, None] + weights[1] * b[:, None]


# ------------------------------------------------------------------ training


class Learner(nn.Module):
    """The network that learns, and the running average of its weights, which is kept."""

    alpha_bar: Tensor

    def __init__(self, model: DDPM) -> None:
        super().__init__()
        self.network = model.network
        self.average = AveragedModel(model.network, avg_fn=_averaged).requires_grad_(False)
        self.register_buffer("alpha_bar", model.alpha_bar)

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the squared error of v; in training the average first takes the last step."""
        if self.training:
            self.average.update_parameters(self.network)
        network = self.network if self.training else self.average
        t = torch.randint(len(self.alpha_bar), (len(x),), generator=generator, device=x.device)
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        kept = self.alpha_bar[t].view(-1, 1, 1, 1)
        v = kept.sqrt() * noise - (1 - kept).sqrt() * x
        return nn.functional.mse_loss(network(noised(self.alpha_bar, x, t, noise), t), v)


def _averaged(average: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
    """Return the next average: early on, of the few steps that there are."""
    share = min(_DECAY, (1 + int(count)) / (10 + int(count)))
    return torch.lerp(now, average, share)


def train_ddpm(
    images: Any,
    *,
    val: Any = None,
    steps: int = 200,
    jumps: int = 50,
    widths: Sequence[int] = WIDTHS,
    patch: int | None = None,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    seed: int = 0,
    **training: Any,
) -> tuple[DDPM, History]:
    """Train a DDPM on square uint8 images (n, c, h, w).

    The weights are a running average of those of the steps. ``steps`` to ``patch`` are the
    model's: ``patch`` is 2 if the side is even. The rest is ``train``'s; the learning rate falls
    along a half cosine. TypeError or ValueError for images of another kind or shape, and sizes
    that make no network.
    """
    epochs = check_integer(epochs, "epochs", 1, 2**31 - 1)
    data = as_square_images(images)
    held_out = None if val is None else (as_square_images(val, "val", data),)
    model = seeded(
        lambda: DDPM(
            data.shape[1], data.shape[2], steps=steps, jumps=jumps, widths=widths, patch=patch
        ),
        derive(check_seed(seed), "weights"),
    )
    learner = Learner(model)

    def loss(learner: nn.Module, batch: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(learner, Learner)
        return learner.loss(to_unit(batch), generator)

    about = {name: value for name, value in model.about().items() if name not in ("extra", "jumps")}
    history = train(
        learner,
        loss,
        (data,),
        val=held_out,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        draws=True,
        identity={"kind": KIND, **about},
        **{"schedule": cosine(epochs), "title": KIND, **training},
    )
    model.network.load_state_dict(learner.average.module.state_dict())
    return model.to(learner.alpha_bar.device).eval(), history
