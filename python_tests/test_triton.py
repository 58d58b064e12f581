"""device="cuda" where no GPU is: kernels interpreted and compiled ahead, errors, choices."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from pathlib import Path

import cases
import numpy as np
import pytest
import torch
from cli_runs import run

import gtn_fast
from gtn_fast.backends import registry
from gtn_fast.backends.selection import pick_device
from gtn_fast.backends.triton import ahead, launch, memory
from gtn_fast.backends.triton import backend as triton_backend
from gtn_fast.inputs.device import CPU, Device, check_device
from gtn_fast.planning.planner import plan
from gtn_fast.tools import bench_gpu

# Torch brings a triton of its own, or none.
triton = pytest.importorskip("triton", minversion="3.6")
ROOT = Path(__file__).parent.parent
SAME = r"device='cpu' \(the same answer\)"
GPU = torch.cuda.is_available()
needs_no_gpu = pytest.mark.skipif(GPU, reason="this machine has a GPU")


# ------------------------------------------------------------------ the kernels


VARIANTS = [*ahead.screening(), *ahead.deciding()]
QUICK = [
    next(v for v in VARIANTS if v.kernel == name and v.constants.get("BK") in (None, 128))
    for name in ("group_maxima", "survivors", "row_scales", "exact_cosines")
]


def compiled(variant, capability, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    made = ahead.compile_variant(variant, capability)
    assert made.spilled_bytes == 0
    assert 0 < made.registers <= 255  # all there are; what does not fit is spilled
    limit = {80: 163, 90: 227}[capability] * 1024  # of a block, CUDA C++ programming guide
    assert made.shared_bytes <= limit
    return made


@pytest.mark.parametrize("capability", ahead.ARCHITECTURES)
@pytest.mark.parametrize("variant", QUICK, ids=lambda v: v.name)
def test_one_of_each_kernel_compiles(variant, capability, tmp_path, monkeypatch):
    made = compiled(variant, capability, tmp_path, monkeypatch)
    if variant.kernel in ("group_maxima", "survivors"):
        assert ("wgmma" if capability == 90 else "mma.sync") in made.ptx
        assert "cp.async" in made.ptx or variant.kernel == "survivors"
        assert ".tf32" not in made.ptx
    else:
        assert_decides_exactly(made)


@pytest.mark.slow
@pytest.mark.parametrize("capability", ahead.ARCHITECTURES)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_every_kernel_compiles(variant, capability, tmp_path, monkeypatch):
    made = compiled(variant, capability, tmp_path, monkeypatch)
    if variant in list(ahead.deciding()):
        assert_decides_exactly(made)


def assert_decides_exactly(made):
    """IEEE operations one by one: nothing is fused, nothing approximate."""
    code = [line.split() for line in made.ptx.splitlines()]
    used = {words[0].rstrip(";") for words in code if words and ".f64" in words[0]}
    arithmetic = {name for name in used if name.split(".")[0] in
                  ("add", "sub", "mul", "div", "sqrt", "fma", "mad", "rcp", "rsqrt")}  # fmt: skip
    wanted = {"add.rn.f64", "mul.rn.f64", "div.rn.f64"}
    if made.variant.kernel == "row_scales":
        wanted.add("sqrt.rn.f64")
    assert arithmetic == wanted


def test_fusion_would_be_seen(tmp_path, monkeypatch):
    """The check above can fail: with fusion allowed the same kernel has fused operations."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    plain = next(v for v in ahead.deciding() if v.kernel == "exact_cosines")
    fused = ahead.Variant(plain.kernel, plain.types, plain.constants, {"num_warps": 4})
    assert "fma.rn.f64" in ahead.compile_variant(fused, 80).ptx


def test_a_variant_with_other_arguments_is_refused():
    variant = ahead.Variant("row_scales", {"x_ptr": "*fp32"}, {"ROWS": 32}, {})
    with pytest.raises(ValueError, match="row_scales takes"):
        ahead.compile_variant(variant, 80)


def test_configurations_cover_every_dimension():
    for d in [*range(1, 300), 1000, 4096]:
        chosen = launch.configuration(d)
        padded = launch.padded_dimension(d)
        assert chosen in launch.CONFIGURATIONS
        assert d <= padded < d + max(chosen.step, 16)
        assert padded % chosen.step == 0
        assert chosen.resident == (padded == chosen.step and d <= 128)
        for tile in (chosen.maxima, chosen.survivors):
            assert tile.rows % 16 == 0
            assert all(group % tile.cols == 0 for group in launch.GROUPS)
            assert launch.TILE % tile.cols == 0  # whole tiles in any number of columns


@pytest.mark.slow
def test_the_table_of_the_docs_is_what_the_compiler_says():
    if f"Triton {triton.__version__}," not in (ROOT / "docs" / "gpu.md").read_text():
        pytest.skip("the table is of another version of Triton")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gpu_kernels.py"), "--check"],
        capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, "run python tools/gpu_kernels.py"


# ------------------------------------------------------------------ memory


def test_what_stays_on_the_device():
    big = 80 * 2**30
    all_of_it = memory.decide(big, 10**6, 128, 2 * 512 * 10**6, 128)
    assert (all_of_it.codes_stay, all_of_it.rows_stay) == (True, True)
    both = 2 * 2048 * 10**7  # 10 GB of codes, 41 GB of float32
    codes = memory.decide(big, 10**7, 512, both, 128)
    assert (codes.codes_stay, codes.rows_stay) == (True, True)
    codes = memory.decide(50 * 10**9, 10**7, 512, both, 128)
    assert (codes.codes_stay, codes.rows_stay) == (True, False)
    there = memory.decide(50 * 10**9, 10**7, 512, 0, 128)
    assert there.rows_stay
    stream = memory.decide(8 * 10**9, 10**7, 512, both, 128)
    assert (stream.codes_stay, stream.rows_stay) == (False, False)
    assert stream.panel_cols % 128 == 0
    assert 2 * stream.panel_cols * 512 * 2 <= 8 * 10**9


def test_more_rows_than_the_kernels_can_count():
    assert memory.decide(2**45, memory.MAX_ROWS, 16, 64 * memory.MAX_ROWS, 128).codes_stay
    with pytest.raises(ValueError, match="X has 2147418113 rows; a GPU takes at most 2147418112"):
        memory.decide(2**45, memory.MAX_ROWS + 1, 16, 0, 128)


@pytest.mark.parametrize("n", [1, 1000, 10**6, 10**8])
@pytest.mark.parametrize("padded", [16, 128, 1024])
def test_a_decision_fits_or_says_what_would(n, padded):
    for free in (2**20, 2**26, 2**30, 2**33, 2**37):
        message = ""
        try:
            made = memory.decide(free, n, padded, 8 * padded * n, 128)
        except MemoryError as error:
            message = str(error)
            needed = int(message.split("at least ")[1].split()[0])
            made = memory.decide(2 * needed, n, padded, 8 * padded * n, 128)  # now it is enough
        assert made.bytes <= (2 * needed if message else free)
        assert made.panel_cols >= 128
        assert made.codes_stay or not made.rows_stay
        assert made.codes_stay == (made.panel_cols >= n)
        if message:
            assert needed > free
            assert f"only {free} are free; device='cpu' gives the same answer" in message


# ------------------------------------------------------------------ who runs where


class Elsewhere:
    """Looks like a tensor on a GPU."""

    def __init__(self, where="cuda:1"):
        self.device = where


def test_a_cuda_tensor_is_labeled_where_it_is(monkeypatch):
    monkeypatch.setattr(triton_backend, "require", lambda: None)
    n = 10**5

    def pick(asked, value, method, d, n=n):
        return str(pick_device(check_device(asked), value, method, n, n, d))

    assert pick(None, Elsewhere(), "auto", 3) == "cuda:1"
    assert pick(None, Elsewhere(), "screen", 100) == "cuda:1"
    assert pick(None, Elsewhere(), "auto", 2) == "cpu"  # the circle is linear in n
    assert pick(None, Elsewhere(), "auto", 100, n=9999) == "cpu"  # done before a GPU starts
    assert pick(None, Elsewhere(), "tree", 3) == "cpu"
    assert pick(None, Elsewhere("cpu"), "auto", 3) == "cpu"
    assert pick(None, np.eye(3), "auto", 3) == "cpu"
    assert pick("cpu", Elsewhere(), "auto", 3) == "cpu"
    assert pick("cuda", np.eye(3), "auto", 3, n=3) == "cuda"

    def require():
        raise ImportError("not today")

    monkeypatch.setattr(triton_backend, "require", require)
    assert pick(None, Elsewhere(), "auto", 3) == "cpu"


@pytest.mark.parametrize("value", ["gpu", "cuda:", "cuda:x", "mps", "CUDA", "", "cpu:0"])
def test_unknown_devices(value):
    with pytest.raises(ValueError, match=rf"unknown device '{value}'; valid: 'cpu', 'cuda' or"):
        gtn_fast.label(np.eye(3), device=value)
    with pytest.raises(ValueError, match="unknown device"):
        gtn_fast.plan(100, 100, 3, device=value)


def test_devices_of_other_types():
    with pytest.raises(TypeError, match="device must be a string, got int"):
        gtn_fast.label(np.eye(3), device=0)
    assert check_device(torch.device("cuda", 1)) == check_device("cuda:1") == Device("cuda", 1)
    assert check_device(torch.device("cpu")) == check_device("cpu") == CPU
    assert check_device(None) is None


def test_cpu_is_what_it_always_was(native):
    x, y = cases.make("gaussian", 100, 100, 5)
    one, other = gtn_fast.label(x, y), gtn_fast.label(x, y, device="cpu")
    assert (one.x_index == other.x_index).all()
    assert one.report["device"] == other.report["device"] == "cpu"
    assert one.report["backend"] == "native"


@pytest.mark.parametrize("method", ["ray", "tree", "reference"])
def test_other_methods_do_not_run_there(method):
    d = 1 if method == "ray" else 3
    with pytest.raises(ValueError, match=f"'{method}' does not run on 'cuda'; valid: cpu"):
        gtn_fast.label(np.eye(4)[:, :d], method=method, device="cuda")


def test_a_plan_for_the_device():
    made = plan(10**6, 10**6, 128, device="cuda")
    assert (made.strategy, made.why) == ("screen", "on cuda")
    assert made.seconds > 0.1
    assert made.bytes > 0
    assert plan(10**6, 10**6, 128, method="screen", device="cuda:1").why == "asked for"
    assert triton_backend.predict(10**7, 10**7, 128, 1)[0] > 10 * made.seconds


# ------------------------------------------------------------------ what is missing


@needs_no_gpu
def test_a_forced_gpu_that_is_not_there(native, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    reason = registry.why_not("triton")
    assert reason is not None
    assert "\n" not in reason
    with pytest.raises(ImportError, match=SAME) as caught:
        gtn_fast.label(np.eye(4), device="cuda")
    assert str(caught.value) == reason


def fake_torch(monkeypatch, *, cuda="12.6", available=True, capability=(9, 0)):
    fake = types.ModuleType("torch")
    fake.__version__ = "9.9"
    fake.version = types.SimpleNamespace(cuda=cuda)
    fake.cuda = types.SimpleNamespace(
        is_available=lambda: available,
        get_device_capability=lambda: capability,
        get_device_name=lambda: "Old Card",
    )
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(triton_backend, "_torch", lambda: fake)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"cuda": None}, "torch 9.9 is built without CUDA: install a CUDA build, or"),
        ({"available": False}, "torch finds no CUDA device: check nvidia-smi, or"),
        ({"capability": (7, 5)}, "Old Card has compute capability 7.5, 8.0 is needed"),
    ],
)
def test_each_reason_has_its_remedy(native, monkeypatch, state, message):
    fake_torch(monkeypatch, **state)
    reason = registry.why_not("triton")
    assert reason.startswith(message)
    assert reason.endswith("device='cpu' (the same answer)")


def test_nothing_is_missing(native, monkeypatch):
    fake_torch(monkeypatch)
    assert registry.why_not("triton") is None


@pytest.mark.parametrize("package", ["torch", "triton"])
def test_without_a_package(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert registry.why_not("triton").startswith(f"{package} is not installed: pip install ")


def test_a_device_beyond_the_last(monkeypatch):
    session = importlib.import_module("gtn_fast.backends.triton.session")
    monkeypatch.setattr(launch, "interpreted", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert session.find_device("cuda") == torch.device("cuda", 1)
    assert session.find_device("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(ValueError, match=r"device 'cuda:2': this machine has 2 CUDA device"):
        session.find_device("cuda:2")


# ------------------------------------------------------------------ the command line


@needs_no_gpu
@pytest.mark.parametrize("command", ["label", "bench"])
def test_commands_say_why_not(native, tmp_path, monkeypatch, capsys, command):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.eye(4))
    arguments = ["label", "x.npy", "--out", "l.npz"] if command == "label" else ["bench"]
    assert run(*arguments, "--device", "cuda") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"gtn-fast: error: {registry.why_not('triton')}"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.npy"]


def test_commands_take_the_device(native, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.eye(4))
    assert run("label", "x.npy", "--out", "l.npz", "--device", "cpu") == 0
    assert run("plan", "--n", 1000, "--d", 8, "--device", "cuda") == 0
    assert "on cuda" in capsys.readouterr().out
    assert run("plan", "x.npy", "--device", "tpu") == 2
    assert "unknown device 'tpu'" in capsys.readouterr().err
    assert run("bench", "--device", "tpu") == 2
    assert "measures a GPU, got 'tpu'" in capsys.readouterr().err


# ------------------------------------------------------------------ the benchmark's peers


def test_brute_force_finds_the_nearest(monkeypatch, rng):
    monkeypatch.setattr(bench_gpu, "_SCORES", 1000)  # several chunks
    x, y = (torch.from_numpy(rng.standard_normal((n, 6))) for n in (150, 40))
    unit_x, unit_y = (torch.nn.functional.normalize(a) for a in (x, y))
    rows = bench_gpu.torch_nearest(unit_x, unit_y)
    assert (rows == (unit_y @ unit_x.T).argmax(dim=1)).all()
    bench_gpu._check("torch", rows, unit_x, unit_y)
    with pytest.raises(ValueError, match="torch found an x that is"):
        bench_gpu._check("torch", torch.zeros_like(rows), unit_x, unit_y)
    assert next(iter(bench_gpu.peers())) == "torch"


def test_the_table_of_the_benchmark():
    rows = [bench_gpu.GpuRow(1000, 8, 0.5, {}, {"torch": 1.5})]
    assert bench_gpu.table(rows).splitlines() == [
        "| workload | gtn_fast | torch, with replacement |",
        "|---|---:|---:|",
        "| Gaussian n = 1,000, d = 8 | 500.0 ms | 1.50 s (3.0x) |",
    ]
