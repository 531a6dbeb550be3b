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
    """The leaves of a tree, and its structure.

    Tuples, named tuples, lists and dicts are nodes, and None is a tree without leaves; anything
    else is a leaf.

    >>> leaves, structure = ac.tree_flatten({"w": [1.0, 2.0], "b": (3.0, None)})
    >>> leaves
    [3.0, 1.0, 2.0]
    >>> ac.tree_unflatten(structure, [10.0 * x for x in leaves])
    {'w': [10.0, 20.0], 'b': (30.0, None)}
    """
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    return leaves, structure


def tree_unflatten(structure: Any, leaves: Any) -> Any:
    """The tree of a structure and leaves: the inverse of `tree_flatten`.

    Raises:
        ValueError: there are not as many leaves as the structure has places.

    >>> _, structure = ac.tree_flatten({"a": 0, "b": [0, 0]})
    >>> ac.tree_unflatten(structure, [1, 2, 3])
    {'a': 1, 'b': [2, 3]}
    """
    return optree.tree_unflatten(structure, leaves)


def tree_map(function: Callable, tree: Any, *rest: Any) -> Any:
    """The tree of `function(leaf, *leaves of rest)`.

    Raises:
        ValueError: the trees differ in structure.

    >>> params, grads = {"w": 1.0, "b": 2.0}, {"w": 5.0, "b": 10.0}
    >>> ac.tree_map(lambda p, g: p - 0.1 * g, params, grads)
    {'w': 0.5, 'b': 1.0}
    """
    return optree.tree_map(function, tree, *rest, namespace=NAMESPACE)


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, in the order of `tree_flatten`.

    >>> ac.tree_leaves({"w": [1.0, 2.0], "b": 3.0})
    [3.0, 1.0, 2.0]
    """
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
