"""Folders of image files, CelebA's and HaP's among them.

Decoded in threads: Pillow releases the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gtn_fast.images import transform
from gtn_fast.images.image_set import ImageSet
from gtn_fast.inputs.arguments import check_threads
from gtn_fast.inputs.files import FileError, check_file
from gtn_fast.inputs.wording import in_short, listing
from gtn_fast.planning.memory import check_room
from gtn_fast.run.progress import progress_bar
from gtn_fast.system.ending import long_call, stop_here
from gtn_fast.system.workers import in_threads

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
    ".jpe",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
)
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # what Pillow may try
_GREY = ("1", "L", "LA")
_CHUNK = 32  # files that a thread takes at once
CELEBA, HAP = "img_align_celeba", "Hands"
_CELEBA_CROP, _SIDE = 148, 64  # appendix F
_PARTITION = {"train": "0", "test": "2"}  # of list_eval_partition; 1 is for validation

T = TypeVar("T")


def read_folder(
    path: Path,
    split: str,
    side: int | None,
    limit: int | None,
    progress: Any = None,
    skip_damaged: bool = False,
) -> ImageSet:
    """Read all images of a folder, ascending by path; subfolders are classes, ascending by name.

    A subfolder named like the split holds that split. All grey: one channel; otherwise
    RGB. With ``side``, the centre square of each image is resized to it; without, all must
    have one size. ``limit`` spreads evenly over the classes. FileError names the first
    file that cannot be read or is of another size.
    """
    root = path / split if (path / split).is_dir() else path
    if root == path and split != "train":
        raise FileError(f"{path}: no folder {split} in it")
    files, labels, classes = _classes(root)
    kept = _spread(len(files), limit) if classes else np.arange(len(files))[:limit]
    files = [files[i] for i in kept]
    left_out: list[str] = []
    looked: list[Any] = _in_threads(
        _trying(_header, skip_damaged), files, "look at images", progress
    )
    good = _good(looked, left_out)
    files, kept, headers = [files[i] for i in good], kept[good], [looked[i] for i in good]
    grey = all(mode in _GREY for mode, _ in headers)
    if side is None:
        for file, (_, size) in zip(files, headers, strict=True):
            if size != headers[0][1]:
                raise FileError(
                    f"{file}: is {_by(size)}, but {files[0].name} is {_by(headers[0][1])};"
                    " side= resizes all"
                )
    channels = 1 if grey else 3

    def prepare(image: Image.Image) -> Image.Image:
        return image if side is None else transform.resize(transform.center_crop(image), side)

    images, good = _decode(files, prepare, channels, progress, skip_damaged, left_out)
    labels = None if labels is None else labels[kept][good]
    return ImageSet(images, labels, str(path), classes, tuple(left_out))


def read_celeba(
    path: Path,
    split: str,
    side: int | None,
    limit: int | None,
    progress: Any = None,
    skip_damaged: bool = False,
) -> ImageSet:
    """Read CelebA's aligned jpgs: the centre 148 x 148, resized to 64 x 64 (appendix F).

    Where list_eval_partition.txt (or .csv) lies beside the folder, ``split`` follows it.
    """
    folder = find(path, CELEBA)
    files = _image_files(folder)
    chosen = _partition(folder, split)
    if chosen is not None:
        files = [file for file in files if file.name in chosen]
    elif split != "train":
        raise FileError(f"{path}: no list_eval_partition.txt, so there is no split {split!r}")
    if not files:
        raise FileError(f"{folder}: no images of the split {split!r}")

    def prepare(image: Image.Image) -> Image.Image:
        return transform.resize(transform.center_crop(image, _CELEBA_CROP), side or _SIDE)

    left_out: list[str] = []
    images, _ = _decode(files[:limit], prepare, 3, progress, skip_damaged, left_out)
    return ImageSet(images, None, str(path), left_out=tuple(left_out))


def read_hap(
    path: Path,
    split: str,
    side: int | None,
    limit: int | None,
    progress: Any = None,
    skip_damaged: bool = False,
) -> ImageSet:
    """Read the Hands and Palm images: the whole picture resized to 64 x 64 (appendix F)."""
    if split != "train":
        raise FileError(f"{path}: HaP has no split {split!r}")
    wanted = side or _SIDE

    def prepare(image: Image.Image) -> Image.Image:
        return transform.resize(image, wanted)

    files = _image_files(find(path, HAP))[:limit]
    # 1600 x 1200: the JPEG decoder halves them exactly and fast, down to twice what is wanted.
    left_out: list[str] = []
    images, _ = _decode(files, prepare, 3, progress, skip_damaged, left_out, draft=2 * wanted)
    return ImageSet(images, None, str(path), left_out=tuple(left_out))


def find(path: Path, name: str) -> Path:
    """Return the folder ``name`` at or below ``path`` that holds the files (archives nest it)."""
    for folder in (path / name / name, path / name, path):
        if folder.is_dir() and any(_is_image(file) for file in folder.iterdir()):
            return folder
    raise FileError(f"{path}: no images in it, nor in a folder {name} in it")


def _classes(root: Path) -> tuple[list[Path], NDArray[np.int64] | None, tuple[str, ...]]:
    """Return the files and, for folders of classes, the class of each and the classes' names."""
    loose = [file for file in sorted(root.iterdir()) if _is_image(file)]
    by_class = {
        folder.name: [file for file in sorted(folder.rglob("*")) if _is_image(file)]
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith((".", "__"))
    }
    by_class = {name: files for name, files in by_class.items() if files}
    if loose and by_class:
        raise FileError(
            f"{root}: images ({loose[0].name}, ...) beside folders of images"
            f" ({listing(by_class)}): wanted either"
        )
    if not loose and not by_class:
        raise FileError(f"{root}: no images; wanted files named *{', *'.join(SUFFIXES)}")
    if loose:
        return loose, None, ()
    files = [file for group in by_class.values() for file in group]
    sizes = [len(group) for group in by_class.values()]
    return files, np.repeat(np.arange(len(sizes)), sizes), tuple(by_class)


def _image_files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if _is_image(file)]


def _is_image(file: Path) -> bool:
    # macOS archives leave ._name.jpg beside name.jpg.
    named = file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    return named and file.is_file()


def _spread(n: int, limit: int | None) -> NDArray[np.int64]:
    """Return ``limit`` of n rows, evenly apart."""
    if limit is None or limit >= n:
        return np.arange(n)
    return np.arange(limit) * n // limit


def _partition(folder: Path, split: str) -> set[str] | None:
    """Return the file names of CelebA's split; None without its list."""
    lists = [
        parent / f"list_eval_partition.{suffix}"
        for parent in (folder.parent, folder.parent.parent)
        for suffix in ("txt", "csv")
    ]
    found = next((file for file in lists if file.is_file()), None)
    if found is None:
        return None
    lines = found.read_text(encoding="utf-8", errors="replace").replace(",", " ").splitlines()
    pairs = [line.split() for line in lines]
    return {pair[0] for pair in pairs if len(pair) == 2 and pair[1] == _PARTITION[split]}


def _header(file: Path) -> tuple[str, tuple[int, int]]:
    """Return mode and (width, height), as it is shown, without decoding."""
    with _opened(file) as image:
        width, height = image.size
        return image.mode, (height, width) if transform.lies(image) else (width, height)


def _decode(
    files: Sequence[Path],
    prepare: Callable[[Image.Image], Image.Image],
    channels: int,
    progress: Any,
    skip_damaged: bool,
    left_out: list[str],
    draft: int = 0,
) -> tuple[NDArray[np.uint8], list[int]]:
    """Decode and prepare each file: uint8 (n, channels, h, w), and which of the files they are.

    FileError names a bad file; ``skip_damaged`` appends it to ``left_out``.
    """

    def decode(file: Path) -> NDArray[np.uint8]:
        with _opened(file) as image:
            if draft:
                image.draft("RGB", (draft, draft))
            try:
                return transform.to_array(prepare(transform.as_shown(image)), channels)
            except MemoryError:
                raise
            except Exception as error:  # Pillow's decoders raise nearly anything on hostile files
                raise FileError(f"{file}: {in_short(error)}") from None

    tried = _trying(decode, skip_damaged)
    first = next((each for each in map(tried, files) if not isinstance(each, FileError)), None)
    if first is None:
        _good([tried(file) for file in files[:1]], left_out)
        raise FileError(f"none of the images can be read: {left_out[0]}")
    check_room(len(files) * first.nbytes, f"reading {len(files):,} images")
    out = np.empty((len(files), *first.shape), np.uint8)

    def place(i: int) -> FileError | None:
        found = tried(files[i])
        if isinstance(found, FileError):
            return found
        out[i] = found
        return None

    good = _good(_in_threads(place, range(len(files)), "read images", progress), left_out)
    return (out if len(good) == len(files) else out[good]), good


def _trying(work: Callable[[Path], T], skip_damaged: bool) -> Callable[[Path], T | FileError]:
    """Return ``work``, or what returns its FileError instead of raising it."""
    if not skip_damaged:
        return work

    def tried(file: Path) -> T | FileError:
        try:
            return work(file)
        except FileError as error:
            return error

    return tried


def _good(results: Sequence[Any], left_out: list[str]) -> list[int]:
    """Return which results are no errors; the errors go to ``left_out``."""
    left_out += [str(each) for each in results if isinstance(each, FileError)]
    return [i for i, each in enumerate(results) if not isinstance(each, FileError)]


def _opened(file: Path) -> Image.Image:
    check_file(file)
    try:
        return Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError:
        raise FileError(f"{file}: not a readable image") from None
    except Exception as error:  # too large, damaged in the header, not permitted
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{file}: {reason}") from None


def _in_threads(
    work: Callable[[Any], T], items: Sequence[Any], title: str, progress: Any
) -> list[T]:
    """Do ``work`` for each item on all CPUs; results in order, the first item's error is raised."""
    chunks = [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]
    results: list[T] = []

    def read(chunk: Sequence[Any]) -> list[T]:
        stop_here()
        return [work(item) for item in chunk]

    with (
        long_call(),
        progress_bar(len(items), title, "images", progress) as bar,
        closing(in_threads(read, chunks, check_threads(None))) as parts,
    ):
        for done in parts:
            results += done
            bar.update(len(done))
    return results


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
