"""train(): the loop, what stops it, what it keeps, and what it goes on from."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gtn_fast.inputs.files import FileError
from gtn_fast.learn.training import logs, store
from gtn_fast.learn.training import run as run_module
from gtn_fast.learn.training.loop import History, train
from gtn_fast.learn.training.store import load_tensors, save_tensors

ROWS, BATCH = 210, 32


def make_model(norm: bool = True) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        middle = [nn.BatchNorm1d(8), nn.Dropout(0.2)] if norm else []
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), *middle, nn.Linear(8, 2))


def make_data(rows: int = ROWS, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.randn(rows, 2, generator=torch.Generator().manual_seed(seed))
    return y, torch.tanh(y) + 0.1


def loss(model: nn.Module, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(model(y), x)


def run(model: nn.Module | None = None, data=None, loss=loss, **options):
    model = make_model() if model is None else model
    settings = {"epochs": 3, "batch_size": BATCH, "lr": 1e-2, "progress": False, **options}
    return model, train(model, loss, make_data() if data is None else data, **settings)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# ------------------------------------------------------------------ what it computes


def test_it_is_the_usual_loop():
    """Against the loop as anyone would write it, on the batches that were seen."""
    seen = []

    def spy(model, y, x):
        seen.append((y.clone(), x.clone()))
        return loss(model, y, x)

    model, history = run(make_model(norm=False), loss=spy, epochs=2)
    plain = make_model(norm=False)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-2)
    losses = []
    for y, x in seen:
        optimizer.zero_grad()
        value = loss(plain, y, x)
        value.backward()
        optimizer.step()
        losses.append(value.item() * len(y))
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert history.epochs[0]["loss"] == pytest.approx(sum(losses[:7]) / ROWS)
    assert [line["epoch"] for line in history.epochs] == [1, 2]
    assert history.best_epoch == 2
    assert history.stopped == "epochs"


def test_an_epoch_is_every_row_once_in_an_order_of_its_own(monkeypatch):
    def orders(gather_bytes):
        monkeypatch.setattr(run_module, "_GATHER_BYTES", gather_bytes)
        rows = []

        def spy(model, y, index):
            rows.append(index)
            return loss(model, y, y)

        run(make_model(norm=False), (make_data()[0], torch.arange(ROWS)), loss=spy, epochs=2)
        return torch.cat(rows).split(ROWS), [len(each) for each in rows]

    (first, second), sizes = orders(1 << 26)
    assert torch.equal(first.sort().values, torch.arange(ROWS))
    assert torch.equal(second.sort().values, torch.arange(ROWS))
    assert not torch.equal(first, second)
    assert sizes == ([BATCH] * 6 + [ROWS - 6 * BATCH]) * 2
    again, _ = orders(1)  # gathered batch by batch
    assert torch.equal(torch.cat(again), torch.cat((first, second)))


def test_same_seed_same_weights_and_torchs_generator_is_left_alone():
    state = torch.get_rng_state()
    one, _ = run(seed=5)
    torch.rand(3)
    other, _ = run(seed=5)
    third, _ = run(seed=6)
    assert same(one, other)
    assert not same(one, third)
    torch.set_rng_state(state)
    run(val=make_data(40, 1), metric=lambda model: torch.rand(()).item())
    assert torch.equal(torch.get_rng_state(), state)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    inside = []
    run(metric=lambda model: inside.append(torch.get_num_threads()) or 0.0, epochs=1)
    assert inside == [1]
    assert torch.get_num_threads() == before


def test_bytes_stay_bytes_until_the_loss():
    images = torch.arange(ROWS, dtype=torch.uint8)[:, None].expand(ROWS, 2)
    dtypes = set()

    def spy(model, batch):
        dtypes.add(batch.dtype)
        return model(batch.float() / 255).square().mean()

    run(data=(images,), loss=spy, epochs=1)
    assert dtypes == {torch.uint8}


def test_a_last_batch_of_one_is_left_out_with_batch_norm_only():
    for norm, rows in ((True, 64), (False, 65)):
        seen = []

        def spy(model, y, x, seen=seen):
            seen.append(len(y))
            return loss(model, y, x)

        run(make_model(norm), make_data(65), loss=spy, epochs=1)
        assert sum(seen) == rows


# ------------------------------------------------------------------ best weights, stopping


def test_best_weights_by_validation_loss_are_kept():
    val = make_data(60, 1)
    model, history = run(val=val, lr=0.3, epochs=8)
    losses = [line["val_loss"] for line in history.epochs]
    assert history.best_epoch == losses.index(min(losses)) + 1
    assert not model.training
    with torch.no_grad():
        assert float(loss(model, *val)) == pytest.approx(min(losses), rel=1e-5)


def test_patience_counts_epochs_without_a_better_validation_loss():
    _, history = run(val=make_data(60, 1), lr=0.3, epochs=100, patience=4)
    assert history.stopped == "patience"
    assert len(history.epochs) == history.best_epoch + 4


def test_a_metric_decides_over_the_validation_loss():
    values = iter([1.0, 3.0, 2.0, 3.0, 0.0, 9.0])
    kept = []

    def metric(model):
        kept.append({k: v.clone() for k, v in model.state_dict().items()})
        assert not model.training
        return next(values)

    model, history = run(val=make_data(60, 1), metric=metric, patience=3, epochs=6)
    assert [line["metric"] for line in history.epochs] == [1, 3, 2, 3, 0]
    assert history.best_epoch == 2
    assert history.stopped == "patience"
    assert all(torch.equal(v, kept[1][k]) for k, v in model.state_dict().items())


def test_refresh_replaces_the_data():
    asked, sums = [], []

    def refresh(epoch):
        asked.append(epoch)
        return make_data(ROWS, seed=100 + epoch) if epoch == 2 else None

    def spy(model, y, x):
        sums.append(y.double().sum())
        return loss(model, y, x)

    run(make_model(False), refresh=refresh, loss=spy, epochs=3)
    assert asked == [1, 2, 3]
    per_epoch = [float(sum(sums[i : i + 7])) for i in (0, 7, 14)]
    expected = [float(make_data(seed=s)[0].double().sum()) for s in (0, 102, 102)]
    assert per_epoch == pytest.approx(expected)


# ------------------------------------------------------------------ logs


def test_csv_and_json_logs_hold_every_epoch(tmp_path):
    for name in ("log.csv", "log.json"):
        _, history = run(val=make_data(60, 1), log=tmp_path / name)
        text = (tmp_path / name).read_text()
        rows = json.loads(text) if name.endswith("json") else list(csv.DictReader(text.split("\n")))
        assert [{k: float(v) for k, v in row.items()} for row in rows] == history.epochs
        assert list(rows[0]) == ["epoch", "loss", "val_loss", "seconds"]


def test_tensorboard_gets_the_losses(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, history = run(tensorboard=tmp_path / "board")
    events = reader.EventAccumulator(str(tmp_path / "board")).Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    assert found == [(line["epoch"], pytest.approx(line["loss"])) for line in history.epochs]


def test_without_tensorboard_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'gtn-fast\[tensorboard\]'"):
        run(tensorboard=tmp_path)


def test_progress_counts_batches():
    seen = []
    run(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (21, 21)


# ------------------------------------------------------------------ checkpoints


def test_a_checkpoint_changes_nothing_and_a_finished_run_is_not_run_again(tmp_path):
    options = {"val": make_data(60, 1), "patience": 2, "epochs": 6, "lr": 0.2}
    straight, history = run(**options)
    path = tmp_path / "c.safetensors"
    kept, _ = run(**options, checkpoint=path, checkpoint_every_s=0)
    assert same(straight, kept)

    def never(model, y, x):
        raise AssertionError("it trains again")

    again, resumed = run(**options, checkpoint=path, loss=never)
    assert same(straight, again)
    assert [e["val_loss"] for e in resumed.epochs] == [e["val_loss"] for e in history.epochs]
    assert resumed.resumed_at == len(history.epochs) + 1
    assert (resumed.best_epoch, resumed.stopped) == (history.best_epoch, history.stopped)


def test_more_epochs_go_on_from_where_it_ended(tmp_path):
    path = tmp_path / "c.safetensors"
    run(epochs=2, checkpoint=path)
    longer, history = run(epochs=5, checkpoint=path)
    assert history.resumed_at == 3
    assert same(longer, run(epochs=5)[0])


KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import test_learn_training as tests
from gtn_fast.learn.training import checkpoint, run, store

run._LOOK_S = 0.0  # so that a checkpoint is written after every batch
folder = sys.argv[2]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def child(moment, path):
    calls = 0
    original = store.save_file

    def dying_loss(model, y, x):
        nonlocal calls
        calls += 1
        if calls == moment:
            die()
        return tests.loss(model, y, x)

    def dying_write(tensors, file, metadata):
        original(tensors, file, metadata)
        if isinstance(moment, str) and calls == int(moment):
            die()  # written under its temporary name, not yet renamed

    store.save_file = dying_write
    tests.run(loss=dying_loss, checkpoint=path, checkpoint_every_s=0, **tests.RESUMED())
    os._exit(0)  # it was not killed


straight, _ = tests.run(**tests.RESUMED())
for moment in (1, 5, 8, 12, 23, "4", "9"):
    path = f"{folder}/{moment}.safetensors"
    pid = os.fork()
    if pid == 0:
        child(moment, path)
    status = os.waitpid(pid, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    resumed, history = tests.run(checkpoint=path, **tests.RESUMED())
    print(moment, killed, history.resumed_at, tests.same(straight, resumed))
"""


def refreshed(epoch: int):
    return make_data(seed=epoch) if epoch == 2 else None


def RESUMED():
    """Dropout, batch norm, validation and refreshed data: all that a resume could get wrong."""
    return {"val": make_data(60, 1), "refresh": refreshed, "epochs": 3}


def test_a_killed_run_ends_with_the_same_weights(tmp_path):
    here = os.path.dirname(__file__)  # noqa: PTH120
    command = [sys.executable, "-c", KILLED, here, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 7
    assert all(killed == "True" for _, killed, _, _ in lines), done.stdout
    assert all(equal == "True" for _, _, _, equal in lines), done.stdout
    # 7 batches of training and 1 of validation make an epoch.
    assert [at for _, _, at, _ in lines] == ["None", "1", "1", "2", "3", "1", "2"]


@pytest.mark.parametrize("at", [4, 8])
def test_ctrl_c_saves_between_two_batches(tmp_path, at):
    calls = 0

    def interrupted(model, y, x):
        nonlocal calls
        calls += 1
        if calls == at:  # 8 is in the validation
            os.kill(os.getpid(), signal.SIGINT)
        return loss(model, y, x)

    options = {"val": make_data(60, 1), "epochs": 3}
    path = tmp_path / "c.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(loss=interrupted, checkpoint=path, checkpoint_every_s=1e9, **options)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert load_tensors(path, "training checkpoint")[1]["step"] == min(at, 7)
    resumed, history = run(checkpoint=path, **options)
    assert history.resumed_at == 1
    assert same(resumed, run(**options)[0])


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_after_the_last_look_at_an_epoch_is_not_lost(tmp_path, epoch):
    """The bar is told of an epoch's batches when nothing more is asked in it."""

    def interrupted(done, total):
        assert total == 21
        if done == 7 * epoch:
            os.kill(os.getpid(), signal.SIGINT)

    options = {"val": make_data(60, 1), "epochs": 3}
    path = tmp_path / "c.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(progress=interrupted, checkpoint=path, checkpoint_every_s=1e9, **options)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed, history = run(checkpoint=path, **options)
    assert history.resumed_at == epoch
    assert same(resumed, run(**options)[0])


def test_ctrl_c_while_the_log_is_written_is_not_lost(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    monkeypatch.setattr(
        "gtn_fast.run.progress.Bar.show",
        lambda *_, **__: os.kill(os.getpid(), signal.SIGINT),
    )
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, checkpoint_every_s=1e9, epochs=1)
    assert path.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "its seed is 0, this run's is 1"),
        ({"batch_size": 16}, "its batch_size is 32"),
        ({"model": make_model(False)}, "its model is"),
        ({"data": make_data(seed=3)}, "its data is"),
        ({"val": make_data(10)}, "its judge is last, this run's is val"),
        ({"identity": {"beta": 2}}, "its beta is None, this run's is 2"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    path = tmp_path / "c.safetensors"
    run(epochs=1, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        run(epochs=1, checkpoint=path, **change)
    assert path.read_bytes() == before


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    save_tensors(path, "GTN", {}, {})
    with pytest.raises(ValueError, match="is a GTN, wanted a training checkpoint"):
        run(checkpoint=path)


def test_a_disk_that_fills_up_costs_no_training(tmp_path, monkeypatch):
    """Neither the one that runs nor the checkpoint before."""
    expected = run(epochs=2)[0]
    path = tmp_path / "c.safetensors"
    run(epochs=1, checkpoint=path)
    before = path.read_bytes()

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "save_file", full)
    with pytest.warns(RuntimeWarning, match=r"not saved: .*c\.safetensors: No space left"):
        trained, history = run(epochs=2, checkpoint=path)
    assert same(trained, expected)
    assert len(history.epochs) == 2
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["log.csv", "log.json"])
def test_a_log_replaces_a_log_and_nothing_else(tmp_path, name):
    path = tmp_path / name
    path.write_text('[{"name": 1}]' if name.endswith("json") else "name,size\n1,2\n")
    before = path.read_bytes()
    with pytest.raises(FileError, match="is not a training's log; give the log another name"):
        run(epochs=1, log=path)
    assert path.read_bytes() == before
    path.unlink()
    for epochs in (1, 2):
        run(epochs=epochs, log=path)
    assert path.read_text().count("\n") > before.count(b"\n")


def test_a_log_that_cannot_be_written_costs_no_training(tmp_path, monkeypatch):
    def full(*_args):
        raise FileError("log.csv: No space left on device")

    monkeypatch.setattr(logs, "write_text", full)
    with pytest.warns(RuntimeWarning, match=r"not logged: log\.csv: No space left"):
        trained, _ = run(epochs=2, log=tmp_path / "log.csv")
    assert same(trained, run(epochs=2)[0])


def test_a_disk_without_room_is_told_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))

    def never(model, y, x):
        raise AssertionError("it trains")

    with pytest.raises(FileError, match="has 100 left"):
        run(loss=never, checkpoint=tmp_path / "c.safetensors")


# ------------------------------------------------------------------ bad input


def test_a_loss_that_is_nan_names_epoch_and_step_and_is_not_kept(tmp_path):
    calls = 0

    def bad(model, y, x):
        nonlocal calls
        calls += 1
        return loss(model, y, x) * (float("nan") if calls == 10 else 1)

    path = tmp_path / "c.safetensors"
    with pytest.raises(FloatingPointError, match="loss is nan in epoch 2, step 3"):
        run(loss=bad, checkpoint=path, checkpoint_every_s=0)
    tensors, meta = load_tensors(path, "training checkpoint")
    assert meta["epoch"] == 2
    assert all(t.isfinite().all() for t in tensors.values() if t.is_floating_point())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be from 1"),
        ({"batch_size": 0}, ValueError, "batch_size must be from 1"),
        ({"lr": -1.0}, ValueError, "lr must be"),
        ({"patience": 2}, ValueError, "nothing to watch"),
        ({"seed": -1}, ValueError, "seed must be from 0"),
        ({"data": ()}, TypeError, "data must be a sequence of tensors"),
        ({"data": make_data()[0]}, TypeError, "data must be a sequence of tensors"),
        ({"data": (torch.zeros(3, 2), torch.zeros(4, 2))}, ValueError, r"one length.*\[3, 4\]"),
        ({"data": make_data(1)}, ValueError, "batch norm needs batches of at least 2 rows"),
        ({"batch_size": 1}, ValueError, "batch norm needs batches of at least 2 rows"),
        ({"val": (torch.zeros(0, 2), torch.zeros(0, 2))}, ValueError, "one length above 0"),
        ({"log": "log.txt"}, ValueError, r"log must end in \.csv or \.json"),
        ({"log": "/no/such/folder/log.csv"}, ValueError, "does not exist"),
        ({"checkpoint": "/no/such/folder/c.safetensors"}, ValueError, "does not exist"),
        ({"progress": 3}, TypeError, "progress must be"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        run(**options)


def test_history_is_plain():
    assert History() == History([], 0, "epochs", 0.0, None)
