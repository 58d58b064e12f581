"""The autoencoder of appendix F.

    Autoencoder, train_autoencoder
    trunk, mirror, ...                what the VAE shares with it (vae.py)

Codecs, ``encode_images`` and ``decode_latents`` are in codecs.py and can be had from here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.inputs.files import FileError
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.store import PathLike, load_tensors, save_tensors
from gtn_fast.vision.codecs import (
    Codec,
    callables_codec,
    decode_latents,
    encode_images,
    network_codec,
)
from gtn_fast.vision.tensors import as_square_images, seeded, to_bytes, to_unit

__all__ = [
    "Autoencoder",
    "Codec",
    "callables_codec",
    "decode_latents",
    "encode_images",
    "to_bytes",
    "to_unit",
    "train_autoencoder",
]

_KIND = "autoencoder"


def trunk(channels: int, side: int) -> tuple[nn.Sequential, int]:
    """Appendix F's convolutions, flattened, and how many features that gives.

    ValueError unless the side is divisible by 4 and at least 8.
    """
    check_integer(channels, "channels", 1, 1 << 16)
    if side % 4 or side < 8:
        raise ValueError(
            f"the side of the images must be divisible by 4 and at least 8, got {side}"
        )
    layers = nn.Sequential(
        nn.Conv2d(channels, 64, kernel_size=4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, kernel_size=4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
    )
    return layers, 128 * (side // 4) ** 2


def mirror(channels: int, side: int, d: int) -> nn.Sequential:
    """Appendix F's decoder: (b, d) -> (b, channels, side, side) in [-1, 1]."""
    quarter = side // 4
    return nn.Sequential(
        nn.Linear(d, 128 * quarter**2),
        nn.ReLU(),
        nn.Unflatten(1, (128, quarter, quarter)),
        nn.ConvTranspose2d(128, 64, kernel_size=4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, channels, kernel_size=4, stride=2, padding=1),
        nn.Tanh(),
    )


def at_mean_colour(decoder: nn.Sequential, images: Tensor) -> None:
    """Start the decoder's output bias so that tanh gives the mean of each channel of ``images``.

    From torch's own start, the first steps on dark images (MNIST) all push towards black,
    Adam by its full step whatever the gradient, until tanh is flat: most seeds then
    stay black. From the mean colour there is no common push.
    """
    pixels = images.numel() // images.shape[1]
    mean = images.sum(dim=(0, 2, 3), dtype=torch.int64).double() / pixels / 127.5 - 1
    last = cast(nn.ConvTranspose2d, decoder[-2])
    with torch.no_grad():
        cast(nn.Parameter, last.bias).copy_(torch.atanh(mean.clamp(-0.98, 0.98)))


class Autoencoder(nn.Module):
    """Appendix F: two stride-2 convolutions (64, 128), linear to d; mirrored decoder, tanh.

    ``Autoencoder(channels, side, d)`` for square images; ValueError unless the side is
    divisible by 4 and at least 8.
    """

    def __init__(self, channels: int, side: int, d: int) -> None:
        super().__init__()
        self.channels, self.side, self.d = channels, side, check_integer(d, "d", 1, 1 << 24)
        layers, features = trunk(channels, side)
        self.encoder = layers.append(nn.Linear(features, d))
        self.decoder = mirror(channels, side, d)

    def encode(self, x: Tensor) -> Tensor:
        """(b, c, side, side) in [-1, 1] -> (b, d)."""
        return cast(Tensor, self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """(b, d) -> (b, c, side, side) in [-1, 1]."""
        return cast(Tensor, self.decoder(z))

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of ``x``."""
        return self.decode(self.encode(x))

    def codec(self) -> Codec:
        """The model as a Codec: uint8 images in, uint8 images out."""
        return network_codec(self)

    def save(self, path: PathLike, meta: Mapping[str, Any] | None = None) -> None:
        """Write weights and shape to a .safetensors file; ``meta`` (JSON-able) is kept beside."""
        save_model(self, path, _KIND, meta)

    @classmethod
    def load(cls, path: PathLike, device: torch.device | str | None = None) -> Autoencoder:
        """The model that ``save`` wrote, in eval mode. FileError for anything else."""
        return load_autoencoder(path, device)[0]


def train_autoencoder(
    images: Any,
    d: int,
    *,
    val: Any = None,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 1e-5,
    seed: int = 0,
    bfloat16: bool = False,
    **training: Any,
) -> tuple[Autoencoder, History]:
    """Train an Autoencoder on uint8 images (n, c, h, w) by the mean squared error of [-1, 1].

    The defaults are appendix F's for MNIST; CelebA and HaP: batch_size=200, lr=1e-4.
    The output starts at the mean colour (``at_mean_colour``).
    ``val``: more such images. ``bfloat16`` computes the layers in that precision: other
    weights, and twice as fast on a CPU with avx512_bf16. ``training``: what ``train`` takes.
    TypeError or ValueError for images of another kind or shape.
    """
    data = as_square_images(images)
    model = seeded(lambda: Autoencoder(data.shape[1], data.shape[2], d), seed)
    at_mean_colour(model.decoder, data)

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        x = to_unit(batch)
        with precision(batch.device, bfloat16):
            shown = model(x)
        return nn.functional.mse_loss(shown.float(), x)

    history = train(
        model,
        loss,
        (data,),
        val=None if val is None else (as_square_images(val, "val", data),),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        seed=seed,
        identity={"bfloat16": bfloat16},
        **{"title": "autoencoder", **training},
    )
    return model, history


def load_autoencoder(
    path: PathLike, device: torch.device | str | None = None
) -> tuple[Autoencoder, dict[str, Any]]:
    """``Autoencoder.load``, and the ``meta`` that was saved with it."""
    model, meta = load_model(Autoencoder, path, _KIND, device)
    return cast(Autoencoder, model), meta


def precision(device: torch.device, bfloat16: bool) -> torch.autocast:
    """The layers below it in bfloat16, or as they are."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def save_model(
    model: Any, path: PathLike, kind: str, meta: Mapping[str, Any] | None = None
) -> None:
    """Write an Autoencoder or VAE with its shape."""
    shape = {"channels": model.channels, "side": model.side, "d": model.d}
    save_tensors(path, kind, model.state_dict(), {**shape, "extra": dict(meta or {})})


def load_model(
    cls: Any, path: PathLike, kind: str, device: torch.device | str | None = None
) -> tuple[Any, dict[str, Any]]:
    """(model in eval mode, the ``meta`` it was saved with). FileError for any other file."""
    tensors, meta = load_tensors(path, kind)
    try:
        model = cls(int(meta["channels"]), int(meta["side"]), int(meta["d"]))
        model.load_state_dict(tensors)
        extra = dict(meta["extra"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise FileError(f"{Path(path)}: not a whole {kind}: {reason}") from None
    return model.to(device).eval(), extra
