"""Method "faiss" with centres from a GPU: through a stand-in of FAISS's classes, or on a GPU.

The stand-in computes on the CPU.
"""

from __future__ import annotations

import types

import cases
import faiss
import numpy as np
import pytest
from cli_runs import one_line, prepare, run

import gtn_fast
from gtn_fast.backends import registry
from gtn_fast.backends.faiss import centres as faiss_centres

GPU = hasattr(faiss, "GpuIndexFlatIP") and faiss.get_num_gpus() > 0


@pytest.fixture(params=["stand-in", pytest.param("GPU", marks=pytest.mark.skipif(
    not GPU, reason="no GPU, or faiss is built without"))])  # fmt: skip
def gpu(request, monkeypatch):
    """The devices on which centres were trained, in order (with the stand-in)."""
    made = []
    if request.param == "GPU":
        return None

    def on_gpu(_resources, columns, config):
        made.append(config.device)
        return faiss.IndexFlatIP(columns)

    named = {name: getattr(faiss, name) for name in dir(faiss)}
    pretended = types.SimpleNamespace(**named | {
        "StandardGpuResources": object,
        "GpuIndexFlatConfig": types.SimpleNamespace,
        "GpuIndexFlatIP": on_gpu,
        "get_num_gpus": lambda: 1,
    })  # fmt: skip
    monkeypatch.setattr(faiss_centres, "module", lambda: pretended)
    return made


def label(x, y, **options):
    given = {"method": "faiss", "device": "cuda", "threads": 1, "exact_below": 0, **options}
    return gtn_fast.label(x, y, **given)


@pytest.mark.parametrize("name", ["gaussian", "clustered", "zero_rows", "few_rays"])
def test_every_y_is_matched_and_no_x_twice(gpu, native, name):
    x, y = cases.make(name, 400, 250, 20)
    labels = label(x, y, quality="fast")
    assert len(np.unique(labels.x_index)) == 250
    gtn_fast.verify(x, y, labels, sample=250)
    assert (label(x, y, quality="fast", threads=2).x_index == labels.x_index).all()


def test_centres_come_from_the_device(gpu, native):
    x, y = cases.make("gaussian", 1000, 1000, 16)
    labels = label(x, y)
    assert (labels.report["backend"], labels.report["device"]) == ("faiss-gpu", "cuda")
    assert not labels.report["exact"]
    assert labels.report["quality"]["cosine_ratio"] > 0.8
    builds = labels.report["engine"]["builds"]
    assert builds > 1
    if gpu is not None:
        assert gpu == [0] * int(builds)
        assert (labels.x_index == label(x, y, device="cpu").x_index).all()


def test_the_engine_does_the_rest(gpu, native):
    x, y = cases.make("gaussian", 2000, 2000, 12)
    labels = label(x, y, exact_below=None)
    assert labels.report["engine"]["exact_rows"] == 2000
    assert (labels.x_index == gtn_fast.label(x, y).x_index).all()


def test_a_device_that_is_not_there(gpu, native):
    x, y = cases.make("gaussian", 200, 200, 4)
    with pytest.raises(
        ValueError, match=r"^device 'cuda:64': faiss finds \d+ GPU\(s\), from cuda:0"
    ):
        label(x, y, device="cuda:64")


def test_plan_on_a_gpu(gpu, native):
    planned = gtn_fast.plan(10**6, d=64, method="faiss", device="cuda")
    assert planned.strategy == "faiss"
    assert planned.why.startswith("asked for; exact labels take about")
    assert 0 < planned.seconds < gtn_fast.plan(10**7, d=64, method="faiss", device="cuda").seconds


def test_without_a_gpu(native, monkeypatch, tmp_path, capsys):
    x, y = cases.make("gaussian", 200, 200, 4)
    plain = types.SimpleNamespace(__version__="1.2.3")
    monkeypatch.setattr(faiss_centres, "module", lambda: plain)
    with pytest.raises(ImportError, match=r"^faiss 1\.2\.3 is built without GPUs: pip install"):
        label(x, y)
    assert "built without GPUs" in registry.why_not("faiss-gpu")
    plain.GpuIndexFlatIP, plain.get_num_gpus = object, lambda: 0
    with pytest.raises(ImportError, match=r"^faiss finds no GPU: check nvidia-smi, or take device"):
        label(x, y)
    prepare(tmp_path, monkeypatch)
    np.save("X.npy", x)
    assert run("label", "X.npy", "--out", "o.npz", "--method", "faiss", "--device", "cuda") == 2
    one_line(capsys, "faiss finds no GPU")
