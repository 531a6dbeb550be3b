"""Right gradients that checkers accuse: large, tiny, steep, cancelling, kinked, degenerate."""

# ruff: noqa: ARG005 — rules take what their callers give

from __future__ import annotations

import numpy as np

from tests.checking.corpus import Sample, arrays, sigmoid, softmax, unbroadcast

M = arrays((3, 4), seed=1)
V = arrays((5,), seed=4)
SIN = (np.sin, lambda g, x: g * np.cos(x))


def single(*args):
    return tuple(x.astype(np.float32) for x in args)


def at(*numbers):
    return (np.array(numbers, np.float64),)


def scaled_sin(a, b=1.0):
    """a sin(bx)."""
    return (lambda x: a * np.sin(b * x)), (lambda g, x: g * a * b * np.cos(b * x))


scales = [
    Sample("large values", np.exp, lambda g, x: g * np.exp(x), at(200, 300, 500)),
    Sample("large arguments", np.square, lambda g, x: 2 * g * x, at(1e8, -3e9, 2e12)),
    Sample("tiny arguments", np.square, lambda g, x: 2 * g * x, at(1e-8, -3e-9, 2e-12)),
    Sample("both at once", np.square, lambda g, x: 2 * g * x, at(1e-8, 1, 1e8)),
    Sample("tiny gradients", *scaled_sin(1e-20), M),
    Sample("vanishing gradients", *scaled_sin(1e-150), M),
    Sample("huge gradients", *scaled_sin(1e20), M),
    Sample("steep", *scaled_sin(1, 1e4), M),
    Sample("very steep", *scaled_sin(1, 1e8), at(0.3e-8, 0.7e-7, 2e-8)),
    Sample("flat", *scaled_sin(1, 1e-8), M),
    Sample("a large number beside", lambda x: np.sin(x) + 1e10, lambda g, x: g * np.cos(x), M),
    Sample("saturated", np.tanh, lambda g, x: g / np.cosh(x) ** 2, at(15, -18, 20)),
    Sample("a stiff step", lambda x: np.tanh(1e4 * x), lambda g, x: 1e4 * g / np.cosh(1e4 * x) ** 2,
           at(1e-5, -3e-4, 0.2)),
    Sample("essential singularity", lambda x: np.exp(-1 / x**2),
           lambda g, x: g * 2 * np.exp(-1 / x**2) / x**3, at(0.05, 0.1, 1)),
    Sample("near a pole", lambda x: 1 / x, lambda g, x: -g / x**2, at(1e-6, 1e-3, -1e-5)),
    Sample("near log's pole", np.log, lambda g, x: g / x, at(1e-10, 1e-3, 5)),
    Sample("near sqrt's end", np.sqrt, lambda g, x: 0.5 * g / np.sqrt(x), at(1e-12, 1e-4, 9)),
    Sample("a high power", lambda x: x**50, lambda g, x: 50 * g * x**49, at(0.9, 1.1, 2)),
    Sample("at its minimum", np.square, lambda g, x: 2 * g * x, at(0, 0, 0)),
    Sample("a flat minimum", lambda x: x**6, lambda g, x: 6 * g * x**5, at(0, 1e-3, 0)),
]  # fmt: skip


def rosenbrock_grad(g, x):
    a, b = x[:-1], x[1:]
    found = np.zeros_like(x)
    found[:-1] += -400 * a * (b - a**2) - 2 * (1 - a)
    found[1:] += 200 * (b - a**2)
    return g * found


def logistic_map(x, turns=12):
    for _ in range(turns):
        x = 3.9 * x * (1 - x)
    return x


def logistic_map_vjp(g, x, turns=12):
    for _ in range(turns):
        g, x = g * 3.9 * (1 - 2 * x), 3.9 * x * (1 - x)
    return g


cancelling = [
    Sample("1 - cos", lambda x: (1 - np.cos(x)) / x**2,
           lambda g, x: g * (x * np.sin(x) - 2 * (1 - np.cos(x))) / x**3, at(1e-2, 0.3, 2)),
    Sample("1 - cos, nearer", lambda x: (1 - np.cos(x)) / x**2,
           lambda g, x: g * (x * np.sin(x) - 2 * (1 - np.cos(x))) / x**3, at(1e-4, 3e-4)),
    Sample("there and back", lambda x: (x + 1e8) - 1e8, lambda g, x: g * 1.0, M),
    Sample("naive log1p", lambda x: np.log(1 + x), lambda g, x: g / (1 + x), at(1e-12, 1e-9, 1e-3)),
    Sample("expm1", np.expm1, lambda g, x: g * np.exp(x), at(1e-12, -1e-9, 1e-3)),
    Sample("difference of squares", lambda x, y: x**2 - y**2,
           lambda g, x, y: (2 * g * x, -2 * g * y),
           (np.array([1e6, 3.0]), np.array([1e6 + 1e-3, 3.0 + 1e-9]))),
    Sample("variance far from zero", np.var,
           lambda g, x: g * 2 * (x - x.mean()) / x.size, (1e6 + M[0],)),
    Sample("rosenbrock", lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
           rosenbrock_grad, V),
    Sample("chaos", logistic_map, logistic_map_vjp, arrays((4,), low=0.1, high=0.9)),
    Sample("alternating sum", lambda x: np.sum(x * (-1.0) ** np.arange(x.size)),
           lambda g, x: g * (-1.0) ** np.arange(x.size), (1e6 + arrays((50,))[0],)),
    Sample("ill-conditioned inverse", np.linalg.inv,
           lambda g, x: -np.linalg.inv(x).T @ g @ np.linalg.inv(x).T,
           (np.array([[1, 1], [1, 1 + 1e-5]]),)),
    Sample("Hilbert's matrix", np.linalg.solve,
           lambda g, a, b: (-np.outer(np.linalg.solve(a.T, g), np.linalg.solve(a, b)),
                            np.linalg.solve(a.T, g)),
           (1 / (np.arange(5)[:, None] + np.arange(5) + 1.0), np.ones(5))),
    Sample("small determinant", np.linalg.det,
           lambda g, x: g * np.linalg.det(x) * np.linalg.inv(x).T,
           (1e-3 * (np.eye(3) + 0.1 * arrays((3, 3))[0]),)),
]  # fmt: skip

FLOAT = single(*arrays((3, 4), seed=1))
singles = [
    Sample("single sin", *SIN, FLOAT),
    Sample("single exp", np.exp, lambda g, x: g * np.exp(x), single(*at(20, 40, 60))),
    Sample("single sum of many", np.sum, lambda g, x: g * np.ones_like(x),
           single(*arrays((3000,)))),
    Sample("single mean of squares", lambda x: np.mean(x * x), lambda g, x: 2 * g * x / x.size,
           single(*arrays((500,)))),
    Sample("single matrix product", np.matmul, lambda g, x, y: (g @ y.T, x.T @ g),
           single(*arrays((3, 40), (40, 2)))),
    Sample("single with a large number beside", lambda x: np.sin(x) + np.float32(1e4),
           lambda g, x: g * np.cos(x), FLOAT),
    Sample("single inside", lambda x: np.sin(x.astype(np.float32)).astype(x.dtype),
           lambda g, x: g * np.cos(x.astype(np.float32)).astype(x.dtype), M),
    Sample("single softmax", softmax,
           lambda g, x: softmax(x) * (g - (g * softmax(x)).sum(-1, keepdims=True)), FLOAT),
    Sample("single and double", np.multiply, lambda g, x, y: ((g * y).astype(x.dtype), g * x),
           (FLOAT[0], M[0])),
    Sample("a double gradient of single", np.sin,
           lambda g, x: g.astype(np.float64) * np.cos(x.astype(np.float64)), FLOAT),
    Sample("single variance far from zero", np.var,
           lambda g, x: g * 2 * (x - x.mean()) / x.size, (np.float32(100) + FLOAT[0],)),
    Sample("single tiny", np.square, lambda g, x: 2 * g * x, single(*at(1e-8, 1e-10))),
]  # fmt: skip


def _sort_vjp(g, x):
    found = np.zeros_like(x)
    found[np.argsort(x, kind="stable")] = g
    return found


def _max_vjp(g, x):
    """To the first of equal ones."""
    found = np.zeros_like(x)
    found.flat[np.argmax(x)] = g
    return found


def _median_vjp(g, x):
    found = np.zeros_like(x)
    found[np.argsort(x)[x.size // 2]] = g
    return found


pieces = [
    Sample("relu", lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0), M),
    Sample("relu at its kink", lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0),
           at(0, 1, -1, 0)),
    Sample("relu near its kink", lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0),
           at(1e-3, -1e-3, 1e-9, -1e-9)),
    Sample("abs at its kink", np.abs, lambda g, x: g * np.sign(x), at(0, 1, -1)),
    Sample("maximum of equals, halved", np.maximum,
           lambda g, x, y: (g * ((x > y) + 0.5 * (x == y)), g * ((x < y) + 0.5 * (x == y))),
           (np.array([1.0, 2, 3]), np.array([1.0, 3, 2]))),
    Sample("maximum of equals, to the first", np.maximum,
           lambda g, x, y: (g * (x >= y), g * (x < y)),
           (np.array([1.0, 2, 3]), np.array([1.0, 3, 2]))),
    Sample("max of equals", np.max, _max_vjp, at(1, 3, 3, 2)),
    Sample("clip at its ends", lambda x: np.clip(x, -1, 1), lambda g, x: g * (np.abs(x) <= 1),
           at(-1, 1, 0.3, 5)),
    Sample("floor", np.floor, lambda g, x: np.zeros_like(x), M),
    Sample("round", np.round, lambda g, x: np.zeros_like(x), M),
    Sample("sign", np.sign, lambda g, x: np.zeros_like(x), M),
    Sample("fraction", lambda x: x - np.floor(x), lambda g, x: g * 1.0, M),
    Sample("sort", np.sort, _sort_vjp, V),
    Sample("median", np.median, _median_vjp, V),
    Sample("hinge", lambda x: np.sum(np.maximum(0, 1 - x)), lambda g, x: -g * (x < 1.0), V),
    Sample("Huber", lambda x: np.where(np.abs(x) < 1, 0.5 * x**2, np.abs(x) - 0.5),
           lambda g, x: g * np.clip(x, -1, 1), at(-1, 0.2, 1, 3)),
    Sample("a table, interpolated", lambda x: np.interp(x, [-3, 0, 3], [1, 0, 2]),
           lambda g, x: g * np.where(x < 0, -1 / 3, 2 / 3) * (np.abs(x) < 3), M),
    Sample("two branches", lambda x: np.where(x > 0, np.sin(x), x**2),
           lambda g, x: g * np.where(x > 0, np.cos(x), 2 * x), M),
    Sample("many small pieces", lambda x: np.abs(np.sin(40 * x)),
           lambda g, x: 40 * g * np.cos(40 * x) * np.sign(np.sin(40 * x)), M),
]  # fmt: skip

degenerate = [
    Sample("no entries", *SIN, arrays((0,))),
    Sample("no entries among axes", *SIN, arrays((3, 0, 2))),
    Sample("a sum of none", np.sum, lambda g, x: g * np.ones_like(x), arrays((0,))),
    Sample("no axes", *SIN, arrays(())),
    Sample("one entry", *SIN, arrays((1, 1, 1))),
    Sample("many entries", *SIN, arrays((200, 300))),
    Sample("constant", lambda x: np.ones(3), lambda g, x: np.zeros_like(x), M),
    Sample("the identity", lambda x: x.copy(), lambda g, x: g, M),
    Sample("an argument unused", lambda x, y: np.sin(x), lambda g, x, y: (g * np.cos(x), None),
           arrays((3,), (2,))),
    Sample("an index among the arguments", lambda x, i: x[i],
           lambda g, x, i: (_at(np.zeros_like(x), i, g), None), (V[0], np.array([0, 2, 2]))),
    Sample("broadcast", np.multiply,
           lambda g, x, y: (unbroadcast(g * y, x.shape), unbroadcast(g * x, y.shape)),
           arrays((3, 1), (1, 4))),
    Sample("a view as gradient", np.sum, lambda g, x: np.broadcast_to(g, x.shape), M),
    Sample("a list of gradients", np.multiply, lambda g, x, y: [g * y, g * x], arrays((3,), (3,))),
    Sample("a gradient, not a vjp", lambda x: np.sum(np.sin(x)), lambda x: np.cos(x), M),
    Sample("a function that pulls back", np.sin, lambda x: (np.sin(x), lambda g: g * np.cos(x)), M),
    Sample("equal entries", np.prod, lambda g, x: g * np.array([np.prod(np.delete(x, i))
           for i in range(x.size)]), at(2, 2, 2)),
    Sample("a zero among factors", np.prod, lambda g, x: g * np.array([np.prod(np.delete(x, i))
           for i in range(x.size)]), at(2, 0, 3)),
    Sample("not symmetric anywhere", lambda a, x: x @ a @ x,
           lambda g, a, x: (g * np.outer(x, x), g * (a + a.T) @ x), arrays((4, 4), (4,))),
    Sample("logsumexp of large ones",
           lambda x: x.max() + np.log(np.exp(x - x.max()).sum()),
           lambda g, x: g * softmax(x), at(1e3, 1e3 + 1, 990)),
    Sample("sigmoid far out", sigmoid, lambda g, x: g * sigmoid(x) * sigmoid(-x), at(-30, 30, 0)),
    Sample("order 2 of sin", np.sin,
           (lambda g, x: g * np.cos(x), lambda h, g, x: (h * np.cos(x), -h * g * np.sin(x))), M),
    Sample("order 2 of a cube near zero", lambda x: x**3,
           (lambda g, x: 3 * g * x**2, lambda h, g, x: (3 * h * x**2, 6 * h * g * x)),
           at(1e-9, 0, 1)),
    Sample("forward and reverse", np.multiply, lambda g, x, y: (g * y, g * x), arrays((3,), (3,)),
           lambda args, ts: args[0] * ts[1] + args[1] * ts[0]),
]  # fmt: skip


def _at(x, index, g):
    np.add.at(x, index, g)
    return x


def _euler(x, steps=40):
    for _ in range(steps):  # implicit, of x' = -1000 (x - cos)
        x = (x + 10.0) / (1 + 100.0)
    return x


def _masked(x, y):
    return np.sum(np.where(np.isfinite(y), x - np.where(np.isfinite(y), y, 0), 0) ** 2)


def _masked_vjp(g, x, y):
    d = 2 * g * np.where(np.isfinite(y), x - np.where(np.isfinite(y), y, 0), 0)
    return d, -d


def _max_norm_vjp(g, x):
    k = np.argmax(np.abs(x))
    return g * np.sign(x[k]) * (np.arange(x.size) == k)


# Of the kinds that corpora by others showed to be accused, or nearly: see decision 11.
by_others = [
    Sample("rounds to nothing near zero", lambda x: np.sum(np.log(1 + x**2)),
           lambda g, x: g * 2 * x / (1 + x**2), V),
    Sample("cancels near zero", lambda x: np.sqrt(1 + np.sum(x * x)) - 1,
           lambda g, x: g * x / np.sqrt(1 + np.sum(x * x)), V),
    Sample("single inside of double", lambda x: np.sin(x.astype(np.float32)).astype(x.dtype) * x,
           lambda g, x: g * (np.sin(x) + x * np.cos(x)), V),
    Sample("a median", np.median, lambda g, x: g * (x == np.sort(x)[x.size // 2]), V),
    Sample("the largest of two", lambda x: np.max(np.abs(x)), _max_norm_vjp,
           at(2, -2, 1, 0.5)),
    Sample("vanishes in single precision", _euler, lambda g, x: g * 101.0**-40, at(3, -1)),
    Sample("nan where nothing is asked", _masked, _masked_vjp,
           (M[0], np.where(M[0] > 1, np.nan, M[0] + 1))),
    Sample("a trace", np.trace, lambda g, x: g * np.eye(len(x)), arrays((4, 4), seed=3)),
    Sample("channels", np.multiply, lambda g, x, c: (g * c, (g * x).sum((1, 2), keepdims=True)),
           arrays((2, 3, 3), (2, 1, 1))),
    Sample("powers of positive numbers", np.power,
           lambda g, x, y: (g * y * x ** (y - 1), g * x**y * np.log(x)),
           arrays((5,), (5,), low=0.3, high=3)),
    Sample("sigmoid as it is derived", lambda x: 1 / (1 + np.exp(-x)),
           lambda g, x: g * np.exp(-x) / (1 + np.exp(-x)) ** 2, M),
    Sample("an inverse, stacked", np.linalg.inv,
           lambda g, x: -(np.swapaxes(np.linalg.inv(x), -1, -2) @ g
                          @ np.swapaxes(np.linalg.inv(x), -1, -2)),
           (np.eye(3) * 3 + arrays((2, 3, 3), seed=6)[0],)),
]  # fmt: skip

RIGHT = [*scales, *cancelling, *singles, *pieces, *degenerate, *by_others]
