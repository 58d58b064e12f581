"""``label``: containers, dtypes, Y=None, the report, progress, what comes back."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import cases
import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast.inputs.arrays import convert, describe
from gtn_fast.reference import match, rank
from gtn_fast.run.progress import progress_reporter

METHODS = ["reference", "auto"]


@pytest.fixture(params=METHODS)
def method(request):
    if request.param == "auto":
        request.getfixturevalue("native")
    return request.param


def same(labels, expected):
    """``expected``: what the reference returned for the values as the engine reads them."""
    x_index, cosine, order = expected
    assert labels.x_index.dtype == labels.order.dtype == np.int64
    assert labels.cosine.dtype == np.float32
    assert (labels.x_index == x_index).all()
    assert (labels.order == order).all()
    assert (labels.cosine == cosine.astype(np.float32)).all()


def padded(a):
    """The same values with a gap after each row."""
    wide = np.zeros((len(a), a.shape[1] + 3), a.dtype)
    wide[:, : a.shape[1]] = a
    return wide[:, : a.shape[1]]


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[:] = a
    return view


def read_only(a):
    b = a.copy()
    b.flags.writeable = False
    return b


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "padded rows": padded,
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every second column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "rows backwards": lambda a: a[::-1].copy()[::-1],
    "columns backwards": lambda a: a[:, ::-1].copy()[:, ::-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "unaligned": unaligned,
    "read-only": read_only,
    "matrix of lists": lambda a: a.astype(np.float64).tolist(),
    "torch": torch.tensor,
    "torch requires_grad": lambda a: torch.tensor(a, requires_grad=True),
    "torch transposed": lambda a: torch.tensor(a.T.copy()).T,
    "torch strided": lambda a: torch.tensor(np.repeat(a, 2, axis=1))[:, ::2],
    "torch negative view": lambda a: (
        torch.complex(torch.zeros(a.shape, dtype=torch.tensor(a).dtype), torch.tensor(-a))
        .conj()
        .imag
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_layouts_and_containers(method, layout, dtype):
    x, y = (part.astype(dtype) for part in cases.make("half_duplicates", 60, 50, 5))
    expected = match(x, y)
    same(gtn_fast.label(LAYOUTS[layout](x), y, method=method), expected)
    same(gtn_fast.label(x, LAYOUTS[layout](y), method=method), expected)


def test_negative_view_is_one():
    assert LAYOUTS["torch negative view"](np.ones((2, 2))).is_neg()


@pytest.mark.parametrize("d", [1, 2])
def test_single_columns_of_a_wide_matrix(method, rng, d):
    wide_x, wide_y = rng.standard_normal((40, 7)), rng.standard_normal((30, 7))
    expected = match(wide_x[:, :d].copy(), wide_y[:, :d].copy())
    same(gtn_fast.label(wide_x[:, :d], wide_y[:, :d], method=method), expected)


@pytest.mark.parametrize(
    ("dtype", "read_as"),
    [
        (np.float16, np.float32),
        (np.longdouble, np.float64),
        (np.int8, np.float64),
        (np.uint16, np.float64),
        (np.int64, np.float64),
        (np.uint64, np.float64),
    ],
)
def test_numpy_dtypes(method, rng, dtype, read_as):
    x = rng.integers(0, 100, (50, 3)).astype(dtype)
    y = rng.integers(0, 100, (40, 3)).astype(dtype)
    labels = gtn_fast.label(x, y, method=method)
    assert labels.report["x_dtype"] == labels.report["y_dtype"] == np.dtype(read_as).name
    assert labels.y.dtype == read_as
    same(labels, match(x.astype(np.float64), y.astype(np.float64)))


@pytest.mark.parametrize(
    ("dtype", "read_as"),
    [
        (torch.float16, "float32"),
        (torch.bfloat16, "float32"),
        (torch.float8_e4m3fn, "float32"),
        (torch.float32, "float32"),
        (torch.float64, "float64"),
        (torch.int32, "float64"),
        (torch.uint8, "float64"),
    ],
)
def test_torch_dtypes(method, rng, dtype, read_as):
    x = torch.tensor(rng.standard_normal((50, 3)) * 10).to(dtype)
    y = torch.tensor(rng.standard_normal((40, 3)) * 10).to(dtype)
    labels = gtn_fast.label(x, y, method=method)
    assert labels.report["x_dtype"] == labels.report["y_dtype"] == read_as
    same(labels, match(x.double().numpy(), y.double().numpy()))


def test_mixed_dtypes(method, rng):
    x, y = rng.standard_normal((50, 3)).astype(np.float32), rng.standard_normal((40, 3))
    same(gtn_fast.label(x, y, method=method), match(x, y))


def test_memory_map_is_read_in_place(method, rng, tmp_path):
    np.save(tmp_path / "x.npy", rng.standard_normal((50, 3)).astype(np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    described = describe(x, "X")
    assert described.copy_bytes == 0
    assert np.shares_memory(convert(described), x)
    same(gtn_fast.label(x, x, method=method), match(x, x))


@pytest.mark.parametrize(
    ("layout", "copies"),
    [
        ("C", False),
        ("padded rows", False),
        ("every second row", False),
        ("torch", False),
        ("Fortran", True),
        ("big-endian", True),
        ("unaligned", True),
        ("rows backwards", True),
    ],
)
def test_only_what_does_not_conform_is_copied(rng, layout, copies):
    a = rng.standard_normal((8, 3))
    described = describe(LAYOUTS[layout](a), "X")
    assert described.copy_bytes == (a.nbytes if copies else 0)


def test_input_is_not_changed(method, rng):
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((40, 3))
    before = x.copy(), y.copy()
    gtn_fast.label(x, y, method=method)
    assert (x == before[0]).all()
    assert (y == before[1]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_drawn_y(method, rng, dtype):
    x = (10 * rng.standard_normal((50, 3))).astype(dtype)
    y = gtn_fast.normal(5, 0, 50, 3)
    labels = gtn_fast.label(x, seed=5, method=method)
    assert labels.y.dtype == np.float32
    assert (labels.y == y).all()
    assert labels.seed == labels.report["seed"] == 5
    same(labels, match(x, y))
    assert not (gtn_fast.label(x, seed=6, method=method).y == y).any()


def test_one_point(method):
    labels = gtn_fast.label(np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]]), method=method)
    assert labels.x_index.tolist() == labels.order.tolist() == [0]
    assert labels.cosine.tolist() == [np.float32(0.6)]


@pytest.mark.parametrize("d", [1, 2, 3, 16, 17, 100])
def test_more_x_than_y(method, d):
    x, y = cases.make("gaussian", 500, 50, d)
    same(gtn_fast.label(x, y, method=method), match(x, y))


def test_rank(rng):
    x, y = rng.standard_normal((100, 1)), rng.standard_normal((70, 1))
    labels = gtn_fast.label(x, y, method="rank")
    same(labels, rank(x, y))
    assert labels.report["strategy"] == "rank"
    assert labels.report["backend"] == "reference"


def test_report(method, rng):
    labels = gtn_fast.label(rng.standard_normal((50, 3)), method=method, threads=2)
    report = labels.report
    assert json.loads(json.dumps(report)) == report
    assert (report["n_x"], report["n_y"], report["d"], report["threads"]) == (50, 50, 3, 2)
    assert report["method"] == method
    assert report["version"] == gtn_fast.__version__
    assert report["groups"] is None
    assert set(report["seconds"]) == {"prepare", "draw_y", "match", "total"}
    assert all(value >= 0 for value in report["seconds"].values())
    assert report["peak_memory_bytes"] > 10**6
    assert report["predicted_seconds"] > 0
    assert report["predicted_bytes"] > 0
    assert report["why"]


def test_pairs(method, rng):
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((40, 3)).astype(np.float32)
    labels = gtn_fast.label(x, y, method=method)
    sources, targets = labels.pairs(x)
    assert (sources == y).all()
    assert (targets == x[labels.x_index]).all()
    with pytest.raises(ValueError, match=r"for X of shape \(50, 3\), got \(49, 3\)"):
        labels.pairs(x[1:])


def test_pairs_of_tensors(rng):
    x = torch.tensor(rng.standard_normal((50, 3)), dtype=torch.bfloat16)
    labels = gtn_fast.label(x, method="reference")
    sources, targets = labels.pairs(x)
    assert sources.dtype == torch.float32
    assert targets.dtype == torch.bfloat16
    assert (sources.numpy() == labels.y).all()
    assert (targets == x[torch.from_numpy(labels.x_index)]).all()


def test_torch_is_not_imported():
    code = (
        "import sys, numpy as np, gtn_fast\n"
        "gtn_fast.label(np.eye(3), method='reference')\n"
        "gtn_fast.plan(10, d=3)\n"
        "assert 'torch' not in sys.modules and 'tqdm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_progress_callable(method):
    x, y = cases.make("gaussian", 3000, 3000, 8)
    seen = []
    gtn_fast.label(x, y, method=method, progress=lambda done, total: seen.append((done, total)))
    assert all(total == 3000 for _, total in seen)
    done = [value for value, _ in seen]
    assert done == sorted(done)
    assert all(0 <= value <= 3000 for value in done)
    if method == "reference":
        assert done[-1] == 3000


class Terminal(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize(
    ("progress", "is_terminal", "seconds", "shown"),
    [
        (None, True, 10.0, True),
        (None, True, 1.0, False),
        (None, False, 10.0, False),
        (True, False, 0.0, True),
        (False, True, 10.0, False),
    ],
)
def test_progress_bar(monkeypatch, progress, is_terminal, seconds, shown):
    stream = Terminal(is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_reporter(progress, 100, seconds) as call:
        assert (call is not None) == shown
        if call is not None:
            call(40, 100)
            call(100, 100)
    assert ("100/100" in stream.getvalue()) == shown


def test_exception_in_progress_reaches_the_caller(method):
    x, y = cases.make("gaussian", 4000, 4000, 16)

    def fail(done, total):
        raise RuntimeError("from the callable")

    try:
        gtn_fast.label(x, y, method=method, progress=fail)
    except RuntimeError as error:
        assert str(error) == "from the callable"  # noqa: PT017 (a quick run may never call it)
    else:
        assert method == "auto"
    same(gtn_fast.label(x[:50], y[:50], method=method), match(x[:50], y[:50]))


def test_without_the_engine(monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "gtn_fast._native", None)
    x = rng.standard_normal((20, 3))
    for wanted in ("auto", "tree", "screen"):
        with pytest.raises(ImportError, match=r"not built: run `pip install \.`"):
            gtn_fast.label(x, method=wanted)
    assert gtn_fast.label(x, method="reference").report["simd"] == "numpy"
