"""Omniglot: read from zips or folders, downloaded, cached, and judged by what it holds."""

import hashlib
import shutil
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from metalearn.tasks import (
    EpisodeSampler,
    load_omniglot,
    omniglot,
    omniglot_alphabet_split,
    omniglot_split,
)

from .helpers import (
    drawing,
    huge_png,
    png,
    raises_data_error,
    small_omniglot,
    write_files,
    write_zip,
)

BACKGROUND, EVALUATION = "images_background", "images_evaluation"


def change(folder, half, changes):
    """Rewrite a zip with some files replaced, added, or (None) removed."""
    files = {**small_omniglot(half), **changes}
    kept = {name: data for name, data in files.items() if data is not None}
    return write_zip(folder / f"{half}.zip", kept)


def first_file(half=BACKGROUND):
    return next(iter(small_omniglot(half)))


# What is read.


def test_the_dataset(small):
    dataset = load_omniglot(small)
    assert dataset.name == "omniglot" and dataset.rotations == (0, 90, 180, 270)
    assert dataset.images.shape == (180, 1, 28, 28) and dataset.images.dtype == np.uint8
    assert dataset.counts.tolist() == [20] * 9
    assert dataset.classes[0] == "images_background/Greek/character01"
    assert dataset.classes[-1] == "images_evaluation/Tengwar/character01"
    # Ink is 1 and paper 0, and the bar lies at the top left, where it was drawn.
    x = dataset.of_class(dataset.classes[0])
    assert x.dtype == np.float32 and x.min() == 0 and x.max() > 0.95
    assert x[:, 0, 3, 3:5].min() > 0.9 and not x[:, 0, 10:].any()
    # Later characters have a longer bar.
    ink = [dataset.of_class(name).sum() for name in dataset.classes[:5]]
    assert ink == sorted(ink) and ink[0] < ink[4]


def test_every_form_of_the_files_is_the_same_dataset(small, tmp_path):
    digest = load_omniglot(small).digest
    unpacked = tmp_path / "unpacked"
    for half in (BACKGROUND, EVALUATION):
        write_files(unpacked, small_omniglot(half))
    assert load_omniglot(unpacked).digest == digest
    clone = tmp_path / "clone"
    shutil.copytree(small, clone / "python")
    assert load_omniglot(str(clone)).digest == digest
    assert load_omniglot((small / f"{BACKGROUND}.zip", unpacked / EVALUATION)).digest == digest


def test_files_beside_the_images_do_no_harm(small):
    digest = load_omniglot(small).digest
    extra = {f"__MACOSX/{first_file()}": b"x", f"{BACKGROUND}/Greek/.DS_Store": b"x"}
    change(small, BACKGROUND, {**extra, f"{BACKGROUND}/Greek/character01/._0001_01.png": b"x"})
    assert load_omniglot(small).digest == digest


def test_another_size(small):
    assert load_omniglot(small, size=14).images.shape == (180, 1, 14, 14)


# The cache.


def test_the_second_read_decodes_nothing(small):
    calls = []
    first = load_omniglot(small, progress=lambda *call: calls.append(call))
    assert calls[-1] == ("reading Omniglot", 180, 180)
    calls.clear()
    second = load_omniglot(small, progress=lambda *call: calls.append(call))
    assert calls == [] and second.digest == first.digest and second.classes == first.classes


def test_a_corrupt_cache_is_built_anew(small, cache):
    digest = load_omniglot(small).digest
    (file,) = cache.glob("*.npz")
    file.write_bytes(file.read_bytes()[:5000])
    assert load_omniglot(small).digest == digest


def test_changed_files_are_read_anew(small):
    digest = load_omniglot(small).digest
    change(small, BACKGROUND, {first_file(): drawing(60)})
    assert load_omniglot(small).digest != digest


def test_without_the_cache_nothing_is_written(small, cache):
    load_omniglot(small, cache=False)
    assert not cache.exists()


# Bad input.


def test_a_missing_folder_is_refused(tmp_path):
    with raises_data_error(tmp_path / "none", "no such folder", "download"):
        load_omniglot(tmp_path / "none")


def test_a_missing_half_is_refused(small):
    (small / f"{EVALUATION}.zip").unlink()
    with raises_data_error(small, EVALUATION, "expected", "download"):
        load_omniglot(small)


def test_a_missing_file_of_a_pair_is_refused(small):
    pair = (small / f"{BACKGROUND}.zip", small / "none.zip")
    with raises_data_error(small / "none.zip", "no such file", EVALUATION):
        load_omniglot(pair)


def test_one_path_in_place_of_a_pair_is_refused(small):
    with raises_data_error("1 paths", BACKGROUND, EVALUATION):
        load_omniglot([small])


def test_background_given_twice_is_refused(small):
    shutil.copy(small / f"{BACKGROUND}.zip", small / f"{EVALUATION}.zip")
    with raises_data_error(f"{EVALUATION}.zip: this is {BACKGROUND}", f"expected {EVALUATION}"):
        load_omniglot(small)


def test_a_truncated_zip_is_refused(small):
    path = small / f"{EVALUATION}.zip"
    path.write_bytes(path.read_bytes()[:-3000])
    with raises_data_error(path, "not a complete zip", "download"):
        load_omniglot(small)


def test_a_zip_of_something_else_is_refused(small):
    write_zip(small / f"{BACKGROUND}.zip", {"report.txt": b"text", "a/b/c.png": drawing(1)})
    with raises_data_error(f"{BACKGROUND}.zip", "0 alphabets", "expected", "5 characters"):
        load_omniglot(small)


@pytest.mark.parametrize("extra", [True, False])
def test_another_number_of_drawings_is_refused(small, extra):
    name = f"{BACKGROUND}/Greek/character01/0001_21.png"
    change(small, BACKGROUND, {name: drawing(1)} if extra else {first_file(): None})
    with raises_data_error(f"{BACKGROUND}.zip", f"{101 if extra else 99} drawings", "20 drawings"):
        load_omniglot(small)


def test_a_drawing_of_another_size_is_refused(small):
    change(small, BACKGROUND, {first_file(): png(np.ones((104, 105), bool))})
    with raises_data_error(first_file(), "105×104", "expected 105×105"):
        load_omniglot(small)


def test_a_drawing_too_large_in_pixels_is_refused(small):
    change(small, BACKGROUND, {first_file(): huge_png()})
    with raises_data_error(first_file(), "too large"):
        load_omniglot(small)


def test_an_unreadable_drawing_is_refused(small):
    change(small, BACKGROUND, {first_file(): b"not an image"})
    with raises_data_error(first_file(), "cannot be read"):
        load_omniglot(small)


def test_a_climbing_entry_is_refused(small):
    change(small, BACKGROUND, {"../../evil.png": drawing(1)})
    with raises_data_error(f"{BACKGROUND}.zip", "../../evil.png", "leads out"):
        load_omniglot(small)


def test_a_zip_bomb_is_refused(small):
    write_zip(small / f"{BACKGROUND}.zip", {first_file(): bytes(1 << 24)}, method=8)
    with raises_data_error(f"{BACKGROUND}.zip", "16,777,216 bytes", "expected at most"):
        load_omniglot(small)


# The download.


@pytest.fixture
def server(small, monkeypatch):
    """Serve the small zips, with their checksums published; `server.sent` counts requests."""
    files = {
        f"/{half}.zip": (small / f"{half}.zip").read_bytes() for half in (BACKGROUND, EVALUATION)
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            http.sent += 1
            data = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: http.limit])

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.sent, http.limit, http.files = 0, None, files
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(omniglot, "URL", f"http://127.0.0.1:{http.server_port}/")
    for attribute, half in (("BACKGROUND", BACKGROUND), ("EVALUATION", EVALUATION)):
        md5 = hashlib.md5(files[f"/{half}.zip"]).hexdigest()
        monkeypatch.setattr(omniglot, attribute, getattr(omniglot, attribute)._replace(md5=md5))
    yield http
    http.shutdown()
    http.server_close()
    thread.join()


def test_without_a_path_it_is_downloaded_once(server, small):
    calls = []
    dataset = load_omniglot(progress=lambda *call: calls.append(call))
    assert dataset.digest == load_omniglot(small).digest
    size = len(server.files[f"/{BACKGROUND}.zip"])
    assert (f"downloading {BACKGROUND}.zip", size, size) in calls
    load_omniglot()
    assert server.sent == 2


def test_a_damaged_download_is_fetched_again(server, cache):
    digest = load_omniglot().digest
    (file,) = cache.rglob(f"{EVALUATION}.zip")
    file.write_bytes(file.read_bytes()[:-10])
    assert load_omniglot().digest == digest and server.sent == 3


def test_a_download_with_the_wrong_checksum_is_refused(server, cache):
    server.files[f"/{BACKGROUND}.zip"] += b"x"
    with raises_data_error(f"{BACKGROUND}.zip", "MD5", omniglot.BACKGROUND.md5, "try again"):
        load_omniglot()
    assert list(cache.rglob("*.zip")) == []


def test_a_download_that_is_cut_off_is_refused(server, cache):
    server.limit = 1000
    with raises_data_error(f"{BACKGROUND}.zip"):
        load_omniglot()
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_download_without_end_is_refused(server, monkeypatch):
    monkeypatch.setattr(omniglot, "MAX_DOWNLOAD", 5000)
    with raises_data_error(f"{BACKGROUND}.zip", "more than 5,000 bytes"):
        load_omniglot()


def test_offline_is_one_clear_error(server, monkeypatch):
    server.server_close()  # the port is closed now, so that the connection is refused
    with raises_data_error("cannot download", server.server_port, "go online", "--data"):
        load_omniglot()


def test_the_published_checksums_and_counts():
    assert omniglot.BACKGROUND[1:] == (30, 964, "68d2efa1b9178cc56df9314c21c6e718")
    assert omniglot.EVALUATION[1:] == (20, 659, "6b91aef0f799c5bb55b94e3f2daec811")
    assert omniglot.URL.startswith("https://raw.githubusercontent.com/brendenlake/omniglot/")


# The real one.


def test_the_real_omniglot(real_omniglot):
    dataset = load_omniglot(real_omniglot)
    assert dataset.images.shape == (32_460, 1, 28, 28)
    assert len(dataset.classes) == 1623 and set(dataset.counts.tolist()) == {20}
    background = [c for c in dataset.classes if c.startswith(BACKGROUND)]
    assert (len(background), 1623 - len(background)) == (964, 659)
    alphabets = [
        {c.split("/")[1] for c in dataset.classes if c.startswith(half)}
        for half in (BACKGROUND, EVALUATION)
    ]
    assert [len(a) for a in alphabets] == [30, 20]
    # Strokes are ink, of which there is little.
    assert 0.07 < dataset.images.mean() / 255 < 0.10

    random, official = omniglot_split(dataset.classes), omniglot_alphabet_split(dataset.classes)
    assert len(random.train + random.validation) == 1200 and len(random.test) == 423
    assert len(official.train + official.validation) == 964 and len(official.test) == 659

    begin = time.perf_counter()
    again = load_omniglot(real_omniglot)
    # Zips take 0.02 s; a folder of 32,460 files has to be listed first.
    assert time.perf_counter() - begin < 2
    assert again.digest == dataset.digest

    sampler = EpisodeSampler(dataset, random.test, 20, 1, 1, seed=0, stream="test")
    episodes = sampler.draw(0, range(50))
    assert {dataset.classes[i] for i in episodes.classes.flat} <= set(random.test)
