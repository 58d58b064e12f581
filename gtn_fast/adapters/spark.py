"""One labeling by the executors of Spark: TorchDistributor makes their process group."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml.torch.distributor import TorchDistributor

from gtn_fast.api import label as label_here
from gtn_fast.inputs.arguments import check_integer
from gtn_fast.labels import Labels


def label(
    frame: Any,
    column: str,
    *,
    processes: int = 2,
    folder: str | None = None,
    local: bool = True,
    **options: Any,
) -> Labels:
    """Label a column of a Spark DataFrame, each process with its own rows: as one would alone.

    The column is written as Parquet, of which each process reads its files.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        ``column`` holds arrays of d numbers. ``x_index`` counts rows in the order of partitions.
    column : str
        The data X.
    processes : int
        Processes that TorchDistributor starts.
    folder : str, optional
        A folder that driver and executors see, for Parquet and labels; a temporary one by default.
    local : bool
        On the driver's machine (the default), or on the executors: then give ``folder``.
    options
        More arguments of ``gtn_fast.label``: seed, method, threads.

    Raises
    ------
    ValueError
        No such column, or values that ``gtn_fast.label`` refuses.
    """
    processes = check_integer(processes, "processes", 1, 2**16)
    if column not in frame.columns:
        raise ValueError(f"column: the frame has no {column!r}, but {', '.join(frame.columns)}")
    if folder is None and not local:
        raise ValueError("folder: executors on other machines need one that all of them see")
    first = frame.select(column).first()
    if first is None:
        raise ValueError("the frame is empty: need at least one row")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        frame.select(column).write.parquet(f"{place}/x")
        distributor = TorchDistributor(num_processes=processes, local_mode=local, use_gpu=False)
        distributor.run(_work, place, column, len(first[0]), options)
        return Labels.load(Path(place) / "labels.npz")


def _work(place: str, column: str, d: int, options: dict[str, Any]) -> None:
    """Label as one of the processes; the first of them writes the labels."""
    import pyarrow.parquet as pq
    import torch.distributed as dist

    dist.init_process_group("gloo")
    try:
        rank, ranks = dist.get_rank(), dist.get_world_size()
        files = np.array_split(sorted(Path(place, "x").glob("part-*")), ranks)[rank]
        columns = [pq.read_table(file).column(column) for file in files]
        rows = [np.stack(each.to_numpy()) for each in columns if len(each)]
        x = np.concatenate(rows) if rows else np.empty((0, d), np.float32)
        labels = label_here(
            x, group=dist.group.WORLD, **{"threads": 1, "progress": False, **options}
        )
        if rank == 0:
            labels.save(Path(place) / "labels.npz")
    finally:
        dist.destroy_process_group()
