"""The loop of csrc/cuda/ against the oracle: in its emulation on the CPU, or on a GPU."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast.backends import native
from gtn_fast.backends.cuda import cubins, loop, packing
from gtn_fast.backends.lists.blocks import Assignment
from gtn_fast.backends.triton import launch, session
from gtn_fast.reference import match

DEVICE = session.find_device("cuda")
PLENTY = 1 << 40
HERE = loop.kernels_for(DEVICE) is not None
pytestmark = pytest.mark.skipif(not HERE, reason="no kernels were compiled for this GPU")


def run(x, y, *, end_pairs=1 << 12, **options):
    """Match by the loop alone; what is done, and the run."""
    made = loop.Run(x, y, DEVICE, free=PLENTY, end_pairs=end_pairs, **options)
    assert made.refusal is None
    state = Assignment(len(x), len(y))
    return made, state, made.run(state)


def assert_exact(made, state, x, y):
    """What is done is the beginning of the oracle's answer."""
    expected, cosine, order = match(x, y)
    assert (made.turns == order).all()
    at = order[: state.done]
    assert (state.x_index[at] == expected[at]).all()
    assert (state.cosine[at] == cosine[at]).all()
    assert (state.x_index[order[state.done :]] == -1).all()
    assert state.taken.sum() == state.done


@pytest.mark.parametrize("d", [1, 2, 3, 16, 17, 64, 100, 130])
@pytest.mark.parametrize("end_pairs", [1, 1 << 12, 1 << 24])
def test_blocks_and_the_end_are_exact(d, end_pairs):
    x, y = cases.make("gaussian", 900, 900, d)
    made, state, count = run(x, y, end_pairs=end_pairs)
    assert_exact(made, state, x, y)
    if end_pairs > 900 * 900:
        assert state.done == 900
        assert count["blocks"] == 0


@pytest.mark.parametrize("name", sorted(cases.ALL))
def test_hostile_data_is_exact_as_far_as_it_goes(name):
    x, y = cases.make(name, 1500, 1100, 9)
    made, state, _ = run(np.asarray(x), np.asarray(y), end_pairs=1 << 16)
    assert_exact(made, state, np.asarray(x), np.asarray(y))


@pytest.mark.parametrize(("n_x", "n_y"), [(3000, 2500), (4000, 300), (5000, 1)])
def test_blocks_do_what_they_are_made_for(n_x, n_y):
    """Gaussian data is done to its end, by blocks, with few deep lists."""
    x, y = cases.make("gaussian", n_x, n_y, 20)
    made, state, count = run(x, y, end_pairs=1 << 18 if n_y > 300 else 1)
    assert state.done == n_y
    assert count["blocks"] >= 1
    assert count["deep_lists"] < n_y / 20
    assert_exact(made, state, x, y)


@pytest.mark.parametrize("share", [1, 3])
def test_zero_rows_choose_first(share):
    x, y = cases.make("gaussian", 700, 600, 6)
    x[::5] = 0
    y[::share] = 0
    made, state, _ = run(x, y, end_pairs=1 << 19)
    assert state.done == 600
    assert_exact(made, state, x, y)


def test_rows_of_both_types():
    x, y = cases.make("gaussian", 800, 700, 11)
    for a, b in ((np.float32, np.float64), (np.float64, np.float32)):
        x_typed, y_typed = x.astype(a), y.astype(b)
        made, state, _ = run(x_typed, y_typed, end_pairs=1 << 16)
        assert_exact(made, state, x_typed, y_typed)


def test_what_the_loop_gives_up_is_done_otherwise():
    """Thousands of equal cosines: more survivors than a list takes, and yet the right answer."""
    x = np.ones((5000, 4), np.float32)
    y = np.random.default_rng(0).standard_normal((4500, 4)).astype(np.float32)
    made = loop.Run(x, y, DEVICE, free=PLENTY)
    state = Assignment(5000, 4500)
    assert made.run(state)["failed"] > 0
    assert state.done < 4500
    labels = gtn_fast.label(x, Y=y, device="cuda")
    assert labels.report["engine"]["rows_by_kernels"] == state.done
    assert (labels.x_index == gtn_fast.label(x, Y=y).x_index).all()


def test_pairs_are_handed_over_once_and_in_turn():
    x, y = cases.make("gaussian", 3000, 3000, 8)
    y[:10] = 0
    rows, columns, said = [], [], []
    made = loop.Run(x, y, DEVICE, free=PLENTY, end_pairs=1 << 18)
    state = Assignment(3000, 3000)
    made.run(
        state,
        progress=lambda done, total: said.append((done, total)),
        hand_over=lambda y_rows, x_rows, cosine: (rows.append(y_rows), columns.append(x_rows)),
    )
    assert len(rows) >= 1  # ten times per second at most
    assert (np.concatenate(rows) == made.turns).all()
    assert (np.concatenate(columns) == state.x_index[made.turns]).all()
    assert said == sorted(said)
    assert said[-1] == (3000, 3000)


def test_an_exception_of_the_progress_ends_it():
    class Stopped(Exception):
        pass

    def stop(done, total):
        raise Stopped

    x, y = cases.make("gaussian", 3000, 3000, 8)
    with pytest.raises(Stopped):
        loop.Run(x, y, DEVICE, free=PLENTY, end_pairs=1 << 16).run(
            Assignment(3000, 3000), progress=stop
        )
    made, state, _ = run(x, y, end_pairs=1 << 18)  # and nothing is left behind
    assert_exact(made, state, x, y)


@pytest.mark.parametrize(
    ("n", "d", "free", "words"),
    [
        (50, 513, PLENTY, "d is above 512"),
        (50, 8, 1 << 20, "of device memory are needed"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(n, d, free, words):
    x, y = cases.make("gaussian", n, n, d)
    assert words in loop.Run(x, y, DEVICE, free=free).refusal


def test_without_kernels_triton_does_it_all(triton_alone):
    x, y = cases.make("gaussian", 300, 300, 5)
    assert "no kernels" in loop.Run(x, y, DEVICE, free=PLENTY).refusal
    labels = gtn_fast.label(x, Y=y, device="cuda")
    assert "rows_by_kernels" not in labels.report["engine"]
    expected, _, _ = match(x, y)
    assert (labels.x_index == expected).all()


@pytest.mark.parametrize("padded", [16, 48, 64, 80, 128, 208])
def test_codes_lie_where_the_kernels_look(padded):
    """Dimension k of row r, by the formula of csrc/cuda/codes.h."""
    n = 300
    codes = torch.arange(n * padded, dtype=torch.int32).reshape(n, padded)
    packed = packing.pack(codes).numpy()
    rows, dims = np.divmod(np.arange(n * padded), padded)
    part, chunk = dims // 64, dims % 64 // 8
    width = np.minimum(padded - part * 64, 64)
    tile, in_tile = np.divmod(rows, 128)
    at = tile * 128 * padded + part * 128 * 64
    at += in_tile // 8 * 8 * width + chunk * 64 + in_tile % 8 * 8 + dims % 8
    assert (packed[at] == codes.numpy().ravel()).all()
    assert len(packed) == 384 * padded


def test_which_kernels_run_where(tmp_path, monkeypatch):
    for name in ("sm_80", "sm_90a"):
        (tmp_path / f"{name}.cubin").write_bytes(name.encode())
    monkeypatch.setattr(cubins, "FOLDER", tmp_path)
    found = {c: cubins.find(c) for c in [(7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0)]}
    names = {c: each and each.architecture for c, each in found.items()}
    assert names == {
        (7, 5): None, (8, 0): "sm_80", (8, 9): "sm_80", (9, 0): "sm_90a", (10, 0): None,
        (12, 0): None,
    }  # fmt: skip
    assert found[9, 0].wgmma
    assert not found[8, 0].wgmma


def test_the_working_memory_is_counted_before_it_is_taken():
    small, large = (
        loop.bytes_needed(
            n, n, 32, native.module().DeviceLoop(b"", False, 0, n, n, 32, 32).work_bytes
        )
        for n in (10**5, 10**7)
    )
    assert 3 * 10**8 < small < 3 * 10**9
    assert small < large < 2 * 10**10


if not launch.interpreted():  # the driver's words, where there is one

    def test_kernels_that_do_not_load_are_a_reason(monkeypatch):
        monkeypatch.setattr(loop, "kernels_for", lambda device: cubins.Cubin("sm_80", b"no cubin"))
        x, y = cases.make("gaussian", 50, 50, 8)
        assert "CUDA" in loop.Run(x, y, DEVICE, free=PLENTY).refusal
