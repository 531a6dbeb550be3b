"""LLVM's assembly language: types, numbers, and a writer of functions."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

TYPES = {"f4": "float", "f8": "double", "i8": "i64", "i4": "i32", "b1": "i1"}
"""What is computed with."""
IN_MEMORY = {
    **TYPES,
    "b1": "i8",
    "i1": "i8",
    "i2": "i16",
    "u1": "i8",
    "u2": "i16",
    "u4": "i32",
    "u8": "i64",
    "f2": "half",
    "c8": "{ float, float }",
    "c16": "{ double, double }",
}
"""What is loaded, stored and copied."""
BYTES = {code: int(code[1:]) for code in IN_MEMORY}


def literal(value: float | int | bool, dtype: str) -> str:
    """A number as LLVM writes it: floats by their bits."""
    if dtype == "f4":
        value = struct.unpack("f", struct.pack("f", value))[0]
    if dtype in ("f4", "f8"):
        return "0x" + struct.pack(">d", value).hex().upper()
    return str(int(bool(value) if dtype == "b1" else value))


@dataclass
class Carried:
    """A value carried round a loop: `value` in its block, `next` after it."""

    type: str
    first: str
    value: str = ""
    next: str = ""


class Writer:
    """Lines of a function in the making, and fresh names."""

    def __init__(self) -> None:
        self.lines: list[str] = ["entry:"]
        self.block = "entry"
        self._count = 0

    def name(self, hint: str = "v") -> str:
        self._count += 1
        return f"{hint}{self._count}"

    def set(self, expression: str) -> str:
        """A new value; its name."""
        name = "%" + self.name()
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, instruction: str) -> None:
        self.lines.append(f"  {instruction}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    @contextmanager
    def loop(
        self, first: str | int, last: str | int, step: int = 1, carried: Sequence[Carried] = ()
    ) -> Iterator[str]:
        """The block once for each i from `first` to below `last`, of which there is one at least;
        gives the name of i. What is carried from one turn to the next has its `next` set there."""
        head, after = self.name("loop"), self.name("after")
        i, following = "%" + self.name("i"), "%" + self.name("n")
        before = self.block
        self.do(f"br label %{head}")
        self.label(head)
        place = len(self.lines)
        for x in carried:
            x.value = "%" + self.name("carried")
        yield i
        self.do(f"{following} = add nuw nsw i64 {i}, {step}")
        more = self.set(f"icmp slt i64 {following}, {last}")
        self.do(f"br i1 {more}, label %{head}, label %{after}")
        phis = [f"  {i} = phi i64 [{first}, %{before}], [{following}, %{self.block}]"]
        phis += [
            f"  {x.value} = phi {x.type} [{x.first}, %{before}], [{x.next}, %{self.block}]"
            for x in carried
        ]
        self.lines[place:place] = phis
        self.label(after)

    def times(self, i: str, factor: int) -> str:
        """i · factor."""
        if i == "0" or factor == 0:
            return "0"
        return i if factor == 1 else self.set(f"mul nsw i64 {i}, {factor}")

    def plus(self, i: str, j: str) -> str:
        """i + j."""
        if i == "0" or j == "0":
            return j if i == "0" else i
        return self.set(f"add nsw i64 {i}, {j}")

    def at(self, pointer: str, offset: str, dtype: str) -> str:
        """The address `offset` entries behind a pointer."""
        if offset == "0":
            return pointer
        return self.set(f"getelementptr {IN_MEMORY[dtype]}, ptr {pointer}, i64 {offset}")

    def function(self, name: str, parameters: str, attributes: str = "") -> str:
        """The text of `void name(parameters)`."""
        lines = "\n".join([*self.lines, "  ret void"])
        return f"define internal void @{name}({parameters}) {attributes} {{\n{lines}\n}}"


def pieces(total: int, most: int) -> Iterator[tuple[int, int, int]]:
    """`range(total)` in runs of equal pieces: (first, last, length of each piece)."""
    whole = total // most * most
    if whole:
        yield 0, whole, most
    if whole < total:
        yield whole, total, total - whole
