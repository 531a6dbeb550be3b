"""Every primitive there is: those that importing all of this package registers."""

from __future__ import annotations

import importlib
import pkgutil

import autograd_core
from autograd_core.primitive import REGISTRY

NEED_TEST_PACKAGES = {
    f"autograd_core.testing.{name}" for name in ("plugin", "programs", "properties", "strategies")
}
"""Modules that import Hypothesis or pytest, and register nothing."""


def import_everything() -> list[str]:
    """Import every module of `autograd_core`; the names of all primitives registered then."""
    for module in pkgutil.walk_packages(autograd_core.__path__, "autograd_core."):
        if module.name not in NEED_TEST_PACKAGES:
            importlib.import_module(module.name)
    return sorted(REGISTRY)
