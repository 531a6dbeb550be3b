"""Random numbers that depend on a key alone: no hidden state, the same numbers everywhere.

    key = random.key(0)
    init_key, data_key = random.split(key)
    w = random.normal(init_key, (3, 4))

A key gives the same numbers each time, so use each key once: `split` it for independent ones, or
`fold_in` a step or an index. Keys are tensors, uint64 (2,): under `vmap` a mapped key gives each
slice its own numbers, and one that is not mapped gives all slices the same.

The bits are those of Philox-4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011) with that key; what is made of them is written here, so that results do not change with NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import kernels
from autograd_core.declare import elementwise, nondifferentiable
from autograd_core.device import beside, placed
from autograd_core.errors import DtypeError, ShapeError
from autograd_core.ops.arithmetic import less
from autograd_core.ops.index import take
from autograd_core.ops.structural import Aval, as_shape, astype, broadcast_to, with_batch
from autograd_core.primitive import Primitive, bind
from autograd_core.tensor import Tensor, asarray

__all__ = [
    "bernoulli",
    "bits",
    "fold_in",
    "key",
    "normal",
    "permutation",
    "randint",
    "split",
    "uniform",
]

Shape = int | Sequence[int]
UINT64 = np.dtype(np.uint64)

# The last word of Philox' counter says what the numbers are for, so that children of a key and
# numbers drawn with it never meet. `kernels.random_children` has another one.
DRAW, SPLIT = 0, 1


def key(seed: int, device: str | None = None) -> Tensor:
    """A key made of a seed, any whole number from 0. Numbers are made where their key lies.

    Raises:
        ValueError: a negative seed.
        DeviceError: there is no such device.

    >>> ac.random.key(0).shape, ac.random.key(0).dtype
    ((2,), dtype('uint64'))
    >>> ac.all(ac.random.key(0) == ac.random.key(1))
    Tensor(False, dtype=bool)
    """
    return placed(np.random.SeedSequence(int(seed)).generate_state(2, np.uint64), device)


# Primitives: functions of a key -----------------------------------------------------------------


def _keyed(
    name: str,
    sample: Callable[..., Any],
    shape: Callable[..., tuple[int, ...]],
    dtype: Callable[..., np.dtype],
    domain: Callable[[Any], dict],
) -> Primitive:
    """A primitive that draws from a key, or, for a stack of keys (…, 2), from each of them.

    Args:
        sample: `sample(keys, **params)` of keys (S, 2), an array (S, …) of the shape and dtype that
            `shape(**params)` and `dtype(**params)` say.
        domain: draws the params.
    """

    def kernel(keys: Any, **params: Any) -> Any:
        found = sample(keys.reshape(-1, 2), **params)
        return np.reshape(found, (*keys.shape[:-1], *shape(**params)))

    primitive = nondifferentiable(
        name,
        kernel,
        shape=lambda keys, **params: Aval((*keys.shape[:-1], *shape(**params)), dtype(**params)),
        batch=lambda _size, args, _batched, **params: bind(primitive, args, params),
        domain=lambda draw: ((draw.integers((2,), 0, 9).astype(UINT64),), domain(draw)),
    )
    return primitive


def _sample_bits(keys: Any, shape: tuple[int, ...]) -> Any:
    return kernels.random_bits(keys, math.prod(shape), DRAW)


def _sample_uniform(keys: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """As many of the leading bits as the significand holds, as a fraction in [0, 1)."""
    count = math.prod(shape)
    if dtype.itemsize == 8:
        return (kernels.random_bits(keys, count, DRAW) >> np.uint64(11)) * 2.0**-53
    wide = kernels.random_bits(keys, -(-count // 2), DRAW)
    halves = wide.astype("<u8", copy=False).view("<u4")[:, :count]
    return (halves >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def _sample_normal(keys: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Box and Muller, "A note on the generation of random normal deviates" (1958)."""
    count = math.prod(shape)
    half = -(-count // 2)
    unit = _sample_uniform(keys, (2 * half,), np.dtype(np.float64))
    first, second = unit[:, :half], unit[:, half:]
    radius, angle = np.sqrt(-2 * np.log1p(-first)), 2 * np.pi * second
    pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return pairs[:, :count].astype(dtype)


def _sample_permutation(keys: Any, length: int) -> Any:
    return np.argsort(kernels.random_bits(keys, length, DRAW), axis=-1, kind="stable")


def _some_shape(draw: Any) -> dict:
    return {"shape": draw.shape(min_length=0)}


def _shape_and_dtype(draw: Any) -> dict:
    return {**_some_shape(draw), "dtype": np.dtype(draw.choice([np.float32, np.float64]))}


bits_p = _keyed(
    "random_bits",
    _sample_bits,
    shape=lambda shape: shape,
    dtype=lambda shape: UINT64,  # noqa: ARG005
    domain=_some_shape,
)
uniform_p = _keyed(
    "random_uniform",
    _sample_uniform,
    shape=lambda shape, dtype: shape,  # noqa: ARG005
    dtype=lambda shape, dtype: dtype,  # noqa: ARG005
    domain=_shape_and_dtype,
)
normal_p = _keyed(
    "random_normal",
    _sample_normal,
    shape=lambda shape, dtype: shape,  # noqa: ARG005
    dtype=lambda shape, dtype: dtype,  # noqa: ARG005
    domain=_shape_and_dtype,
)
_between = elementwise(
    # A primitive, as compilers make one operation, rounded once, of a product and a sum: numbers
    # would depend on the device, and on whether they are drawn in a program.
    "random_between",
    lambda unit, low, high: unit * (high - low) + low,
    lambda _out, _unit, low, high: high - low,
    lambda _out, unit, _low, _high: 1 - unit,
    lambda _out, unit, _low, _high: unit,
    domain=[(0.0, 1.0), (-3.0, 3.0), (-3.0, 3.0)],
    complex=True,
)
permutation_p = _keyed(
    "random_permutation",
    _sample_permutation,
    shape=lambda length: (length,),
    dtype=lambda length: np.dtype(np.int64),  # noqa: ARG005
    domain=lambda draw: {"length": draw.integer(1, 5)},
)
split_p = _keyed(
    "random_split",
    lambda keys, count: kernels.random_bits(keys, 2 * count, SPLIT),
    shape=lambda count: (count, 2),
    dtype=lambda count: UINT64,  # noqa: ARG005
    domain=lambda draw: {"count": draw.integer(1, 3)},
)


def _fold_kernel(keys: Any, data: Any) -> Any:
    lead = np.broadcast_shapes(keys.shape[:-1], data.shape)
    keys, data = np.broadcast_to(keys, (*lead, 2)), np.broadcast_to(data, lead)
    return kernels.random_children(keys.reshape(-1, 2), data.reshape(-1)).reshape(*lead, 2)


fold_in_p: Primitive = nondifferentiable(
    "random_fold_in",
    _fold_kernel,
    shape=lambda keys, data: Aval((*np.broadcast_shapes(keys.shape[:-1], data.shape), 2), UINT64),
    batch=lambda size, args, batched: bind(
        fold_in_p, [with_batch(x, b, size) for x, b in zip(args, batched, strict=True)], {}
    ),
    domain=lambda draw: (
        (draw.integers((2,), 0, 9).astype(UINT64), draw.integers((), 0, 9).astype(UINT64)),
        {},
    ),
)


# What users call --------------------------------------------------------------------------------


def split(key: Any, count: int = 2) -> Tensor:
    """`count` independent keys made of one: uint64 (count, 2). Do not draw with `key` again.

    >>> a, b = ac.random.split(ac.random.key(0))
    >>> ac.random.uniform(a) == ac.random.uniform(b)
    Tensor(False, dtype=bool)
    """
    return split_p(_checked("split", key), count=int(count))


def fold_in(key: Any, data: Any) -> Tensor:
    """The key numbered `data`, an integer of up to 64 bits, of those that descend from `key`.

    Raises:
        DtypeError: `data` is not an integer.

    >>> key = ac.random.key(0)
    >>> [ac.random.randint(ac.random.fold_in(key, step), (3,), 0, 10).tolist() for step in range(2)]
    [[0, 5, 9], [3, 2, 9]]
    """
    data = asarray(data)
    if data.dtype.kind not in "iu":
        raise DtypeError(f"fold_in: expected an integer, got {data.dtype}")
    return fold_in_p(_checked("fold_in", key), astype(data, UINT64))


def bits(key: Any, shape: Shape = ()) -> Tensor:
    """Numbers of 64 random bits each, uint64.

    >>> ac.random.bits(ac.random.key(0), 3).dtype
    dtype('uint64')
    >>> ac.all(ac.random.bits(ac.random.key(0), 3) == ac.random.bits(ac.random.key(0), 3))
    Tensor(True, dtype=bool)
    """
    return bits_p(_checked("bits", key), shape=as_shape(shape))


def uniform(
    key: Any, shape: Shape = (), low: Any = 0.0, high: Any = 1.0, dtype: Any = np.float32
) -> Tensor:
    """Uniform in [low, high), which broadcast against `shape`; derivatives flow through them.

    Args:
        key: see `ac.random`.
        shape: of the result.
        low, high: numbers or arrays.
        dtype: floating point.

    >>> ac.random.uniform(ac.random.key(0), 3)
    Tensor([0.1356, 0.0141, 0.9377], dtype=float32)
    >>> ac.grad(lambda high: ac.random.uniform(ac.random.key(0), (), 0.0, high, np.float64))(2.0)
    Tensor(0.0141, dtype=float64)
    """
    dtype = _float(dtype)
    unit = uniform_p(_checked("uniform", key), shape=as_shape(shape), dtype=dtype)
    low, high = (beside(asarray(bound, dtype), unit) for bound in (low, high))
    return _between(unit, low, high)


def normal(key: Any, shape: Shape = (), dtype: Any = np.float32) -> Tensor:
    """Normal with mean 0 and variance 1.

    Args:
        key: see `ac.random`.
        shape: of the result.
        dtype: floating point.

    >>> ac.random.normal(ac.random.key(0), 3)
    Tensor([-0.1656,  0.6482,  0.0299], dtype=float32)
    >>> ac.vmap(lambda key: ac.random.normal(key))(ac.random.split(ac.random.key(0), 4)).shape
    (4,)
    """
    return normal_p(_checked("normal", key), shape=as_shape(shape), dtype=_float(dtype))


def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Tensor:
    """True with probability p, which broadcasts to `shape` (its own by default).

    Args:
        key: see `ac.random`.
        p: numbers in [0, 1]; no derivative flows through them.
        shape: of the result.

    Returns:
        Booleans.

    >>> ac.random.bernoulli(ac.random.key(0), [0.0, 1.0])
    Tensor([False,  True], dtype=bool)
    >>> ac.abs(ac.mean(ac.random.bernoulli(ac.random.key(0), 0.3, 10_000)) - 0.3) < 0.02
    Tensor(True, dtype=bool)
    """
    p = asarray(p)
    shape = p.shape if shape is None else as_shape(shape)
    dtype = p.dtype if p.dtype.kind == "f" else np.float64
    unit = uniform_p(_checked("bernoulli", key), shape=shape, dtype=_float(dtype))
    return less(unit, broadcast_to(beside(p, unit), shape))


def randint(key: Any, shape: Shape, low: int, high: int) -> Tensor:
    """Whole numbers in [low, high), int64.

    They are remainders of 64 bits, so that no number is likelier than another by more than a share
    (high - low) / 2⁶⁴.

    Raises:
        ValueError: there are none.

    >>> ac.random.randint(ac.random.key(0), (4,), 0, 10)
    Tensor([7, 5, 6, 9], dtype=int64)
    """
    if not low < high:
        raise ValueError(f"randint: there is no whole number in [{low}, {high})")
    return astype(bits(key, shape) % np.uint64(high - low), np.int64) + low


def permutation(key: Any, x: Any, axis: int = 0) -> Tensor:
    """The numbers 0, …, n - 1 in random order for a number n; else x, shuffled along an axis.

    >>> ac.random.permutation(ac.random.key(0), 5)
    Tensor([0, 3, 1, 2, 4], dtype=int64)
    >>> ac.sort(ac.random.permutation(ac.random.key(1), ac.asarray([10, 20, 30])))
    Tensor([10, 20, 30], dtype=int64)
    """
    key = _checked("permutation", key)
    if isinstance(x, int):
        return permutation_p(key, length=x)
    x = asarray(x)
    return take(x, permutation_p(key, length=x.shape[axis]), axis)


def _checked(name: str, key: Any) -> Tensor:
    key = asarray(key)
    if key.dtype != UINT64 or key.shape[-1:] != (2,):
        raise DtypeError(
            f"{name}: expected a key, uint64 (2,), as random.key(seed) makes it; "
            f"got {key.dtype} of shape {key.shape}"
        )
    if key.ndim != 1:
        raise ShapeError(
            f"{name}: expected one key, got keys of shape {key.shape}; take one, or use vmap"
        )
    return key


def _float(dtype: Any) -> np.dtype:
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise DtypeError(f"random numbers come in float32 and float64, not {dtype}")
    return dtype
