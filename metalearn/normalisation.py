"""Which statistics batch normalisation uses: five modes, of which a run always names one.

Bronskill et al. 2020, "TaskNorm", section 3, show how much of a published accuracy is this choice:
with the query batch's own statistics each query is told about the others.
"""

from collections.abc import Sequence
from typing import Any

import autograd_core as ac
from autograd_core import nn
from metalearn.errors import OptionError
from metalearn.models import Model

MODES = {
    "transductive": "support and query set each by their own statistics; queries see each other",
    "support": "the query set by the support set's statistics; each query is judged alone",
    "running": "training by each batch's own statistics, evaluation by their running averages",
    "per_step": "as running, with averages of their own for every inner step (MAML++)",
    "none": "no batch normalisation",
}

# The weight of a meta-batch's statistics in the running averages.
MOMENTUM = 0.1


def check_mode(mode: str) -> str:
    """Raise `OptionError` unless it is one of `MODES`."""
    if mode not in MODES:
        raise OptionError(f"batch norm {mode!r}; expected one of {', '.join(MODES)}")
    return mode


def has_averages(mode: str) -> bool:
    """Whether running averages are part of the state that is trained, saved and evaluated with."""
    return mode in ("running", "per_step")


def initial_averages(mode: str, model: Model, steps: int) -> Any:
    """Averages before training: mean 0 and variance 1 of each channel of each block.

    (C,) arrays; in mode `per_step` (steps + 1, C), a row for the parameters after 0, 1, … inner
    steps (Antoniou et al. 2019, "How to train your MAML", section 4, "per-step batch
    normalization running statistics"). `()` in modes without averages.
    """
    if not has_averages(mode):
        return ()
    lead = (steps + 1,) if mode == "per_step" else ()
    return tuple(
        nn.Statistics(ac.zeros((*lead, channels), "float32"), ac.ones((*lead, channels), "float32"))
        for channels in model.normalised
    )


def averages_at(mode: str, averages: Any, step: int) -> Any:
    """What to normalise with, after `step` inner steps, where running averages are used.

    Beyond the steps that were trained, the last ones serve.
    """
    if mode == "running":
        return averages
    return ac.tree_map(lambda rows: rows[min(step, rows.shape[0] - 1)], averages)


def collected(mode: str, passes: Sequence[Any]) -> Any:
    """The statistics of a task's forward passes, one an inner step and one for the query set, in
    the form of the averages."""
    if not has_averages(mode):
        return ()
    stacked = ac.tree_map(lambda *rows: ac.stack(rows), *passes)
    if mode == "per_step":
        return stacked
    return ac.tree_map(lambda rows: ac.mean(rows, axis=0), stacked)


def updated(averages: Any, batch: Any) -> Any:
    """The averages after one more meta-batch: (1 − momentum) · averages + momentum · batch."""
    return ac.tree_map(lambda a, b: (1 - MOMENTUM) * a + MOMENTUM * b, averages, batch)
