"""Tables, ids and how things show themselves: what a notebook or a DataFrame needs."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import torch

import gtn_fast

pandas = pytest.importorskip("pandas")


def frames(n_x=60, n_y=60):
    x, y = cases.make("gaussian", n_x, n_y, 3)
    columns = ["a", "b", "c"]
    return (
        pandas.DataFrame(x, columns=columns, index=[f"image {i}" for i in range(n_x)]),
        pandas.DataFrame(y, columns=columns, index=np.arange(n_y) * 10 + 5),
    )


def test_the_index_travels(native, tmp_path):
    x, y = frames()
    labels = gtn_fast.label(x, y)
    plain = gtn_fast.label(x.to_numpy(), y.to_numpy())
    assert (labels.x_index == plain.x_index).all()
    labels.save(tmp_path / "l.npz")
    for each in (labels, gtn_fast.Labels.load(tmp_path / "l.npz")):
        table = each.to_frame()
        assert table.index.equals(y.index)
        assert list(table.columns) == ["x", "cosine", "turn"]
        assert (table["x"] == x.index[labels.x_index]).all()
        assert (table["cosine"] == labels.cosine).all()
        assert (table.index[table["turn"].argsort()] == y.index[labels.order]).all()
    joined = y.join(labels.to_frame()).join(x.add_suffix(" of x"), on="x")
    of_x = joined[["a of x", "b of x", "c of x"]].to_numpy()
    assert (of_x == labels.pairs(x)[1]).all()
    assert plain.to_frame().index.equals(pandas.RangeIndex(60))
    assert (plain.to_frame()["x"] == plain.x_index).all()
    assert gtn_fast.verify(x, y, labels).complete


@pytest.mark.parametrize("ids", ["texts", "numbers"])
def test_rows_without_an_x_are_missing(native, ids):
    x, y = frames(40, 60)
    if ids == "numbers":
        x.index = np.arange(40) + 1000
    labels = gtn_fast.label(x, y, partial=True)
    table = labels.to_frame()
    assert len(table) == 60
    assert np.flatnonzero(table["x"].isna()).tolist() == labels.unmatched.tolist()
    assert len(labels.unmatched) == 20
    has_x = table["x"].notna()
    assert (table["x"][has_x] == x.index[labels.x_index[labels.x_index >= 0]]).all()


@pytest.mark.parametrize(
    ("index", "stored"),
    [
        (pandas.date_range("2026-01-01", periods=60), None),
        (pandas.MultiIndex.from_product([["a", "b"], range(30)]), "('a', 0)"),
        (pandas.Index([f"row {i}" for i in range(60)], dtype="category"), "row 0"),
        (pandas.RangeIndex(5, 65), 5),
        (pandas.Index(np.linspace(0, 1, 60)), 0.0),
    ],
)
def test_any_index(native, tmp_path, index, stored):
    x, _ = frames()
    x.index = index
    labels = gtn_fast.label(x)
    assert labels.to_frame()["x"].tolist() == [index[i] for i in labels.x_index]
    labels.save(tmp_path / "l.npz")
    again = gtn_fast.Labels.load(tmp_path / "l.npz")
    assert again.x_ids[0] == (np.datetime64("2026-01-01") if stored is None else stored)


def test_an_index_that_counts_the_rows_is_none(native):
    x, _ = frames()
    x = x.reset_index(drop=True)
    labels = gtn_fast.label(x)
    assert labels.x_ids is None
    assert (labels.to_frame()["x"] == labels.x_index).all()


def test_ids_in_a_file_fit_it(native, tmp_path):
    x, y = frames()
    gtn_fast.label(x, y).save(tmp_path / "l.npz")
    held = dict(np.load(tmp_path / "l.npz"))
    held["x_ids"] = held["x_ids"][:-1]
    np.savez(tmp_path / "l.npz", **held)
    with pytest.raises(ValueError, match="x_ids must have shape"):
        gtn_fast.Labels.load(tmp_path / "l.npz")


SIDES = {
    "texts": lambda g: np.array(["cat", "dog", "emu"])[g],
    "list of texts": lambda g: [("cat", "dog", "emu")[i] for i in g],
    "bytes": lambda g: np.array([b"cat", b"dog", b"emu"])[g],
    "series": lambda g: pandas.Series(np.array(["cat", "dog", "emu"])[g], index=g),
    "categorical": lambda g: pandas.Categorical(np.array(["cat", "dog", "emu"])[g]),
    "categorical of numbers": lambda g: pandas.Categorical(g),
    "nullable": lambda g: pandas.array(g, dtype="Int64"),
    "list of numbers": lambda g: g.tolist(),
    "tensor": lambda g: torch.from_numpy(g),
}


@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize("method", ["reference", "auto"])
def test_groups_of_any_kind(native, rng, kind, method):
    x, y = cases.make("gaussian", 90, 60, 3)
    gx, gy = np.arange(90) % 3, rng.permutation(np.arange(60) % 3)
    wanted = gtn_fast.label(x, y, groups=(gx, gy), method=method)
    groups = (SIDES[kind](gx), SIDES[kind](gy))
    labels = gtn_fast.label(x, y, groups=groups, method=method)
    assert (labels.x_index == wanted.x_index).all()
    assert (labels.order == wanted.order).all()
    assert gtn_fast.verify(x, y, labels, groups=groups).complete


@pytest.mark.parametrize("side", [np.array, list, torch.tensor, pandas.Series])
def test_groups_of_booleans(native, side):
    x, y = cases.make("gaussian", 40, 40, 3)
    g = [i % 2 == 0 for i in range(40)]
    wanted = gtn_fast.label(x, y, groups=(np.array(g, int), np.array(g, int)))
    labels = gtn_fast.label(x, y, groups=(side(g), side(g)))
    assert (labels.x_index == wanted.x_index).all()


def test_groups_are_called_by_their_names(native):
    x, y = cases.make("gaussian", 4, 4, 3)
    with pytest.raises(ValueError, match="group 'dog' has 3 rows of Y but only 2 rows of X"):
        gtn_fast.label(x, y, groups=(["cat", "dog"] * 2, ["dog", "dog", "dog", "cat"]))
    groups = (["cat", "dog"] * 2, ["cat", "dog"] * 2)
    with pytest.raises(gtn_fast.WrongMatching, match="in group 'cat', its row 1 of X in group 'd"):
        gtn_fast.verify(x, y, np.array([1, 0, 2, 3]), groups=groups)


@pytest.mark.parametrize("missing", [None, float("nan"), pandas.NA])
def test_a_missing_group_is_named(missing):
    with pytest.raises(ValueError, match=r"groups\[1\] has no label in row 2"):
        gtn_fast.label(
            np.eye(3), np.eye(3), groups=(["a", "b", "c"], ["a", "b", missing]), method="reference"
        )


def test_what_things_show_of_themselves(native):
    from gtn_fast.learn.training.run import History

    x, _ = cases.make("gaussian", 3000, 3000, 3)
    labels = gtn_fast.label(x)
    assert len(labels) == 3000
    assert repr(labels).startswith("Labels(n_y=3000, n_x=3000, d=3, mean cosine 0.")
    assert "strategy 'tree'" in repr(labels)
    pairs = gtn_fast.LabeledPairs(x)
    assert repr(pairs).startswith("LabeledPairs(n=3000, d=3, Labels(n_y=3000")
    gtn = gtn_fast.GTN(3, layers=1, width=4, batch_norm_layers=0)
    assert repr(gtn) == "GTN(d=3, preset='mnist', 1 layers of 4, not fitted)"
    history = gtn.fit(x, epochs=2)
    assert repr(gtn) == "GTN(d=3, preset='mnist', 1 layers of 4, fitted to 3,000 points)"
    best = history.epochs[history.best_epoch - 1]["loss"]
    assert repr(history).startswith(
        f"History(2 epochs, stopped by epochs; best {history.best_epoch}: loss {best:.4g}; "
    )
    assert repr(History()) == "History(no epochs)"
    plan = gtn_fast.plan(1000, 1000, 5)
    assert repr(plan).startswith(f"Plan('{plan.strategy}': {plan.why}; about ")
    assert max(map(len, map(repr, (labels, pairs, gtn, history, plan)))) < 300
    nothing = gtn_fast.label(np.ones((2, 3)), -np.ones((2, 3)), min_cosine=0.5)
    assert "unmatched=2" in repr(nothing)
    assert "mean cosine" not in repr(nothing)


def test_the_inverse(native):
    x, y = cases.make("gaussian", 90, 60, 3)
    labels = gtn_fast.label(x, y)
    inverse = labels.y_index
    assert inverse.shape == (90,)
    assert (inverse[labels.x_index] == np.arange(60)).all()
    assert (inverse == -1).sum() == 30
