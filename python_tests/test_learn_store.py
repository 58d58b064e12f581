"""Presets, ĥ, standardisation and the .safetensors files."""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gtn_fast.learn.hhat import HHat
from gtn_fast.learn.presets import PRESETS, preset
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training import store
from gtn_fast.learn.training.store import load_tensors, save_tensors
from gtn_fast.run.progress import progress_bar

TENSORS = {"a": torch.arange(6.0).reshape(2, 3).t(), "n": torch.tensor(3), "b": torch.ones(2) > 0}


# ------------------------------------------------------------------ files


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "a.safetensors"
    shared = torch.zeros(4)
    save_tensors(path, "GTN", {**TENSORS, "x": shared, "y": shared[1:]}, {"seed": 2**64 - 1})
    tensors, meta = load_tensors(path, "GTN")
    assert meta == {"seed": 2**64 - 1}
    assert set(tensors) == {"a", "n", "b", "x", "y"}
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)


def test_another_kind_is_refused_by_name(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, "autoencoder", TENSORS, {})
    with pytest.raises(ValueError, match="is an autoencoder, wanted a GTN"):
        load_tensors(path, "GTN")


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="was not written by gtn_fast, wanted a GTN"):
        load_tensors(path, "GTN")


def test_a_file_of_a_later_format_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    monkeypatch.setattr(store, "_FORMAT", 2)
    save_tensors(path, "GTN", TENSORS, {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match="cannot read"):
        load_tensors(path, "GTN")


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_damaged_file_is_refused(tmp_path, cut):
    path = tmp_path / "a.safetensors"
    save_tensors(path, "GTN", TENSORS, {})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        load_tensors(path, "GTN")


def test_no_file_and_no_folder(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_tensors(tmp_path / "none", "GTN")
    with pytest.raises(ValueError, match="is a directory"):
        load_tensors(tmp_path, "GTN")
    with pytest.raises(ValueError, match="does not exist"):
        save_tensors(tmp_path / "no" / "a.safetensors", "GTN", TENSORS, {})


FULL_DISK = """
import resource, sys, torch
from gtn_fast.learn.training.store import save_tensors
path = sys.argv[1]
save_tensors(path, "GTN", {"a": torch.zeros(10)}, {"old": True})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_tensors(path, "GTN", {"a": torch.zeros(10_000)}, {"old": False})
except ValueError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limits of file sizes here")
def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.safetensors"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(path) in done.stdout
    assert load_tensors(path, "GTN")[1] == {"old": True}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


# ------------------------------------------------------------------ presets and ĥ


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_network_it_describes(name):
    chosen = preset(name, width=5)
    model = HHat.of(3, chosen, 0)
    linear = [layer.out_features for layer in model.net if isinstance(layer, nn.Linear)]
    assert linear == [5] * chosen.layers + [3]
    kinds = [type(layer) for layer in model.net if not isinstance(layer, nn.LeakyReLU)]
    normed = [nn.Linear, nn.BatchNorm1d] * chosen.batch_norm_layers
    assert kinds == normed + [nn.Linear] * (chosen.layers - chosen.batch_norm_layers + 1)


def test_overrides_replace_fields_and_fewer_layers_keep_batch_norm():
    made = preset("mnist", layers=3, lr=0.01)
    assert (made.layers, made.batch_norm_layers, made.lr, made.width) == (3, 3, 0.01, 50)
    assert preset(made) == made


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("minst", {}, "unknown preset 'minst'; valid: swiss-roll"),
        ("mnist", {"depth": 3}, "no field 'depth'; valid: name, layers"),
        ("mnist", {"layers": 0}, "layers must be from 1"),
        ("mnist", {"width": -1}, "width must be from 1"),
        ("mnist", {"batch_norm_layers": 8}, "batch_norm_layers must be from 0 to 7"),
        ("mnist", {"lr": 0.0}, "lr must be a positive number"),
        ("mnist", {"lr": float("nan")}, "lr must be a positive number"),
        ("mnist", {"patience": 0}, "patience must be from 1"),
        ("mnist", {"method": "fast"}, "unknown method 'fast'"),
    ],
)
def test_bad_presets(name, overrides, message):
    with pytest.raises(ValueError, match=message):
        preset(name, **overrides)


def test_hhat_is_linear_leaky_norm_and_a_linear_output():
    model = HHat(3, layers=4, width=7, batch_norm_layers=2)
    kinds = [type(module) for module in model.net]
    block, plain = [nn.Linear, nn.LeakyReLU, nn.BatchNorm1d], [nn.Linear, nn.LeakyReLU]
    assert kinds == block * 2 + plain * 2 + [nn.Linear]
    assert {m.negative_slope for m in model.net if isinstance(m, nn.LeakyReLU)} == {0.5}
    assert model(torch.zeros(5, 3)).shape == (5, 3)
    assert sum(p.numel() for p in HHat.of(5, PRESETS["mnist"], 0).parameters()) == 16_555


def test_weights_follow_the_seed_and_leave_torch_alone():
    state = torch.get_rng_state()
    first, again, other = (HHat.of(2, PRESETS["uniform"], seed) for seed in (1, 1, 2**64 - 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.net[0].weight, again.net[0].weight)
    assert not torch.equal(first.net[0].weight, other.net[0].weight)


# ------------------------------------------------------------------ standardisation


def test_scaling_gives_mean_0_and_deviation_1_and_undoes_it(rng):
    x = rng.normal([3, -1e6, 0], [2, 10, 1e-3], (5000, 3))
    scaling = Scaling.of(x)
    scaled = scaling.apply(x)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(scaling.undo(scaled), x, rtol=1e-6, atol=1e-6)


def test_scaling_does_not_depend_on_the_dtype_or_the_chunks(rng, monkeypatch):
    x = rng.normal(5, 2, (1000, 3)).astype(np.float32)
    narrow, wide = Scaling.of(x), Scaling.of(x.astype(np.float64))
    assert np.array_equal(narrow.apply(x), wide.apply(x.astype(np.float64)))
    monkeypatch.setattr("gtn_fast.learn.scaling._CHUNK", 7)
    np.testing.assert_allclose(Scaling.of(x).std, narrow.std, rtol=1e-6)


def test_a_constant_column_is_kept_and_constant_data_refused(rng):
    x = rng.normal(size=(50, 3))
    x[:, 1] = 1e8 + 0.1
    scaling = Scaling.of(x)
    assert scaling.std[1] == 1
    with pytest.raises(ValueError, match="X is constant: all of its 4 rows are equal"):
        Scaling.of(np.full((4, 2), 0.1))
    with pytest.raises(ValueError, match="X is constant"):
        Scaling.of(x[:1])


@pytest.mark.parametrize("factor", [1e300, 1e-60])
def test_what_does_not_fit_float32_is_refused(rng, factor):
    with pytest.raises(ValueError, match="does not fit float32: column 0"):
        Scaling.of(rng.normal(size=(50, 3)) * factor)


# ------------------------------------------------------------------ bars


def test_a_bar_calls_back_with_what_is_done():
    seen = []
    with progress_bar(5, "x", "rows", lambda done, total: seen.append((done, total))) as shown:
        shown.update(2)
        shown.show(loss=0.5)
        shown.update(3)
    assert seen == [(2, 5), (5, 5)]


def test_a_bar_is_silent_off_a_terminal_and_shown_if_forced(capsys):
    with progress_bar(5, "x", "rows") as shown:
        shown.update(5)
    assert capsys.readouterr().err == ""
    with progress_bar(5, "count", "rows", True) as shown:
        shown.update(5)
    assert "count" in capsys.readouterr().err
    with pytest.raises(TypeError, match="progress must be"), progress_bar(5, "x", "rows", "yes"):
        pass
