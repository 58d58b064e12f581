"""One step of ĥ, plain, calibrated and with residuals or classes, beside normals and a flow.

    python -m benchmarks.one_step [--d 32 64] [--n 20000] [--epochs 10] [--autoencoder EPOCHS]
                                  [--stopped]

Principal components of MNIST's images, standardised, or latents of an autoencoder that is trained
here for so many epochs; samples are decoded, and scored on the features of a classifier of the
digits. 5,000 of each kind beside 5,000 test images. Needs ``mnist.npz`` (workloads.py says where)
with x_train, y_train, x_test and y_test. Prints a table; docs/training.md has the last one.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine, workloads
from gtn_fast import metrics
from gtn_fast.learn.flow import Flow
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.verdict import normals_like
from gtn_fast.vision.autoencoder import train_autoencoder
from gtn_fast.vision.classifier import accuracy, train_classifier
from gtn_fast.vision.codecs import decode_latents, encode_images

Array = NDArray[Any]
COUNT = 5_000


class Latents:
    """An autoencoder of images (n, h, w), trained here."""

    def __init__(self, images: Array, d: int, epochs: int) -> None:
        self.model, _ = train_autoencoder(images[:, None], d, epochs=epochs, progress=False)

    def encode(self, images: Array) -> Array:
        """Map uint8 (n, h, w) to float32 (n, d)."""
        return encode_images(self.model, images[:, None], progress=False)

    def decode(self, latents: Array) -> Array:
        """Map (n, d) to uint8 (n, 1, h, w)."""
        return decode_latents(self.model, latents.astype(np.float32))


class Components:
    """The leading principal components of images (n, h, w), as an encoder and its decoder."""

    def __init__(self, images: Array, d: int) -> None:
        pixels = images.reshape(len(images), -1).astype(np.float64)
        self.mean, self.shape = pixels.mean(axis=0), images.shape[1:]
        self.axes = np.linalg.eigh(np.cov((pixels - self.mean).T))[1][:, ::-1][:, :d]

    def encode(self, images: Array) -> Array:
        """Map uint8 (n, h, w) to float32 (n, d)."""
        latents = (images.reshape(len(images), -1) - self.mean) @ self.axes
        return np.asarray(latents, dtype=np.float32)

    def decode(self, latents: Array) -> Array:
        """Map (n, d) to uint8 (n, 1, h, w)."""
        pixels = np.rint(latents.astype(np.float64) @ self.axes.T + self.mean)
        return np.clip(pixels, 0, 255).astype(np.uint8).reshape(-1, 1, *self.shape)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--d", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--stopped", action="store_true", help="only: by validation error")
    parser.add_argument("--autoencoder", type=int, metavar="EPOCHS")
    options = parser.parse_args(arguments)
    data = digits_with_labels()
    shown, digits = data["x_test"][:COUNT], data["y_test"][:COUNT].astype(np.int64)
    known = data["y_train"].astype(np.int64)
    network, _ = train_classifier(data["x_train"][:30_000, None], known[:30_000], epochs=2,
                                  progress=False)  # fmt: skip
    print(f"accuracy of the classifier {accuracy(network, shown[:, None], digits):.3f}")
    print("| d | | energy | FID | IS | share of the class that was asked for |")
    print("|---:|---|---:|---:|---:|---:|")
    for d in options.d:
        images = data["x_train"][: options.n]
        coder: Latents | Components
        if options.autoencoder:
            coder = Latents(images, d, options.autoencoder)
        else:
            coder = Components(images, d)
        x, real = coder.encode(images), coder.encode(shown)
        ways = stopped(x) if options.stopped else kinds(x, known[: options.n], options.epochs)
        for name, made, asked in ways:
            energy = metrics.energy_distance(made / x.std(axis=0), real / x.std(axis=0))
            images = coder.decode(made)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                fid = metrics.fid(shown[:, None], images, network, progress=False)
            score = metrics.inception_score(images, network, progress=False)
            right = "" if asked is None else f"{accuracy(network, images, asked):.3f}"
            print(
                f"| {d} | {name} | {energy:.3f} | {fid:.0f} | {score:.1f} | {right} |", flush=True
            )
    kind = "autoencoder" if options.autoencoder else "principal components"
    print(f"\nMNIST, {kind}, {options.n:,} rows, {options.epochs} epochs; {machine.describe()}")
    return 0


def digits_with_labels() -> dict[str, Array]:
    """Return both splits of MNIST; FileNotFoundError where there is no such file."""
    names = [folder / workloads.IMAGE_FILES["mnist"] for folder in workloads.data_folders()]
    path = next((name for name in names if name.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"wanted one of {', '.join(map(str, names))}")
    with np.load(path) as file:
        return {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}


def stopped(x: Array) -> Iterator[tuple[str, Array, None]]:
    """Yield samples of the epoch that a tenth of the rows would choose by its error."""
    gtn, cut = GTN(x.shape[1]), len(x) // 10
    history = gtn.fit(x[cut:], x[:cut], progress=False)
    epochs = f"{history.best_epoch} of {len(history.epochs)} epochs"
    yield f"calibrated, stopped by validation error ({epochs})", gtn.sample(COUNT), None


def kinds(x: Array, digits: Array, epochs: int) -> Iterator[tuple[str, Array, Array | None]]:
    """Yield name, samples (COUNT, d) and, where there are classes, those asked for (COUNT,)."""
    yield "training rows", x[:COUNT], digits[:COUNT]
    for name, of in (("", None), (" of each class", digits)):
        asked = None if of is None else of[np.random.default_rng(3).integers(0, len(x), COUNT)]
        plain, full = normals_like(x, of, 3, COUNT)
        yield f"normals{name}", plain, asked
        yield f"normals{name}, full covariance", full, asked
    gtn = GTN(x.shape[1], epochs=epochs)
    gtn.fit(x, progress=False)
    assert gtn.residuals is not None
    calibrated = gtn.calibration, gtn.residuals
    gtn.calibration, gtn.residuals = None, dataclasses.replace(gtn.residuals, calibration=None)
    yield "ĥ as it is", gtn.sample(COUNT), None
    yield "ĥ plus residuals", gtn.sample(COUNT, residual=True), None
    gtn.calibration, gtn.residuals = calibrated
    yield "calibrated", gtn.sample(COUNT), None
    yield "`residual=True`", gtn.sample(COUNT, residual=True), None
    gtn.fit(x, classes=digits, progress=False)
    asked = gtn.sample_classes(COUNT)
    yield "calibrated, `classes=`", gtn.sample(COUNT), asked
    yield "`residual=True`, `classes=`", gtn.sample(COUNT, residual=True), asked
    flow = Flow(x.shape[1], epochs=epochs)
    flow.fit(x, progress=False)
    yield "a flow, 8 steps", flow.sample(COUNT), None
    flow.fit(x, classes=digits, progress=False)
    yield "a flow, 8 steps, `classes=`", flow.sample(COUNT), flow.sample_classes(COUNT)


if __name__ == "__main__":
    sys.exit(main())
