"""What every reader of this folder returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS = (1, 3)


@dataclass(frozen=True)
class ImageSet:
    """Images in memory, and their classes where the files tell them.

    images: uint8 (n, c, h, w), c = 1 (grey) or 3 (RGB), n >= 1.
    labels: int64 (n,) or None.
    classes: what label i is called, or empty.
    left_out: files that could not be read, and why, where that was asked for.
    Raises TypeError for another dtype and ValueError for another shape or for labels
    that are not one per image.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    name: str
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8:
            raise TypeError(f"{self.name}: images must be uint8 (0 to 255), got {images.dtype}")
        if images.ndim != 4 or images.shape[1] not in CHANNELS:
            raise ValueError(
                f"{self.name}: images must have shape (n, channels, height, width) with 1 or 3"
                f" channels, got {images.shape}"
            )
        if 0 in images.shape:
            raise ValueError(f"{self.name}: no images: shape {images.shape}")
        if labels is not None and labels.shape != (len(images),):
            raise ValueError(
                f"{self.name}: wanted one label for each of {len(images)} images,"
                f" got labels of shape {labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def first(self, limit: int | None) -> ImageSet:
        """Return the first ``limit`` images, in memory of their own; all of them for None."""
        if limit is None or limit >= len(self):
            return self
        labels = None if self.labels is None else self.labels[:limit].copy()
        return ImageSet(self.images[:limit].copy(), labels, self.name, self.classes, self.left_out)


def label_array(values: Any, name: str) -> NDArray[np.int64]:
    """Return class labels as int64; TypeError unless they are integers."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: labels must be integers, got dtype {array.dtype}")
    return array.astype(np.int64)
