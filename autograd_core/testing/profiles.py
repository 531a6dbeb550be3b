"""How much checks do: a few examples while one works, many before a release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Profile:
    """What checks do unless they are told otherwise.

    Attributes:
        examples: how many arguments `check_property` draws.
        order: of the highest derivatives that `check_grads` looks at.
        entries: whether it looks at every entry of first derivatives.
        seeds: how often it looks, each time along other directions.
        property_order: of the highest derivatives that `check_property` looks at.
        seed: of directions and places.
    """

    examples: int
    order: int
    entries: bool
    seeds: int
    property_order: int = 3
    seed: int = 0


PROFILES = {
    "quick": Profile(examples=12, order=2, entries=False, seeds=1),
    "ci": Profile(examples=40, order=3, entries=False, seeds=1),
    "thorough": Profile(examples=300, order=3, entries=True, seeds=4),
}
_current = [PROFILES["quick"]]


def profile_of(name: str | None) -> Profile:
    """The profile of a name; the current one where none is given.

    Raises:
        ValueError: there is none of that name.
    """
    if name is None:
        return _current[-1]
    if name not in PROFILES:
        raise ValueError(f"profile={name!r}; expected one of {', '.join(map(repr, PROFILES))}")
    return PROFILES[name]


@contextmanager
def profile(name: str | None = None, **changes: Any) -> Iterator[None]:
    """Another profile while inside, some of its attributes changed.

        with profile("thorough", order=2): ...

    Raises:
        ValueError: there is none of that name.
    """
    _current.append(replace(profile_of(name), **changes))
    try:
        yield
    finally:
        _current.pop()
