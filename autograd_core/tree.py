"""Pytrees: nested containers of tensors, taken apart and put together by optree.

Tuples, lists, dictionaries, named tuples and registered classes are containers; `None` is an empty
one; anything else is a leaf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

NAMESPACE = "metagrad"


def tree_flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a tree, and its structure."""
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    return leaves, structure


def tree_unflatten(structure: Any, leaves: Any) -> Any:
    """The tree of a structure and leaves."""
    return optree.tree_unflatten(structure, leaves)


def tree_map(function: Callable, tree: Any, *rest: Any) -> Any:
    """The tree of `function(leaf, *leaves of rest)`.

    Raises:
        ValueError: the trees differ in structure.
    """
    return optree.tree_map(function, tree, *rest, namespace=NAMESPACE)


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves of a tree."""
    return optree.tree_leaves(tree, namespace=NAMESPACE)


def tree_structure(tree: Any) -> Any:
    """The structure of a tree."""
    return optree.tree_structure(tree, namespace=NAMESPACE)


def tree_children(tree: Any) -> list[Any]:
    """What a container holds, None among it; none for a leaf."""
    if optree.tree_is_leaf(tree, namespace=NAMESPACE):
        return []
    return list(optree.tree_flatten_one_level(tree, namespace=NAMESPACE)[0])


def tree_paths(tree: Any) -> list[str]:
    """A readable path for each leaf, such as "[0]['weight']"; empty for a tree that is a leaf."""
    return [accessor.codify("") for accessor in optree.tree_accessors(tree, namespace=NAMESPACE)]


def register_pytree(cls: type, flatten: Callable, unflatten: Callable) -> None:
    """Make a class a container.

    Args:
        cls: the class.
        flatten: `flatten(instance) -> (children, metadata)`.
        unflatten: `unflatten(metadata, children) -> instance`.
    """
    optree.register_pytree_node(cls, flatten, unflatten, namespace=NAMESPACE)
