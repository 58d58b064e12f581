"""Labels by the processes of Spark, compared with those of one process."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import gtn_fast

pytest.importorskip("pyspark")

from pyspark.sql import SparkSession

from gtn_fast.adapters.spark import label

# These packages warn about their own ways, and leave files to be closed.
pytestmark = pytest.mark.filterwarnings("default")

X, _ = (a.astype(np.float32).astype(np.float64) for a in cases.make("gaussian", 301, 10, 20))


@pytest.fixture(scope="module")
def spark():
    session = (
        SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    )
    yield session
    session.stop()


def test_two_processes_label_as_one_does(spark):
    rows = [(i, row.tolist()) for i, row in enumerate(X)]
    frame = spark.createDataFrame(rows, "id long, latent array<double>").repartitionByRange(3, "id")
    labels = label(frame, "latent", seed=5)
    alone = gtn_fast.label(X, seed=5)
    assert np.array_equal(labels.x_index, alone.x_index)
    assert np.array_equal(labels.cosine, alone.cosine)
    assert labels.report["ranks"] == 2
    gtn_fast.verify(X, labels.y, labels, sample=50)


def test_what_cannot_be_labeled(spark):
    frame = spark.createDataFrame([([1.0, 2.0],)], "data array<double>")
    with pytest.raises(ValueError, match=r"^column: the frame has no 'latent', but data$"):
        label(frame, "latent")
    with pytest.raises(ValueError, match=r"^the frame is empty"):
        label(frame.limit(0), "data")
    with pytest.raises(ValueError, match=r"^folder: executors"):
        label(frame, "data", local=False)
