"""How good are the samples: numbers for points (latents) and for images.

points.py    energy distance, sliced Wasserstein distance, distance to the uniform, share
             inside boxes, and the copy check: are samples just training points? Intrinsic
             dimension, farthest points
images.py    Inception Score and FID through torchmetrics, on Inception's features or on
             those of any classifier
coverage.py  precision, recall, density, coverage

Not imported here, for they need the sets of gtn_fast.manifolds, GUDHI or SciPy:

manifold.py  distance from a set of known shape, how evenly it is covered, errors of paths
homology.py  persistent Betti numbers
graph.py     the graph of nearest rows, its pieces and regions
topology.py  which generator fits the shape of data: one GTN, clusters, an atlas
"""

from gtn_fast.metrics.coverage import prdc
from gtn_fast.metrics.images import fid, image_scores, inception_score
from gtn_fast.metrics.networks import FeatureNetwork
from gtn_fast.metrics.points import (
    energy_distance,
    farthest,
    intrinsic_dimension,
    ks_uniform,
    nearest,
    nearest_copies,
    share_inside,
    sliced_wasserstein,
)

__all__ = [
    "FeatureNetwork",
    "energy_distance",
    "farthest",
    "fid",
    "image_scores",
    "inception_score",
    "intrinsic_dimension",
    "ks_uniform",
    "nearest",
    "nearest_copies",
    "prdc",
    "share_inside",
    "sliced_wasserstein",
]
