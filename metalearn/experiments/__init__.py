"""Experiments by name: configurations of what this project is for, rerun by
`metalearn experiment NAME`. A new one is one file here and one line in `EXPERIMENTS`."""

from collections.abc import Mapping

from metalearn.experiments.base import Experiment
from metalearn.experiments.continual import ContinualExperiment
from metalearn.experiments.cross_domain import CrossDomainExperiment
from metalearn.experiments.omniglot import OmniglotExperiment
from metalearn.experiments.scarce_data import ScarceDataExperiment

EXPERIMENTS: Mapping[str, type[Experiment]] = {
    made.name: made
    for made in (
        CrossDomainExperiment,
        ScarceDataExperiment,
        OmniglotExperiment,
        ContinualExperiment,
    )
}
