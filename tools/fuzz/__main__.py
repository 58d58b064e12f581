"""All targets, each for its share of the time; exit code 1 if one found something.

Inputs that led somewhere new stay in build/fuzz/TARGET/ and are where the next run begins.
What was found is in build/fuzz/found/, with what it said.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tools.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
FOUND = BUILD / "fuzz" / "found"
_START_S = 120  # on a busy machine, to import torch under instrumentation
_ONE_INPUT_S = 60


@dataclass
class Outcome:
    """What one target did."""

    name: str
    runs: int
    seconds: float
    error: str = ""


def main() -> int:
    """Fuzz; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz")
    parser.add_argument("--seconds", type=float, default=600, help="for all together")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="targets whose names hold this")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    arguments = parser.parse_args()
    names = [name for name in (*TARGETS, "match") if arguments.only in name]
    if not names:
        parser.error(f"no target's name holds {arguments.only!r}: {', '.join(TARGETS)}, match")
    if names != ["match"] and find_spec("atheris") is None:
        print("fuzz: atheris is missing: make fuzz installs it into build/fuzz-packages")
        return 1
    FOUND.mkdir(parents=True, exist_ok=True)
    program = _build_match(arguments.jobs) if "match" in names else None
    share = max(1, round(arguments.seconds * arguments.jobs / len(names)))
    with ThreadPoolExecutor(arguments.jobs) as pool:
        work = [pool.submit(_fuzz, name, share, arguments.seed, program) for name in names]
        outcomes = [each.result() for each in work]
    for each in outcomes:
        print(f"{each.name:<20} {each.runs:>9,} inputs {each.seconds:7.0f} s  {each.error or 'ok'}")
    return int(any(each.error for each in outcomes))


def _build_match(jobs: int) -> Path:
    """Build csrc/fuzz with libFuzzer and sanitizers where there is clang, else a random driver."""
    clang = shutil.which("clang++")
    missing = "clang++ is missing" if clang is None else _lacks_libfuzzer(clang)
    folder = BUILD / ("cmake" if missing else "fuzz-core")
    configure = ["cmake", "-S", ROOT, "-B", folder, "-DGTN_FUZZ=ON"]
    if missing:
        print(
            f"fuzz: {missing} (Debian: apt-get install clang libclang-rt-dev):"
            " the match gets random inputs, unguided",
            flush=True,
        )
    else:
        configure += [f"-DCMAKE_CXX_COMPILER={clang}", "-DGTN_SANITIZE=address,undefined"]
    for command in (
        configure,
        ["cmake", "--build", folder, "--target", "gtn_fuzz_match", "--parallel", str(jobs)],
    ):
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return folder / "gtn_fuzz_match"


def _lacks_libfuzzer(clang: str) -> str:
    """Say what is missing, "" if a target can be linked."""
    source = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }'
    flags = ["-fsanitize=fuzzer,address,undefined", "-o", str(BUILD / "fuzz" / "linked")]
    done = subprocess.run(
        [clang, "-x", "c++", "-", *flags], input=source, text=True, capture_output=True, check=False
    )
    return "" if done.returncode == 0 else "clang++ has no libFuzzer or no sanitizers"


def _fuzz(name: str, seconds: int, seed: int, program: Path | None) -> Outcome:
    """Run one target in a process of its own."""
    corpus = BUILD / "fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-timeout={_ONE_INPUT_S}",
        f"-artifact_prefix={FOUND / name}-",
        "-max_len=4096",
        "-rss_limit_mb=0",  # the target limits its memory itself
    ]
    if name == "match":
        assert program is not None
        command = [str(program), *options, str(corpus)]
    else:
        command = [sys.executable, "-m", "tools.fuzz.one", name, "--corpus", str(corpus), *options]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + _START_S + _ONE_INPUT_S,
            check=False,
        )
        text, code = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired as error:
        text, code = f"{error.stdout!r}\n{error.stderr!r}", 124
    spent = time.monotonic() - began
    runs = max((int(n) for n in re.findall(r"^(?:#|Done )(\d+)", text, re.M)), default=0)
    if code == 0 and runs:
        return Outcome(name, runs, spent)
    log = FOUND / f"{name}.log"
    log.write_text(text, encoding="utf-8")
    return Outcome(name, runs, spent, f"FOUND: exit code {code}, see {log.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
