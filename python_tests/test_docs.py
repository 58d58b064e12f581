"""The documents: short, true to the parser, with links that lead somewhere and code that runs."""

import argparse
import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest

import gtn_fast
from gtn_fast import cli

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

# What only the people who ordered the work could understand.
INSIDE = re.compile(
    r"\bpoints? (7|1\d|20)\b|\bthe issue\b|\bissue \d+|issue of the|'s issue|design section"
    r"|design\.md|targets? (was |were )?(met|missed)|work order",
    re.IGNORECASE,
)
# "9 bytes a row" for "9 bytes per row".
RATE = re.compile(
    r"\b(bytes|seconds?|times|ns|us|ms|kB|pairs|scores|x's|registers|one)"
    r" an? (row|y|x|pair|thread|list|second|block|score|candidate|rank|side|step)\b"
)
GENERATED = re.compile(r"<!-- ([\w-]+):start -->.*?<!-- \1:end -->", re.DOTALL)


def anchor(heading):
    """The name GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page):
    return {anchor(text) for text in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)}


def prose(page):
    """The page without what a tool wrote between marks."""
    return GENERATED.sub("", page.read_text(encoding="utf-8"))


def code(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.M)


def test_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


@each_page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if re.match(r"https?://", link):
            continue
        name, _, part = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        if part:
            assert part in anchors(target), f"{page.name}: {link} names no heading"


def test_every_page_is_linked():
    index = ROOT / "docs" / "README.md"
    listed = set(re.findall(r"\]\(([^)\s]+\.md)\)", index.read_text(encoding="utf-8")))
    for page in index.parent.glob("*.md"):
        assert page == index or page.name in listed


def test_the_front_picture_is_small():
    name = re.search(r"!\[[^]]+\]\(([^)]+)\)", README.read_text(encoding="utf-8"))[1]
    assert 1_000 < (ROOT / name).stat().st_size < 150_000


@each_page
def test_plain_words(page):
    for pattern in (INSIDE, RATE):
        found = pattern.search(prose(page))
        assert found is None, f"{page.name}: {found[0]!r}"


@each_page
def test_no_private_names(page):
    assert re.search(r"gtn_fast[./]_\w+|gtn_fast/\w|\b_\w+\.py\b", prose(page)) is None


def test_readme_examples_run(native, tmp_path, monkeypatch, capsys):
    """Every Python block, one after the other, on small latents."""
    monkeypatch.chdir(tmp_path)
    X = gtn_fast.normal(5, 0, 600, 5)
    np.save("latents.npy", X)
    names = {"latents": X[:500], "held_out": X[500:]}
    blocks = code(README, "python")
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("tree 0.")  # method and mean cosine
    assert sorted(names["labels"].x_index) == list(range(600))
    assert names["new"].shape == (1000, 5)
    assert names["path"].shape == (20, 5)
    assert Path("labels.npz").stat().st_size > 0
    assert Path("gtn.safetensors").stat().st_size > 0


@each_page
def test_python_blocks_are_python(page):
    for block in code(page, "python"):
        compile(block, page.name, "exec")


def parsers():
    """The parser of each command, by name."""
    actions = cli._parser()._actions
    return next(a for a in actions if isinstance(a, argparse._SubParsersAction)).choices


def options(parser):
    return {option for action in parser._actions for option in action.option_strings}


@each_page
def test_commands_exist(page):
    """Every `gtn-fast COMMAND --option ...` names a command, and options which that one takes."""
    known = parsers()
    text = page.read_text(encoding="utf-8")
    # A command goes on to the end of its line, or of its backticks (over a line's end).
    calls = re.findall(r"^    .*?(?:gtn-fast|-m gtn_fast) (\w+)(.*)$", text, re.MULTILINE)
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text):
        calls += re.findall(r"(?:gtn-fast|-m gtn_fast) ([a-z]\w*)(.*)", " ".join(span.split()))
    for command, rest in calls:
        assert command in known, f"{page.name}: gtn-fast {command}"
        asked = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", rest.partition(" # ")[0]))
        unknown = asked - options(known[command])
        assert not unknown, f"{page.name}: gtn-fast {command} has no {sorted(unknown)}"


def test_options_in_prose_exist():
    """What the page of the command line names anywhere is an option of some command."""
    page = ROOT / "docs" / "command-line.md"
    known = set.union(*map(options, parsers().values())) | options(cli._parser())
    asked = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page.read_text(encoding="utf-8")))
    assert asked - known == {"--nproc-per-node"}  # torchrun's


def test_every_command_and_labeling_option_is_documented():
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    for name in parsers():
        assert f"`{name}`" in text
    for option in options(parsers()["label"]) - {"-h", "--help"}:
        assert f"`{option}" in text, option


def test_every_option_of_label_is_named():
    """Arguments of ``label`` that only tests and tuning need are the exception."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    names = set(inspect.signature(gtn_fast.label).parameters) - {"X", "Y", "block", "list_length"}
    for name in names:
        assert re.search(rf"\b{name}\b", text), name


def test_limits_are_those_of_the_code():
    text = README.read_text(encoding="utf-8")
    rows = int(re.search(r"n_x <= ([\d,]+) rows", text)[1].replace(",", ""))
    threads = int(re.search(r"1 to ([\d,]+) threads", text)[1].replace(",", ""))
    gtn_fast.plan(rows, 1, 2)
    with pytest.raises(ValueError, match=f"n_x must be from 1 to {rows}"):
        gtn_fast.plan(rows + 1, 1, 2)
    gtn_fast.plan(10, 10, 2, threads=threads)
    with pytest.raises(ValueError, match=f"threads must be from 1 to {threads}"):
        gtn_fast.plan(10, 10, 2, threads=threads + 1)


def test_every_extra_is_named():
    section = (
        (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]\n")[2]
    )
    extras = re.findall(r"^([\w-]+) = \[", section.partition("\n[")[0], re.MULTILINE)
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert len(extras) > 5
    assert [name for name in extras if f"`{name}`" not in text] == []


def test_python_version_is_the_package_s():
    wanted = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert f"Python {wanted} or newer" in README.read_text(encoding="utf-8")


def test_the_table_is_that_of_its_commit():
    """Machine and seconds of README's five rows stand in the results of the commit it names."""
    text = README.read_text(encoding="utf-8")
    commit = re.search(r"at commit (\w+)", text)[1]
    every = (ROOT / "benchmarks" / "results").glob("20*.json")
    every = [json.loads(path.read_text(encoding="utf-8")) for path in every]
    (results,) = [
        each for each in every if {p["commit"] for p in each["comparisons"].values()} == {commit}
    ]
    assert f"{results['machine']['cpu']} ({results['machine']['cpu_id']}" in text
    measured = [row for point in results["comparisons"].values() for row in point["rows"]]
    unit = {"ms": 1e-3, "s": 1.0, "min": 60.0}
    rows = re.findall(
        r"^\| (Gaussian, [^|]*) \| ([\d.]+) (ms|s)\b[^|]*"
        r"\|[^|]*\| (?:([\d.]+) (s|min) )?\| ?([\d.,]*)",
        text,
        re.MULTILINE,
    )
    assert len(rows) == 5
    for workload, ours, of_ours, other, of_other, ratio in rows:
        seconds = pytest.approx(float(ours) * unit[of_ours], rel=0.005)
        peer = pytest.approx(float(other) * unit[of_other], rel=0.005) if other else None
        (found,) = [
            row
            for row in measured
            if (row["workload"], row["seconds"], row["against_seconds"])
            == (workload, seconds, peer)
            and row["measure"] != "of X and Y"
        ]
        if ratio:
            fraction = found["against_seconds"] / found["seconds"]
            assert float(ratio.replace(",", "")) == pytest.approx(fraction, rel=0.01)
