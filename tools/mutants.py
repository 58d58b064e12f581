"""Mutation testing of the C++ core: small wrong changes, each of which a test must notice.

    python tools/mutants.py [--random 60] [--seed 1] [--only TEXT] [--out FILE]

The named mutants (``NAMED``) are tried first: places where a wrong sign, a smaller bound or a
weaker memory order would go unnoticed if no test stood there. Then so many random ones:
operators, comparisons and constants of ``PLACES``, drawn by the seed. A mutant dies when the
tests fail or do not end; one that does not compile does not count. Each is built in a copy of
the sources, so the tree is never touched.

``tools/mutants_known.json`` lists the survivors that cannot be killed, with the reason. The exit
code is 1 if a named mutant survives that is not listed, or fewer than nine of ten random ones
die.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).absolute().parent.parent
WORK = ROOT / "build" / "mutants"
KNOWN = Path(__file__).with_name("mutants_known.json")
PLACES = ("csrc/strategies", "csrc/engine/match.cpp", "csrc/engine/lists.cpp")
THREADS = "thread"  # the sanitizer that sees a missing memory order
# Under it only the tests of threads run: all of them take too long.
UNDER_SANITIZER = "--source-file=*/engine/test_parallel.cpp"
SHARE = 0.9  # of the mutants that must die
IDLE_S = 60.0  # tests that take no CPU time for so long wait for what never comes
LOOK_S = 0.2


@dataclass(frozen=True)
class Mutant:
    """One change: the text that replaces ``old`` in ``line`` of ``file``."""

    file: str
    line: int
    old: str
    new: str
    column: int
    text: str  # the line, for people
    sanitize: str = ""

    @property
    def name(self) -> str:
        """Say what is changed where, for people and for the list of known survivors."""
        return f"{self.file}: {self.old!r} -> {self.new!r} in {self.text!r}"


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: "killed", "survived" or "stillborn" (it does not compile)."""

    mutant: Mutant
    text: str  # what noticed it, where that is known
    outcome: str
    seconds: float


# (file, a piece of one line, what it becomes, sanitizer that is needed to see it)
NAMED = (
    ("csrc/strategies/screen/code_screen.cpp", " + 0x1.1p-24", "", ""),
    ("csrc/strategies/screen/code_screen.h", "std::floor(score)", "std::ceil(score) + 1.0", ""),
    ("csrc/strategies/screen/code_screen.h", "q.code_norm * frame.residual + ", "", ""),
    ("csrc/strategies/screen/store.cpp", "std::sqrt(residual2)", "0.5 * std::sqrt(residual2)", ""),
    ("csrc/strategies/screen/store.cpp", "std::sqrt(radius2)", "0.5 * std::sqrt(radius2)", ""),
    ("csrc/strategies/screen/store.cpp", "slack_ = 4.0 *", "slack_ = 0.0 *", ""),
    ("csrc/strategies/screen/store.cpp", "slack_ = 4.0 *", "slack_ = 2.0 *", ""),
    ("csrc/strategies/screen/tile.cpp", "std::sqrt(rest) + store.slack()", "store.slack()", ""),
    ("csrc/engine/match.cpp", "(int64_t{1} << 24)", "(int64_t{1} << 23)", ""),
    ("csrc/kernels/levels.cpp", "bw avx512vl avx512dq", "bw avx512dq", ""),
    ("csrc/strategies/screen/shortlist.cpp", "std::ceil(", "std::floor(", ""),
    ("csrc/strategies/screen/pages.cpp", "posix_fallocate(file, 0,", "ftruncate(file,", ""),
    ("csrc/include/gtn_fast/parallel.h", "n, std::memory_order_release",
     "n, std::memory_order_relaxed", THREADS),
)  # fmt: skip

_SWAPS = {
    "<=": "<", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&",
    " + ": " - ", " - ": " + ", " * ": " / ", " < ": " <= ", " > ": " >= ",
    "++": "--", "+= ": "-= ", "-= ": "+= ", "true": "false", "false": "true",
    "std::min": "std::max", "std::max": "std::min", "std::ceil": "std::floor",
    "continue;": "break;",
}  # fmt: skip
_TOKEN = re.compile(
    "|".join(re.escape(old) for old in sorted(_SWAPS, key=len, reverse=True))
    + r"|(?<![\w.])[1-9]\d*(?![\w.'])"
)


def named() -> list[Mutant]:
    """Return the mutants of ``NAMED``; SystemExit where the code no longer has such a line."""
    found = []
    for file, old, new, sanitize in NAMED:
        lines = (ROOT / file).read_text().splitlines()
        at = [(i, line.index(old)) for i, line in enumerate(lines) if old in line]
        if len(at) != 1:
            raise SystemExit(f"{file} has {len(at)} lines with {old!r}: NAMED is out of date")
        line, column = at[0]
        found.append(Mutant(file, line, old, new, column, _texts(lines)[line], sanitize))
    return found


def candidates() -> list[Mutant]:
    """Return every place of ``PLACES`` that can be changed, in order."""
    files = [
        path
        for place in PLACES
        for path in ([ROOT / place] if place.endswith(".cpp") else _below(ROOT / place))
        if path.suffix in (".cpp", ".h")
    ]
    return [mutant for path in files for mutant in _of_file(path)]


def _below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def _texts(lines: list[str]) -> list[str]:
    """Return the lines for people; one that stood before in the file gets its number."""
    seen: Counter[str] = Counter()
    texts = []
    for line in map(str.strip, lines):
        seen[line] += 1
        texts.append(line if seen[line] == 1 else f"{line} ({seen[line]})")
    return texts


def _of_file(path: Path) -> list[Mutant]:
    name = path.relative_to(ROOT).as_posix()
    found = []
    lines = path.read_text().splitlines()
    texts = _texts(lines)
    for number, line in enumerate(lines):
        code = line.split("//")[0]
        if code.lstrip().startswith(("#", "namespace", "template", "static_assert")) or '"' in code:
            continue
        for match in _TOKEN.finditer(code):
            old = match.group()
            new = _SWAPS.get(old) or str(int(old) + 1)
            found.append(Mutant(name, number, old, new, match.start(), texts[number]))
    return found


class Tree:
    """A copy of the sources with a build folder: mutate, build, test, put back."""

    def __init__(self, sanitize: str) -> None:
        self._sanitize = sanitize
        self.folder = WORK / (f"src-{sanitize}" if sanitize else "src")
        self.build = WORK / (f"build-{sanitize}" if sanitize else "build")
        self._mutated = self.build.with_suffix(".mutated")
        if self._mutated.exists():  # a run was killed: objects of a mutant may lie there
            shutil.rmtree(self.build, ignore_errors=True)
            self._mutated.unlink()
        for part in ("csrc", "CMakeLists.txt", "gtn_fast/_version.py"):
            target = self.folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy(ROOT / part, target)  # with their times: what is unchanged is not built again
        options = ["-DGTN_TESTS=ON", "-DCMAKE_CXX_FLAGS=-DGTN_TEST_REDUCED=1"]  # smaller data
        if sanitize:
            options = [f"-DGTN_SANITIZE={sanitize}"]
        self._run("cmake", "-S", str(self.folder), "-B", str(self.build), *options,
                  f"-DPython_EXECUTABLE={sys.executable}")  # fmt: skip
        if not self._compiles() or not self._passes(float("inf")):
            raise SystemExit("the tests fail before anything is changed")
        before = os.times().children_user + os.times().children_system
        self._passes(float("inf"))
        used = os.times().children_user + os.times().children_system - before
        self.limit = 10 + 5 * used  # CPU seconds: the same for a mutant on a busy machine

    def judge(self, mutant: Mutant) -> Outcome:
        """Build and test with the change; the file is as before afterwards."""
        path = self.folder / mutant.file
        whole = path.read_text()
        lines = whole.splitlines(keepends=True)
        line = lines[mutant.line]
        end = mutant.column + len(mutant.old)
        lines[mutant.line] = line[: mutant.column] + mutant.new + line[end:]
        self._mutated.touch()
        path.write_text("".join(lines))
        began = time.monotonic()
        try:
            outcome = "stillborn"
            if self._compiles():
                outcome = "survived" if self._passes(self.limit) else "killed"
        finally:
            path.write_text(whole)
        self._mutated.unlink()
        return Outcome(mutant, "", outcome, time.monotonic() - began)

    def _compiles(self) -> bool:
        target = ("--target", "gtn_core_test", "--parallel", "2")
        return not self._run("cmake", "--build", str(self.build), *target)

    def _passes(self, limit: float) -> bool:
        """Run the tests, up to the first that fails; one that does not end has failed."""
        tests = [str(self.build / "gtn_core_test"), "--abort-after=1"]
        if self._sanitize:
            tests.append(UNDER_SANITIZER)
        return not self._run(*tests, limit=limit)

    def _run(self, *command: str, limit: float = float("inf")) -> int:
        """Return the exit code; after ``limit`` CPU seconds, or ``IDLE_S`` idle, it is killed."""
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            used, since = 0.0, time.monotonic()
            while process.poll() is None and limit < float("inf"):
                time.sleep(LOOK_S)
                now = _cpu_seconds(process.pid)
                if now > used:
                    used, since = now, time.monotonic()
                if used > limit or time.monotonic() - since > IDLE_S:
                    process.kill()
        return process.returncode


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process that runs, with all its threads."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def drawn(places: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return ``count`` of the places; a change elsewhere in the sources draws no others."""

    def lot(mutant: Mutant) -> str:
        return hashlib.sha256(f"{seed} {mutant.name}".encode()).hexdigest()

    return sorted(places, key=lot)[:count]


def main(arguments: list[str] | None = None) -> int:
    """Try all mutants and print what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--random", type=int, default=60, help="random mutants (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only mutants of files with this in their name")
    parser.add_argument("--out", type=Path, default=WORK / "core.json")
    options = parser.parse_args(arguments)
    known = {each["name"]: each["reason"] for each in json.loads(KNOWN.read_text())}
    places = [each for each in candidates() if options.only in each.file]
    lots = drawn(places, options.random, options.seed)
    first = [each for each in named() if options.only in each.file]
    trees: dict[str, Tree] = {}
    results = []
    # Those that need a build of their own come last.
    for mutant in sorted((*first, *lots), key=lambda each: each.sanitize):
        if mutant.sanitize not in trees:
            trees[mutant.sanitize] = Tree(mutant.sanitize)
        result = trees[mutant.sanitize].judge(mutant)
        results.append(result)
        reason = known.get(mutant.name, "") if result.outcome == "survived" else ""
        at = f"line {mutant.line + 1} of {mutant.name}"
        print(f"{result.outcome:9s} {result.seconds:5.0f} s  {at}"
              + (f"\n          known: {reason}" if reason else ""), flush=True)  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n")
    results.sort(key=lambda each: each.mutant not in first)
    return verdict(results, len(first), known)


def verdict(results: list[Outcome], count: int, known: dict[str, str]) -> int:
    """Print how many died, of the first ``count`` (named) and of the rest; return the exit code."""
    living = [each for each in results[:count] if each.outcome == "survived"]
    unknown = [each for each in living if each.mutant.name not in known]
    born = [each for each in results[count:] if each.outcome != "stillborn"]
    counted = [each for each in born if each.outcome == "killed" or each.mutant.name not in known]
    killed = sum(each.outcome == "killed" for each in counted)
    print(
        f"named: {count - len(living)} of {count} killed;"
        f" random: {killed} of {len(counted)} killed ({len(born) - len(counted)} known survivors)"
    )
    return 1 if unknown or killed < SHARE * len(counted) else 0


if __name__ == "__main__":
    sys.exit(main())
