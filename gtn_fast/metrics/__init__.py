"""How good are the samples: numbers for points (latents) and for images.

points.py   energy distance, sliced Wasserstein distance, distance to the uniform, share
            inside boxes, and the copy check: are samples just training points?
images.py   Inception Score and FID through torchmetrics, on Inception's features or on
            those of any classifier
"""

from gtn_fast.metrics.images import fid, image_scores, inception_score
from gtn_fast.metrics.networks import FeatureNetwork
from gtn_fast.metrics.points import (
    energy_distance,
    ks_uniform,
    nearest,
    nearest_copies,
    share_inside,
    sliced_wasserstein,
)

__all__ = [
    "FeatureNetwork",
    "energy_distance",
    "fid",
    "image_scores",
    "inception_score",
    "ks_uniform",
    "nearest",
    "nearest_copies",
    "share_inside",
    "sliced_wasserstein",
]
