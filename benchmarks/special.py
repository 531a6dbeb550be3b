"""How many digits special functions have, and how long they take, beside SciPy's.

    python -m benchmarks.special [name …] [--quick] [--save]

Errors are the largest ones, against mpmath at 60 digits, in units in the last place of the true
value (of a subnormal one, in the smallest number), on random points of a domain and on points
chosen to be hard: the floats nearest to a zero and others around it, near poles, at halves, tiny
and huge. Times are of arrays of 8,000 of the same points, on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import kernels
from autograd_core import special
from benchmarks.common import Report, Table, absent

Array = np.ndarray
COUNT = 8000


@dataclass(frozen=True)
class Case:
    """A function on a domain: ours, SciPy's, and the truth of mpmath's numbers."""

    name: str
    domain: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    exact: Callable[..., Any]
    points: tuple[Array, ...]


def cases(count: int) -> Iterator[Case]:
    """All of them, with so many random points each."""
    import mpmath as m
    import scipy.special as scipy

    rng = np.random.default_rng(0)

    def between(low: float, high: float) -> Array:
        return rng.uniform(low, high, count)

    def sizes(low: float, high: float) -> Array:
        return 10 ** rng.uniform(low, high, count)

    digamma = partial(Case, "digamma", ours=kernels.digamma, theirs=scipy.psi, exact=m.digamma)
    right = [sizes(-300, 300), around([1.4616321449683622]), [5e-324, 1e-310, 1e15, 1e300]]
    yield digamma("x > 0", points=(np.concatenate([between(0, 12), *right]),))
    left = np.concatenate([between(-20, 0), HALVES, -sizes(-300, 0), around(np.arange(-9.0, 0))])
    yield digamma("-20 … 0", points=(left[left % 1 != 0],))
    yield digamma("its zeros in -20 … 0", points=(around(zeros(0, range(20))),))
    far = [between(-1000, -20), -sizes(3, 13), [-(2.0**51) - 0.5]]
    yield digamma("x < -20", points=(np.concatenate(far),))
    yield digamma("its zeros near -100, -1000", points=(around(zeros(0, (99, 999))),))
    for n in (1, 2, 3, 4, 5, 6, 8, 10, 20):
        polygamma = partial(
            *(Case, f"polygamma({n}, x)"),
            ours=partial(kernels.polygamma, n),
            theirs=partial(scipy.polygamma, n),
            exact=partial(m.polygamma, n),
        )
        right = [between(0, 12 + n / 2), sizes(-300 / (n + 1), 300 / n)]
        yield polygamma("x > 0", points=(np.concatenate(right),))
        left = [between(-20, 0), between(-1000, 0)[::9], HALVES, -sizes(-300 / (n + 1), 0)]
        yield polygamma("x < 0", points=(np.concatenate(left),))
        if n % 2 == 0 and n <= 10:
            yield polygamma("its zeros in -6 … 0", points=(around(zeros(n, range(6))),))

    def beta(x: Any, y: Any) -> Any:
        return m.loggamma(x) + m.loggamma(y) - m.loggamma(x + y)

    betaln = partial(Case, "betaln", ours=kernels.betaln, theirs=scipy.betaln, exact=beta)
    yield betaln("0 … 10", points=(between(0, 10), between(0, 10)))
    yield betaln("0 … 3", points=(between(0, 3), between(0, 3)))
    yield betaln("1e-5 … 1e12", points=(sizes(-5, 12), sizes(-5, 12)))
    yield betaln("near B(x, y) = 1", points=ones_of_beta(sizes(0, 6)))

    for name, points in (
        ("gammaln", (np.concatenate([between(0, 12), sizes(-300, 300)]),)),
        ("erf", (np.concatenate([between(-6, 6), sizes(-300, 0)]),)),
        ("erfc", (np.concatenate([between(-6, 26)]),)),
        ("erfcx", (np.concatenate([between(-26, 30), sizes(-300, 300)]),)),
        ("erfinv", (np.concatenate([between(-1, 1), 1 - sizes(-15, 0), sizes(-300, 0)]),)),
        ("ndtr", (np.concatenate([between(-38, 8), sizes(-300, 0)]),)),
        ("log_ndtr", (np.concatenate([between(-38, 38), -sizes(1, 100)]),)),
        ("expit", (np.concatenate([between(-40, 40), between(-745, -40), sizes(-300, 0)]),)),
        ("logit", (np.concatenate([between(0, 1), sizes(-300, 0), around([0.5])]),)),
        ("entr", (np.concatenate([between(0, 3), sizes(-300, 300), around([1.0])]),)),
        ("xlogy", (between(-5, 5), np.concatenate([around([1.0]), sizes(-300, 300)])[:count])),
        ("xlog1py", (between(-5, 5), np.concatenate([sizes(-300, 300), between(-1, 1)])[::2])),
        ("i0e", (np.concatenate([between(-12, 60), sizes(-300, 300)]),)),
        ("i1e", (np.concatenate([between(-12, 60), sizes(-300, 300)]),)),
    ):
        ours, theirs, exact = getattr(special, name), getattr(scipy, name), TRUTH[name]
        for dtype in ("float64", "float32"):
            if dtype == "float32" and name not in ("expit", "logit", "entr", "xlogy", "xlog1py"):
                continue
            with np.errstate(over="ignore"):
                short = tuple(p[: min(map(len, points))].astype(dtype) for p in points)
            fine = np.logical_and.reduce([np.isfinite(p) for p in short])
            fine &= np.abs(short[-1]) > np.finfo(dtype).tiny
            short = tuple(p[fine] for p in short)
            yield Case(name, dtype, ours, theirs, partial(exact, m), short)


HALVES = -np.arange(0.5, 20)
TRUTH: dict[str, Callable[..., Any]] = {
    "gammaln": lambda m, x: m.loggamma(x),
    "erf": lambda m, x: m.erf(x),
    "erfc": lambda m, x: m.erfc(x),
    "erfcx": lambda m, x: scaled_erfc(m, x),
    "erfinv": lambda m, x: m.erfinv(x),
    "ndtr": lambda m, x: m.erfc(-x / m.sqrt(2)) / 2,
    "log_ndtr": lambda m, x: log_normal(m, x),
    "expit": lambda m, x: 1 / (1 + m.exp(-x)),
    "logit": lambda m, x: m.log(x / (1 - x)),
    "entr": lambda m, x: -x * m.log(x),
    "xlogy": lambda m, x, y: x * m.log(y),
    "xlog1py": lambda m, x, y: x * m.log1p(y),
    "i0e": lambda m, x: scaled_bessel(m, 0, x),
    "i1e": lambda m, x: scaled_bessel(m, 1, x),
}


def scaled_erfc(m: Any, x: Any) -> Any:
    if x < 60:
        return m.exp(x * x) * m.erfc(x)
    terms = ((-1) ** k * m.fac2(2 * k - 1) / (2 * x * x) ** k for k in range(12))
    return m.fsum(terms) / (x * m.sqrt(m.pi))


def log_normal(m: Any, x: Any) -> Any:
    if x < 0:
        return m.log(scaled_erfc(m, -x / m.sqrt(2)) / 2) - x * x / 2
    return m.log1p(-m.erfc(x / m.sqrt(2)) / 2)


def scaled_bessel(m: Any, order: int, x: Any) -> Any:
    if abs(x) < 100:
        return m.exp(-abs(x)) * m.besseli(order, x)
    term, total = m.mpf(1), m.mpf(0)
    for k in range(1, 40):  # A&S 9.7.1
        total += term
        term *= ((2 * k - 1) ** 2 - 4 * order**2) / (8 * k * m.mpf(abs(x)))
    return total / m.sqrt(2 * m.pi * abs(x)) * (-1 if order == 1 and x < 0 else 1)


def zeros(n: int, which: Sequence[int]) -> Array:
    """The zeros of ψ⁽ⁿ⁾ between -k - 1 and -k, the nearest floats."""
    import mpmath as m

    slope = partial(m.polygamma, n)
    found = []
    with m.workdps(60):
        for k in which:
            ends = m.mpf(-k - 1) + m.mpf("0.01"), m.mpf(-k) - m.mpf("0.01")
            found.append(m.findroot(slope, ends, solver="anderson", tol=1e-40))
    return np.array([float(x) for x in found])


def ones_of_beta(y: Array) -> tuple[Array, Array]:
    """Pairs near the line B(x, y) = 1, by bisection, and on both sides of it."""
    low, high = np.full_like(y, 1e-3), np.ones_like(y)
    for _ in range(60):
        middle = (low + high) / 2
        above = kernels.betaln(middle, y) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    away = np.resize([0, 1e-15, -1e-12, 1e-8, 1e-4, -1e-2, 0.1], len(y))
    return low * (1 + away), y


def around(points: Sequence[float] | Array) -> Array:
    """The floats next to these, and others at distances from small to large."""
    center = np.asarray(points, np.float64)[:, None]
    steps = np.arange(-2, 3) * np.spacing(np.abs(center))
    away = 10.0 ** -np.arange(1, 16)
    return np.concatenate([center + steps, center - away, center + away], 1).ravel()


def worst(case: Case, function: Callable[..., Any]) -> float:
    """The largest error, in units in the last place."""
    import mpmath as m

    with m.workdps(60), np.errstate(all="ignore"):
        found = np.asarray(getattr(function(*case.points), "data", function(*case.points)))
        most = 0.0
        for value, *point in zip(found, *case.points, strict=True):
            exact = case.exact(*(m.mpf(float(x)) for x in point))
            if np.isfinite(near := found.dtype.type(exact)):
                error = abs((m.mpf(float(value)) - exact) / m.mpf(float(np.spacing(abs(near)))))
                most = max(most, float(error))
    return most


def nanoseconds(case: Case, function: Callable[..., Any], rounds: int) -> float:
    """An element takes so long, in the fastest round."""
    points = [np.resize(x, COUNT) for x in case.points]
    best = np.inf
    with np.errstate(all="ignore"):
        for _ in range(rounds):
            start = time.perf_counter()
            function(*points)
            best = min(best, time.perf_counter() - start)
    return best / COUNT * 1e9


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help="those whose names begin so")
    parser.add_argument("--quick", action="store_true", help="few points: does it run at all?")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    options = parser.parse_args(argv)
    count, rounds = (8, 2) if options.quick else (400, 20)
    report = Report("special", "Special functions beside SciPy's", {"random points": count})
    missing = {name: reason for name in ("mpmath", "scipy") if (reason := absent(name))}
    if missing:
        report.skip(missing)
        return 0
    rows = []
    for case in cases(count):
        if options.names and not case.name.startswith(tuple(options.names)):
            continue
        both = case.ours, case.theirs
        errors = [worst(case, function) for function in both]
        times = [nanoseconds(case, function, rounds) for function in both]
        report.data[f"{case.name}, {case.domain}"] = {"ulps": errors, "ns": times}
        rows.append([case.name, case.domain, *map(shown, errors), *(f"{x:.0f}" for x in times)])
    columns = ("function", "domain", "ulp", "SciPy's", "ns", "SciPy's")
    report.add(Table("Largest errors, and time an element", columns, rows))
    if options.save:
        report.save()
    return 0


def shown(ulps: float) -> str:
    return f"{ulps:.1f}" if ulps < 1000 else f"{ulps:.0e}"


if __name__ == "__main__":
    raise SystemExit(main())
