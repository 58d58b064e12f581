"""The definition of every answer, short and slow: what all else is compared with by ``==``.

algorithm.py   Algorithm 1, its arithmetic and its ties, by cosine or by Euclidean distance; the
               1-D rank labeling
generator.py   the source sample of a seed
"""

from gtn_fast.reference.algorithm import (
    LANES,
    directions_and_norms,
    match,
    norm_order,
    ordered_dot,
    rank,
    squared_distances,
)
from gtn_fast.reference.generator import log_fixed, normal, philox_words, words_to_normal

__all__ = [
    "LANES",
    "directions_and_norms",
    "log_fixed",
    "match",
    "norm_order",
    "normal",
    "ordered_dot",
    "philox_words",
    "rank",
    "squared_distances",
    "words_to_normal",
]
