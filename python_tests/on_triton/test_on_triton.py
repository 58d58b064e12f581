"""The Triton backend against the oracle, in triton's interpreter or on a GPU (conftest.py)."""

from __future__ import annotations

import contextlib

import cases
import numpy as np
import pytest
import torch
from environments import WITH_TORCH, inside, rows_of_all_sizes

import gtn_fast
from gtn_fast.backends import registry
from gtn_fast.backends.lists.blocks import Assignment, Lists, choose_in_blocks
from gtn_fast.backends.triton import backend as triton_backend
from gtn_fast.backends.triton import (
    bounds,
    classes,
    exact,
    launch,
    levels,
    memory,
    session,
)
from gtn_fast.backends.triton.rows import StoredRows
from gtn_fast.inputs.arrays import convert, describe, hold_or_convert, uncopied
from gtn_fast.inputs.matrices import Held
from gtn_fast.reference import match
from gtn_fast.tools import bench_gpu

DEVICE = session.find_device("cuda")
PLENTY = 1 << 34


@pytest.fixture(autouse=True)
def by_triton_alone(request):
    """The loop of csrc/cuda has a file of its own."""
    if "either_way" not in request.fixturenames:
        request.getfixturevalue("triton_alone")


def held(array):
    """As a tensor on the device."""
    return Held(torch.from_numpy(array).to(DEVICE), array.dtype)


def run(x, y, *, block=64, list_length=0, prepare=None, **options):
    """Match through a session of its own; the session and what was settled."""
    made = session.make(x, y, threads=2, **options)
    if prepare is not None:
        prepare(made.source)
    settled = Assignment(len(x), len(y))
    choose_in_blocks(
        made.source, made.rank, made.turns, settled, block=block, list_length=list_length
    )
    made.check(settled, made.turns)
    return made, settled


def assert_exact(settled, x, y):
    expected, cosine, _ = match(x, y)
    assert (settled.x_index == expected).all()
    assert (settled.cosine == cosine).all()


# ------------------------------------------------------------------ the bound


def worst_rounding():
    """A dimension in which 1/sqrt(d) rounds badly in fp16: all residuals point one way."""
    error = {
        d: abs(float(np.float16(1024 / np.sqrt(d))) * np.sqrt(d) / 1024 - 1) for d in range(2, 60)
    }
    return max(error, key=error.__getitem__)


def scores_of(x, y, centred=True):
    """Scores by the kernel with no offset, what they stand for in float64, and the bounds."""
    d = x.shape[1]
    padded = launch.padded_dimension(d)
    p, q = (bounds.directions(torch.from_numpy(a).to(DEVICE)) for a in (y, x))
    centre = q.mean(dim=0) if centred else torch.zeros(d, dtype=torch.float64, device=DEVICE)
    z = q - centre
    scale = bounds.code_scale(z)
    made_x, made_y = bounds.encode(z, scale, padded), bounds.encode(p, bounds.Y_SCALE, padded)
    bound = bounds.column_bound(made_x)
    packed = bounds.Scale(scale, float(made_x.norm.max()), float(bound.max()), d, padded)
    n_x, n_y = len(x), len(y)

    def tiles(codes):
        out = torch.zeros((-(-len(codes) // 256) * 256, padded),
                          dtype=torch.float16, device=DEVICE)  # fmt: skip
        out[: len(codes)] = codes
        return out

    # Every x alone in its group of columns: its score is the group's maximum.
    group = launch.GROUPS[0]
    apart = torch.zeros((n_x * group, padded), dtype=torch.float16, device=DEVICE)
    apart[::group] = made_x.codes
    y_codes, x_codes = tiles(made_y.codes), tiles(apart)
    offset = torch.full((len(x_codes),), -torch.inf, device=DEVICE)
    offset[: len(apart) : group] = 0
    maxima = launch.group_maxima(y_codes, x_codes, offset, group, d)
    scores = maxima[:n_x, :n_y].t().cpu().numpy().astype(np.float64)
    true = (p.cpu().numpy().astype(np.longdouble)) @ (z.cpu().numpy().T.astype(np.longdouble))
    allowed = bounds.row_margin(made_y, packed)[:, None].cpu().numpy() + bound.cpu().numpy()
    return scores, true * bounds.Y_SCALE * scale, allowed, bounds.Y_SCALE * scale


@pytest.mark.parametrize("d", [1, 16, 129])
@pytest.mark.parametrize("name", ["gaussian", "narrow_cone", "near_ties", "mixed_columns"])
def test_scores_are_within_their_bounds(name, d):
    x, y = cases.make(name, 40, 60, d)
    scores, true, allowed, _ = scores_of(np.asarray(x), np.asarray(y))
    assert (np.abs(scores - true) <= allowed).all()


def test_the_bound_is_nearly_reached_and_not_vacuous():
    """Where all rounding errors point one way, half of the bound would be too little."""
    d = worst_rounding()
    ones = np.ones((3, d))
    scores, true, allowed, _ = scores_of(ones, ones, centred=False)
    share = float(np.abs(scores - true).max() / allowed.min())
    assert 0.8 < share <= 1
    x, y = cases.make("gaussian", 70, 60, 64)
    _, _, allowed, unit = scores_of(x, y)
    assert allowed.max() / unit < 1.5e-3  # of a cosine


def test_codes_that_are_cut_say_so():
    values = torch.tensor([[0.5, 1e9], [0.25, 0.125]], dtype=torch.float64)
    made = bounds.encode(values, 1.0, 16)
    assert torch.isfinite(made.codes).all()
    assert made.residual[0] >= 1e9 - 60000
    assert made.residual[1] == 0


@pytest.mark.parametrize("largest", [0.0, 1e-30, 1e-17, 1.0, 2.0])
def test_the_scale_is_a_power_of_two_in_range(largest):
    scale = bounds.code_scale(torch.tensor([[largest, -largest / 3]], dtype=torch.float64))
    assert np.frexp(scale)[0] == 0.5
    assert scale * largest <= 2**11
    assert scale * largest > 2**9 or largest < 2.0**-60


# ------------------------------------------------------------------ the kernels


def device(array):
    return torch.from_numpy(array).to(DEVICE)


@pytest.mark.parametrize("group", launch.GROUPS)
@pytest.mark.parametrize("d", [5, 128, 129])
def test_maxima_and_survivors_are_those_of_the_scores(rng, d, group):
    """Small integers, whose products fp16 and float32 hold exactly: compared with ==."""
    padded = launch.padded_dimension(d)
    n = 2432  # two groups of 1024 and three tiles
    y, x = np.zeros((256, padded)), np.zeros((n, padded))
    y[:100, :d], x[: n - 84, :d] = rng.integers(-3, 4, (100, d)), rng.integers(-3, 4, (n - 84, d))
    offset = np.full(n, -np.inf, np.float32)
    offset[: n - 84] = rng.integers(-2, 3, n - 84)
    offset[rng.permutation(n - 84)[:50]] = -np.inf
    value = y @ x.T + offset
    y, x = device(y.astype(np.float16)), device(x.astype(np.float16))
    got = launch.group_maxima(y, x, device(offset), group, d).cpu().numpy()
    apart = [value[:, i : i + group] for i in range(0, n, group)]
    maxima = np.array([part.max(axis=1) for part in apart])
    assert got.shape == maxima.shape
    assert (got == maxima).all()

    threshold = np.full(256, np.inf, np.float32)
    threshold[:100] = np.sort(value[:100], axis=1)[:, -12]
    threshold[7] = value[7].max() + 1  # nothing
    looks = (maxima >= threshold) | (rng.random(maxima.shape) < 0.1)
    looks[0, 3] = False  # whoever does not look finds nothing
    capacity = 12
    slots = launch.Slots.empty(256, capacity, DEVICE)
    pairs = launch.GroupRows.of(device(looks))
    launch.survivors(y, x, device(offset), device(threshold), pairs, slots, 1000, group, d)
    wanted = value >= threshold[:, None]
    wanted[3, :group] = False
    assert (slots.count.cpu().numpy() == wanted.sum(axis=1)).all()
    assert wanted.sum(axis=1).max() > capacity  # some overflow, and are counted in full
    cols, values = slots.cols.cpu().numpy(), slots.values.cpu().numpy()
    for row in range(256):
        kept = cols[row, : min(capacity, wanted[row].sum())] - 1000
        assert len(set(kept)) == len(kept)
        assert wanted[row, kept].all()
        assert (values[row, : len(kept)] == value[row, kept]).all()


def test_rows_that_look_nowhere_find_nothing():
    y, x = (torch.ones((256, 16), dtype=torch.float16, device=DEVICE) for _ in range(2))
    slots = launch.Slots.empty(256, 4, DEVICE)
    pairs = launch.GroupRows.of(torch.zeros((2, 256), dtype=torch.bool, device=DEVICE))
    zeros = torch.zeros(256, device=DEVICE)
    launch.survivors(y, x, zeros, zeros, pairs, slots, 0, 128, 5)
    assert not slots.count.any()


@pytest.mark.parametrize("d", [1, 8, 21])
@pytest.mark.parametrize("types", [(np.float32, np.float64), (np.float64, np.float32)])
def test_exact_cosines_are_the_engines_bits(native, rng, d, types):
    for name in ("gaussian", "zero_rows", "mixed_columns", "magnitudes"):
        x, y = (a.astype(t) for a, t in zip(cases.make(name, 50, 40, d), types, strict=True))
        x[np.isinf(x)], y[np.isinf(y)] = 1, 1
        lists = rng.integers(-1, 50, (40, 7))
        got = launch.exact_cosines(
            launch.Scaled.of(device(x)),
            launch.Scaled.of(device(np.asfortranarray(y))),
            device(np.repeat(lists, 2, axis=1))[:, ::2],  # nothing need be contiguous
        )
        expected = native.evaluate_lists(x, y, np.arange(40), lists, threads=1)
        assert (got.cpu().numpy() == expected).all()
        assert np.isneginf(expected[lists < 0]).all()
    nothing = torch.empty((40, 0), dtype=torch.int64, device=DEVICE)
    scaled = launch.Scaled.of(device(x))
    assert launch.exact_cosines(scaled, scaled, nothing).shape == (40, 0)


# ------------------------------------------------------------------ the whole


@pytest.mark.parametrize("name", sorted(cases.ALL))
def test_equals_the_reference(name):
    x, y = cases.make(name, 131, 126, 5)
    matched = triton_backend.match(x, y, strategy="screen", threads=2, block=42)
    expected, cosine, order = match(x, y)
    assert (matched.x_index == expected).all()
    assert (matched.cosine == cosine).all()
    assert (matched.order == order).all()


@pytest.mark.parametrize(
    ("name", "n_x", "n_y", "d", "rescore"),
    [
        ("gaussian", 1, 1, 1, "host"),
        ("gaussian", 1, 1, 1, "device"),
        ("integers", 129, 60, 1, "device"),
        ("gaussian", 300, 30, 2, "host"),
        ("clustered", 200, 50, 33, "device"),
        ("signs", 128, 128, 7, "device"),
        ("zero_rows", 90, 60, 4, "device"),
        ("decaying_spectrum", 140, 40, 150, "host"),
    ],
)
def test_sizes_and_dimensions(native, name, n_x, n_y, d, rescore):
    x, y = cases.make(name, n_x, n_y, d)
    made, settled = run(x, y, rescore=rescore)
    assert_exact(settled, x, y)
    assert made.counters()["rescored_on_device"] == (rescore == "device")


@pytest.mark.parametrize("name", ["gaussian", "near_ties"])
def test_rows_that_overflow_get_room(native, name):
    """As many places as a list needs, then as many as there are survivors.

    Two groups of columns for lists of eight: no threshold, all x's pass.
    """
    x, y = cases.make(name, 250, 60, 4)

    def prepare(source):
        source.capacity = source.shortest = 1

    made, settled = run(x, y, list_length=2, prepare=prepare)
    assert_exact(settled, x, y)
    assert made.counters()["overflowed"] >= 60


def test_little_room_splits_what_overflows(native):
    x, y = cases.make("near_ties", 64, 5, 3)

    def prepare(source):
        source.capacity, source.shortest, source._work = 1, 1, 4000
        source._kth_of_kept = lambda rows, slots, over, wanted: rows.kth[over]

    _, settled = run(x, y, list_length=2, prepare=prepare)
    assert_exact(settled, x, y)


@pytest.mark.parametrize("d", [4, 40])
def test_streamed_panels(native, d):
    """Codes on the host, two tiles at a time on the device, until what is left fits."""
    x, y = cases.make("gaussian", 520, 210, d)
    tile = launch.TILE * launch.padded_dimension(d) * 2
    free = int((640 * memory._COLUMN_BYTES + 2**20 + 2 * 2 * tile) / 0.9) + 100
    residence = memory.decide(free, 520, launch.padded_dimension(d), 4000 * d, launch.TILE)
    assert not residence.codes_stay
    made, settled = run(x, y, block=70, free=free)
    assert_exact(settled, x, y)
    counters = made.counters()
    assert counters["panels_read"] > 4
    assert counters["compactions"] >= 2
    assert made._columns.residence.codes_stay  # in the end


@pytest.mark.parametrize("name", ["integers", "few_rays", "near_ties", "gaussian", "zero_rows"])
@pytest.mark.parametrize("kind", ["first", "again", "many"])
def test_lists_are_complete_down_to_their_levels(native, name, kind):
    """``many``: without a threshold, so that the exact cosines say who is dropped."""
    n = 260 if kind == "many" else 2100  # one group of columns for each place of a list
    x, y = cases.make(name, n, 50, 3)
    made = session.make(x, y, threads=1)
    source, rank, turns = made.source, made.rank, made.turns
    again = kind == "again"
    first, _, _ = match(x, y)
    source.take(first[turns[:20]])  # as the sequential loop would have
    free = np.setdiff1d(np.arange(n), first[turns[:20]])
    rows = turns[20:]
    before = source.counters["rescored"]
    lists = source.search(rows, 3, again)
    every = np.broadcast_to(free, (len(rows), len(free))).copy()
    cosine = native.evaluate_lists(x, y, rows, every, threads=1)
    listed = (every[:, :, None] == lists.x_rows[:, None, :]).any(axis=2)
    level, place = lists.level_cosine[:, None], rank[free][None, :]
    within = (cosine > level) | ((cosine == level) & (place <= lists.level_rank[:, None]))
    assert (listed | ~within).all()
    there = lists.x_rows >= 0
    assert np.isin(lists.x_rows[there], free).all()
    if again:
        assert (within & listed).any(axis=1).all()
    if name == "gaussian" and kind != "many":
        assert source.counters["rescored"] - before < 70 * len(rows)
    # A list need not be long, but most must be of use.
    assert (within & listed).any(axis=1).mean() > 0.5


def test_compaction_keeps_every_free_column(native):
    x, y = cases.make("gaussian", 300, 10, 6)
    made = session.make(x, y, threads=1)
    kept = made._columns
    before = dict(zip(kept.class_of.tolist(), kept._codes[:300].tolist(), strict=True))
    gone = np.random.default_rng(1).permutation(300)[:178]
    for part in np.split(gone, [42, 84, 126, 168]):
        kept.take(part)
    assert kept.compactions == 4
    assert (kept.count, kept.free) == (132, 122)  # ten gone since the last
    assert kept.classes.single  # a class is its row
    rows = set(np.setdiff1d(np.arange(300), gone).tolist())
    assert rows <= set(kept.class_of.tolist())
    for column, row in enumerate(kept.class_of.tolist()):
        assert kept._codes[column].tolist() == before[row]
        assert bool(torch.isfinite(kept.high[column])) == (row in rows)
    assert (kept.low == -kept.high).logical_or(torch.isinf(kept.high)).all()
    assert torch.isinf(kept.high[kept.count :]).all()


class Recorder:
    """Stands for a CUDA stream; events are their places in the log."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def record_event(self):
        self.log.append(("record", self.name))
        return len(self.log) - 1

    def wait_event(self, event):
        self.log.append(("wait", self.name, event))


def test_panels_are_neither_read_too_early_nor_filled_too_early(native, monkeypatch):
    """The order of events on the two streams, without a GPU to run them."""
    x, y = cases.make("gaussian", 700, 10, 5)
    free = int((768 * memory._COLUMN_BYTES + 2**20 + 2 * 128 * 32) / 0.9) + 100
    kept = session.make(x, y, threads=1, free=free)._columns
    assert kept.residence.panel_cols == 128
    log = []
    kept._copying = Recorder("copy", log)
    compute = Recorder("compute", log)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: compute)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    for _ in range(2):  # the second search finds the buffers as the first left them
        begun = len(log)
        for i, (codes, first) in enumerate(kept.panels()):
            assert first == 128 * i
            assert (codes.cpu() == kept._codes[first : first + len(codes)].cpu()).all()
            log.append(("use", i))
        arrivals = [k for k in range(begun, len(log)) if log[k] == ("record", "copy")]
        starts = [entry[2] for entry in log[begun:] if entry[:2] == ("wait", "copy")]
        uses = [k for k in range(begun, len(log)) if log[k][0] == "use"]
        assert len(arrivals) == len(starts) == len(uses) == 6
        for i in range(6):
            assert ("wait", "compute", arrivals[i]) in log[begun : uses[i]]
            previous = uses[i - 2] if i >= 2 else begun - 1  # the last to read this buffer
            assert starts[i] > previous
            assert log[starts[i]] == ("record", "compute")


# ------------------------------------------------------------------ classes and levels


def test_classes_are_rows_of_one_direction(monkeypatch):
    monkeypatch.setattr("gtn_fast.backends.triton.rows._CHUNK_VALUES", 6)
    x = np.array([[1.0, 2], [2, 4], [0, 0], [-0.0, 0], [3, 6], [-1, -2], [0, 5], [-0.0, 7]])
    of = classes.find(StoredRows(x, DEVICE))
    assert len({of[0], of[1], of[4]}) == 1
    assert of[2] == of[3]
    assert of[6] == of[7]
    assert len(set(of.tolist())) == 4


def test_rows_that_only_share_a_hash_stay_apart(monkeypatch):
    monkeypatch.setattr(classes, "_hashes", lambda of: torch.zeros(len(of), dtype=torch.int64))
    monkeypatch.setattr("gtn_fast.backends.triton.rows._CHUNK_VALUES", 4)
    x = np.array([[1.0, 2], [2, 4], [5, 1]])
    of = classes.find(StoredRows(x, DEVICE))
    assert of[0] == of[1] != of[2]


def test_hashes_of_signs_differ(rng):
    """Values that differ in their highest bits alone."""
    x = rng.choice([-1.0, 1.0], (500, 40))
    hashes = classes._hashes(device(x)).cpu().numpy()
    assert len(set(hashes.tolist())) == len(np.unique(x, axis=0))


def test_members_of_classes_and_the_level_they_leave():
    rank = np.arange(6, dtype=np.uint32)
    found = classes.Classes(np.array([0, 0, 0, 0, 1, 2]), rank)
    lists = Lists(
        np.array([[0, 4, -1], [4, 0, 5]]),
        np.array([[0.9, 0.5, -np.inf], [0.8, 0.7, 0.1]]),
        np.array([0.2, 0.75]),
        np.array([9, 9], np.uint32),
    )
    spelled = levels.with_members(lists, rank, found, keep=2)
    assert spelled.x_rows.tolist() == [[0, 1, 4], [4, 0, 5]]
    assert spelled.cosine.tolist() == [[0.9, 0.9, 0.5], [0.8, 0.7, 0.1]]
    assert spelled.level_cosine.tolist() == [0.9, 0.75]  # row 2, of 0.9, is not there
    assert spelled.level_rank.tolist() == [1, 9]
    longer = levels.with_members(lists, rank, found, keep=6)
    assert longer.x_rows[0].tolist()[:4] == [0, 1, 2, 3]
    assert longer.level_cosine.tolist() == [0.2, 0.75]


# ------------------------------------------------------------------ deciding on the device


def test_a_device_that_rounds_otherwise_is_not_believed(native):
    x, y = cases.make("gaussian", 60, 40, 3)
    host = exact.OnHost(x, y, 1)
    asked = []

    def off_by_one_bit(y_rows, rows, lists):
        asked.append(len(y_rows))
        return np.nextafter(host(y_rows, rows, lists), 2)

    checked = exact.Checked(off_by_one_bit, host)
    lists = device(np.arange(12).reshape(4, 3))
    asks = np.arange(4), device(y[:4]), lists
    for _ in range(2):
        assert (checked(*asks) == host(*asks)).all()
    assert checked.used_host
    assert asked == [4]


def test_pairs_are_evaluated_again_at_the_end(native):
    x, y = cases.make("gaussian", 60, 40, 3)
    made, settled = run(x, y, rescore="device")
    settled.cosine[3] = np.nextafter(settled.cosine[3], 2)
    with pytest.raises(RuntimeError, match=r"^1 of 40 cosines .* device='cpu' does without"):
        made.check(settled, np.arange(40))


# ------------------------------------------------------------------ from the front door


@pytest.mark.parametrize("n_x", [126, 300])
def test_the_engine_does_the_last_stretch(native, monkeypatch, n_x):
    x, y = cases.make("clustered", n_x, 126, 5)
    monkeypatch.setattr(triton_backend, "rows_for_the_engine", lambda *_: 50)
    done, handed = [], []
    matched = triton_backend.match(
        x, y, strategy="screen", threads=2, block=30,
        progress=lambda *at: done.append(at), settled=lambda *pairs: handed.append(pairs),
    )  # fmt: skip
    expected, cosine, order = match(x, y)
    assert (matched.x_index == expected).all()
    assert (matched.cosine == cosine).all()
    assert (matched.order == order).all()
    assert matched.report["engine_rows"] == 50
    assert done[-1] == (126, 126)
    assert (np.concatenate([rows for rows, _, _ in handed]) == order).all()
    for rows, x_rows, cosines in handed:
        assert (x_rows == expected[rows]).all()
        assert (cosines == cosine[rows]).all()


def test_what_is_left_for_the_engine():
    """Small last stretches; nothing of a small whole; less, the more dimensions."""
    assert triton_backend.rows_for_the_engine(3000, 3000, 100, 2) == 0
    some = triton_backend.rows_for_the_engine(10**6, 10**6, 100, 2)
    assert 2048 <= some <= 2**17
    assert triton_backend.rows_for_the_engine(10**6, 10**6, 1000, 2) < some
    assert triton_backend.rows_for_the_engine(10**6, 10**6, 100, 1) <= some
    assert triton_backend.rows_for_the_engine(10**7, 10**5, 100, 2) == 0  # it would look at all x's


@pytest.mark.parametrize("name", WITH_TORCH)
def test_any_floating_point_environment_of_the_caller(either_way, name):
    """Interpreted, everything is computed on this thread."""
    x, y = (rows_of_all_sizes(200, 5, seed) for seed in (1, 2))
    expected, cosine, _ = match(x, y)
    labels = inside(name, lambda: gtn_fast.label(x, y, device="cuda", block=64, threads=2))
    assert (labels.x_index == expected).all()
    assert (labels.cosine == cosine.astype(np.float32)).all()


def test_label_on_the_device(either_way):
    x, y = cases.make("clustered", 150, 120, 6)
    labels = gtn_fast.label(x, y, device="cuda", threads=2)
    assert (labels.x_index == match(x, y)[0]).all()
    shown = {name: labels.report[name] for name in ("strategy", "backend", "device", "exact")}
    assert shown == {"strategy": "screen", "backend": "triton", "device": "cuda", "exact": True}
    assert labels.report["simd"].startswith("triton ")
    assert labels.report["engine"]["screened" if either_way == "triton" else "rows_by_kernels"] > 0
    gtn_fast.verify(x, y, labels)


def test_a_checkpoint_of_the_device_is_resumed_on_either(native, tmp_path):
    x, y = cases.make("gaussian", 200, 200, 5)
    expected = gtn_fast.label(x, y)
    path = tmp_path / "c"

    def stop(done, total):
        if done >= 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gtn_fast.label(x, y, device="cuda", block=30, progress=stop, checkpoint=path)
    for device, rows in (("cuda", 60), ("cpu", 200)):
        labels = gtn_fast.label(x, y, device=device, checkpoint=path, resume=True)
        assert labels.report["resumed_rows"] == rows
        assert (labels.x_index == expected.x_index).all()
        assert (labels.order == expected.order).all()


def test_groups_on_the_device(either_way):
    x, y = cases.make("gaussian", 120, 100, 4)
    groups = (np.arange(120) % 2, np.arange(100) % 2)
    labels = gtn_fast.label(x, y, device="cuda", groups=groups, threads=1)
    assert (labels.x_index == gtn_fast.label(x, y, groups=groups, method="reference").x_index).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_are_read_where_they_are(either_way, dtype):
    x, y = (torch.from_numpy(a).to(DEVICE, dtype) for a in cases.make("gaussian", 140, 70, 5))
    labels = gtn_fast.label(x, y, device="cuda")
    plain = gtn_fast.label(x.cpu(), y.cpu(), device="cpu")
    assert (labels.x_index == plain.x_index).all()
    given_y, given_x = labels.pairs(x)
    assert given_x.device == x.device
    assert given_y.device == x.device
    assert (given_x == x[torch.from_numpy(plain.x_index).to(DEVICE)]).all()


def test_defaults_of_torch_change_nothing(native):
    x, y = cases.make("gaussian", 60, 40, 4)
    torch.set_default_dtype(torch.float64)
    try:
        made, settled = run(x, y)
    finally:
        torch.set_default_dtype(torch.float32)
    assert made._columns.low.dtype == made._columns.high.dtype == torch.float32
    assert_exact(settled, x, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_from_a_tensor_are_those_of_the_array(native, rng, monkeypatch, dtype):
    monkeypatch.setattr("gtn_fast.backends.triton.rows._CHUNK_VALUES", 28)
    array = rng.integers(-2, 3, (30, 4)).astype(dtype)  # many norms are equal
    array[[4, 9]] = 0
    some = np.array([7, 0, 29])
    for each in (StoredRows(held(array), DEVICE), StoredRows(array, DEVICE)):
        for _ in range(2):
            assert (each(some).cpu().numpy() == array[some]).all()
            assert (each(device(some)).cpu().numpy() == array[some]).all()
            assert (each(slice(2, 9)).cpu().numpy() == array[2:9]).all()
            assert np.flatnonzero(each.zero()).tolist() == [4, 9]
            assert (each.norm_order(1) == native.norm_order(array, threads=1)).all()
            assert (each.stay().cpu().numpy() == array).all()


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("name", ["clustered", "zero_rows", "few_rays"])
def test_what_is_held_by_the_device_is_labeled_there(monkeypatch, name, both):
    """The host gets the rows of the last stretch, and those of the last check."""
    x, y = cases.make(name, 170, 126, 5)
    fetched = []
    whole = Held._range
    monkeypatch.setattr(Held, "_range", lambda *of: fetched.append(of[1:]) or whole(*of))
    monkeypatch.setattr(triton_backend, "rows_for_the_engine", lambda *_: 50)
    monkeypatch.setattr(session, "_CHECKED", 40)
    monkeypatch.setattr(exact, "_COMPARED", 10)
    given = held(x), held(y) if both else y
    matched = triton_backend.match(*given, strategy="screen", threads=2, block=30)
    expected, cosine, order = match(x, y)
    assert (matched.x_index == expected).all()
    assert (matched.cosine == cosine).all()
    assert (matched.order == order).all()
    assert not fetched


def test_pairs_that_are_held_are_evaluated_again_at_the_end():
    x, y = cases.make("gaussian", 60, 40, 3)
    made, settled = run(held(x), held(y), rescore="device")
    settled.cosine[made.turns[3]] = np.nextafter(settled.cosine[made.turns[3]], 2)
    with pytest.raises(RuntimeError, match=r"^1 of 40 cosines .* device='cpu' does without"):
        made.check(settled, made.turns)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_holding_a_tensor(dtype):
    tensor = (torch.arange(12, device=DEVICE).reshape(4, 3) * 1.5).to(dtype)
    described = describe(tensor, "X")
    kept = hold_or_convert(described, where=DEVICE.type)
    assert isinstance(kept, Held)
    plain = convert(described)
    assert (np.asarray(kept) == plain).all()
    assert np.asarray(kept).dtype == kept.dtype == plain.dtype
    assert (kept[np.array([3, 1])] == plain[[3, 1]]).all()
    if DEVICE.type == "cuda":
        assert uncopied(described).copy_bytes == 0
    if dtype.is_floating_point:
        tensor[2, 1] = torch.nan
        with pytest.raises(ValueError, match="X must be finite: row 2, column 1 is nan"):
            hold_or_convert(described, where=DEVICE.type)


def test_a_block_is_interrupted(native):
    x, y = cases.make("gaussian", 120, 120, 4)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        triton_backend.match(x, y, strategy="screen", threads=1, progress=stop)


def test_the_backend_says_what_it_computes_with():
    assert registry.why_not("triton") is None
    words = triton_backend.instructions().split(", ")
    assert words[0].startswith("triton 3.")
    assert words[1] == ("interpreter" if DEVICE.type == "cpu" else "cuda")


def test_the_benchmark_runs(native, monkeypatch):
    """Small, with torch as the only peer in the interpreter."""
    monkeypatch.setattr(bench_gpu, "QUICK", ((150, 4),))
    monkeypatch.setattr(bench_gpu, "REPETITIONS", 1)
    said = []
    (row,) = bench_gpu.run("cuda", quick=True, threads=1, say=said.append, on=DEVICE)
    assert (row.n, row.d) == (150, 4)
    assert row.seconds > 0
    assert min(row.peers["torch"], row.peers["torch float16"]) > 0
    assert row.engine["screened"] > 0
    assert said[0].endswith("verified")
    assert "interpreter" in bench_gpu.machine("cuda") or DEVICE.type == "cuda"


@pytest.mark.parametrize("name", ["gaussian", "zero_rows", "all_equal", "integers", "opposite"])
@pytest.mark.parametrize("bound", [None, 0.0, 0.5, 1.0])
def test_some_stay_unmatched(native, either_way, name, bound):
    """More y's than x's, and y's for whom no x is near enough; kernels that cannot are left out."""
    for n_x, n_y in ((60, 130), (90, 90)):
        x, y = cases.make(name, 130, 130, 5)
        x, y = x[:n_x], y[:n_y]
        labels = gtn_fast.label(
            x, y, device="cuda", method="screen", partial=True, min_cosine=bound, block=20
        )
        low = -np.inf if bound is None else bound
        x_index, cosine, order = match(x, y, min_cosine=low)
        assert (labels.x_index == x_index).all()
        assert np.array_equal(labels.cosine, cosine.astype(np.float32), equal_nan=True)
        assert (labels.order == order).all()
        assert gtn_fast.verify(x, y, labels).complete
