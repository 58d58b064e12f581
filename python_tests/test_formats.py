"""Files that other tools write, as X: the same rows from every format, and a line for a bad one."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import cases
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch
from cli_runs import one_line, run
from safetensors.numpy import save_file

import gtn_fast
from gtn_fast import reference
from gtn_fast.inputs.arrays import convert, describe
from gtn_fast.inputs.formats import packed, registry
from gtn_fast.inputs.matrices import Stacked
from gtn_fast.inputs.sources import mapped_file

if sys.version_info >= (3, 11):
    import zarr

needs_zarr = pytest.mark.skipif(sys.version_info < (3, 11), reason="zarr needs Python 3.11")
N, D = 300, 4
X = (cases.make("gaussian", N, N, D)[0] / 3).astype(np.float32)
NAMES = [f"row-{i}" for i in range(N)]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ------------------------------------------------------------------ writers, with names of rows


def fixed(x):
    return pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1])


def lists(x):
    kind = pa.list_(pa.from_numpy_dtype(x.dtype))
    return pa.array(list(x), kind)  # arrays: older Arrow takes no plain float as float16


def table(x=X, column=fixed):
    return pa.table({"id": NAMES[: len(x)], "emb": column(x), "weight": np.ones(len(x))})


def parquet(x=X, column=fixed, name="x.parquet", rows=70):
    pq.write_table(table(x, column), name, row_group_size=rows)
    return name


def feather(x=X, column=lists, compression="zstd", name="x.feather"):
    pyarrow.feather.write_feather(table(x, column), name, compression=compression, chunksize=70)
    return name


def dataset(x=X, folder="data", parts=3):
    """A folder as ``datasets.Dataset.save_to_disk`` writes it: streams of record batches."""
    Path(folder).mkdir()
    whole, files = table(x, lists), []
    for i, rows in enumerate(np.array_split(np.arange(len(x)), parts)):
        # Not in the order of their names: the state says which order.
        name = f"data-{parts - i:05}-of-{parts:05}.arrow"
        part = whole.slice(rows[0], len(rows))
        with pa.ipc.new_stream(f"{folder}/{name}", whole.schema) as writer:
            writer.write_table(part, max_chunksize=40)
        files.append({"filename": name})
    state = {"_data_files": files, "_indices_files": None}
    Path(folder, "state.json").write_text(json.dumps(state))
    Path(folder, "dataset_info.json").write_text("{}")
    return folder


def hdf5(x=X, name="x.h5", **how):
    with h5py.File(name, "w") as file:
        file.create_dataset("train/latents", data=x, **how)
        file["id"] = NAMES[: len(x)]
    return f"{name}:train/latents"


def zarr_group(x=X, name="x.zarr"):
    group = zarr.open_group(name, mode="w")
    group.create_array("latents", data=x, chunks=(37, D))
    group.create_array("id", data=np.arange(len(x)))
    return name


def npy_bytes(row):
    stream = io.BytesIO()
    np.save(stream, row)
    return stream.getvalue()


def torch_bytes(row):
    stream = io.BytesIO()
    torch.save(torch.from_numpy(row.copy()), stream)
    return stream.getvalue()


def tar(x=X, name="x.tar", field="latent.npy", content=npy_bytes):
    with tarfile.open(name, "w") as file:
        for i, row in enumerate(x):
            for suffix, data in ((field, content(row)), ("json", b"{}")):
                info = tarfile.TarInfo(f"shard/{NAMES[i]}.{suffix}")
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return name


def shards(x=X, name="latents"):
    places = {}
    for i, part in enumerate(np.array_split(x, 12)):
        file = f"{name}-{i:02}.safetensors"
        save_file({f"{name}.{i}": part, "other": part[:1]}, file)
        places[f"{name}.{i}"] = file
    Path(f"{name}.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return f"{name}.safetensors.index.json"


def fvecs(x=X, name="x.fvecs"):
    lengths = np.full((len(x), 1), x.shape[1], np.int32)
    np.hstack([lengths.view(np.float32), x]).tofile(name)
    return name


def fbin(x=X, name="x.fbin"):
    Path(name).write_bytes(np.array(x.shape, np.uint32).tobytes() + x.tobytes())
    return name


def nested(x=X, name="x.pt"):
    torch.save({"epoch": 3, "out": {"z": [torch.from_numpy(x)], "ids": torch.arange(N)}}, name)
    return f"{name}:out.z.0"


@pytest.fixture(scope="module")
def x_index():
    return reference.match(X, gtn_fast.normal(0, 0, N, D))[0]


MAPPED = {
    "feather, plain": lambda: feather(compression="uncompressed"),
    "dataset": dataset,
    "hdf5": hdf5,
    "safetensors index": shards,
    "fvecs": fvecs,
    "fbin": fbin,
}
UNPACKED = {
    "parquet": parquet,
    "parquet, lists": lambda: parquet(column=lists),
    "feather": feather,
    "feather, fixed": lambda: feather(column=fixed),
    "hdf5, chunks": lambda: hdf5(chunks=(33, D), compression="gzip"),
    "zarr": pytest.param(zarr_group, marks=needs_zarr),
    "tar": tar,
    "tar of tensors": lambda: tar(field="pth", content=torch_bytes),
}
WRITERS = {**MAPPED, **UNPACKED, "nested pt": nested}
each_writer = pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)


@each_writer
def test_all_formats_hold_the_same_rows(native, monkeypatch, x_index, writer):
    monkeypatch.setattr(packed, "BLOCK_BYTES", 50 * D * 4)  # several blocks
    spec = writer()
    found = describe(spec, "X")
    assert found.shape == (N, D)
    assert found.dtype == np.float32
    assert (np.asarray(convert(found)) == X).all()
    labels = gtn_fast.label(spec)
    assert (labels.x_index == x_index).all()
    assert gtn_fast.verify(spec, None, labels).complete
    y, x = labels.pairs(spec)
    assert (np.asarray(y) == labels.y).all()
    assert (np.asarray(x) == X[x_index]).all()


@pytest.mark.parametrize("writer", MAPPED.values(), ids=MAPPED)
def test_what_can_be_mapped_is_not_copied(writer):
    found = describe(writer(), "X")
    assert found.copy_bytes == 0
    parts = found.value.parts if isinstance(found.value, Stacked) else [found.value]
    assert all(mapped_file(part) is not None for part in parts)


@pytest.mark.parametrize("writer", UNPACKED.values(), ids=UNPACKED)
def test_what_is_unpacked_is_planned_first(monkeypatch, writer):
    """Opening reads no rows but the first: memory is predicted before any is taken."""
    monkeypatch.setattr(packed, "BLOCK_BYTES", 50 * D * 4)
    found = describe(writer(), "X")
    assert found.copy_bytes == X.nbytes
    (part,) = found.value.parts
    assert isinstance(part, packed.Packed)
    largest = max(len(piece) for piece in part.pieces(0, N))
    assert largest <= max(50, 70)  # a batch of the file, at most


@pytest.mark.parametrize("writer", UNPACKED.values(), ids=UNPACKED)
def test_single_rows_of_what_is_unpacked(monkeypatch, writer):
    monkeypatch.setattr(packed, "BLOCK_BYTES", 20 * D * 4)
    value = describe(writer(), "X").value
    numbers = np.array([299, 0, 7, 7, 150, 20, 19, 299])
    assert (value[numbers] == X[numbers]).all()
    assert (value[19:161] == X[19:161]).all()
    assert value[5:5].shape == (0, D)
    assert (value[3] == X[3]).all()
    some = value.spread(16)
    assert 8 <= len(some) <= 16
    assert all((row == X).all(axis=1).any() for row in some)


def test_several_files_of_several_kinds(native):
    save_file({"x": X[:100]}, "a.safetensors")
    parquet(X[100:200], name="b.parquet")
    np.save("c.npy", X[200:].astype(np.float64))
    given = ["a.safetensors", "b.parquet", "c.npy"]
    labels = gtn_fast.label(given)
    assert (labels.x_index == gtn_fast.label(X.astype(np.float64), seed=0).x_index).all()
    assert [each["rows"] for each in labels.report["x_files"]] == [100, 100, 100]
    assert labels.source(150) == (Path("b.parquet").absolute(), 50)


# ------------------------------------------------------------------ keys, ids


def test_a_column_is_picked(capsys):
    pq.write_table(pa.table({"a": fixed(X), "b": fixed(X[:, :2].copy()), "n": NAMES}), "x.parquet")
    assert run("plan", "x.parquet") == 2
    one_line(capsys, "a 300x4", "b 300x2", "x.parquet:KEY")
    for given in (["x.parquet:b"], ["x.parquet", "--key", "b"]):
        assert run("plan", *given) == 0
        assert "d = 2" in capsys.readouterr().out
    assert run("plan", "x.parquet:c") == 2
    one_line(capsys, "no column 'c'")
    assert gtn_fast.plan("x.parquet", column="a").d == 4
    labels = gtn_fast.label("x.parquet", column="b")
    assert labels.d == 2
    assert labels.pairs("x.parquet", column="b")[1].shape == (N, 2)
    assert gtn_fast.verify("x.parquet", None, labels, column="b").complete
    with pytest.raises(ValueError, match="column names a part of files, but X is no file"):
        gtn_fast.label(X, column="b")
    with pytest.raises(TypeError, match="column must be a text, got int"):
        gtn_fast.label("x.parquet", column=3)


@pytest.mark.parametrize(
    ("writer", "ids", "expected"),
    [
        (parquet, "id", NAMES),
        (feather, "id", NAMES),
        (dataset, "id", NAMES),
        (hdf5, "id", NAMES),
        pytest.param(zarr_group, "id", list(range(N)), marks=needs_zarr),
        (tar, "__key__", [f"shard/{name}" for name in NAMES]),
        (nested, "out.ids", list(range(N))),
    ],
)
def test_ids_travel(native, writer, ids, expected):
    labels = gtn_fast.label(writer(), ids=ids)
    assert labels.x_ids.tolist() == expected
    labels.save("l.npz")
    assert gtn_fast.Labels.load("l.npz").x_ids.tolist() == expected
    found = labels.to_arrow().column("x_id").to_pylist()
    assert found == [expected[row] for row in labels.x_index]


def test_ids_that_do_not_fit(capsys):
    np.savez("x.npz", x=X, short=np.arange(5))
    assert run("label", "x.npz:x", "--ids", "short", "--out", "o.npz") == 2
    one_line(capsys, "x.npz: has 300 rows, but 5 ids in 'short'")
    np.save("x.npy", X)
    assert run("label", "x.npy", "--ids", "id", "--out", "o.npz") == 2
    one_line(capsys, "holds one array and has no key 'id'")
    with pytest.raises(ValueError, match="ids names a part of files"):
        gtn_fast.label(X, ids="id")
    pq.write_table(pa.table({"emb": fixed(X), "id": [None, *NAMES[1:]]}), "x.parquet")
    assert run("label", "x.parquet", "--ids", "id", "--out", "o.npz") == 2
    one_line(capsys, "row 0 of column 'id' is missing")


def test_shards_are_named_by_a_pattern(capsys):
    spec = shards()
    places = json.loads(Path(spec).read_text())["weight_map"]
    places["other"] = places["latents.3"]
    Path(spec).write_text(json.dumps({"weight_map": places}))
    assert run("plan", spec) == 2
    one_line(capsys, "latents.*", "other", "KEY")
    for given in ([f"{spec}:latents.*"], [spec, "--key", "latents.*"]):
        assert run("plan", *given) == 0
        capsys.readouterr()
    assert gtn_fast.plan(f"{spec}:latents.11").n_x == 25
    assert (np.asarray(describe(f"{spec}:latents.*", "X").value) == X).all()
    assert run("plan", f"{spec}:nothing") == 2
    one_line(capsys, "no key 'nothing'")


@pytest.mark.parametrize("name", ["a\nb.safetensors", "../a.safetensors", "/a.safetensors", "", 3])
def test_an_index_leads_to_files_of_its_folder(capsys, name):
    """A fuzzer found the first: the name stood in the message as it was."""
    index = Path("x.safetensors.index.json")
    index.write_text(json.dumps({"weight_map": {"x": name}}))
    assert run("plan", index) == 2
    one_line(capsys, "no weight_map to files of its folder")
    index.write_text(json.dumps({"weight_map": {"x\r": "x.safetensors"}}))
    assert run("plan", index) == 2
    one_line(capsys, "what cannot be printed")
    folder = Path(dataset())
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    assert run("plan", folder) == 2
    one_line(capsys, "names no data files of its folder")


def test_a_dataset_s_folder(capsys):
    folder = dataset()
    files = [Path(each.path).name[5:10] for each in describe(folder, "X").files]
    assert files == ["00003", "00002", "00001"]  # as its state says
    assert gtn_fast.plan(f"{folder}:emb").n_x == N
    state = json.loads(Path(folder, "state.json").read_text())
    state["_indices_files"] = [{"filename": "indices.arrow"}]
    Path(folder, "state.json").write_text(json.dumps(state))
    assert run("plan", folder) == 2
    one_line(capsys, "flatten_indices")
    Path("splits").mkdir()
    Path("splits/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert run("plan", "splits") == 2
    one_line(capsys, "several splits", "train, test")
    # An output over one of the files is an output over an input.
    assert run("label", dataset(folder="more"), "--out", "more/data-00001-of-00003.arrow") == 2
    Path("more/data-00001-of-00003.arrow").rename("more/o.npz")
    text = Path("more/state.json").read_text()
    Path("more/state.json").write_text(text.replace("data-00001-of-00003.arrow", "o.npz"))
    capsys.readouterr()
    assert run("label", "more", "--out", "more/o.npz", "--force") == 2
    one_line(capsys, "is the input")


# ------------------------------------------------------------------ numbers of other types


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int64, np.uint16])
@pytest.mark.parametrize(
    "writer", [parquet, feather, hdf5, pytest.param(zarr_group, marks=needs_zarr), tar]
)
def test_types_of_numbers(writer, dtype):
    x = np.round(X * 20 + 30).astype(dtype)
    found = describe(writer(x), "X")
    assert found.dtype == np.dtype(np.float32 if dtype == np.float16 else np.float64)
    assert (np.asarray(convert(found)) == x.astype(found.dtype)).all()


@pytest.mark.parametrize(("suffix", "dtype"), [("u8bin", np.uint8), ("i8bin", np.int8)])
def test_bytes_of_vectors(suffix, dtype):
    x = np.round(X * 5 + 40).astype(dtype)
    assert (np.asarray(convert(describe(fbin(x, f"x.{suffix}"), "X"))) == x).all()


def test_bvecs():
    x = np.round(X * 5 + 40).astype(np.uint8)
    lengths = np.full((N, 1), D, np.int32).view(np.uint8)
    np.hstack([lengths, x]).tofile("x.bvecs")
    assert (np.asarray(convert(describe("x.bvecs", "X"))) == x).all()


@pytest.mark.parametrize(
    "writer", [hdf5, tar, pytest.param(lambda x: zarr_cube(x), marks=needs_zarr)]
)
def test_rows_of_more_dimensions(capsys, writer):
    cube = X.reshape(N, 2, 2)
    spec = writer(cube)
    assert run("plan", spec) == 2
    one_line(capsys, "(300, 2, 2)", "--flatten")
    found = describe(spec, "X", flatten=True)
    assert (np.asarray(convert(found)) == X).all()


def zarr_cube(x):
    zarr.save("cube.zarr", x)
    return "cube.zarr"


def test_arrow_s_own_tensors():
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(X)
    pq.write_table(pa.table({"emb": tensor}), "x.parquet")
    assert (np.asarray(convert(describe("x.parquet", "X"))) == X).all()


# ------------------------------------------------------------------ larger than memory


@pytest.mark.parametrize("writer", [parquet, hdf5, lambda: half()], ids=["parquet", "hdf5", "half"])
def test_what_has_no_room_goes_to_a_scratch_file(native, monkeypatch, tmp_path, writer):
    """With ``memory`` what must be unpacked or converted is a file without a name."""
    made = []
    monkeypatch.setattr(
        "tempfile.TemporaryFile", noting(made, tmp_path / "scratch", __import__("tempfile"))
    )
    (tmp_path / "scratch").mkdir()
    spec = writer()
    whole = gtn_fast.label(spec, method="screen")
    assert made == []
    few = gtn_fast.label(spec, method="screen", memory=1 << 20, scratch=tmp_path / "scratch")
    assert (few.x_index == whole.x_index).all()
    monkeypatch.setattr("gtn_fast.run.job.memory_limit", lambda *_: 1000)
    monkeypatch.setattr("gtn_fast.run.schedule.within", lambda plan, *_, **__: plan)
    few = gtn_fast.label(spec, method="tree", memory=1000, scratch=tmp_path / "scratch")
    assert (few.x_index == whole.x_index).all()
    assert len(made) == (spec != "x.h5:train/latents")  # which is mapped
    assert list((tmp_path / "scratch").iterdir()) == []


def half():
    np.save("half.npy", X.astype(np.float16))
    return "half.npy"


def noting(made, folder, tempfile):
    opened = tempfile.TemporaryFile

    def temporary(*args, dir=None, **how):
        if dir is not None and Path(dir) == folder:
            made.append(dir)
        return opened(*args, dir=dir, **how)

    return temporary


def test_a_scratch_folder_without_room(monkeypatch):
    from gtn_fast.inputs.room import Room

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match=r"a scratch file of 800 .* does not fit: No space left"):
        Room(100)((10, 10), np.dtype(np.float64))
    assert not isinstance(Room(800)((10, 10), np.dtype(np.float64)), np.memmap)


# ------------------------------------------------------------------ standard input


def given_stdin(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize("order", ["C", "F"])
def test_standard_input(monkeypatch, order):
    given_stdin(monkeypatch, npy_bytes(np.array(X, order=order)))
    labels = gtn_fast.label("-")
    assert (labels.x_index == gtn_fast.label(X).x_index).all()
    assert labels.report["x_files"] is None


def test_standard_input_that_is_no_file(monkeypatch, capsys):
    data = npy_bytes(X)
    for bad, text in (
        (b"", "standard input: is empty, or was read already"),
        (b"no file", "standard input: not a readable .npy file"),
        (data[:-1], "standard input: is not whole"),
        (data[:30], "standard input"),
        (npy_bytes(X * np.nan), "X must be finite: row 0, column 0 is nan"),
    ):
        given_stdin(monkeypatch, bad)
        assert run("label", "-", "--out", "o.npz") == 2
        one_line(capsys, text)
    monkeypatch.setattr(sys, "stdin", None)
    assert run("label", "-", "--out", "o.npz") == 2
    one_line(capsys, "is no file or pipe")
    given_stdin(monkeypatch, data)
    assert run("label", "-", "--y", "-", "--out", "o.npz") == 2
    one_line(capsys, "was read already")
    assert not Path("o.npz").exists()


# ------------------------------------------------------------------ bad files


@each_writer
def test_a_truncated_file_is_refused(capsys, writer):
    """At every length that is tried: one line, exit code 2, no output."""
    spec = writer()
    path = Path(spec.partition(":")[0])
    if path.is_dir():
        parts = [each for each in path.rglob("*") if each.suffix == ".arrow" or "c" in each.parts]
        path = next(each for each in parts if each.is_file())
    elif path.suffix == ".json":
        path = Path("latents-03.safetensors")
    whole = path.read_bytes()
    for share in (0.0, 0.05, 0.5, 0.95):
        path.write_bytes(whole[: max(0, int(len(whole) * share) - 7)])
        assert run("label", spec, "--out", "o.npz") == 2, share
        one_line(capsys)
        assert not Path("o.npz").exists()


BAD_COLUMNS = {
    "texts": (lambda: pa.array(NAMES), "column 'emb' is string; wanted lists of numbers"),
    "numbers": (lambda: pa.array(X[:, 0]), "column 'emb' is float; wanted lists of numbers"),
    "lists of texts": (lambda: pa.array([["a"]] * N), "wanted lists of numbers"),
    "ragged": (
        lambda: pa.array([[1.0, 2.0]] * 100 + [[1.0]] + [[1.0, 2.0]] * 199),
        "row 100 of column 'emb' has 1 numbers, row 0 has 2",
    ),
    "missing row": (
        lambda: pa.array([[1.0, 2.0]] * 200 + [None] + [[1.0, 2.0]] * 99),
        "row 200 of column 'emb' is missing",
    ),
    "missing number": (
        lambda: pa.array([[1.0, 2.0]] * 250 + [[1.0, None]] + [[1.0, 2.0]] * 49),
        "row 250 of column 'emb' has a missing number, in place 1",
    ),
    "NaN": (
        lambda: pa.array([[1.0, 2.0]] * 250 + [[1.0, np.nan]] + [[1.0, 2.0]] * 49),
        "X must be finite: row 250, column 1 is nan (as float64), which is row 250 of x.",
    ),
}


@pytest.mark.parametrize("suffix", ["parquet", "feather", "arrow"])
@pytest.mark.parametrize(("column", "text"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_bad_columns(capsys, suffix, column, text):
    bad = pa.table({"emb": column()})
    if suffix == "parquet":
        pq.write_table(bad, "x.parquet", row_group_size=90)
    else:
        how = "zstd" if suffix == "feather" else "uncompressed"
        pyarrow.feather.write_feather(bad, f"x.{suffix}", compression=how, chunksize=90)
    assert run("label", f"x.{suffix}:emb", "--out", "o.npz") == 2
    one_line(capsys, f"x.{suffix}", text)


def test_a_bad_row_is_named_by_its_file(capsys):
    x = X.copy()
    x[170, 2] = np.inf
    for i, part in enumerate(np.split(x, 3)):
        parquet(part, name=f"p-{i}.parquet")
    assert run("label", "p-*.parquet", "--out", "o.npz") == 2
    one_line(capsys, "row 170, column 2 is inf", "which is row 70 of p-1.parquet")


def test_vectors_that_do_not_fit_together(capsys):
    fvecs()
    data = bytearray(Path("x.fvecs").read_bytes())
    data[100 * 20 : 100 * 20 + 4] = np.int32(3).tobytes()
    Path("x.fvecs").write_bytes(data)
    assert run("plan", "x.fvecs") == 2
    one_line(capsys, "row 100 has 3 numbers, row 0 has 4")
    Path("x.fvecs").write_bytes(np.int32(-1).tobytes() * 5)
    assert run("plan", "x.fvecs") == 2
    one_line(capsys, "first row promises -1")
    Path("x.fbin").write_bytes(np.array([2**32 - 1, 2**32 - 1], np.uint32).tobytes())
    assert run("plan", "x.fbin") == 2
    one_line(capsys, "is not whole", "but it holds 0")


def test_samples_that_differ(capsys):
    tar(X)
    with tarfile.open("x.tar", "a") as file:
        data = npy_bytes(np.zeros(3, np.float32))
        info = tarfile.TarInfo("late.latent.npy")
        info.size = len(data)
        file.addfile(info, io.BytesIO(data))
    assert run("label", "x.tar", "--out", "o.npz") == 2
    one_line(capsys, "sample 300: 3 of float32, the first is 4 of float32")


def test_nothing_is_unpickled(capsys):
    class Trap:
        def __reduce__(self):
            return Path.touch, (Path("sprung"),)

    def pickled(_):
        stream = io.BytesIO()
        torch.save(Trap(), stream)
        return stream.getvalue()

    def objects(_):
        stream = io.BytesIO()
        np.save(stream, np.array([Trap()]), allow_pickle=True)
        return stream.getvalue()

    for field, content in (("pth", pickled), ("npy", objects)):
        tar(X[:3], field=field, content=content)
        assert run("plan", "x.tar") == 2
        one_line(capsys, "x.tar")
    assert not Path("sprung").exists()


NEEDS = {
    "parquet": ("pyarrow", "gtn-fast[parquet]"),
    "arrow": ("pyarrow", "gtn-fast[parquet]"),
    "h5": ("h5py", "gtn-fast[hdf5]"),
    "safetensors": ("safetensors", "gtn-fast[safetensors]"),
    "pt": ("torch", "gtn-fast[torch]"),
}


@pytest.mark.parametrize("suffix", NEEDS)
def test_a_missing_package_names_the_extra(monkeypatch, capsys, suffix):
    package, extra = NEEDS[suffix]
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    Path(f"x.{suffix}").write_bytes(b"some bytes")
    assert run("plan", f"x.{suffix}") == 2
    one_line(capsys, f"x.{suffix}: reading .{suffix} files needs {package}", extra)


@needs_zarr
def test_a_missing_zarr_names_the_extra(monkeypatch, capsys):
    zarr_group()
    monkeypatch.setitem(sys.modules, "zarr", None)
    assert run("plan", "x.zarr:latents") == 2
    one_line(capsys, "reading .zarr files needs zarr", "gtn-fast[zarr]")


def test_every_extra_of_a_format_exists():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    for each in registry.FORMATS:
        assert each.extra is None or f"\n{each.extra} = [" in text
        assert each.load().read
