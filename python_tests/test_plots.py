"""Pictures of samples: every image and point where it belongs, files small and whole."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from gtn_fast import plots
from gtn_fast.plots import samples


def drawn(figure):
    """The axes that show something, after layout."""
    figure.draw_without_rendering()
    return [axes for axes in figure.axes if axes.has_data()]


def test_a_tile_holds_every_image_in_reading_order(rng):
    images = rng.integers(0, 255, size=(5, 3, 4, 6), dtype=np.uint8)
    made = samples.tile(images, columns=3)
    assert made.shape == (2 * 4 + 2, 3 * 6 + 2 * 2, 3)
    for place, image in enumerate(images):
        top, left = place // 3 * 6, place % 3 * 8
        assert np.array_equal(made[top : top + 4, left : left + 6], image.transpose(1, 2, 0))
    assert (made[:, 6:8] == 255).all()  # the gap
    assert (made[6:, 16:] == 255).all()  # no sixth image
    grey = samples.tile(images[:, :1])
    assert np.array_equal(grey[:4, :6, 0], grey[:4, :6, 2])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((3, 1, 4, 4), dtype=np.float32),
        np.zeros((3, 4, 4), dtype=np.uint8),
        np.zeros((3, 2, 4, 4), dtype=np.uint8),
        np.zeros((0, 1, 4, 4), dtype=np.uint8),
    ],
)
def test_what_is_no_image_is_refused(images):
    with pytest.raises(ValueError, match="image"):
        samples.tile(images)


def test_grids_side_by_side_keep_their_names(rng):
    images = rng.integers(0, 255, size=(9, 1, 8, 8), dtype=np.uint8)
    wanted = ["Real", "Reconstructed", "Generated", "VAE", "Without GTN"]
    axes = drawn(plots.labelled_grids([(name, images) for name in wanted], title="All"))
    assert [each.get_title() for each in axes] == wanted
    for each in axes:
        assert np.array_equal(each.images[0].get_array(), samples.tile(images))


def test_an_interpolation_is_one_row_of_all_its_steps(rng):
    rows = rng.integers(0, 255, size=(2, 20, 3, 8, 8), dtype=np.uint8)
    axes = drawn(plots.interpolation_rows(list(rows), captions=["a", "b"]))
    assert [each.images[0].get_array().shape for each in axes] == [(8, 198, 3)] * 2
    assert np.array_equal(axes[1].images[0].get_array()[:, -8:], rows[1, -1].transpose(1, 2, 0))


def test_a_point_has_the_colour_of_its_source(rng):
    y = rng.normal(size=(500, 2))
    x = np.tanh(y)
    source, image, data = drawn(plots.scatter_by_norm(y, x, data=x + 0.1))[:3]
    (ys,), (xs,) = source.collections, image.collections
    assert np.array_equal(xs.get_offsets(), np.tanh(ys.get_offsets()))
    distance = np.linalg.norm(ys.get_offsets(), axis=1)
    for shown in (ys, xs):
        assert np.array_equal(shown.get_array(), distance)
    for axes in (source, image, data):
        assert axes.get_aspect() == 1
    assert image.get_xlim() == data.get_xlim()  # one frame for what is compared


def test_on_a_line_the_colour_is_y_itself(rng):
    y = rng.normal(size=(300, 1))
    source, image = drawn(plots.scatter_by_norm(y, np.hstack((y, -y))))[:2]
    (ys,), (xs,) = source.collections, image.collections
    assert np.array_equal(ys.get_offsets()[:, 0], ys.get_array())
    assert np.array_equal(xs.get_offsets()[:, 0], xs.get_array())


def test_more_dimensions_are_shown_by_their_principal_components(rng):
    x = rng.normal(size=(2000, 4)) * (0.1, 5.0, 0.2, 2.0)
    generated, _ = drawn(plots.scatter_by_norm(rng.normal(size=(2000, 4)), x, data=x))[:2]
    shown = np.asarray(generated.collections[0].get_offsets())
    assert shown.std(axis=0) == pytest.approx((5, 2), rel=0.1)


def test_snapshots_share_the_frame_of_the_data(rng):
    data = rng.random((400, 2))
    early = rng.normal(size=(400, 2)) * 50
    figure = plots.training_snapshots([("epoch 1", early), ("epoch 9", data)], data=data)
    axes = drawn(figure)
    assert [each.get_title() for each in axes] == ["epoch 1", "epoch 9", "Data"]
    assert len({each.get_xlim() for each in axes}) == 1
    assert axes[0].get_xlim() == pytest.approx((-0.04, 1.04), abs=0.02)


def test_losses_show_what_there_is():
    rows = [{"epoch": e, "loss": 1 / e, "val_loss": 2 / e, "metric": e, "seconds": 1.0}
            for e in range(1, 51)]  # fmt: skip
    losses, scores = drawn(plots.loss_curves(rows, best_epoch=40, metric="Inception Score"))
    assert losses.get_yscale() == "log"
    shown = {line.get_label(): line.get_ydata() for line in losses.lines}
    assert shown["training"] == pytest.approx([row["loss"] for row in rows])
    assert shown["validation"] == pytest.approx([row["val_loss"] for row in rows])
    assert list(losses.lines[-1].get_xdata()) == [40, 40]
    assert scores.get_ylabel() == "Inception Score"
    (alone,) = drawn(plots.loss_curves([{"epoch": 1, "loss": 0.5}]))
    assert [line.get_label() for line in alone.lines] == ["training"]


def test_lines_are_ticked_where_they_were_measured():
    series = [("FID", (2, 5, 10, 32), (40, 20, 18, 60)), ("recon", (2, 5), (30, 10))]
    (axes,) = drawn(plots.lines_by_x(series, "d", "FID", log_x=True))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "5", "10", "32"]
    assert axes.get_ylim()[0] == 0


def test_bars_carry_their_numbers():
    (axes,) = drawn(plots.bars([("GTN", 12.34), ("VAE", 34.5)], "FID", highlight="GTN"))
    assert [text.get_text() for text in axes.texts] == ["12.3", "34.5"]
    assert [patch.get_height() for patch in axes.patches] == [12.34, 34.5]


def test_files_stay_small(rng, tmp_path):
    y = rng.normal(size=(100_000, 2))
    plots.save(plots.scatter_by_norm(y, np.tanh(y)), tmp_path / "points.png")
    plain = (tmp_path / "points.png").read_bytes()
    assert plain.startswith(b"\x89PNG")
    assert 20_000 < len(plain) < 300_000
    assert [path.name for path in tmp_path.iterdir()] == ["points.png"]


def test_a_notebook_shows_a_picture(rng):
    """Without pyplot, whose import would teach notebooks what a Figure is."""
    figure = plots.bars([("a", 1.0), ("b", 2.0)], "height")
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert pickle.loads(pickle.dumps(figure))._repr_png_() == figure._repr_png_()


def test_losses_of_what_fit_returns():
    from gtn_fast.learn.training.run import History

    rows = [{"epoch": float(i), "loss": 1.0 / i, "val_loss": 2.0 / i} for i in range(1, 6)]
    given, own = (
        plots.loss_curves(History(rows, best_epoch=4)),
        plots.loss_curves(rows, best_epoch=4),
    )
    for a, b in zip(given.axes[0].lines, own.axes[0].lines, strict=True):
        assert np.array_equal(a.get_xydata(), b.get_xydata())
    assert [line.get_label() for line in given.axes[0].lines] == [
        "training",
        "validation",
        "weights kept",
    ]


def test_pictures_of_labels_leave_out_who_has_no_x(rng):
    import gtn_fast

    x, y = rng.standard_normal((6, 2)), rng.standard_normal((9, 2))
    labels = gtn_fast.label(x, y, partial=True, method="reference")
    (axes,) = drawn(plots.numbered_pairs(x, y, labels))
    numbers = {text.get_text() for text in axes.texts}
    assert numbers == {str(turn) for turn in range(1, 7)}
    (axes,) = drawn(plots.cosine_by_rank([("labels", labels)]))
    matched = labels.cosine[labels.order[:6]]
    assert np.allclose(axes.lines[0].get_ydata(), matched)
    source, data = drawn(plots.matching_by_color(y, "Y", [("X", x, labels)]))
    assert len(source.images) == len(data.images) == 1
    with pytest.raises(TypeError, match="needs order, or Labels"):
        plots.numbered_pairs(x, y, labels.x_index)


def test_rows_with_words_below_each_image(rng):
    images = rng.integers(0, 255, size=(4, 1, 5, 5), dtype=np.uint8)
    rows = [("a line", images, None), ("a geodesic", images[:3], ["0", "0/1", "1"])]
    figure = plots.captioned_rows(rows, "Between two")
    above, below = drawn(figure)
    assert above.get_title(loc="left") == "a line"
    assert [text.get_text() for text in above.get_xticklabels()] == []
    assert [text.get_text() for text in below.get_xticklabels()] == ["0", "0/1", "1"]
    # Each word in the middle of its image, which is 5 pixels wide beside a gap of 2.
    assert np.allclose(below.get_xticks(), 7 * np.arange(3) + 2)
    assert above.get_xlim() == below.get_xlim()


def test_bars_are_marks_where_they_begin_and_end():
    """A loop that is not filled stands on the line above; the window shades what counts."""
    of = (np.array([[0.0, np.inf], [0.0, 0.5]]), np.array([[0.3, np.inf], [0.4, 0.6]]))
    panels = [("true", of, 2.0), ("made", (*of, np.zeros((0, 2))), 2.0)]
    figure = plots.persistence_diagrams(panels, [(0.35, 2.0)] * 2, "distance")
    first, second = drawn(figure)
    assert (first.get_title(), second.get_title()) == ("true", "made")
    shade, pieces, loops = first.collections
    above = first.lines[1].get_ydata()[0]
    assert above > 2
    assert np.array_equal(pieces.get_offsets(), [[0, above], [0, 0.5]])
    assert np.array_equal(loops.get_offsets(), [[0.3, above], [0.4, 0.6]])
    frame = shade.get_paths()[0].get_extents()
    assert [frame.contains(*place) for place in loops.get_offsets()] == [True, False]
    assert [each.get_text() for each in figure.legends[0].get_texts()] == ["pieces", "loops"]
    (only,) = drawn(plots.persistence_diagrams(panels[:1], least=1))
    assert len(only.collections) == 1


def test_histograms_share_their_bins():
    first, second = np.array([0.0, 1, 1]), np.array([2.0, 3, 3, 3])
    panels = [("MNIST", [("one chart", first), ("8 charts", second)]), ("alone", [("x", first)])]
    figure = plots.histograms(panels, "length")
    two, one = drawn(figure)
    assert (two.get_title(), two.get_xlabel()) == ("MNIST", "length")
    heights = [bar.get_height() for bar in two.patches]
    assert sum(heights[:30]) == 3
    assert sum(heights[30:]) == 4
    assert heights[0] == 1
    assert heights[-1] == 3
    assert one.get_legend() is None
