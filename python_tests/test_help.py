"""``--help``: a sentence, an example that the parser takes, the files that are left; no riddles."""

from __future__ import annotations

import argparse
import shlex

import pytest

from gtn_fast import cli
from gtn_fast.cli import encoding, training
from gtn_fast.cli.helps import HELPS
from gtn_fast.tools import demo

COMMANDS = next(
    a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)
).choices
each_command = pytest.mark.parametrize("name", COMMANDS)


def shown(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@each_command
def test_help_opens_with_sentence_example_and_files(name, capsys):
    text = shown(name, capsys)
    help_ = HELPS[name]
    assert text.startswith(f"usage: {help_.usage}\n\n{help_.sentence}\n\nexample:\n")
    assert text.index(help_.example) < text.index("leaves:") < text.index("options:")
    for file, what in help_.leaves:
        assert file in text
        assert what in text
    assert max(map(len, text.partition("\noptions:")[0].splitlines())) <= 110


def test_every_command_has_a_help():
    assert HELPS.keys() == COMMANDS.keys()


@each_command
def test_the_example_parses(name):
    program, *words = shlex.split(HELPS[name].example)
    assert program == "gtn-fast"
    assert words[0] == name
    cli._parser().parse_args(words)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("train", training._RESULTS),
        ("autoencode", encoding._RESULTS),
        ("demo", [name for name in demo.FILES if name.endswith(".md")]),
        ("bench", ("bench.md", "bench.png")),
        ("interpolate", ("interpolations.npy", "interpolation.png")),
        ("experiment", ("metrics.json", "summary.md")),
    ],
)
def test_the_files_are_those_of_the_command(name, files):
    assert files
    told = " ".join(file + what for file, what in HELPS[name].leaves)
    assert [file for file in files if file not in told] == []


@each_command
def test_options_are_described(name):
    """A text of its own for each, which says more than a default."""
    for action in COMMANDS[name]._actions:
        text = (action.help or "").strip()
        assert len(text.split()) >= 2, (name, action.dest)
        assert not text.startswith(("default", "of ")), (name, action.dest, text)
