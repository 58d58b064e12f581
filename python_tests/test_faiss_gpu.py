"""Method "faiss" on a GPU: through a stand-in of FAISS's GPU classes, and on a GPU if there is one.

The stand-in computes on the CPU and refuses what FAISS refuses on a GPU.
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
from gtn_fast.backends.faiss import gpu as faiss_gpu
from gtn_fast.backends.faiss import index as faiss_index

GPU = hasattr(faiss, "GpuIndexFlatIP") and faiss.get_num_gpus() > 0


class OnGpu:
    """What an inverted-list index on a GPU can do, and no more."""

    def __init__(self, index):
        self._index = index
        self.nprobe = 1
        self.log = []

    @property
    def ntotal(self):
        return self._index.ntotal

    def add_with_ids(self, vectors, ids):
        self._index.add_with_ids(vectors, ids)
        self.log.append(len(ids))

    def reset(self):
        self._index.reset()
        self.log.append("reset")

    def search(self, vectors, k):
        assert max(k, self.nprobe) <= 2048, "FAISS raises on a GPU"
        self._index.nprobe = self.nprobe
        return self._index.search(vectors, k)


@pytest.fixture(params=["stand-in", pytest.param("GPU", marks=pytest.mark.skipif(
    not GPU, reason="no GPU, or faiss is built without"))])  # fmt: skip
def gpu(request, monkeypatch):
    """Indexes that were put on the GPU, in order."""
    made = []
    if request.param == "GPU":
        place = faiss_gpu.GpuFreeIndex._placed
        monkeypatch.setattr(
            faiss_gpu.GpuFreeIndex, "_placed",
            lambda self, index: made.append(place(self, index)) or made[-1],
        )  # fmt: skip
        return made

    def to_gpu(_resources, number, index):
        assert number == 0
        made.append(OnGpu(index))
        return made[-1]

    def knn_gpu(_resources, v, u, k, metric, device):
        assert device == 0
        return faiss.knn(v, u, k, metric=metric)

    named = {name: getattr(faiss, name) for name in dir(faiss)}
    pretended = types.SimpleNamespace(**named | {
        "StandardGpuResources": object,
        "GpuIndexFlatConfig": types.SimpleNamespace,
        "GpuIndexFlatIP": lambda _resources, d, _config: faiss.IndexFlatIP(d),
        "index_gpu_to_cpu": lambda index: index,
        "index_cpu_to_gpu": to_gpu,
        "knn_gpu": knn_gpu,
        "get_num_gpus": lambda: 1,
    })  # fmt: skip
    monkeypatch.setattr(faiss_index, "module", lambda: pretended)
    return made


def label(x, y, **options):
    given = {"method": "faiss", "device": "cuda", "threads": 1, "exact_below": 0, **options}
    return gtn_fast.label(x, y, **given)


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize(("n_x", "n_y", "d"), [(300, 300, 3), (400, 250, 20)])
def test_every_y_is_matched_and_no_x_twice(gpu, native, name, n_x, n_y, d):
    x, y = cases.make(name, n_x, n_y, d)
    labels = label(x, y, quality="fast")
    assert len(np.unique(labels.x_index)) == n_y
    assert ((labels.x_index >= 0) & (labels.x_index < n_x)).all()
    gtn_fast.verify(x, y, labels, sample=n_y)
    again = label(x, y, quality="fast")
    assert (again.x_index == labels.x_index).all()


@pytest.mark.parametrize("index", [None, "ivf-flat", "ivf-sq8"])
def test_it_finds_what_is_near(gpu, native, index):
    """All lists probed: only those whose neighbours are all taken may get less."""
    x, y = cases.make("gaussian", 3000, 3000, 16)
    labels = label(x, y, index=index, nprobe=2048, refine=64)
    assert labels.report["backend"] == "faiss-gpu"
    assert labels.report["device"] == "cuda"
    assert not labels.report["exact"]
    assert labels.report["quality"]["agreement"] > 0.95
    assert labels.report["quality"]["cosine_ratio"] > 0.999
    assert len(gpu) == labels.report["engine"]["builds"] > 1


def test_lists_are_filled_anew_when_an_eighth_is_taken(gpu, native):
    x, y = cases.make("gaussian", 4000, 800, 8)
    kept = faiss_gpu.GpuFreeIndex(x, y, "ivf-flat", 0)
    kept.build(16)
    assert gpu[-1].ntotal == 4000
    kept.take(np.arange(400))
    kept.compact()
    assert gpu[-1].ntotal == 4000
    kept.take(np.arange(400, 600))
    kept.compact()
    assert gpu[-1].ntotal == 3400
    found = kept.search(np.arange(50), 20, 16, 0.0)
    assert found.min() >= 600
    kept.take(found[:, 0].copy()[:1])
    assert not (kept.search(np.arange(50), 20, 16, 0.0) == found[0, 0]).any()
    assert (kept.search(np.arange(50), 20, 16, 0.0) >= 0).sum(axis=1).min() >= 20


def test_the_engine_does_the_rest(gpu, native):
    x, y = cases.make("gaussian", 2000, 2000, 12)
    labels = label(x, y, exact_below=None)
    assert labels.report["engine"]["exact_rows"] == 2000  # fewer than faiss_gpu.EXACT_BELOW
    assert (labels.x_index == gtn_fast.label(x, y).x_index).all()
    ratio = label(x, y, exact_below=500, min_cosine_ratio=0.999)
    assert ratio.report["quality"]["cosine_ratio"] > 0.99


def test_what_does_not_exist_on_a_gpu(gpu, native):
    x, y = cases.make("gaussian", 200, 200, 4)
    with pytest.raises(ValueError, match=r"^index 'ivf-pq' is for device 'cpu'; on a GPU: ivf-fl"):
        label(x, y, index="ivf-pq")
    with pytest.raises(
        ValueError, match=r"^device 'cuda:64': faiss finds \d+ GPU\(s\), from cuda:0"
    ):
        label(x, y, device="cuda:64")


def test_plan_on_a_gpu(gpu, native):
    planned = gtn_fast.plan(10**6, d=64, method="faiss", device="cuda")
    assert (planned.strategy, planned.why) == ("faiss", "asked for")
    assert 0 < planned.seconds < gtn_fast.plan(10**7, d=64, method="faiss", device="cuda").seconds


def test_without_a_gpu(native, monkeypatch, tmp_path, capsys):
    x, y = cases.make("gaussian", 200, 200, 4)
    plain = types.SimpleNamespace(__version__="1.2.3")
    monkeypatch.setattr(faiss_index, "module", lambda: plain)
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
