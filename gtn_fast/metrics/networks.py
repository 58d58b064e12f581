"""What stands between torchmetrics and a network: uint8 batches in, finite float64 out."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.run.progress import progress_bar
from gtn_fast.system.ending import stop_here

_INCEPTION_FEATURES = 2048
_INCEPTION_WEIGHTS = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
_LEAST_LOG = -700.0  # exp of it is still a positive float64


class FeatureNetwork(Protocol):
    """What the scores need of a network; uint8 images (b, c, h, w) go in."""

    def features(self, images: Tensor, /) -> Tensor:
        """Return what FID compares: (b, f)."""

    def forward(self, images: Tensor, /) -> Tensor:
        """Return the logits that the Inception Score reads: (b, classes)."""


class _AsModule(nn.Module):
    """A function of images in the form that torchmetrics takes for a feature extractor."""

    def __init__(self, function: Callable[[Tensor], Tensor], num_features: int, what: str) -> None:
        super().__init__()
        self._function, self._what = function, what
        self.num_features = num_features  # else torchmetrics tries an image of 3 x 299 x 299

    def forward(self, images: Tensor) -> Tensor:
        values = self._function(images).double()
        if values.ndim != 2 or len(values) != len(images):
            raise ValueError(
                f"the network's {self._what} must have shape ({len(images)}, f) for"
                f" {len(images)} images, got {tuple(values.shape)}"
            )
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"the network's {self._what} are not finite (NaN or infinity)")
        return values


class _Logits(_AsModule):
    """Logits as logarithms of probabilities that are never 0."""

    def forward(self, images: Tensor) -> Tensor:
        # A class that no image has would be 0 * log 0 in torchmetrics: NaN.
        return super().forward(images).log_softmax(dim=1).clamp(min=_LEAST_LOG)


def distance_metric(network: FeatureNetwork | None, images: Any, device: torch.device) -> Any:
    """Return an empty FID metric that keeps the real side at reset."""
    module = _torchmetrics("fid")
    options = {"normalize": False, "reset_real_features": False}  # images are bytes
    if network is None:
        _check_channels(images)
        with _inception():
            return module.FrechetInceptionDistance(feature=_INCEPTION_FEATURES, **options)
    first = network.features(_tensor(images[:2]).to(device))
    feature = _AsModule(network.features, first.shape[-1], "features")
    return module.FrechetInceptionDistance(feature=feature, **options)


def score_metric(network: FeatureNetwork | None, splits: int, images: Any) -> Any:
    """Return an empty Inception Score metric."""
    module = _torchmetrics("inception")
    if network is None:
        _check_channels(images)
        with _inception():
            return module.InceptionScore(splits=splits, normalize=False)
    feature = _Logits(network.forward, 0, "logits")
    return module.InceptionScore(feature=feature, splits=splits, normalize=False)


def _torchmetrics(name: str) -> Any:
    try:
        return importlib.import_module(f"torchmetrics.image.{name}")
    except ImportError as error:
        raise ImportError(
            f"IS and FID need torchmetrics ({error}): pip install 'gtn-fast[train]'"
        ) from None


@contextmanager
def _inception() -> Iterator[None]:
    """Say how to get Inception's features where they cannot be had."""
    other = "or pass network=, a classifier trained on your data"
    try:
        yield
    except ImportError:
        raise ValueError(
            "Inception features need the package torch-fidelity: pip install torch-fidelity"
            f" (it wants a torchvision made for your torch), {other}"
        ) from None
    except (OSError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"Inception's weights cannot be loaded ({reason}): download {_INCEPTION_WEIGHTS}"
            f" to {torch.hub.get_dir()}/checkpoints/, {other}"
        ) from None


@contextmanager
def evaluating(network: Any) -> Iterator[torch.device]:
    """Evaluate without gradients inside; yields the device of the network."""
    device = torch.device("cpu")
    for name in ("features", "forward"):
        if network is not None and not callable(getattr(network, name, None)):
            raise TypeError(
                f"network must have a method {name!r}; {type(network).__name__} has not"
            )
    module = network if isinstance(network, nn.Module) else None
    if module is not None:
        device = next((p.device for p in module.parameters()), device)
    elif network is None and torch.cuda.is_available():
        device = torch.device("cuda")
    modes = [] if module is None else [(part, part.training) for part in module.modules()]
    try:
        if module is not None:
            module.eval()
        with torch.no_grad():
            yield device
    finally:
        for part, mode in modes:
            part.training = mode


def batches(
    images: Any,
    network: FeatureNetwork | None,
    device: torch.device,
    batch_size: int,
    title: str,
    progress: Any,
) -> Iterator[Tensor]:
    """Yield the images as uint8 tensors on the device, with three channels for Inception."""
    batch_size = check_integer(batch_size, "batch_size", 1, 2**31 - 1)
    with progress_bar(len(images), title, "images", progress) as bar:
        for start in range(0, len(images), batch_size):
            stop_here()
            batch = _tensor(images[start : start + batch_size]).to(device)
            grey = network is None and batch.shape[1] == 1
            yield batch.expand(-1, 3, -1, -1) if grey else batch
            bar.update(len(batch))


def check_images(value: Any, name: str, at_least: int = 1) -> Any:
    """Return the images as they came; TypeError or ValueError unless uint8 (n, c, h, w)."""
    images = value if isinstance(value, Tensor) else np.asanyarray(value)
    shape = tuple(images.shape)
    if images.dtype not in (torch.uint8, np.uint8):
        raise TypeError(f"{name} must be uint8 images (0 to 255), got dtype {images.dtype}")
    if len(shape) != 4 or 0 in shape[1:]:
        raise ValueError(f"{name} must be images of shape (n, c, h, w), got shape {shape}")
    if shape[0] < at_least:
        raise ValueError(f"{name} must hold at least {at_least} images, got {shape[0]}")
    return images


def _check_channels(images: Any) -> None:
    if images.shape[1] not in (1, 3):
        raise ValueError(f"Inception takes images of 1 or 3 channels, got {images.shape[1]}")


def _tensor(images: Any) -> Tensor:
    # A copy: torch would warn of a memory map that it must not write.
    return images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
