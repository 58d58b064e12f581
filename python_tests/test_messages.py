"""What came stands in the message, with the way out; a missing package with its extra."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.utils.data import DataLoader, TensorDataset

import gtn_fast
from gtn_fast.learn import GTN, Autoencoder, HHat, train
from gtn_fast.packages import how_to_get

X = np.random.default_rng(0).standard_normal((20, 3))
ROWS = TensorDataset(torch.from_numpy(X))


TYPES = {
    "None": (lambda: None, "got NoneType"),
    "sparse matrix": (lambda: sparse.csr_matrix(X), r"got csr_matrix, which is sparse; X.toarray"),
    "sparse array": (lambda: sparse.coo_array(X), r"got coo_array, which is sparse; X.toarray"),
    "sparse tensor": (lambda: torch.from_numpy(X).to_sparse(), r"torch.sparse_coo: X.to_dense\(\)"),
    "DataLoader": (lambda: DataLoader(ROWS), r"got DataLoader; torch.cat of its batches"),
    "TensorDataset": (lambda: ROWS, r"got TensorDataset; X.tensors\[0\] is one"),
    "generator": (lambda: (row for row in X), r"got generator; np.stack\(list\(X\)\)"),
    "map": (lambda: map(list, X), r"got map; np.stack\(list\(X\)\)"),
    "file": (lambda: io.BytesIO(b"x"), "got BytesIO; give the file's path instead"),
    "bytes": (lambda: b"x.npy", r"got bytes; np.frombuffer"),
    "dict": (lambda: {"x": X}, r"got dict; X\['key'\] may be one"),
    "set": (lambda: {1.0, 2.0}, "got set"),
    "function": (lambda: np.zeros, "got builtin_function_or_method"),
    "class": (lambda: dict, "got type"),
    "meta": (lambda: torch.empty(20, 3, device="meta"), r"without data \(device 'meta'\)"),
    "matrices": (lambda: [X, X], r"got list of several; np.concatenate\(X\) is one"),
    "unequal matrices": (lambda: [X, X[1:]], r"got list of several; np.concatenate\(X\) is one"),
    "ragged": (lambda: [[1.0], [1.0, 2.0]], "got list: "),
    "objects": (lambda: np.array([[object()]]), r"dtype object: Python objects \(object\)"),
    "texts": (lambda: X.astype(str), r"dtype <U\d+; X.astype\(float\) reads numbers"),
    "booleans": (lambda: X > 0, r"dtype bool; X.astype\(float\)"),
    "complex": (lambda: X * 1j, r"dtype complex128; np.hstack\(\[X.real, X.imag\]\)"),
    "fields": (lambda: np.zeros(3, [("a", "f4")]), "structured_to_unstructured"),
}


@pytest.mark.parametrize("case", sorted(TYPES))
def test_the_type_that_came_and_the_way_out(case):
    make, message = TYPES[case]
    labels = gtn_fast.label(X)
    calls = [
        lambda x: gtn_fast.label(x),
        lambda x: gtn_fast.plan(x),
        lambda x: gtn_fast.verify(x, None, labels),
        lambda x: labels.pairs(x),
        lambda x: GTN(3).fit(x, epochs=1),
        lambda x: gtn_fast.LabeledPairs(x),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=message) as caught:
            call(make())
        text = str(caught.value)
        assert text.startswith("X ")
        assert "\n" not in text
        assert len(text) <= 200


def test_an_archive_in_place_of_an_array(tmp_path):
    np.savez(tmp_path / "a.npz", x=X)
    with (
        np.load(tmp_path / "a.npz") as archive,
        pytest.raises(TypeError, match=r"got NpzFile with several arrays; X\['key'\] is one"),
    ):
        gtn_fast.label(archive)


SHAPES = {(): "", (5,): r"; X.reshape\(-1, 1\)", (5, 2, 2): r"; X.reshape\(5, -1\), flatten=True"}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_and_the_way_out(shape):
    with pytest.raises(ValueError, match=rf"got shape .*{SHAPES[shape]}"):
        gtn_fast.label(np.zeros(shape))


def fit(**options):
    return lambda: GTN(3, layers=1, width=4).fit(X, epochs=1, progress=False, **options)


def trained(**options):
    model = torch.nn.Linear(2, 2)
    data = [torch.zeros(4, 2)]
    loss = lambda model, x: model(x).sum()  # noqa: E731
    return lambda: train(model, loss, data, epochs=1, batch_size=2, lr=0.1, **options)


ARGUMENTS = {
    "device": (lambda: GTN(3, device="gpu"), ValueError, "device 'gpu' cannot be used here"),
    "device type": (lambda: GTN(3, device=3.5), TypeError, "device must be .*, got float"),
    "train device": (trained(device="gpu"), ValueError, "device 'gpu' cannot be used here"),
    "label device": (lambda: gtn_fast.label(X, device=3), TypeError, "device must be .* int"),
    "seed": (fit(seed=1.5), TypeError, "seed must be an integer, got float"),
    "checkpoint": (fit(checkpoint=3), TypeError, "checkpoint must be a path, got int"),
    "train checkpoint": (trained(checkpoint=3), TypeError, "checkpoint must be a path, got int"),
    "log": (fit(log=3), TypeError, "log must be a path, got int"),
    "tensorboard": (fit(tensorboard=True), TypeError, "tensorboard must be a path, got bool"),
    "cache": (lambda: gtn_fast.LabeledPairs(X, cache=1), TypeError, "cache must be a path, got"),
    "scratch": (lambda: gtn_fast.label(X, scratch=1), TypeError, "scratch must be a path, got int"),
    "labels": (lambda: gtn_fast.Labels.load(3), TypeError, "path must be a path, got int"),
    "model": (lambda: GTN.load(None), TypeError, "path must be a path, got NoneType"),
    "slope": (lambda: GTN(3, negative_slope="a"), ValueError, "negative_slope must be a number"),
    "network": (
        lambda: HHat(3, layers=1, width=2, negative_slope=float("nan")),
        ValueError,
        "negative_slope must be a number from 0 to 1e30, got nan",
    ),
    "a slope beyond float32": (
        lambda: GTN(3, negative_slope=1e308),
        ValueError,
        r"negative_slope must be a number from 0 to 1e30, got 1e\+308",
    ),
    "empty path": (lambda: gtn_fast.label(""), ValueError, "X must be a path, got ''"),
    "path with a zero": (lambda: gtn_fast.label("a\0.npy"), ValueError, "X must be a path"),
}


@pytest.mark.parametrize("case", sorted(ARGUMENTS))
def test_every_argument_is_looked_at(case):
    call, error, message = ARGUMENTS[case]
    with pytest.raises(error, match=message):
        call()


# ------------------------------------------------------------------ sizes


def test_networks_have_limits():
    for name, most in (("layers", 10_000), ("width", 1 << 20)):
        with pytest.raises(ValueError, match=f"{name} must be from 1 to {most}, got {most + 1}"):
            GTN(3, **{name: most + 1})
        with pytest.raises(ValueError, match=f"{name} must be from 1 to {most}, got {10**9}"):
            HHat(3, **({"layers": 1, "width": 1} | {name: 10**9}))
    with pytest.raises(MemoryError, match="a network of 9000 layers of width 1000000 for d = 3 "):
        GTN(3, layers=9000, width=10**6)
    with pytest.raises(MemoryError, match="an autoencoder of d = 16777216 for images of side 64 "):
        Autoencoder(3, 64, 1 << 24)
    gtn = GTN(3, layers=1, width=2)
    gtn.fit(X, epochs=1, progress=False)
    with pytest.raises(MemoryError, match="sampling 35,184,372,088,832 rows needs about"):
        gtn.sample(2**45)
    with pytest.raises(MemoryError, match="a path of 2,147,483,647 steps needs about"):
        gtn.interpolate(np.zeros(3), np.ones(3), steps=2**31 - 1)
    with pytest.raises(MemoryError, match="a sample of 281,474,976,710,656 rows needs about"):
        gtn_fast.normal(0, 0, 2**48, 5)


@pytest.mark.parametrize("name", ["width", "layers"])
def test_a_file_that_promises_another_network(tmp_path, name):
    gtn = GTN(3, layers=2, width=4)
    gtn.fit(X, epochs=1, progress=False)
    gtn.save(tmp_path / "gtn.safetensors")
    raw = (tmp_path / "gtn.safetensors").read_bytes()
    old = f'\\"{name}\\": {getattr(gtn.preset, name)}'.encode()
    new = f'\\"{name}\\": 9'.encode()
    assert raw.count(old) == 1
    (tmp_path / "gtn.safetensors").write_bytes(raw.replace(old, new))
    with pytest.raises(ValueError, match=r"gtn\.safetensors: .*(promises|digest|damaged)"):
        GTN.load(tmp_path / "gtn.safetensors")


# ------------------------------------------------------------------ packages


@pytest.mark.parametrize(
    ("absent", "words"),
    [
        (("safetensors",), "safetensors is not installed: pip install 'gtn-fast[train]'"),
        (("torch", "safetensors"), "torch and safetensors are not installed"),
        (("safetensors", "torch"), "safetensors are not installed: pip install 'gtn-fast[train]'"),
    ],
)
@pytest.mark.parametrize("name", ["GTN", "Autoencoder"])
def test_what_is_missing_is_named_with_its_extra(absent, words, name):
    code = (
        f"import sys\nfor name in {absent}: sys.modules[name] = None\n"
        f"import gtn_fast\ntry:\n    gtn_fast.{name}\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.startswith(f"ImportError {name}: ")
    assert words in done.stdout


def test_how_to_get(monkeypatch):
    missing = ModuleNotFoundError("no", name="matplotlib.pyplot")
    assert how_to_get(missing, ("torch",)) == (
        "matplotlib is not installed: pip install 'gtn-fast[plots]'"
    )
    monkeypatch.setitem(sys.modules, "torch", None)
    assert how_to_get(missing, ("torch",)) == (
        "matplotlib and torch are not installed: pip install 'gtn-fast[plots,train]'"
    )
    broken = ImportError("libc10.so: cannot open", name="torch")
    assert how_to_get(broken) == "libc10.so: cannot open"
