"""Sets of images whose shape is known: the truth that generators are measured against.

A picture of each set is a smooth formula of a few parameters, so the set of all its pictures is a
circle, a sphere, a torus or a Klein bottle, and its Betti numbers are known, not estimated.

manifold     the set of that name; MANIFOLDS: all that have images
sets.py      what is known of each set, and the law of its parameters
render.py    the formulas of the pictures, in torch
project.py   Projector: the nearest picture of a set to any image, and how far it is
linkage.py   Cyclooctane: points in R^24 that satisfy equations, a set that is no manifold
"""

from gtn_fast.manifolds.project import Projected, Projector
from gtn_fast.manifolds.sets import MANIFOLDS, Manifold, manifold

__all__ = ["MANIFOLDS", "Manifold", "Projected", "Projector", "manifold"]
