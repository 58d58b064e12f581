"""Images in, generator out: autoencoder, latents and GTN in one call (section 3.1 of the paper)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast._version import __version__
from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.inputs.files import FileError, naming
from gtn_fast.learn.classes import Classes
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.presets import Preset
from gtn_fast.learn.training.loop import History
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.training.store import PathLike
from gtn_fast.metrics.networks import FeatureNetwork
from gtn_fast.outputs.files import check_output, remove
from gtn_fast.outputs.kinds import check_ours, holds_anothers_tensors
from gtn_fast.outputs.streams import warn
from gtn_fast.vision.autoencoder import Autoencoder, load_autoencoder, train_autoencoder
from gtn_fast.vision.codecs import (
    AnyCodec,
    as_codec,
    decode_latents,
    encode_images,
    warn_of_collapse,
)
from gtn_fast.vision.tensors import as_square_images
from gtn_fast.vision.verdict import ImageVerdict, judge_images

__all__ = ["Fitted", "fit_images", "generate"]

AUTOENCODER, LATENTS, GTN_FILE = "autoencoder.safetensors", "latents.npy", "gtn.safetensors"

_LOOKED_AT = 500  # images whose reconstructions tell whether there is anything in the latents


@dataclass(frozen=True)
class Fitted:
    """What ``fit_images`` made.

    codec: the Autoencoder, or the codec that was given.
    latents: float32 (n, d), of the images in their order.
    histories: "autoencoder" (unless it was given or reused) and "gtn".
    verdict: of the images; the latents' is gtn.verdict.
    """

    codec: AnyCodec
    latents: NDArray[np.float32]
    gtn: GTN
    histories: dict[str, History]
    verdict: ImageVerdict | None = None

    @property
    def autoencoder(self) -> Autoencoder | None:
        """The Autoencoder; None where another codec was given."""
        return self.codec if isinstance(self.codec, Autoencoder) else None


def fit_images(
    images: Any,
    d: int,
    *,
    val: Any = None,
    classes: Any = None,
    val_classes: Any = None,
    preset: str | Preset | None = None,
    components: int = 1,
    codec: AnyCodec | None = None,
    ae_epochs: int = 20,
    ae_batch_size: int = 128,
    ae_lr: float = 1e-3,
    ae_weight_decay: float = 1e-5,
    bfloat16: bool = False,
    metric: Callable[[NDArray[np.uint8]], float] | None = None,
    metric_samples: int = 200,
    network: FeatureNetwork | None = None,
    calibrate: bool = True,
    seed: int = 0,
    out: PathLike | None = None,
    device: Any = None,
    threads: int | None = None,
    progress: Any = None,
    **overrides: Any,
) -> Fitted:
    """Train an autoencoder on uint8 images (n, c, h, w), then a GTN on their latents.

    Parameters
    ----------
    val : images, optional
        Held out; the errors on them choose the weights of both networks, with the
        preset's patience for the GTN.
    classes, val_classes : (n,) and (m,), optional
        As for GTN.fit.
    preset, components, **overrides
        As for GTN (epochs, patience, lr, ... are fields of the preset).
    codec : optional
        Used in place of an autoencoder of our own; ``ae_...`` and ``bfloat16`` are for ours.
        Its latents must have d columns.
    metric : callable, optional
        Called after each epoch of the GTN with ``metric_samples`` new images, uint8; the
        highest value is the best (the paper: Inception Score of 200).
    network : optional
        A classifier of such images: the verdict then has FID and Inception Score on its features.
    calibrate : bool
        As for GTN.fit.
    out : folder, optional
        Made if it is not there; gets autoencoder.safetensors, latents.npy,
        gtn.safetensors and a .csv log of each training. A run that was killed goes on from its
        checkpoints. An autoencoder found there is reused if it was trained on these very
        images with these settings, and otherwise replaced; tensors of somebody else's are an
        error.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As train_autoencoder, encode_images and GTN.fit; FileError if ``out`` cannot be
        written.
    """
    data = as_square_images(images)
    held_out = None if val is None else as_square_images(val, "val", data)
    d, seed = check_integer(d, "d", 1, 1 << 24), check_seed(seed)
    check_integer(metric_samples, "metric_samples", 1, 1 << 31)
    gtn = GTN(d, preset, components=components, device=device, **overrides)
    _check_classes(classes, val_classes, data, held_out)
    folder = None if out is None else _folder(out)
    histories = {}
    if codec is None:
        settings = {
            "epochs": ae_epochs,
            "batch_size": ae_batch_size,
            "lr": ae_lr,
            "weight_decay": ae_weight_decay,
            "seed": derive(seed, "autoencoder"),
            "bfloat16": bfloat16,
        }
        codec, history = _autoencoder(data, held_out, d, settings, folder, device, progress)
        if history is not None:
            histories["autoencoder"] = history
    as_codec(codec)
    latents = encode_images(
        codec, data, out=None if folder is None else folder / LATENTS, progress=progress
    )
    if latents.shape[1] != d:
        raise ValueError(f"the codec gives latents of {latents.shape[1]} columns, but d is {d}")
    rows = slice(None, None, max(1, len(data) // _LOOKED_AT))
    warn_of_collapse(data[rows].cpu(), decode_latents(codec, np.array(latents[rows])))
    val_latents = None
    if held_out is not None:
        val_latents = encode_images(codec, held_out, progress=progress)

    def judge(trained: GTN) -> float:
        shown = trained.sample(metric_samples, derive(seed, "metric"))
        assert metric is not None
        return metric(decode_latents(codec, shown))

    known = [_fingerprint(latents), gtn.preset.name, components, sorted(overrides.items()), seed]
    if classes is not None:
        known.append(_fingerprint(Classes.of(classes, len(data))[1]))
    checkpoint = _checkpoint(folder, "gtn", known)
    histories["gtn"] = gtn.fit(
        latents,
        val_latents,
        classes=classes,
        val_classes=val_classes,
        seed=seed,
        metric=None if metric is None else judge,
        calibrate=calibrate,
        checkpoint=checkpoint,
        log=None if folder is None else folder / "gtn.csv",
        threads=threads,
        progress=progress,
    )
    if folder is not None:
        gtn.save(folder / GTN_FILE, force=True)
        _remove(checkpoint)
    found = judge_images(codec, gtn, latents, data, held_out, network=network, seed=seed)
    if gtn.verdict is not None and gtn.verdict.warning is None and found.warning is not None:
        warn(found.warning)
    return Fitted(codec, latents, gtn, histories, found)


def generate(
    fitted: Fitted, n: int, seed: int = 0, *, classes: Any = None, residual: bool = False
) -> NDArray[np.uint8]:
    """Generate images, uint8 (n, c, h, w): decoder(ĥ(y)) for y from the source (algorithm 2).

    ``classes`` and ``residual`` as for ``GTN.sample``.
    """
    made = fitted.gtn.sample(n, seed, classes=classes, residual=residual)
    return decode_latents(fitted.codec, made)


def _check_classes(classes: Any, val_classes: Any, data: Tensor, val: Tensor | None) -> None:
    """Raise what GTN.fit would, before the autoencoder is trained."""
    if classes is not None:
        known, _ = Classes.of(classes, len(data))
        if val is not None and val_classes is not None:
            known.numbers(val_classes, len(val), "val_classes")


def _autoencoder(
    data: Tensor,
    val: Tensor | None,
    d: int,
    settings: Mapping[str, Any],
    folder: Path | None,
    device: Any,
    progress: Any,
) -> tuple[Autoencoder, History | None]:
    """Return the autoencoder of these images and settings: that in ``folder``, or train it."""
    if folder is None:
        return train_autoencoder(data, d, val=val, device=device, progress=progress, **settings)
    file = folder / AUTOENCODER
    made_from = {
        **settings,
        "d": d,
        "images": _fingerprint(data.cpu().numpy()),
        "val": None if val is None else _fingerprint(val.cpu().numpy()),
        "version": __version__,
    }
    with suppress(FileError):  # none there, or none of ours
        found, extra = load_autoencoder(file, device)
        if extra.get("made_from") == made_from:
            return found, None
    checkpoint = _checkpoint(folder, "autoencoder", made_from)
    model, history = train_autoencoder(
        data,
        d,
        val=val,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
        log=folder / "autoencoder.csv",
        **settings,
    )
    model.save(file, {"made_from": made_from}, force=True)
    _remove(checkpoint)
    return model, history


def _folder(out: PathLike) -> Path:
    folder = Path(out)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    check_output(folder / GTN_FILE)
    for name in (AUTOENCODER, GTN_FILE):
        check_ours(
            folder / name, lambda path: not holds_anothers_tensors(path), "a file of ours", False
        )
    return folder


def _checkpoint(folder: Path | None, name: str, known: Any) -> Path | None:
    """Return the checkpoint's path, named by data and settings: another run has another."""
    if folder is None:
        return None
    text = json.dumps(known, sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    return folder / f"{name}-{digest}.checkpoint.safetensors"


def _remove(checkpoint: Path | None) -> None:
    if checkpoint is not None:
        remove(checkpoint)


def _fingerprint(array: NDArray[Any]) -> str:
    """Digest shape, dtype and every byte."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
