"""Which launches of a program may run at the same time: what needs what, and streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

STREAMS = 4

Span = tuple[int, int, int]
"""A slot, and the first byte of it and the one behind the last."""


Placed = tuple[int, tuple[int, ...]]
"""The stream of a step, and earlier steps of other streams that it waits for."""


class Access(NamedTuple):
    """What a step reads and writes."""

    reads: Sequence[Span]
    writes: Sequence[Span]


class Turn(NamedTuple):
    """A step in its stream.

    Attributes:
        stream: by its number.
        after: earlier steps of other streams, by their numbers, that have to be done before.
        run: launches it.
    """

    stream: int
    after: tuple[int, ...]
    run: Callable[[], None]


def needs(steps: Sequence[Access]) -> list[set[int]]:
    """For each step the earlier ones that have to be done before: those that write what it reads,
    and those that read or write what it writes. What follows from others is left out in part."""
    seen: dict[int, list[tuple[Span, int, bool]]] = {}
    found = []
    for number, step in enumerate(steps):
        before = set()
        for span in step.reads:
            there = seen.get(span[0], [])
            before |= {n for other, n, wrote in there if wrote and _meet(span, other)}
        for span in step.writes:
            there = seen.get(span[0], [])
            before |= {n for other, n, _ in there if _meet(span, other)}
            seen[span[0]] = [x for x in there if not _covers(span, x[0])]
        for span in step.writes:
            seen.setdefault(span[0], []).append((span, number, True))
        for span in step.reads:
            seen.setdefault(span[0], []).append((span, number, False))
        found.append(before - {number})
    return found


def _meet(a: Span, b: Span) -> bool:
    return a[1] < b[2] and b[1] < a[2]


def _covers(a: Span, b: Span) -> bool:
    return a[1] <= b[1] and b[2] <= a[2]


def shared_out(before: Sequence[set[int]], streams: int = STREAMS) -> list[Placed]:
    """For each step a stream, and the steps of other streams that it waits for.

    A step goes on in the stream of the last one that it needs, if nothing came after that there;
    else in the stream that has been left alone for longest.
    """
    last = [-1] * streams
    known = [[-1] * streams for _ in range(streams)]  # up to where each stream waited for others
    stream_of: list[int] = []
    found = []
    for number, needed in enumerate(before):
        goes_on = [s for s in range(streams) if last[s] in needed]
        stream = max(goes_on, key=lambda s: last[s]) if goes_on else last.index(min(last))
        latest = [-1] * streams
        for n in needed:
            latest[stream_of[n]] = max(latest[stream_of[n]], n)
        waits = [n for s, n in enumerate(latest) if s != stream and n > known[stream][s]]
        for n in waits:
            known[stream][stream_of[n]] = n
        found.append((stream, tuple(waits)))
        stream_of.append(stream)
        last[stream] = number
    return found
