"""What the autoencoder and the VAE share: appendix F's layers, their training, their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.sizes import check_weights, rebuilt
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike, load_tensors, save_tensors, whole
from gtn_fast.vision.codecs import Codec, network_codec
from gtn_fast.vision.tensors import as_square_images, to_unit

M = TypeVar("M", bound="ImageModel")


def trunk(channels: int, side: int) -> tuple[nn.Sequential, int]:
    """Make appendix F's convolutions, flattened; return them and their number of features.

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
    """Make appendix F's decoder: (b, d) -> (b, channels, side, side) in [-1, 1]."""
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


class ImageModel(nn.Module):
    """Square images to d numbers and back; ``kind`` names it in files.

    ``Model(channels, side, d)``; ValueError unless the side is divisible by 4 and at least 8.
    """

    kind: ClassVar[str]
    decoder: nn.Sequential

    def __init__(self, channels: int, side: int, d: int) -> None:
        super().__init__()
        self.channels, self.side, self.d = channels, side, check_integer(d, "d", 1, 1 << 24)
        check_integer(side, "side", 0, 1 << 14)
        weights = 2 * d * 128 * (side // 4) ** 2
        check_weights(weights, f"an {self.kind} of d = {d} for images of side {side}")

    def decode(self, z: Tensor) -> Tensor:
        """Map (b, d) to (b, c, side, side) in [-1, 1]."""
        return cast(Tensor, self.decoder(z))

    def codec(self) -> Codec:
        """Return the model as a Codec: uint8 images in, uint8 images out."""
        return network_codec(self)

    def save(
        self, path: PathLike, meta: Mapping[str, Any] | None = None, *, force: bool = False
    ) -> None:
        """Write weights and shape to a .safetensors file; ``meta`` (JSON-able) is kept beside.

        FileError for a file that is there and holds anything else, without ``force``.
        """
        shape = {"channels": self.channels, "side": self.side, "d": self.d}
        about = {**shape, "extra": dict(meta or {})}
        save_tensors(path, self.kind, self.state_dict(), about, force=force)

    @classmethod
    def load(cls: type[M], path: PathLike, device: torch.device | str | None = None) -> M:
        """Load the model that ``save`` wrote, in eval mode; FileError for anything else."""
        return load_model(cls, path, device)[0]


def load_model(
    cls: type[M], path: PathLike, device: torch.device | str | None = None
) -> tuple[M, dict[str, Any]]:
    """Load (model in eval mode, its ``meta``); FileError for any other file."""
    tensors, meta = load_tensors(path, cls.kind)
    with whole(path, f"not a whole {cls.kind}"):
        sizes = (int(meta["channels"]), int(meta["side"]), int(meta["d"]))
        model = rebuilt(lambda: cls(*sizes), tensors)
        extra = dict(meta["extra"])
    return model.to(device).eval(), extra


def train_model(
    cls: type[M],
    loss: Callable[..., Tensor],
    images: Any,
    d: int,
    *,
    val: Any,
    bfloat16: bool,
    seed: int,
    identity: Mapping[str, Any] | None = None,
    draws: bool = False,
    **training: Any,
) -> tuple[M, History]:
    """Train a new model on uint8 images by ``loss(x, *outputs)``, x in [-1, 1], outputs in float.

    The output starts at the mean colour. ``bfloat16`` computes the layers in that precision;
    ``identity``: what a checkpoint must agree with beside the rest; ``draws``: the model draws,
    from the generator that it is given; ``training``: what ``train`` takes. TypeError or
    ValueError for images of another kind or shape.
    """
    data = as_square_images(images)
    model = seeded(lambda: cls(data.shape[1], data.shape[2], d), derive(seed, "weights"))
    at_mean_colour(model.decoder, data)

    def batch_loss(model: nn.Module, batch: Tensor, **drawing: Any) -> Tensor:
        x = to_unit(batch)
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bfloat16):
            outputs = model(x, **drawing)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        return loss(x, *(each.float() for each in outputs))

    history = train(
        model,
        batch_loss,
        (data,),
        val=None if val is None else (as_square_images(val, "val", data),),
        seed=seed,
        identity={"bfloat16": bfloat16, **(identity or {})},
        draws=draws,
        **training,
    )
    return model, history
