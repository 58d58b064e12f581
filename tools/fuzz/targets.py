"""All targets by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

TARGETS = {
    "labels": "stored.LabelsFile",
    "label-checkpoint": "stored.LabelCheckpoint",
    "gtn": "models.GTNFile",
    "flow": "models.FlowFile",
    "autoencoder": "models.AutoencoderFile",
    "vae": "models.VAEFile",
    "classifier": "models.ClassifierFile",
    "ddpm": "models.DDPMFile",
    "training-checkpoint": "models.TrainingCheckpoint",
    "arrays": "arrays.Arrays",
    "files": "files.OtherFiles",
    "pictures": "pictures.Pictures",
    "commands": "commands.Commands",
}


def made(name: str, folder: Path) -> Any:
    """Make a target, with its files in the folder."""
    module, _, cls = TARGETS[name].partition(".")
    return getattr(importlib.import_module(f"tools.fuzz.{module}"), cls)(folder)
