"""The one training loop: ĥ, autoencoder, VAE, classifier and diffusion share it.

    train    data in memory, Adam, validation, early stopping, checkpoint, log
    History  what happened, epoch by epoch

Beside it: run.py (the loop itself), checkpoint.py (the file that a killed run goes on from),
logs.py (CSV, JSON, TensorBoard). A run is a function of its arguments: the batches of an epoch
and whatever randomness the loss draws come from (seed, epoch), and torch's global generator is
left as it was (``draws`` says what that means beside other threads).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.inputs.wording import a_path
from gtn_fast.learn.devices import check_torch_device
from gtn_fast.learn.training.checkpoint import run_identity
from gtn_fast.learn.training.generators import Noise
from gtn_fast.learn.training.guards import check_rows, threads_for
from gtn_fast.learn.training.logs import writer
from gtn_fast.learn.training.optimizer import BETAS, Groups, Schedule, adam
from gtn_fast.learn.training.optimizer import identity as identity_of
from gtn_fast.learn.training.run import History, Loss, Run
from gtn_fast.learn.training.store import PathLike
from gtn_fast.run.progress import progress_bar
from gtn_fast.system.ending import long_call

__all__ = ["History", "Loss", "train"]


def train(
    model: nn.Module,
    loss: Loss,
    data: Sequence[Tensor],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    weight_decay: float = 0.0,
    seed: int = 0,
    val: Sequence[Tensor] | None = None,
    patience: int | None = None,
    metric: Callable[[nn.Module], float] | None = None,
    refresh: Callable[[int], Sequence[Tensor] | None] | None = None,
    device: torch.device | str | None = None,
    checkpoint: PathLike | None = None,
    checkpoint_every_s: float = 30.0,
    log: PathLike | None = None,
    tensorboard: PathLike | None = None,
    progress: Any = None,
    title: str = "train",
    identity: Mapping[str, Any] | None = None,
    draws: bool | None = None,
    groups: Groups | None = None,
    betas: tuple[float, float] = BETAS,
    schedule: Schedule | None = None,
) -> History:
    """Train ``model`` in place; afterwards it has the best weights and is in eval mode.

    Parameters
    ----------
    loss : Loss
        ``loss(model, *batch)``: a scalar, the mean over the batch.
    data, val : tensors of equal first dimension
        In memory, any dtype; a batch is the same rows of each, on the device. A last batch of
        a single row is left out if the model has batch norm.
    epochs, batch_size, lr, weight_decay, seed
        Adam, its weight decay as an L2 term; 0 <= seed < 2**64.
    patience : int, optional
        Stop after so many epochs in a row without a better validation loss or metric.
    metric : callable, optional
        Called with the model (eval mode, no gradients) after each epoch; the highest value is
        the best. With it, the validation loss is reported but does not decide. With neither,
        the last weights count.
    refresh : callable, optional
        ``refresh(epoch)`` may give new data before an epoch (from 1), None keeps what there
        is. It must be a function of the epoch: a resumed run asks for earlier ones again.
    device : optional
        Where to train; the model's own device by default, and where it stays.
    checkpoint : path, optional
        A .safetensors file, written at most every ``checkpoint_every_s`` seconds, at the end, at
        Ctrl-C and at a signal that would end the process (SIGTERM, SIGHUP, SIGQUIT, SIGUSR1). If it
        exists, the run goes on from it and ends with the weights of a run that was never
        interrupted; more ``epochs`` or another ``patience`` may be given.
    log : path, optional
        .csv or .json, replaced after each epoch. ``tensorboard`` is a folder.
    progress : None, bool or callable
        A bar over all batches (gtn_fast.run.progress).
    identity : mapping, optional
        JSON-able settings outside these arguments that a checkpoint must agree with.
    draws : bool, optional
        True: the loss draws, and is given a ``generator=`` of this run to draw from. False: it
        draws nothing. None: it may draw from torch's global generators (dropout does), which
        are seeded for every epoch meanwhile: then the weights follow from the arguments unless
        another thread draws from them, too.
    groups : sequence of (parameters, lr), optional
        Parameters with rates of their own, instead of ``lr`` for all; every one of the model's
        must be in one of them (adversary.py: two players).
    betas : pair of float
        Adam's.
    schedule : callable, optional
        ``schedule(epoch)``, from 1: what all rates are multiplied by in that epoch (``halving``,
        ``cosine`` of training/optimizer.py). A function of the epoch alone.

    Raises
    ------
    TypeError, ValueError
        Arguments that make no training; a checkpoint of another run; files that cannot be
        written. Once the training runs, a save that fails is a RuntimeWarning and it goes on.
    FloatingPointError
        The loss became NaN or infinite; names the epoch and step. No checkpoint has it.

    Notes
    -----
    What a call changes in the process until it ends: in the main thread Ctrl-C waits for the
    end of a step (where Python's own handler is in place), and so do, with a checkpoint, SIGTERM,
    SIGHUP, SIGQUIT and SIGUSR1 (where nobody handles them), which then raise SystemExit(128 +
    number); torch's number of threads for a small network, in this thread alone; with draws=None
    torch's global generators. All are put back.
    """
    epochs = check_integer(epochs, "epochs", 1, 2**31 - 1)
    batch_size = check_integer(batch_size, "batch_size", 1, 2**31 - 1)
    seed = check_seed(seed)
    if patience is not None:
        check_integer(patience, "patience", 1, 2**31 - 1)
        if val is None and metric is None:
            raise ValueError("patience needs val= or metric=: there is nothing to watch")
    check_rows(data, "data", model, batch_size)
    if val is not None:
        check_rows(val, "val")
    parameters = list(model.parameters())
    if not parameters:
        raise ValueError("the model has no parameters to train")
    where = parameters[0].device if device is None else check_torch_device(device)
    model.to(where)
    run = Run(
        model,
        loss,
        adam(model, lr, weight_decay, groups, betas),
        data,
        tuple(val or ()),
        batch_size=batch_size,
        seed=seed,
        where=where,
        noise=Noise(draws, where),
        metric=metric,
        refresh=refresh,
        schedule=schedule,
        title=title,
    )
    with long_call(), writer(log, tensorboard) as write_log, threads_for(model, batch_size):
        if checkpoint is not None:
            settings = {
                "batch_size": batch_size,
                "lr": lr,
                "weight_decay": weight_decay,
                "seed": seed,
                "judge": "metric" if metric else "val" if val else "last",
                **identity_of(groups, betas, schedule),
                **(identity or {}),
            }
            known = run_identity(model, data, val or (), settings)
            run.keep_at(Path(a_path(checkpoint, "checkpoint")), checkpoint_every_s, known)
        steps = math.ceil(len(data[0]) / batch_size)
        with progress_bar(epochs * steps, title, "batches", progress) as bar:
            run.go(epochs, patience, write_log, bar)
    return run.history
