"""Crop and resize, as appendix F of the paper does (Pillow's antialiased bilinear filter)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

# torchvision's Resize takes this filter for Pillow images too.
FILTER = Image.Resampling.BILINEAR


def center_crop(image: Image.Image, size: int | None = None) -> Image.Image:
    """Cut out the square of ``size`` pixels around the centre; None: the largest there is.

    ValueError if the image is smaller than that.
    """
    width, height = image.size
    if size is None:
        size = min(width, height)
    if size > min(width, height):
        raise ValueError(f"is {width}x{height}, smaller than the {size}x{size} to be cropped")
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def resize(image: Image.Image, side: int) -> Image.Image:
    """Resize to ``side`` x ``side`` pixels; another aspect ratio is squeezed."""
    return image if image.size == (side, side) else image.resize((side, side), FILTER)


def lies(image: Image.Image) -> bool:
    """Tell whether the camera was held upright: width and height are shown exchanged."""
    return _orientation(image) in (5, 6, 7, 8)


def as_shown(image: Image.Image) -> Image.Image:
    """Return the image as viewers show it: turned as EXIF says, on white where transparent."""
    if _orientation(image) in range(2, 9):
        image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        grey = image.mode in ("L", "LA", "La", "1")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("L" if grey else "RGB")
    return image.convert("RGB") if image.mode == "P" else image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data: the picture may be whole
        return 1


def to_array(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """Return uint8 (channels, height, width); ValueError for more than 8 bits per channel."""
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"has more than 8 bits a channel (mode {image.mode})")
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def resize_images(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Crop all of uint8 (n, c, h, w) to the centre square, resized to ``side`` x ``side``."""
    if images.shape[2:] == (side, side):
        return images
    n, channels = images.shape[:2]
    out = np.empty((n, channels, side, side), np.uint8)
    for i, pixels in enumerate(images):
        whole = Image.fromarray(pixels[0] if channels == 1 else pixels.transpose(1, 2, 0))
        out[i] = to_array(resize(center_crop(whole), side), channels)
    return out
