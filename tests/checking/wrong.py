"""Wrong gradients, one fault each: of the kinds that people write, and that hide from a look."""

# ruff: noqa: ARG005 — rules take what their callers give

from __future__ import annotations

import numpy as np

from tests.checking.corpus import Sample, arrays, positive, sigmoid, softmax

M, N = arrays((3, 4), seed=1), arrays((4, 4), seed=2)
TWO = arrays((4, 4), (4, 4), seed=3)
V = arrays((5,), seed=4)
RNG = np.random.default_rng(5)

elementwise = [
    Sample("sign of sin", np.sin, lambda g, x: -g * np.cos(x), M),
    Sample("sign of cos", np.cos, lambda g, x: g * np.sin(x), M),
    Sample("exp without the cotangent", np.exp, lambda g, x: np.exp(x), M),
    Sample("factor of a cube", lambda x: x**3, lambda g, x: 2 * g * x**2, M),
    Sample("factor of a square", lambda x: x * x, lambda g, x: g * x, M),
    Sample("tanh without a square", np.tanh, lambda g, x: g * (1 - np.tanh(x)), M),
    Sample("sigmoid's sign", sigmoid, lambda g, x: g * sigmoid(x) * (1 + sigmoid(x)), M),
    Sample("sqrt without a half", np.sqrt, lambda g, x: g / np.sqrt(x), positive((3, 4))),
    Sample("log10 as log", np.log10, lambda g, x: g / x, positive((3, 4))),
    Sample("log1p as log", np.log1p, lambda g, x: g / x, positive((3, 4))),
    Sample("reciprocal's sign", lambda x: 1 / x, lambda g, x: g / x**2, positive((3, 4))),
    Sample("half of a product rule", lambda x: x * np.sin(x), lambda g, x: g * np.sin(x), M),
    Sample("softplus as relu", lambda x: np.log1p(np.exp(x)), lambda g, x: g * (x > 0), M),
    Sample("chain rule stops", lambda x: np.sin(x**2), lambda g, x: g * np.cos(x**2), M),
    Sample("arctan's square", np.arctan, lambda g, x: g / (1 + np.abs(x)), M),
    Sample("abs as identity", np.abs, lambda g, x: g, M),
    Sample("relu's other side", lambda x: np.maximum(x, 0), lambda g, x: g * (x < 0), M),
    Sample("leaky slope", lambda x: np.where(x > 0, x, 0.1 * x),
           lambda g, x: g * np.where(x > 0, 1, 0.01), M),
    Sample("clip lets all through", lambda x: np.clip(x, -1, 1), lambda g, x: g, M),
    Sample("detached", lambda x: x * np.exp(-x), lambda g, x: np.zeros_like(x), M),
    Sample("off by a thousandth", np.sin, lambda g, x: 1.001 * g * np.cos(x), M),
    Sample("off by a millionth", np.exp, lambda g, x: (1 + 1e-6) * g * np.exp(x), M),
    Sample("a constant added", np.sin, lambda g, x: g * np.cos(x) + 1e-4, M),
    Sample("nonlinear in the cotangent", np.sin, lambda g, x: g * np.abs(g) * np.cos(x), M),
    Sample("the cotangent's sign only", np.sin, lambda g, x: np.sign(g) * np.cos(x), M),
    Sample("a number that is none", np.sin, lambda g, x: np.where(x > 1, np.nan, g * np.cos(x)), M),
]  # fmt: skip

several = [
    Sample("power's exponent", np.power,
           lambda g, x, y: (g * y * x ** (y - 1), np.zeros_like(y)), positive((3, 4), (3, 4))),
    Sample("power's exponent, no log", np.power,
           lambda g, x, y: (g * y * x ** (y - 1), g * x**y), positive((3, 4), (3, 4))),
    Sample("denominator's sign", np.divide,
           lambda g, x, y: (g / y, g * x / y**2), positive((3, 4), (3, 4))),
    Sample("arguments swapped", np.multiply, lambda g, x, y: (g * x, g * y), TWO),
    Sample("hypot swapped", np.hypot,
           lambda g, x, y: (g * y / np.hypot(x, y), g * x / np.hypot(x, y)), TWO),
    Sample("arctan2 swapped", np.arctan2,
           lambda g, x, y: (-g * y / (x**2 + y**2), g * x / (x**2 + y**2)), TWO),
    Sample("maximum to both", np.maximum, lambda g, x, y: (g, g), TWO),
    Sample("where the other way", lambda x, y: np.where(x > 0, x * y, y),
           lambda g, x, y: (np.where(x > 0, 0, g * y), np.where(x > 0, x * g, g)), TWO),
    Sample("subtract's second sign", np.subtract, lambda g, x, y: (g, g), TWO),
    Sample("the second argument's forgotten", np.multiply, lambda g, x, y: (g * y, None), TWO),
]  # fmt: skip


def centred(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


reductions = [
    Sample("mean without its count", np.mean, lambda g, x: g * np.ones_like(x), M),
    Sample("sum over the other axis", lambda x: x.sum(0),
           lambda g, x: np.broadcast_to(g[:, None], x.shape), N),
    Sample("variance over one less", np.var,
           lambda g, x: g * 2 * (x - x.mean()) / (x.size - 1), M),
    Sample("logsumexp is uniform", lambda x: np.log(np.exp(x).sum()),
           lambda g, x: g * np.ones_like(x) / x.size, M),
    Sample("max to all", np.max, lambda g, x: g * np.ones_like(x), M),
    Sample("prod without the others", np.prod, lambda g, x: g * np.ones_like(x), V),
    Sample("norm undivided", np.linalg.norm, lambda g, x: g * x, M),
    Sample("cumsum forwards", np.cumsum, lambda g, x: np.cumsum(g), V),
    Sample("softmax without its sum", softmax, lambda g, x: g * softmax(x), M),
    Sample("softmax over the other axis", softmax,
           lambda g, x: softmax(x) * (g - (g * softmax(x)).sum(0)), N),
    Sample("log-softmax's sign", lambda x: np.log(softmax(x)),
           lambda g, x: g + softmax(x) * g.sum(-1, keepdims=True), M),
    Sample("layer norm, statistics constant", centred,
           lambda g, x: g / np.sqrt(x.var(-1, keepdims=True) + 1e-5), M),
    Sample("layer norm, mean only", centred,
           lambda g, x: (g - g.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5),
           M),
    Sample("std is var", np.std, lambda g, x: g * 2 * (x - x.mean()) / x.size, M),
]  # fmt: skip

WELL = (np.eye(4) * 3 + arrays((4, 4), seed=6)[0] * 0.5,)
linear_algebra = [
    Sample("product transposed", np.matmul, lambda g, x, y: (g @ y, x.T @ g), TWO),
    Sample("product's factors swapped", np.matmul, lambda g, x, y: (g @ y.T, g @ x.T), TWO),
    Sample("inverse on one side", np.linalg.inv, lambda g, x: -np.linalg.inv(x).T @ g, WELL),
    Sample("inverse not transposed", np.linalg.inv,
           lambda g, x: -np.linalg.inv(x) @ g @ np.linalg.inv(x), WELL),
    Sample("determinant not transposed", np.linalg.det,
           lambda g, x: g * np.linalg.det(x) * np.linalg.inv(x), WELL),
    Sample("log-determinant undivided", lambda x: np.linalg.slogdet(x)[1],
           lambda g, x: g * np.linalg.det(x) * np.linalg.inv(x).T, WELL),
    Sample("solve's sign", np.linalg.solve,
           lambda g, a, b: (np.outer(np.linalg.solve(a.T, g), np.linalg.solve(a, b)),
                            np.linalg.solve(a.T, g)), (*WELL, *arrays((4,), seed=7))),
    Sample("trace to all", np.trace, lambda g, x: g * np.ones_like(x), N),
    Sample("quadratic form of what is not symmetric", lambda a, x: x @ a @ x,
           lambda g, a, x: (g * np.outer(x, x), 2 * g * a @ x), arrays((4, 4), (4,), seed=8)),
    Sample("outer product turned", np.outer, lambda g, x, y: (g.T @ y, g @ x),
           arrays((4,), (4,), seed=9)),
]  # fmt: skip

shapes = [
    Sample("bias not summed", np.add, lambda g, x, b: (g, g), arrays((3, 4), (4,))),
    Sample("bias summed over the other axis", np.add, lambda g, x, b: (g, g.sum(1)),
           arrays((4, 4), (4,))),
    Sample("number not summed", np.multiply, lambda g, x, a: (g * a, g * x), arrays((3, 4), ())),
    Sample("column summed to a row", np.multiply,
           lambda g, x, c: (g * c, (g * x).sum(0)[:, None]), arrays((4, 4), (4, 1))),
    Sample("column's axis lost", np.add, lambda g, x, c: (g, g.sum(1)), arrays((3, 4), (3, 1))),
    Sample("transpose left as it is", np.transpose, lambda g, x: g, N),
    Sample("reshape in the other order", lambda x: x.reshape(6, 2),
           lambda g, x: g.reshape(x.shape, order="F"), M),
    Sample("roll the same way", lambda x: np.roll(x, 1), lambda g, x: np.roll(g, 1), V),
    Sample("flip forgotten", np.flip, lambda g, x: g, V),
    Sample("halves swapped", lambda x, y: np.concatenate([x, y]),
           lambda g, x, y: (g[len(x):], g[:len(x)]), arrays((3,), (3,))),
    Sample("repeated index assigned", lambda x: x[[0, 1, 1, 3]],
           lambda g, x: _put(np.zeros_like(x), [0, 1, 1, 3], g), V),
    Sample("padding off by one", lambda x: np.pad(x, 1), lambda g, x: g[:-2], V),
    Sample("kernel not flipped", lambda x, k: np.convolve(x, k, "valid"),
           lambda g, x, k: (np.convolve(g, k), np.convolve(x, g[::-1], "valid")),
           arrays((7,), (3,))),
    Sample("pooling without its count", lambda x: x.reshape(-1, 2).mean(1),
           lambda g, x: np.repeat(g, 2), arrays((6,))),
    Sample("difference's sign", np.diff,
           lambda g, x: np.concatenate([g, [0]]) - np.concatenate([[0], g]), V),
    Sample("the last entry is forgotten", np.sin,
           lambda g, x: np.append((g * np.cos(x))[:-1], 0), arrays((40,))),
    Sample("one entry of many", np.sin,
           lambda g, x: g * np.cos(x) * (1 + 0.01 * (np.arange(x.size) == 777)), arrays((1000,))),
]  # fmt: skip


def _put(x, index, values):
    x[index] = values
    return x


class Remembering:
    """Keeps the first argument that it sees."""

    def __init__(self):
        self.first = None

    def vjp(self, g, x):
        if self.first is None or self.first.shape != x.shape:
            self.first = x.copy()
        return g * np.cos(self.first)


class Leaning:
    """Its gradient is that of the last call."""

    def f(self, x):
        self.x = x.copy()
        return np.sin(x)

    def vjp(self, g, x):
        return g * np.cos(self.x)


class Reusing:
    """Gives the same memory each time."""

    def __init__(self):
        self.memory = {}

    def vjp(self, g, x):
        out = self.memory.setdefault((x.shape, x.dtype), np.empty_like(x))
        return np.multiply(g, np.cos(x), out=out)


def _damaging_f(x):
    y = np.sin(x)
    x *= 1.0001
    return y


def _damaging_vjp(g, x):
    np.cos(x, out=x)
    return g * x


def _damaging_cotangent(g, x):
    g *= np.cos(x)
    return g.copy()


leaning = Leaning()
state = [
    Sample("stale closure", np.sin, Remembering().vjp, M),
    Sample("state of the last call", leaning.f, leaning.vjp, M),
    Sample("memory used again", np.sin, Reusing().vjp, M),
    Sample("the function damages its argument", _damaging_f, lambda g, x: g * np.cos(x), M),
    Sample("the gradient damages its argument", np.sin, _damaging_vjp, M),
    Sample("the gradient damages its cotangent", np.sin, _damaging_cotangent, M),
    Sample("an accumulator that is never cleared", np.sin,
           lambda g, x, total=[0.0]: _accumulate(total, g * np.cos(x)), M),
]  # fmt: skip


def _accumulate(total, g):
    total[0] = total[0] + g if np.shape(total[0]) in ((), g.shape) else g
    return total[0]


def only(when):
    """The gradient of sin, three halves of it where something holds of x."""
    return lambda g, x: g * np.cos(x) * (1.5 if when(x) else 1.0)


def only_entries(where):
    return lambda g, x: g * np.cos(x) * np.where(where(x), 1.5, 1.0)


conditions = [
    Sample("only for arrays with gaps", np.sin, only(lambda x: not x.flags.forc), M),
    Sample("only for what is not contiguous", np.sin, only(lambda x: not x.flags.c_contiguous), M),
    Sample("entries in the order of memory", np.sin,
           lambda g, x: (g.ravel() * np.cos(x).ravel("K")).reshape(x.shape), M),
    Sample("only backwards in memory", np.sin, only(lambda x: any(s < 0 for s in x.strides)), V),
    Sample("only in single precision", np.sin, only(lambda x: x.dtype == np.float32), M),
    Sample("only in double precision", np.sin, only(lambda x: x.dtype == np.float64),
           tuple(x.astype(np.float32) for x in M)),
    Sample("only without axes", np.sin, only(lambda x: x.ndim == 0), V),
    Sample("only without axes, at one", np.sin, only(lambda x: x.ndim == 0), arrays(())),
    Sample("only without entries", np.sin,
           lambda g, x: g * np.cos(x) if x.size else np.zeros(1), V),
    Sample("no entries, wrong axes", lambda x: x.sum(0), lambda g, x: np.zeros((0,)),
           arrays((0, 3))),
    Sample("only near zero", np.sin, only_entries(lambda x: np.abs(x) < 1e-2), M),
    Sample("only very near zero", np.sin, only_entries(lambda x: np.abs(x) < 1e-6), M),
    Sample("only at zero", np.sin, only_entries(lambda x: x == 0), M),
    Sample("only below zero", np.sin, only_entries(lambda x: x < 0), positive((3, 4))),
    Sample("only above zero", np.sin, only_entries(lambda x: x > 0), (-positive((3, 4))[0],)),
    Sample("only for large entries", np.sin, only_entries(lambda x: np.abs(x) > 5), M),
]  # fmt: skip


def _forward(rule):
    return lambda args, ts: rule(*args, *ts)


modes = [
    Sample("forward only: sign", np.sin, lambda g, x: g * np.cos(x), M,
           _forward(lambda x, t: -t * np.cos(x))),
    Sample("forward only: factor", lambda x: x**2, lambda g, x: 2 * g * x, M,
           _forward(lambda x, t: t * x)),
    Sample("forward only: an argument is forgotten", np.multiply,
           lambda g, x, y: (g * y, g * x), TWO, _forward(lambda x, y, s, t: s * y)),
    Sample("forward only: transposed", lambda x: x @ x.T, lambda g, x: (g + g.T) @ x, N,
           _forward(lambda x, t: t @ x.T + t @ x.T)),
    Sample("reverse only: sign", np.sin, lambda g, x: -g * np.cos(x), M,
           _forward(lambda x, t: t * np.cos(x))),
    Sample("forward only: no number", np.sin, lambda g, x: g * np.cos(x), M,
           _forward(lambda x, t: t * np.nan)),
]  # fmt: skip

second = [
    Sample("order 2: sign", np.sin,
           (lambda g, x: g * np.cos(x), lambda h, g, x: (h * np.cos(x), h * g * np.sin(x))), M),
    Sample("order 2: detached", np.sin,
           (lambda g, x: g * np.cos(x), lambda h, g, x: (h * np.cos(x), np.zeros_like(x))), M),
    Sample("order 2: factor", lambda x: x**3,
           (lambda g, x: 3 * g * x**2, lambda h, g, x: (3 * h * x**2, 3 * h * g * x)), M),
    Sample("order 2: the cotangent's is forgotten", np.exp,
           (lambda g, x: g * np.exp(x), lambda h, g, x: (None, h * g * np.exp(x))), M),
    Sample("order 2: a mixed term is missing", np.multiply,
           (lambda g, x, y: (g * y, g * x),
            lambda h, g, x, y: (h[0] * y + h[1] * x, h[1] * g, np.zeros_like(y))), TWO),
    Sample("order 2: only near zero", np.sin,
           (lambda g, x: g * np.cos(x),
            lambda h, g, x: (h * np.cos(x), -h * g * np.where(np.abs(x) < 1e-2, 0, np.sin(x) + x))),
           M),
]  # fmt: skip


def _power_of_positive(x):
    return np.where(x > 0, x * np.sqrt(x), 0)


def _safe_norm(x):
    s = np.sum(x * x)
    return s / (1 + np.sqrt(1 + s))


class Buffered:
    """Writes its results into the same memory each time."""

    def __init__(self):
        self.memory = {}

    def f(self, x, w):
        key = x.shape, w.shape, x.dtype, w.dtype
        shape, dtype = (len(x), w.shape[1]), np.result_type(x, w)
        return np.matmul(x, w, out=self.memory.setdefault(key, np.empty(shape, dtype)))


def _zeroing(g, x):
    flat = x.ravel()  # a view where x is in C's order
    flat[flat < 0] = 0
    return g * (flat.reshape(x.shape) > 0)


def _of_eps(g, x):
    eps = 1e-3 if x.dtype == np.float32 else 1e-6
    n = np.sqrt(np.sum(x * x) + eps)
    return g / n - x * np.sum(g * x) / n**3


# Of the kinds that corpora by others showed to be missed, or nearly: see decision 11.
by_others = [
    Sample("no number at zeros: division of a product", np.cumprod,
           lambda g, x: np.cumsum((g * np.cumprod(x))[::-1])[::-1] / x, positive((6,))),
    Sample("no number below zero: masked too late", _power_of_positive,
           lambda g, x: g * (x > 0) * 1.5 * np.sqrt(x), positive((6,))),
    Sample("no number at zero: divided by the norm", _safe_norm,
           lambda g, x: g * x / np.linalg.norm(x) * np.linalg.norm(x) / np.sqrt(1 + np.sum(x * x)),
           V),
    Sample("an axis too many, of numbers", np.sin, lambda g, x: g * np.atleast_1d(np.cos(x)), V),
    Sample("raises without entries", lambda x: np.log1p(np.exp(x).sum()),
           lambda g, x: g * np.exp(x - x.max()) / (np.exp(-x.max()) + np.exp(x - x.max()).sum()),
           V),
    Sample("complex", lambda x: np.fft.ifft(np.fft.fft(x) * [1, 0, 0, 0, 0]).real,
           lambda g, x: np.fft.ifft(np.fft.fft(g) * [1, 0, 0, 0, 0]), V),
    Sample("large cotangents are clipped", np.sin, lambda g, x: np.clip(g, -10, 10) * np.cos(x), M),
    Sample("another epsilon in single precision",
           lambda x: x / np.sqrt(np.sum(x * x) + 1e-6), _of_eps, V),
    Sample("results in memory used again", Buffered().f, lambda g, x, w: (g @ w.T, x.T @ g),
           arrays((4, 3), (3, 2))),
    Sample("damage where rows come first", lambda x: np.maximum(x, 0), _zeroing,
           (np.asfortranarray(M[0]),)),
    Sample("only about one", np.sin, only_entries(lambda x: np.abs(x - 1) < 1),
           arrays((6,), low=25, high=50)),
]  # fmt: skip

WRONG = [
    *(*elementwise, *several, *reductions, *linear_algebra, *shapes),
    *(*state, *conditions, *modes, *second, *by_others),
]
