"""Hypothesis profiles: `ci` (the default) draws the same examples each time, `dev` new ones;
`unshrunk` is content with the first one that fails."""

import os
import sys

import pytest
from hypothesis import HealthCheck, Phase, settings

from autograd_core.capture.lowering import kept

# SciPy and scikit-learn look at it when they are imported: they take arrays of the standard.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "unshrunk", parent=settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate]
)
settings.register_profile("dev", parent=settings.get_profile("ci"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A process without tests left takes over another's: some modules take minutes."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(autouse=True)
def no_plans_of_other_tests(monkeypatch):
    """Tests that change how plans are made must not find those of others on disk."""
    monkeypatch.setattr(kept, "MANY", sys.maxsize)
