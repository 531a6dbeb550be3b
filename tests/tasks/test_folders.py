"""Folders of images as datasets, and a user's own task."""

import numpy as np
import pytest

from metalearn.tasks import EpisodeSampler, Preprocess, load_folder, read_new_task
from metalearn.tasks.folders import is_in_colour

from .helpers import huge_png, png, raises_data_error, write_files


def page(length, paper=255, ink=0):
    """A 40×40 page with a bar at the top, `length` long."""
    pixels = np.full((40, 40), paper, np.uint8)
    pixels[4:12, 4 : 4 + length] = ink
    return png(pixels)


@pytest.fixture
def folder(tmp_path):
    """Two alphabets, three characters, of 3, 2 and 4 images."""
    counts = {"Greek/alpha": 3, "Greek/beta": 2, "Latin/a": 4}
    files = {f"{name}/{i}.png": page(8 + i) for name, n in counts.items() for i in range(n)}
    return write_files(tmp_path / "letters", files)


# A dataset.


def test_leaf_folders_are_the_classes(folder):
    dataset = load_folder(folder, size=20)
    assert dataset.name == "letters"
    assert dataset.classes == ("Greek/alpha", "Greek/beta", "Latin/a")
    assert dataset.counts.tolist() == [3, 2, 4]
    assert dataset.images.shape == (9, 1, 20, 20) and dataset.images.dtype == np.uint8
    # The images of a class, in the order of their names: each bar is longer than the one before.
    ink = dataset.of_class("Latin/a").sum(axis=(1, 2, 3))
    assert len(ink) == 4 and (np.diff(ink) > 0).all()
    sampler = EpisodeSampler(dataset, dataset.classes, 3, 1, 1, seed=0)
    assert sampler.sample(0, [0]).support[0].shape == (1, 3, 1, 20, 20)


def test_colour(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 2] = 255
    write_files(tmp_path / "d", {"a/1.png": png(pixels), "b/1.jpg": png(pixels)})
    dataset = load_folder(tmp_path / "d", size=4, channels=3, rotations=(0, 90))
    assert dataset.rotations == (0, 90) and dataset.preprocess == Preprocess(4, 3, "keep")
    assert dataset.images.shape == (2, 3, 4, 4)
    assert [dataset.images[:, c].min() for c in range(3)] == [0, 0, 255]


def test_other_files_are_left_out(folder):
    before = load_folder(folder)
    write_files(folder, {"README.md": b"", "Greek/alpha/labels.csv": b"", ".git/x/a.png": b""})
    assert load_folder(folder).classes == before.classes
    assert load_folder(folder).digest == before.digest


def test_the_second_read_decodes_nothing_and_a_changed_file_is_read(folder):
    calls = []

    def load():
        return load_folder(folder, progress=lambda *call: calls.append(call))

    first = load()
    assert calls[-1] == ("reading letters", 9, 9)
    calls.clear()
    assert load().digest == first.digest and calls == []
    (folder / "Latin/a/0.png").write_bytes(page(30))
    assert load().digest != first.digest


def test_a_missing_folder_is_refused(tmp_path):
    with raises_data_error(tmp_path / "none", "no such folder"):
        load_folder(tmp_path / "none")


def test_a_folder_without_images_is_refused(tmp_path):
    write_files(tmp_path / "d", {"a/notes.txt": b"x"})
    with raises_data_error(tmp_path / "d", "no images", "expected"):
        load_folder(tmp_path / "d")


def test_loose_images_are_refused(folder):
    write_files(folder, {"loose.png": page(9)})
    with raises_data_error(folder / "loose.png", "loose image", "expected one folder"):
        load_folder(folder)


def test_images_beside_class_folders_are_refused(folder):
    write_files(folder, {"Greek/loose.png": page(9)})
    with raises_data_error(folder / "Greek", "'Greek/alpha'", "expected"):
        load_folder(folder)


@pytest.mark.parametrize("name", ["x.png", "x.HEIC"])
def test_an_unreadable_image_is_left_out(folder, name):
    before = load_folder(folder)
    write_files(folder, {f"Latin/a/{name}": b"not an image"})
    for _ in range(2):  # the second time from the cache
        dataset = load_folder(folder)
        assert dataset.notes == (f"1 image that cannot be read is left out: 'Latin/a/{name}'",)
        assert dataset.digest == before.digest and before.notes == ()
    assert not is_in_colour(folder)


def test_several_unreadable_images_are_counted(folder):
    large = {"Greek/alpha/1.png": huge_png()}  # too large in pixels
    write_files(folder, {**large, "Latin/a/x\ny.png": b"", "Latin/a/z.png": page(9)[:60]})
    dataset = load_folder(folder)
    (note,) = dataset.notes
    assert note.startswith("3 images that cannot be read are left out: 'Greek/alpha/1.png', ")
    assert "\n" not in note
    assert dataset.counts.tolist() == [2, 2, 4]
    ink = dataset.of_class("Greek/alpha").sum(axis=(1, 2, 3))
    whole = load_folder(folder, cache=False).of_class("Greek/beta")
    np.testing.assert_array_equal(dataset.of_class("Greek/beta"), whole)
    assert len(ink) == 2


def test_a_class_without_a_readable_image_has_none(folder):
    write_files(folder, {"Greek/beta/0.png": b"", "Greek/beta/1.png": b""})
    dataset = load_folder(folder)
    assert dataset.classes[1] == "Greek/beta" and dataset.counts.tolist() == [3, 0, 4]
    with raises_data_error("'Greek/beta'", "has 0 images"):
        EpisodeSampler(dataset, dataset.classes, 2, 1, 1, seed=0)


def test_a_folder_of_unreadable_images_is_refused(tmp_path):
    write_files(tmp_path / "d", {"a/1.heic": b"no", "b/2.heic": b"no"})
    with raises_data_error(tmp_path / "d" / "a/1.heic", "cannot be read"):
        load_folder(tmp_path / "d")


def test_access_that_is_denied_is_told(folder, monkeypatch):
    def denied(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("PIL.Image.open", denied)
    with raises_data_error(folder / "Greek/alpha/0.png", "Permission denied"):
        load_folder(folder)


def test_too_few_images_for_the_shots_are_refused(folder):
    dataset = load_folder(folder)
    with raises_data_error("'Greek/beta'", "has 2 images", "2 shots + 1 query"):
        EpisodeSampler(dataset, dataset.classes, 2, 2, 1, seed=0)


# A user's own task.


@pytest.fixture
def support(tmp_path):
    files = {"cat/1.png": page(10), "cat/2.png": page(12), "dog/1.png": page(30)}
    return write_files(tmp_path / "support", files)


def test_loose_query_images_have_no_labels(support, tmp_path):
    query = write_files(tmp_path / "query", {"b.png": page(30), "a.png": page(10)})
    task = read_new_task(support, query, Preprocess())
    assert task.classes == ("cat", "dog")
    x, y = task.support
    assert (x.shape, x.dtype) == ((3, 1, 28, 28), np.float32) and y.tolist() == [0, 0, 1]
    assert y.dtype == np.int64
    assert task.support_files == ("cat/1.png", "cat/2.png", "dog/1.png")
    assert task.query_files == ("a.png", "b.png") and task.query_labels is None
    # The same page gives the same pixels, in query and support alike.
    np.testing.assert_array_equal(task.query, x[[0, 2]])


def test_query_class_folders_give_labels(support, tmp_path):
    query = write_files(tmp_path / "query", {"dog/1.png": page(30), "dog/2.png": page(28)})
    task = read_new_task(support, query, Preprocess())
    assert task.query_labels.tolist() == [1, 1] and task.query.shape == (2, 1, 28, 28)


def test_a_photo_is_read_like_the_datasets_drawings(support, tmp_path):
    query = {"photo.png": page(10, paper=190, ink=60), "negative.png": page(10, paper=0, ink=255)}
    task = read_new_task(support, write_files(tmp_path / "query", query), Preprocess())
    np.testing.assert_array_equal(task.query, task.support[0][[0, 0]])


def test_the_datasets_preprocessing_is_used(support):
    task = read_new_task(support, support, Preprocess(14, 3, "keep"))
    assert task.support[0].shape == (3, 3, 14, 14)
    assert task.support[0][0, :, -1, -1].tolist() == [1, 1, 1]  # paper stays white
    np.testing.assert_array_equal(task.query, task.support[0])


def test_a_support_of_one_class_is_refused(support, tmp_path):
    one = write_files(tmp_path / "one", {"cat/1.png": page(9)})
    with raises_data_error(one, "1 class", "at least 2"):
        read_new_task(one, support, Preprocess())


def test_loose_support_images_are_refused(support):
    write_files(support, {"loose.png": page(9)})
    with raises_data_error(support / "loose.png", "support", "expected one folder"):
        read_new_task(support, support, Preprocess())


def test_a_missing_query_is_refused(support, tmp_path):
    with raises_data_error(tmp_path / "none", "no such folder", "query"):
        read_new_task(support, tmp_path / "none", Preprocess())


def test_an_empty_query_is_refused(support, tmp_path):
    (tmp_path / "query").mkdir()
    with raises_data_error(tmp_path / "query", "no images", "query"):
        read_new_task(support, tmp_path / "query", Preprocess())


def test_a_query_class_that_is_not_in_the_support_is_refused(support, tmp_path):
    query = write_files(tmp_path / "query", {"cat/1.png": page(9), "fox/1.png": page(9)})
    with raises_data_error(query / "fox", "'fox'", "'cat', 'dog'"):
        read_new_task(support, query, Preprocess())


def test_a_query_of_loose_images_and_folders_is_refused(support, tmp_path):
    query = write_files(tmp_path / "query", {"cat/1.png": page(9), "a.png": page(9)})
    with raises_data_error(query / "a.png", "loose image"):
        read_new_task(support, query, Preprocess())


def test_an_unreadable_query_image_is_refused(support, tmp_path):
    query = write_files(tmp_path / "query", {"a.png": b"not an image"})
    with raises_data_error(query / "a.png", "cannot be read"):
        read_new_task(support, query, Preprocess())


def test_query_and_support_images_that_cannot_be_read_are_left_out(support, tmp_path):
    query = {"cat/1.png": page(9), "cat/2.png": b"not an image", "dog/3.png": page(8)}
    write_files(tmp_path / "query", query)
    write_files(support, {"dog/broken.jpg": b"\xff\xd8"})
    task = read_new_task(support, tmp_path / "query", Preprocess())
    assert task.query_files == ("cat/1.png", "dog/3.png") and len(task.query) == 2
    assert [task.classes[k] for k in task.query_labels] == ["cat", "dog"]
    assert "dog/broken.jpg" not in task.support_files
    assert len(task.support[0]) == len(task.support[1]) == len(task.support_files)
    left_out = [
        note.removeprefix("1 image that cannot be read is left out: ") for note in task.notes
    ]
    assert left_out == [
        repr(str(support / "dog/broken.jpg")),
        repr(str(tmp_path / "query/cat/2.png")),
    ]


def test_a_class_of_the_support_of_which_nothing_can_be_read_is_refused(support, tmp_path):
    write_files(tmp_path / "query", {"a.png": page(9)})
    write_files(support, {"owl/1.png": b"not an image"})
    with raises_data_error(support / "owl", "none of its images can be read"):
        read_new_task(support, tmp_path / "query", Preprocess())


def test_a_file_in_the_place_of_the_query_folder_is_refused(support, tmp_path):
    write_files(tmp_path / "query", {"a.png": page(9)})
    with raises_data_error(tmp_path / "query" / "a.png", "a file", "folder it is in"):
        read_new_task(support, tmp_path / "query" / "a.png", Preprocess())
