"""Experiments by name: configurations of what this project is for, rerun by
`metalearn experiment NAME`. A new one is one file here and one line in `EXPERIMENTS`."""

from collections.abc import Mapping

from metalearn.experiments.base import Experiment
from metalearn.experiments.continual import Continual

EXPERIMENTS: Mapping[str, type[Experiment]] = {"continual": Continual}
