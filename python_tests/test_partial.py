"""More y's than x's, and y's for whom no x is near enough: against the oracle, on every backend."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import torch
from cli_runs import header, one_line, run
from test_checkpoint import label_until

import gtn_fast
from gtn_fast.reference import match
from gtn_fast.run.checkpoint import Checkpoint, load_checkpoint, no_pairs

METHODS = {1: ["ray", "screen"], 2: ["circle", "tree", "screen"], 3: ["tree", "screen"]}
BOUNDS = (-1.0, 0.0, 0.4, 1.0)


def by_hand(x, y, min_cosine=-np.inf, groups=None):
    """The oracle, group by group; it lets n_y exceed n_x."""
    gx, gy = groups or (np.zeros(len(x), int), np.zeros(len(y), int))
    x_index, cosine, order = np.full(len(y), -1), np.full(len(y), np.nan), []
    for group in np.unique(gy):
        x_rows, y_rows = np.flatnonzero(gx == group), np.flatnonzero(gy == group)
        if not len(x_rows):
            order.extend(y_rows[np.argsort(np.linalg.norm(y[y_rows], axis=1), kind="stable")])
            continue
        chosen, of, turns = match(x[x_rows], y[y_rows], min_cosine=min_cosine)
        x_index[y_rows] = np.where(chosen < 0, -1, x_rows[chosen])
        cosine[y_rows] = of
        order.extend(y_rows[turns])
    return x_index, cosine, np.array(order)


def expect(labels, found):
    x_index, cosine, order = found
    assert (labels.x_index == x_index).all()
    assert np.array_equal(labels.cosine, cosine.astype(np.float32), equal_nan=True)
    assert (labels.order == order).all()
    assert labels.report["unmatched"] == (x_index < 0).sum() == len(labels.unmatched)


def test_the_definition():
    x = np.array([[3.0, 0.0], [0.0, 1.0]])
    y = np.array([[0.1, -0.1], [0.0, -5.0], [2.0, 2.1], [1.0, 0.0]])
    x_index, cosine, order = match(x, y, min_cosine=0.7)
    assert x_index.tolist() == [0, -1, 1, -1]
    assert order.tolist() == [0, 3, 2, 1]
    assert np.isnan(cosine[[1, 3]]).all()
    # Row 0 of Y lets row 0 of X go, and row 3 takes it.
    assert match(x, y, min_cosine=0.71)[0].tolist() == [-1, -1, 1, 0]
    assert match(x, y)[0].tolist() == [0, -1, -1, 1]


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize("d", [1, 2, 3, 20])
def test_more_ys_than_xs(native, name, d):
    y, x = cases.make(name, 160, 90, d)
    wanted = by_hand(x, y)
    assert (wanted[0] < 0).sum() == 70
    for method in ["reference", "auto", *METHODS.get(d, ["screen"])]:
        labels = gtn_fast.label(x, y, method=method, partial=True)
        expect(labels, wanted)
        assert gtn_fast.verify(x, y, labels).complete
    expect(gtn_fast.label(x, y, method="distributed", partial=True), wanted)


@pytest.mark.parametrize("name", sorted(cases.ALL))
@pytest.mark.parametrize("d", [1, 2, 3, 20])
def test_min_cosine(native, name, d):
    x, y = cases.make(name, 120, 120, d)
    small = x[:40]
    cosine = match(x, y)[1]
    for bound in (*BOUNDS, float(np.median(cosine)) if abs(np.median(cosine)) <= 1 else 0.5):
        wanted, short = by_hand(x, y, bound), by_hand(small, y, bound)
        for method in ["reference", "auto", *METHODS.get(d, ["screen"]), "distributed"]:
            labels = gtn_fast.label(x, y, method=method, min_cosine=bound)
            expect(labels, wanted)
            assert gtn_fast.verify(x, y, labels).unmatched == (wanted[0] < 0).sum()
            for how in ({}, {"block": 7, "list_length": 1}):
                labels = gtn_fast.label(
                    small, y, method=method, partial=True, min_cosine=bound, threads=2, **how
                )
                expect(labels, short)
            assert gtn_fast.verify(small, y, labels).complete


def test_what_is_left_out_is_seen(native, rng):
    """The cases above would not notice a bound that changes nothing."""
    x, y = cases.make("gaussian", 120, 120, 3)
    plain, bounded = match(x, y), match(x, y, min_cosine=0.9)
    out = bounded[0] < 0
    assert 0 < out.sum() < 60
    # Who comes later takes what others left: it is no filter of the plain answer.
    assert (bounded[0][~out] != plain[0][~out]).any()


@pytest.mark.parametrize("bound", [None, 0.3])
@pytest.mark.parametrize("threads", [1, 2])
def test_groups(native, rng, bound, threads):
    x, y = cases.make("gaussian", 300, 250, 3)
    gx, gy = rng.integers(0, 12, 300), rng.integers(0, 14, 250)
    wanted = by_hand(x, y, -np.inf if bound is None else bound, (gx, gy))
    for method in ("reference", "auto", "screen"):
        labels = gtn_fast.label(
            x, y, groups=(gx, gy), partial=True, min_cosine=bound, method=method, threads=threads
        )
        expect(labels, wanted)
    assert (wanted[0][gy >= 12] == -1).all()
    assert gtn_fast.verify(x, y, labels, groups=(gx, gy)).complete
    with pytest.raises(ValueError, match="partial=True leaves the rest unmatched"):
        gtn_fast.label(x, y, groups=(gx, gy))
    none = gtn_fast.label(x, y, groups=(gx, gy + 100), partial=True)
    assert len(none.unmatched) == 250


@pytest.mark.parametrize("bound", [None, 0.5])
@pytest.mark.parametrize("name", ["gaussian", "zero_rows", "all_equal"])
@pytest.mark.parametrize("grouped", [False, True])
def test_checkpoints(native, rng, tmp_path, bound, name, grouped):
    x, y = cases.make(name, 300, 200, 5)
    x, y = (y, x) if bound is None else (x, y)
    groups = (rng.integers(0, 3, len(x)), rng.integers(0, 3, len(y))) if grouped else None
    how = {"partial": True, "min_cosine": bound, "groups": groups}
    wanted = by_hand(x, y, -np.inf if bound is None else bound, groups)
    path = tmp_path / "c"
    expect(gtn_fast.label(x, y, checkpoint=path, **how), wanted)
    digest = header(path)["fingerprint"]
    pairs = load_checkpoint(path, digest, len(x), len(y))
    for settled in (0, 1, len(pairs.y_rows) // 2, len(pairs.y_rows)):
        cut = Checkpoint(path, digest, 0, no_pairs())
        cut.add(*(column[:settled] for column in pairs))
        cut.save()
        for method in ("auto", "reference"):
            labels = gtn_fast.label(x, y, checkpoint=path, resume=True, method=method, **how)
            expect(labels, wanted)
            path.unlink()
            Checkpoint(path, digest, 0, pairs)._write()
    if bound is not None:
        with pytest.raises(ValueError, match="other data or parameters"):
            gtn_fast.label(x, y, checkpoint=path, resume=True, **{**how, "min_cosine": 0.4})


def test_a_run_that_was_stopped_goes_on(native, tmp_path):
    x = np.random.default_rng(7).standard_normal((20_000, 24)).astype(np.float32)
    wanted = gtn_fast.label(x, min_cosine=0.72)
    assert 1000 < wanted.report["unmatched"] < 19_000
    path = tmp_path / "c"
    label_until(x, path, 8000, min_cosine=0.72, block=200)
    labels = gtn_fast.label(x, min_cosine=0.72, checkpoint=path, resume=True)
    assert labels.report["resumed_rows"] >= 8000
    assert (labels.x_index == wanted.x_index).all()
    assert (labels.order == wanted.order).all()
    gtn_fast.verify(x, None, labels, sample=200)


@pytest.mark.parametrize("bound", [None, 0.2, 0.6])
def test_faiss(native, bound):
    pytest.importorskip("faiss")
    x, y = cases.make("gaussian", 2500, 3000, 10)
    y[:3] = 0
    labels = gtn_fast.label(x, y, method="faiss", partial=True, min_cosine=bound, exact_below=100)
    assert labels.report["engine"]["builds"] > 0
    found = labels.x_index[labels.x_index >= 0]
    assert len(set(found.tolist())) == len(found)
    if bound is None:
        assert len(found) == 2500
    else:
        assert labels.cosine[labels.x_index >= 0].min() >= np.float32(bound)
        exact = match(x, y, min_cosine=bound)[0]
        assert abs((exact < 0).sum() - len(labels.unmatched)) < 40
    assert gtn_fast.verify(x, y, labels).quality["agreement"] > 0.8


def test_verify_finds_what_is_wrong(native):
    x, y = cases.make("gaussian", 100, 100, 3)
    labels = gtn_fast.label(x, y, min_cosine=0.9)
    good = labels.x_index
    assert gtn_fast.verify(x, y, good, min_cosine=0.9).complete
    with pytest.raises(gtn_fast.WrongMatching, match="but X has rows 0 to 99"):
        gtn_fast.verify(x, y, good)
    with pytest.raises(gtn_fast.WrongMatching, match="has no row of X, but row"):
        gtn_fast.verify(x, y, good, min_cosine=0.85)
    with pytest.raises(gtn_fast.WrongMatching, match=r"below min_cosine 0\.95"):
        gtn_fast.verify(x, y, good, min_cosine=0.95)
    with pytest.raises(gtn_fast.WrongMatching, match="has no row of X, but row"):
        gtn_fast.verify(x, y, good, partial=True)
    dropped = good.copy()
    row = labels.order[good[labels.order] >= 0][5]
    dropped[row] = -1
    with pytest.raises(gtn_fast.WrongMatching) as wrong:
        gtn_fast.verify(x, y, dropped, min_cosine=0.9)
    assert wrong.value.y_row == row
    assert wrong.value.better_x_row == good[row]
    # The bound itself is near enough.
    exactly = float(match(x, y, min_cosine=0.9)[1][row])
    assert gtn_fast.label(x, y, min_cosine=exactly).x_index[row] == good[row]
    assert gtn_fast.label(x, y, min_cosine=np.nextafter(exactly, 2)).x_index[row] != good[row]


def test_the_result(native, tmp_path):
    x, y = cases.make("gaussian", 60, 80, 3)
    labels = gtn_fast.label(x, y, partial=True, min_cosine=0.5)
    matched = np.flatnonzero(labels.x_index >= 0)
    assert len(labels) == 80
    assert len(labels.unmatched) + len(matched) == 80
    of_y, of_x = labels.pairs(x)
    assert (of_y == y[matched]).all()
    assert (of_x == x[labels.x_index[matched]]).all()
    of_y, of_x = labels.pairs(torch.from_numpy(x))
    assert (of_y.numpy() == y[matched]).all()
    assert (of_x.numpy() == x[labels.x_index[matched]]).all()
    inverse = labels.y_index
    assert (labels.x_index[inverse[inverse >= 0]] == np.flatnonzero(inverse >= 0)).all()
    assert (inverse >= 0).sum() == len(matched)
    labels.save(tmp_path / "l.npz")
    again = gtn_fast.Labels.load(tmp_path / "l.npz")
    assert (again.x_index == labels.x_index).all()
    assert gtn_fast.verify(x, None, again).unmatched == len(labels.unmatched)
    assert f"unmatched={len(labels.unmatched)}" in repr(labels)
    broken = dict(np.load(tmp_path / "l.npz"))
    broken["cosine"][labels.unmatched[0]] = 0.5
    np.savez(tmp_path / "b.npz", **broken)
    with pytest.raises(ValueError, match="without a row of X has a cosine"):
        gtn_fast.Labels.load(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"partial": 1}, TypeError, "partial must be True or False, got int"),
        ({"min_cosine": "0.5"}, TypeError, "min_cosine must be a number, got str"),
        ({"min_cosine": True}, TypeError, "min_cosine must be a number, got bool"),
        ({"min_cosine": 1.5}, ValueError, "min_cosine must be from -1 to 1, got 1.5"),
        ({"min_cosine": float("nan")}, ValueError, "min_cosine must be from -1 to 1, got nan"),
        ({"method": "rank", "partial": True}, ValueError, "matches by quantiles"),
        ({"method": "rank", "min_cosine": 0}, ValueError, "matches by quantiles"),
    ],
)
def test_arguments(native, how, error, message):
    with pytest.raises(error, match=message):
        gtn_fast.label(np.ones((3, 1)), **how)


def test_without_partial_it_is_an_error(native):
    x, y = cases.make("gaussian", 5, 9, 3)
    for how in ({}, {"min_cosine": 0.1}):
        with pytest.raises(ValueError, match="partial=True leaves the rest unmatched"):
            gtn_fast.label(x, y, **how)


def test_command_line(native, tmp_path, monkeypatch, capsys):
    x, y = cases.make("gaussian", 60, 80, 3)
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x)
    np.save("y.npy", y)
    label = ["label", "x.npy", "--y", "y.npy", "--out", "l.npz", "--quiet"]
    assert run(*label) == 2
    one_line(capsys, "partial=True leaves the rest unmatched")
    assert run(*label[:-1], "--partial", "--min-cosine", "0.5", "--verify", "80") == 0
    labels = gtn_fast.Labels.load("l.npz")
    expect(labels, by_hand(x, y, 0.5))
    assert f"unmatched    {len(labels.unmatched)} of the y's" in capsys.readouterr().out
    assert run("verify", "x.npy", "l.npz") == 0
    assert f"unmatched    {len(labels.unmatched)} of the y's" in capsys.readouterr().out


def test_groups_with_names_on_the_command_line(native, tmp_path, monkeypatch, capsys):
    x, y = cases.make("gaussian", 90, 80, 3)
    monkeypatch.chdir(tmp_path)
    names = np.array(["cat", "dog", "emu"])
    gx, gy = np.arange(90) % 3, np.arange(80) % 2
    for name, array in (("x", x), ("y", y), ("gx", names[gx]), ("gy", names[gy])):
        np.save(f"{name}.npy", array)
    groups = ["--groups-x", "gx.npy", "--groups-y", "gy.npy"]
    label = ["label", "x.npy", "--y", "y.npy", "--out", "l.npz", *groups, "--quiet"]
    assert run(*label, "--partial") == 0
    expect(gtn_fast.Labels.load("l.npz"), by_hand(x, y, groups=(gx, gy)))
    assert run("verify", "x.npy", "l.npz", *groups) == 0
    capsys.readouterr()
    assert run(*label) == 2
    one_line(capsys, "group 'cat' has 40 rows of Y but only 30 rows of X")
