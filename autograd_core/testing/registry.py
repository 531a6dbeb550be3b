"""Every primitive there is: those that importing all of this package registers."""

from __future__ import annotations

import importlib
import pkgutil

import autograd_core
from autograd_core.primitive import REGISTRY

NEEDS_HYPOTHESIS = {"autograd_core.testing.programs", "autograd_core.testing.strategies"}


def import_everything() -> list[str]:
    """Import every module of `autograd_core`; the names of all primitives registered then."""
    for module in pkgutil.walk_packages(autograd_core.__path__, "autograd_core."):
        if module.name not in NEEDS_HYPOTHESIS:
            importlib.import_module(module.name)
    return sorted(REGISTRY)
