"""Atlases of every kind from their files."""

from __future__ import annotations

from pathlib import Path

import torch

from gtn_fast.atlas import ddpm, gtn, model
from gtn_fast.atlas.ddpm import DDPM
from gtn_fast.atlas.gtn import AtlasGTN
from gtn_fast.atlas.model import Atlas, NetworkAtlas
from gtn_fast.inputs.wording import a_path
from gtn_fast.learn.training.store import PathLike
from gtn_fast.outputs.kinds import tensors_kind

KINDS = (model.KIND, gtn.KIND, ddpm.KIND)


def load_atlas(path: PathLike, device: torch.device | str | None = None) -> Atlas:
    """Load a NetworkAtlas, AtlasGTN or DDPM, in eval mode; FileError for anything else."""
    kind = tensors_kind(Path(a_path(path, "path")))
    if kind == gtn.KIND:
        return AtlasGTN.load(path, device)
    if kind == ddpm.KIND:
        return DDPM.load(path, device)
    return NetworkAtlas.load(path, device)
