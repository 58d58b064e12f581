"""Inception Score and FID, computed by torchmetrics (section 3, tables 1 and 3).

Without ``network`` both use Inception's features, as published numbers do. With a network of
one's own (a ``Classifier`` trained on the data, say) they are the same two formulas on its
features and its logits: to be compared with each other, not with published numbers.

Images are uint8 arrays or tensors (n, c, h, w), memory maps too; they are read in batches.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.training.generators import DrawingFrom
from gtn_fast.learn.training.seeds import derive
from gtn_fast.metrics.networks import (
    FeatureNetwork,
    batches,
    check_images,
    distance_metric,
    evaluating,
    score_metric,
)
from gtn_fast.outputs.streams import warn
from gtn_fast.system.openmp import computes_by_torch


@computes_by_torch
def inception_score(
    images: Any,
    network: FeatureNetwork | None = None,
    *,
    splits: int = 10,
    seed: int = 0,
    batch_size: int = 256,
    progress: Any = None,
) -> float:
    """Return the Inception Score: exp of the mean divergence of p(class | image) from p(class).

    From 1 (the network says the same of every image) to the number of classes (it is sure
    of each image and all classes are as frequent). The images are split by ``seed`` into
    ``splits`` parts (10 is the custom) and the mean of their scores is returned; few images
    a part make it smaller.

    Raises
    ------
    TypeError, ValueError
        No uint8 (n, c, h, w) images; fewer than two a part; a network without ``forward``
        or ``features``, or whose logits are not finite; Inception cannot be had.
    """
    images = check_images(images, "images")
    splits = check_integer(splits, "splits", 1, 2**20)
    if len(images) < 2 * splits:
        raise ValueError(
            f"{len(images)} images are too few for {splits} splits: need two a split; pass splits="
        )
    with warnings.catch_warnings(), evaluating(network) as device:
        warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all")
        warnings.filterwarnings("ignore", message=r"std\(\): degrees of freedom")  # splits=1
        metric = score_metric(network, splits, images).to(device)
        for batch in batches(images, network, device, batch_size, "Inception Score", progress):
            metric.update(batch)
        shuffled = torch.Generator().manual_seed(derive(check_seed(seed), "Inception Score"))
        with DrawingFrom(shuffled):
            return float(metric.compute()[0])


@computes_by_torch
def fid(
    real: Any,
    generated: Any,
    network: FeatureNetwork | None = None,
    *,
    batch_size: int = 256,
    progress: Any = None,
) -> float:
    """Return the Fréchet distance of Gaussians fitted to the features of two sets of images.

    ``|m - m'|² + tr(C + C' - 2 (C C')^½)``; 0 for a set and itself. With no more images than
    features a covariance has not full rank and the distance comes out too large: that is
    warned of (UserWarning).

    Raises
    ------
    TypeError, ValueError
        No uint8 (n, c, h, w) images; fewer than two; sets of different shapes; a network
        without ``forward`` or ``features``, or whose features are not finite; Inception
        cannot be had.
    """
    return _fids(real, {"generated": generated}, network, batch_size, progress)["generated"]


@computes_by_torch
def image_scores(
    real: Any,
    generated: Any,
    reconstructed: Any,
    network: FeatureNetwork | None = None,
    *,
    splits: int = 10,
    seed: int = 0,
    batch_size: int = 256,
    progress: Any = None,
) -> dict[str, float]:
    """Return table 1's four numbers: IS, recon_IS, FID, recon_FID.

    IS and recon_IS are the Inception Scores of the generated and of the autoencoder's
    reconstructed images, FID and recon_FID their distances from the real ones. Options and
    errors as for ``inception_score`` and ``fid``.
    """
    sets = {"generated": generated, "reconstructed": reconstructed}
    distances = _fids(real, sets, network, batch_size, progress)
    scores = {
        name: inception_score(
            images, network, splits=splits, seed=seed, batch_size=batch_size, progress=progress
        )
        for name, images in sets.items()
    }
    return {
        "IS": scores["generated"],
        "recon_IS": scores["reconstructed"],
        "FID": distances["generated"],
        "recon_FID": distances["reconstructed"],
    }


def _fids(
    real: Any,
    others: dict[str, Any],
    network: FeatureNetwork | None,
    batch_size: int,
    progress: Any,
) -> dict[str, float]:
    """Return the FID of every set to the real images, whose features are computed once."""
    real = check_images(real, "real", at_least=2)
    checked = {name: check_images(images, name, at_least=2) for name, images in others.items()}
    for name, images in checked.items():
        if images.shape[1:] != real.shape[1:]:
            raise ValueError(
                f"real and {name} images must have one shape (c, h, w):"
                f" {tuple(real.shape[1:])} and {tuple(images.shape[1:])}"
            )
    distances = {}
    with evaluating(network) as device:
        metric = distance_metric(network, real, device).to(device)
        _warn_of_few(metric, {"real": real, **checked})
        for batch in batches(real, network, device, batch_size, "FID, real", progress):
            metric.update(batch, real=True)
        for name, images in checked.items():
            metric.reset()  # of the other side alone
            for batch in batches(images, network, device, batch_size, f"FID, {name}", progress):
                metric.update(batch, real=False)
            distances[name] = max(_distance(metric), 0.0)  # rounding can go below zero
    return distances


def _warn_of_few(metric: Any, sets: dict[str, Any]) -> None:
    features = len(metric.real_features_sum)
    few = [f"{len(images)} {name}" for name, images in sets.items() if len(images) <= features]
    if few:
        warn(
            f"FID from {', '.join(few)} images but {features} features: a covariance has not full"
            f" rank and the distance is too large; use more than {features} images of each",
            stacklevel=5,
        )


def _distance(metric: Any) -> float:
    """Return the metric's value, by other means where torchmetrics' eigenvalues fail."""
    try:
        return float(metric.compute())
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        pass  # happens where features repeat each other or images are few: C C' is singular
    means, covariances = [], []
    for side in ("real", "fake"):
        n = getattr(metric, f"{side}_features_num_samples")
        mean = getattr(metric, f"{side}_features_sum") / n
        products = getattr(metric, f"{side}_features_cov_sum")
        means.append(mean)
        covariances.append((products - n * torch.outer(mean, mean)) / (n - 1))
    # The eigenvalues of C C' are those of C^½ C' C^½, which is symmetric.
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    of_product = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0)
    traces = covariances[0].trace() + covariances[1].trace()
    return float((means[0] - means[1]).square().sum() + traces - 2 * of_product.sqrt().sum())
