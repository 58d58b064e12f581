"""What a generator of images came to: samples beside decoded normals, and reconstructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_fast.learn.flow import Flow
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.verdict import normals_like, worse_than_normals
from gtn_fast.metrics.images import fid, inception_score
from gtn_fast.metrics.networks import FeatureNetwork
from gtn_fast.metrics.points import energy_distance
from gtn_fast.vision.codecs import AnyCodec, decode_latents, encode_images

_ROWS = 1000  # images of each set
_SCORED = 5000  # with a network, whose features need more of them


@dataclass(frozen=True)
class ImageVerdict:
    """Distances to images that the generator has not seen, if there are any.

    Attributes
    ----------
    compared_with : str
        "held-out images", or "the training images" (half of them) if none were held out.
    energy : dict
        Energy distance of pixels in [0, 1], by set: "training images", "reconstructed" (of what is
        compared with), "samples", "plain normals" (latents with the data's mean and deviations,
        decoded) and "full normals" (with its covariance; each class or component its own).
    reconstruction_rmse : float
        RMS difference of a pixel to its reconstruction, of what is compared with.
    rows : int
        That were compared with.
    FID, IS : dict or None
        By set, on the features of the network that was given.
    """

    compared_with: str
    energy: dict[str, float]
    reconstruction_rmse: float
    rows: int
    FID: dict[str, float] | None = None
    IS: dict[str, float] | None = None

    @property
    def warning(self) -> str | None:
        """Say in plain words what is wrong and what to do; None if nothing is."""
        found = self.energy
        return worse_than_normals(
            "new images", self.compared_with, self.rows, found["samples"], found["plain normals"],
            found["full normals"], found["reconstructed"],
        )  # fmt: skip

    def table(self) -> str:
        """Return the numbers as lines of text."""
        scores = [("energy", self.energy), ("FID", self.FID), ("IS", self.IS)]
        columns = [(name, values) for name, values in scores if values is not None]
        lines = [f"{f'pixels, to {self.compared_with}':34s}" + _cells(n for n, _ in columns)]
        for name in self.energy:
            lines.append(f"  {name:32s}" + _cells(f"{values[name]:.3f}" for _, values in columns))
        lines.append(f"error of reconstructions (RMS, 0 to 1)   {self.reconstruction_rmse:.3f}")
        return "\n".join(lines)


def judge_images(
    codec: AnyCodec,
    gtn: GTN | Flow,
    latents: NDArray[Any],
    images: Any,
    held_out: Any = None,
    *,
    rows: NDArray[np.int64] | None = None,
    network: FeatureNetwork | None = None,
    seed: int = 0,
) -> ImageVerdict:
    """Compare decoded samples with uint8 images (m, c, h, w) held out, or with ``images``.

    ``latents`` (n, d), which the GTN or flow was fitted to, are those of ``images`` (n, c, h, w),
    or of these ``rows`` (n,) of them. ``network``: Inception Score and FID on its features, too.
    """
    count = _ROWS if network is None else _SCORED
    rng = np.random.default_rng(derive(seed, "image verdict"))
    order = rng.permutation(len(latents))
    trained = order if rows is None else rows[order]
    if held_out is None:
        shown, real = (_rows(images, half[:count]) for half in np.array_split(trained, 2))
    else:
        shown = _rows(images, trained[:count])
        real = _rows(held_out, rng.permutation(len(held_out))[:count])
    normals = normals_like(np.asarray(latents), gtn.component, derive(seed, "normals"), count)
    sets = {
        "training images": shown,
        "reconstructed": decode_latents(codec, encode_images(codec, real, progress=False)),
        "samples": decode_latents(codec, gtn.sample(count, derive(seed, "samples"))),
        "plain normals": decode_latents(codec, normals[0]),
        "full normals": decode_latents(codec, normals[1]),
    }
    gap = sets["reconstructed"].astype(np.float32) - real
    scores: dict[str, Any] = {}
    if network is not None:
        options: dict[str, Any] = {"progress": False}
        scores["FID"] = {name: fid(real, made, network, **options) for name, made in sets.items()}
        options["splits"] = 10 if len(real) >= _SCORED else 1
        scores["IS"] = {
            name: inception_score(made, network, **options) for name, made in sets.items()
        }
    return ImageVerdict(
        compared_with="the training images" if held_out is None else "held-out images",
        energy={name: _pixel_distance(made, real) for name, made in sets.items()},
        reconstruction_rmse=float(np.sqrt(np.square(gap).mean(dtype=np.float64))) / 255,
        rows=len(real),
        **scores,
    )


def _pixel_distance(made: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    one, other = (each[:_ROWS].reshape(len(each[:_ROWS]), -1) for each in (made, real))
    return energy_distance(one, other) / 255


def _rows(images: Any, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    found = images[np.sort(chosen)]
    return np.asarray(found.cpu() if hasattr(found, "cpu") else found)


def _cells(texts: Any) -> str:
    return "".join(f"{text:>9s}" for text in texts)
