"""Zips that are broken or hostile, and the folders beside them."""

import os
import struct
import zipfile

import pytest

from metalearn.tasks import archives
from metalearn.tasks.archives import Limits, fingerprint, open_source

from .helpers import raises_data_error, write_files, write_zip

LIMITS = Limits(file=10_000, total=50_000)
FILES = {"b/two.txt": b"2", "a.txt": b"1", "b/c/three.txt": b"3"}


def read_all(path, limits=LIMITS):
    with open_source(path, limits) as source:
        return {name: source.read(name) for name in source.names}


def test_a_zip_and_a_folder_read_alike(tmp_path):
    zipped = read_all(write_zip(tmp_path / "a.zip", FILES))
    folder = read_all(write_files(tmp_path / "a", FILES))
    assert zipped == folder == FILES
    assert list(zipped) == list(folder) == ["a.txt", "b/c/three.txt", "b/two.txt"]


def test_hidden_files_of_a_folder_are_left_out(tmp_path):
    write_files(tmp_path / "a", {**FILES, ".DS_Store": b"", "b/.git/x.txt": b""})
    assert read_all(tmp_path / "a") == FILES


def test_a_missing_path_is_named(tmp_path):
    with raises_data_error(tmp_path / "none.zip", "no such file"):
        read_all(tmp_path / "none.zip")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
def test_a_truncated_zip_is_refused(tmp_path, kept):
    path = write_zip(tmp_path / "a.zip", FILES)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with raises_data_error(path, "not a complete zip", "download"):
        read_all(path)


def test_a_damaged_entry_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.txt": b"precious" * 20})
    path.write_bytes(path.read_bytes().replace(b"preciouspre", b"brokenxxpre", 1))
    with raises_data_error(path, "a.txt", "damaged"):
        read_all(path)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/etc/evil.txt",
        "a\\..\\..\\evil.txt",
        "\\evil.txt",
        "C:\\evil.txt",
        "C:evil.txt",
        "..",
    ],
)
def test_an_entry_that_climbs_out_is_refused(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", {**FILES, name: b"x"})
    with raises_data_error(path, repr(name), "leads out"):
        read_all(path)


def test_dots_within_a_name_are_no_harm(tmp_path):
    files = {"a/..b/c..txt": b"x", "a.b": b"y"}
    assert read_all(write_zip(tmp_path / "a.zip", files)) == files


def test_a_symbolic_link_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with raises_data_error(path, "'link'", "symbolic link"):
        read_all(path)


def test_an_encrypted_entry_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.txt": b"x"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(data)
    with raises_data_error(path, "'a.txt'", "encrypted"):
        read_all(path)


def test_a_rare_packing_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.txt": b"x"}, zipfile.ZIP_LZMA)
    with raises_data_error(path, "'a.txt'", "expected stored or deflated"):
        read_all(path)


def test_an_entry_that_unpacks_to_too_much_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"bomb": bytes(10_001)}, zipfile.ZIP_DEFLATED)
    with raises_data_error(path, "'bomb'", "10,001 bytes", "at most 10,000"):
        read_all(path)


def test_many_entries_that_unpack_to_too_much_are_refused(tmp_path):
    files = {f"bomb{i}": bytes(9000) for i in range(6)}
    path = write_zip(tmp_path / "a.zip", files, zipfile.ZIP_DEFLATED)
    with raises_data_error(path, "54,000 bytes", "at most 50,000"):
        read_all(path)


def test_a_header_that_lies_about_the_size_is_found_out(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"bomb": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    true, claimed = struct.pack("<I", 5_000_000), struct.pack("<I", 100)
    assert path.read_bytes().count(true) == 2  # the local header and the central directory
    path.write_bytes(path.read_bytes().replace(true, claimed))
    with raises_data_error(path, "bomb", "cannot be unpacked"):
        read_all(path)


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_ENTRIES", 2)
    path = write_zip(tmp_path / "a.zip", FILES)
    with raises_data_error(path, "3 entries", "at most 2"):
        read_all(path)


def test_a_large_file_in_a_folder_is_refused(tmp_path):
    write_files(tmp_path / "a", {"big.txt": bytes(10_001)})
    with raises_data_error(tmp_path / "a" / "big.txt", "10,000"):
        read_all(tmp_path / "a")


def test_links_are_followed(tmp_path):
    write_files(tmp_path / "a", FILES)
    (tmp_path / "linked").mkdir()
    os.symlink(tmp_path / "a" / "b", tmp_path / "linked" / "b")
    os.symlink(tmp_path / "a" / "a.txt", tmp_path / "linked" / "a.txt")
    assert read_all(tmp_path / "linked") == FILES


def test_a_link_that_goes_round_in_circles(tmp_path):
    write_files(tmp_path / "a", FILES)
    os.symlink(tmp_path / "a", tmp_path / "a" / "b" / "loop")
    with raises_data_error("loop", "lies in", "remove it"):
        read_all(tmp_path / "a")


def test_a_link_to_nothing(tmp_path):
    write_files(tmp_path / "a", FILES)
    os.symlink(tmp_path / "gone.png", tmp_path / "a" / "b" / "lost.png")
    with raises_data_error("lost.png", "link to nothing"):
        read_all(tmp_path / "a")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_an_entry_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for _ in range(2):
            archive.writestr("b/two.txt", b"2")
    with raises_data_error("a.zip", "b/two.txt", "twice"):
        read_all(tmp_path / "a.zip")


def test_the_fingerprint_of_a_zip_is_of_its_bytes(tmp_path):
    path = write_zip(tmp_path / "a.zip", FILES)
    before = fingerprint(path)
    os.utime(path, (0, 0))
    assert fingerprint(path) == before
    write_zip(path, {**FILES, "a.txt": b"changed"})
    assert fingerprint(path) != before


def test_the_fingerprint_of_a_folder_changes_with_its_files(tmp_path):
    folder = write_files(tmp_path / "a", FILES)
    prints = [fingerprint(folder)]
    assert fingerprint(folder) == prints[0]
    os.utime(folder / "a.txt", (1, 1))
    prints.append(fingerprint(folder))
    status = (folder / "b/two.txt").stat()
    (folder / "b/two.txt").write_bytes(b"22")
    os.utime(folder / "b/two.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    prints.append(fingerprint(folder))
    (folder / "b/two.txt").rename(folder / "b/four.txt")
    prints.append(fingerprint(folder))
    assert len(set(prints)) == 4


def test_the_fingerprint_of_nothing_names_it(tmp_path):
    with raises_data_error(tmp_path / "none.zip", "cannot be read"):
        fingerprint(tmp_path / "none.zip")
