"""Labels by Euclidean distance: the definition, every path against it, and what cannot be."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest
import torch
from cli_runs import one_line, prepare, run
from environments import ENVIRONMENTS, inside

import gtn_fast
from gtn_fast.reference import match, squared_distances

BY_DISTANCE = {"metric": "euclidean"}


def in_range(x, y):
    """Data of any size, within what distances take."""
    parts = (part if part.dtype == np.float32 else np.clip(part, -1e60, 1e60) for part in (x, y))
    return tuple(parts)


def check(x, y, **keywords):
    """Every strategy gives the reference's answer, bit for bit."""
    x_index, distance, order = match(x, y, metric="euclidean")
    for method in ("tree", "screen") if x.shape[1] <= 16 else ("screen",):
        labels = gtn_fast.label(x, y, method=method, **BY_DISTANCE, **keywords)
        assert (labels.order == order).all(), method
        assert (labels.x_index == x_index).all(), method
        assert (labels.distance == distance).all(), method
    return labels


# ------------------------------------------------------------------ the definition


def test_the_reference_is_the_loop_that_anybody_would_write():
    """With whole numbers there is no rounding: ties by norm, then by row."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(-3, 4, (60, 3)), rng.integers(-3, 4, (50, 3))
    free = set(range(60))
    x_index, distance, order = match(x, y, metric="euclidean")
    norms = [sum(int(v) ** 2 for v in row) for row in x]
    by_norm = sorted(range(50), key=lambda r: (sum(int(v) ** 2 for v in y[r]), r))
    assert order.tolist() == by_norm
    for row in by_norm:
        squares = {r: sum(int(v) ** 2 for v in x[r] - y[row]) for r in free}
        best = min(free, key=lambda r: (squares[r], norms[r], r))
        assert x_index[row] == best
        assert distance[row] == np.sqrt(squares[best])
        free.remove(best)


def test_it_differs_from_the_cosine_and_a_copy_of_y_is_at_distance_0(rng):
    y = rng.standard_normal((40, 3))
    x = np.concatenate([5 * y, y])
    by_distance = gtn_fast.label(x, y, method="reference", **BY_DISTANCE)
    assert (by_distance.x_index == np.arange(40, 80)).all()
    assert (by_distance.distance == 0).all()
    assert (by_distance.cosine > 0.9999999).all()
    assert (gtn_fast.label(3 * x, x, method="reference").distance) is None


def test_squares_are_summed_in_the_order_of_the_cosine(rng):
    a, b = rng.standard_normal((2, 5, 19))
    lanes = np.zeros((5, 8))
    for k in range(19):
        lanes[:, k % 8] += (a[:, k] - b[:, k]) * (a[:, k] - b[:, k])
    s = lanes[:, :4] + lanes[:, 4:]
    expected = (s[:, 0] + s[:, 2]) + (s[:, 1] + s[:, 3])
    assert (squared_distances(a, b) == expected).all()


# ------------------------------------------------------------------ every path


@pytest.mark.parametrize("d", [1, 2, 3, 9, 17, 32])
@pytest.mark.parametrize("name", sorted(cases.ALL))
def test_every_kind_of_data(native, name, d):
    x, y = in_range(*cases.make(name, 300, 250, d))
    check(x, y, threads=2)
    check(x[:200], y[:20], threads=1, block=7, list_length=1)


@pytest.mark.parametrize("d", [1, 2, 5, 20])
@pytest.mark.parametrize("name", ["clustered", "integers", "half_duplicates", "near_ties"])
def test_threads_blocks_and_lists(native, name, d):
    x, y = cases.make(name, 400, 300, d)
    for threads, (block, length) in itertools.product(
        (1, 3), [(1, 1), (7, 2), (300, 1), (999, 64)]
    ):
        check(x, y, threads=threads, block=block, list_length=length)


@pytest.mark.parametrize("d", [7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 300])
def test_dimensions_on_the_boundaries(native, d):
    check(*cases.make("gaussian", 120, 100, d))
    check(*(part.astype(np.float32) for part in cases.make("integers", 90, 90, d)))


@pytest.mark.parametrize("d", [1, 2, 3, 20])
def test_subnormal_and_huge_float32(native, d):
    rng = np.random.default_rng(d)
    x, y = (
        np.float32(np.clip(rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-44, 38, (n, 1)),
                           -3e38, 3e38))
        for n in (150, 120)
    )  # fmt: skip
    check(x, y)


@pytest.mark.parametrize("d", [1, 3, 20])
@pytest.mark.parametrize("far", [1e3, 1e9, 1e60])
def test_one_far_row_spoils_nothing(native, d, far):
    """The near rows still find their nearest: as without the far one."""
    x, y = cases.make("gaussian", 200, 150, d)
    with_far = np.concatenate([x.astype(np.float64), np.full((1, d), far)])
    check(with_far, y)
    alone = gtn_fast.label(x, y, **BY_DISTANCE)
    assert (gtn_fast.label(with_far, y, **BY_DISTANCE).x_index == alone.x_index).all()


@pytest.mark.parametrize("d", [2, 20])
def test_far_off_the_centre_distances_keep_their_digits(native, d):
    """Where |x|^2 - 2 x.y would cancel: moved by a power of two, nearest rows stay nearest."""
    rng = np.random.default_rng(3)
    x, y = np.round(rng.standard_normal((2, 300, d)) * 2**20) / 2**20
    check(x + 2.0**20, y + 2.0**20)
    for one in y[:20, None]:
        moved = gtn_fast.label(x + 2.0**20, one + 2.0**20, **BY_DISTANCE)
        assert moved.distance[0] == np.sqrt(squared_distances(x, one).min())


@pytest.mark.parametrize("name", ["integers", "signs", "all_equal", "both_duplicated", "axes"])
@pytest.mark.parametrize("d", [1, 2, 3, 32])
def test_large_ties_are_verified_and_not_quadratic(native, name, d):
    n = 3000
    x, y = cases.make(name, n, n, d)
    labels = gtn_fast.label(x, y, **BY_DISTANCE)
    gtn_fast.verify(x, y, labels, sample=60)
    engine = labels.report["engine"]
    decided = [engine.get(key, 0) for key in ("exact_cosines", "pairs_rescored", "nodes_visited")]
    assert sum(decided) < 800 * n


@pytest.mark.parametrize("environment", sorted(ENVIRONMENTS))
@pytest.mark.parametrize(("method", "d"), [("tree", 3), ("screen", 20), ("reference", 3)])
def test_in_every_floating_point_environment(native, environment, method, d):
    rng = np.random.default_rng(5)
    sizes = np.array([1e-45, 1e-39, 1.0, 1e30])[np.arange(120) % 4, None]
    x, y = (np.float32(rng.standard_normal((120, d)) * sizes) for _ in range(2))
    expected = match(x, y, metric="euclidean")

    def label():
        labels = gtn_fast.label(x, y, method=method, **BY_DISTANCE)
        gtn_fast.verify(x, y, labels)
        return labels.x_index, labels.distance, labels.order

    for got, wanted in zip(inside(environment, label), expected, strict=True):
        assert (got == wanted).all()


def test_layouts_files_and_drawn_y(native, tmp_path, rng):
    x = rng.standard_normal((400, 20)).astype(np.float32)
    expected = gtn_fast.label(x, seed=3, **BY_DISTANCE)
    assert expected.metric == expected.report["metric"] == "euclidean"
    np.save(tmp_path / "a.npy", x[:150])
    np.save(tmp_path / "b.npy", x[150:])
    for given in (
        np.asfortranarray(x),
        torch.from_numpy(x),
        [tmp_path / "a.npy", tmp_path / "b.npy"],
        np.float64(x),
    ):
        labels = gtn_fast.label(given, seed=3, **BY_DISTANCE)
        assert (labels.x_index == expected.x_index).all()
        assert (labels.distance == expected.distance).all()
        assert (labels.cosine == expected.cosine).all()
    limited = gtn_fast.label(tmp_path / "*.npy", seed=3, memory="1MB", method="screen",
                             scratch=tmp_path, **BY_DISTANCE)  # fmt: skip
    assert (limited.x_index == expected.x_index).all()
    gtn_fast.verify(x, None, limited)


def test_without_the_engine(monkeypatch, rng):
    """The cosines of the pairs come from NumPy then, the same bits."""
    x, y = cases.make("zero_rows", 60, 50, 5)
    wanted = gtn_fast.label(x, y, method="reference", **BY_DISTANCE)
    monkeypatch.setattr("gtn_fast.backends.native.available", lambda: False)
    labels = gtn_fast.label(x, y, method="reference", **BY_DISTANCE)
    assert (labels.cosine == wanted.cosine).all()


# ------------------------------------------------------------------ parts of a run


@pytest.mark.parametrize("d", [2, 20])
def test_groups_and_more_ys_than_xs(native, rng, d):
    x, y = cases.make("integers", 200, 260, d)
    gx, gy = rng.integers(0, 4, 200), rng.integers(0, 4, 260)
    labels = gtn_fast.label(x, y, groups=(gx, gy), partial=True, **BY_DISTANCE)
    for group in range(4):
        x_rows, y_rows = np.flatnonzero(gx == group), np.flatnonzero(gy == group)
        chosen, distance, _ = match(x[x_rows], y[y_rows], metric="euclidean")
        wanted = np.where(chosen < 0, -1, x_rows[chosen])
        assert (labels.x_index[y_rows] == wanted).all()
        assert np.array_equal(labels.distance[y_rows], distance, equal_nan=True)
    assert len(labels.unmatched) > 0
    assert np.isnan(labels.cosine[labels.unmatched]).all()
    report = gtn_fast.verify(x, y, labels, groups=(gx, gy))
    assert report.unmatched == len(labels.unmatched)
    assert report.mean_distance == pytest.approx(np.nanmean(labels.distance))


@pytest.mark.parametrize(("method", "d"), [("tree", 2), ("screen", 20)])
def test_a_run_that_was_stopped_goes_on(native, tmp_path, method, d):
    x, y = cases.make("gaussian", 3000, 3000, d)
    path = tmp_path / "run.ckpt"

    def stop(done, total):
        if done >= 500:
            raise KeyboardInterrupt

    how = {"checkpoint": path, "checkpoint_every": 0}
    with pytest.raises(KeyboardInterrupt):
        gtn_fast.label(x, y, method=method, block=100, progress=stop, **how, **BY_DISTANCE)
    with pytest.raises(ValueError, match="other data or parameters"):
        gtn_fast.label(x, y, resume=True, **how)
    done = gtn_fast.label(x, y, resume=True, **how, **BY_DISTANCE)
    expected = gtn_fast.label(x, y, method=method, **BY_DISTANCE)
    assert done.report["resumed_rows"] > 0
    assert (done.x_index == expected.x_index).all()
    assert (done.distance == expected.distance).all()
    assert (done.cosine == expected.cosine).all()


# ------------------------------------------------------------------ files, checks, plans


def labeled():
    x, y = cases.make("gaussian", 80, 60, 3)
    return x, y, gtn_fast.label(x, y, method="reference", **BY_DISTANCE)


def test_a_file_has_the_distances_and_an_old_one_is_by_cosine(tmp_path):
    x, y, labels = labeled()
    labels.save(tmp_path / "labels.npz")
    loaded = gtn_fast.Labels.load(tmp_path / "labels.npz")
    assert loaded.metric == "euclidean"
    assert (loaded.distance == labels.distance).all()
    assert "mean distance" in repr(loaded)
    assert gtn_fast.verify(x, y, loaded).complete
    frame = loaded.to_frame()
    assert (frame["distance"] == labels.distance).all()
    old = gtn_fast.label(x, y, method="reference")
    del old.report["metric"]
    old.save(tmp_path / "labels.npz")
    assert gtn_fast.Labels.load(tmp_path / "labels.npz").metric == "cosine"
    assert "distance" not in old.to_frame()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda labels: labels.distance.__setitem__(3, -1.0), "what is no distance"),
        (lambda labels: labels.distance.__setitem__(3, np.nan), "what is no distance"),
        (lambda labels: setattr(labels, "distance", labels.distance[1:]), "must be float64"),
        (lambda labels: setattr(labels, "distance", None), "do not agree"),
        (lambda labels: labels.report.update(metric="cosine"), "do not agree"),
        (lambda labels: labels.x_index.__setitem__(3, -1), "has a cosine"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path, change, words):
    _, _, labels = labeled()
    change(labels)
    labels.save(tmp_path / "labels.npz")
    with pytest.raises(ValueError, match=words):
        gtn_fast.Labels.load(tmp_path / "labels.npz")


def test_verify_tells_wrong_labels():
    x, y, labels = labeled()
    assert gtn_fast.verify(x, y, labels.x_index, **BY_DISTANCE).mean_distance > 0
    assert gtn_fast.verify(x, y, gtn_fast.label(x, y, method="reference")).mean_distance is None
    wrong = labels.x_index.copy()
    wrong[[3, 7]] = wrong[[7, 3]]
    with pytest.raises(gtn_fast.WrongMatching, match=r"distance .* comes first") as caught:
        gtn_fast.verify(x, y, wrong, **BY_DISTANCE)
    assert caught.value.better_distance < caught.value.distance
    assert caught.value.cosine is caught.value.better_cosine is None
    labels.distance[5] *= 1 + 2**-50
    with pytest.raises(gtn_fast.WrongMatching, match="row 5 of Y: distance is given"):
        gtn_fast.verify(x, y, labels)
    with pytest.raises(ValueError, match="by metric 'euclidean', not 'cosine'"):
        gtn_fast.verify(x, y, labels, metric="cosine")
    with pytest.raises(ValueError, match="min_cosine does not go"):
        gtn_fast.verify(x, y, labels.x_index, min_cosine=0.5, **BY_DISTANCE)


def test_verify_sees_the_last_bit_and_a_wrong_tie():
    """Two x's whose distances differ by one unit in the last place, and two that tie."""
    y = np.array([[1.0, 0.0]])
    x = np.array([[2.0, 0.0], [2.0 + 2**-52 * 2, 0.0]])
    assert gtn_fast.label(x, y, method="reference", **BY_DISTANCE).x_index[0] == 0
    with pytest.raises(gtn_fast.WrongMatching, match="row 0 of X"):
        gtn_fast.verify(x, y, np.array([1]), **BY_DISTANCE)
    tie = np.array([[2.0, 0.0], [0.0, 0.0]])
    assert gtn_fast.label(tie, y, method="reference", **BY_DISTANCE).x_index[0] == 1
    with pytest.raises(gtn_fast.WrongMatching, match="row 1 of X"):
        gtn_fast.verify(tie, y, np.array([0]), **BY_DISTANCE)


@pytest.mark.parametrize("name", ["narrow_cone", "magnitudes", "near_ties", "mixed_columns"])
def test_verify_of_hostile_data_checks_all(name):
    x, y = in_range(*cases.make(name, 200, 150, 7))
    labels = gtn_fast.label(x, y, method="reference", **BY_DISTANCE)
    assert gtn_fast.verify(x, y, labels).complete


def test_plans(native, rng):
    assert gtn_fast.plan(1000, d=1, **BY_DISTANCE).strategy == "tree"
    assert gtn_fast.plan(10**7, d=1, **BY_DISTANCE).seconds > 1  # this machine is looked at
    assert gtn_fast.plan(10**5, d=2, **BY_DISTANCE).strategy == "tree"
    assert gtn_fast.plan(10**5, d=40, **BY_DISTANCE).strategy == "screen"
    x = rng.standard_normal((30_000, 3))
    planned = gtn_fast.plan(x + 100, 20_000, **BY_DISTANCE)
    assert planned.strategy == "tree"  # however far off the centre
    assert planned.metric == "euclidean"
    sizes = (10**6, 10**6, 8)
    wider = gtn_fast.plan(*sizes, method="screen", **BY_DISTANCE)
    assert wider.bytes > gtn_fast.plan(*sizes, method="screen").bytes
    spilled = gtn_fast.plan(*sizes, memory=wider.bytes - 10**6, **BY_DISTANCE)
    assert spilled.scratch_bytes == 12 * 10**6
    with pytest.raises(ValueError, match="'circle' does not serve metric 'euclidean'"):
        gtn_fast.plan(10, d=2, method="circle", **BY_DISTANCE)


# ------------------------------------------------------------------ what cannot be


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"metric": "l2"}, ValueError, "unknown metric 'l2'; valid: cosine, euclidean"),
        ({"metric": 2}, TypeError, "metric must be a string, got int"),
        ({"method": "ray"}, ValueError, "valid: auto, tree, screen, reference"),
        ({"method": "rank"}, ValueError, "'rank' does not serve metric 'euclidean'"),
        ({"method": "faiss"}, ValueError, "'faiss' does not serve metric 'euclidean'"),
        ({"method": "distributed"}, ValueError, "'distributed' does not serve metric"),
        ({"device": "cuda"}, ValueError, "runs on device 'cpu', not 'cuda'"),
        ({"min_cosine": 0.5}, ValueError, "min_cosine does not go with metric 'euclidean'"),
    ],
)
def test_refused(keywords, error, words):
    x, y = cases.make("gaussian", 20, 10, 1)
    with pytest.raises(error, match=words) as caught:
        gtn_fast.label(x, y, **(BY_DISTANCE | keywords))
    assert "\n" not in str(caught.value)


def test_a_tree_has_16_dimensions_at_most():
    x, y = cases.make("gaussian", 20, 10, 17)
    with pytest.raises(ValueError, match="needs d from 1 to 16, the data have d = 17"):
        gtn_fast.label(x, y, method="tree", **BY_DISTANCE)


def test_values_whose_squares_are_no_numbers_are_refused(native):
    x, y = cases.make("gaussian", 20, 10, 3)
    y[4, 1] = -(2.0**201)
    for check_it in (gtn_fast.label, lambda x, y, **k: gtn_fast.verify(x, y, np.arange(10), **k)):
        with pytest.raises(ValueError, match=r"up to 2\*\*200 .* Y, row 4, column 1"):
            check_it(x, y, **BY_DISTANCE)
    y[4, 1] = 0.0
    with pytest.raises(ValueError, match=r"above 2\*\*-200"):
        gtn_fast.label(x * 1e-70, y * 1e-70, **BY_DISTANCE)
    scaled = gtn_fast.label(x * np.float32(2.0**-100), y * 2.0**-100, **BY_DISTANCE)
    assert (scaled.x_index == gtn_fast.label(x, y, **BY_DISTANCE).x_index).all()
    assert (gtn_fast.label(0 * x, 0 * y, **BY_DISTANCE).distance == 0).all()


# ------------------------------------------------------------------ the command line


def test_the_command_line(native, tmp_path, monkeypatch, capsys):
    prepare(tmp_path, monkeypatch)
    how = ("label", "X.npy", "--y", "Y.npy", "--metric", "euclidean", "--out", "labels.npz")
    assert run(*how, "--verify", 20) == 0
    shown = capsys.readouterr().out
    assert "mean distance" in shown
    assert "verified" in shown
    labels = gtn_fast.Labels.load("labels.npz")
    x, y = np.load("X.npy"), np.load("Y.npy")
    assert (labels.x_index == match(x, y, metric="euclidean")[0]).all()
    assert run("verify", "X.npy", "labels.npz") == 0
    assert run("plan", "--n", 1000, "--d", 1, "--metric", "euclidean") == 0
    assert "tree of intervals" in capsys.readouterr().out
    assert run(*how, "--min-cosine", 0.5) == 2
    one_line(capsys, "min_cosine does not go with metric 'euclidean'")
    assert run(*how, "--method", "faiss") == 2
    one_line(capsys, "'faiss' does not serve metric 'euclidean'")
