"""What strangers and their tools read beside the code: workflows, forms, citation, changelog."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gtn_fast

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(
    p for p in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if p.name != "config.yml"
)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def targets():
    return set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))


def recipe(target):
    """The commands of a target, with the variables that stand for the environment filled in."""
    lines = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in lines.splitlines()]


def steps(workflow):
    for name, job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].items():
        for step in job["steps"]:
            yield name, job, step


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("custom.github-workflows-require-timeout", WORKFLOWS),
        ("vendor.github-issue-forms", FORMS),
        ("vendor.github-issue-config", [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"]),
        ("vendor.citation-file-format", [ROOT / "CITATION.cff"]),
    ],
)
def test_files_follow_their_schema(schema, files):
    """The schemas lie in the package that checks: nothing is downloaded."""
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    # A .cff file is YAML under a name that the checker does not know.
    command += ["--default-filetype", "yaml", *map(str, files)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_a_wrong_workflow_is_found(tmp_path):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "runs-at:"))
    command = [sys.executable, "-m", "check_jsonschema"]
    command += ["--builtin-schema", "vendor.github-workflows", str(wrong)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert shown.returncode == 1
    assert "runs-at" in shown.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_only_call_make(workflow):
    """Whatever a workflow does can be done on any machine: it runs targets that are there."""
    called = []
    for _, job, step in steps(workflow):
        command = step.get("run")
        if command == "${{ matrix.command }}":
            called += job["strategy"]["matrix"]["command"]
        elif command is not None:
            called.append(command)
        else:
            assert step["uses"].startswith("actions/")
    assert called
    for command in called:
        words = command.split()
        assert words[0] == "make"
        assert {word for word in words[1:] if "=" not in word} <= targets(), command


def test_every_part_has_a_workflow():
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    parts = ("lint", "test", "test-arm", "sanitize", "fuzz", "docs")
    for target in (*parts, "test-minimum", "wheel-check", "wheel-release"):
        assert f"make {target}" in text
    assert "ubuntu-24.04-arm" in text
    assert 'tags: ["v*"]' in text


def test_pre_commit_runs_what_lint_runs():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (local,) = config["repos"]
    assert local["repo"] == "local"  # nothing is downloaded
    # Files are named by pre-commit in place of "." and of the list of sources.
    lint = [re.sub(r" (\.|\$\(\w+\))$", "", line) for line in recipe("lint")]
    assert [hook["entry"] for hook in local["hooks"]] == lint
    assert all(hook["language"] == "system" for hook in local["hooks"])


def test_the_changelog_knows_the_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert "## [Unreleased]" in text
    assert released == sorted(released, key=lambda v: tuple(map(int, v.split("."))), reverse=True)
    # Before the first release the section on top says what it will be.
    assert gtn_fast.__version__ in (released[:1] or re.findall(r"What (\S+) will be", text))
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_citation_is_of_the_paper():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = found["preferred-citation"]
    assert paper["title"] == "Generative Topological Networks"
    names = [author["family-names"] for author in paper["authors"]]
    assert names == ["Levy-Jurgenson", "Yakhini"]
    assert found["license"] == "Apache-2.0"
    assert "version" not in found  # it has one place


def test_security_names_what_readers_promise():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for word in ("weights_only", "unpickle", "private", "doctor"):
        assert word in text


def test_mutants_of_the_core_are_of_the_code_that_is_there():
    core = runpy.run_path(str(ROOT / "tools" / "mutants.py"), run_name="mutants")
    there = {mutant.name for mutant in (*core["candidates"](), *core["named"]())}
    known = json.loads((ROOT / "tools" / "mutants_known.json").read_text(encoding="utf-8"))
    assert known
    assert [each["name"] for each in known if each["name"] not in there] == []


def test_mutants_of_the_package_are_of_the_code_that_is_there():
    # Not imported: the driver needs packages of an environment of its own.
    module = ast.parse((ROOT / "tools" / "mutants_python.py").read_text(encoding="utf-8"))
    listed = next(
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "NAMED"
    )
    named = ast.literal_eval(listed)
    assert named
    for file, old, _ in named:
        assert (ROOT / file).read_text(encoding="utf-8").count(old) == 1, (file, old)
