"""One warning where the answer will disappoint, and none where it will not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from cli_runs import run

import gtn_fast
from gtn_fast.run import advice

N = 400


def told(call):
    """The texts of all warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(each.message) for each in caught]


def normal(d, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(size=(N, d)) + shift


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("d", [2, 5, 32])
def test_an_x_far_off_its_centre(d, scale):
    x = normal(d, 5.0) * scale
    (text,) = told(lambda: gtn_fast.label(x))
    assert text.startswith("X lies far off its centre (its mean is ")
    distance = np.linalg.norm((x / scale).mean(axis=0))
    spread = np.sqrt((x / scale).var(axis=0).sum())
    assert f"is {distance / spread:.1f} times its spread away" in text
    # And it is what the advice says: the centred one is far better.
    off, centred = gtn_fast.label(x / scale), gtn_fast.label(x / scale - (x / scale).mean(axis=0))
    assert off.cosine.mean() < centred.cosine.mean() / 2


def test_it_points_at_the_call():
    x = normal(3, 9.0)
    with pytest.warns(UserWarning, match="far off its centre") as caught:
        gtn_fast.label(x)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("x", "words"), [
    (np.linspace(1, 2, N)[:, None], "every x has one sign, so all cosines of a y are tied"),
    (-np.linspace(1, 2, N)[:, None], "method='rank'"),
    (np.linspace(1, 2, N)[:, None] * [3.0, -4.0, 12.0], "every x lies on one ray from 0"),
])  # fmt: skip
def test_every_cosine_is_tied(x, words):
    (text,) = told(lambda: gtn_fast.label(x))
    assert words in text


@pytest.mark.parametrize(
    "call",
    [
        lambda: gtn_fast.label(normal(1)),
        lambda: gtn_fast.label(normal(5)),
        lambda: gtn_fast.label(np.random.default_rng(0).random((N, 2))),  # the paper's square
        lambda: gtn_fast.label(np.abs(normal(1)), method="rank"),
        lambda: gtn_fast.label(normal(5, 9.0), normal(5, 9.0, 1)),  # Y is the caller's
        lambda: gtn_fast.label(normal(5, 9.0), groups=(np.arange(N) % 2, np.arange(N) % 2)),
        lambda: gtn_fast.label(np.zeros((N, 3))),
        lambda: gtn_fast.label(normal(5, 9.0)[:20]),
    ],
)
def test_no_warning_without_need(call):
    assert told(call) == []


def test_arguments_that_do_nothing(tmp_path):
    x = normal(5)
    for options, text in (
        ({"Y": normal(5, seed=1), "seed": 3}, "seed= has no effect: Y is given"),
        ({"scratch": tmp_path}, "scratch= has no effect without memory="),
        ({"checkpoint_every": 5.0}, "checkpoint_every= has no effect without checkpoint="),
    ):
        assert told(lambda options=options: gtn_fast.label(x, **options)) == [text]
    kept = {"checkpoint": tmp_path / "c", "checkpoint_every": 5.0}
    assert told(lambda: gtn_fast.label(x, **kept, memory="1GB", scratch=tmp_path)) == []


def test_the_command_line_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", normal(5, 9.0))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = warnings._showwarning_orig  # not pytest's
        assert run("label", "x.npy", "--out", "o.npz", "--quiet") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gtn-fast: warning: X lies far off its centre")


def test_few_rows_are_looked_at(monkeypatch):
    """However many there are: a memory map is not read through."""
    monkeypatch.setattr(advice, "_LOOKED_AT", 40)
    seen = []

    class Rows:
        def __getitem__(self, which):
            seen.append(len(range(N)[which]))
            return normal(5, 9.0)[which]

    fields = {"y": None, "groups": None, "method": "auto", "metric": "cosine", "n_x": N}
    job = type("Job", (), fields)()
    assert told(lambda: advice.warn_of_disappointment(job, Rows()))
    assert seen == [40]


# ------------------------------------------------------------------ learning


def test_rays_and_relabeling_that_do_nothing():
    pytest.importorskip("torch")
    tiny = {"layers": 1, "width": 4}
    assert told(lambda: gtn_fast.GTN(4, "uniform", rays=8)) == [
        "rays= has no effect at d = 4: its lines are in the plane"
    ]
    assert told(lambda: gtn_fast.GTN(2, "uniform", rays=8)) == []
    gtn = gtn_fast.GTN(3, **tiny)

    def told_of_fit(relabel_every):
        texts = told(lambda: gtn.fit(normal(3), epochs=2, relabel_every=relabel_every))
        # So small a network may be worse than plain normals, which is another warning.
        return [text for text in texts if "plain normals" not in text]

    assert told_of_fit(2) == ["relabel_every=2 has no effect in 2 epochs"]
    assert told_of_fit(1) == []


def test_an_autoencoder_that_has_collapsed():
    pytest.importorskip("torch")
    from gtn_fast.vision.codecs import warn_of_collapse

    images = np.random.default_rng(0).integers(0, 256, (50, 1, 8, 8), dtype=np.uint8)
    mean = np.broadcast_to(images.mean(axis=0).astype(np.uint8), images.shape)
    (text,) = told(lambda: warn_of_collapse(images, mean))
    assert text.startswith("the autoencoder has collapsed")
    assert told(lambda: warn_of_collapse(images, images // 2 + mean // 2)) == []


def test_a_classifier_that_hardly_classifies():
    pytest.importorskip("torch")
    from gtn_fast.cli.judging import _warn_of_guessing

    ten, skewed = np.arange(100) % 10, np.r_[np.zeros(90, int), np.ones(10, int)]
    (text,) = told(lambda: _warn_of_guessing(0.5, ten))
    assert text.startswith("the classifier hardly classifies: 50% of the real images")
    assert "gives 10%" in text
    assert told(lambda: _warn_of_guessing(0.6, ten)) == []
    assert len(told(lambda: _warn_of_guessing(0.92, skewed))) == 1
