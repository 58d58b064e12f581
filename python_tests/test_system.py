"""Quotas and thread counts, refused threads and memory, forks, and the end of the interpreter."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from types import SimpleNamespace

import cases
import numpy as np
import pytest
from cli_runs import header

import gtn_fast
from gtn_fast.inputs.arguments import MAX_THREADS, check_threads
from gtn_fast.planning import memory
from gtn_fast.run.checkpoint import load_checkpoint
from gtn_fast.system import cgroups, cpus, workers
from gtn_fast.system.workers import check_startable, in_threads


def python(code: str, *arguments: object, timeout: float = 120, **options):
    """Run ``code`` in a process of its own; ``timeout`` guards against a hang."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )


def started(code: str, *arguments: object, **options):
    """Start ``code`` in a process of its own, whose streams the test reads."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# ------------------------------------------------------------------ how many CPUs, how many threads


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """A function that makes the files of control groups and says where this process is."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "SELF", tmp_path / "self")

    def make(own: str, **files: str) -> None:
        (tmp_path / "self").write_text(own)
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return make


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu_dot_max": "max 100000"}, None),
        ("0::/\n", {"cpu_dot_max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a__cpu_dot_max": "50000 100000", "a__b__cpu_dot_max": "max 100000"}, 0.5),
        ("0::/a/b\n", {"a__cpu_dot_max": "9 3", "a__b__cpu_dot_max": "4 2"}, 2.0),
        ("0::/a/b\n", {"a__b__cpu_dot_max": "4 2", "cpu_dot_max": "1 9"}, 1 / 9),
        ("4:cpu,cpuacct:/c\n", {"cpu__c__cpu.cfs_quota_us": "200000",
                                "cpu__c__cpu.cfs_period_us": "100000"}, 2.0),
        ("4:cpu:/c\n0::/\n", {"cpu__c__cpu.cfs_quota_us": "-1",
                              "cpu__c__cpu.cfs_period_us": "100000"}, None),
        ("4:cpuset:/c\n", {"cpu__c__cpu.cfs_quota_us": "1",
                           "cpu__c__cpu.cfs_period_us": "1"}, None),
        ("0::/\n", {"cpu_dot_max": "nonsense"}, None),
        ("0::/\n", {"cpu_dot_max": "5 0"}, None),
    ],
)  # fmt: skip
def test_quota(groups, own, files, quota):
    groups(own, **files)
    assert cgroups.cpu_quota() == quota


def test_no_control_groups(monkeypatch, tmp_path):
    monkeypatch.setattr(cgroups, "SELF", tmp_path / "nothing")
    assert cgroups.cpu_quota() is None
    assert memory._cgroup_room() is None


@pytest.mark.parametrize(
    ("cores", "quota", "there"), [(8, None, 8), (8, 1.5, 2), (8, 0.3, 1), (2, 7.0, 2), (8, 3.0, 3)]
)
def test_cpus_within_the_quota(monkeypatch, cores, quota, there):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
    monkeypatch.setattr(cpus, "_quota", lambda: quota)
    assert cpus.available_cpus() == there


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({}, 6),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "12"}, 12),
        ({"OMP_NUM_THREADS": "99999"}, MAX_THREADS),
        ({"OMP_NUM_THREADS": "many"}, 6),  # it is not ours to complain of
        ({"OMP_NUM_THREADS": "0"}, 6),
        ({"GTN_FAST_THREADS": "2", "OMP_NUM_THREADS": "3"}, 2),
        ({"GTN_FAST_THREADS": "-1", "OMP_NUM_THREADS": "3"}, 6),
        ({"GTN_FAST_THREADS": " ", "OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "x"}, 1),
    ],
)
def test_threads_by_environment(monkeypatch, variables, threads):
    for name in (cpus.OWN, cpus.COMMON, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cpus, "_quota", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(6), raising=False)
    assert check_threads(None) == threads
    assert check_threads(5) == 5  # what is given counts
    assert check_threads(-1) == 6
    assert gtn_fast.plan(100, 100, 5).threads == threads


def test_of_several_ranks_torchruns_own_default_does_not_count(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv(cpus.OWN, raising=False)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert cpus.threads_by_environment(shared=True) == 1
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert cpus.threads_by_environment(shared=True) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert cpus.threads_by_environment(shared=True) == 2
    monkeypatch.setenv(cpus.OWN, "1")
    assert cpus.threads_by_environment(shared=True) == 1


@pytest.mark.parametrize("value", ["0", "-2", "two", "1.5", "2 3", "9" * 10])
def test_a_bad_variable_of_our_own(monkeypatch, value):
    monkeypatch.setenv(cpus.OWN, value)
    with pytest.raises(ValueError, match="GTN_FAST_THREADS must be a number of threads, or -1"):
        gtn_fast.label(np.eye(3))


def test_a_worker_of_a_dataloader_takes_what_torch_has(monkeypatch):
    for name in (cpus.OWN, cpus.COMMON):
        monkeypatch.delenv(name, raising=False)
    torch = SimpleNamespace(get_num_threads=lambda: 1)
    info = SimpleNamespace(get_worker_info=lambda: object())
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch.utils.data", info)
    assert cpus.threads_by_environment() == 1


def test_too_many_threads_cost_nothing(native):
    """4,096 threads at n = 3,000 did not end in a minute; 128 burnt 20 times the time of one."""
    x, y = cases.make("gaussian", 3000, 3000, 32)
    expected = gtn_fast.label(x, y, threads=1).x_index
    spent = {}
    for threads in (1, 128, 4096):
        times = []
        for _ in range(3):
            before = time.process_time()
            assert (gtn_fast.label(x, y, threads=threads).x_index == expected).all()
            times.append(time.process_time() - before)
        spent[threads] = min(times)
    assert max(spent.values()) < 6 * spent[1] + 0.05, spent


# ------------------------------------------------------------------ work in order


@pytest.mark.parametrize("threads", [1, 2, 5, 100])
def test_results_come_in_order(threads):
    def slow(i):
        time.sleep(0.002 * (i % 3))
        return i * i

    assert list(in_threads(slow, range(20), threads)) == [i * i for i in range(20)]
    assert list(in_threads(slow, [], threads)) == []


def test_the_first_error_is_raised_and_all_stop():
    stop, begun = threading.Event(), []
    before = threading.active_count()  # of a test that ran here earlier, say

    def work(i):
        begun.append(i)
        time.sleep(0.01)
        if i in (3, 4):
            raise ValueError(f"item {i}")

    with pytest.raises(ValueError, match="item 3"):
        list(in_threads(work, range(1000), 3, stop))
    assert stop.is_set()
    assert len(begun) < 20
    assert threading.active_count() == before


def test_refused_workers_are_done_without(monkeypatch):
    started = []

    class Refusing(threading.Thread):
        def start(self):
            if len(started) == allowed:
                raise RuntimeError("can't start new thread")
            started.append(self)
            super().start()

    monkeypatch.setattr(workers.threading, "Thread", Refusing)
    for allowed in (0, 1, 2):
        started.clear()
        assert list(in_threads(lambda i: -i, range(9), 4)) == [-i for i in range(9)]
        assert len(started) == allowed
        started.clear()
        with pytest.raises(OSError, match=rf"refused a thread \({allowed + 1} of 4 started"):
            check_startable(4)


def test_a_thread_that_outlives_the_main_one_labels_groups(native):
    """An executor of concurrent.futures takes no work by then."""
    done = python(
        """
        import threading, time
        import numpy as np, gtn_fast
        x = np.random.default_rng(0).standard_normal((6000, 3))
        groups = np.arange(6000) // 20
        expected = gtn_fast.label(x, groups=(groups, groups), threads=1)
        def late():
            threading.main_thread().join()
            time.sleep(0.2)
            labels = gtn_fast.label(x, groups=(groups, groups), threads=2)
            print((labels.x_index == expected.x_index).all(), flush=True)
        threading.Thread(target=late).start()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


# ------------------------------------------------------------------ what the system refuses

REFUSED = """
    import os, resource, sys
    import faiss
    import numpy as np, gtn_fast
    x = np.random.default_rng(0).standard_normal((2000, 24)).astype(np.float32)
    expected = gtn_fast.label(x, threads=1)
    many = np.zeros((1 << 20, 24), np.float32)
    if sys.argv[1] == "users":
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        if os.getuid() == 0:  # whom no such limit binds
            os.setgid(65534)
            os.setuid(65534)
    else:
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + (6 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    def tried(what):
        try:
            return what()
        except (OSError, MemoryError) as error:
            print(type(error).__name__, error)
    assert (gtn_fast.label(x, threads=1).x_index == expected.x_index).all()
    tried(lambda: gtn_fast.label(x, threads=2))
    tried(lambda: gtn_fast.normal(0, 0, 10, 3, threads=9))
    tried(lambda: gtn_fast.label(x, threads=2, method="faiss", nlist=4, exact_below=64))
    if sys.argv[1] != "users":
        tried(lambda: gtn_fast.label(many, threads=1))
    assert (gtn_fast.label(x, threads=1).x_index == expected.x_index).all()
"""


@pytest.mark.parametrize("limit", ["users", "address space"])
def test_a_refusal_names_limit_and_remedy(native, limit):
    pytest.importorskip("faiss")
    done = python(REFUSED, limit)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    option = "-u 1" if limit == "users" else "-v"
    for line, wanted in zip(lines, ("2", "9", "2"), strict=False):
        assert line.startswith(f"OSError the system refused a thread (0 of {wanted} started")
        assert f"ulimit {option}" in line
        assert line.endswith("raise the limit, or give threads=1, which needs no other thread")
    if limit == "users":
        assert len(lines) == 3
    else:
        assert lines[3].startswith("MemoryError label")  # predicted, or met
        assert "the limit is that of ulimit -v): give memory=" in lines[3]


def test_memory_that_is_refused_in_the_middle(native, monkeypatch):
    def refused(*_arguments, **_options):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(gtn_fast.run.local, "match", refused)
    with pytest.raises(MemoryError) as caught:
        gtn_fast.label(np.eye(5))
    message = str(caught.value)
    assert message.startswith("label: the system refused memory (Unable to allocate 9 GiB, ")
    assert message.endswith(memory._REMEDY)


def test_what_ulimit_leaves(monkeypatch):
    assert memory._address_room() is None or memory._address_room() > 0
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 50, 1 << 50))
    assert 0 < memory._address_room() < 1 << 50
    monkeypatch.setattr(memory, "_machine_room", lambda: 1 << 60)
    monkeypatch.setattr(memory, "_cgroup_room", lambda: None)
    assert memory.available_bytes() < 1 << 50
    assert memory._least_limit() == "the limit is that of ulimit -v"


# ------------------------------------------------------------------ forks

FORKED = """
    import os, signal, sys
    import faiss, torch
    import numpy as np, gtn_fast
    from torch import nn
    from gtn_fast.learn.training.loop import train
    from gtn_fast.metrics import energy_distance, nearest_copies
    from gtn_fast.vision.codecs import decode_latents, encode_images
    from gtn_fast.vision.autoencoder import Autoencoder
    torch.set_num_threads(2)
    x = np.random.default_rng(0).standard_normal((20_000, 16)).astype(np.float32)
    half = torch.from_numpy(x).bfloat16()
    images = torch.randint(256, (64, 1, 28, 28), dtype=torch.uint8)
    model = Autoencoder(1, 28, 5)

    def faiss_label():
        options = {"nlist": 64, "exact_below": 1000, "threads": 2}
        labels = gtn_fast.label(x, method="faiss", **options)
        assert len(set(labels.x_index)) == len(x)
        assert labels.report["quality"]["agreement"] > 0.5

    def large():
        net = nn.Sequential(nn.Linear(16, 512), nn.ReLU(), nn.Linear(512, 16))
        train(net, lambda m, a: m(a).square().mean(), [torch.from_numpy(x)],
              epochs=1, batch_size=8192, lr=1e-3)

    calls = {
        "faiss": faiss_label,
        "tensor": lambda: gtn_fast.label(half, threads=2).pairs(half),
        "train": large,
        "encode": lambda: decode_latents(model, encode_images(model, images)),
        "distance": lambda: energy_distance(x[:4000], x[4000:8000]),
        "copies": lambda: nearest_copies(x[:2000], x),
    }
    torch.sin(torch.randn(2000, 1000)).sum()
    calls["faiss"]()
    calls["copies"]()
    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        for name, call in calls.items():
            call()
            print(name, flush=True)
        # What belongs to the program is as it was.
        assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before
        os._exit(0)
    print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_wait_for_threads_that_are_not_there(native):
    """OpenMP's team does not survive a fork: FAISS and torch would wait for it for ever."""
    pytest.importorskip("faiss")
    done = python(FORKED)
    expected = ["faiss", "tensor", "train", "encode", "distance", "copies", "0"]
    assert done.stdout.split() == expected, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_imports_us_after_the_fork(native):
    pytest.importorskip("faiss")
    done = python(
        """
        import multiprocessing, faiss, numpy as np
        x = np.random.default_rng(0).standard_normal((20_000, 16)).astype(np.float32)
        faiss.omp_set_num_threads(2)
        faiss.knn(x, x, 3)
        def child():
            import gtn_fast
            labels = gtn_fast.label(x, method="faiss", nlist=64, exact_below=1000, threads=2)
            print(len(set(labels.x_index)), flush=True)
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(300)
        print(process.exitcode)
        process.kill()
        """
    )
    assert done.stdout.split() == ["20000", "0"], done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_was_forked_during_a_call_ends_at_once(native):
    """It has the caller's list of calls at work, but not their threads."""
    done = python(
        """
        import os, sys, threading, time
        import numpy as np, gtn_fast
        x = np.random.default_rng(0).standard_normal((200_000, 64)).astype(np.float32)
        progress = threading.Event()
        told = lambda done, total: progress.set()
        threading.Thread(target=gtn_fast.label, args=(x,), kwargs={"progress": told, "threads": 2},
                         daemon=True).start()
        progress.wait(300)
        child = os.fork()
        if child == 0:
            assert (gtn_fast.label(np.eye(40), np.eye(40), threads=2).order == np.arange(40)).all()
            sys.exit(7)
        began = time.monotonic()
        code = os.waitpid(child, 0)[1]
        print(os.waitstatus_to_exitcode(code), time.monotonic() - began < 4)
        """
    )
    assert done.stdout == "7 True\n", done.stderr


# ------------------------------------------------------------------ the end of the interpreter

ENDING = """
    import sys, threading, time
    import numpy as np, gtn_fast
    method, threads, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    n, d = {"screen": (300_000, 64), "tree": (600_000, 6), "faiss": (400_000, 64),
            "reference": (20_000, 8), "groups": (1_000_000, 4)}[method]
    x = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)
    options = {"method": method, "threads": threads}
    if method == "groups":
        options = {"groups": (np.arange(n) // 40,) * 2, "threads": threads}
    elif method != "faiss":
        options |= {"checkpoint": "c", "checkpoint_every": 1e9}
    at_work = threading.Event()
    options["progress"] = lambda done, total: done and at_work.set()
    def work():
        gtn_fast.label(x, **options)
        print("it was done")
    thread = threading.Thread(target=work, daemon=how == "daemon")
    thread.start()
    assert at_work.wait(300)
    time.sleep(0.3)
    if how == "daemon":
        sys.exit(3)
    print("waiting", flush=True)
    thread.join()
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["screen", "tree", "faiss", "reference", "groups"])
def test_a_call_in_a_daemon_thread_at_the_end(native, tmp_path, method, threads):
    """Nothing is aborted or said, and what was settled is saved."""
    if method == "faiss":
        pytest.importorskip("faiss")
    began = time.monotonic()
    done = python(ENDING, method, threads, "daemon", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert time.monotonic() - began < 60
    if method in ("screen", "tree"):
        x = np.random.default_rng(0).standard_normal(
            {"screen": (300_000, 64), "tree": (600_000, 6)}[method]
        )
        fingerprint = header(tmp_path / "c")["fingerprint"]
        assert 0 < len(load_checkpoint(tmp_path / "c", fingerprint, len(x), len(x)).y_rows) < len(x)


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_twice_while_a_thread_is_waited_for(native, tmp_path, threads):
    """The first one ends join(), the second one the wait at the interpreter's end."""
    process = started(ENDING, "screen", threads, "joined", cwd=tmp_path)
    assert process.stdout.readline() == "waiting\n"
    for _ in range(2):
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode in (0, 1, -signal.SIGINT), (process.returncode, stderr)
    assert "terminate" not in stderr
    assert "it was done" not in stdout
    assert header(tmp_path / "c")["rows"] > 0


SAVING = """
    import sys, threading, time
    from gtn_fast.system import ending
    def work():
        with ending.long_call():
            while not ending.asked():
                time.sleep(0.01)
            print("saving", flush=True)
            time.sleep(1)
            open("saved", "w").close()
    threading.Thread(target=work, daemon=True).start()
    sys.exit(3)
"""


def test_ctrl_c_while_a_call_saves_at_the_end(tmp_path):
    process = started(SAVING, cwd=tmp_path)
    assert process.stdout.readline() == "saving\n"
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, stderr = process.communicate(timeout=300)
    assert (process.returncode, stderr) == (3, "")
    assert (tmp_path / "saved").exists()


LEARNING = """
    import sys, threading, time, warnings
    import numpy as np, torch, gtn_fast
    from gtn_fast.learn.gtn import GTN
    warnings.filterwarnings("ignore", "samples of this GTN")  # one epoch teaches little
    from gtn_fast.vision.autoencoder import Autoencoder, train_autoencoder
    from gtn_fast.vision.codecs import encode_images
    torch.set_num_threads(2)
    what = sys.argv[1]
    x = np.random.default_rng(0).standard_normal((3000, 4)).astype(np.float32)
    images = torch.randint(256, (3000, 1, 28, 28), dtype=torch.uint8)
    at_work = threading.Event()
    told = lambda done, total: total > len(x) and at_work.set()  # not of the labeling
    def sample():
        gtn = GTN(4, "mnist")
        gtn.fit(x, epochs=1, progress=False)
        at_work.set()
        while True:
            gtn.sample(1_000_000)
    work = {
        "fit": lambda: GTN(4, "mnist").fit(x, epochs=10_000, progress=told,
                                           checkpoint="c.safetensors"),
        "autoencoder": lambda: train_autoencoder(images, 8, epochs=1000, progress=told),
        "encode": lambda: encode_images(Autoencoder(1, 28, 8), torch.cat([images] * 40),
                                        progress=told),
        "sample": sample,
    }[what]
    threading.Thread(target=work, daemon=True).start()
    assert at_work.wait(300)
    time.sleep(0.5)
    sys.exit(3)
"""


@pytest.mark.parametrize("what", ["fit", "autoencoder", "encode", "sample"])
def test_learning_in_a_daemon_thread_at_the_end(native, tmp_path, what):
    done = python(LEARNING, what, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    if what == "fit":
        assert (tmp_path / "c.safetensors").is_file()
