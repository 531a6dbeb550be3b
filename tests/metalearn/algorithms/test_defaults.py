"""Defaults at which algorithms learn sinusoids, where those of all others diverge."""

import math

import pytest

from metalearn.config import make_config
from tests.metalearn.helpers import train

UNTRAINED = 20.0
"""The error of a network as it is initialised, about."""


@pytest.mark.parametrize("name", ["anil", "meta-curvature", "joint", "scratch"])
def test_short_runs_on_sinusoids_do_not_diverge(tmp_path, name):
    budget = {} if name == "scratch" else {"iterations": 200, "validate_every": 100}
    given = {"algorithm": name, "validation_episodes": 50, **budget}
    run = train(tmp_path / "run", make_config("sinusoid", given))
    for line in run.metrics.read():
        for row in line.get("scores", ()):
            assert row["mean"] is not None and math.isfinite(row["mean"])
    assert run.metrics.read()[-1]["validation"]["mean"] < UNTRAINED / 2


def test_tables_keep_the_defaults_of_tables(tmp_path):
    (tmp_path / "t.csv").touch()
    for name in ("anil", "meta-curvature"):
        given = {"algorithm": name, "target": "y", "task_column": "task"}
        made = make_config(str(tmp_path / "t.csv"), given, True)
        assert (made.inner_lr, made.inner_steps, made.eval_steps) == (0.01, 5, 5)
