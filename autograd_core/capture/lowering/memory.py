"""The memory plan: where each value lies while it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from autograd_core.capture.lowering.places import Buffer
from kernels.native.text import BYTES

ALIGNMENT = 64


class Step(Protocol):
    """What is asked of a step: the buffers that it reads and writes."""

    reads: list[Buffer]
    writes: list[Buffer]


def plan(steps: Sequence[Step]) -> tuple[dict[Buffer, int], int]:
    """Where each local buffer lies in the arena, in bytes, and how long that is.

    A buffer's memory is free for others once the last step that reads it is done: best fit.
    """
    last: dict[Buffer, int] = {}
    for n, step in enumerate(steps):
        for buffer in (*step.reads, *step.writes):
            if buffer.local:
                last[buffer] = n
    ends: dict[int, list[Buffer]] = {}
    for buffer, n in last.items():
        ends.setdefault(n, []).append(buffer)
    memory = _Memory()
    for n, step in enumerate(steps):
        for buffer in step.writes:
            if buffer.local:
                memory.take(buffer)
        for buffer in ends.get(n, ()):
            if buffer in memory.offsets:  # nobody writes an empty one
                memory.give_back(buffer)
    return memory.offsets, memory.total


class _Memory:
    """An arena in the making."""

    def __init__(self) -> None:
        self.offsets: dict[Buffer, int] = {}
        self.total = 0
        self._free: list[tuple[int, int]] = []  # (start, length), by start, none touching another

    def take(self, buffer: Buffer) -> None:
        """Find a place for a buffer that has none yet."""
        if buffer in self.offsets:
            return
        need = _length(buffer)
        fits = [(length, start) for start, length in self._free if length >= need]
        if fits:
            length, start = min(fits)
            self._free.remove((start, length))
            if length > need:
                self._free.append((start + need, length - need))
                self._free.sort()
        else:
            start = self.total
            if self._free and sum(self._free[-1]) == start:  # free memory at the end is extended
                start = self._free.pop()[0]
            self.total = start + need
        self.offsets[buffer] = start

    def give_back(self, buffer: Buffer) -> None:
        """Let others have a buffer's place."""
        joined: list[tuple[int, int]] = []
        for start, length in sorted([*self._free, (self.offsets[buffer], _length(buffer))]):
            if joined and sum(joined[-1]) == start:
                joined[-1] = joined[-1][0], joined[-1][1] + length
            else:
                joined.append((start, length))
        self._free = joined


def _length(buffer: Buffer) -> int:
    return -(-max(1, buffer.size) * BYTES[buffer.dtype] // ALIGNMENT) * ALIGNMENT
