"""Pooling as elementwise operations: windows are few strided views, which fused loops compare.

The largest entry of a window is found by comparing its views one after the other. What `pick` and
`place` read and write by index is then a choice between those views, by the number of the one that
won, so that pooling and its derivatives of any order are fused with what is around them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.passes.rewrite import Rewriter
from autograd_core.ops.structural import broadcast_p, embed_p, reshape_p, slice_p
from autograd_core.primitive import REGISTRY
from kernels.geometry import NO_PADDING

MOST_TAPS = 9


class Pool(NamedTuple):
    """Windows that were compared."""

    images: Variable  # (N, H, W, C)
    window: tuple[int, int]
    stride: tuple[int, int]
    size: tuple[int, int]  # of the result
    largest: Variable  # (N, Ho, Wo, C)
    winner: Variable  # int32: which tap of the window it is


def expand_pooling(graph: Graph) -> Graph:
    """The graph with the largest entries of windows found, picked and placed elementwise."""
    expander = _Expander(graph)
    for old in graph.equations:
        expander.equation(old)
    return expander.rewriter.graph()


class _Expander:
    def __init__(self, graph: Graph):
        self.rewriter = Rewriter(graph)
        self.pools: dict[Variable, Pool] = {}  # by the index that leads to them
        self.rules = {"pool_argmax": self.pool_argmax, "pick": self.pick, "place": self.place}

    def equation(self, old: Equation) -> None:
        rewriter = self.rewriter
        equation = rewriter.updated(old)
        rule = self.rules.get(equation.primitive.name)
        found = None if rule is None else rule(equation)
        if found is None:
            rewriter.keep(equation)
        else:
            rewriter.become(equation.output, found)

    def apply(self, name: str, *inputs: Any) -> Variable:
        return self.rewriter.apply(REGISTRY[name], *inputs)

    def reshape(self, x: Variable, shape: tuple[int, ...]) -> Variable:
        return x if x.aval.shape == shape else self.rewriter.apply(reshape_p, x, shape=shape)

    # Primitives -------------------------------------------------------------------------------

    def pool_argmax(self, equation: Equation) -> Variable | None:
        (x,) = equation.variables
        window, stride = equation.params["window"], equation.params["stride"]
        rows, columns = equation.output.aval.shape[1:3]
        size = (rows, columns)
        taps = window[0] * window[1]
        padding = equation.params.get("padding", NO_PADDING)
        if padding != NO_PADDING or taps > MOST_TAPS or x.aval.dtype.kind != "f" or not x.aval.size:
            return None
        largest = self.tap(x, 0, window, stride, size)
        winner: Any = np.int32(0)
        for n in range(1, taps):
            entry = self.tap(x, n, window, stride, size)
            # NaN beats every number, and what came first beats its equals.
            odd = self.apply("not_equal", entry, entry)
            fine = self.apply("equal", largest, largest)
            more = self.apply("logical_and", odd, fine)
            better = self.apply("logical_or", self.apply("greater", entry, largest), more)
            largest = self.apply("where", better, entry, largest)
            winner = self.apply(
                "where", better, self.number(n), self.number(0) if n == 1 else winner
            )
        if taps == 1:
            winner = self.rewriter.apply(
                broadcast_p, self.number(0), shape=largest.aval.shape, axes=()
            )
        pool = Pool(x, window, stride, size, largest, winner)
        index = self.index(pool)
        self.pools[index] = pool
        return index

    def index(self, pool: Pool) -> Variable:
        """h · W + w of the largest entry."""
        width = pool.images.aval.shape[2]
        taps = np.arange(pool.window[0] * pool.window[1])
        far = taps // pool.window[1] * width + taps % pool.window[1]
        places: Any = self.number(0, np.int64)
        for n in taps[1:]:
            won = self.apply("equal", pool.winner, self.number(n))
            places = self.apply("where", won, self.number(far[n], np.int64), places)
        rows = np.arange(pool.size[0])[:, None, None] * pool.stride[0] * width
        columns = np.arange(pool.size[1])[:, None] * pool.stride[1]
        if places.aval.shape == ():
            shape = pool.winner.aval.shape
            places = self.rewriter.apply(broadcast_p, places, shape=shape, axes=())
        return self.apply("add", places, self.rewriter.constant((rows + columns).astype(np.int64)))

    def pick(self, equation: Equation) -> Variable | None:
        values, index = equation.variables
        pool = self.pool_of(index)
        if pool is None:
            return None
        n, _, channels = values.aval.shape
        images = self.reshape(values, (n, *pool.images.aval.shape[1:3], channels))
        if images is pool.images:
            return self.reshape(pool.largest, equation.output.aval.shape)
        found = self.tap(images, 0, pool.window, pool.stride, pool.size)
        for tap in range(1, pool.window[0] * pool.window[1]):
            won = self.apply("equal", pool.winner, self.number(tap))
            entry = self.tap(images, tap, pool.window, pool.stride, pool.size)
            found = self.apply("where", won, entry, found)
        return self.reshape(found, equation.output.aval.shape)

    def place(self, equation: Equation) -> Variable | None:
        values, index = equation.variables
        pool = self.pool_of(index)
        if pool is None or pool.window != pool.stride:
            return None
        (kh, kw), (rows, columns) = pool.window, pool.size
        n, height, width, channels = pool.images.aval.shape
        taps = np.arange(kh * kw, dtype=np.int32).reshape(kh, 1, kw, 1)
        tiled = (n, rows, 1, columns, 1, channels)
        won = self.apply("equal", self.reshape(pool.winner, tiled), self.rewriter.constant(taps))
        values = self.reshape(values, tiled)
        zero = self.rewriter.constant(np.zeros((), values.aval.dtype))
        placed = self.reshape(
            self.apply("where", won, values, zero), (n, rows * kh, columns * kw, channels)
        )
        if (rows * kh, columns * kw) != (height, width):
            key = ((0, n, 1), (0, rows * kh, 1), (0, columns * kw, 1), (0, channels, 1))
            shape = (n, height, width, channels)
            placed = self.rewriter.apply(embed_p, placed, key=key, shape=shape)
        return self.reshape(placed, equation.output.aval.shape)

    # Helpers ----------------------------------------------------------------------------------

    def pool_of(self, index: Variable) -> Pool | None:
        """The pool whose result an index is, reshaped to (N, Ho · Wo, C)."""
        x, made = index, self.rewriter.made
        while x not in self.pools:
            equation = made.get(x)
            if equation is None or equation.primitive is not reshape_p:
                return None
            x = equation.inputs[0]  # type: ignore[assignment]
        pool = self.pools[x]
        n, rows, columns, channels = pool.largest.aval.shape
        return pool if index.aval.shape == (n, rows * columns, channels) else None

    def number(self, n: int, dtype: Any = np.int32) -> Variable:
        return self.rewriter.constant(np.asarray(n, dtype))

    def tap(
        self, x: Variable, n: int, window: tuple, stride: tuple, size: tuple[int, int]
    ) -> Variable:
        """The view of images that the n-th tap of all windows makes."""
        images, _, _, channels = x.aval.shape
        i, j = divmod(n, window[1])
        key = (
            (0, images, 1),
            (i, i + (size[0] - 1) * stride[0] + 1, stride[0]),
            (j, j + (size[1] - 1) * stride[1] + 1, stride[1]),
            (0, channels, 1),
        )
        return self.rewriter.apply(slice_p, x, key=key)
