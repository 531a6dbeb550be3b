"""Vector registers, and lines of matrices that are loaded into them and stored from them."""

from __future__ import annotations

from dataclasses import dataclass

from kernels.native.text import BYTES, TYPES, Writer

SUFFIXES = {"f4": "f32", "f8": "f64"}


@dataclass(frozen=True)
class Registers:
    """The vector registers of a processor."""

    count: int
    bytes: int

    def lanes(self, dtype: str) -> int:
        return self.bytes // BYTES[dtype]


@dataclass(frozen=True)
class Line:
    """Entries side by side, in vectors of `lanes`, of which the last need not be full."""

    dtype: str
    size: int
    lanes: int

    @property
    def vectors(self) -> int:
        return -(-self.size // self.lanes)

    @property
    def type(self) -> str:
        return f"<{self.lanes} x {TYPES[self.dtype]}>"

    @property
    def suffix(self) -> str:
        """Of the intrinsics for these vectors."""
        return f"v{self.lanes}{SUFFIXES[self.dtype]}"

    def load(self, w: Writer, place: str, j: int) -> str:
        """Vector j of the line at a place; zeros behind its end."""
        at, mask = w.at(place, str(j * self.lanes), self.dtype), self._mask(j)
        if mask is None:
            return w.set(f"load {self.type}, ptr {at}, align {BYTES[self.dtype]}")
        given = f"ptr align {BYTES[self.dtype]} {at}, {mask}, {self.type} zeroinitializer"
        return w.set(f"call {self.type} @llvm.masked.load.{self.suffix}.p0({given})")

    def store(self, w: Writer, place: str, j: int, value: str) -> None:
        """Write vector j of the line at a place, nothing behind its end."""
        at, mask = w.at(place, str(j * self.lanes), self.dtype), self._mask(j)
        if mask is None:
            w.do(f"store {self.type} {value}, ptr {at}, align {BYTES[self.dtype]}")
            return
        given = f"{self.type} {value}, ptr align {BYTES[self.dtype]} {at}, {mask}"
        w.do(f"call void @llvm.masked.store.{self.suffix}.p0({given})")

    def splat(self, w: Writer, place: str) -> str:
        """A vector of the entry at a place."""
        kind = TYPES[self.dtype]
        entry = w.set(f"load {kind}, ptr {place}")
        one = w.set(f"insertelement {self.type} poison, {kind} {entry}, i64 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return w.set(f"shufflevector {self.type} {one}, {self.type} poison, {zeros}")

    def multiply_add(self, w: Writer, x: str, y: str, z: str) -> str:
        """x · y + z."""
        given = ", ".join(f"{self.type} {v}" for v in (x, y, z))
        return w.set(f"call {self.type} @llvm.fma.{self.suffix}({given})")

    def _mask(self, j: int) -> str | None:
        """Which lanes of vector j belong to the line, unless all do."""
        left = self.size - j * self.lanes
        if left >= self.lanes:
            return None
        bits = ", ".join(f"i1 {'true' if i < left else 'false'}" for i in range(self.lanes))
        return f"<{self.lanes} x i1> <{bits}>"


PREFETCH = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"


def declarations(dtype: str, lanes: int) -> str:
    """The intrinsics that lines need."""
    line = Line(dtype, lanes, lanes)
    wide, bits = line.type, f"<{lanes} x i1>"
    return "\n".join(
        [
            f"declare {wide} @llvm.fma.{line.suffix}({wide}, {wide}, {wide})",
            f"declare {wide} @llvm.masked.load.{line.suffix}.p0(ptr, {bits}, {wide})",
            f"declare void @llvm.masked.store.{line.suffix}.p0({wide}, ptr, {bits})",
        ]
    )
