"""Atlases of either kind from their files."""

from __future__ import annotations

from pathlib import Path

import torch

from gtn_fast.atlas import gtn, model
from gtn_fast.atlas.gtn import AtlasGTN
from gtn_fast.atlas.model import Atlas, NetworkAtlas
from gtn_fast.inputs.wording import a_path
from gtn_fast.learn.training.store import PathLike
from gtn_fast.outputs.kinds import tensors_kind

KINDS = (model.KIND, gtn.KIND)


def load_atlas(path: PathLike, device: torch.device | str | None = None) -> Atlas:
    """Load a NetworkAtlas or an AtlasGTN, in eval mode; FileError for anything else."""
    if tensors_kind(Path(a_path(path, "path"))) == gtn.KIND:
        return AtlasGTN.load(path, device)
    return NetworkAtlas.load(path, device)
