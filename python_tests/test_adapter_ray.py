"""Labels by the workers of Ray, compared with those of one process."""

from __future__ import annotations

import os

import cases
import numpy as np
import pytest

import gtn_fast

pytest.importorskip("ray")

import ray.data
import ray.train

from gtn_fast.adapters.ray import label

# These packages warn about their own ways, and leave files to be closed.
pytestmark = pytest.mark.filterwarnings("default")

X, _ = (a.astype(np.float32) for a in cases.make("gaussian", 301, 10, 20))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    ours = {"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}}
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env=ours)
    yield ray.train.RunConfig(storage_path=str(tmp_path_factory.mktemp("runs")))
    ray.shutdown()


def test_two_workers_label_as_one_process_does(cluster):
    dataset = ray.data.from_numpy(X).rename_columns(["latent"]).repartition(3)
    labels = label(dataset, "latent", seed=5, run_config=cluster)
    alone = gtn_fast.label(X, seed=5)
    assert np.array_equal(labels.x_index, alone.x_index)
    assert np.array_equal(labels.cosine, alone.cosine)
    assert labels.report["ranks"] == 2
    gtn_fast.verify(X, labels.y, labels, sample=50)


def test_a_column_that_is_not_there(cluster):
    dataset = ray.data.from_numpy(X)
    with pytest.raises(ValueError, match=r"^column: the dataset has no 'latent', but data$"):
        label(dataset, "latent", run_config=cluster)
