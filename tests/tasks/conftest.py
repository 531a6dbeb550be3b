"""A cache of its own for every test, a small Omniglot, and the real one where it lies."""

import os
from pathlib import Path

import pytest

from metalearn.tasks import omniglot

from .helpers import ALPHABETS, small_omniglot, write_zip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep the user's cache out of the tests."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("METAGRAD_CACHE", str(folder))
    return folder


@pytest.fixture
def halves(monkeypatch):
    """Let the reader expect the small Omniglot."""
    for attribute, name in (
        ("BACKGROUND", "images_background"),
        ("EVALUATION", "images_evaluation"),
    ):
        alphabets = ALPHABETS[name]
        half = omniglot.Half(name, len(alphabets), sum(alphabets.values()), md5="0" * 32)
        monkeypatch.setattr(omniglot, attribute, half)


@pytest.fixture
def small(tmp_path, halves):
    """A folder with both zips of the small Omniglot."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ALPHABETS:
        write_zip(folder / f"{name}.zip", small_omniglot(name))
    return folder


@pytest.fixture
def real_omniglot():
    """The folder of the real Omniglot: $METAGRAD_OMNIGLOT, or beside the repository."""
    beside = Path(__file__).parents[2].parent / "shared" / "data" / "omniglot"
    folder = Path(os.environ.get("METAGRAD_OMNIGLOT") or beside)
    if (
        not (folder / "images_background.zip").exists()
        and not (folder / "images_background").exists()
    ):
        pytest.skip(f"no Omniglot at {folder}; set METAGRAD_OMNIGLOT to the folder of its zips")
    return folder
