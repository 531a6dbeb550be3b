"""A user's own folders of images, in colour and grey, on the command line and in Python."""

import json

import numpy as np
import pytest
from PIL import Image

import metalearn
from metalearn.inputs import Inputs
from metalearn.runs import open_run
from metalearn.tasks import Preprocess, folders

from .helpers import GLYPHS, command, draw_folder, fails, flags

SMALL = flags({**GLYPHS, "ways": 2})


def paint_folder(folder, classes=6, images=4):
    """Classes that differ by their hue, equally bright; grey files among them."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        (folder / f"class{c}").mkdir(parents=True)
        level = np.roll([160, 100, 60], c) if c % 2 else np.roll([60, 100, 160], c // 2)
        for i in range(images):
            noise = rng.normal(0, 10, (20, 24, 1))
            pixels = np.clip(level + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class{c}" / f"{i}.jpg")
    Image.new("L", (9, 9), 200).save(folder / "class0" / "0.jpg")
    return folder


def made(capsys, folder, out, *more):
    result = command(capsys, "train", folder, *SMALL, "--out", out, *more)
    assert result.code == 0, result.err
    record = json.loads((out / "config.json").read_text())
    return record["options"], record["dataset"]["preprocess"], result.out


def test_colours_are_kept_where_there_are_some(capsys, tmp_path):
    folder = paint_folder(tmp_path / "paint")
    options, preprocess, said = made(capsys, folder, tmp_path / "run")
    assert options["channels"] == 3
    assert preprocess == {"size": 16, "channels": 3, "ink": "keep"}
    assert "images in colour, 3×16×16 (--channels 1 for grey)" in said
    files = ["--support", folder, "--query", folder, "--out", tmp_path / "out"]
    assert command(capsys, "adapt", tmp_path / "run", *files).code == 1  # six classes
    assert (tmp_path / "run" / "pictures" / "episode.png").stat().st_size > 1000
    resumed = command(capsys, "train", "--resume", tmp_path / "run", "--iterations", 6)
    assert resumed.code == 0, resumed.err
    assert open_run(tmp_path / "run").config.channels == 3


@pytest.mark.parametrize(
    ("more", "ink"),
    [
        (["--channels", 1], "auto"),
        (["--ink", "dark"], "dark"),
        (["--channels", 1, "--ink", "keep"], "keep"),
    ],
)
def test_what_is_given_decides(capsys, tmp_path, more, ink):
    folder = paint_folder(tmp_path / "paint")
    options, preprocess, said = made(capsys, folder, tmp_path / "run", *more)
    assert options["channels"] == 1
    assert preprocess == {"size": 16, "channels": 1, "ink": ink}
    assert "images in colour" not in said


def test_grey_images_stay_grey(capsys, tmp_path):
    folder = draw_folder(tmp_path / "drawn", 6, 4)
    Image.open(folder / "class1" / "0.png").convert("RGB").save(folder / "class1" / "0.png")
    options, preprocess, said = made(capsys, folder, tmp_path / "run")
    assert options["channels"] == 1
    assert preprocess == {"size": 16, "channels": 1, "ink": "auto"}
    assert "images grey, 1×16×16 (--channels 3 for RGB)" in said


def test_check_looks_for_colours_too(capsys, tmp_path):
    folder = paint_folder(tmp_path / "paint")
    small = ["--ways", 2, "--queries", 2, "--episodes", 2]
    result = command(capsys, "check", folder, *small, "--filters", 2)
    assert "images in colour, 3×14×14" in result.out, result


def test_files_are_looked_at_once(tmp_path, monkeypatch):
    folder = draw_folder(tmp_path / "drawn", 2, 3)
    looked, found = [], folders.is_coloured
    monkeypatch.setattr(folders, "is_coloured", lambda *args: looked.append(1) or found(*args))
    assert not folders.is_in_colour(folder)
    assert not folders.is_in_colour(folder)
    assert len(looked) == 6
    Image.new("RGB", (9, 9), "red").save(folder / "class0" / "0.png")
    assert folders.is_in_colour(folder)
    assert len(looked) == 7


def test_a_damaged_image_is_left_out_and_named(capsys, tmp_path):
    folder = paint_folder(tmp_path / "paint", images=5)
    (folder / "class0" / "0.jpg").write_bytes(b"\xff\xd8garbage")
    _, _, said = made(capsys, folder, tmp_path / "run")
    assert "1 image that cannot be read is left out: 'class0/0.jpg'\n" in said
    resumed = command(capsys, "train", "--resume", tmp_path / "run", "--iterations", 6)
    assert resumed.code == 0, resumed.err
    said = command(capsys, "evaluate", tmp_path / "run", "--on", folder, "--episodes", 2).err
    assert "1 image that cannot be read is left out: 'class0/0.jpg'\n" in said


def test_a_class_that_damage_leaves_too_small_is_an_error_where_there_are_too_few(capsys, tmp_path):
    folder = paint_folder(tmp_path / "paint", images=3)
    (folder / "class0" / "1.jpg").write_bytes(b"\xff\xd8garbage")
    out = ["--out", tmp_path / "run"]
    fails(capsys, "train", folder, *SMALL, *out, says=("5 of 6 classes have 3 images",))
    assert not (tmp_path / "run").exists()


# In Python ------------------------------------------------------------------------------------


def test_channels_may_come_last(capsys, tmp_path):
    made(capsys, paint_folder(tmp_path / "paint"), tmp_path / "run")
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (6, 3, 16, 16), np.uint8)
    last = np.transpose(first, (0, 2, 3, 1))
    y = np.array([0, 1] * 3)
    model = metalearn.load(tmp_path / "run", compiled=False)
    expected = model.fit(first, y).predict_proba(first)
    np.testing.assert_array_equal(model.fit(last, y).predict_proba(last), expected)
    assert not np.allclose(model.predict_proba(last.reshape(first.shape)), expected)


def test_channels_that_come_last_are_moved_and_not_reshaped():
    inputs = Inputs((3, 4, 4), images=Preprocess(4, 3, "keep"))
    last = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    found = inputs.arrays(last)
    for channel in range(3):
        np.testing.assert_allclose(found[:, channel], last[..., channel] / np.float32(255))


def test_folders_of_a_split_are_not_mixed(capsys, tmp_path):
    """Their classes would be two each, and what is tested on learned before."""
    for part in ("train", "test"):
        paint_folder(tmp_path / "signs" / part)
    says = ("test", "train", "parts of a split", str(tmp_path / "signs" / "train"), "load_split")
    fails(capsys, "train", tmp_path / "signs", *SMALL, "--out", tmp_path / "run", says=says)
    assert not (tmp_path / "run").exists()
    made(capsys, tmp_path / "signs" / "train", tmp_path / "run")
    (tmp_path / "signs" / "test").rename(tmp_path / "signs" / "greek")  # a class folder above
    made(capsys, tmp_path / "signs", tmp_path / "other")
