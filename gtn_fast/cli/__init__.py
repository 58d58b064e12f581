"""The command line: ``gtn-fast COMMAND``.

    labeling.py   label, verify, plan
    encoding.py   autoencode
    training.py   train
    atlas.py      atlas, sample of an atlas
    sampling.py   sample, interpolate
    flows.py      what both do with a flow
    geodesics.py  interpolate --geodesic
    judging.py    evaluate, experiment
    shapes.py     topology, manifold
    runs.py       bench, demo
    doctor.py     doctor
    stages.py     what autoencode and train share
    models.py     trained models that commands read
    helps.py      what --help of each command opens with
    common.py     exit codes, the parser, output files, the summary

It calls the public API only. Exit codes: 0 done; 1 a matching is wrong (one line with the
counter-example), and nothing else; 2 bad input, or what cannot be written (one line on stderr, no
traceback); 3 ``doctor`` found no engine that runs; 70 an error that nobody expected (one line);
130 Ctrl-C; 128 + number a signal. A stdout or stderr that is closed or full changes none of them.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import gtn_fast
from gtn_fast.cli import (
    atlas,
    doctor,
    encoding,
    helps,
    judging,
    labeling,
    runs,
    sampling,
    shapes,
    training,
)
from gtn_fast.cli.common import BAD_INPUT, INTERRUPTED, NO_ENGINE, OK, UNEXPECTED, WRONG, Parser
from gtn_fast.inputs.wording import shortened
from gtn_fast.outputs.streams import forgiving, note
from gtn_fast.packages import how_to_get

__all__ = ["BAD_INPUT", "INTERRUPTED", "NO_ENGINE", "OK", "UNEXPECTED", "WRONG", "main"]

_NEEDED = ("torch", "safetensors", "matplotlib")  # of the commands that train and draw


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    with forgiving():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
        arguments.argv = list(sys.argv[1:] if argv is None else argv)
        code: int = arguments.run(arguments)
        return code
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted", INTERRUPTED)
    except gtn_fast.WrongMatching as error:
        return _fail(f"wrong matching: {error}", WRONG)
    except ImportError as error:
        return _fail(how_to_get(error, _NEEDED), BAD_INPUT)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", BAD_INPUT)
    except (TypeError, ValueError, FloatingPointError, MemoryError) as error:
        return _fail(str(error) or "not enough memory", BAD_INPUT)
    except Exception as error:  # a fault of ours, or of a library
        return _fail(_unexpected(error), UNEXPECTED)


def _fail(message: str, code: int) -> int:
    """Write one line on stderr, no longer than a reader takes in, whatever the message was."""
    note(shortened(f"{'' if code == INTERRUPTED else 'error: '}{message}"))
    return code


def _unexpected(error: Exception) -> str:
    """Say what it was and where; all of it is shown with GTN_FAST_TRACEBACK=1."""
    if os.environ.get("GTN_FAST_TRACEBACK"):
        traceback.print_exception(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:200]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return f"unexpected {type(error).__name__}: {text} ({where}); GTN_FAST_TRACEBACK=1 shows all"


def _parser() -> Parser:
    parser = Parser(
        prog="gtn-fast",
        description="Generative Topological Networks: exact, fast labeling, training, samples.",
        epilog="Exit codes: 0 done, 1 wrong matching, 2 bad input or output, 3 no engine (doctor),"
        " 70 unexpected error, 130 Ctrl-C, 128 + N signal N.",
    )
    parser.add_argument("--version", action="version", version=f"gtn-fast {gtn_fast.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        *(labeling, encoding, training, atlas, sampling),
        *(judging, shapes, runs, doctor),
    ):
        module.add(commands)
    helps.apply(commands.choices)
    return parser
