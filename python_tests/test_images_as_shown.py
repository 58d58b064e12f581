"""Pictures as viewers show them: turned as EXIF says, on white; damaged ones left out if asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import one_line, run
from PIL import Image

from gtn_fast.images import load_images

pytest.importorskip("torch")

UP = np.zeros((8, 12, 3), np.uint8)
UP[:4, :6] = (255, 0, 0)  # the upper left is red,
UP[4:, 6:] = (0, 0, 255)  # the lower right blue
TURNED = {  # what lies in the file, for each orientation, so that it is shown as UP
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", sorted(TURNED))
@pytest.mark.parametrize("suffix", ["png", "jpg", "jfif"])
def test_exif_orientation(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    kind = "PNG" if suffix == "png" else "JPEG"
    stored = Image.fromarray(np.ascontiguousarray(TURNED[orientation](UP)))
    stored.save(tmp_path / f"a.{suffix}", kind, exif=exif, quality=100, subsampling=0)
    Image.fromarray(UP).save(tmp_path / f"b.{suffix}", kind, quality=100, subsampling=0)
    one, plain = load_images(tmp_path).images.astype(int)  # of one size, so turned
    assert np.abs(one - plain).max() <= 8
    assert np.abs(plain - UP.transpose(2, 0, 1)).max() <= 8


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_pictures_lie_on_white(tmp_path, mode):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, :4] = (0, 0, 0, 255)  # black ink on the left,
    rgba[:4, 4:] = (200, 0, 0, 0)  # nothing on the upper right, whatever its colour,
    rgba[4:, 4:] = (0, 0, 0, 128)  # half of it below
    options = {}
    if mode == "P":
        image = Image.fromarray((rgba[..., 3] > 0).astype(np.uint8), "P")
        image.putpalette([255, 0, 0, 0, 0, 0])
        options["transparency"] = 0
    elif mode == "RGB":
        image = Image.fromarray(np.ascontiguousarray(rgba[..., :3]))
        options["transparency"] = (200, 0, 0)
    else:
        image = Image.fromarray(rgba).convert(mode)
    image.save(tmp_path / "a.png", **options)
    found = load_images(tmp_path).images[0]
    assert len(found) == (1 if mode == "LA" else 3)
    half = 0 if mode in ("P", "RGB") else 127
    wanted = np.full((8, 8), 0)
    wanted[:4, 4:], wanted[4:, 4:] = 255, half
    assert (np.abs(found.astype(int) - wanted) <= 1).all()
    if mode == "RGBA":  # the colour below the transparent part does not shine through
        small = load_images(tmp_path, side=4).images[0].astype(int)
        assert (small[:, 0, 3] == 255).all()
        assert (np.abs(small[:, 3, 3] - 127) <= 1).all()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(12):
        kind = tmp_path / "in" / ("cats", "dogs")[i % 2]
        kind.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(kind / f"{i:02}.png")
    (tmp_path / "in/cats/02.png").write_bytes(b"no picture")
    whole = (tmp_path / "in/dogs/05.png").read_bytes()
    (tmp_path / "in/dogs/05.png").write_bytes(whole[: len(whole) * 2 // 3])  # after its header
    return tmp_path / "in"


def test_damaged_pictures_are_left_out_if_asked(folder):
    with pytest.raises(ValueError, match=r"02\.png: not a readable image"):
        load_images(folder)
    found = load_images(folder, skip_damaged=True)
    assert found.images.shape == (10, 1, 8, 8)
    assert found.labels.tolist() == [0] * 5 + [1] * 5
    assert [Path(each.split(": ")[0]).name for each in found.left_out] == ["02.png", "05.png"]
    assert load_images(folder, skip_damaged=True, limit=4).images.shape[0] in (3, 4)
    kept = [p for p in sorted(folder.rglob("*.png")) if p.name not in ("02.png", "05.png")]
    for image, path in zip(found.images, kept, strict=True):
        assert (image[0] == np.asarray(Image.open(path))).all()


def test_nothing_but_damaged_pictures(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"none of the images can be read: .*a\.png"):
        load_images(tmp_path, skip_damaged=True)
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="skip_damaged is about folders of pictures"):
        load_images(tmp_path / "x.npy", skip_damaged=True)


def test_the_command_line_lists_what_was_left_out(folder, tmp_path, capsys):
    words = ("train", folder, "--images", "--out", tmp_path / "run", "--d", "2", "--val", "0.3",
             "--ae-epochs", "1", "--epochs", "1", "--layers", "1", "--width", "4")  # fmt: skip
    assert run(*words, "--quiet") == 2
    one_line(capsys, "02.png: not a readable image")
    assert run(*words, "--skip-damaged") == 0
    out = capsys.readouterr().out
    assert "left out" in out
    assert "2: " in out
    record = json.loads((tmp_path / "run/metrics.json").read_text())
    assert [Path(each.split(": ")[0]).name for each in record["left_out"]] == ["02.png", "05.png"]
    assert run("train", folder / "x.npy", "--skip-damaged", "--out", tmp_path / "b") == 2
    one_line(capsys, "--skip-damaged is about images")


def test_rows_are_counted_as_the_user_does(tmp_path, monkeypatch, capsys):
    import gtn_fast

    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    np.save("x.npy", x)
    words = ("--epochs", "1", "--layers", "1", "--width", "4", "--quiet")
    assert run("train", "x.npy", "--val", "0.25", "--out", "run", *words) == 0
    held = np.load("run/held_out.npy")
    assert len(held) == 10
    record = json.loads(Path("run/metrics.json").read_text())
    assert record["held_out"] == {"rows": 10, "file": "held_out.npy"}
    gtn = gtn_fast.GTN.load("run/gtn.safetensors")
    kept = np.setdiff1d(np.arange(40), held)
    assert (gtn.rows == kept).all()
    # The y of a row by the user's count is that of the labeling of the rows that were kept.
    plain = gtn_fast.GTN(3, layers=1, width=4, batch_norm_layers=1)
    plain.fit(x[kept], x[held], epochs=1, progress=False)
    for place in (0, 7, 29):
        assert (gtn.y_of_row(kept[place]) == plain.y_of_row(place)).all()
    inside = ("interpolate", "run/gtn.safetensors", "--out", "between", "--quiet", "--force")
    assert run(*inside, "--rows", kept[0], kept[29]) == 0
    for row in (held[0], 40):
        assert run(*inside, "--rows", kept[0], row) == 2
        one_line(capsys, f"row {row} was not trained on")
