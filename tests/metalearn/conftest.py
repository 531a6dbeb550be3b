"""A cache of its own for every test, few glyphs, and trained runs to look at."""

import pytest

from metalearn import catalogue, commands

from .helpers import small_config, train


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """What is compiled is compiled once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(shared_cache, monkeypatch):
    """Keep the user's cache and environment out of the tests."""
    monkeypatch.setenv("METAGRAD_CACHE", str(shared_cache))
    monkeypatch.delenv("METALEARN_TRACEBACK", raising=False)


@pytest.fixture(autouse=True)
def less_work(monkeypatch):
    """40 characters in place of 1,200, which take seconds to draw, and a short final evaluation."""
    monkeypatch.setattr(catalogue, "GLYPHS", {"classes": 40, "samples": 12, "seed": 0})
    monkeypatch.setattr(commands, "FINAL_EPISODES", 20)


@pytest.fixture(scope="session")
def waves_run(tmp_path_factory):
    """A trained run on sinusoids. Not to be changed."""
    return train(tmp_path_factory.mktemp("runs") / "waves", small_config())


@pytest.fixture(scope="session")
def glyphs_run(tmp_path_factory):
    """A trained run on glyphs. Not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "GLYPHS", {"classes": 40, "samples": 12, "seed": 0})
        return train(tmp_path_factory.mktemp("runs") / "glyphs", small_config("glyphs"))
