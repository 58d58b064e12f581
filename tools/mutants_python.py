"""Mutation testing of the Python package: small wrong changes, each of which a test must notice.

    build/mutants-venv/bin/python tools/mutants_python.py --python .venv/bin/python
        [--random 320] [--seed 1] [--only TEXT] [--again] [--jobs N] [--out FILE]

As mutants.py for the core: the named mutants first, then random ones of the modules of
``PLACES``, at least a few of each, drawn by the seed. cosmic-ray's operators change the code
(comparisons, numbers, conditions, loops, arithmetic), one of ours drops a statement. A mutant
dies when one of its module's tests fails or does not end. The tests run in copies of the package,
so the tree is never touched.

This needs cosmic-ray and has an environment of its own (tools/mutants_requirements.txt), so
that it brings nothing into the one that is tested: ``make mutants`` makes both.
``tools/mutants_known_python.json`` lists the survivors that cannot be killed, with the reason.
The exit code is as that of mutants.py.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import queue
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import mutants as core
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Keyword

ROOT = core.ROOT
KNOWN = Path(__file__).with_name("mutants_known_python.json")
JUDGE = Path(__file__).with_name("mutants_judge.py")
_LONGEST_S = 900
FEWEST = 8  # mutants of a module, if it has so many

# What judges each module, the quick and telling first. Not the tests that are slow and ask
# nothing more.
_LEFT_OUT = (
    "not groups_are_quick and not larger_than and not predicted_bytes and not same_call"
    " and not effort"
    " and not handed_over and not ctrl_c and not (distributed and"
    " (silent or its_time or killed or equals_the_reference or lists_are_complete))"
)
PLACES = {
    "gtn_fast/run/job.py": "bad_input schedule sharded label out_of_core",
    "gtn_fast/run/schedule.py": "schedule routing bad_input registry groups out_of_core",
    "gtn_fast/run/local.py": "label schedule bad_input groups out_of_core checkpoint",
    "gtn_fast/run/sharded.py": "sharded distributed",
    "gtn_fast/run/groups.py": "groups routing checkpoint",
    "gtn_fast/run/checkpoint.py": "checkpoint_file checkpoint",
    "gtn_fast/run/report.py": "label schedule sharded checkpoint_file",
    "gtn_fast/backends/lists/blocks.py": "blocks",
    "gtn_fast/backends/lists/rest.py": "blocks",
    "gtn_fast/backends/selection.py": "registry routing triton",
    "gtn_fast/backends/options.py": "registry bad_input schedule",
    "gtn_fast/inputs/arguments.py": "bad_input",
    "gtn_fast/inputs/groups.py": "groups",
    "gtn_fast/inputs/device.py": "bad_input triton",
    "gtn_fast/planning/choice.py": "plan routing",
}

# (file, a piece of one line, what it becomes)
NAMED = (
    # a checksum that is blind to order, in a matrix and over shards
    ("gtn_fast/run/checkpoint.py", " ^ (place * np.uint64(0x9E3779B97F4A7C15))", ""),
    ("gtn_fast/run/checkpoint.py", "np.uint64((first_row + start) * width)", "np.uint64(start)"),
    # a file that a crash leaves half written, or that is believed though it is damaged
    ("gtn_fast/run/checkpoint.py", "os.fsync(file.fileno())", "pass"),
    (
        "gtn_fast/run/checkpoint.py",
        "with replacing(self.path) as temporary, temporary.open(",
        "with self.path.open(",
    ),
    ("gtn_fast/run/checkpoint.py", ' or zlib.crc32(payload) != header["checksum"]', ""),
    ("gtn_fast/run/checkpoint.py", 'if header["fingerprint"] != digest:', "if False:"),
    # equal norms that do not choose by row
    ("gtn_fast/backends/lists/rest.py", "np.sort(turns[done:])", "turns[done:]"),
    ("gtn_fast/inputs/groups.py", 'np.argsort(labels, kind="stable")', "np.argsort(labels)"),
    # rows that are settled already
    ("gtn_fast/run/groups.py", "x[~taken[x]]", "x"),
    (
        "gtn_fast/backends/lists/blocks.py",
        "source.take(chosen[begin:end][chosen[begin:end] >= 0])",
        "pass",
    ),
)


_OPPOSITE = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Lt: ast.GtE, ast.GtE: ast.Lt,
    ast.Gt: ast.LtE, ast.LtE: ast.Gt,
}  # fmt: skip


class _Plain(ast.NodeTransformer):
    """Says ``not a is b`` as ``a is not b``: two operators make the same of ``a is b``."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        inner = node.operand
        if not (isinstance(node.op, ast.Not) and isinstance(inner, ast.Compare)):
            return node
        if len(inner.ops) > 1:
            return node
        return ast.Compare(inner.left, [_OPPOSITE[type(inner.ops[0])]()], inner.comparators)


def _meaning(text: str) -> str:
    return ast.dump(_Plain().visit(ast.parse(text)))


class DropStatement(Operator):
    """Replaces a call, a raise, ``a.b = c``, ``a[b] = c`` or ``a += b`` by ``pass``."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        """Yield where the statement is, if it is one of these."""
        if node.parent is None or node.parent.type != "simple_stmt":
            return
        whole = node.type in ("atom_expr", "raise_stmt")
        if node.type == "expr_stmt" and node.children[1].type != "annassign":
            plain = node.children[1].get_code().strip() == "="
            whole = not plain or node.children[0].type == "atom_expr"
        if whole:
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Return what stands in its place."""
        del index
        return Keyword("pass", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: they are for cosmic-ray's own tests."""
        return ()


def _operators() -> list[tuple[str, Operator]]:
    pairs = {
        "ReplaceBinaryOperator_": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul "
        "RShift_LShift LShift_RShift BitXor_BitAnd BitAnd_BitOr",
        "ReplaceComparisonOperator_": "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE "
        "Gt_LtE GtE_Gt GtE_Lt Is_IsNot IsNot_Is",
        "ReplaceUnaryOperator_": "USub_UAdd Delete_Invert Delete_Not",
        "": "AddNot ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd "
        "ReplaceBreakWithContinue ReplaceContinueWithBreak NumberReplacer ExceptionReplacer "
        "RemoveDecorator ZeroIterationForLoop",
    }
    names = [kind + each for kind, every in pairs.items() for each in every.split()]
    own = [("DropStatement", DropStatement())]
    return own + [(name, get_operator(f"core/{name}")()) for name in names]


@dataclass(frozen=True)
class Mutant:
    """One change of a file: the lines that differ, and the whole text with the change."""

    file: str
    line: int
    old: str
    new: str
    whole: str = field(repr=False)

    @property
    def name(self) -> str:
        """Say what is changed where, for people and for the list of known survivors."""
        return f"{self.file}: {self.old!r} -> {self.new!r}"


def _mutant(file: str, before: str, after: str) -> Mutant:
    old, new = before.splitlines(), after.splitlines()
    changes = [each for each in difflib.SequenceMatcher(None, old, new, False).get_opcodes()
               if each[0] != "equal"]  # fmt: skip
    begin, end = changes[0][1], changes[-1][2]
    tail = len(old) - end
    joined = [
        " ".join(line.strip() for line in part)
        for part in (old[begin:end], new[begin : len(new) - tail])
    ]
    return Mutant(file, begin, *joined, after)


def named() -> list[Mutant]:
    """Return the mutants of ``NAMED``; SystemExit where the code no longer has such a line."""
    found = []
    for file, old, new in NAMED:
        before = (ROOT / file).read_text()
        if before.count(old) != 1:
            raise SystemExit(f"{file} has {before.count(old)} times {old!r}: NAMED is out of date")
        found.append(_mutant(file, before, before.replace(old, new)))
    return found


def candidates(file: str) -> list[Mutant]:
    """Return every change of a file that compiles and that is one, in order."""
    before = (ROOT / file).read_text()
    meant = _meaning(before)
    found: dict[str, Mutant] = {}
    for _, operator in _operators():
        nodes = [node for node in ast_nodes(get_ast(before))
                 for _ in operator.mutation_positions(node)]  # fmt: skip
        for occurrence, node in enumerate(nodes):
            if node.parent is not None and node.parent.type == "parameters":
                continue  # the * before arguments by name
            after = mutate_code(before, operator, occurrence)
            try:
                means = _meaning(after)
            except SyntaxError:
                continue
            if means != meant:
                found.setdefault(means, _mutant(file, before, after))
    return sorted(found.values(), key=lambda each: (each.line, each.new))


def drawn(only: str, count: int, seed: int) -> list[Mutant]:
    """Draw about so many mutants, of each module a share by its number of candidates."""
    every = {file: candidates(file) for file in PLACES}
    total = sum(map(len, every.values()))
    found = []
    for file, own in every.items():
        share = min(len(own), max(FEWEST, round(count * len(own) / total)))
        if only in file:
            found += random.Random(f"{seed} {file}").sample(own, share)
    return found


def _tests(names: list[str]) -> list[str]:
    files = [f"python_tests/test_{name}.py" for name in names]
    return [*files, "-m", "not slow", "-k", _LEFT_OUT]


class Tree:
    """A copy of the package and its tests, and a process that runs them: mutate, test, put back."""

    def __init__(self, number: int, python: str) -> None:
        self.folder = core.WORK / f"python-{number}"
        shutil.rmtree(self.folder, ignore_errors=True)
        for part in ("gtn_fast", "python_tests"):
            shutil.copytree(ROOT / part, self.folder / part,
                            ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
        shutil.copy2(ROOT / "pyproject.toml", self.folder)
        self._judge = subprocess.Popen(
            [python, str(JUDGE)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._written = time.time()

    def passes(self, names: list[str], limit: float) -> bool:
        """Run these files of tests, up to the first test that fails."""
        assert self._judge.stdin is not None
        assert self._judge.stdout is not None
        self._judge.stdin.write(json.dumps({"tests": _tests(names), "limit": limit}) + "\n")
        self._judge.stdin.flush()
        return bool(json.loads(self._judge.stdout.readline()) == 0)

    def judge(self, mutant: Mutant, limit: float) -> core.Outcome:
        """Test with the change; the file is as before afterwards."""
        path = self.folder / mutant.file
        whole = path.read_text()
        self._write(path, mutant.whole)
        began = time.monotonic()
        try:
            passes = self.passes(PLACES[mutant.file].split(), limit)
        finally:
            self._write(path, whole)
        text, outcome = ("", "survived") if passes else (self._killer(), "killed")
        return core.Outcome(mutant, text, outcome, time.monotonic() - began)  # type: ignore[arg-type]

    def _killer(self) -> str:
        """Say which test failed: to tell whether it had a reason to."""
        log = (self.folder / "judge.log").read_text(errors="replace").splitlines()
        told = [line for line in log if line.startswith(("FAILED ", "ERROR "))]
        return told[-1].split(" - ")[0] if told else "no test ended"

    def _write(self, path: Path, text: str) -> None:
        """Write with a time of its own: Python tells by the second whether to compile anew."""
        path.write_text(text)
        self._written += 2
        os.utime(path, (self._written, self._written))

    def close(self) -> None:
        """End the process."""
        assert self._judge.stdin is not None
        self._judge.stdin.close()
        self._judge.wait()


class Trees:
    """Trees for several threads; each file of tests must pass before anything is changed."""

    def __init__(self, jobs: int, python: str, files: set[str]) -> None:
        self._all = [Tree(number, python) for number in range(jobs)]
        self._free: queue.Queue[Tree] = queue.Queue()
        for tree in self._all:
            self._free.put(tree)
        self.pool = ThreadPoolExecutor(jobs)
        try:
            names = sorted({name for file in files for name in PLACES[file].split()})
            self._seconds = dict(zip(names, self.pool.map(self._time, names), strict=True))
        except BaseException:
            self.close()
            raise

    def _time(self, name: str) -> float:
        tree = self._free.get()
        began = time.monotonic()
        try:
            if not tree.passes([name], _LONGEST_S):
                log = (tree.folder / "judge.log").read_text()
                raise SystemExit(f"{log}\ntest_{name}.py fails before anything is changed")
        finally:
            self._free.put(tree)
        return time.monotonic() - began

    def judge(self, mutant: Mutant) -> core.Outcome:
        """Judge a mutant in a tree that is free."""
        tree = self._free.get()
        seconds = sum(self._seconds[name] for name in PLACES[mutant.file].split())
        try:
            return tree.judge(mutant, 30 + 4 * seconds)
        finally:
            self._free.put(tree)

    def close(self) -> None:
        """End all processes."""
        self.pool.shutdown(cancel_futures=True)
        for tree in self._all:
            tree.close()


def main(arguments: list[str] | None = None) -> int:
    """Try all mutants and print what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--python", default=".venv/bin/python", help="what runs the tests")
    parser.add_argument("--random", type=int, default=320, help="random mutants (default 320)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only mutants of files with this in their name")
    parser.add_argument("--again", action="store_true", help="only those that lived in FILE")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=core.WORK / "python.json")
    options = parser.parse_args(arguments)
    known = {each["name"]: each["reason"] for each in json.loads(KNOWN.read_text())}
    first = [each for each in named() if options.only in each.file]
    every = first + drawn(options.only, options.random, options.seed)
    if options.again:
        last = json.loads(options.out.read_text())
        lived = {each["name"] for each in last if each["outcome"] == "survived"}
        first = [each for each in first if each.name in lived]
        every = [each for each in every if each.name in lived]
    trees = Trees(options.jobs, str(Path(options.python).absolute()), {each.file for each in every})
    results = []
    for result in trees.pool.map(trees.judge, every):
        results.append(result)
        mutant = result.mutant
        reason = known.get(mutant.name, "") if result.outcome == "survived" else ""
        at = f"{mutant.file}, line {mutant.line + 1}"
        print(f"{result.outcome:9s} {result.seconds:5.0f} s  {at}\n"
              f"          {mutant.old}\n"
              f"       -> {mutant.new}"
              + (f"\n          {result.text}" if result.text else "")
              + (f"\n          known: {reason}" if reason else ""), flush=True)  # fmt: skip
    trees.close()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    kept = [asdict(each) | {"name": each.mutant.name} for each in results]
    for each in kept:
        del each["mutant"]["whole"]
    options.out.write_text(json.dumps(kept, indent=1) + "\n")
    _by_file(results[len(first) :], known)
    return core.verdict(results, len(first), known)


def _by_file(results: list[core.Outcome], known: dict[str, str]) -> None:
    for file in PLACES:
        own = [each for each in results if each.mutant.file == file]
        living = [each.mutant.name for each in own if each.outcome == "survived"]
        listed = sum(name in known for name in living)
        if own:
            killed = f"{len(own) - len(living)} of {len(own) - listed} killed"
            print(f"{file}: {killed} ({listed} known survivors)")


if __name__ == "__main__":
    sys.exit(main())
