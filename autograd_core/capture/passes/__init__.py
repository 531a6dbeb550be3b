"""Passes: each turns a graph into a better one that computes the same values.

Each is a function of a graph alone, so it can be switched off by leaving it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autograd_core.capture.graph import Graph, check
from autograd_core.capture.passes.algebra import simplify
from autograd_core.capture.passes.constants import fold_constants
from autograd_core.capture.passes.dead import drop_dead
from autograd_core.capture.passes.duplicates import merge_duplicates
from autograd_core.capture.passes.expand import expand
from autograd_core.capture.passes.inline import inline
from autograd_core.capture.passes.masks import masks_from_arguments
from autograd_core.capture.passes.pooling import expand_pooling

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (
    drop_dead,
    inline,
    expand,
    expand_pooling,
    drop_dead,
    fold_constants,
    merge_duplicates,  # so that rules know what has one reader
    simplify,
    merge_duplicates,
    masks_from_arguments,
    drop_dead,
)


FOR_TURNS: tuple[Pass, ...] = (simplify, drop_dead)
"""What can be done once more where a mapped axis has become one of length 1."""


def improve(graph: Graph, passes: Sequence[Pass] = PASSES) -> Graph:
    """The graph after all passes, checked."""
    for each in passes:
        graph = each(graph)
    return check(graph)


def improved(graph: Graph) -> Graph:
    """The body of control flow after all passes, kept with it."""
    if graph.better is None:
        graph.better = improve(graph)
    return graph.better
