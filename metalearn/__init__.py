"""Meta-learning on top of `autograd_core`: tasks, models, algorithms, training, command line.

import metalearn

model = metalearn.load("runs/omniglot").fit(x, y)  # see `metalearn.estimators`
model.predict(more)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metalearn.estimators import MetaClassifier, MetaRegressor, load

__all__ = ["MetaClassifier", "MetaRegressor", "load"]


def __getattr__(name: str) -> Any:
    """Public names, loaded when they are first used: importing the package takes no time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from metalearn import estimators

    return getattr(estimators, name)
