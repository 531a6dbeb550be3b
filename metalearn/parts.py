"""Parts of a network's parameters: the head, the body, and what scales and shifts.

The head is the entry "head" of a dictionary, or the last of a list of layers; the body is the rest.
"""

from collections.abc import Callable
from typing import Any

import autograd_core as ac
from metalearn.errors import OptionError

PARTS = {
    "all": "every parameter",
    "head": "the last layer",
    "body": "all but the last layer",
    "weights": "all but the scales and shifts of batch norm",
}
NORMS = ("['scale']", "['shift']")


def partition(params: Any, part: str) -> tuple[Any, Callable[[Any], Any]]:
    """A part of some parameters, and the function that puts another such part in its place.

    The part is a tree of the same containers, with None for what does not belong to it. Raises
    `OptionError` for a part that these parameters have not.
    """
    if part == "all":
        return params, lambda chosen: chosen
    leaves, structure = ac.tree_flatten(params)
    belongs = [_belongs(path, part, params) for path in ac.tree.tree_paths(params)]
    if not any(belongs):
        raise OptionError(f"adapts={part!r}: these parameters have no such part")

    def joined(chosen: Any) -> Any:
        news = iter(ac.tree_leaves(chosen))
        olds_and_news = [
            next(news) if is_new else old for old, is_new in zip(leaves, belongs, strict=True)
        ]
        return ac.tree_unflatten(structure, olds_and_news)

    chosen = [leaf if is_new else None for leaf, is_new in zip(leaves, belongs, strict=True)]
    return ac.tree_unflatten(structure, chosen), joined


def _belongs(path: str, part: str, params: Any) -> bool:
    if part == "weights":
        return not path.endswith(NORMS)
    return path.startswith(f"[{head_key(params)!r}]") == (part == "head")


def head_key(params: Any) -> Any:
    """Where the head is: a dictionary's key, or a list's last place. Raises `OptionError`."""
    if isinstance(params, dict) and "head" in params:
        return "head"
    if isinstance(params, list) and params:
        return len(params) - 1
    raise OptionError(
        f"the parameters are a {type(params).__name__} without a head; expected a dictionary whose "
        'entry "head" is the last layer, or a list of layers'
    )


def head_of(params: Any) -> Any:
    """The last layer's parameters."""
    return params[head_key(params)]


def with_head(params: Any, head: Any) -> Any:
    """The same parameters with another last layer."""
    if isinstance(params, list):
        return [*params[:-1], head]
    return {**params, head_key(params): head}


def with_outputs(params: Any, ways: int) -> Any:
    """The parameters of a classifier with its first `ways` outputs alone.

    Labels of training episodes are shuffled, so no output of the initialisation is special.
    """
    return with_head(params, ac.tree_map(lambda array: array[..., :ways], head_of(params)))
