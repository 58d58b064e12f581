"""The command line: ``gtn-fast COMMAND``.

    labeling.py   label, verify, plan
    encoding.py   autoencode
    training.py   train
    sampling.py   sample, interpolate
    judging.py    evaluate, experiment
    runs.py       bench, demo
    doctor.py     doctor
    stages.py     what autoencode and train share
    models.py     trained models that commands read
    common.py     exit codes, the parser, an output folder, the summary

It calls the public API only. Exit codes: 0 done; 1 ``verify`` found a wrong matching
(one line with the counter-example) or ``doctor`` no sound engine; 2 bad input (one line on
stderr, no traceback); 130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import gtn_fast
from gtn_fast.cli import doctor, encoding, judging, labeling, runs, sampling, training
from gtn_fast.cli.common import BAD_INPUT, INTERRUPTED, OK, WRONG, Parser
from gtn_fast.packages import how_to_get

__all__ = ["BAD_INPUT", "INTERRUPTED", "OK", "WRONG", "main"]

_NEEDED = ("torch", "safetensors", "matplotlib")  # of the commands that train and draw


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted", INTERRUPTED)
    except gtn_fast.WrongMatching as error:
        return _fail(f"wrong matching: {error}", WRONG)
    except BrokenPipeError:  # `gtn-fast plan ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except ImportError as error:
        return _fail(how_to_get(error, _NEEDED), BAD_INPUT)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", BAD_INPUT)
    except (TypeError, ValueError, FloatingPointError, MemoryError) as error:
        return _fail(str(error) or "not enough memory", BAD_INPUT)


def _fail(message: str, code: int) -> int:
    """Write one line on stderr, whatever the message looked like."""
    kind = "" if code == INTERRUPTED else "error: "
    # In one piece: ranks of a torchrun share stderr.
    sys.stderr.write(f"gtn-fast: {kind}{' '.join(message.split())}\n")
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="gtn-fast",
        description="Generative Topological Networks: exact, fast labeling, training, samples.",
        epilog="Exit codes: 0 done, 1 wrong matching or engine, 2 bad input, 130 Ctrl-C.",
    )
    parser.add_argument("--version", action="version", version=f"gtn-fast {gtn_fast.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (labeling, encoding, training, sampling, judging, runs, doctor):
        module.add(commands)
    return parser
