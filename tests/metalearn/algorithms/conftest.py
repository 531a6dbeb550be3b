import pytest

from autograd_core import random
from metalearn.learner import MSE, Learner

from .common import doubles, smooth_mlp


@pytest.fixture
def learner() -> Learner:
    return Learner(smooth_mlp(), MSE, "none")


@pytest.fixture
def params():
    return doubles(smooth_mlp().init(random.key(3)))
