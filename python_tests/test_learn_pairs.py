"""LabeledPairs: the right pairs, in workers too; a cache that is used only where it fits."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import gtn_fast
from gtn_fast import Labels
from gtn_fast.learn import pairs as pairs_module
from gtn_fast.learn.pairs import LabeledPairs


@pytest.fixture
def x(rng):
    return rng.standard_normal((60, 3)).astype(np.float32)


@pytest.fixture
def labeled(monkeypatch):
    """The list of calls of ``label`` from now on."""
    calls = []
    label = pairs_module.label

    def counting(*args, **kwargs):
        calls.append(kwargs)
        return label(*args, **kwargs)

    monkeypatch.setattr(pairs_module, "label", counting)
    return calls


def test_the_pairs_are_those_of_the_engine(x):
    pairs = LabeledPairs(x, seed=3)
    labels = gtn_fast.label(x, seed=3)
    assert len(pairs) == 60
    assert (pairs.y.numpy() == gtn_fast.normal(3, 0, 60, 3)).all()
    assert (pairs.x.numpy() == x[labels.x_index]).all()
    for i in (0, 17, -1):
        y_i, x_i = pairs[i]
        assert y_i.shape == x_i.shape == (3,)
        assert (y_i.numpy() == labels.y[i]).all()
        assert (x_i.numpy() == x[labels.x_index[i]]).all()
    with pytest.raises(IndexError):
        pairs[60]


def test_any_container_and_float_type_gives_float32_pairs(x):
    wanted = LabeledPairs(x)
    for data in (x.astype(np.float64), torch.from_numpy(x), x[:, ::-1].copy()[:, ::-1]):
        pairs = LabeledPairs(data)
        assert pairs.y.dtype == pairs.x.dtype == torch.float32
        assert (pairs.x == wanted.x).all()


def test_groups_and_rank_reach_the_engine(rng, x):
    groups = rng.integers(0, 2, 60)
    pairs = LabeledPairs(x, groups=(groups, groups))
    assert (groups[pairs.labels.x_index] == groups).all()
    line = rng.random((40, 1))
    ranked = LabeledPairs(line, method="rank")
    order = torch.argsort(ranked.y[:, 0])
    assert (torch.diff(ranked.x[order, 0]) >= 0).all()


@pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])
def test_inside_dataloader_workers(x, context, workers):
    pairs = LabeledPairs(x, seed=1)
    loader = DataLoader(pairs, batch_size=16, num_workers=workers, multiprocessing_context=context)
    y, target = (torch.cat(part) for part in zip(*loader, strict=True))
    assert (y == pairs.y).all()
    assert (target == pairs.x).all()


def test_a_worker_is_sent_y_once(rng):
    pairs = LabeledPairs(rng.standard_normal((2000, 50)).astype(np.float32))
    sent = pickle.dumps(pairs)
    assert len(sent) < 2 * pairs.y.nbytes + 20 * len(pairs) + 10_000
    received = pickle.loads(sent)
    assert (received.y == pairs.y).all()
    assert (received.labels.y == pairs.labels.y).all()
    assert pairs.labels._drawn_y is not None  # pickling changes nothing here


def test_the_cache_is_reused(x, tmp_path, labeled):
    first = LabeledPairs(x, seed=1, cache=tmp_path / "labels.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["labels.npz"]
    second = LabeledPairs(x.copy(), seed=1, threads=1, cache=str(tmp_path / "labels.npz"))
    assert len(labeled) == 1
    assert (first.y == second.y).all()
    assert (first.x == second.x).all()
    # The same values, read through other strides.
    LabeledPairs(np.asfortranarray(x), seed=1, cache=tmp_path / "labels.npz")
    assert len(labeled) == 1
    # It is a labels file like any other.
    assert (Labels.load(tmp_path / "labels.npz").x_index == first.labels.x_index).all()


def test_groups_belong_to_the_cache(rng, x, tmp_path, labeled):
    cache = tmp_path / "labels.npz"
    groups = rng.integers(0, 2, 60)
    for _ in range(2):
        LabeledPairs(x, groups=(groups, groups), cache=cache)
    assert len(labeled) == 1
    other = groups.copy()
    other[[0, 1]] = [0, 1]
    other[2] = 1 - other[2]
    pairs = LabeledPairs(x, groups=(other, other), cache=cache)
    assert len(labeled) == 2
    assert (other[pairs.labels.x_index] == other).all()
    LabeledPairs(x, cache=cache)
    assert len(labeled) == 3


def changed_value(x):
    x = x.copy()
    x[37, 1] = np.nextafter(x[37, 1], np.float32(np.inf))
    return x


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (changed_value, {}),
        (lambda x: x[:-1], {}),
        (lambda x: x.reshape(90, 2), {}),
        (lambda x: x.astype(np.float64), {}),
        (lambda x: x, {"seed": 1}),
        (lambda x: x, {"method": "reference"}),
    ],
    ids=["one value", "a row less", "another shape", "dtype", "seed", "method"],
)
def test_anything_else_is_labeled_again(x, tmp_path, labeled, data, options):
    cache = tmp_path / "labels.npz"
    LabeledPairs(x, cache=cache)
    fresh = LabeledPairs(data(x), **options)
    pairs = LabeledPairs(data(x), cache=cache, **options)
    assert len(labeled) == 3
    assert (pairs.x == fresh.x).all()
    assert (pairs.y == fresh.y).all()
    LabeledPairs(data(x), cache=cache, **options)
    assert len(labeled) == 3  # the file was replaced


def one_byte(raw):
    """The archive with one wrong byte among the numbers of x_index."""
    at = raw.index(b"x_index.npy") + 300
    return raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: b"this is no archive",
        lambda raw: raw[: len(raw) // 2],
        one_byte,
        lambda raw: bytes(len(raw)),
    ],
    ids=["empty", "text", "half", "one byte", "zeros"],
)
def test_a_damaged_cache_is_labeled_again(x, tmp_path, labeled, damage):
    cache = tmp_path / "labels.npz"
    first = LabeledPairs(x, cache=cache)
    cache.write_bytes(damage(cache.read_bytes()))
    second = LabeledPairs(x, cache=cache)
    assert len(labeled) == 2
    assert (first.x == second.x).all()
    assert (Labels.load(cache).x_index == first.labels.x_index).all()


def test_a_cache_whose_rows_repeat_is_labeled_again(x, tmp_path, labeled):
    cache = tmp_path / "labels.npz"
    wrong = LabeledPairs(x, cache=cache).labels
    wrong.x_index[0] = wrong.x_index[1]
    wrong.save(cache)
    assert len(set(LabeledPairs(x, cache=cache).labels.x_index.tolist())) == 60
    assert len(labeled) == 2


def test_foreign_files_are_left_alone(x, tmp_path, labeled):
    data = tmp_path / "data.npz"
    np.savez(data, x=x)
    own = tmp_path / "own.npz"
    gtn_fast.label(x).save(own)
    labeled.clear()
    for path, message in ((data, "is no labels file"), (own, "LabeledPairs did not write")):
        before = path.read_bytes()
        with pytest.raises(ValueError, match=message):
            LabeledPairs(x, cache=path)
        assert path.read_bytes() == before
    assert not labeled


def test_bad_paths_are_found_before_labeling(x, tmp_path, labeled):
    with pytest.raises(ValueError, match=r"ending in \.npz, got labels\.npy"):
        LabeledPairs(x, cache="labels.npy")
    with pytest.raises(ValueError, match="does not exist"):
        LabeledPairs(x, cache=tmp_path / "absent" / "labels.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ValueError, match=r"folder\.npz: is a directory"):
        LabeledPairs(x, cache=tmp_path / "folder.npz")
    assert not labeled


def test_a_full_disk_is_one_error_and_leaves_nothing(x, tmp_path, monkeypatch):
    cache = tmp_path / "labels.npz"
    LabeledPairs(x, cache=cache)
    before = cache.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gtn_fast.labels.write_npz", full)
    with pytest.raises(ValueError, match=r"labels\.npz: No space left on device"):
        LabeledPairs(x, seed=1, cache=cache)
    assert [file.name for file in tmp_path.iterdir()] == ["labels.npz"]
    assert cache.read_bytes() == before


def test_bad_data_write_nothing(x, tmp_path):
    x[5, 2] = np.nan
    with pytest.raises(ValueError, match="row 5, column 2 is nan"):
        LabeledPairs(x, cache=tmp_path / "labels.npz")
    assert not list(tmp_path.iterdir())


def write_often(first_seed, cache):
    x = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    for seed in range(first_seed, 100, 2):  # never the other's seed: always labeled again
        assert LabeledPairs(x, seed=seed, cache=cache, threads=1).labels.seed == seed


def test_two_processes_leave_a_whole_file(tmp_path):
    cache = tmp_path / "labels.npz"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(i, cache)) for i in (0, 1)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if cache.exists():
            seen.add(Labels.load(cache).seed)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert Labels.load(cache).seed in (98, 99)
    assert len(seen) > 1
    assert [file.name for file in tmp_path.iterdir()] == ["labels.npz"]
