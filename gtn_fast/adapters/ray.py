"""One labeling by the workers of a Ray cluster: TorchTrainer makes their process group."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer

from gtn_fast.api import label as label_here
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.labels import Labels

_FILE = "labels.npz"


def label(
    dataset: Any,
    column: str,
    *,
    workers: int = 2,
    run_config: Any = None,
    **options: Any,
) -> Labels:
    """Label a column of a Ray Dataset, each worker with its own rows: the same answer as in one.

    Parameters
    ----------
    dataset : ray.data.Dataset
        ``column`` holds lists or arrays of d numbers.
    column : str
        The data X. ``x_index`` counts its rows in the order of the dataset.
    workers : int
        Processes, each with a CPU of the cluster.
    run_config : ray.train.RunConfig, optional
        Where the run keeps its files: on a cluster, a folder that all machines see.
    options
        More arguments of ``gtn_fast.label``: seed, method, threads.

    Raises
    ------
    ValueError
        No such column, or values that ``gtn_fast.label`` refuses.
    """
    workers = check_integer(workers, "workers", 1, 2**16)
    names = dataset.columns()
    if column not in names:
        raise ValueError(f"column: the dataset has no {column!r}, but {', '.join(names)}")
    first = dataset.select_columns([column]).take(1)
    if not first:
        raise ValueError("the dataset is empty: need at least one row")
    # In the order of the rows: the shards that Ray hands out by itself come in any.
    shards = dataset.select_columns([column]).split(workers)
    trainer = TorchTrainer(
        _work,
        train_loop_config={
            "shards": shards,
            "column": column,
            "d": len(first[0][column]),
            "options": options,
        },
        scaling_config=ray.train.ScalingConfig(num_workers=workers),
        torch_config=TorchConfig(backend="gloo"),
        run_config=run_config,
    )
    with trainer.fit().checkpoint.as_directory() as folder:
        return Labels.load(Path(folder) / _FILE)


def _work(config: dict[str, Any]) -> None:
    """Label as one of the workers; the first of them hands the labels over."""
    import torch.distributed

    rank = ray.train.get_context().get_world_rank()
    batches = config["shards"][rank].iter_batches(batch_format="numpy")
    rows = [np.stack(batch[config["column"]]) for batch in batches]
    x = np.concatenate(rows) if rows else np.empty((0, config["d"]), np.float32)
    options = {"threads": 1, "progress": False, **config["options"]}
    labels = label_here(x, group=torch.distributed.group.WORLD, **options)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if rank == 0:
            labels.save(Path(folder) / _FILE)
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report({}, checkpoint=checkpoint)
