"""Files of learning that are damaged, from before there were digests, or of other data."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from gtn_fast.inputs.files import FileError
from gtn_fast.learn.flow import Flow
from gtn_fast.learn.gtn import GTN
from gtn_fast.learn.training import checkpoint
from gtn_fast.learn.training.generators import seeded
from gtn_fast.learn.training.loop import train
from gtn_fast.learn.training.store import load_tensors, save_tensors
from gtn_fast.vision.autoencoder import Autoencoder
from gtn_fast.vision.classifier import Classifier
from gtn_fast.vision.vae import VAE

ROWS = 3000  # more than were once looked at


def data(seed=0):
    return torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(seed))


def loss(model, x):
    return (model(x) - x).square().mean()


def run(path=None, epochs=2, x=None, val=None, lr=1e-2):
    model = seeded(lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3)), 0)
    train(model, loss, [data() if x is None else x], epochs=epochs, batch_size=500, lr=lr,
          progress=False, draws=False, checkpoint=path, val=val)  # fmt: skip
    return model


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def rewritten(path, change):
    """Write the file anew, with ``change(header, tensors)`` in place, whatever digest it had."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["gtn_fast"])
        # Copies: what the first safetensors return lies in the file that is written below.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    change(header, tensors)
    save_file(tensors, path, metadata={"gtn_fast": json.dumps(header)})


def without_digest(header, _tensors):
    del header["digest"]


@pytest.fixture(scope="module")
def gtn(native):
    made = GTN(3, "uniform", layers=2, width=8, components=2)
    made.fit(data().numpy()[:200], epochs=1, progress=False)
    return made


@pytest.fixture
def files(tmp_path, gtn):
    """(path, what reads it to tensors) by kind."""
    made = {
        "GTN": (gtn, lambda path: _of_gtn(GTN.load(path))),
        "autoencoder": (Autoencoder(1, 8, 2), lambda path: weights(Autoencoder.load(path))),
        "VAE": (VAE(1, 8, 2), lambda path: weights(VAE.load(path))),
        "classifier": (Classifier(1, 8, 2), lambda path: weights(Classifier.load(path))),
    }
    readers = {}
    for kind, (model, read) in made.items():
        path = tmp_path / f"{kind}.safetensors"
        model.save(path)
        readers[kind] = (path, read)
    path = tmp_path / "checkpoint.safetensors"
    run(path)
    readers["checkpoint"] = (path, lambda path: weights(run(path, epochs=3)))
    return readers


def _of_gtn(gtn):
    arrays = {"x": gtn.sample(5), "i": gtn.x_index, "c": gtn.component, "y": gtn.y_of_row(7)}
    return weights(gtn.model) | {name: torch.from_numpy(a) for name, a in arrays.items()}


@pytest.mark.parametrize("kind", ["GTN", "autoencoder", "VAE", "classifier", "checkpoint"])
def test_damage_is_noticed_or_harmless(files, kind, rng):
    """50 of 400 damaged checkpoints and 54 of 400 damaged GTNs once gave other numbers."""
    path, read = files[kind]
    whole = path.read_bytes()
    right = read(path)
    path.write_bytes(whole)  # a run that went on has written a new one
    tensors_at = 8 + int.from_bytes(whole[:8], "little")
    refused = 0
    places = [*rng.integers(0, tensors_at, 150), *rng.integers(tensors_at, len(whole), 50)]
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = read(path)
        except FileError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
        else:
            assert equal(found, right), at
    assert refused > 190


@pytest.mark.parametrize("kind", ["GTN", "autoencoder", "VAE", "classifier", "checkpoint"])
def test_files_from_before_there_were_digests_stay_readable(files, kind):
    path, read = files[kind]
    whole = path.read_bytes()
    right = read(path)
    path.write_bytes(whole)

    def earlier(header, tensors):
        without_digest(header, tensors)
        if kind == "checkpoint":
            header["meta"]["identity"]["data"] = [checkpoint._probe(data())]

    rewritten(path, earlier)
    assert equal(read(path), right)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["GTN", "autoencoder", "VAE", "classifier", "checkpoint"])
def test_weights_that_are_no_numbers_are_refused(files, kind, value):
    """NaN weights once gave NaN samples, and exit code 0."""
    path, read = files[kind]
    name = {"GTN": "model/net.0.weight", "checkpoint": "model/0.weight"}.get(kind)

    def spoil(header, tensors):
        without_digest(header, tensors)
        spoilt = name or sorted(tensors)[0]
        tensors[spoilt].reshape(-1)[0] = value

    rewritten(path, spoil)
    with pytest.raises(FileError, match="holds NaN or infinity, in "):
        read(path)


@pytest.mark.parametrize("member", ["kind", "version", "meta", "digest"])
def test_every_member_of_the_header_counts(tmp_path, member):
    path = tmp_path / "t.safetensors"
    save_tensors(path, "thing", {"a": torch.arange(5), "b": torch.zeros(())}, {"x": 1.5})
    assert load_tensors(path, "thing")[1] == {"x": 1.5}
    changed = {"kind": "think", "version": "0", "meta": {"x": 1.25}, "digest": "0"}[member]
    rewritten(path, lambda header, _: header.update({member: changed}))
    with pytest.raises(FileError, match="is damaged: it does not hold what was written"):
        load_tensors(path, "think" if member == "kind" else "thing")


def test_names_shapes_dtypes_and_strangers_count(tmp_path):
    def renamed(_header, tensors):
        tensors["c"] = tensors.pop("b")

    def reshaped(_header, tensors):
        tensors["a"] = tensors["a"].reshape(2, 3)

    def retyped(_header, tensors):
        tensors["a"] = tensors["a"].view(torch.float64)

    def misnamed(header, _tensors):
        header["digesu"] = header.pop("digest")

    for change in (renamed, reshaped, retyped, misnamed):
        path = tmp_path / "t.safetensors"
        save_tensors(path, "thing", {"a": torch.arange(6), "b": torch.zeros(3)}, {})
        rewritten(path, change)
        with pytest.raises(FileError, match="is damaged"):
            load_tensors(path, "thing")


@pytest.mark.parametrize("row", [0, 1, 1499, ROWS - 1])
@pytest.mark.parametrize("which", ["data", "val"])
def test_a_training_resumes_on_the_very_same_rows_alone(tmp_path, row, which):
    path = tmp_path / "c.safetensors"
    run(path, val=[data(1)])
    other = data(0 if which == "data" else 1)
    other[row, 2] = torch.nextafter(other[row, 2], torch.tensor(9.0))
    given = {"x": other, "val": [data(1)]} if which == "data" else {"val": [other]}
    before = path.read_bytes()
    with pytest.raises(FileError, match=rf"is the checkpoint of another run: its {which} is"):
        run(path, epochs=3, **given)
    assert path.read_bytes() == before
    run(path, epochs=3, val=[data(1)])


def test_rows_are_digested_in_pieces(monkeypatch):
    x = data()
    whole = checkpoint._whole(x)
    monkeypatch.setattr(checkpoint, "_PIECE_BYTES", 100)
    assert checkpoint._whole(x) == whole == checkpoint._whole(x.T.contiguous().T)
    assert re.fullmatch(r"\(3000, 3\) torch.float32 [0-9a-f]{32}", whole)


def test_weights_spoilt_by_the_last_step_are_no_result(tmp_path):
    """Its loss was finite, and there is no next one."""

    def hostile(module, x):
        value = (module(x) - x).square().mean()
        value.register_hook(lambda gradient: gradient * np.inf)
        return value

    path = tmp_path / "c.safetensors"
    how = {"epochs": 1, "batch_size": ROWS, "lr": 1e-2, "progress": False}
    with pytest.raises(FloatingPointError, match="holds NaN or infinity after epoch 1"):
        train(nn.Linear(3, 3), hostile, [data()], checkpoint=path, **how)
    assert not path.exists()


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore:samples of this")
@pytest.mark.parametrize("kind", [GTN, Flow])
def test_samples_that_are_no_numbers_are_no_samples(kind):
    """Weights that are numbers can still be too large for what they are multiplied with."""
    model = kind(3, layers=2, width=4)
    model.fit(data().numpy(), epochs=1, progress=False)
    with torch.no_grad():
        for weight in model.model.parameters():
            weight.fill_(1e30)
    for call in (lambda: model.sample(5), lambda: model.transform(np.ones((2, 3), np.float32))):
        with pytest.raises(FloatingPointError, match="row 0 of what the model made is not finite"):
            call()
