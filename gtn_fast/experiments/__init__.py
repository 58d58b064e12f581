"""The paper's experiments: each a short file, a fixed seed, its figures and its numbers.

    swiss_roll    figures 3 (A), 4 and 12: one dimension, and diffusion beside it
    uniform       figures 3 (B) and 11: the square, and what sorting is for
    two_squares   figure 9: data of two components
    images        figures 1, 6, 7, 8, 15 and 17, tables 1 and 3: images through autoencoders
    dimension     section 2.1's claim: generating above the intrinsic dimension hurts
    topology      sets of known topology: one latent space, and an atlas (with topology_models)
    geodesics     shortest paths through charts: Stolberg-Larsen and Sommer's table 1
    atlas_invariants  holes, pieces and orientation, as charts see them
    couplings     flows on pairs of several couplings, 1 to 32 steps
    plane         labels and training of the two experiments in the plane
    report        Notes, Line, Result, and run(), which writes them down
    registry      the list of them

``run(name, out)`` is all there is to call. Importing this package does not import torch.
"""

from __future__ import annotations

from gtn_fast.experiments.registry import EXPERIMENTS, Experiment
from gtn_fast.experiments.report import Line, Notes, Result, run

__all__ = ["EXPERIMENTS", "Experiment", "Line", "Notes", "Result", "run"]
