"""``gtn-fast train --flow``, and what ``sample`` asks of a flow: options, and the fit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gtn_fast.cli import stages
from gtn_fast.cli.common import natural
from gtn_fast.inputs.files import FileError
from gtn_fast.outputs.files import deliver
from gtn_fast.outputs.kinds import tensors_kind

FILE = "flow.safetensors"
_OVERRIDES = ("layers", "width", "lr", "batch_size")
# Options of train that are about ĥ, and what they are where nobody gave them.
_OF_H_HAT = {
    "preset": None,
    "rays": None,
    "components": 1,
}


def add_to_train(parser: argparse.ArgumentParser) -> None:
    """Add the option that makes a flow of it."""
    parser.add_argument("--flow", action="store_true",
                        help="learn a flow, sampled in several steps, and not ĥ")  # fmt: skip


def add_to_sample(parser: argparse.ArgumentParser) -> None:
    """Add how a flow is followed."""
    parser.add_argument("--steps", type=natural, metavar="N",
                        help="for a flow: from noise to data in N steps (default 8)")  # fmt: skip
    parser.add_argument("--solver", choices=("euler", "heun"),
                        help="for a flow: one or two passes per step (default euler)")  # fmt: skip


def settings(d: int, arguments: argparse.Namespace) -> Any:
    """Return network and training of the flow that is asked for; ValueError if it makes none."""
    from gtn_fast.learn.flow_file import preset_for

    for name, default in _OF_H_HAT.items():
        if getattr(arguments, name) != default:
            raise ValueError(f"--{name.replace('_', '-')} is about ĥ: it goes without --flow")
    return preset_for(d, **stages.given(arguments, *_OVERRIDES))


def fit(data: Any, arguments: argparse.Namespace, out: Path, checkpoint: str) -> tuple[Any, Any]:
    """Train a flow on latents ``data.x`` (n, d), of ``data.classes``; write it into ``out``.

    Return it and its history.
    """
    from gtn_fast.learn.flow import Flow

    flow = Flow(data.x.shape[1], device=arguments.device, **stages.given(arguments, *_OVERRIDES))
    with stages.keeping(out / checkpoint):
        history = flow.fit(
            data.x,
            data.val,
            classes=data.classes,
            val_classes=data.val_classes,
            seed=arguments.seed,
            epochs=arguments.epochs,
            patience=arguments.patience,
            relabel_every=arguments.relabel_every or 1,
            calibrate=not arguments.no_calibrate,
            checkpoint=out / checkpoint,
            log=out / "log.csv",
            tensorboard=arguments.tensorboard,
            threads=arguments.threads,
            progress=False if arguments.quiet else None,
        )
    deliver(out / FILE, lambda path: flow.save(path, force=arguments.force))
    return flow, history


def load(path: str, device: Any = None) -> Any:
    """Load a GTN or a flow; FileError for anything else."""
    from gtn_fast.learn.flow import Flow
    from gtn_fast.learn.gtn import GTN

    kind = Flow if tensors_kind(Path(path)) == "flow" else GTN
    return kind.load(path, device=device)


def is_flow(generator: Any) -> bool:
    """Tell whether it is a flow, and not a GTN."""
    from gtn_fast.learn.flow import Flow

    return isinstance(generator, Flow)


def how_to_follow(generator: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what ``--steps`` and ``--solver`` say; FileError if it is no flow."""
    chosen = stages.given(arguments, "steps", "solver")
    if chosen and not is_flow(generator):
        raise FileError(f"{arguments.gtn}: is a GTN, which maps in one step: leave out"
                        f" --{next(iter(chosen))}")  # fmt: skip
    return chosen
