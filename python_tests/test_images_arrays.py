"""Image data sets in array files: npz and npy, idx, CIFAR's pickles."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from gtn_fast.images import load_images


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (5, 8, 12, 3), dtype=np.uint8)


# --- npz, npy --------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["nhw", "nhwc", "nchw", "nhw1"])
def test_every_layout_gives_channels_first(tmp_path, pixels, layout):
    stored = {
        "nhw": pixels[..., 0],
        "nhwc": pixels,
        "nchw": pixels.transpose(0, 3, 1, 2),
        "nhw1": pixels[..., :1],
    }[layout]
    np.savez(tmp_path / "a.npz", x_train=stored, y_train=np.arange(5, dtype=np.uint8))
    np.save(tmp_path / "a.npy", stored)
    channels = 3 if layout in ("nhwc", "nchw") else 1
    wanted = pixels.transpose(0, 3, 1, 2)[:, :channels]
    for name in ("a.npz", "a.npy"):
        found = load_images(tmp_path / name)
        np.testing.assert_array_equal(found.images, wanted)
        assert found.images.flags.c_contiguous
    labels = load_images(tmp_path / "a.npz").labels
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, np.arange(5))


def test_splits_of_an_npz(tmp_path, pixels):
    np.savez(tmp_path / "a.npz", x_train=pixels[:3], y_train=[0, 1, 2], x_test=pixels[3:])
    assert len(load_images(tmp_path / "a.npz")) == 3
    test = load_images(tmp_path / "a.npz", split="test")
    np.testing.assert_array_equal(test.images, pixels[3:].transpose(0, 3, 1, 2))
    assert test.labels is None


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("images", "labels"), ("X", "y"), ("faces", "")])
def test_names_in_an_npz(tmp_path, pixels, x, y):
    arrays = {x: pixels, "means": np.zeros((5, 2))} | ({y: np.arange(5)} if y else {})
    np.savez(tmp_path / "a.npz", **arrays)
    for key in (None, x):
        found = load_images(tmp_path / "a.npz", key=key)
        np.testing.assert_array_equal(found.images, pixels.transpose(0, 3, 1, 2))
        assert (found.labels is None) == (not y)
    with pytest.raises(ValueError, match="no x_test"):
        load_images(tmp_path / "a.npz", split="test")


def test_limit_and_side(tmp_path, pixels):
    np.savez(tmp_path / "a.npz", x=pixels, y=np.arange(5))
    found = load_images(tmp_path / "a.npz", limit=2, side=8)
    assert found.images.shape == (2, 3, 8, 8)
    # The centre square already has that side: nothing is interpolated.
    np.testing.assert_array_equal(found.images, pixels[:2, :, 2:10].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(found.labels, [0, 1])
    np.save(tmp_path / "a.npy", pixels)
    np.testing.assert_array_equal(
        load_images(tmp_path / "a.npy", limit=2).images, pixels[:2].transpose(0, 3, 1, 2)
    )


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"x": np.zeros((2, 8, 8))}, TypeError, r"a\.npz:x: images must be uint8 .* got float64"),
        ({"x": np.zeros((2, 8), np.uint8)}, ValueError, r"wanted images .* got \(2, 8\)"),
        ({"x": np.zeros((2, 8, 8, 4), np.uint8)}, ValueError, "no axis of 1 or 3 channels"),
        ({"x": np.zeros((2, 3, 8, 1), np.uint8)}, ValueError, "channels first or last"),
        ({"x": np.zeros((0, 8, 8), np.uint8)}, ValueError, "no images"),
        (
            {"x": np.zeros((2, 8, 8), np.uint8), "y": np.zeros(3, int)},
            ValueError,
            r"one label for each of 2 images, got labels of shape \(3,\)",
        ),
        (
            {"x": np.zeros((2, 8, 8), np.uint8), "y": np.zeros(2)},
            TypeError,
            "labels must be integers, got dtype float64",
        ),
        (
            {"a": np.zeros((2, 8, 8), np.uint8), "b": np.zeros((2, 8, 8), np.uint8)},
            ValueError,
            r"it holds several \(a, b\)",
        ),
        ({"a": np.zeros(3)}, ValueError, "it holds none"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, arrays, error, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(error, match=message):
        load_images(tmp_path / "a.npz")


def test_a_damaged_npz_and_one_with_pickles(tmp_path, pixels):
    np.savez(tmp_path / "a.npz", x=pixels)
    with pytest.raises(ValueError, match=r"no key 'z'; it holds: x"):
        load_images(tmp_path / "a.npz", key="z")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.npz: not a readable \.npz"):
        load_images(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"neither zip nor array")
    with pytest.raises(ValueError, match=r"a\.npz: not a readable \.npz"):
        load_images(tmp_path / "a.npz")
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"a\.npy: not a readable \.npy"):
        load_images(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"b\.npz:x: holds Python objects"):
        load_images(tmp_path / "b.npz")


# --- idx -------------------------------------------------------------------------


def idx(array: np.ndarray, type_code: int = 8) -> bytes:
    header = bytes((0, 0, type_code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def mnist(folder: Path, rng, zipped: bool, name: str = "{}-{}-idx{}-ubyte"):
    images = rng.integers(0, 256, (6, 8, 9), dtype=np.uint8)
    labels = np.array([3, 1, 4, 1, 5, 9], np.uint8)
    for split, rows in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        for what, array in (("images", images[rows]), ("labels", labels[rows])):
            file = folder / name.format(split, what, array.ndim)
            if zipped:
                file.with_name(file.name + ".gz").write_bytes(gzip.compress(idx(array)))
            else:
                file.write_bytes(idx(array))
    return images, labels


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte"])
def test_a_folder_of_idx_files(tmp_path, rng, zipped, name):
    images, labels = mnist(tmp_path, rng, zipped, name)
    for split, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        found = load_images(tmp_path, split=split)
        np.testing.assert_array_equal(found.images, images[rows, None])
        np.testing.assert_array_equal(found.labels, labels[rows])


def test_one_idx_file_finds_its_labels(tmp_path, rng):
    images, labels = mnist(tmp_path, rng, zipped=True)
    found = load_images(tmp_path / "t10k-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(found.images, images[4:, None])
    np.testing.assert_array_equal(found.labels, labels[4:])
    for file in tmp_path.glob("*labels*"):
        file.unlink()
    assert load_images(tmp_path / "t10k-images-idx3-ubyte.gz").labels is None


def bad_idx(array: np.ndarray) -> dict[str, tuple[bytes, str]]:
    good = idx(array)
    return {
        "floats": (idx(array, 13), "begins with 00000d03, wanted 00000803"),
        "labels": (idx(array[:, 0, 0]), "begins with 00000801, wanted 00000803"),
        "empty": (b"", "begins with nothing"),
        "header": (good[:9], "ends inside its header"),
        "short": (good[:-1], "says 4x8x9 = 288 bytes, but it holds 287"),
        "long": (good + b"x", "holds more than 288"),
        "gzip": (gzip.compress(good)[:-20], "damaged gzip"),
        "gzip promises": (
            gzip.compress(good[:4] + (1 << 20).to_bytes(4, "big") * 3),
            "its header says .* but it holds at most",
        ),
        "gzip noise": (b"\x1f\x8b" + bytes(30), "damaged gzip"),
    }


@pytest.mark.parametrize("case", bad_idx(np.zeros((4, 8, 9), np.uint8)))
def test_damaged_idx_files_are_named(tmp_path, case):
    content, message = bad_idx(np.zeros((4, 8, 9), np.uint8))[case]
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_images(tmp_path)
    assert str(caught.value).startswith(str(file))


def test_idx_labels_of_another_length(tmp_path, rng):
    mnist(tmp_path, rng, zipped=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(ValueError, match=r"one label for each of 4 images"):
        load_images(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(ValueError, match="no t10k-images"):
        load_images(tmp_path, split="test")


# --- CIFAR -----------------------------------------------------------------------


def python2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """Byte for byte what Python 2's NumPy wrote: str keys and data, protocol 2."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def integer(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|")
    dtype += b"NNN" + integer(-1) + integer(-1) + b"K\x00tb"
    raw = b"T" + struct.pack("<i", data.nbytes) + data.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b")
    array += b"tR(K\x01" + integer(data.shape[0]) + integer(data.shape[1]) + b"\x86"
    array += dtype + b"\x89" + raw + b"tb"
    listed = b"](" + b"".join(integer(label) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + b"u."


def cifar10(folder: Path, rng, write):
    folder.mkdir()
    data = rng.integers(0, 256, (6, 3072), dtype=np.uint8)
    labels = [3, 8, 8, 0, 6, 1]
    for i in range(2):
        rows = slice(2 * i, 2 * i + 2)
        (folder / f"data_batch_{i + 1}").write_bytes(write(data[rows], labels[rows]))
    (folder / "test_batch").write_bytes(write(data[4:], labels[4:]))
    return data.reshape(-1, 3, 32, 32), labels


def modern_pickle(protocol: int):
    return lambda data, labels: pickle.dumps({b"data": data, b"labels": labels}, protocol)


WRITERS = {"python 2": python2_pickle} | {f"protocol {p}": modern_pickle(p) for p in (2, 4, 5)}


@pytest.mark.parametrize("writer", WRITERS)
def test_cifar10_batches(tmp_path, rng, writer):
    folder = tmp_path / "cifar-10-batches-py"
    images, labels = cifar10(folder, rng, WRITERS[writer])
    # The pickle is what it claims to be: the real unpickler reads the same.
    honest = pickle.loads((folder / "test_batch").read_bytes(), encoding="bytes")
    np.testing.assert_array_equal(honest[b"data"].reshape(-1, 3, 32, 32), images[4:])
    for path in (folder, tmp_path):
        found = load_images(path)
        np.testing.assert_array_equal(found.images, images[:4])
        np.testing.assert_array_equal(found.labels, labels[:4])
        test = load_images(path, split="test")
        np.testing.assert_array_equal(test.images, images[4:])
        np.testing.assert_array_equal(test.labels, labels[4:])
    one = load_images(folder / "data_batch_2")
    np.testing.assert_array_equal(one.images, images[2:4])


def test_cifar100_has_fine_labels(tmp_path, rng):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    data = rng.integers(0, 256, (2, 3072), dtype=np.uint8)
    batch = {b"data": data, b"fine_labels": [19, 99], b"coarse_labels": [1, 2]}
    (folder / "train").write_bytes(pickle.dumps(batch, 2))
    found = load_images(tmp_path)
    np.testing.assert_array_equal(found.labels, [19, 99])
    np.testing.assert_array_equal(found.images.reshape(2, -1), data)


class Runs:
    """Unpickling this creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path, protocol):
    target = tmp_path / "ran"
    file = tmp_path / "data_batch_1"
    attack = {b"data": Runs(target), b"labels": [0]}
    file.write_bytes(pickle.dumps(attack, protocol))
    with pytest.raises(ValueError, match=r"data_batch_1: .* asks for posix\.mkdir"):
        load_images(file)
    assert not target.exists()
    pickle.loads(file.read_bytes())
    assert target.exists()  # it would have run


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "wanted a dict, got list"),
        ({b"data": [1]}, "it holds: data"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": 3}, "it holds: data, labels"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "2 images but 1 labels"),
        ({b"data": np.zeros((2, 10), np.uint8), b"labels": [1, 2]}, r"3072 bytes, got .*\(2, 10\)"),
        ({b"data": np.zeros((2, 3072)), b"labels": [1, 2]}, "wanted an array of uint8, got 'f8'"),
        ({b"data": np.array([{}]), b"labels": [1]}, "wanted an array of uint8, got 'O8'"),
    ],
)
def test_pickles_that_are_no_batches(tmp_path, batch, message):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(batch, 2))
    with pytest.raises(ValueError, match=message):
        load_images(tmp_path)


def test_a_cut_batch_and_an_absent_one(tmp_path, rng):
    folder = tmp_path / "cifar-10-batches-py"
    cifar10(folder, rng, modern_pickle(2))
    whole = (folder / "data_batch_2").read_bytes()
    (folder / "data_batch_2").write_bytes(whole[:3000])
    with pytest.raises(ValueError, match="data_batch_2: not a readable CIFAR batch"):
        load_images(folder)
    (folder / "test_batch").unlink()
    with pytest.raises(ValueError, match="no test_batch"):
        load_images(folder, split="test")


def test_a_file_of_no_known_kind(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot tell what kind"):
        load_images(tmp_path / "a.tar")
    with pytest.raises(ValueError, match="wanted a folder of images"):
        load_images(tmp_path / "a.tar", kind="celeba")
    with pytest.raises(ValueError, match="is a folder, wanted an"):
        load_images(tmp_path, kind="npz")
