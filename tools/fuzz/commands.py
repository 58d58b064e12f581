"""Command lines on matrices of any shape and type."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import gtn_fast
from gtn_fast import cli, reference
from gtn_fast.backends.methods import METHODS
from tools.fuzz.choices import Choices
from tools.fuzz.rules import check_message, held

_DTYPES = ("<f4", "<f8", "<f2", "|u1", "<i4", "<i8", "|b1", ">f8", "<c8", "<U2", "<u8")
_ODD_TEXTS = (
    *("", "0", "-1", "1", "2", "1e9", "nan", "inf", "x", "1.5", "99999999999999999999", "8GB"),
    *(
        "-8GB",
        "0B",
        "x.npy",
        "y.npy",
        "labels.npz",
        "no.npy",
        "*.npy",
        "x.npy:key",
        ".",
        "/",
        "a\nb",
    ),
    *("[x].npy", "**/*.npy", "cpu", "cuda", "é", "--", "-"),
)
_OPTIONS = {
    "label": (
        *("--y", "--seed", "--verify", "--checkpoint", "--checkpoint-every", "--memory"),
        *("--threads", "--groups-x", "--groups-y", "--key", "--device", "--scratch"),
    ),
    "verify": ("--y", "--sample", "--seed", "--groups-x", "--groups-y", "--key"),
    "plan": ("--n", "--d", "--n-y", "--method", "--key", "--memory", "--threads", "--device"),
    "evaluate": ("--real", "--generated", "--limit", "--seed"),
}
_EXACT = tuple(name for name in METHODS if name not in ("faiss", "distributed", "rank"))


class Commands:
    """``gtn-fast``, in this process."""

    needs: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        os.environ["GTN_FAST_THREADS"] = "1"

    def seeds(self) -> list[bytes]:
        """Return a few command lines."""
        return [bytes([(start * step) % 256 for step in range(1, 90)]) for start in range(1, 24)]

    def check(self, data: bytes) -> None:
        """Run the command that the bytes say."""
        choices = Choices(data)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            self._run(choices)
        finally:
            os.chdir(before)

    def _run(self, choices: Choices) -> None:
        x, y = self._matrix(choices, "x.npy"), self._matrix(choices, "y.npy")
        command = choices.pick(["label", "label", "label", "verify", "plan", "evaluate"])
        arguments = [command]
        if command != "evaluate":
            arguments.append(choices.pick(["x.npy"] * 6 + list(_ODD_TEXTS)))
        if command == "label":
            arguments += [
                "--out",
                "labels.npz",
                "--method",
                choices.pick([*_EXACT, "auto", "auto"]),
            ]
        if command == "verify":
            self._labels(choices, x)
            arguments.append("labels.npz")
        if command == "evaluate":
            arguments += ["--real", "x.npy", "--generated", "y.npy", "--out", "m.json"]
        plain = arguments[1] == "x.npy"
        if command == "label" and choices.below(2):
            arguments += ["--y", "y.npy"]
        for _ in range(choices.below(3)):
            option = choices.pick(_OPTIONS[command])
            arguments.append(option)
            if not choices.one_in(16):
                arguments.append(choices.pick(_ODD_TEXTS))
            plain = False
        if choices.one_in(3):
            arguments.append(choices.pick(["--quiet", "--resume", "--force", "--no", "more", "-h"]))
        inputs = {path.name: path.read_bytes() for path in Path().iterdir()}
        code, out, errors = self._main(arguments)
        self._judge(arguments, code, out, errors)
        for name, content in inputs.items():
            if name.endswith(".npy"):
                held(Path(name).read_bytes() == content, f"{name} was changed by {arguments}")
        if command == "label" and code == 0 and Path("labels.npz").exists() and plain:
            self._right(arguments, x, y if "--y" in arguments else None)

    def _matrix(self, choices: Choices, name: str) -> Any:
        shape = [choices.pick([5, 1, 2, 3, 7, 12, 30, 0]) for _ in range(1 + choices.below(3))]
        if not choices.one_in(6):
            shape = [choices.pick([12, 7, 1, 2, 30, 0]), choices.pick([3, 1, 2, 4, 9, 40, 0])]
        dtype = np.dtype(choices.pick(_DTYPES[:3] * 4 + _DTYPES))
        count = int(np.prod(shape))
        if choices.below(2):
            rng = np.random.default_rng(choices.below(256))
            matrix = np.round(3 * rng.normal(size=shape), choices.below(3)).astype(dtype)
        else:  # the bits themselves, NaN and infinity among them
            raw = choices.bytes(count * dtype.itemsize).ljust(count * dtype.itemsize, b"\1")
            matrix = np.frombuffer(raw, dtype).reshape(shape)
        if choices.one_in(4):
            matrix = np.asfortranarray(matrix)
        np.save(name, matrix)
        return matrix

    def _labels(self, choices: Choices, x: Any) -> None:
        with contextlib.suppress(ValueError, TypeError):
            labels = gtn_fast.label(x, seed=choices.below(4), threads=1)
            if choices.one_in(3) and len(labels.x_index) > 1:
                labels.x_index[:2] = labels.x_index[1::-1].copy()
            labels.save("labels.npz")

    def _main(self, arguments: list[str]) -> tuple[int, str, str]:
        out, errors = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            try:
                code = cli.main(arguments)
            except SystemExit as done:  # --help
                held(done.code in (0, None), f"SystemExit({done.code}) of {arguments}")
                code = 0
        return code, out.getvalue(), errors.getvalue()

    def _judge(self, arguments: list[str], code: int, out: str, errors: str) -> None:
        codes = (0, 1, 2) if arguments[0] == "verify" else (0, 2)
        held(code in codes, f"exit code {code} of {arguments}: {errors}")
        if code == 0:
            return
        lines = errors.splitlines()
        held(lines and lines[-1].startswith("gtn-fast: error: "), f"{arguments}: {errors!r}")
        held(len(lines) == 1, f"{arguments}: {errors!r}")
        check_message(lines[0])
        held(out == "" or code == 1, f"{arguments} printed {out!r}")
        held(not list(Path().glob(".gtn-fast*")), "a temporary file is left")

    def _right(self, arguments: list[str], x: Any, y: Any) -> None:
        got = gtn_fast.Labels.load("labels.npz")
        wide = x if x.dtype == np.float32 else x.astype(np.float64)
        index, cosine, _ = reference.match(wide, got.y)
        held(np.array_equal(got.x_index, index), f"other labels by {arguments}")
        held(np.array_equal(got.cosine, cosine.astype(np.float32)), f"other cosines, {arguments}")
        if y is not None:
            held(np.array_equal(got.y, y.astype(got.y.dtype)), f"other y by {arguments}")
