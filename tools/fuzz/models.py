"""Files of the training layer: models, and checkpoints of a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from gtn_fast.atlas.ddpm import DDPM
from gtn_fast.learn.flow import Flow
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training import store
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import train
from gtn_fast.vision.autoencoder import Autoencoder
from gtn_fast.vision.classifier import Classifier
from gtn_fast.vision.vae import VAE
from tools.fuzz.choices import BUILT, FLIPPED, PIECES, RAW, Choices
from tools.fuzz.rules import held, refused

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool)
Numbers = dict[str, Tensor]


def _header(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    whole = json.loads(content[8 : 8 + length])
    found: dict[str, Any] = json.loads(whole["__metadata__"]["gtn_fast"])
    return found


def _damaged(tensor: Tensor, choices: Choices) -> Tensor:
    how = choices.below(5)
    if how == 0:
        return tensor.to(choices.pick(_DTYPES))
    if how == 1:
        return tensor.reshape(-1)
    if how == 2:
        return tensor[: choices.below(len(tensor) + 1)] if tensor.ndim else tensor[None]
    if how == 3 and tensor.numel():
        flat = tensor.clone().reshape(-1)
        value = choices.pick([0.0, -1.0, 1e30, float("nan"), float("inf"), 2.0**40])
        if not flat.is_floating_point():
            value = choices.pick([0, -1, 2**40, 2**62] if flat.dtype == torch.int64 else [0, 1])
        flat[choices.below(flat.numel())] = value
        return flat.reshape(tensor.shape)
    return torch.zeros(choices.pick([(), (0,), (1,), (3, 3), (1, 1, 1, 1, 1)]))


class _Stored:
    """A file of ``store.save_tensors`` and what it gives when it is read."""

    needs = ("torch", "safetensors")

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self.path = folder / f"{type(self).__name__}.safetensors"
        self.begun = self.make()
        self.whole = self.path.read_bytes()
        self.right = self.read()

    def make(self) -> Any:
        """Write the file."""
        raise NotImplementedError

    def read(self) -> Numbers:
        """Read the file and use it."""
        raise NotImplementedError

    def seeds(self) -> list[bytes]:
        """Return a whole file, and what begins with pieces."""
        return [bytes([RAW]) + self.whole[:4000], *PIECES]

    def check(self, data: bytes) -> None:
        """Read the file that the bytes say."""
        choices = Choices(data)
        kind = choices.below(3)
        content = choices.content(kind, lambda: self.whole, lambda: self._built(choices))
        self.path.write_bytes(content)
        try:
            read = refused(self.read, self.path)
        except FloatingPointError:  # a training of huge weights
            held(kind == BUILT, "not finite")
            return
        if read is None:
            return
        if kind == FLIPPED:
            held(read.keys() == self.right.keys(), "other names")
            for name, value in self.right.items():
                held(torch.equal(read[name], value), f"other {name}")
        for name, value in read.items():
            held(bool(value.isfinite().all()), f"{name} is not finite")

    def _built(self, choices: Choices) -> bytes:
        header, tensors = _header(self.whole), load(self.whole)
        for _ in range(1 + choices.below(3)):
            if choices.one_in(2):
                header["meta"] = choices.edited(header["meta"])
            else:
                name = choices.pick([*sorted(tensors), "more"])
                if choices.one_in(6):
                    tensors.pop(name, None)
                else:
                    tensors[name] = _damaged(tensors.get(name, torch.zeros(2)), choices)
        if choices.one_in(6):
            header = choices.edited(header)
        own = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        if isinstance(header, dict):
            header.pop("digest", None)
            if not choices.one_in(4):
                header["digest"] = store._digest(header, own)
        return bytes(save(own, metadata={"gtn_fast": json.dumps(header)}))


class GTNFile(_Stored):
    """``GTN.load``, then samples and walks."""

    def make(self) -> None:
        """Write the file."""
        x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        made = GTN(3, "uniform", layers=1, width=4, components=2)
        made.fit(x, epochs=1, progress=False)
        made.save(self.path)

    def read(self) -> Numbers:
        """Read the file and sample."""
        gtn = GTN.load(self.path)
        x = gtn.sample(3, seed=1)
        held(x.shape == (3, gtn.d), "shape of samples")
        walk = gtn.interpolate_between(0, len(gtn.x_index) - 1, steps=3)
        return {"x": torch.from_numpy(x), "walk": torch.from_numpy(walk)}


class FlowFile(_Stored):
    """``Flow.load``, then samples."""

    def make(self) -> None:
        """Write the file."""
        x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        made = Flow(3, layers=1, width=4)
        made.fit(x, epochs=1, progress=False)
        made.save(self.path)

    def read(self) -> Numbers:
        """Read the file and sample."""
        flow = Flow.load(self.path)
        x = flow.sample(3, seed=1, steps=2)
        held(x.shape == (3, flow.d), "shape of samples")
        return {"x": torch.from_numpy(x)}


class _ImageModel(_Stored):
    model: Callable[..., Any]

    def make(self) -> None:
        """Write the file."""
        seeded(lambda: type(self).model(1, 8, 2), 0).save(self.path)


class AutoencoderFile(_ImageModel):
    """``Autoencoder.load``, then an image."""

    model = Autoencoder

    def read(self) -> Numbers:
        """Read the file and decode."""
        loaded = Autoencoder.load(self.path)
        with torch.no_grad():
            return {"image": loaded.decode(torch.zeros(1, loaded.d))}


class VAEFile(_ImageModel):
    """``VAE.load``, then an image."""

    model = VAE

    def read(self) -> Numbers:
        """Read the file and decode."""
        loaded = VAE.load(self.path)
        with torch.no_grad():
            return {"image": loaded.decode(torch.zeros(1, loaded.d))}


class ClassifierFile(_ImageModel):
    """``Classifier.load``, then a row of logits."""

    model = Classifier

    def read(self) -> Numbers:
        """Read the file and classify."""
        return dict(Classifier.load(self.path).state_dict())


class DDPMFile(_Stored):
    """``DDPM.load``, and all that it loads."""

    def make(self) -> None:
        """Write the file."""
        seeded(lambda: DDPM(1, 8, steps=3, jumps=2, widths=(8,)), 0).save(self.path)

    def read(self) -> Numbers:
        """Read the file."""
        loaded = DDPM.load(self.path)
        held(1 <= loaded.jumps <= loaded.steps == len(loaded.alpha_bar), "steps")
        return dict(loaded.state_dict())


class TrainingCheckpoint(_Stored):
    """``train(checkpoint=)`` that goes on."""

    def make(self) -> None:
        """Write the file."""
        self._train(1)

    def read(self) -> Numbers:
        """Go on for one more epoch."""
        return self._train(2)

    def _train(self, epochs: int) -> Numbers:
        x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        model = seeded(lambda: nn.Linear(3, 3), 0)
        train(
            model,
            lambda model, x: (model(x) - x).square().mean(),
            [x],
            epochs=epochs,
            batch_size=20,
            lr=1e-2,
            progress=False,
            draws=False,
            checkpoint=self.path,
        )
        return dict(model.state_dict())
