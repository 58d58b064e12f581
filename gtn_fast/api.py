"""The front door: ``label``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gtn_fast.backends.options import documented
from gtn_fast.backends.registry import BackendOptions
from gtn_fast.environment import DefaultEnvironment
from gtn_fast.labels import Labels
from gtn_fast.planning.memory import naming_limits
from gtn_fast.run import local, sharded
from gtn_fast.run.advice import warn_of_idle
from gtn_fast.run.checkpoint import CHECKPOINT_EVERY_S
from gtn_fast.run.job import Arguments, Job
from gtn_fast.system.ending import long_call

if TYPE_CHECKING:
    from typing_extensions import Unpack


@documented(BackendOptions)
def label(
    X: Any,
    Y: Any = None,
    *,
    seed: int = 0,
    method: str = "auto",
    metric: str = "cosine",
    groups: Any = None,
    partial: bool = False,
    min_cosine: float | None = None,
    threads: int | None = None,
    progress: Any = None,
    memory: int | str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_every: float = CHECKPOINT_EVERY_S,
    block: int = 0,
    list_length: int = 0,
    device: Any = None,
    flatten: bool = False,
    column: str | None = None,
    ids: str | None = None,
    **options: Unpack[BackendOptions],
) -> Labels:
    """Match every row of Y with a row of X of its own: Algorithm 1 of the GTN paper, exactly.

    The rows of Y choose in order of their norm, each the free row of X of highest cosine
    similarity, or of smallest Euclidean distance; equal ones go to the smaller norm, then to the
    smaller row number. All decisions are float64 (csrc/include/gtn_fast/direction.h), so the
    answer is a function of the values alone, the same for every method, thread count, machine and
    container, whatever rounding mode or flush-to-zero the caller has set.

    Parameters
    ----------
    X : (n_x, d) array or tensor, path, or paths
        The data. A file (.npy, .npz, .pt, .safetensors, Parquet, Arrow, HDF5, Zarr, WebDataset's
        .tar, .fvecs, .fbin; "file.npz:key"; "-" is a .npy file on standard input), or several as
        one matrix: a list of paths, a pattern (``"part-*.npy"``, ``"data/**/*.npy"``) in natural
        order (part-2 before part-10), the folder of a Hugging Face dataset, the index of
        safetensors shards. What can be mapped is read where it is. They may differ in dtype and
        layout. NumPy (any float dtype, integers as float64, bfloat16 of ml_dtypes, any
        strides; float32 and float64 with contiguous rows are read in place, memory maps
        included) or torch (any float dtype, any device).
    Y : (n_y, d) array or tensor, optional
        The source sample, n_y <= n_x (but see partial). None draws Y ~ N(0, I), float32, of
        X's shape, from ``seed`` (``gtn_fast.normal``).
    seed : int
        0 <= seed < 2**64; used only to draw Y.
    method : str
        "auto" picks an exact strategy (``plan`` tells which and why). "ray" (d = 1),
        "circle" (d = 2), "tree" (d from 2 to 16), "screen" and "reference" (slow, NumPy)
        force one; "distributed" is "screen" on several processes (see group). "rank" (d = 1)
        is another labeling, that of section 2.1: sorted y with sorted x (with n_y < n_x, the
        x of the same quantile). "faiss" is approximate: every y is matched and no x twice,
        ``report["quality"]`` says how good the choices are.
    metric : str
        "cosine" (the paper), or "euclidean": each y takes the free x of smallest Euclidean
        distance, by "auto", "tree" (d from 1 to 16), "screen" or "reference" on the CPU. For
        values up to 2**200, about 1e60; ``Labels.distance`` has the distances.
    groups : (gx, gy), optional
        Labels of the rows of X and of Y (integers, strings or booleans; lists, arrays,
        tensors, pandas columns, categoricals): matching happens inside each group only
        (appendix C).
    partial : bool
        True: more y's than x's, as a whole or in a group, are no error. Who finds no x left
        stays unmatched (``x_index`` -1): those who choose last. Not for method "rank".
    min_cosine : float, optional
        From -1 to 1. A y whose best free x has a smaller cosine (in float64) takes none, and
        that x stays free for those who choose later. Not for method "rank", nor for metric
        "euclidean".
    threads : int, optional
        1 to 4096, or -1 for all CPUs of this process: those it may run on, within the quota of its
        container. By default GTN_FAST_THREADS of the environment, else OMP_NUM_THREADS, else all
        (with group: its part of those that other ranks share), but one for less than 20 ms of
        predicted work.
    progress : None, bool or callable
        A bar on stderr (None: on a terminal or in a notebook, if it will take more than two
        seconds; elsewhere a long run writes a line a minute), or what is called
        with (done, total) about ten times per second.
    memory : int or str, optional
        The most bytes to take beyond X and a given Y ("8GB", "500MiB"), for an X in files
        larger than memory. A drawn Y is not stored then; what the screen needs goes to a
        file in the folder ``scratch`` (that for temporary files by default) if it must.
    checkpoint : path, optional
        A file that follows the run: what is settled is saved there every
        ``checkpoint_every`` seconds (less often where saving takes more than a hundredth
        of the time), and at the end, Ctrl-C or a signal that would end the process (SIGTERM,
        SIGHUP, SIGQUIT, SIGUSR1), whole or not at all. It stays
        there when the run is done. Not for method "rank" or approximate ones.
    resume : bool
        Go on from the checkpoint, if it is there: with any exact method, thread count or
        machine, the result is that of a run without interruption. Without it, a file
        that is there is an error.
    block, list_length : int
        For tests and tuning of "screen"; 0 lets it choose. They never change the answer.
    device : None, str or torch.device
        "cpu", or "cuda" (also "cuda:1") for "screen" on a GPU (docs/gpu.md): the same
        answer; with method "faiss" for its centres. None: where X is, if it is a CUDA tensor,
        d >= 3, n_x * n_y * d >= 10**10, the method is "auto" or "screen" and the GPU backend
        can run; else "cpu".
    flatten : bool
        Take X and Y of shape (n, c, h, w), or of any other with more than two dimensions, as
        (n, c * h * w).
    column : str, optional
        Which column, array, data set or field of X's files: as "file:column" for each of them.
    ids : str, optional
        What names the rows of X, in X's files: another column, array or data set of theirs, of
        numbers or texts ("__key__" in a .tar). It becomes ``labels.x_ids``.
    {options}

    Returns
    -------
    Labels

    Raises
    ------
    TypeError, ValueError
        Input that makes no sense, each with its own message. A file of X or Y that was
        truncated, overwritten or replaced while it was read.
    MemoryError
        The prediction exceeds the memory available, or allowed; nothing was allocated yet.
    FileExistsError, OSError
        The checkpoint is there without ``resume``, or cannot be written. One of other
        data or parameters, of another format, or damaged is a ValueError. The system refuses
        a thread (OSError); threads=1 needs none.
    ImportError
        The backend of the method cannot run here; says why and what to do.
    ConnectionError
        With group: another rank is gone. What is wrong on one rank is raised on all.

    Warns
    -----
    UserWarning
        Before the work: a drawn Y, and an X far off its centre or on one ray, whose cosines say
        little; an argument without effect.

    Notes
    -----
    What a call changes in the process: with ``checkpoint``, in the main thread, SIGTERM,
    SIGHUP, SIGQUIT and SIGUSR1 (where nobody handles them) raise SystemExit(128 + number) until
    the call ends; method "faiss" gives FAISS's
    OpenMP the number of ``threads`` until it ends; on an Intel CPU with AMX, Linux is asked
    once for the tile registers, which the process then keeps; where X or Y is a mapped file,
    SIGBUS is handled until the call ends. Nothing else.

    In a background thread a call may be under way when the interpreter ends: it is stopped, its
    checkpoint saved, and its thread does not go on. In a forked child whose parent had FAISS
    loaded, method "faiss" takes one thread, since OpenMP does not survive a fork.

    Examples
    --------
    >>> import gtn_fast
    >>> X = gtn_fast.normal(1, 0, 1000, 5)
    >>> labels = gtn_fast.label(X)
    >>> bool(labels.cosine.mean() > 0.8)
    True
    >>> few = gtn_fast.label(X, gtn_fast.normal(2, 0, 10, 5))  # a Y of ours
    >>> few.x_index.shape, few.seed is None
    ((10,), True)
    >>> classes = [i % 2 for i in range(1000)]
    >>> by_class = gtn_fast.label(X, groups=(classes, classes))
    >>> bool((by_class.x_index % 2 == [i % 2 for i in range(1000)]).all())
    True
    """
    with DefaultEnvironment() as environment, long_call(), naming_limits("label"):
        given = Arguments(
            X,
            Y,
            seed=seed,
            method=method,
            metric=metric,
            groups=groups,
            partial=partial,
            min_cosine=min_cosine,
            threads=threads,
            progress=environment.calling_back(progress),
            memory=memory,
            scratch=scratch,
            checkpoint=checkpoint,
            resume=resume,
            checkpoint_every=checkpoint_every,
            block=block,
            list_length=list_length,
            device=device,
            flatten=flatten,
            column=column,
            ids=ids,
            options=options,
        )
        if given.sharded:
            return sharded.label(given)
        job = Job.of(given)
        warn_of_idle(given)
        return local.label(job)
