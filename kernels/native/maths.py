"""Exponentials and logarithms as LLVM's assembly language, without branches, so that loops over
them are vectorised: NumPy's are, and the C library's are not.

Errors are below 2 units in the last place (`tests/kernels` measures them against mpmath or NumPy in
a wider precision). Methods: argument reduction by ln 2 in two parts (Cody & Waite 1980), series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kernels.native.text import Writer, literal

LN2 = 0.693147180559945309417232121458


@dataclass(frozen=True)
class Format:
    """A floating-point format: names, sizes, and the constants of the series in it."""

    dtype: str
    type: str
    suffix: str
    integer: str
    mantissa: int  # bits stored
    bias: int
    ln2_high: float  # with so few bits that its multiples are exact
    ln2_low: float
    largest: float  # arguments of exp beyond it overflow
    smallest: float  # and below it give 0
    exp_terms: int
    log_terms: int

    def number(self, value: float) -> str:
        return literal(value, self.dtype)


FORMATS = {
    "f4": Format(
        *("f4", "float", "f32", "i32", 23, 127, 0.693359375, -2.12194440054690583e-4),
        *(89.0, -104.0, 7, 6),
    ),
    "f8": Format(
        *("f8", "double", "f64", "i64", 52, 1023, 6.93147180369123816490e-01),
        *(1.90821492927058770002e-10, 710.0, -746.0, 13, 12),
    ),
}


class _Maths(Writer):
    """Writes one function of one argument."""

    def __init__(self, f: Format):
        super().__init__()
        self.lines.clear()  # of the label of a block that these functions do not need
        self.f = f

    def op(self, opcode: str, *inputs: str) -> str:
        return self.set(f"{opcode} {self.f.type} {', '.join(inputs)}")

    def call(self, name: str, *inputs: str) -> str:
        given = ", ".join(f"{self.f.type} {x}" for x in inputs)
        return self.set(f"call {self.f.type} @llvm.{name}.{self.f.suffix}({given})")

    def fma(self, x: str, y: str, z: str) -> str:
        return self.call("fma", x, y, z)

    def series(self, x: str, coefficients: Sequence[float]) -> str:
        """c₀ + c₁x + c₂x² + …, from the last term on."""
        *rest, last = map(self.f.number, coefficients)
        total = last
        for c in reversed(rest):
            total = self.fma(total, x, c)
        return total

    def bits(self, x: str) -> str:
        return self.set(f"bitcast {self.f.type} {x} to {self.f.integer}")

    def from_bits(self, x: str) -> str:
        return self.set(f"bitcast {self.f.integer} {x} to {self.f.type}")

    def integer(self, opcode: str, x: str, y: str | int) -> str:
        return self.set(f"{opcode} {self.f.integer} {x}, {y}")

    def power_of_two(self, n: str) -> str:
        """2ⁿ for an integer n that is a normal exponent."""
        shifted = self.integer("shl", self.integer("add", n, self.f.bias), self.f.mantissa)
        return self.from_bits(shifted)

    def reduced(self, x: str) -> tuple[str, str]:
        """(n, r) with x = n ln 2 + r, n an integer and |r| ≤ ln 2 / 2."""
        f = self.f
        magic = 1.5 * 2.0**f.mantissa  # adding it rounds, and leaves n in the last bits
        shifted = self.fma(x, f.number(1 / LN2), f.number(magic))
        n = self.integer("sub", self.bits(shifted), self.bits(f.number(magic)))
        whole = self.op("fsub", shifted, f.number(magic))
        negated = self.set(f"fneg {f.type} {whole}")
        r = self.fma(negated, f.number(f.ln2_high), x)
        return n, self.fma(negated, f.number(f.ln2_low), r)

    def clamped(self, x: str, low: float, high: float) -> str:
        """x limited to a range; NaN stays."""
        x = self.call("minimum", x, self.f.number(high))
        return self.call("maximum", x, self.f.number(low))

    def finished(self, name: str, result: str) -> str:
        t = self.f.type
        lines = "\n".join([*self.lines, f"  ret {t} {result}"])
        return f"define internal {t} @{name}.{self.f.suffix}({t} %x) alwaysinline {{\n{lines}\n}}"


def _exp(w: _Maths, x: str) -> str:
    f = w.f
    n, r = w.reduced(w.clamped(x, f.smallest, f.largest))
    p = w.series(r, [1 / math.factorial(k) for k in range(f.exp_terms + 1)])
    # In two steps, since 2ⁿ itself may be out of range where the result is not.
    half = w.integer("ashr", n, 1)
    p = w.op("fmul", p, w.power_of_two(half))
    return w.op("fmul", p, w.power_of_two(w.integer("sub", n, half)))


def _expm1(w: _Maths, x: str) -> str:
    f = w.f
    one = f.number(1.0)
    n, r = w.reduced(w.clamped(x, -2.0 * f.mantissa, f.largest))
    tail = w.series(r, [1 / math.factorial(k + 2) for k in range(f.exp_terms)])
    p = w.fma(w.op("fmul", r, r), tail, r)  # exp(r) - 1
    half = w.integer("ashr", n, 1)
    first, second = w.power_of_two(half), w.power_of_two(w.integer("sub", n, half))
    scale = w.op("fmul", first, second)
    result = w.fma(p, scale, w.op("fsub", scale, one))
    # Where the 1 does not count any more, 2ⁿ may be out of range though the result is not.
    large = w.set(f"fcmp ogt {f.type} {x}, {f.number(float(f.mantissa + 2))}")
    exponential = w.op("fmul", w.op("fmul", w.op("fadd", p, one), first), second)
    result = w.set(f"select i1 {large}, {f.type} {exponential}, {f.type} {result}")
    small = w.set(f"fcmp olt {f.type} {w.call('fabs', x)}, {f.number(2.0**-f.mantissa)}")
    return w.set(f"select i1 {small}, {f.type} {x}, {f.type} {result}")


def _tanh(w: _Maths, x: str) -> str:
    f = w.f
    size = w.call("fabs", x)
    e = _expm1(w, w.op("fmul", w.clamped(size, 0.0, f.mantissa * 0.5), f.number(2.0)))
    return w.call("copysign", w.op("fdiv", e, w.op("fadd", e, f.number(2.0))), x)


def _sigmoid(w: _Maths, x: str) -> str:
    one = w.f.number(1.0)
    e = _exp(w, w.set(f"fneg {w.f.type} {x}"))
    return w.op("fdiv", one, w.op("fadd", one, e))


def _log(w: _Maths, x: str) -> str:
    f = w.f
    number, t = f.number, f.type
    tiny = w.set(f"fcmp olt {t} {x}, {number(2.0 ** (1 - f.bias))}")
    scaled = w.op("fmul", x, number(2.0 ** (f.mantissa + 1)))
    y = w.set(f"select i1 {tiny}, {t} {scaled}, {t} {x}")
    # y = m · 2ᵉ with m from √½ to √2
    start = w.bits(number(math.sqrt(0.5)))
    shifted = w.integer("sub", w.bits(y), start)
    e = w.integer("ashr", shifted, f.mantissa)
    m = w.from_bits(w.integer("sub", w.bits(y), w.integer("shl", e, f.mantissa)))
    whole = w.set(f"sitofp {f.integer} {e} to {t}")
    less = w.set(f"select i1 {tiny}, {t} {number(-(f.mantissa + 1.0))}, {t} {number(0.0)}")
    whole = w.op("fadd", whole, less)
    a = w.op("fsub", m, number(1.0))
    s = w.op("fdiv", a, w.op("fadd", a, number(2.0)))
    z = w.op("fmul", s, s)
    # log m = 2 artanh s = a - s (a - 2 z (1/3 + z/5 + …))
    tail = w.op("fmul", z, w.series(z, [2 / (2 * k + 3) for k in range(f.log_terms)]))
    rest = w.op("fmul", s, w.op("fsub", a, tail))
    low = w.fma(whole, number(f.ln2_low), w.set(f"fneg {t} {rest}"))
    high = w.op("fadd", a, low)
    result = w.fma(whole, number(f.ln2_high), high)
    zero = w.set(f"fcmp oeq {t} {x}, {number(0.0)}")
    result = w.set(f"select i1 {zero}, {t} {number(-math.inf)}, {t} {result}")
    below = w.set(f"fcmp olt {t} {x}, {number(0.0)}")
    result = w.set(f"select i1 {below}, {t} {number(math.nan)}, {t} {result}")
    odd = w.set(f"fcmp ueq {t} {x}, {number(math.inf)}")  # inf and NaN
    return w.set(f"select i1 {odd}, {t} {x}, {t} {result}")


FUNCTIONS = {"exp": _exp, "expm1": _expm1, "log": _log, "sigmoid": _sigmoid, "tanh": _tanh}


def text(name: str, dtype: str) -> str:
    """The definition of `@name.f32` or `@name.f64`."""
    w = _Maths(FORMATS[dtype])
    return w.finished(name, FUNCTIONS[name](w, "%x"))
