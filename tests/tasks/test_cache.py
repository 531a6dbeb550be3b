"""The cache: found again, rebuilt when damaged, never a pickle."""

import os
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from metalearn.tasks import cache_dir
from metalearn.tasks.cache import atomic_write, cached


class Builder:
    """Counts how often it is asked to build."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"x": np.arange(1000, dtype=np.uint8), "names": np.array(["a", "ß"])}


def check(arrays):
    assert sorted(arrays) == ["names", "x"]
    np.testing.assert_array_equal(arrays["x"], np.arange(1000, dtype=np.uint8))
    assert arrays["names"].tolist() == ["a", "ß"]


def test_what_was_built_is_found_again(cache):
    build = Builder()
    check(cached("d", {"size": 28}, build))
    check(cached("d", {"size": 28}, build))
    assert build.calls == 1
    assert len(list(cache.iterdir())) == 1  # no temporary file is left


def test_another_key_or_name_is_built_anew():
    build = Builder()
    for name, key in (("d", {"size": 28}), ("d", {"size": 29}), ("e", {"size": 28})):
        cached(name, key, build)
    assert build.calls == 3


class _Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:700])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[data.index(bytes(range(50, 80))) + 3] ^= 1
    path.write_bytes(data)


def _empty(path):
    path.write_bytes(b"")


def _garbage(path):
    path.write_bytes(b"not arrays" * 100)


def _pickle(path):
    np.savez(path, x=np.array([_Runs(path.parent / "ran")], dtype=object))


@pytest.mark.parametrize("damage", [_truncate, _flip, _empty, _garbage, _pickle])
def test_a_damaged_file_is_built_anew(cache, damage):
    build = Builder()
    cached("d", 0, build)
    (file,) = cache.iterdir()
    damage(file)
    check(cached("d", 0, build))
    check(cached("d", 0, build))
    assert build.calls == 2
    assert not (cache / "ran").exists()  # a pickle would have run


def test_an_entry_that_says_it_is_encrypted_is_built_anew(cache):
    build = Builder()
    check(cached("d", 1, build))
    (path,) = cache.iterdir()
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= 1
    path.write_bytes(data)
    check(cached("d", 1, build))
    assert build.calls == 2


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("METAGRAD_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="METAGRAD_CACHE"):
        check(cached("d", 0, Builder()))


def test_the_cache_folder(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("METAGRAD_CACHE")
    assert cache_dir() == Path(platformdirs.user_cache_dir("metagrad"))


def test_a_file_appears_only_when_complete(tmp_path):
    path = tmp_path / "new" / "file"
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(path.parent) == []
    with atomic_write(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole" and os.listdir(path.parent) == ["file"]
