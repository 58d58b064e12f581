"""Folders of image files, in the layouts that people have and that CelebA and HaP come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gtn_fast.images import load_images
from gtn_fast.images.transform import center_crop, resize, to_array


def picture(path: Path, pixels: np.ndarray, **options) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def smooth(rng, height: int, width: int) -> np.ndarray:
    """An image without fine detail, which JPEG keeps within a few grey levels."""
    coarse = rng.integers(40, 216, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def test_png_come_back_exactly_in_order_of_their_names(tmp_path, rng):
    pixels = rng.integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)
    for name, each in zip("bca", pixels, strict=True):
        picture(tmp_path / f"{name}.png", each)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._a.png").write_text("what macOS leaves")
    found = load_images(tmp_path)
    assert found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images, pixels[[2, 0, 1]].transpose(0, 3, 1, 2))
    assert found.labels is None


def test_all_grey_is_one_channel_and_any_colour_makes_three(tmp_path, rng):
    grey = picture(tmp_path / "a.png", rng.integers(0, 256, (4, 4), dtype=np.uint8))
    picture(tmp_path / "b.png", rng.integers(0, 256, (4, 4), dtype=np.uint8))
    found = load_images(tmp_path).images
    assert found.shape == (2, 1, 4, 4)
    np.testing.assert_array_equal(found[0, 0], grey)
    colour = picture(tmp_path / "c.png", rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    found = load_images(tmp_path).images
    assert found.shape == (3, 3, 4, 4)
    np.testing.assert_array_equal(found[0], [grey] * 3)
    np.testing.assert_array_equal(found[2], colour.transpose(2, 0, 1))


def test_other_modes_become_rgb(tmp_path):
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    (tmp_path / "in").mkdir()
    red.convert("RGBA").save(tmp_path / "in" / "a.png")
    red.convert("P").save(tmp_path / "in" / "b.png", transparency=bytes([0] * 5))
    red.convert("P").save(tmp_path / "in" / "c.gif")
    red.save(tmp_path / "in" / "d.webp", lossless=True)
    found = load_images(tmp_path / "in").images
    np.testing.assert_array_equal(found, np.tile([[[[255]], [[0]], [[0]]]], (4, 1, 4, 4)))


def test_subfolders_are_classes_and_limit_takes_from_all(tmp_path):
    for label, name in enumerate(("cat", "dog", "emu")):
        for i in range(4):
            picture(tmp_path / name / f"{i}.png", np.full((4, 4), 10 * label + i, np.uint8))
    found = load_images(tmp_path)
    assert found.classes == ("cat", "dog", "emu")
    np.testing.assert_array_equal(found.labels, np.repeat([0, 1, 2], 4))
    np.testing.assert_array_equal(
        found.images[:, 0, 0, 0], [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
    )
    some = load_images(tmp_path, limit=3)
    np.testing.assert_array_equal(some.labels, [0, 1, 2])
    np.testing.assert_array_equal(some.images[:, 0, 0, 0], [0, 10, 20])


def test_folders_named_like_the_splits_hold_them(tmp_path):
    picture(tmp_path / "train" / "cat" / "0.png", np.full((4, 4), 1, np.uint8))
    picture(tmp_path / "test" / "cat" / "0.png", np.full((4, 4), 2, np.uint8))
    assert load_images(tmp_path).images[0, 0, 0, 0] == 1
    assert load_images(tmp_path, split="test").images[0, 0, 0, 0] == 2
    with pytest.raises(ValueError, match="no folder test"):
        load_images(tmp_path / "train", split="test")


def test_mixed_sizes_name_the_first_odd_file_and_side_resizes_them(tmp_path, rng):
    picture(tmp_path / "a.png", rng.integers(0, 256, (8, 8), dtype=np.uint8))
    picture(tmp_path / "b.png", np.full((9, 15), 7, np.uint8))
    picture(tmp_path / "c.png", np.full((30, 9), 8, np.uint8))
    with pytest.raises(ValueError, match=r"b\.png: is 15x9, but a\.png is 8x8; side= resizes"):
        load_images(tmp_path)
    found = load_images(tmp_path, side=4).images
    assert found.shape == (3, 1, 4, 4)
    assert (found[1] == 7).all()
    assert (found[2] == 8).all()


def test_many_files_keep_their_rows_whatever_thread_reads_them(tmp_path):
    for i in range(150):
        picture(tmp_path / f"{i:03d}.png", np.full((4, 4), i, np.uint8))
    calls = []
    found = load_images(tmp_path, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(found.images[:, 0, 0, 0], np.arange(150))
    assert calls[-1] == (150, 150)


@pytest.mark.parametrize("bad", ["noise", "cut", "empty", "sixteen"])
def test_an_unreadable_image_is_named(tmp_path, rng, bad):
    for i in range(70):
        picture(tmp_path / f"{i:02d}.png", rng.integers(0, 256, (16, 16), dtype=np.uint8))
    file = tmp_path / "65.png"
    if bad == "sixteen":
        Image.fromarray(np.zeros((16, 16), np.uint16)).save(file)
    else:
        whole = file.read_bytes()
        file.write_bytes({"noise": b"PNG?" * 9, "cut": whole[:180], "empty": b""}[bad])
    with pytest.raises(ValueError, match=r"65\.png: "):
        load_images(tmp_path)


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no images"):
        load_images(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        load_images(tmp_path / "absent")
    picture(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    picture(tmp_path / "cat" / "a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"images \(a\.png, \.\.\.\) beside folders"):
        load_images(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "jpeg"}, ValueError, "unknown kind 'jpeg'; valid: auto, folder"),
        ({"split": "val"}, ValueError, "unknown split 'val'; valid: train, test"),
        ({"side": 0}, ValueError, "side must be from 1"),
        ({"limit": 2.5}, TypeError, "limit must be an integer"),
        ({"key": "x"}, ValueError, "key= names an array of an .npz"),
        ({"progress": 3}, TypeError, "progress must be"),
    ],
)
def test_bad_arguments(tmp_path, arguments, error, message):
    picture(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(error, match=message):
        load_images(tmp_path, **arguments)


def celeba(root: Path, rng, n: int) -> list[np.ndarray]:
    folder = root / "img_align_celeba"
    return [
        picture(folder / f"{i + 1:06d}.jpg", smooth(rng, 218, 178), quality=95) for i in range(n)
    ]


def test_celeba_is_cropped_to_148_and_resized_to_64(tmp_path, rng):
    originals = celeba(tmp_path, rng, 3)
    for path in (tmp_path, tmp_path / "img_align_celeba"):
        found = load_images(path)
        assert found.images.shape == (3, 3, 64, 64)
        for got, pixels in zip(found.images, originals, strict=True):
            # 35 rows above and below, 15 columns left and right, as torchvision's CenterCrop.
            middle = Image.fromarray(pixels[35:183, 15:163])
            wanted = to_array(resize(middle, 64), 3).astype(int)
            assert np.abs(got - wanted).max() <= 6
    assert load_images(tmp_path, side=32, limit=2).images.shape == (2, 3, 32, 32)


def test_celeba_splits_by_its_list(tmp_path, rng):
    celeba(tmp_path, rng, 4)
    everything = load_images(tmp_path).images
    with pytest.raises(ValueError, match="list_eval_partition"):
        load_images(tmp_path, split="test")
    (tmp_path / "list_eval_partition.txt").write_text(
        "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 0\n"
    )
    np.testing.assert_array_equal(load_images(tmp_path).images, everything[[0, 3]])
    np.testing.assert_array_equal(load_images(tmp_path, split="test").images, everything[[2]])


def test_celeba_smaller_than_the_crop_is_named(tmp_path, rng):
    celeba(tmp_path, rng, 1)
    picture(tmp_path / "img_align_celeba" / "000002.jpg", np.zeros((100, 178, 3), np.uint8))
    with pytest.raises(ValueError, match=r"000002\.jpg: is 178x100, smaller than the 148x148"):
        load_images(tmp_path)


@pytest.mark.parametrize("inner", ["Hands", "Hands/Hands"])
def test_hap_is_squeezed_to_64(tmp_path, rng, inner):
    pixels = picture(
        tmp_path / inner / "Hand_0000002.jpg", smooth(rng, 1200, 1600), quality=95
    ).astype(np.uint8)
    found = load_images(tmp_path)
    assert found.images.shape == (1, 3, 64, 64)
    wanted = to_array(resize(Image.fromarray(pixels), 64), 3).astype(int)
    # Also that decoding at a fraction of the size gives what decoding all of it gives.
    assert np.abs(found.images[0] - wanted).max() <= 6
    with pytest.raises(ValueError, match="no split 'test'"):
        load_images(tmp_path, split="test")


def test_center_crop_takes_the_middle():
    image = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7))
    np.testing.assert_array_equal(
        np.asarray(center_crop(image, 3)), [[9, 10, 11], [16, 17, 18], [23, 24, 25]]
    )
    assert center_crop(image).size == (5, 5)
